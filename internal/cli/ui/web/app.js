// The frame of the pages: which is shown, and whether it is live.
import { h, setNow, problem } from "./dom.js";
import { get, follow, listen, state } from "./api.js";
import * as runs from "./runs.js";
import * as run from "./run.js";
import * as schedules from "./schedules.js";

const main = document.getElementById("main");
let leave = () => {};
let here = "";

function parse() {
  const [path, query] = location.hash.replace(/^#/, "").split("?");
  const parts = path.split("/").filter(Boolean).map(decodeURIComponent);
  return { parts, query: new URLSearchParams(query || "") };
}

const titles = { runs: "Runs", schedules: "Schedules" };

function show() {
  const { parts, query } = parse();
  const page = parts[0] === "schedules" ? "schedules" : "runs";
  const same = parts.join("/");
  if (same === here && page === "runs" && parts.length < 2) return; // a filter: the page itself changed the address
  const sameRun = here.split("/").slice(0, 3).join("/") === parts.slice(0, 3).join("/") && parts.length >= 3;
  here = same;
  leave();
  for (const name of ["runs", "schedules"]) {
    const link = document.getElementById(`nav-${name}`);
    if (name === page) link.setAttribute("aria-current", "page"); else link.removeAttribute("aria-current");
  }
  main.replaceChildren();
  document.title = `${parts.length >= 3 ? parts[2] : titles[page]} · dbt runs`;
  if (page === "schedules") leave = schedules.show(main);
  else if (parts.length >= 3) leave = run.show(main, parts[1], parts[2], parts[3] || "timeline", sameRun);
  else leave = runs.show(main, query);
  const heading = sameRun ? main.querySelector("[aria-current=page]") : main.querySelector("h1");
  if (heading && document.activeElement !== document.body) heading.focus({ preventScroll: true });
}

document.getElementById("skip").addEventListener("click", (e) => { e.preventDefault(); main.focus(); });

listen(() => {
  const live = document.getElementById("live");
  live.className = `live ${state.tone}`;
  document.getElementById("live-text").textContent = state.text;
  live.title = state.error;
});

try {
  const about = await get("/api/about");
  setNow(about.now);
  document.getElementById("where").append(
    about.context ? h("span", {}, h("span", { class: "muted" }, "context "), about.context) : "",
    h("span", {}, h("span", { class: "muted" }, "namespace "), about.namespace || "all"));
  addEventListener("hashchange", show);
  show();
  follow();
} catch (e) {
  document.getElementById("live-text").textContent = "Not connected";
  main.replaceChildren(h("h1", { tabindex: "-1" }, "dbt runs"), problem(e));
}
