// The nodes that did not end well, each with what was said and its SQL.
import { h, chip, notes, empty, problem, plural, sql, number } from "./dom.js";

const most = 50;

export function show(place, of) {
  let all = null, said = "";
  const search = h("input", { type: "search", id: "x-q", placeholder: "Node, message, file, SQL", oninput: () => render() });
  const count = h("p", { class: "count", role: "status" });
  const list = h("div", { class: "failures" }), note = h("div");
  function one(f) {
    return h("article", { class: "card pad failure", "aria-label": f.name },
      h("h2", {}, f.name, " ", chip(f.class, f.status)),
      h("p", { class: "muted wrap" }, f.id, f.path ? [" · ", h("code", {}, f.path)] : ""),
      f.message ? h("pre", { class: "message", tabindex: "0", "aria-label": "Message" }, f.message) : h("p", { class: "muted" }, "dbt gave no message."),
      f.sql ? h("details", { open: all.nodes.length <= 5 }, h("summary", {}, f.compiled ? "SQL as it was sent to the warehouse" : "SQL template"),
        h("button", { type: "button", class: "copy", onclick: async (e) => { await navigator.clipboard.writeText(f.sql); e.target.textContent = "Copied"; } }, "Copy"), sql(f.sql)) : null);
  }
  function render() {
    const words = search.value.toLowerCase().split(/\s+/).filter(Boolean);
    const found = all.nodes.filter((f) => words.every((w) => [f.id, f.message, f.path, f.sql].some((v) => (v || "").toLowerCase().includes(w))));
    count.textContent = words.length ? `${number(found.length)} of ${plural(all.of, "node")}` : plural(all.of, "node");
    list.replaceChildren(...found.slice(0, most).map(one), found.length > most ? h("p", { class: "muted" }, `${number(found.length - most)} more: search to see them.`) : "");
  }
  async function update() {
    let got;
    try { got = await of.get("failures"); } catch (e) { if (!all) place.replaceChildren(problem(e)); return; }
    const now = JSON.stringify(got);
    if (now === said) return;
    said = now; all = got;
    note.replaceChildren(notes(all.notes) || "");
    if (!all.nodes.length) {
      place.replaceChildren(note, of.page.phase === "Failed" ? empty("The run failed before any node did.", of.page.message) : empty("No node failed."));
      return;
    }
    place.replaceChildren(note, h("form", { class: "filters", role: "search", "aria-label": "Search failures", onsubmit: (e) => e.preventDefault() }, h("div", { class: "field grow" }, h("label", { for: "x-q" }, "Search"), search), count), list);
    render();
  }
  update();
  return { update };
}
