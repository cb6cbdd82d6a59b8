// Schedules with their next ticks and how their runs ended.
import { h, chip, when, at, duration, strip, stacked, empty, problem, plural, absolute, number } from "./dom.js";
import { get, listen, runLink } from "./api.js";

function card(s) {
  const ended = s.history.filter((t) => ["Succeeded", "Failed", "Cancelled"].includes(t.phase));
  const good = ended.filter((t) => t.phase === "Succeeded").length;
  const last = s.history[s.history.length - 1];
  return h("article", { class: "card schedule", "aria-label": s.name },
    h("div", { class: "schedule-head" },
      h("h2", {}, s.name), s.suspended ? chip("Queued", "suspended") : s.ready === "False" ? chip("Failed", "not ready") : chip("Succeeded", "ticking"),
      h("p", { class: "muted" }, h("code", {}, s.cron || `after ${(s.after || []).join(", ")}`), s.cron ? ` ${s.timeZone}` : "", s.cron && s.after ? ` after ${s.after.join(", ")}` : "", ` · ${s.project}`, s.requester ? ` · ${s.requester}` : "")),
    s.ready === "False" && s.message ? h("p", { class: "bad-text" }, s.message) : null,
    h("div", { class: "schedule-body" },
      h("div", {}, h("h3", {}, "Next"), s.next.length ? h("ol", { class: "ticks" }, s.next.map((t, i) => h("li", {}, i ? at(t) : [h("strong", {}, when(t)), " ", at(t)]))) :
        h("p", { class: "muted" }, s.suspended ? "None while it is suspended." : s.cron ? "None." : "When those before it have ended.")),
      h("div", { class: "history" }, h("h3", {}, "History"), s.history.length ? strip(s.history.map((t) => ({ phase: t.phase, seconds: t.seconds, href: runLink(s.namespace, t.run),
        label: `${absolute(t.at)}: ${t.phase}${t.seconds ? `, ${duration(t.seconds * 1000)}` : ""}${t.failed ? `, ${plural(t.failed, "node")} failed` : ""}` })), `Runs of ${s.name}, oldest first`) : h("p", { class: "muted" }, "No run is kept.")),
      h("dl", { class: "facts" },
        h("div", {}, h("dt", {}, "Succeeded"), h("dd", {}, ended.length ? `${Math.round((100 * good) / ended.length)}% of ${ended.length}` : "–")),
        h("div", {}, h("dt", {}, "Last run"), h("dd", {}, last ? h("a", { href: runLink(s.namespace, last.run) }, when(last.at)) : "–")),
        h("div", {}, h("dt", {}, "Missed ticks"), h("dd", { class: s.missed ? "warn-text" : "" }, number(s.missed))))),
    s.backfill ? h("div", { class: "backfill" }, h("span", {}, `Backfill ${s.backfill.phase}: ${number(s.backfill.started)} of ${plural(s.backfill.total, "tick")} begun`),
      stacked([{ word: s.backfill.phase === "Failed" ? "fail" : "success", n: s.backfill.started }], s.backfill.total)) : null);
}

export function show(main) {
  const count = h("p", { class: "count", role: "status" });
  const list = h("div", { class: "schedules" }, h("p", { class: "empty" }, "Reading schedules …"));
  main.append(h("div", { class: "title" }, h("h1", { tabindex: "-1" }, "Schedules"), count), list);
  let gone = false, due = 0, said = "";
  async function load() {
    due = 0;
    try {
      const all = await get("/api/schedules");
      const now = JSON.stringify(all);
      if (gone || now === said) return;
      said = now;
      count.textContent = plural(all.length, "schedule");
      list.replaceChildren(...(all.length ? all.map(card) : [empty("There are no schedules.", "A DbtSchedule makes runs on time.")]));
    } catch (e) {
      if (!gone) list.replaceChildren(problem(e));
    }
  }
  load();
  const stop = listen((run) => { if (run && !due) due = setTimeout(load, 2000); });
  const again = setInterval(load, 30000);
  return () => { gone = true; stop(); clearInterval(again); clearTimeout(due); };
}
