package runner

import (
	"context"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/plan"
	"github.com/dbt-operator/dbt-operator/internal/testutil/collectortest"
)

// hurried returns a clock that runs a thousand times as fast as the wall's, and on which nobody's patience ends but that
// of the given lengths.
func hurried(ends ...time.Duration) func(time.Duration) <-chan time.Time {
	return func(d time.Duration) <-chan time.Time {
		if d >= awayPatience && !slices.Contains(ends, d) {
			return nil
		}
		return time.After(d / 1000)
	}
}

// attemptOf returns a pod that reports to a collector, under a name which is its token as well.
func attemptOf(t *testing.T, c *collectortest.Collector, name string) *pod {
	t.Helper()
	p := newPod(t)
	p.plan.Collector = &plan.Collector{URL: c.URL, CA: c.CA}
	p.env = append(p.env, "HOSTNAME="+name)
	makeFile(t, p.paths.CollectorToken, name)
	return p
}

// lost runs the plan until the collector has what holds asks for, and then stops it without its end reaching anybody: as
// if its pod had been killed.
func (p *pod) lost(c *collectortest.Collector, what string, holds func(*journal.State) bool) {
	p.t.Helper()
	ctx, stop := context.WithCancel(p.t.Context())
	defer stop()
	done := make(chan int, 1)
	r := p.runner()
	go func() { done <- r.Run(ctx) }()
	c.Wait(p.t, what, func() bool { return holds(c.Fold(p.t)) })
	c.Fail(collectortest.Always(collectortest.Forbidden))
	stop()
	select {
	case <-done:
	case <-time.After(patience):
		p.t.Fatalf("the runner did not end in %s; printed was:\n%s", patience, p.screen)
	}
	c.Fail(nil)
}

// running reports whether a node is under way.
func running(id string) func(*journal.State) bool {
	return func(s *journal.State) bool { return slices.Contains(s.Running(10), id) }
}

func model(n int) string { return fmt.Sprintf("model.shop.m%d", n) }

// made are the events of models from..to of a total that end well.
func made(from, to, total int) []step {
	var out []step
	for n := from; n <= to; n++ {
		out = append(out, started(model(n), total), finished(model(n), "success", "", total))
	}
	return out
}

// listed is what `dbt ls` prints of models 1..total.
func listed(total int) []step {
	out := []step{{Target: map[string]string{"manifest.json": manifestJSON}}}
	for n := 1; n <= total; n++ {
		out = append(out, listedNode(model(n)))
	}
	return out
}

func listedNode(id string) step {
	return step{Out: event("Z052", "PrintEvent", "info", "", map[string]any{"msg": fmt.Sprintf(`{"unique_id": %q, "resource_type": "model"}`, id)})}
}

const manifestJSON = `{"metadata":{"adapter_type":"duckdb"},"nodes":{},"sources":{}}`

// script is steps in order.
func script(parts ...any) []step {
	var out []step
	for _, p := range parts {
		switch p := p.(type) {
		case step:
			out = append(out, p)
		case []step:
			out = append(out, p...)
		}
	}
	return out
}

// cut is a build of eight models of which five are made and the sixth is at work.
func cut() []step { return script(version(), made(1, 5, 8), started(model(6), 8), step{Signal: true}) }

// The collector is asked about earlier pods, and often not at once there; the source in a ConfigMap is the same whatever it says.
func TestSourceIsFetchedWhileTheCollectorIsAsked(t *testing.T) {
	const most = 100
	c := collectortest.New(t)
	p := attemptOf(t, c, "pod-a")
	p.after = hurried()
	fetched := filepath.Join(p.paths.Workspace, "project", "dbt_project.yml")
	c.Fail(func(n int, _ *http.Request) collectortest.Fault {
		if _, err := os.Stat(fetched); err == nil {
			return collectortest.None
		}
		if n < most {
			return collectortest.Unavailable
		}
		t.Errorf("%s is not there after %d requests", fetched, n)
		return collectortest.None
	})
	if code, report := p.run(); code != 0 {
		t.Errorf("exit code %d, %+v; printed was:\n%s", code, report, p.screen)
	}
}

func entries(all ...journal.Entry) []byte {
	var out []byte
	for _, e := range all {
		out = append(out, journal.EncodeEntry(e)...)
	}
	return out
}

func node(kind journal.Kind, id, status string) journal.Entry {
	return journal.Entry{Kind: kind, Node: &journal.Node{ID: id, ResourceType: "model", Status: status}}
}

func end(o journal.Outcome) journal.Entry {
	return journal.Entry{Kind: journal.KindEnd, Report: journal.Encode(journal.Report{Outcome: o}, journal.MaxEndReport)}
}

// source is the revision of newPod's project.
func source(t *testing.T) string {
	t.Helper()
	p := newPod(t)
	_, report := p.run()
	return report.Source
}

// refusePuts refuses artifacts.
func refusePuts(_ int, r *http.Request) collectortest.Fault {
	if r.Method == http.MethodPut {
		return collectortest.Forbidden
	}
	return collectortest.None
}

func TestJournalOfARun(t *testing.T) {
	c := collectortest.New(t)
	p := attemptOf(t, c, "pod-a")
	p.plan.Commands = [][]string{{"seed"}, {"run"}}
	p.dbt.script(1, version(), started("seed.shop.s", 1), finished("seed.shop.s", "success", "INSERT 5", 1))
	p.dbt.script(2, started(model(1), 2), finished(model(1), "success", "", 2), started(model(2), 2), finished(model(2), "error", "", 2),
		explained(model(2), "no such column"), exits(1))
	code, report := p.run()
	if code != journal.ExitNodesFailed {
		t.Errorf("exit code %d", code)
	}
	kept := c.Fold(t).Report("0c7a")
	kept.Commands[0].Start, kept.Commands[0].End = report.Commands[0].Start, report.Commands[0].End
	if diff := cmp.Diff(report, kept); diff != "" {
		t.Errorf("the termination message and the journal must come to the same (-message +journal):\n%s", diff)
	}
	var kinds []string
	for _, e := range c.Entries(t) {
		kinds = append(kinds, string(e.Kind))
	}
	want := "begin source command invocation engine total start result commandEnd command invocation total start result start result result commandEnd end"
	if got := strings.Join(kinds, " "); got != want {
		t.Errorf("entries\n got %s\nwant %s", got, want)
	}
	if got := c.Log(t, "pod-a"); got != p.screen.String() {
		t.Errorf("the log that is kept must be what was printed:\n%s\nprinted was:\n%s", got, p.screen)
	}
	if n := c.Done("pod-a"); n != 1 {
		t.Errorf("it said %d times that it was done", n)
	}
}

func TestInterruptIsJournaled(t *testing.T) {
	c := collectortest.New(t)
	p := attemptOf(t, c, "pod-a")
	p.dbt.script(1, script(made(1, 1, 2), started(model(2), 2), step{Signal: true}, step{Target: map[string]string{"run_results.json": "{}"}}, exits(2))...)
	code, report := p.runUntil("START " + model(2))
	if code != journal.ExitInterrupted {
		t.Errorf("exit code %d", code)
	}
	kept := c.Fold(t)
	if diff := cmp.Diff(report, kept.Report("0c7a")); diff != "" {
		t.Errorf("what was stopped must be told whole (-message +journal):\n%s", diff)
	}
	if nodes := kept.Nodes(0); len(nodes) != 2 || nodes[1].Status != journal.StatusInterrupted {
		t.Errorf("nodes %+v", nodes)
	}
	if got := c.ArtifactNames(); !slices.Equal(got, []string{"run_results-1.json"}) || c.Done("pod-a") != 1 {
		t.Errorf("artifacts %q, done %d times", got, c.Done("pod-a"))
	}
}

// TestStoppedWhileUploading has a collector that does not take an artifact while the pod's grace period ends.
func TestStoppedWhileUploading(t *testing.T) {
	c := collectortest.New(t)
	c.Fail(func(_ int, r *http.Request) collectortest.Fault {
		if r.Method == http.MethodPut {
			return collectortest.Unavailable
		}
		return collectortest.None
	})
	p := attemptOf(t, c, "pod-a")
	p.plan.GracePeriodSeconds = 90
	p.after = hurried(89 * time.Second)
	p.dbt.script(1, step{Target: map[string]string{"manifest.json": manifestJSON}})
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	code := make(chan int, 1)
	go func() { code <- p.runner().Run(ctx) }()
	c.Wait(t, "an artifact", func() bool {
		return slices.ContainsFunc(c.Requests(), func(r string) bool { return strings.HasPrefix(r, "PUT ") })
	})
	if report := p.report(); report.Outcome != journal.Succeeded {
		t.Errorf("the report must be there before anything is sent: %+v", report)
	}
	stop()
	select {
	case got := <-code:
		if got != 0 || c.Fold(t).Report("").Outcome != journal.Succeeded || c.Done("pod-a") != 0 {
			t.Errorf("exit code %d, done %d times", got, c.Done("pod-a"))
		}
	case <-time.After(patience):
		t.Fatal("the runner waits on when its grace period is over")
	}
}

// TestCollectorAway has collectors that are not there at some time.
func TestCollectorAway(t *testing.T) {
	whole := func() []step { return script(version(), made(1, 3, 3)) }
	t.Run("Always", func(t *testing.T) {
		c := collectortest.New(t)
		c.Fail(collectortest.Always(collectortest.Drop))
		p := attemptOf(t, c, "pod-a")
		p.after = hurried(startPatience, awayPatience)
		p.dbt.script(1, whole()...)
		code, report := p.run()
		if code != 0 || report.Results.Success != 3 {
			t.Errorf("the run must run and end right: %d, %+v", code, report)
		}
		for _, want := range []string{"The run begins without the collector: asking the collector about this attempt: ", "The operator gets this run's result from the pod's end alone: "} {
			if !strings.Contains(p.screen.String(), want) {
				t.Errorf("%q was not said: %s", want, p.screen)
			}
		}
	})
	t.Run("Refused", func(t *testing.T) {
		c := collectortest.New(t)
		c.Fail(collectortest.Always(collectortest.Forbidden))
		p := attemptOf(t, c, "pod-a")
		p.dbt.script(1, whole()...)
		if code, _ := p.run(); code != 0 || len(c.Requests()) != 1 {
			t.Errorf("403 is for good: exit code %d, requests %q", code, c.Requests())
		}
	})
	phases := map[string]func(c *collectortest.Collector, p *pod){
		"AtStart": func(c *collectortest.Collector, p *pod) {
			c.Fail(collectortest.Always(collectortest.Drop))
			p.screen.onWrite = func(s string) {
				if strings.Contains(s, "START "+model(2)) {
					c.Fail(nil)
				}
			}
		},
		"InTheMiddle": func(c *collectortest.Collector, p *pod) {
			p.screen.onWrite = func(s string) {
				if strings.Contains(s, "START "+model(1)) {
					c.Fail(collectortest.Always(collectortest.Unavailable))
				}
				if strings.Contains(s, "START "+model(3)) {
					c.Fail(nil)
				}
			}
		},
		"AtEnd": func(c *collectortest.Collector, p *pod) {
			p.screen.onWrite = func(s string) {
				if strings.Contains(s, "success "+model(3)) {
					c.Fail(func(n int, _ *http.Request) collectortest.Fault {
						if n < 3 {
							return collectortest.Drop
						}
						return collectortest.None
					})
				}
			}
		},
	}
	for name, set := range phases {
		t.Run(name, func(t *testing.T) {
			c := collectortest.New(t)
			p := attemptOf(t, c, "pod-a")
			p.after = hurried(startPatience)
			set(c, p)
			p.dbt.script(1, whole()...)
			code, report := p.run()
			kept := c.Fold(t).Report("0c7a")
			if diff := cmp.Diff(report, kept); code != 0 || diff != "" {
				t.Errorf("exit code %d, nothing may be missing (-message +journal):\n%s", code, diff)
			}
			if got := c.Log(t, "pod-a"); got != p.screen.String() {
				t.Errorf("nothing of the log may be missing:\n%s\nprinted was:\n%s", got, p.screen)
			}
		})
	}
}
