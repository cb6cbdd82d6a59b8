// The run's log, searched where it lies: only what is shown comes here.
import { h, notes, problem, empty, number, plural } from "./dom.js";

export function show(place, of) {
  let around = 0, due = 0, aborter = null, begun = false;
  const search = h("input", { type: "search", id: "l-q", placeholder: "Words in a line", oninput: () => { around = 0; clearTimeout(due); due = setTimeout(load, 250); } });
  const count = h("p", { class: "count", role: "status", id: "l-count" });
  const lines = h("div", { class: "log", tabindex: "0", role: "region", "aria-label": "Lines of the log" });
  const note = h("div");
  const back = h("button", { type: "button", class: "plain", hidden: true, onclick: () => { around = 0; load(); search.focus(); } }, "Back to what was found");
  place.replaceChildren(note, h("form", { class: "filters", role: "search", "aria-label": "Search the log", onsubmit: (e) => { e.preventDefault(); around = 0; load(); } },
    h("div", { class: "field grow" }, h("label", { for: "l-q" }, "Search"), search), count, back), lines);

  function marked(text, word) {
    if (!word) return [text];
    const out = [], lower = text.toLowerCase();
    for (let from = 0; ;) {
      const i = lower.indexOf(word, from);
      if (i < 0 || lower.length !== text.length) { out.push(text.slice(from)); return out; }
      out.push(text.slice(from, i), h("mark", {}, text.slice(i, i + word.length)));
      from = i + word.length;
    }
  }
  async function load() {
    aborter?.abort();
    aborter = new AbortController();
    const word = search.value.trim();
    let got;
    try {
      got = await of.get(`log?${new URLSearchParams(around ? { around } : { q: word })}`, aborter.signal);
    } catch (e) {
      if (e.name !== "AbortError") lines.replaceChildren(problem(e));
      return;
    }
    const atEnd = !begun || lines.scrollTop + lines.clientHeight > lines.scrollHeight - 40;
    begun = true;
    note.replaceChildren(notes(got.notes) || "");
    back.hidden = !around;
    count.textContent = around ? `around line ${number(around)} of ${number(got.total)}` : word ? `${plural(got.found, "line")} of ${number(got.total)}${got.found > got.lines.length ? `, the last ${number(got.lines.length)} are shown` : ""}` :
      got.total > got.lines.length ? `the last ${number(got.lines.length)} of ${plural(got.total, "line")}` : plural(got.total, "line");
    lines.replaceChildren(...got.lines.map((l) => h("div", { class: `line ${l.level || ""} ${l.n === around ? "here" : ""}` },
      word && !around ? h("button", { type: "button", class: "n", "aria-label": `Line ${l.n}: show what is around`, onclick: () => { around = l.n; load(); } }, l.n) : h("span", { class: "n" }, l.n),
      h("span", { class: "text" }, marked(l.text, word.toLowerCase())))), got.lines.length ? "" : empty(word ? "No line has that." : "The log is empty."));
    if (around) lines.querySelector(".here")?.scrollIntoView({ block: "center" });
    else if (!word && atEnd) lines.scrollTop = lines.scrollHeight;
  }
  load();
  return { update: () => { if (!around && !search.value.trim()) return load(); }, leave: () => { clearTimeout(due); aborter?.abort(); } };
}
