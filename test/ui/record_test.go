package ui

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// hostile is what somebody may call a node or print: as HTML it would set a mark.
const hostile = `<script>document.title="owned"</script><img src=x onerror='document.title="owned"'>`

// today is when the pages are looked at.
var today = time.Date(2026, 11, 24, 9, 41, 0, 0, time.UTC)

// record is a cluster and what is kept of its runs, as recorded objects.
type record struct {
	mu        sync.Mutex
	runs      []v1alpha1.DbtRun
	schedules []v1alpha1.DbtSchedule
	journals  map[string]*journal.State
	files     map[string][]byte // by run and name; the log's name is "log"
	changed   chan *v1alpha1.DbtRun
}

func (r *record) Run(_ context.Context, of types.NamespacedName) (*v1alpha1.DbtRun, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for i := range r.runs {
		if r.runs[i].Name == of.Name {
			return r.runs[i].DeepCopy(), nil
		}
	}
	return nil, fmt.Errorf("there is no DbtRun %q in namespace %q", of.Name, of.Namespace)
}

func (r *record) Runs(context.Context, string) ([]v1alpha1.DbtRun, error) {
	r.mu.Lock()
	defer r.mu.Unlock()
	return append([]v1alpha1.DbtRun{}, r.runs...), nil
}

func (r *record) Schedules(context.Context, string) ([]v1alpha1.DbtSchedule, error) {
	return r.schedules, nil
}

func (r *record) Follow(ctx context.Context, _ string, all func([]v1alpha1.DbtRun) error, changed, _ func(*v1alpha1.DbtRun) error) error {
	runs, _ := r.Runs(ctx, "")
	if err := all(runs); err != nil {
		return err
	}
	for {
		select {
		case <-ctx.Done():
			return ctx.Err()
		case run := <-r.changed:
			if err := changed(run); err != nil {
				return err
			}
		}
	}
}

func (r *record) Journal(_ context.Context, of types.NamespacedName) (*journal.State, error) {
	if s := r.journals[of.Name]; s != nil {
		return s, nil
	}
	return nil, fmt.Errorf("nothing is kept of DbtRun %q", of.Name)
}

func (r *record) Artifact(_ context.Context, of types.NamespacedName, name string) (io.ReadCloser, error) {
	if raw, ok := r.files[of.Name+"/"+name]; ok {
		return io.NopCloser(bytes.NewReader(raw)), nil
	}
	return nil, fmt.Errorf("DbtRun %q keeps no %s", of.Name, name)
}

func (r *record) Log(ctx context.Context, run *v1alpha1.DbtRun) (io.ReadCloser, error) {
	return r.Artifact(ctx, types.NamespacedName{Namespace: run.Namespace, Name: run.Name}, "log")
}

// change makes a run another, and tells whoever watches.
func (r *record) change(name string, to func(*v1alpha1.DbtRun)) {
	r.mu.Lock()
	var run *v1alpha1.DbtRun
	for i := range r.runs {
		if r.runs[i].Name == name {
			to(&r.runs[i])
			run = r.runs[i].DeepCopy()
		}
	}
	r.mu.Unlock()
	r.changed <- run
}

// node is a node of a project that is made up, and how it goes.
type node struct {
	id, kind string
	parents  []string
	seconds  float64
	status   string
	message  string
	sql      string
}

// play runs nodes on threads from a time on, as dbt does: each once its parents have ended. It returns the journal, the
// lineage, run_results.json and the log.
func (r *record) play(run string, began time.Time, threads int, nodes []node) (ended time.Time) {
	free := make([]int64, threads)
	for i := range free {
		free[i] = began.UnixMilli() + 4200 // dbt parses first
	}
	state := journal.NewState()
	state.Apply(journal.Entry{Kind: journal.KindBegin, Pod: run + "-0a1b2c3d-9wk4z", At: began.UnixMilli()})
	state.Apply(journal.Entry{Kind: journal.KindCommand, Line: "dbt build", At: began.UnixMilli()})
	end, status, tests := map[string]int64{}, map[string]string{}, map[string][]string{}
	for _, n := range nodes {
		if n.kind == "test" {
			for _, p := range n.parents {
				tests[p] = append(tests[p], n.id)
			}
		}
	}
	var lineage, results, log strings.Builder
	fmt.Fprintf(&log, "%s  Running with dbt=1.11.16\n%s  \x1b[32mRegistered adapter: postgres=1.11.0\x1b[0m\n", clockOf(began.UnixMilli()), clockOf(began.UnixMilli()))
	last := began.UnixMilli()
	for i, n := range nodes {
		if i > 0 {
			lineage.WriteString(",\n")
		}
		lineage.Write(lineageOf(n))
		if n.kind == "source" || n.kind == "exposure" {
			continue
		}
		ready, skip := int64(0), false
		for _, p := range n.parents {
			ready = max(ready, end[p])
			skip = skip || status[p] == "error" || status[p] == "skipped"
			if n.kind != "test" {
				for _, test := range tests[p] {
					ready, skip = max(ready, end[test]), skip || status[test] == "fail"
				}
			}
		}
		thread := 0
		for t := range free {
			if max(free[t], ready) < max(free[thread], ready) || max(free[t], ready) == max(free[thread], ready) && free[t] > free[thread] {
				thread = t
			}
		}
		start := max(free[thread], ready) + 8
		status[n.id], end[n.id] = n.status, start+int64(n.seconds*1000)
		entry := journal.Node{ID: n.id, ResourceType: n.kind, Status: n.status, Start: start, End: end[n.id], Seconds: n.seconds, Message: n.message, Path: pathOf(n), Rows: int64(n.seconds * 1000)}
		if skip {
			status[n.id], end[n.id] = "skipped", ready
			entry = journal.Node{ID: n.id, ResourceType: n.kind, Status: "skipped"}
		} else {
			free[thread] = end[n.id]
			fmt.Fprintf(&results, `{"unique_id":%s,"status":%q,"thread_id":"Thread-%d (worker)"},`, quoted(n.id), n.status, thread+1)
		}
		last = max(last, end[n.id])
		state.Apply(journal.Entry{Kind: journal.KindResult, Node: &entry, At: end[n.id]})
		word := map[string]string{"success": "OK created", "pass": "PASS", "error": "ERROR creating", "fail": "FAIL 12", "warn": "WARN 3", "skipped": "SKIP"}[entry.Status]
		fmt.Fprintf(&log, "%s  %d of %d %s %s ... [%s in %.2fs]\n", clockOf(end[n.id]), i+1, len(nodes), word, n.id, strings.ToUpper(strings.Fields(word)[0]), n.seconds)
		if entry.Message != "" {
			fmt.Fprintf(&log, "%s    %s\n", clockOf(end[n.id]), strings.ReplaceAll(entry.Message, "\n", "\n            "))
		}
	}
	state.Apply(journal.Entry{Kind: journal.KindCommandEnd, ExitCode: 0, Outcome: journal.Succeeded, At: last + 900})
	r.journals[run] = state
	r.files[run+"/lineage.json"] = []byte("{\"lineage\":1,\n\"dbt\":{\"version\":\"1.11.16\"},\n\"nodes\":[\n" + lineage.String() + "\n]}\n")
	r.files[run+"/run_results-1.json"] = []byte(`{"results":[` + strings.TrimSuffix(results.String(), ",") + `]}`)
	r.files[run+"/log"] = []byte(log.String())
	return time.UnixMilli(last + 900).UTC()
}

func pathOf(n node) string {
	if n.kind == "test" {
		return "models/marts/marts.yml"
	}
	return "models/marts/" + n.id[strings.LastIndex(n.id, ".")+1:] + ".sql"
}

func clockOf(ms int64) string { return time.UnixMilli(ms).UTC().Format("15:04:05") }

func quoted(s string) string {
	raw, _ := json.Marshal(s)
	return string(raw)
}

func lineageOf(n node) []byte {
	type relation struct {
		Name string `json:"name"`
	}
	type code struct {
		Code     string `json:"code"`
		Compiled bool   `json:"compiled"`
	}
	out := struct {
		ID        string    `json:"id"`
		Type      string    `json:"type"`
		Relation  *relation `json:"relation,omitempty"`
		DependsOn []string  `json:"dependsOn,omitempty"`
		SQL       *code     `json:"sql,omitempty"`
	}{ID: n.id, Type: n.kind, DependsOn: n.parents}
	if n.kind != "test" && n.kind != "exposure" {
		out.Relation = &relation{`"warehouse"."analytics"."` + n.id[strings.LastIndex(n.id, ".")+1:] + `"`}
	}
	if n.sql != "" {
		out.SQL = &code{n.sql, true}
	}
	raw, _ := json.Marshal(out)
	return raw
}

// large returns a project with so many nodes in twelve layers, some of which fail.
func large(n int) []node {
	r := rand.New(rand.NewPCG(7, 7)) //nolint:gosec // it makes up a graph, the same each time
	layers := 12
	per := (n + layers - 1) / layers
	names := []string{"raw", "stg", "stg", "int", "int", "int", "dim", "fct", "fct", "mart", "mart", "report"}
	id := func(i int) string { return fmt.Sprintf("model.big.%s_%04d", names[i/per], i) }
	out := make([]node, 0, n)
	for i := range n {
		m := node{id: id(i), kind: "model", status: "success", seconds: 0.2 + r.ExpFloat64()*1.5}
		if i < per {
			m.id, m.kind = fmt.Sprintf("source.big.raw.t_%04d", i), "source"
		} else {
			for range 1 + r.IntN(2) {
				at := min(per-1, max(0, i%per+r.IntN(21)-10))
				p := (i/per-1)*per + at
				if p < per {
					m.parents = append(m.parents, fmt.Sprintf("source.big.raw.t_%04d", p))
				} else {
					m.parents = append(m.parents, id(p))
				}
			}
		}
		if m.kind == "model" && r.IntN(400) == 0 {
			m.status, m.message = "error", "Database Error\n  canceling statement due to statement timeout"
		}
		out = append(out, m)
	}
	return out
}

func status(run *v1alpha1.DbtRun, phase v1alpha1.Phase, reason, message string, began, ended time.Time, nodes, failed int32) *v1alpha1.DbtRun {
	start := metav1.NewTime(began)
	run.Status.Phase, run.Status.Message, run.Status.StartTime = phase, message, &start
	condition := metav1.ConditionUnknown
	if phase.Finished() {
		done := metav1.NewTime(ended)
		run.Status.CompletionTime = &done
		run.Status.Results = &v1alpha1.Results{Success: nodes - failed, Error: failed}
		condition = metav1.ConditionTrue
		if phase != v1alpha1.PhaseSucceeded {
			condition = metav1.ConditionFalse
		}
		run.Status.FailedNodes = &failed
	}
	run.Status.Conditions = []metav1.Condition{{Type: v1alpha1.ConditionSucceeded, Status: condition, Reason: reason, Message: message}}
	return run
}

var artifacts = []v1alpha1.Artifact{{Name: "lineage.json", Bytes: 48211}, {Name: "manifest.json", Bytes: 612400}, {Name: "run_results-1.json", Bytes: 30122}}

func scheduled(run *testutil.RunWrapper, by string, at time.Time) *testutil.RunWrapper {
	tick := metav1.NewTime(at)
	run.Spec.Trigger = &v1alpha1.Trigger{Type: v1alpha1.TriggerSchedule, ScheduleRef: &v1alpha1.ScheduleReference{Name: by}, ScheduledTime: &tick}
	return run
}
