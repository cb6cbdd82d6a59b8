package dbt

import (
	"fmt"
	"strconv"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// listed is an event of dbt ls.
func listed(node string) string {
	return fmt.Sprintf(`{"info":{"code":"Z052","name":"PrintEvent","level":"info","msg":"m","invocation_id":"i1"},"data":{"msg":%q}}`, node)
}

func observe(t *testing.T, p *Plan, lines ...string) {
	t.Helper()
	for _, l := range lines {
		if e, ok := ParseEvent([]byte(l)); ok {
			p.Observe(e)
		}
	}
}

func TestParsePlanned(t *testing.T) {
	cases := map[string]struct {
		reason, line string
		want         PlannedNode
		ok           bool
	}{
		"Version1":    {"dbt 1.x", listed(`{"unique_id": "model.rs.m7", "resource_type": "model", "config.materialized": "table"}`), PlannedNode{UniqueID: "model.rs.m7", ResourceType: "model", Lookback: 1}, true},
		"Version2":    {"dbt 2.x", listed(`{"materialized":"view","resource_type":"model","unique_id":"model.rs.m7"}`), PlannedNode{UniqueID: "model.rs.m7", ResourceType: "model", Lookback: 1}, true},
		"Ephemeral1":  {"dbt 1.x never speaks of it again", listed(`{"unique_id": "model.rs.m9", "resource_type": "model", "config.materialized": "ephemeral"}`), PlannedNode{UniqueID: "model.rs.m9", ResourceType: "model", Idle: true, Lookback: 1}, true},
		"Ephemeral2":  {"the same of dbt 2.x", listed(`{"materialized":"ephemeral","resource_type":"model","unique_id":"model.rs.m9"}`), PlannedNode{UniqueID: "model.rs.m9", ResourceType: "model", Idle: true, Lookback: 1}, true},
		"Lookback1":   {"dbt 1.x", listed(`{"unique_id": "model.rs.m7", "resource_type": "model", "config.lookback": 3}`), PlannedNode{UniqueID: "model.rs.m7", ResourceType: "model", Lookback: 3}, true},
		"Lookback2":   {"dbt 2.x", listed(`{"lookback":0,"resource_type":"model","unique_id":"model.rs.m7"}`), PlannedNode{UniqueID: "model.rs.m7", ResourceType: "model"}, true},
		"Exposure":    {"nothing is done for it", listed(`{"materialized":"snapshot","resource_type":"exposure","unique_id":"exposure.rs.dash"}`), PlannedNode{UniqueID: "exposure.rs.dash", ResourceType: "exposure", Idle: true}, true},
		"Test":        {"its name holds dots", listed(`{"unique_id": "test.rs.not_null_m1_id.558fac2ce5", "resource_type": "test"}`), PlannedNode{UniqueID: "test.rs.not_null_m1_id.558fac2ce5", ResourceType: "test"}, true},
		"Log":         {"what dbt ls logs is no node", general("A001", "info", `{"unique_id":"model.a.b","resource_type":"model"}`, `"msg":"{\"unique_id\":\"model.a.b\",\"resource_type\":\"model\"}"`), PlannedNode{}, false},
		"Printed":     {"a macro prints while the project is read", listed(`{"hello": 1}`), PlannedNode{}, false},
		"Text":        {"a macro prints while the project is read", listed(`hello`), PlannedNode{}, false},
		"Truncated":   {"a line cut short is no node", listed(`{"unique_id": "model.a.b", "resource_type": "mo`), PlannedNode{}, false},
		"OtherShape":  {"a unique_id is a string", listed(`{"unique_id": 1, "resource_type": "model"}`), PlannedNode{}, false},
		"NoID":        {"a unique_id names a kind, a package and a node", listed(`{"unique_id": "model", "resource_type": "model"}`), PlannedNode{}, false},
		"LongID":      {"an id is bounded", listed(`{"unique_id": "model.a.` + strings.Repeat("x", 5000) + `", "resource_type": "model"}`), PlannedNode{}, false},
		"ControlChar": {"an id is one line", listed("{\"unique_id\": \"model.a.b\\nc\", \"resource_type\": \"model\"}"), PlannedNode{}, false},
		"InvalidUTF8": {"an id that was not text cannot be selected by", listed("{\"unique_id\": \"model.a.\xff\", \"resource_type\": \"model\"}"), PlannedNode{}, false},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			e, _ := ParseEvent([]byte(tc.line))
			got, ok := ParsePlanned(e)
			if diff := cmp.Diff(tc.want, got); diff != "" || ok != tc.ok {
				t.Errorf("%s: ok = %v: -want +got\n%s", tc.reason, ok, diff)
			}
		})
	}
}

func TestPlan(t *testing.T) {
	lines := []string{
		listed(`{"unique_id": "seed.rs.s", "resource_type": "seed", "config.materialized": "seed"}`),
		listed(`{"unique_id": "model.rs.a", "resource_type": "model", "config.materialized": "table"}`),
		listed(`{"unique_id": "model.rs.b", "resource_type": "model", "config.materialized": "view"}`),
		listed(`{"unique_id": "model.rs.e", "resource_type": "model", "config.materialized": "ephemeral"}`),
		listed(`{"unique_id": "source.rs.x.y", "resource_type": "source"}`),
		listed(`{"unique_id": "test.rs.t", "resource_type": "test", "config.materialized": "test"}`),
		listed(`{"unique_id": "unit_test.rs.u", "resource_type": "unit_test"}`),
		listed(`{"unique_id": "snapshot.rs.p", "resource_type": "snapshot"}`),
		listed(`{"unique_id": "exposure.rs.d", "resource_type": "exposure"}`),
		listed(`{"unique_id": "model.rs.a", "resource_type": "model", "config.materialized": "table"}`),
	}
	cases := map[string]struct {
		reason, command string
		statuses        map[string]string
		want            []string
		left            int
	}{
		"Build":    {"all that dbt build runs, each once, and no source", "build", nil, []string{"seed.rs.s", "model.rs.a", "model.rs.b", "model.rs.e", "test.rs.t", "unit_test.rs.u", "snapshot.rs.p", "exposure.rs.d"}, 6},
		"Run":      {"models only", "run", map[string]string{"model.rs.a": "success", "seed.rs.s": "error"}, []string{"model.rs.a", "model.rs.b", "model.rs.e"}, 1},
		"Test":     {"tests of both kinds", "test", map[string]string{"test.rs.t": "warn", "unit_test.rs.u": "fail"}, []string{"test.rs.t", "unit_test.rs.u"}, 1},
		"Seed":     {"seeds only", "seed", map[string]string{"seed.rs.s": "skipped"}, []string{"seed.rs.s"}, 1},
		"Snapshot": {"snapshots only", "snapshot", map[string]string{"snapshot.rs.p": "success"}, []string{"snapshot.rs.p"}, 0},
		"Idle":     {"an ephemeral model and an exposure alone are nothing to begin for", "run", map[string]string{"model.rs.a": "success", "model.rs.b": "reused"}, []string{"model.rs.a", "model.rs.b", "model.rs.e"}, 0},
		"Other":    {"a command that cannot go on has no plan", "compile", nil, nil, 0},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			p := NewPlan([]string{tc.command})
			observe(t, p, lines...)
			var got []string
			for _, n := range p.Nodes() {
				got = append(got, n.UniqueID)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s: -want +got\n%s", tc.reason, diff)
			}
			if left := p.Left(tc.statuses); left != tc.left {
				t.Errorf("%s: Left = %d, want %d", tc.reason, left, tc.left)
			}
			if p.Complete() != (tc.want != nil) {
				t.Errorf("%s: Complete = %v", tc.reason, p.Complete())
			}
			if r := p.Results(tc.statuses); len(r) != len(tc.want) {
				t.Errorf("%s: %d results", tc.reason, len(r))
			}
		})
	}
}

func TestPlanIsBounded(t *testing.T) {
	p := NewPlan([]string{"run"})
	for i := range maxNodes + 1 {
		p.Observe(Event{Code: "Z052", Data: Data{Message: `{"unique_id":"model.a.` + strconv.Itoa(i) + `","resource_type":"model"}`}})
	}
	if len(p.Nodes()) != maxNodes || p.Complete() {
		t.Errorf("%d nodes, complete %v: a plan that was cut is none to go on by", len(p.Nodes()), p.Complete())
	}
}

func FuzzParsePlanned(f *testing.F) {
	f.Add([]byte(listed(`{"unique_id": "model.rs.m7", "resource_type": "model", "config.materialized": "table"}`)))
	f.Add([]byte(listed(`{"unique_id": 7, "resource_type": null}`)))
	f.Add([]byte(listed(strings.Repeat(`{"a":`, 200))))
	f.Fuzz(func(t *testing.T, line []byte) {
		e, ok := ParseEvent(line)
		if !ok {
			return
		}
		p := NewPlan([]string{"build"})
		p.Observe(e)
		p.Observe(e)
		if len(p.Nodes()) > 1 {
			t.Errorf("one line names %d nodes", len(p.Nodes()))
		}
		for _, n := range p.Nodes() {
			if n.UniqueID == "" || len(n.UniqueID) > maxNodeID {
				t.Errorf("an id of %d bytes", len(n.UniqueID))
			}
		}
	})
}
