package runner

import (
	"fmt"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/plan"
	"github.com/dbt-operator/dbt-operator/internal/testutil/collectortest"
)

// A retry is in the journal before it is known what is left, before it waits, and when dbt starts.
func TestTimelineOfRetries(t *testing.T) {
	c := collectortest.New(t)
	p := attemptOf(t, c, "pod-a")
	p.plan.RetryNodes = plan.RetryNodes{Limit: 2, DelaySeconds: 1}
	p.after = hurried()
	fails := script(started(model(2), 2), finished(model(2), "error", "not yet", 2), exits(1))
	p.dbt.script(1, script(made(1, 1, 2), fails)...)
	p.dbt.script(2, listed(2)...)
	p.dbt.script(3, fails...)
	p.dbt.script(4, listed(2)...)
	p.dbt.script(5, made(2, 2, 1)...)
	if code, report := p.run(); code != 0 {
		t.Fatalf("got %d, %+v", code, report)
	}
	line := journal.NewTimeline()
	for _, e := range c.Entries(t) {
		line.Apply(e)
	}
	var got []string
	for _, call := range line.Calls() {
		got = append(got, fmt.Sprint(call.Line, " ", call.Mode, " ", call.Outcome, " ", call.Cut))
	}
	want := []string{"dbt build  NodesFailed false", "dbt build retry NodesFailed false", "dbt build retry Succeeded false"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("dbt was started three times (-want +got):\n%s", diff)
	}
}
