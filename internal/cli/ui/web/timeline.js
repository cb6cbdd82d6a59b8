// When each node ran, on which thread, and the chain that the end hung on.
import { h, svg, chip, duration, notes, empty, problem, plural, table, tone, number } from "./dom.js";

const rowHeight = 26, barHeight = 20, top = 28, zoomStep = 1.6, mostZoom = 400;

export function show(place, of) {
  let data = null, zoom = 1, onlyPath = false, chosen = -1, svgEl = null;
  const tools = h("div", { class: "tools", role: "group", "aria-label": "Timeline" },
    h("button", { type: "button", id: "t-in", "aria-label": "Zoom in", onclick: () => scale(zoomStep) }, "+"),
    h("button", { type: "button", id: "t-out", "aria-label": "Zoom out", onclick: () => scale(1 / zoomStep) }, "−"),
    h("button", { type: "button", id: "t-fit", onclick: () => scale(0) }, "Fit"),
    h("label", { class: "check" }, h("input", { type: "checkbox", id: "t-path", onchange: (e) => { onlyPath = e.target.checked; svgEl?.classList.toggle("only-path", onlyPath); } }), "Critical path only"),
    h("span", { class: "hint muted" }, "Arrow keys go from node to node."));
  const labels = h("div", { class: "lanes", "aria-hidden": "true" });
  const scroll = h("div", { class: "gantt-scroll", tabindex: "0", role: "application", "aria-roledescription": "timeline", "aria-label": "Timeline of nodes by thread; the table below has the same", onkeydown: key, onwheel: wheel });
  const detail = h("div", { class: "detail", role: "status" });
  const path = h("div"), list = h("div"), said = h("div");
  const gantt = h("div", { class: "card gantt" }, tools, h("div", { class: "gantt-body" }, labels, scroll), detail);
  const widths = new ResizeObserver(() => { if (data && zoom === 1) draw(); });

  function wheel(e) {
    if (!e.ctrlKey && !e.metaKey) return;
    e.preventDefault();
    scale(e.deltaY < 0 ? 1.2 : 1 / 1.2, e.clientX - scroll.getBoundingClientRect().left);
  }
  function scale(by, x = scroll.clientWidth / 2) {
    const before = (scroll.scrollLeft + x) / zoom;
    zoom = by ? Math.min(mostZoom, Math.max(1, zoom * by)) : 1;
    draw();
    scroll.scrollLeft = before * zoom - x;
  }
  function key(e) {
    const moves = { ArrowRight: () => next(1), ArrowLeft: () => next(-1), ArrowDown: () => lane(1), ArrowUp: () => lane(-1), "+": () => scale(zoomStep), "-": () => scale(1 / zoomStep), Home: () => choose(0), End: () => choose(data.bars.length - 1) };
    if (!data || !moves[e.key] || e.ctrlKey || e.metaKey) return;
    e.preventDefault();
    moves[e.key]();
  }
  function next(by) {
    if (chosen < 0) return choose(0);
    const on = data.bars.map((b, i) => [b, i]).filter(([b]) => b.lane === data.bars[chosen].lane);
    const at = on.findIndex(([, i]) => i === chosen) + by;
    if (on[at]) choose(on[at][1]);
  }
  function lane(by) {
    if (chosen < 0) return choose(0);
    const want = data.bars[chosen].lane + by, start = data.bars[chosen].start;
    let best = -1;
    data.bars.forEach((b, i) => { if (b.lane === want && (best < 0 || Math.abs(b.start - start) < Math.abs(data.bars[best].start - start))) best = i; });
    if (best >= 0) choose(best);
  }
  function choose(i) {
    svgEl?.querySelector(".chosen")?.classList.remove("chosen");
    chosen = i;
    const b = data.bars[i];
    if (!b) { detail.replaceChildren(); return; }
    const g = svgEl.querySelector(`[data-i="${i}"]`);
    if (g) {
      g.classList.add("chosen");
      const x = Number(g.dataset.x), w = scroll.clientWidth;
      if (x < scroll.scrollLeft || x > scroll.scrollLeft + w - 40) scroll.scrollLeft = x - w / 3;
    }
    detail.replaceChildren(h("strong", {}, b.id), " ", chip(b.class, b.status || "running"),
      ` began at ${duration(b.start - data.start)}, took ${duration(b.end - b.start)} on ${data.lanes[b.lane].name}`, b.rows ? `, ${plural(b.rows, "row")}` : "", b.critical ? ", on the critical path" : "");
  }
  function ticks(span) {
    const steps = [0.1, 0.2, 0.5, 1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1800, 3600, 7200, 14400, 43200, 86400].map((s) => s * 1000);
    const want = Math.max(2, (scroll.clientWidth * zoom) / 110);
    return steps.find((s) => span / s <= want) || steps[steps.length - 1];
  }
  function draw() {
    const span = Math.max(1, data.end - data.start);
    const width = Math.max(300, (scroll.clientWidth - 2) * zoom), usable = width - 16;
    const height = top + data.lanes.length * rowHeight + 8;
    const x = (t) => ((t - data.start) / span) * usable + 2;
    const step = ticks(span);
    const lines = [];
    for (let t = 0; t <= span; t += step) lines.push(svg("line", { class: "grid", x1: x(data.start + t), x2: x(data.start + t), y1: top - 6, y2: height }), svg("text", { class: "axis", x: x(data.start + t) + 3, y: 14 }, t ? duration(t).replace(/ 0[sm]$/, "") : "0"));
    const marks = data.commands.slice(1).filter((c) => c.start).map((c) => svg("line", { class: "command", x1: x(c.start), x2: x(c.start), y1: 4, y2: height }, svg("title", {}, c.line)));
    const bars = data.bars.map((b, i) => {
      const left = x(b.start), w = Math.max(2, x(b.end) - left - 1), y = top + b.lane * rowHeight + (rowHeight - barHeight) / 2;
      const room = Math.floor((w - 10) / 6.6);
      return svg("g", { class: `bar ${b.critical ? "critical" : ""}`, "data-i": i, "data-x": left },
        svg("rect", { class: `fill-${tone(b.class)}`, x: left, y, width: w, height: barHeight, rx: Math.min(3, w / 2) }),
        b.critical ? svg("rect", { class: "mark", x: left, y: y - 2, width: w, height: 3 }) : null,
        room > 3 ? svg("text", { x: left + 6, y: y + 14 }, b.name.length > room ? `${b.name.slice(0, room - 1)}…` : b.name) : null,
        svg("title", {}, `${b.id}: ${b.status || "running"}, ${duration(b.end - b.start)}`));
    });
    const joins = data.path.slice(1).map((s, i) => {
      const a = data.bars[data.path[i].bar], b = data.bars[s.bar];
      const y = (l) => top + l * rowHeight + rowHeight / 2;
      return svg("path", { class: "join", d: `M${x(a.end)} ${y(a.lane)}H${(x(a.end) + x(b.start)) / 2}V${y(b.lane)}H${x(b.start)}` });
    });
    svgEl = svg("svg", { width, height, class: `gantt-svg ${onlyPath ? "only-path" : ""}`, "aria-hidden": "true", onclick: (e) => { const g = e.target.closest(".bar"); if (g) choose(Number(g.dataset.i)); } },
      data.lanes.map((_, i) => i % 2 ? svg("rect", { class: "band", y: top + i * rowHeight, width, height: rowHeight }) : null), lines, bars, joins, marks);
    scroll.replaceChildren(svgEl);
    labels.replaceChildren(...data.lanes.map((l) => h("div", {}, h("span", {}, l.name), h("span", { class: "muted" }, `${Math.round(l.busy * 100)}%`))));
    if (chosen >= 0) svgEl.querySelector(`[data-i="${chosen}"]`)?.classList.add("chosen");
  }
  function pathList() {
    if (!data.path.length) return "";
    const whole = data.end - data.start;
    return h("section", { class: "card pad", "aria-labelledby": "p-h" },
      h("h2", { id: "p-h" }, "Critical path"),
      h("p", { class: "muted" }, `${plural(data.path.length, "node")} took ${duration(data.pathSeconds * 1000)} of ${duration(whole)} (${Math.round((100000 * data.pathSeconds) / whole)}%). Making one of these faster makes the run faster.`),
      h("ol", { class: "path" }, data.path.map((s, i) => {
        const b = data.bars[s.bar];
        return h("li", {}, h("button", { type: "button", class: "plain", onclick: () => { choose(s.bar); scroll.focus(); } }, b.name), " ", h("span", { class: "muted" }, b.type), " ",
          h("span", { class: "num" }, duration(b.end - b.start)), s.wait > 1000 ? h("span", { class: "warn-text" }, ` waited ${duration(s.wait)} for ${i && data.bars[data.path[i - 1].bar].command !== b.command ? "its command to begin" : "a free thread"}`) : null, b.class === "success" ? null : [" ", chip(b.class, b.status)]);
      })));
  }
  function nodeTable() {
    const rows = [...data.bars].sort((a, b) => (b.end - b.start) - (a.end - a.start));
    return h("details", { class: "card pad", id: "t-table" }, h("summary", {}, `Table of nodes (${number(rows.length)}, the longest first)`),
      table("Nodes by duration", ["Node", "Type", "Result", "Began at", "Duration", data.threads ? "Thread" : "Lane", "Critical path"], rows,
        (b) => [b.id, b.type, chip(b.class, b.status || "running"), duration(b.start - data.start), duration(b.end - b.start), data.lanes[b.lane].name, b.critical ? "yes" : ""]));
  }
  async function update() {
    let got;
    try { got = await of.get("timeline"); } catch (e) { if (!data) place.replaceChildren(problem(e)); return; }
    const id = chosen >= 0 ? data.bars[chosen]?.id : "";
    data = got;
    chosen = id ? data.bars.findIndex((b) => b.id === id) : -1;
    said.replaceChildren(notes(data.notes) || "");
    if (!data.bars.length) {
      place.replaceChildren(said, empty(of.page.phase === "Running" ? "No node has begun yet." : "No times of nodes are known.", (data.notes || []).length ? "" : "dbt ran no node, or what it said is not kept."),
        of.page.slowest ? h("section", { class: "card pad", "aria-labelledby": "s-h" }, h("h2", { id: "s-h" }, "The slowest nodes"), table("The slowest nodes", ["Node", "Duration"], of.page.slowest, (n) => [n.id, duration(Number(n.seconds) * 1000)])) : "");
      return;
    }
    if (!gantt.isConnected) { place.replaceChildren(said, gantt, path, list); widths.observe(scroll); }
    draw();
    path.replaceChildren(pathList());
    const open = list.querySelector("details")?.open;
    list.replaceChildren(nodeTable());
    if (open) list.querySelector("details").open = true;
    if (data.untimed) path.prepend(h("p", { class: "muted below" }, `${plural(data.untimed, "node")} that dbt skipped ${data.untimed === 1 ? "is" : "are"} not in the timeline.`));
  }
  update();
  return { update, leave: () => widths.disconnect() };
}
