package runner

import (
	"strings"
	"testing"

	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// Fault 38: a warehouse that takes the token no more says so, and its words are the run's message.
func TestTokenDiesInTheMiddle(t *testing.T) {
	p := newPod(t)
	const why = "Database Error\n  250001 (08001): 390144: JWT token has expired. Obtain a new one and connect again."
	p.dbt.script(1, version(),
		started(model(1), 2), finished(model(1), "success", "", 2),
		started(model(2), 2), finished(model(2), "error", why, 2), explained(model(2), why), exits(1))
	code, report := p.run()
	if code != journal.ExitNodesFailed || report.Results.Success != 1 || report.Results.Error != 1 {
		t.Errorf("got %d, %+v: what was made before counts as made", code, report.Results)
	}
	if !strings.Contains(report.Message, "token has expired") || !strings.Contains(report.Failures[0].Message, "token has expired") {
		t.Errorf("nothing says that the token has expired: %q, %+v", report.Message, report.Failures)
	}
}
