// Elements and words. All text goes in as text nodes: what is shown may come from hostile pods.

const SVG = "http://www.w3.org/2000/svg";

function fill(element, attributes, children) {
  for (const [name, value] of Object.entries(attributes || {})) {
    if (value === null || value === undefined || value === false) continue;
    if (name.startsWith("on")) element.addEventListener(name.slice(2), value);
    else if (name === "value" || name === "checked") element[name] = value;
    else element.setAttribute(name, value === true ? "" : String(value));
  }
  element.append(...children.flat(3).filter((c) => c !== null && c !== undefined && c !== false).map((c) => c instanceof Node ? c : String(c)));
  return element;
}

export const h = (tag, attributes, ...children) => fill(document.createElement(tag), attributes, children);
export const svg = (tag, attributes, ...children) => fill(document.createElementNS(SVG, tag), attributes, children);

// The clock that everything else on the pages goes by is that of the process that serves them.
let ahead = 0;
export const setNow = (ms) => { ahead = ms - Date.now(); };
export const now = () => Date.now() + ahead;

export function duration(ms) {
  const s = ms / 1000;
  if (s < 10) return `${s.toFixed(s < 1 ? 2 : 1)}s`;
  if (s < 60) return `${Math.round(s)}s`;
  const m = Math.floor(s / 60);
  if (m < 60) return `${m}m ${Math.round(s % 60)}s`;
  if (m < 48 * 60) return `${Math.floor(m / 60)}h ${m % 60}m`;
  return `${Math.floor(m / 1440)}d ${Math.floor(m / 60) % 24}h`;
}

function about(ms) {
  const s = Math.round(ms / 1000);
  if (s < 60) return `${s}s`;
  if (s < 3600) return `${Math.round(s / 60)}m`;
  if (s < 48 * 3600) return `${Math.round(s / 3600)}h`;
  return `${Math.round(s / 86400)}d`;
}

const moment = new Intl.DateTimeFormat(undefined, { dateStyle: "medium", timeStyle: "medium" });
const brief = new Intl.DateTimeFormat(undefined, { weekday: "short", hour: "2-digit", minute: "2-digit" });
export const absolute = (ms) => moment.format(new Date(ms));

export function when(ms) {
  if (!ms) return h("span", { class: "muted" }, "–");
  const away = now() - ms;
  return h("time", { datetime: new Date(ms).toISOString(), title: absolute(ms) }, away >= 0 ? `${about(away)} ago` : `in ${about(-away)}`);
}

export const at = (ms) => h("time", { datetime: new Date(ms).toISOString(), title: absolute(ms) }, brief.format(new Date(ms)));

const bytesOf = new Intl.NumberFormat(undefined, { maximumFractionDigits: 1 });
export const bytes = (n) => n < 1024 ? `${n} B` : n < 1 << 20 ? `${bytesOf.format(n / 1024)} KiB` : `${bytesOf.format(n / (1 << 20))} MiB`;
export const number = (n) => new Intl.NumberFormat().format(n);
export const plural = (n, one, many) => `${number(n)} ${n === 1 ? one : many || `${one}s`}`;

// A class or phase has a sign beside its colour, for those who do not tell the colours apart.
const signs = {
  Succeeded: ["ok", "✓"], Failed: ["bad", "✕"], Running: ["run", "▶"], Pending: ["idle", "…"], Queued: ["idle", "≡"], Cancelled: ["off", "⊘"],
  success: ["ok", "✓"], warn: ["warn", "!"], fail: ["bad", "✕"], error: ["bad", "✕"], skipped: ["off", "»"], "no-op": ["off", "–"],
  reused: ["ok2", "↺"], interrupted: ["warn", "⊘"], running: ["run", "▶"], none: ["none", "○"],
};
export const tone = (word) => (signs[word] || ["none", "○"])[0];
export const sign = (word) => (signs[word] || ["none", "○"])[1];
export const chip = (word, text) => h("span", { class: `chip ${tone(word)}` }, h("span", { "aria-hidden": "true" }, sign(word)), " ", text || (word === "none" ? "not run" : word));

export const notes = (list) => (list || []).length ? h("div", { class: "notes", role: "note" }, list.map((n) => h("p", {}, n))) : null;
export const empty = (title, text) => h("div", { class: "empty" }, h("p", { class: "empty-title" }, title), text ? h("p", {}, text) : null);
export const problem = (error) => h("div", { class: "problem", role: "alert" }, h("strong", {}, "This cannot be shown. "), error.message || String(error));

// A bar of parts, such as results by class; parts are {word, n}.
export function stacked(parts, total) {
  const sum = Math.max(total || 0, parts.reduce((a, p) => a + p.n, 0), 1);
  let x = 0;
  return svg("svg", { class: "stacked", viewBox: "0 0 100 6", preserveAspectRatio: "none", role: "img", "aria-label": parts.map((p) => `${p.n} ${p.word}`).join(", ") || "nothing yet" },
    svg("rect", { class: "rest", width: 100, height: 6 }),
    parts.map((p) => { const r = svg("rect", { class: `fill-${tone(p.word)}`, x, width: (100 * p.n) / sum, height: 6 }); x += (100 * p.n) / sum; return r; }));
}

// A strip of runs, oldest first: a bar each, as high as the run took long. ticks are {phase, seconds, label, href}.
export function strip(ticks, label) {
  const most = Math.max(...ticks.map((t) => t.seconds), 1);
  return h("ol", { class: "strip", "aria-label": label }, ticks.map((t) => {
    const height = 20 + Math.round((80 * t.seconds) / most);
    return h("li", {}, h("a", { href: t.href, class: `bar-${tone(t.phase)}`, title: t.label, "aria-label": t.label },
      svg("svg", { viewBox: "0 0 10 100", preserveAspectRatio: "none", "aria-hidden": "true" }, svg("rect", { y: 100 - height, width: 10, height, rx: 1.5, class: `fill-${tone(t.phase)}` }))));
  }));
}

// A table that shows so many rows, and more when asked.
export function table(caption, columns, rows, cells, most = 200) {
  const body = h("tbody");
  let shown = 0;
  const more = h("button", { type: "button", class: "more", onclick: () => grow() });
  const grow = () => {
    body.append(...rows.slice(shown, shown + most).map((r) => h("tr", {}, cells(r).map((c, i) => i === 0 ? h("th", { scope: "row" }, c) : h("td", {}, c)))));
    shown = Math.min(rows.length, shown + most);
    more.hidden = shown >= rows.length;
    more.textContent = `Show ${number(Math.min(most, rows.length - shown))} more of ${number(rows.length)}`;
  };
  grow();
  return h("div", { class: "table-wrap", tabindex: "0", role: "region", "aria-label": `${caption}: table` }, h("table", {}, h("caption", { class: "sr" }, caption), h("thead", {}, h("tr", {}, columns.map((c) => h("th", { scope: "col" }, c)))), body), more);
}

const keywords = new Set("select from where and or not in is null as on join left right inner outer full cross group by order having limit union all with case when then else end distinct insert into values update set delete create table view cast over partition between like exists desc asc using lateral true false".split(" "));

// SQL with keywords, strings, numbers and comments told apart.
export function sql(code) {
  const out = h("code", {});
  const token = /(--[^\n]*|\/\*[\s\S]*?\*\/)|('(?:[^']|'')*')|(\{[{%#][\s\S]*?[}%#]\})|\b(\d+(?:\.\d+)?)\b|([A-Za-z_]+)|([\s\S])/g;
  let plain = "";
  const flush = () => { if (plain) out.append(plain); plain = ""; };
  for (const m of code.matchAll(token)) {
    const kind = m[1] ? "c" : m[2] ? "s" : m[3] ? "j" : m[4] ? "n" : m[5] && keywords.has(m[5].toLowerCase()) ? "k" : "";
    if (!kind) { plain += m[0]; continue; }
    flush();
    out.append(h("span", { class: `sql-${kind}` }, m[0]));
  }
  flush();
  return h("pre", { class: "sql", tabindex: "0", "aria-label": "SQL" }, out);
}
