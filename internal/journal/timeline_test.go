package journal_test

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// told writes a timeline down, a line for each attempt, call and execution.
func told(t *journal.Timeline) []string {
	var out []string
	for _, a := range t.Attempts() {
		out = append(out, fmt.Sprintf("attempt %s %d-%d cut=%t %s %q", a.Pod, a.Begin, a.End, a.Cut, a.Outcome, a.Message))
	}
	for _, c := range t.Calls() {
		pod := ""
		if c.Attempt != nil {
			pod = c.Attempt.Pod
		}
		out = append(out, fmt.Sprintf("call %s #%d %s %s%s %d-%d cut=%t %s of %d", pod, c.Index, c.Line, c.InvocationID, c.Mode, c.Begin, c.End, c.Cut, c.Outcome, c.Total))
	}
	for _, x := range t.Executions() {
		start, end := x.Times(900)
		line := ""
		if x.Call != nil {
			line = x.Call.Line
		}
		out = append(out, fmt.Sprintf("node %s#%d in %q %d-%d %s %s %q", x.ID, x.Nth, line, start, end, x.Status, x.Ending(), x.Message))
	}
	return out
}

func TestTimeline(t *testing.T) {
	node := func(id, status string, start, end int64) *journal.Node {
		return &journal.Node{ID: id, Status: status, Start: start, End: end}
	}
	begin := func(pod string, at int64) journal.Entry {
		return journal.Entry{Kind: journal.KindBegin, Pod: pod, At: at}
	}
	command := func(line string, at int64) journal.Entry {
		return journal.Entry{Kind: journal.KindCommand, Line: line, At: at}
	}
	end := func(o journal.Outcome, message string, at int64) journal.Entry {
		return journal.Entry{Kind: journal.KindEnd, At: at, Report: journal.Encode(journal.Report{Outcome: o, Message: message}, journal.MaxEndReport)}
	}
	for name, tc := range map[string]struct {
		reason  string
		entries []journal.Entry
		want    []string
	}{
		"Whole": {"one attempt of one command", []journal.Entry{
			begin("a", 1), command("dbt build", 2), {Kind: journal.KindInvocation, InvocationID: "i"}, {Kind: journal.KindTotal, Total: 2},
			{Kind: journal.KindStart, At: 3, Node: node("m", "", 0, 0)}, {Kind: journal.KindResult, At: 5, Node: node("m", "success", 4, 5)},
			{Kind: journal.KindResult, At: 5, Node: node("s", "skipped", 0, 0)},
			{Kind: journal.KindCommandEnd, At: 6, Outcome: journal.Succeeded}, end(journal.Succeeded, "", 7),
		}, []string{
			`attempt a 1-7 cut=false Succeeded ""`, `call a #0 dbt build i 2-6 cut=false Succeeded of 2`,
			`node m#0 in "dbt build" 4-5 success well ""`, `node s#0 in "dbt build" 5-5 skipped notRun ""`,
		}},
		"Lost": {"a pod that was lost is cut off when the next begins, and what ran in it ran again", []journal.Entry{
			begin("a", 1), command("dbt build", 2), {Kind: journal.KindStart, At: 3, Node: node("m", "", 0, 0)},
			begin("b", 10), command("dbt retry", 11), {Kind: journal.KindStart, At: 12, Node: node("m", "", 0, 0)},
			{Kind: journal.KindResult, At: 13, Node: node("m", "error", 0, 0)}, {Kind: journal.KindResult, At: 14, Node: &journal.Node{ID: "m", Status: "error", Message: "why"}},
		}, []string{
			`attempt a 1-10 cut=true  ""`, `attempt b 10-0 cut=false  ""`,
			`call a #0 dbt build  2-10 cut=true  of 0`, `call b #0 dbt retry  11-0 cut=false  of 0`,
			`node m#0 in "dbt build" 3-10 interrupted cut "cut off when pod a ended"`, `node m#1 in "dbt retry" 12-13 error badly "why"`,
		}},
		"Late": {"what becomes known of a node after the end is no second run of it", []journal.Entry{
			begin("a", 1), command("dbt build", 2), {Kind: journal.KindResult, At: 5, Node: node("m", "error", 4, 5)},
			end(journal.NodesFailed, "1 node failed", 7), {Kind: journal.KindResult, At: 8, Node: &journal.Node{ID: "m", Status: "error", Message: "why"}},
		}, []string{
			`attempt a 1-7 cut=false NodesFailed "1 node failed"`, `call a #0 dbt build  2-7 cut=true  of 0`, `node m#0 in "dbt build" 4-5 error badly "why"`,
		}},
		"Announced": {"what is to begin is told again when more is known of it, or it is begun otherwise: dbt starts once", []journal.Entry{
			begin("a", 1), command("dbt seed", 2), command("dbt build", 3), {Kind: journal.KindTotal, Total: 2}, command("dbt build", 5), {Kind: journal.KindTotal, Total: 4},
			{Kind: journal.KindInvocation, InvocationID: "i"}, command("dbt test", 7), {Kind: journal.KindResult, At: 8, Node: node("m", "pass", 7, 8)}, command("dbt test", 9),
			command("dbt test", 10), {Kind: journal.KindCommandEnd, At: 11, Outcome: journal.Succeeded}, command("dbt run", 12), begin("b", 13), command("dbt run", 14),
		}, []string{
			`attempt a 1-13 cut=true  ""`, `attempt b 13-0 cut=false  ""`,
			`call a #0 dbt build i 5-7 cut=true  of 4`, `call a #0 dbt test  7-9 cut=true  of 0`, `call a #0 dbt test  10-11 cut=false Succeeded of 0`,
			`call a #0 dbt run  12-13 cut=true  of 0`, `call b #0 dbt run  14-0 cut=false  of 0`, `node m#0 in "dbt test" 7-8 pass well ""`,
		}},
		"Hostile": {"entries without what they belong to are kept without it", []journal.Entry{
			{Kind: journal.KindResult, At: 5, Node: node("m", "pass", 0, 0)}, {Kind: journal.KindCommandEnd, At: 6}, {Kind: journal.KindTotal, Total: 3},
			{Kind: journal.KindInvocation, InvocationID: "i"}, {Kind: journal.KindEnd, At: 7}, {Kind: journal.KindStart, At: 8, Node: node("", "", 0, 0)}, command("dbt ls", 9),
		}, []string{`call  #0 dbt ls  9-0 cut=false  of 0`, `node m#0 in "" 5-5 pass well ""`}},
		"Open": {"what never ended lasts to the run's end", []journal.Entry{
			begin("a", 1), command("dbt build", 2), {Kind: journal.KindStart, At: 3, Node: node("m", "", 0, 0)},
		}, []string{`attempt a 1-0 cut=false  ""`, `call a #0 dbt build  2-0 cut=false  of 0`, `node m#0 in "dbt build" 3-900  cut ""`}},
	} {
		t.Run(name, func(t *testing.T) {
			line := journal.NewTimeline()
			for _, e := range tc.entries {
				line.Apply(e)
			}
			if diff := cmp.Diff(tc.want, told(line)); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.reason, diff)
			}
		})
	}
}

// Whatever a journal holds, a timeline takes so much memory and no more.
func TestTimelineIsBounded(t *testing.T) {
	line := journal.NewTimeline()
	for i := range 150_000 {
		if i < 20_000 {
			line.Apply(journal.Entry{Kind: journal.KindBegin, Pod: fmt.Sprint(i)})
			line.Apply(journal.Entry{Kind: journal.KindCommand, Line: fmt.Sprint(i)})
		}
		line.Apply(journal.Entry{Kind: journal.KindStart, Node: &journal.Node{ID: fmt.Sprint(i)}})
	}
	if a, c, x := len(line.Attempts()), len(line.Calls()), len(line.Executions()); a != 1000 || c != 10_000 || x != 100_000 {
		t.Errorf("%d attempts, %d calls, %d executions", a, c, x)
	}
	if last := line.Attempts()[999]; last.Pod != "19999" {
		t.Errorf("the last attempt is %s", last.Pod)
	}
}
