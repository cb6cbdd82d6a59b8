package journal

import (
	"crypto/sha256"
	"encoding/json"
	"errors"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

const commit = "0123456789abcdef0123456789abcdef01234567"

// small is a report that fits as it is.
func small() Report {
	return Report{
		Version: Version, RunUID: "6f6d5a2e-7f0a-4f35-9a3a-7a54b5a0c1de", Outcome: NodesFailed,
		Message: "1 of 3 nodes failed", Source: commit, Dbt: "1.11.16", Adapter: "duckdb=1.11.1",
		Commands: []Command{{Command: "build --select a", InvocationID: "i", Start: 1, End: 2, ExitCode: 1}},
		Selected: 3, Finished: 3, Results: Results{Success: 1, Error: 1, Skipped: 1},
		Failures: []Failure{{UniqueID: "model.shop.x", ResourceType: "model", Status: "error", Message: "no column <a> & \"b\"", Path: "models/x.sql"}},
		Slowest:  []NodeTime{{UniqueID: "model.shop.x", Seconds: 1.25}},
		Lineage: &Lineage{Nodes: 3, Edges: 2, Inputs: []string{`"db"."raw"."t"`}, Outputs: []string{`"db"."main"."x"`}, Graph: []GraphNode{
			{ID: "source.shop.raw.t", Relation: `"db"."raw"."t"`},
			{ID: "model.shop.a", Relation: `"db"."main"."a"`, DependsOn: []string{"source.shop.raw.t"}},
			{ID: "model.shop.x", DependsOn: []string{"source.shop.raw.t", "model.shop.a"}},
		}},
	}
}

// huge is a report with every member far over its limit.
func huge(r *rand.Rand) Report {
	word := func(n int) string {
		alphabet := []string{"a", "é", "\"", "\\", "<", "\x00", "\x1b[31m", "\xff", "\n", "猫", " ", "\u202e", "\u2028"}
		var b strings.Builder
		for range r.IntN(n + 1) {
			b.WriteString(alphabet[r.IntN(len(alphabet))])
		}
		return b.String()
	}
	out := Report{RunUID: word(500), Outcome: Outcome("NodesFailed"), Message: word(5000), Source: commit, Dbt: word(200), Adapter: word(200), Selected: r.Int32(), Finished: r.Int32()}
	out.Results = Results{r.Int32(), r.Int32(), r.Int32(), r.Int32(), r.Int32(), r.Int32(), r.Int32()}
	for range r.IntN(40) {
		out.Commands = append(out.Commands, Command{Command: word(5000), InvocationID: word(100), Start: r.Int64(), End: r.Int64(), ExitCode: r.Int32()})
		out.Failures = append(out.Failures, Failure{word(10000), word(100), word(100), word(5000), word(3000)})
		out.Slowest = append(out.Slowest, NodeTime{word(3000), r.Float64() * 1e300})
	}
	if r.IntN(4) > 0 {
		out.Lineage = &Lineage{Nodes: r.Int32(), Edges: r.Int32()}
		for i := range r.IntN(700) {
			out.Lineage.Inputs = append(out.Lineage.Inputs, word(400))
			out.Lineage.Outputs = append(out.Lineage.Outputs, word(400))
			node := GraphNode{ID: fmt.Sprintf("model.%s.%d", word(20), i), Relation: word(30)}
			if i > 0 {
				node.DependsOn = []string{out.Lineage.Graph[r.IntN(i)].ID}
			}
			out.Lineage.Graph = append(out.Lineage.Graph, node)
		}
	}
	return out
}

func TestEncodeDecodeKeepsASmallReport(t *testing.T) {
	want := small()
	b := Encode(want, MaxSummary)
	got, err := Decode(b)
	if err != nil {
		t.Fatalf("Decode: %v\n%s", err, b)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("a report that fits must come back whole (-want +got):\n%s", diff)
	}
	if diff := cmp.Diff(small(), want); diff != "" {
		t.Errorf("Encode changed its input:\n%s", diff)
	}
}

func TestEncodeNeverPassesItsLimit(t *testing.T) {
	for seed := range uint64(60) {
		r := rand.New(rand.NewPCG(seed, 1))
		in := huge(r)
		limit := MinSummary + r.IntN(MaxSummary)
		b := Encode(in, limit)
		if len(b) > limit {
			t.Fatalf("seed %d: %d bytes, limit %d", seed, len(b), limit)
		}
		got, err := Decode(b)
		if err != nil {
			t.Fatalf("seed %d: Decode: %v\n%s", seed, err, b)
		}
		want := bounded(in)
		want.Version = Version
		if diff := cmp.Diff(want, got, cmpopts.IgnoreFields(Report{}, "Message", "Commands", "Failures", "Slowest", "Lineage")); diff != "" {
			t.Fatalf("seed %d: the essentials changed (-want +got):\n%s", seed, diff)
		}
	}
}

func TestEncodeDropsInOrder(t *testing.T) {
	r := small()
	r.Lineage.Inputs, r.Lineage.Outputs, r.Lineage.Graph = nil, nil, nil
	for i := range 200 {
		name := fmt.Sprintf("model.shop.%x", sha256.Sum256([]byte{byte(i)}))
		r.Lineage.Outputs = append(r.Lineage.Outputs, name)
		node := GraphNode{ID: name, Relation: name}
		if i > 0 {
			node.DependsOn = []string{r.Lineage.Graph[i-1].ID}
		}
		r.Lineage.Graph = append(r.Lineage.Graph, node)
	}
	for range 9 {
		r.Failures = append(r.Failures, Failure{UniqueID: "model.shop.y", Status: "error", Message: strings.Repeat("long ", 200)})
	}
	got, err := Decode(Encode(r, MaxSummary))
	if err != nil {
		t.Fatal(err)
	}
	if len(got.Failures) != 10 || len(got.Lineage.Outputs) != 0 || !got.Lineage.Truncated {
		t.Errorf("relations must go before failures: %d failures, %d outputs, truncated %t", len(got.Failures), len(got.Lineage.Outputs), got.Lineage.Truncated)
	}
	r.Failures = r.Failures[:1]
	r.Lineage.Outputs = nil
	got, err = Decode(Encode(r, MaxSummary))
	if err != nil {
		t.Fatal(err)
	}
	n := len(got.Lineage.Graph)
	if n < 10 || n >= 200 || !got.Lineage.Truncated {
		t.Fatalf("as much of the graph as fits: got %d nodes, truncated %t", n, got.Lineage.Truncated)
	}
	if diff := cmp.Diff(r.Lineage.Graph[:n], got.Lineage.Graph); diff != "" {
		t.Errorf("graph (-want +got):\n%s", diff)
	}
}

func TestDecodeRefuses(t *testing.T) {
	tests := map[string]struct {
		reason string
		in     string
	}{
		"Empty":      {"no message", ""},
		"LogTail":    {"kubelet's fallback to logs", "12:00:01 Running with dbt=1.11\n12:00:02 ERROR"},
		"OtherJSON":  {"a log line that is JSON", `{"info":{"msg":"x"},"data":{}}`},
		"Version":    {"another version", `{"v":2,"uid":"u","outcome":"Succeeded","res":{}}`},
		"Outcome":    {"an unknown outcome", `{"v":1,"uid":"u","outcome":"Fine","res":{}}`},
		"Cut":        {"cut by kubelet", string(Encode(small(), MaxSummary))[:200]},
		"Type":       {"a wrong type", `{"v":1,"outcome":"Succeeded","sel":"many"}`},
		"Huge":       {"more than kubelet gives", `{"v":1,"outcome":"Succeeded","msg":"` + strings.Repeat("x", 70000) + `"}`},
		"TwoReports": {"two documents", `{"v":1,"outcome":"Succeeded"}{"v":1}`},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if _, err := Decode([]byte(tc.in)); !errors.Is(err, ErrNotReport) {
				t.Errorf("%s: error %v, want ErrNotReport", tc.reason, err)
			}
		})
	}
}

func TestDecodeBoundsWhatItReads(t *testing.T) {
	in := `{"v":1,"outcome":"Succeeded","src":"rm -rf","msg":"a\u001b[31mb\nc","sel":-1,"cmds":[{"c":"build","s":9223372036854775807,"x":0}],"slow":[{"id":"x","s":1e300}],"lin":{"n":-1,"e":0,"g":"!!"}}`
	got, err := Decode([]byte(in))
	if err != nil {
		t.Fatal(err)
	}
	want := Report{
		Version: 1, Outcome: Succeeded, Message: "ab c", Commands: []Command{{Command: "build", Start: lastMilli}},
		Slowest: []NodeTime{{"x", 366 * 24 * 3600}}, Lineage: &Lineage{Truncated: true},
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("(-want +got):\n%s", diff)
	}
}

func TestUnpackRefusesABomb(t *testing.T) {
	row, _ := json.Marshal(strings.Repeat("a", 1000))
	rows := make([]GraphNode, 0, 512)
	for i := range 512 {
		rows = append(rows, GraphNode{ID: fmt.Sprint(i, string(row)), Relation: string(row)})
	}
	if _, err := unpack(newPacker(rows).pack(len(rows))); err == nil || !strings.Contains(err.Error(), "too large") {
		t.Errorf("error %v, want 'too large'", err)
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(Encode(small(), MaxSummary))
	f.Add(Encode(huge(rand.New(rand.NewPCG(1, 1))), MaxSummary))
	f.Add([]byte(`{"v":1,"outcome":"Succeeded","lin":{"g":"AAAA"}}`))
	f.Fuzz(func(t *testing.T, b []byte) {
		r, err := Decode(b)
		if err != nil {
			return
		}
		again, err := Decode(Encode(r, maxEncoded))
		if err != nil {
			t.Fatalf("what was decoded cannot be encoded: %v", err)
		}
		if again.Outcome != r.Outcome || again.Results != r.Results || again.Source != r.Source {
			t.Errorf("essentials changed: %+v, then %+v", r, again)
		}
		if out := Encode(r, MaxSummary); len(out) > MaxSummary {
			t.Errorf("encoded to %d bytes", len(out))
		}
	})
}
