// One run: what it is, and the parts it has.
import { h, chip, when, duration, stacked, problem, plural, bytes, number, absolute, table, tone, sign } from "./dom.js";
import { get, listen, runPath, runLink, took, runs } from "./api.js";
import * as timeline from "./timeline.js";
import * as lineage from "./lineage.js";
import * as failures from "./failures.js";
import * as log from "./log.js";

const details = {
  show(place, of) {
    const p = of.page;
    const fact = (name, value) => value ? h("div", {}, h("dt", {}, name), h("dd", {}, value)) : null;
    place.replaceChildren(
      h("section", { class: "card pad", "aria-labelledby": "d-what" }, h("h2", { id: "d-what" }, "What ran"), h("dl", { class: "facts wide" },
        fact("Project", p.project), fact("Target", p.target), fact("Variables", (p.vars || []).join(", ")), fact("Goes on from", p.resumeFrom),
        fact("Commit", p.source && h("code", {}, p.source)), fact("Image", p.image && h("code", {}, p.image)), fact("dbt", p.dbt), fact("Adapter", p.adapter))),
      h("section", { class: "card pad", "aria-labelledby": "d-who" }, h("h2", { id: "d-who" }, "Who and when"), h("dl", { class: "facts wide" },
        fact("Requested by", p.requester), fact("Groups", (p.groups || []).join(", ")), fact("Trigger", p.schedule ? `${p.trigger}: ${p.schedule}` : p.trigger),
        fact("Tick", p.scheduled && absolute(p.scheduled)), fact("Created", absolute(p.created)), fact("Started", p.started && absolute(p.started)), fact("Ended", p.ended && absolute(p.ended)),
        fact("Kept", p.kept && `${p.kept}: ${p.keptMessage}`))),
      p.steps ? h("section", { class: "card pad", "aria-labelledby": "d-c" }, h("h2", { id: "d-c" }, "Commands"), table("Commands", ["Command", "Duration", "Exit code", ""], p.steps,
        (s) => [h("code", {}, s.line), s.start && s.end ? duration(s.end - s.start) : "–", s.exitCode ?? "–", s.note || ""])) : "",
      p.attempts ? h("section", { class: "card pad", "aria-labelledby": "d-p" }, h("h2", { id: "d-p" }, "Pods"), table("Pods", ["Pod", "Node", "Duration", "End"], p.attempts,
        (a) => [a.pod, a.node || "–", a.start && a.end ? duration(a.end - a.start) : "–", a.reason || "–"])) : "",
      p.artifacts ? h("section", { class: "card pad", "aria-labelledby": "d-a" }, h("h2", { id: "d-a" }, "Artifacts"), table("Artifacts", ["File", "Size"], p.artifacts, (a) => [a.name, bytes(a.bytes)])) : "");
    return { update: () => details.show(place, of) };
  },
};

const parts = { timeline: ["Timeline", timeline], lineage: ["Lineage", lineage], failures: ["Failures", failures], log: ["Log", log], details: ["Details", details] };
let kept = { key: "", page: null };

export function show(main, namespace, name, part, sameRun) {
  if (!parts[part]) part = "timeline";
  const key = `${namespace}/${name}`;
  const of = { namespace, name, page: sameRun && kept.key === key ? kept.page : null, get: (what, signal) => get(runPath(namespace, name, what), signal) };
  const head = h("div", { class: "run-head" });
  const tabs = h("nav", { class: "tabs", "aria-label": "Parts of the run" }, Object.entries(parts).map(([id, [label]]) =>
    h("a", { href: runLink(namespace, name, id), "aria-current": id === part ? "page" : null, id: `tab-${id}` }, label, id === "failures" ? h("span", { id: "failed-count", class: "badge" }) : null)));
  const place = h("div", { class: `part part-${part}` }, h("p", { class: "empty" }, "Reading …"));
  main.append(h("p", { class: "crumbs" }, h("a", { href: "#/runs" }, "Runs"), h("span", { "aria-hidden": "true" }, " / "), namespace), head, tabs, place);

  let shown = null, gone = false, due = 0, last = 0, waiting = false;
  function title() {
    const p = of.page;
    const by = p.requester ? [" by ", h("strong", {}, p.requester)] : "";
    const parts = p.results.map((c) => ({ word: c.class, n: c.nodes }));
    if (!parts.length && p.done) parts.push({ word: "success", n: p.done - p.failed }, { word: "fail", n: p.failed });
    head.replaceChildren(
      h("div", { class: "title" }, h("h1", { tabindex: "-1" }, p.name), chip(p.phase), p.reason && p.phase === "Failed" ? h("span", { class: "muted" }, p.reason) : null),
      h("p", { class: "asked" }, h("code", {}, (p.commands || []).join(" && ")), " of ", h("strong", {}, p.project), by, p.schedule ? [" on schedule ", h("strong", {}, p.schedule)] : "", " ", when(p.created)),
      p.message && p.phase !== "Succeeded" ? h("p", { class: `said ${tone(p.phase)}` }, p.message) : "",
      h("div", { class: "summary card" },
        h("dl", { class: "facts" },
          h("div", {}, h("dt", {}, "Duration"), h("dd", { class: "big", id: "took" }, p.started ? duration(took(p)) : "–")),
          h("div", {}, h("dt", {}, "Nodes"), h("dd", { class: "big" }, p.total ? `${number(p.done)}/${number(p.total)}` : "–")),
          h("div", {}, h("dt", {}, "Failed"), h("dd", { class: `big ${p.failed ? "bad-text" : ""}` }, number(p.failed)))),
        h("div", { class: "results" }, stacked(parts, p.total), h("ul", { class: "legend" }, parts.filter((c) => c.n).map((c) => h("li", {}, h("span", { class: `key ${tone(c.word)}`, "aria-hidden": "true" }, sign(c.word)), `${number(c.n)} ${c.word}`)),
          (p.running || []).slice(0, 3).map((id) => h("li", { class: "muted" }, `▶ ${id}`))))));
    document.getElementById("failed-count").textContent = p.failed ? String(p.failed) : "";
  }
  async function load() {
    due = 0;
    if (waiting || gone) return;
    waiting = true;
    try {
      of.page = await get(runPath(namespace, name));
      kept = { key, page: of.page };
      if (gone) return;
      const focus = head.contains(document.activeElement);
      title();
      if (focus) head.querySelector("h1").focus({ preventScroll: true });
      if (shown) await shown.update(); else begin();
      last = performance.now();
    } catch (e) {
      if (!gone && !shown) { head.replaceChildren(h("h1", { tabindex: "-1" }, name)); place.replaceChildren(problem(e)); }
    } finally {
      waiting = false;
    }
  }
  function begin() { shown = parts[part][1].show(place, of); }
  if (of.page) { title(); begin(); } else { head.append(h("h1", { tabindex: "-1" }, name)); load(); }
  const stop = listen((run) => {
    if (run && (run.namespace !== namespace || run.name !== name) || !run && of.page && runs.get(key)?.phase === of.page.phase) return;
    if (!due && of.page) due = setTimeout(load, Math.max(0, 2000 - (performance.now() - last)));
  });
  const beat = setInterval(() => {
    const field = document.getElementById("took");
    if (field && of.page && of.page.started && !of.page.ended) field.textContent = duration(took(of.page));
  }, 1000);
  return () => { gone = true; stop(); clearInterval(beat); clearTimeout(due); if (shown && shown.leave) shown.leave(); };
}
