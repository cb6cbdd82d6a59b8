// The list of runs.
import { h, chip, when, duration, stacked, strip, empty, problem, plural, tone, number } from "./dom.js";
import { runs, state, listen, took, runLink } from "./api.js";

const fields = [
  ["phase", "Status", (r) => r.phase],
  ["project", "Project", (r) => r.project],
  ["requester", "Requested by", (r) => r.requester || ""],
  ["trigger", "Trigger", (r) => r.schedule || r.trigger],
];
const page = 100;

export function filter(all, wanted, text) {
  const words = text.toLowerCase().split(/\s+/).filter(Boolean);
  return all.filter((r) => fields.every(([name, , of]) => !wanted[name] || of(r) === wanted[name]) && words.every((w) =>
    [r.name, r.namespace, r.project, r.requester, r.schedule, r.phase, r.reason, r.message, ...(r.commands || [])].some((v) => (v || "").toLowerCase().includes(w))));
}

export function show(main, query) {
  let most = page;
  const wanted = Object.fromEntries(fields.map(([name]) => [name, query.get(name) || ""]));
  const search = h("input", { type: "search", id: "q", placeholder: "Name, command, message …", value: query.get("q") || "", oninput: () => changed() });
  const selects = Object.fromEntries(fields.map(([name]) => [name, h("select", { id: `f-${name}`, onchange: (e) => { wanted[name] = e.target.value; changed(); } })]));
  const count = h("p", { class: "count", role: "status" });
  const recent = h("div", { class: "recent" });
  const body = h("tbody");
  const more = h("button", { type: "button", class: "more", onclick: () => { most += page; render(); } });
  const none = h("div");
  const clear = h("button", { type: "button", class: "plain", onclick: () => { search.value = ""; for (const [name] of fields) wanted[name] = ""; changed(); search.focus(); } }, "Clear");
  main.append(
    h("div", { class: "title" }, h("h1", { tabindex: "-1" }, "Runs"), count),
    h("form", { class: "filters", role: "search", "aria-label": "Filter runs", onsubmit: (e) => e.preventDefault() },
      h("div", { class: "field grow" }, h("label", { for: "q" }, "Search"), search),
      fields.map(([name, label]) => h("div", { class: "field" }, h("label", { for: `f-${name}` }, label), selects[name])), clear),
    recent,
    h("div", { class: "table-wrap card", tabindex: "0", role: "region", "aria-label": "Runs" },
      h("table", { class: "runs" }, h("caption", { class: "sr" }, "Runs, the newest first"),
        h("thead", {}, h("tr", {}, ["Run", "Status", "Project", "Trigger", "Requested by", "Created", "Duration", "Nodes"].map((c) => h("th", { scope: "col" }, c)))), body), none, more));

  const rows = new Map();
  function row(r) {
    const key = JSON.stringify(r) + (r.ended ? "" : Math.floor(took(r) / 1000));
    const old = rows.get(r.uid);
    if (old && old.key === key) return old.tr;
    const failed = r.failed || 0;
    const tr = h("tr", { class: `row-${tone(r.phase)}` },
      h("th", { scope: "row" }, h("a", { href: runLink(r.namespace, r.name), id: `run-${r.uid}` }, r.name), h("span", { class: "sub" }, (r.commands || []).join(" · "))),
      h("td", {}, chip(r.phase), r.reason && r.phase === "Failed" ? h("span", { class: "sub" }, r.reason) : null),
      h("td", {}, r.project), h("td", {}, r.schedule || r.trigger, r.schedule ? h("span", { class: "sub" }, r.trigger) : null),
      h("td", {}, r.requester || h("span", { class: "muted" }, "–")),
      h("td", { class: "nowrap" }, when(r.created)), h("td", { class: "num" }, r.started ? duration(took(r)) : "–"),
      h("td", { class: "nodes" }, r.total ? [h("span", {}, `${number(r.done)}/${number(r.total)}`, failed ? h("span", { class: "bad-text" }, ` · ${number(failed)} failed`) : null),
        stacked([{ word: "success", n: r.done - failed }, { word: "fail", n: failed }], r.total)] : h("span", { class: "muted" }, "–")));
    rows.set(r.uid, { key, tr });
    return tr;
  }
  function options() {
    for (const [name, label, of] of fields) {
      const values = [...new Set([...runs.values()].map(of).filter(Boolean))].sort();
      if (wanted[name] && !values.includes(wanted[name])) values.push(wanted[name]);
      const before = [...selects[name].options].slice(1).map((o) => o.value);
      if (before.join("\n") !== values.join("\n") || !selects[name].options.length) selects[name].replaceChildren(h("option", { value: "" }, "Any"), ...values.map((v) => h("option", { value: v }, v)));
      selects[name].value = wanted[name];
    }
  }
  function render() {
    options();
    const all = [...runs.values()].sort((a, b) => b.created - a.created || (a.name < b.name ? -1 : 1));
    const found = filter(all, wanted, search.value);
    count.textContent = state.ready ? found.length === all.length ? plural(all.length, "run") : `${number(found.length)} of ${plural(all.length, "run")}` : "";
    const focused = document.activeElement && body.contains(document.activeElement) ? document.activeElement.id : "";
    const want = found.slice(0, most).map(row);
    if (want.length !== body.children.length || want.some((tr, i) => tr !== body.children[i])) body.replaceChildren(...want);
    if (focused) document.getElementById(focused)?.focus({ preventScroll: true });
    more.hidden = found.length <= most;
    more.textContent = `Show more of ${number(found.length)}`;
    none.replaceChildren(state.error ? problem(state.error) : !state.ready ? h("p", { class: "empty" }, "Reading runs …") : found.length ? "" :
      all.length ? empty("No run is like that.", "Other words, or fewer filters, find more.") : empty("There are no runs yet.", "kubectl dbt run PROJECT starts one."));
    const ended = found.filter((r) => r.started).slice(0, 45).reverse();
    recent.replaceChildren(ended.length > 3 ? h("div", { class: "card pad" }, h("h2", { class: "small" }, `Duration of the last ${ended.length} runs`),
      strip(ended.map((r) => ({ phase: r.phase, seconds: took(r) / 1000, href: runLink(r.namespace, r.name), label: `${r.name}: ${r.phase}, ${duration(took(r))}` })), "The last runs, oldest first")) : "");
  }
  function changed() {
    const q = new URLSearchParams(Object.entries({ q: search.value, ...wanted }).filter(([, v]) => v));
    history.replaceState(null, "", `#/runs${q.size ? `?${q}` : ""}`);
    most = page;
    render();
  }
  let due = 0;
  const stop = listen(() => { if (!due) due = requestAnimationFrame(() => { due = 0; render(); }); });
  const beat = setInterval(() => { if ([...runs.values()].some((r) => !r.ended && r.started)) render(); }, 1000);
  render();
  return () => { stop(); clearInterval(beat); cancelAnimationFrame(due); };
}
