// What is asked of the process that serves the pages. The token came in the address, in the part that is sent to nobody; it
// is kept for the pages of this address, so that they can be opened in other tabs.
import { now } from "./dom.js";

const given = /^#token=([\w-]+)/.exec(location.hash);
if (given) {
  localStorage.setItem("token", given[1]);
  history.replaceState(null, "", "#/runs");
}
const headers = () => ({ "X-Dbt-Ui-Token": localStorage.getItem("token") || "" });

export async function get(path, signal) {
  let answer;
  try {
    answer = await fetch(path, { headers: headers(), signal });
  } catch (e) {
    if (e.name === "AbortError") throw e;
    throw new Error("kubectl dbt ui does not answer: it may have been stopped.");
  }
  const body = await answer.json();
  if (!answer.ok) throw new Error(body.error || `the answer has code ${answer.status}`);
  return body;
}

export const runPath = (namespace, name, part) => `/api/runs/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}${part ? `/${part}` : ""}`;
export const runLink = (namespace, name, part) => `#/runs/${encodeURIComponent(namespace)}/${encodeURIComponent(name)}${part ? `/${part}` : ""}`;

// All runs as they are now. Whoever listens is told of the one that changed, or of nothing when all may have.
export const runs = new Map();
export const state = { text: "Connecting", tone: "wait", ready: false, error: "" };
const listeners = new Set();
export function listen(f) {
  listeners.add(f);
  return () => listeners.delete(f);
}
const tell = (run) => listeners.forEach((f) => f(run));
const keyOf = (run) => `${run.namespace}/${run.name}`;

const events = {
  runs: (all) => { runs.clear(); for (const r of all) runs.set(keyOf(r), r); state.ready = true; tell(); },
  run: (r) => { runs.set(keyOf(r), r); tell(r); },
  gone: (r) => { runs.delete(keyOf(r)); tell(r); },
  problem: (p) => { say("Not live", "bad", p.error); },
  beat: () => {},
};

function say(text, toneOf, error = "") {
  Object.assign(state, { text, tone: toneOf, error });
  tell();
}

// EventSource can send no header, so the events are read off a fetch.
export async function follow() {
  for (let pause = 1000; ; pause = Math.min(pause * 2, 15000)) {
    try {
      const answer = await fetch("/api/live", { headers: headers() });
      if (answer.status === 401) {
        say("No token", "bad", (await answer.json()).error);
        return;
      }
      if (!answer.ok) throw new Error(String(answer.status));
      let said = "";
      const reader = answer.body.pipeThrough(new TextDecoderStream()).getReader();
      for (let first = true; ;) {
        const { value, done } = await reader.read();
        if (done) break;
        said += value;
        const whole = said.split("\n\n");
        said = whole.pop();
        for (const event of whole) {
          const m = /^event: (\w+)\ndata: (.*)$/s.exec(event);
          if (m && events[m[1]]) events[m[1]](JSON.parse(m[2]));
        }
        if (first && !state.error) { first = false; pause = 1000; say("Live", "ok"); }
      }
    } catch {
      // said below
    }
    if (state.tone === "ok") say("Reconnecting", "wait");
    await new Promise((r) => setTimeout(r, pause));
    if (state.tone === "bad") state.error = "";
  }
}

export const took = (r) => r.started ? Math.max(0, (r.ended || now()) - r.started) : 0;
