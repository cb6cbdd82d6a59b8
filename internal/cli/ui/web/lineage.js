// The lineage graph, coloured by what became of each node.
import cytoscape from "./vendor/cytoscape.esm.min.mjs";
import { h, chip, duration, notes, empty, problem, plural, table, tone, number, sign, sql } from "./dom.js";

const large = 800; // nodes from which on edges are drawn in the way that is quickest
const short = (label) => label.length > 27 ? `${label.slice(0, 26)}…` : label;
const kinds = { source: "src", seed: "seed", snapshot: "snap", test: "test", unit_test: "unit", exposure: "expo", function: "fn" };

export function show(place, of) {
  let data = null, cy = null, chosen = "", gone = false, asked = 0;
  const calm = matchMedia("(prefers-reduced-motion: reduce)"), dark = matchMedia("(prefers-color-scheme: dark)");
  const box = h("div", { class: "graph", id: "graph", tabindex: "0", role: "application", "aria-roledescription": "graph", "aria-label": "Lineage graph; the table below has the same", onkeydown: key });
  const search = h("input", { type: "search", id: "g-q", placeholder: "Node name", autocomplete: "off", oninput: () => find(false) });
  const found = h("span", { class: "muted", role: "status", id: "g-found" });
  const what = h("select", { id: "g-what", onchange: render }, h("option", { value: "all" }, "Everything"), h("option", { value: "ran" }, "What ran"), h("option", { value: "failed" }, "What failed, and what is around it"), h("option", { value: "near" }, "What the chosen node is joined with"));
  const tests = h("input", { type: "checkbox", id: "g-tests", onchange: () => update() });
  const side = h("aside", { class: "side", "aria-label": "Chosen node" });
  const said = h("div"), list = h("div");
  const shell = h("div", { class: "card lineage" },
    h("form", { class: "tools", role: "search", "aria-label": "Lineage", onsubmit: (e) => { e.preventDefault(); find(true); } },
      h("div", { class: "field" }, h("label", { for: "g-q" }, "Find"), search), found,
      h("div", { class: "field" }, h("label", { for: "g-what" }, "Show"), what),
      h("label", { class: "check" }, tests, "Tests"), h("span", { class: "grow" }),
      h("button", { type: "button", id: "g-in", "aria-label": "Zoom in", onclick: () => zoom(1.5) }, "+"),
      h("button", { type: "button", id: "g-out", "aria-label": "Zoom out", onclick: () => zoom(1 / 1.5) }, "−"),
      h("button", { type: "button", id: "g-fit", onclick: () => fit() }, "Fit")),
    h("div", { class: "graph-body" }, box, side),
    h("ul", { class: "legend pad-x" }, ["success", "warn", "error", "skipped", "running", "none"].map((c) => h("li", {}, h("span", { class: `key ${tone(c)}`, "aria-hidden": "true" }, sign(c)), c === "none" ? "not run" : c === "error" ? "error, fail" : c))));

  const value = (name) => getComputedStyle(document.documentElement).getPropertyValue(`--${name}`).trim();
  function style(many) {
    const colours = Object.fromEntries(["ok", "ok2", "warn", "bad", "off", "run", "none"].map((t) => [t, value(`fill-${t}`)]));
    const sheet = [
      { selector: "node", style: { shape: many ? "rectangle" : "round-rectangle", width: data.width, height: data.height, label: "data(label)", color: value("on-fill"), "font-family": "system-ui, sans-serif", "font-size": 13, "font-weight": 500, "text-valign": "center", "text-halign": "center", "min-zoomed-font-size": 7, "border-width": 0 } },
      ...Object.entries(colours).map(([t, c]) => ({ selector: `node.${t}`, style: { "background-color": c } })),
      { selector: "node.none", style: { color: value("text"), "border-width": 1.5, "border-color": value("line2"), "border-style": "solid" } },
      { selector: "edge", style: many ? { "curve-style": "haystack", "haystack-radius": 0, width: 3, "line-color": value("edge"), opacity: 0.6 } :
        { "curve-style": "bezier", width: 1.6, "line-color": value("edge"), "target-arrow-color": value("edge"), "target-arrow-shape": "triangle", "arrow-scale": 0.9, "source-endpoint": "90deg", "target-endpoint": "270deg" } },
      { selector: ".dim", style: { opacity: 0.14 } },
      { selector: "edge.on", style: { "line-color": value("accent"), "target-arrow-color": value("accent"), width: 3, opacity: 1, "z-index": 9 } },
      { selector: "node.chosen", style: { "border-width": 4, "border-color": value("accent"), "border-style": "solid" } },
    ];
    if (!many) sheet.splice(sheet.length - 3, 0, { selector: "edge", style: { "curve-style": "unbundled-bezier", "control-point-distances": "data(bend)", "control-point-weights": [0.25, 0.75] } });
    return sheet;
  }
  const near = (id) => {
    const reach = (of) => { const seen = new Set(), todo = [of]; return (next) => { while (todo.length) for (const n of next.get(todo.pop()) || []) if (!seen.has(n)) { seen.add(n); todo.push(n); } return seen; }; };
    const i = data.index.get(id);
    return i === undefined ? new Set() : new Set([i, ...reach(i)(data.up), ...reach(i)(data.down)]);
  };
  function wanted() {
    const all = data.nodes.map((_, i) => i);
    if (what.value === "ran") return new Set(all.filter((i) => data.nodes[i].class !== "none"));
    if (what.value === "failed") {
      const bad = all.filter((i) => ["bad"].includes(tone(data.nodes[i].class)) || data.nodes[i].class === "interrupted");
      return new Set(bad.flatMap((i) => [i, ...(data.up.get(i) || []), ...near(data.nodes[i].id)].filter((j) => j === i || data.nodes[j].class !== "none" || (data.up.get(i) || []).includes(j))));
    }
    if (what.value === "near" && chosen) return near(chosen);
    return new Set(all);
  }
  function render() {
    const started = performance.now();
    const show = wanted(), many = show.size > large;
    const nodes = [...show].map((i) => { const n = data.nodes[i]; return { group: "nodes", data: { id: n.id, label: short((kinds[n.type] ? `${kinds[n.type]}  ` : "") + n.name) }, classes: tone(n.class), position: { x: n.x, y: n.y } }; });
    const edges = data.edges.filter(([a, b]) => show.has(a) && show.has(b)).map(([a, b]) => {
      const dx = data.nodes[b].x - data.nodes[a].x - data.width, dy = data.nodes[b].y - data.nodes[a].y, l = Math.hypot(dx, dy) || 1;
      const s = (0.25 * dx * dy) / l;
      return { group: "edges", data: { source: data.nodes[a].id, target: data.nodes[b].id, bend: [-s, s].map((v) => v.toFixed(1)).join(" ") } };
    });
    if (cy) cy.destroy();
    box.replaceChildren();
    cy = cytoscape({ container: box, elements: [...nodes, ...edges], layout: { name: "preset", fit: true, padding: 24 }, style: style(many), minZoom: 0.005, maxZoom: 4,
      boxSelectionEnabled: false, autoungrabify: true, hideEdgesOnViewport: many, textureOnViewport: many, pixelRatio: many ? 1 : "auto" });
    cy.on("tap", "node", (e) => choose(e.target.id(), false));
    cy.on("tap", (e) => { if (e.target === cy) choose("", false); });
    if (cy.zoom() > 1.2) { cy.zoom(1.2); cy.center(); }
    cy.ready(() => requestAnimationFrame(() => { box.dataset.nodes = nodes.length; box.dataset.ms = Math.round(performance.now() - started); }));
    const zoomed = () => { box.dataset.zoom = cy.zoom(); if (many) far(); };
    cy.on("zoom", zoomed);
    zoomed();
    if (chosen) mark();
  }
  // From afar a node is less than a pixel: those that failed get a border that can be seen, and lie above the others.
  function far() {
    const width = cy.zoom() < 0.3 ? Math.min(150, 2.5 / cy.zoom()) : 0;
    cy.nodes(".bad").style({ "border-width": width, "border-color": value("fill-bad"), "z-index": 5 });
  }
  function move(to) { if (calm.matches || cy.elements().length > 2 * large) { cy.stop(); if (to.fit) cy.fit(to.fit.eles, to.fit.padding); else { cy.zoom(to.zoom); cy.center(to.center.eles); } } else cy.animate({ ...to, duration: 200 }); }
  function zoom(by) { cy.zoom({ level: cy.zoom() * by, renderedPosition: { x: cy.width() / 2, y: cy.height() / 2 } }); }
  function fit() { move({ fit: { eles: cy.elements(), padding: 24 } }); }
  function mark() {
    cy.batch(() => {
      cy.elements().removeClass("dim on chosen");
      const n = chosen ? cy.getElementById(chosen) : null;
      if (!n || !n.length) return;
      const on = n.predecessors().union(n.successors());
      cy.elements().not(on).not(n).addClass("dim");
      on.edges().addClass("on");
      n.addClass("chosen");
    });
  }
  function choose(id, go) {
    chosen = id;
    if (what.value === "near") render();
    mark();
    const n = cy.getElementById(id);
    if (go && n.length) move({ zoom: Math.max(cy.zoom(), 0.9), center: { eles: n } });
    describe();
  }
  async function describe() {
    const mine = ++asked, i = data.index.get(chosen);
    side.hidden = i === undefined;
    cy.resize();
    if (i === undefined) { side.replaceChildren(); return; }
    const n = data.nodes[i];
    const links = (title, ids) => ids.length ? [h("h3", {}, `${title} (${number(ids.length)})`), h("ul", { class: "links" }, ids.slice(0, 50).map((j) => h("li", {}, h("button", { type: "button", class: "plain", onclick: () => choose(data.nodes[j].id, true) }, data.nodes[j].name))))] : null;
    const code = h("div");
    side.replaceChildren(...[h("h2", {}, n.name), h("p", {}, chip(n.class, n.status || null), " ", h("span", { class: "muted" }, n.type), n.seconds ? ` ${duration(n.seconds * 1000)}` : ""),
      h("p", { class: "muted wrap" }, n.id), n.relation ? h("p", { class: "wrap" }, h("code", {}, n.relation)) : null, n.message ? h("p", { class: "message" }, n.message) : null,
      links("Depends on", data.up.get(i) || []), links("Needed by", data.down.get(i) || []), code].flat().filter(Boolean));
    try {
      const got = await of.get(`code?node=${encodeURIComponent(n.id)}`);
      if (mine === asked && got.sql) code.replaceChildren(h("h3", {}, got.compiled ? "SQL as it was sent" : "SQL template"), sql(got.sql));
    } catch {
      // the SQL is not kept
    }
  }
  function find(go) {
    const text = search.value.trim().toLowerCase();
    const hits = text ? data.nodes.filter((n) => n.id.toLowerCase().includes(text)) : [];
    found.textContent = text ? plural(hits.length, "node") : "";
    if (go && hits.length) {
      const at = (hits.findIndex((n) => n.id === chosen) + 1) % hits.length;
      if (!cy.getElementById(hits[at].id).length) { what.value = "all"; render(); }
      choose(hits[at].id, true);
    }
  }
  function key(e) {
    const i = data && data.index.get(chosen);
    const first = (m) => { const to = (m.get(i) || [])[0]; if (to !== undefined) choose(data.nodes[to].id, true); };
    const beside = (by) => {
      const column = data.nodes.filter((n) => Math.abs(n.x - data.nodes[i].x) < 1).sort((a, b) => a.y - b.y);
      const to = column[column.findIndex((n) => n.id === chosen) + by];
      if (to) choose(to.id, true);
    };
    const acts = { "+": () => zoom(1.5), "-": () => zoom(1 / 1.5), 0: fit, Escape: () => choose("", false), ArrowLeft: () => first(data.up), ArrowRight: () => first(data.down), ArrowUp: () => beside(-1), ArrowDown: () => beside(1) };
    if (!cy || !acts[e.key] || e.ctrlKey || e.metaKey) return;
    e.preventDefault();
    if (e.key.startsWith("Arrow") && i === undefined) choose(data.nodes[0].id, true); else acts[e.key]();
  }
  function nodeTable() {
    return h("details", { class: "card pad", id: "g-table" }, h("summary", {}, `Table of nodes (${number(data.nodes.length)})`),
      table("Nodes of the lineage", ["Node", "Type", "Result", "Duration", "Depends on"], data.nodes, (n) => {
        const i = data.index.get(n.id);
        return [n.id, n.type, chip(n.class, n.status || null), n.seconds ? duration(n.seconds * 1000) : "–", (data.up.get(i) || []).slice(0, 20).map((j) => data.nodes[j].name).join(", ")];
      }));
  }
  async function update() {
    let got;
    try { got = await of.get(`lineage?tests=${tests.checked}`); } catch (e) { if (!data) place.replaceChildren(problem(e)); return; }
    if (gone) return;
    const same = data && data.nodes.length === got.nodes.length && data.edges.length === got.edges.length;
    got.index = new Map(got.nodes.map((n, i) => [n.id, i]));
    got.up = new Map(); got.down = new Map();
    const add = (to, at, what) => { const has = to.get(at); if (has) has.push(what); else to.set(at, [what]); };
    for (const [a, b] of got.edges) { add(got.down, a, b); add(got.up, b, a); }
    data = got;
    said.replaceChildren(notes([...(data.notes || []), ...(data.truncated ? ["There are more nodes than these."] : [])]) || "");
    if (!data.nodes.length) { place.replaceChildren(said, empty("There is no lineage.", "dbt wrote no manifest, or the run has not sent it yet.")); return; }
    if (!shell.isConnected) { side.hidden = true; place.replaceChildren(said, shell, list); }
    if (same && cy) cy.batch(() => data.nodes.forEach((n) => { const e = cy.getElementById(n.id); if (e.length) e.classes(tone(n.class)); }));
    else render();
    if (same) mark();
    const open = list.querySelector("details")?.open;
    list.replaceChildren(nodeTable());
    if (open) list.querySelector("details").open = true;
  }
  const repaint = () => { if (cy) cy.style(style(cy.nodes().length > large)); };
  dark.addEventListener("change", repaint);
  update();
  return { update, leave: () => { gone = true; dark.removeEventListener("change", repaint); if (cy) cy.destroy(); } };
}
