package integration

import (
	"bufio"
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/cli/ui"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// The pages get what a viewer may read from a real API server and a collector, and hear of what changes. What the pages make
// of it is test/ui's to prove.
func TestPluginServesTheUI(t *testing.T) {
	l := newLibrary(t)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out output
	done := make(chan printed, 1)
	go func() { done <- l.dbtInto(ctx, l.jane, &out, &output{}, l.of("ui")...) }()
	var at []string
	testutil.Eventually(t, "the address", patience, func() (bool, string) {
		at = regexp.MustCompile(`(http://127\.0\.0\.1:\d+)/#token=([\w-]+) `).FindStringSubmatch(out.String())
		return at != nil, out.String()
	})
	ask := func(path string) *http.Response {
		t.Helper()
		r, err := http.NewRequestWithContext(ctx, http.MethodGet, at[1]+path, nil)
		l.ok("request", err)
		r.Header.Set(ui.HeaderToken, at[2])
		answer, err := http.DefaultClient.Do(r)
		l.ok(path, err)
		return answer
	}
	for path, want := range map[string]string{
		"":           `"phase":"Failed"`,
		"/timeline":  `"line":"dbt build"`,
		"/lineage":   `"class":"error"`,
		"/failures":  `"sql":"select no_such_column\nfrom raw.orders"`,
		"/log?q=err": `"text":"1 of 2 ERROR orders"`,
	} {
		answer := ask("/api/runs/" + l.ns + "/bad" + path)
		body, err := io.ReadAll(answer.Body)
		_ = answer.Body.Close()
		if err != nil || answer.StatusCode != http.StatusOK || !strings.Contains(string(body), want) {
			t.Errorf("%q: %d %s, want %s", path, answer.StatusCode, body, want)
		}
	}
	answer := ask("/api/live")
	defer func() { _ = answer.Body.Close() }()
	events := bufio.NewScanner(answer.Body)
	next := func(kind, with string) {
		t.Helper()
		for event := ""; events.Scan(); {
			if name, ok := strings.CutPrefix(events.Text(), "event: "); ok {
				event = name
			} else if event == kind && strings.Contains(events.Text(), with) {
				return
			}
		}
		t.Fatalf("there is no event %s with %s: %v", kind, with, events.Err())
	}
	next("runs", `"name":"good"`)
	run := l.run("new").Obj()
	l.ok("run", l.admin.Create(t.Context(), run))
	next("run", `"name":"new"`)
	l.status(run, v1alpha1.PhaseRunning, v1alpha1.ReasonRunning)
	next("run", `"phase":"Running"`)
	l.ok("delete", l.admin.Delete(t.Context(), run))
	next("gone", `"name":"new"`)
	cancel()
	if got := <-done; got.code != 0 {
		t.Errorf("stopped: %+v", got)
	}
}
