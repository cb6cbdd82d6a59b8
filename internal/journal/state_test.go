package journal

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
	"github.com/google/go-cmp/cmp/cmpopts"
)

// story writes a journal entry by entry.
type story struct {
	entries []Entry
	at      int64
}

func (s *story) add(e Entry) *story {
	s.at += 1000
	e.At = s.at
	s.entries = append(s.entries, e)
	return s
}

func (s *story) begin(pod string) *story { return s.add(Entry{Kind: KindBegin, Pod: pod}) }

func (s *story) command(n int32, line string, mode Mode, note string) *story {
	return s.add(Entry{Kind: KindCommand, Command: n, Line: line, Mode: mode, Note: note})
}

func (s *story) total(n int32) *story { return s.add(Entry{Kind: KindTotal, Total: n}) }

func (s *story) start(ids ...string) *story {
	for _, id := range ids {
		s.add(Entry{Kind: KindStart, Node: &Node{ID: id, ResourceType: "model", Start: s.at}})
	}
	return s
}

func (s *story) result(status string, ids ...string) *story {
	for _, id := range ids {
		s.add(Entry{Kind: KindResult, Node: &Node{ID: id, ResourceType: "model", Status: status, End: s.at, Seconds: float64(len(id))}})
	}
	return s
}

func (s *story) commandEnd(outcome Outcome, code int32) *story {
	return s.add(Entry{Kind: KindCommandEnd, Outcome: outcome, ExitCode: code})
}

func (s *story) end(outcome Outcome, message string) *story {
	return s.add(Entry{Kind: KindEnd, Report: Encode(Report{RunUID: "u", Outcome: outcome, Message: message, Lineage: &Lineage{Nodes: 7}}, MaxEndReport)})
}

func (s *story) fold() *State {
	state := NewState()
	for _, e := range s.entries {
		state.Apply(e)
	}
	return state
}

func tell() *story { return &story{} }

func TestFold(t *testing.T) {
	build := func() *story { return tell().begin("p").command(0, "dbt build", ModeFirst, "").total(4) }
	for name, c := range map[string]struct {
		reason string
		in     *story
		want   Report
	}{
		"nothing":  {"an empty journal", tell(), Report{}},
		"planned":  {"nothing has ended", build(), Report{Selected: 4}},
		"at work":  {"what runs is named, the longest first", build().start("a", "b").result("success", "a").start("c"), Report{Selected: 4, Finished: 1, Results: Results{Success: 1}, Running: []string{"b", "c"}}},
		"warned":   {"a warning is no failure", build().result("warn", "a"), Report{Selected: 4, Finished: 1, Results: Results{Warn: 1}}},
		"no total": {"the engine does not say", tell().begin("p").command(0, "dbt build", ModeFirst, "").result("success", "a"), Report{Selected: 1, Finished: 1, Results: Results{Success: 1}}},
		"failed and skipped": {"the failed one is named", build().start("a").result("error", "a").result("skipped", "b", "c"),
			Report{Selected: 4, Finished: 3, Results: Results{Error: 1, Skipped: 2}, Failures: []Failure{{UniqueID: "a", ResourceType: "model", Status: "error"}}}},
		"cut off": {"its pod ended before it did", build().start("a", "b").result("success", "a").begin("q"),
			Report{Selected: 4, Finished: 1, Results: Results{Success: 1}, Failures: []Failure{{UniqueID: "b", ResourceType: "model", Status: StatusInterrupted, Message: "cut off when pod p ended"}}}},
		"resumed": {"results add up over attempts", build().start("a", "b").result("success", "a").
			begin("q").command(0, "dbt build", ModeResumed, "3 of 4 nodes left").total(4).start("b").result("success", "b", "c", "d"),
			Report{Selected: 4, Finished: 4, Results: Results{Success: 4}}},
		"anew": {"what an earlier attempt did does not count", build().result("success", "a", "b").
			begin("q").command(0, "dbt build", ModeAnew, "another revision").total(4).result("success", "a"),
			Report{Selected: 4, Finished: 1, Results: Results{Success: 1}}},
		"retried": {"the last result counts", build().result("success", "a").result("error", "b").result("skipped", "c").commandEnd(NodesFailed, 1).
			command(0, "dbt build", ModeRetry, "retry 1 of 1").result("success", "b", "c"),
			Report{Selected: 4, Finished: 3, Results: Results{Success: 3}}},
		"two commands": {"the last command that came to a node has it", build().result("success", "a", "b", "c", "d").commandEnd(Succeeded, 0).
			command(1, "dbt test", ModeFirst, "").total(2).start("d").result("fail", "d"),
			Report{Selected: 5, Finished: 4, Results: Results{Success: 3, Fail: 1}, Failures: []Failure{{UniqueID: "d", ResourceType: "model", Status: "fail"}}}},
		"explained later": {"dbt 1.x says why after all results", build().result("error", "a").
			add(Entry{Kind: KindResult, Node: &Node{ID: "a", Status: "error", Message: "no such column", Path: "a.sql"}}),
			Report{Selected: 4, Finished: 1, Results: Results{Error: 1}, Failures: []Failure{{UniqueID: "a", ResourceType: "model", Status: "error", Message: "no such column", Path: "a.sql"}}}},
		"ended": {"the outcome of the last attempt", build().result("success", "a", "b", "c", "d").commandEnd(Succeeded, 0).end(Succeeded, ""),
			Report{Outcome: Succeeded, Selected: 4, Finished: 4, Results: Results{Success: 4}, Lineage: &Lineage{Nodes: 7}}},
		"ended, then another": {"an attempt at work has no outcome", build().start("a").end(OutOfMemory, "killed").begin("q"),
			Report{Selected: 4, Lineage: &Lineage{Nodes: 7}, Failures: []Failure{{UniqueID: "a", ResourceType: "model", Status: StatusInterrupted, Message: "cut off when pod p ended"}}}},
		"out of order": {"entries without their beginning do no harm", tell().total(3).commandEnd(Succeeded, 0).result("success", "a"), Report{Selected: 1, Finished: 1, Results: Results{Success: 1}}},
	} {
		t.Run(name, func(t *testing.T) {
			got := c.in.fold().Report("u")
			c.want.Version, c.want.RunUID = Version, "u"
			if diff := cmp.Diff(c.want, got, cmpopts.IgnoreFields(Report{}, "Commands", "Slowest"), cmpopts.EquateEmpty()); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

func TestFoldOfCommands(t *testing.T) {
	s := tell().begin("p").command(-1, "dbt deps", ModeFirst, "").commandEnd(Succeeded, 0).
		command(0, "dbt seed", ModeFirst, "").result("success", "s").commandEnd(Succeeded, 0).
		command(1, "dbt run", ModeFirst, "").add(Entry{Kind: KindInvocation, InvocationID: "i"}).start("a").
		begin("q").add(Entry{Kind: KindSource, Source: commit}).command(1, "dbt run", ModeResumed, "1 of 1 node left").fold()
	var got []string
	for _, c := range s.Commands() {
		got = append(got, fmt.Sprint(c.Index, " ", c.Line, " ", c.Outcome, " ", c.Mode, " ", c.Note, " ", c.Start, " ", c.End))
	}
	want := []string{"-1 dbt deps Succeeded   2000 3000", "0 dbt seed Succeeded   4000 6000", "1 dbt run  resumed 1 of 1 node left 7000 0"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("commands (-want +got):\n%s", diff)
	}
	if c, ok := s.Command(1); !ok || c.InvocationID != "i" || s.Source() != commit {
		t.Errorf("command 1 is %+v, source %q", c, s.Source())
	}
	if diff := cmp.Diff([]string{"a interrupted"}, statuses(s.Nodes(1))); diff != "" {
		t.Error(diff)
	}
	if diff := cmp.Diff([]string{"s"}, s.Made()); diff != "" {
		t.Error(diff)
	}
	if got := s.Report("u").Commands; got[2].ExitCode != -1 || got[0].ExitCode != 0 {
		t.Errorf("exit codes: %+v", got)
	}
}

func TestMade(t *testing.T) {
	s := tell().begin("p").command(0, "dbt source freshness", ModeFirst, "").
		add(Entry{Kind: KindResult, Node: &Node{ID: "source.shop.web.orders", ResourceType: "source", Status: "pass"}}).commandEnd(Succeeded, 0).
		command(1, "dbt build", ModeFirst, "").result("success", "a").result("warn", "b").result("Success", "c").
		result("reused", "d").result("no-op", "e").result("skipped", "f").result("error", "g").start("h").fold()
	if diff := cmp.Diff([]string{"a", "b", "c"}, s.Made()); diff != "" {
		t.Errorf("a source was looked at, and what was reused or had nothing to do did not run: -want +got\n%s", diff)
	}
}

func statuses(nodes []Node) []string {
	var out []string
	for _, n := range nodes {
		out = append(out, n.ID+" "+n.Status)
	}
	return out
}

func TestEntriesTravel(t *testing.T) {
	s := tell().begin("p").add(Entry{Kind: KindEngine, Dbt: "1.11", Adapter: "duckdb=1"}).command(0, "dbt build --select a<b", ModeFirst, "").
		start("a").result("error", "a").end(NodesFailed, "1 of 1 nodes failed")
	var b bytes.Buffer
	for _, e := range s.entries {
		b.Write(EncodeEntry(e))
	}
	lines := b.String()
	torn := lines + `{"k":"start","node":{"id":"to`
	for name, c := range map[string]struct {
		reason  string
		in      string
		skipped int
	}{
		"whole":        {"as it was written", lines, 0},
		"torn":         {"the pod died while it wrote", torn, 1},
		"foreign":      {"somebody else's line", "hello\n" + lines + "{}\n", 2},
		"too long":     {"no memory for it", strings.Repeat("x", 3*MaxEntry) + "\n" + lines, 1},
		"unknown kind": {"of another version", `{"k":"novelty"}` + "\n" + lines, 1},
		"no node":      {"an entry that lacks what it is about", `{"k":"result"}` + "\n" + lines, 1},
		"no break":     {"the last line without its break", strings.TrimSuffix(lines, "\n"), 0},
	} {
		t.Run(name, func(t *testing.T) {
			var got []Entry
			skipped, err := DecodeEntries(strings.NewReader(c.in), func(e Entry) error { got = append(got, e); return nil })
			if err != nil || skipped != c.skipped {
				t.Errorf("%s: skipped %d, error %v", c.reason, skipped, err)
			}
			if diff := cmp.Diff(s.entries, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

// An entry is bounded whatever it is made of, and what was bounded stays as it is.
func TestEntriesAreBounded(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 2))
		long := strings.Repeat(string(rune(r.IntN(0x3000))), 1+r.IntN(5000))
		e := Entry{
			Kind: KindResult, At: r.Int64() - 1<<62, Pod: long, Source: long, Line: long, Note: long, Message: long, Command: r.Int32() - 1<<30,
			Mode: Mode(long), Outcome: Outcome(long), InvocationID: long, Total: -r.Int32(), Report: bytes.Repeat([]byte("1"), r.IntN(2*MaxEndReport)),
			Node: &Node{ID: long, ResourceType: long, Status: long, Relation: long, Path: long, Message: long, Seconds: r.NormFloat64() * 1e300, Start: -1, End: r.Int64()},
		}
		line := EncodeEntry(e)
		if len(line) > MaxEntry+1 {
			t.Fatalf("seed %d: %d bytes", seed, len(line))
		}
		decoded, ok := decodeEntry(line)
		if !ok {
			t.Fatalf("seed %d: cannot be read: %.200s", seed, line)
		}
		if diff := cmp.Diff(string(line), string(EncodeEntry(decoded))); diff != "" {
			t.Fatalf("seed %d: not stable:\n%s", seed, diff)
		}
	}
}

// Any journal folds, and counts stay counts.
func FuzzFold(f *testing.F) {
	f.Add([]byte(`{"k":"begin","pod":"p"}` + "\n" + `{"k":"command","c":"build"}` + "\n" + `{"k":"result","node":{"id":"a","st":"success"}}` + "\n"))
	var b bytes.Buffer
	for _, e := range tell().begin("p").command(0, "dbt build", ModeFirst, "").total(4).start("a", "b").result("error", "a").begin("q").command(0, "dbt build", ModeAnew, "n").end(NodesFailed, "m").entries {
		b.Write(EncodeEntry(e))
	}
	f.Add(b.Bytes())
	f.Fuzz(func(t *testing.T, journal []byte) {
		s := NewState()
		if _, err := DecodeEntries(bytes.NewReader(journal), func(e Entry) error { s.Apply(e); return nil }); err != nil {
			t.Fatal(err)
		}
		r := s.Report("u")
		if r.Finished > r.Selected || len(r.Failures) > MaxFailures || len(r.Running) > maxRunning {
			t.Errorf("%d of %d nodes, %d failures, %d run", r.Finished, r.Selected, len(r.Failures), len(r.Running))
		}
		if out := Encode(r, MaxSummary); len(out) > MaxSummary {
			t.Errorf("encoded to %d bytes", len(out))
		}
	})
}
