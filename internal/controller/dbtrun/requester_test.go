package dbtrun

import (
	"strings"
	"testing"

	"k8s.io/client-go/tools/events"

	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// The event of a run's start names who asked for it, whatever they are called; a run that nobody is known for has no such
// words.
func TestStartNamesTheRequester(t *testing.T) {
	inline := testutil.MakeDbtProject("x").Obj()
	for name, c := range map[string]struct {
		reason string
		run    *testutil.RunWrapper
		want   string
	}{
		"named":   {"attributed", makeRun("r").Inline(inline).RequestedBy("ada@example.com"), "Normal Starting Requested by ada@example.com. "},
		"nobody":  {"the cluster does not stamp", makeRun("r").Inline(inline), "Normal Starting "},
		"item 19": {"a name of 10,000 characters", makeRun("r").Inline(inline).RequestedBy(strings.Repeat("a", 10000)), "Normal Starting Requested by " + strings.Repeat("a", 256) + "…. "},
	} {
		t.Run(name, func(t *testing.T) {
			t.Log(c.reason)
			b := newBench(t, c.run.Obj())
			b.pass("r")
			recorder, ok := b.r.recorder.(*events.FakeRecorder)
			if !ok || len(recorder.Events) != 1 {
				t.Fatalf("recorder %T", b.r.recorder)
			}
			if got := <-recorder.Events; !strings.HasPrefix(got, c.want) || strings.Contains(got, "Requested") != strings.Contains(c.want, "Requested") {
				t.Errorf("event %q, want %q", got, c.want)
			}
		})
	}
}
