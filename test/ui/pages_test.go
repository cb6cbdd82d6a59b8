package ui

import (
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/chromedp/cdproto/emulation"
	"github.com/chromedp/chromedp"
	"github.com/chromedp/chromedp/kb"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// most is how long the lineage of 5,000 nodes may take from the click until it is drawn, and drawn how long the drawing
// alone.
const (
	most  = 15 * time.Second
	drawn = 8 * time.Second
)

func TestPages(t *testing.T) {
	r := shop()
	b := open(t, r)
	b.listAndFilter(r)
	b.runAndTimeline()
	b.lineage()
	b.failures()
	b.logSearch()
	b.details()
	b.large()
	b.schedules()
	b.liveUpdates(r)
	b.calm()
}

func (b *browser) listAndFilter(r *record) {
	b.until("the list is there", `document.querySelectorAll("table.runs tbody tr").length > 50`)
	b.until("it is live", `document.querySelector("#live-text").textContent === "Live"`)
	has(b.T, "the list", b.text("main"), failedRun, "ada@example.com", "Running", "dbt build --full-refresh")
	if hash := value[string](b, "location.hash"); hash != "#/runs" {
		b.Errorf("the address is %s: the token is to be taken out of it", hash)
	}
	b.sound("the list")
	b.picture("runs")
	all := value[int](b, `document.querySelectorAll("table.runs tbody tr").length`)
	b.pick("#f-phase", "Failed")
	failed := value[int](b, `document.querySelectorAll("table.runs tbody tr").length`)
	if failed == 0 || failed >= all || strings.Contains(b.text("table.runs tbody"), "Succeeded") {
		b.Errorf("of %d runs the filter keeps %d", all, failed)
	}
	b.fill("#q", "ada nightly "+failedRun[len(failedRun)-4:])
	b.until("one is found", `document.querySelectorAll("table.runs tbody tr").length === 1`)
	has(b.T, "the count", b.text(".count"), "1 of "+strconv.Itoa(len(r.runs)))
	has(b.T, "the address", value[string](b, "location.hash"), "phase=Failed", "q=ada")
	b.click("table.runs tbody a")
}

func (b *browser) runAndTimeline() {
	b.until("the timeline is there", `document.querySelectorAll(".gantt-svg .bar").length > 25`)
	has(b.T, "the run's page", b.text("main"), failedRun, "ada@example.com", "2 nodes failed", "Thread-1", "Thread-4", "Critical path", "4 skipped")
	if n := value[int](b, `document.querySelectorAll(".gantt-svg .bar.critical").length`); n < 4 {
		b.Errorf("the critical path has %d nodes", n)
	}
	b.sound("the timeline")
	b.picture("timeline")
	before := value[float64](b, `document.querySelector(".gantt-svg").width.baseVal.value`)
	b.click("#t-in")
	if after := value[float64](b, `document.querySelector(".gantt-svg").width.baseVal.value`); after < 1.3*before {
		b.Errorf("zooming in makes the timeline %f wide, before it was %f", after, before)
	}
	b.do(chromedp.Focus(".gantt-scroll", chromedp.ByQuery), chromedp.KeyEvent(kb.ArrowRight), chromedp.KeyEvent(kb.ArrowRight))
	has(b.T, "what the arrow keys choose", b.text(".gantt .detail"), "began at", "Thread-")
	b.click("#t-fit")
	b.click("#t-table summary")
	has(b.T, "the table", b.text("#t-table"), "model.shop.int_sessions", "1m 5s", "yes")
	b.sound("the timeline's table")
}

func (b *browser) lineage() {
	b.click("#tab-lineage")
	b.until("the graph is drawn", `document.querySelector("#graph")?.dataset.nodes > 20`)
	b.do(chromedp.Sleep(300 * time.Millisecond))
	b.fill("#g-q", "order_amounts")
	b.do(chromedp.KeyEvent(kb.Enter))
	b.until("the node is described", `document.querySelector(".side .sql")`)
	has(b.T, "what is said of the node", b.text(".side"), "order_amounts", "division by zero", "stg_orders", "revenue", "left join")
	b.sound("the lineage")
	b.picture("lineage")
	b.do(chromedp.Focus("#graph", chromedp.ByQuery), chromedp.KeyEvent(kb.ArrowLeft))
	b.until("the left arrow goes to a parent", `document.querySelector(".side h2").textContent === "stg_orders"`)
	b.pick("#g-what", "failed")
	b.until("fewer are shown", `document.querySelector("#graph").dataset.nodes < 20`)
	b.click("#g-table summary")
	has(b.T, "the table", b.text("#g-table"), hostile, "exposure.shop.weekly_report")
}

func (b *browser) failures() {
	b.click("#tab-failures")
	b.until("failures are shown", `document.querySelectorAll("article.failure").length === 2`)
	has(b.T, "the failures", b.text("main"), "division by zero", "payments.amount / orders.items", "Got 12 results", "unique_customers_customer_id")
	b.sound("the failures")
	b.picture("failures")
}

func (b *browser) logSearch() {
	b.click("#tab-log")
	b.until("the log is shown", `document.querySelectorAll(".log .line").length > 30`)
	if log := b.text(".log"); strings.Contains(log, "\x1b") || !strings.Contains(log, "Registered adapter: postgres=1.11.0") {
		b.Errorf("the log is not clean:\n%s", log)
	}
	has(b.T, "the log", b.text(".log"), hostile)
	b.fill("#l-q", "ERROR")
	b.until("what is looked for is marked", `document.querySelector(".log mark")?.textContent.toLowerCase() === "error"`)
	b.sound("the log")
	b.picture("log")
	b.click(".log .line button.n")
	b.until("what is around it is shown", `document.querySelector(".log .here") && document.querySelectorAll(".log .line").length > 30`)
}

func (b *browser) details() {
	b.click("#tab-details")
	b.until("details are shown", `document.querySelector("#d-who")`)
	has(b.T, "the details", b.text("main"), "4b825dc642cb6eb9a060e54bf8d69288fbee4904", "analytics", "worker-2", "lineage.json")
	b.sound("the details")
}

// large opens the lineage of 5,000 nodes, and measures it.
func (b *browser) large() {
	b.do(chromedp.Evaluate(`location.hash = "#/runs/`+namespace+`/`+largeRun+`/timeline"`, nil))
	b.until("the timeline of the large run is there", `document.querySelectorAll(".gantt-svg .bar").length > 4000`)
	b.sound("the large timeline")
	b.do(chromedp.Evaluate(`window.longest = 0; new PerformanceObserver((l) => l.getEntries().forEach((e) => { window.longest = Math.max(window.longest, e.duration); })).observe({ type: "longtask" }); 0`, nil))
	began := time.Now()
	b.click("#tab-lineage")
	b.until("the graph is drawn", `document.querySelector("#graph")?.dataset.nodes === "`+strconv.Itoa(hugeNodes)+`"`)
	took := time.Since(began)
	drawing := time.Duration(value[int](b, `Number(document.querySelector("#graph").dataset.ms)`)) * time.Millisecond
	b.Logf("the lineage of %d nodes: %s from the click, of which %s drawing; the page answers nothing for %.0f ms at a time at most", hugeNodes, took.Round(time.Millisecond), drawing, value[float64](b, `window.longest`))
	if took > most || drawing > drawn {
		b.Errorf("that is more than %s, or the drawing more than %s", most, drawn)
	}
	b.do(chromedp.Sleep(500 * time.Millisecond))
	b.picture("lineage-5000")
	before := value[float64](b, `Number(document.querySelector("#graph").dataset.zoom)`)
	began = time.Now()
	for range 6 {
		b.click("#g-in")
	}
	after := value[float64](b, `Number(document.querySelector("#graph").dataset.zoom)`)
	b.Logf("six steps of zooming: %s", time.Since(began).Round(time.Millisecond))
	if after < 5*before {
		b.Errorf("six steps of zooming make %f of %f", after, before)
	}
	b.fill("#g-q", "fct_3000")
	b.do(chromedp.KeyEvent(kb.Enter))
	b.until("the node is described", `document.querySelector(".side h2")?.textContent.includes("_3000")`)
	b.do(chromedp.Sleep(500 * time.Millisecond))
	b.picture("lineage-5000-zoomed")
	b.sound("the large lineage")
}

func (b *browser) schedules() {
	b.click("#nav-schedules")
	b.until("schedules are shown", `document.querySelectorAll("article.schedule").length === 4`)
	has(b.T, "the schedules", b.text("main"), "finance-hourly", "15 * * * *", "Europe/Lisbon", "suspended", "Missed ticks", "in 3")
	if n := value[int](b, `document.querySelectorAll("article.schedule .strip a").length`); n < 50 {
		b.Errorf("the history strips have %d runs", n)
	}
	b.sound("the schedules")
	b.picture("schedules")
}

// liveUpdates changes a run and sees the pages change.
func (b *browser) liveUpdates(r *record) {
	b.do(chromedp.Evaluate(`location.hash = "#/runs/`+namespace+`/`+workRun+`/details"`, nil))
	b.until("the run under way is there", `document.querySelector("main").textContent.includes("5/14")`)
	r.change(workRun, func(run *v1alpha1.DbtRun) { run.Status.Progress.Done = 11 })
	b.until("its page is brought up to date", `document.querySelector("main").textContent.includes("11/14")`)
	b.click("#nav-runs")
	b.until("the list has it as well", `document.querySelector("table.runs")?.textContent.includes("11/14")`)
	r.change(workRun, func(run *v1alpha1.DbtRun) {
		status(run, v1alpha1.PhaseSucceeded, "Succeeded", "", today, today.Add(time.Minute), 14, 0)
	})
	b.until("and its end", `document.querySelector("table.runs")?.textContent.includes(" Running") === false`)
	b.do(chromedp.Evaluate(`location.hash = "#/runs/`+namespace+`/nobody/timeline"`, nil))
	b.until("a run that is not there is told of", `document.querySelector("[role=alert]")?.textContent.includes("there is no DbtRun")`)
	b.mu.Lock()
	defer b.mu.Unlock()
	// The browser says of that answer that it is no success.
	b.wrong = deleteWhere(b.wrong, func(w string) bool { return strings.Contains(w, "502") && strings.Contains(w, "/nobody") })
}

// calm looks at what moves.
func (b *browser) calm() {
	b.do(emulation.SetEmulatedMedia().WithFeatures([]*emulation.MediaFeature{{Name: "prefers-reduced-motion", Value: "reduce"}}))
	if n := value[int](b, `document.getAnimations().length`); n != 0 {
		b.Errorf("%d animations run though less motion is wanted", n)
	}
}

func deleteWhere(list []string, drop func(string) bool) []string {
	var out []string
	for _, s := range list {
		if !drop(s) {
			out = append(out, s)
		}
	}
	return out
}

// Without the token nothing is shown, and the page says what to do.
func TestPageWithoutToken(t *testing.T) {
	b := open(t, shop())
	b.do(chromedp.Evaluate(`localStorage.clear()`, nil), chromedp.Reload())
	b.until("it is said what to do", `document.querySelector("[role=alert]")?.textContent.includes("kubectl dbt ui printed")`)
	if strings.Contains(b.text("body"), failedRun) {
		b.Error("runs are shown to whoever comes by")
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.wrong = deleteWhere(b.wrong, func(w string) bool { return strings.Contains(w, "401") })
}
