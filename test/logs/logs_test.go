package logs

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/google/go-cmp/cmp"

	"github.com/dbt-operator/dbt-operator/internal/plan"
)

var (
	nightly = pod{
		Identity: plan.Identity{
			Namespace: "shop", Name: "nightly-29400120", UID: "5b0c5a1e-6f0a-4a0e-9d4c-2f6f1a2b3c4d", Project: "shop",
			RequestedBy: "https://id.example.com#zoë@example.com",
		},
		name: "nightly-29400120-5b0c5a1e-x7x2p", uid: "7d7e4e0c-6b0a-4f3a-8a52-3a4f0e6f1c11", format: plan.LogJSON,
	}
	// byHand has its project in itself, and nobody's name.
	byHand = pod{
		Identity: plan.Identity{Namespace: "finance", Name: "by-hand", UID: "9c1d2e3f-0000-4000-8000-000000000001"},
		name:     "by-hand-9c1d2e3f-q2v9l", uid: "0f1e2d3c-1111-4111-8111-0123456789ab", format: plan.LogJSON,
	}
	forPeople = pod{
		Identity: plan.Identity{Namespace: "shop", Name: "text", UID: "9c1d2e3f-0000-4000-8000-000000000002", Project: "shop"},
		name:     "text-9c1d2e3f-aaaaa", uid: "0f1e2d3c-2222-4222-8222-0123456789ab", format: plan.LogText,
	}
)

// long is an event that no buffer of a runtime holds, of characters of three bytes each: 16 KiB is no multiple of that.
func long(t *testing.T) []byte {
	t.Helper()
	b, err := json.Marshal(map[string]any{
		"info": map[string]any{
			"code": "Z024", "name": "RunResultError", "level": "error", "msg": strings.Repeat("語", 40_000),
			"ts": "2026-11-24T06:00:01.5Z", "invocation_id": "deb847dc-c6a6-4828-b1ec-611537c39a3b", "extra": map[string]any{},
		},
		"data": map[string]any{"node_info": map[string]any{"unique_id": "model.shop.é"}},
	})
	if err != nil {
		t.Fatal(err)
	}
	return append(b, '\n')
}

// environment gives the configuration its variables, and returns the folder of pods' logs.
func environment(t *testing.T, to *backend) string {
	t.Helper()
	root := t.TempDir()
	t.Setenv("POD_LOGS", root)
	t.Setenv("STORAGE", t.TempDir())
	t.Setenv("OTEL_EXPORTER_OTLP_ENDPOINT", to.URL)
	return root
}

// What the runner prints arrives whole: the run, who asked for it, the node, dbt's own time and level, and all that dbt's data
// says; also of a line that the runtime split inside a character.
func TestLinesArrive(t *testing.T) {
	to := newBackend(t)
	root := environment(t, to)
	lines := append(read(t, filepath.Join(captures, "dbt112-model-error.jsonl")), long(t)...)
	lines = append(lines, "Traceback (most recent call last):\n"...)
	want := expected(t, nightly, nightly.run(t, root, lines))
	want = append(want, expected(t, byHand, byHand.run(t, root, read(t, filepath.Join(captures, "dbt20-test-fails.jsonl"))))...)
	want = append(want, people(forPeople, forPeople.run(t, root, read(t, filepath.Join(captures, "dbt111-model-error.jsonl"))))...)
	if log := read(t, nightly.file(root, "dbt")); bytes.Count(log, []byte(" stdout P ")) < 7 || utf8.Valid(log) {
		t.Fatal("no line was split inside a character")
	}
	write(t, nightly.file(root, "web"), []byte("2026-11-24T06:00:05Z stdout F another container\n"), 0o644)
	collect(t, to)
	got := to.take(t, len(want))
	sorted(t, want)
	sorted(t, got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what the runner printed (-) and what arrived (+):\n%.20000s", diff)
	}
	nodes := map[any]bool{}
	for _, r := range got {
		nodes[r.Attributes["dbt.node.unique_id"]] = true
	}
	for _, id := range []string{"model.shop.é", "model.shop.daily_revenue"} {
		if !nodes[id] {
			t.Errorf("nothing is said of node %s", id)
		}
	}
}

// A collector that starts again goes on where it was.
func TestNothingIsSentTwice(t *testing.T) {
	to := newBackend(t)
	root := environment(t, to)
	event := []byte(`{"info":{"name":"N","level":"warn","msg":"m","ts":"2026-11-24T06:00:01Z"}}` + "\n")
	first := nightly.run(t, root, event)
	stop := collect(t, to)
	to.take(t, len(expected(t, nightly, first)))
	stop()
	second := byHand.run(t, root, event)
	collect(t, to)
	want := expected(t, byHand, second)
	got := to.take(t, len(want))
	sorted(t, want)
	sorted(t, got)
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("what was printed meanwhile (-) and what arrived (+):\n%s", diff)
	}
}

// expected returns what is to arrive of JSON lines of a pod, read anew by another reader.
func expected(t *testing.T, p pod, printed []byte) []record {
	t.Helper()
	var out []record
	for line := range bytes.Lines(printed) {
		var e map[string]any
		d := json.NewDecoder(bytes.NewReader(line))
		d.UseNumber()
		if err := d.Decode(&e); err != nil {
			t.Fatalf("a line is no JSON: %v\n%s", err, line)
		}
		info := e["info"].(map[string]any)
		at, err := time.Parse(time.RFC3339Nano, info["ts"].(string))
		if err != nil {
			t.Fatal(err)
		}
		r := p.record()
		r.Time, r.Body, r.Level = at, info["msg"], info["level"].(string)
		r.Severity = map[string]string{"debug": "Debug", "info": "Info", "warn": "Warn", "error": "Error"}[r.Level]
		r.set("dbt.event.name", info["name"])
		r.set("dbt.event.code", info["code"])
		r.set("dbt.invocation_id", info["invocation_id"])
		if data, ok := e["data"].(map[string]any); ok {
			if node, ok := data["node_info"].(map[string]any); ok {
				for from, to := range map[string]string{"unique_id": "unique_id", "resource_type": "resource_type", "node_status": "status"} {
					r.set("dbt.node."+to, node[from])
					delete(node, from)
				}
			}
			r.set("dbt.data", numbers(data))
		}
		out = append(out, r)
	}
	if len(out) == 0 {
		t.Fatal("nothing was printed")
	}
	return out
}

// people returns what is to arrive of lines for people.
func people(p pod, printed []byte) []record {
	var out []record
	for line := range strings.Lines(string(printed)) {
		r := p.record()
		r.Time, r.Body, r.Severity = time.Date(2026, 11, 24, 6, 0, 5, 987654321, time.UTC), strings.TrimSuffix(line, "\n"), "Unspecified"
		out = append(out, r)
	}
	return out
}

// record returns what all lines of the pod have.
func (p pod) record() record {
	r := record{
		Resource: map[string]any{
			"service.name": "dbt", "k8s.namespace.name": p.Namespace, "k8s.pod.name": p.name, "k8s.pod.uid": p.uid,
			"k8s.container.name": "dbt", "k8s.container.restart_count": "0",
		},
		Attributes: map[string]any{"log.iostream": "stdout", "log.file.name": "0.log"},
	}
	if p.format == plan.LogText {
		return r
	}
	for name, value := range map[string]string{
		"dbt.run.name": p.Name, "dbt.run.uid": p.UID, "dbt.project.name": p.Project, "dbt.requester": p.RequestedBy,
	} {
		if value != "" {
			r.set(name, value)
		}
	}
	return r
}

func (r record) set(name string, value any) {
	if value != nil {
		r.Attributes[name] = value
	}
}

// numbers returns a value with numbers as OTLP has them.
func numbers(v any) any {
	switch v := v.(type) {
	case map[string]any:
		for name, each := range v {
			v[name] = numbers(each)
		}
	case []any:
		for i, each := range v {
			v[i] = numbers(each)
		}
	case json.Number:
		if n, err := v.Int64(); err == nil {
			return n
		}
		f, _ := v.Float64()
		return f
	}
	return v
}

// sorted sorts records by all that they say: batches may overtake each other.
func sorted(t *testing.T, records []record) {
	t.Helper()
	slices.SortFunc(records, func(a, b record) int {
		left, err := json.Marshal(a)
		if err != nil {
			t.Fatal(err)
		}
		right, err := json.Marshal(b)
		if err != nil {
			t.Fatal(err)
		}
		return bytes.Compare(left, right)
	})
}
