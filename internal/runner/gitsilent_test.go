package runner

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/plan"
)

// silent serves no repository: it says what first writes, if anything, and then nothing until the client goes away. asked is
// closed when it came to that.
func silent(t *testing.T, first func(http.ResponseWriter)) (server *httptest.Server, asked chan struct{}) {
	t.Helper()
	asked = make(chan struct{})
	server = httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		first(w)
		close(asked)
		<-r.Context().Done()
	}))
	t.Cleanup(server.Close)
	return server, asked
}

func TestGitFetchHasAnEnd(t *testing.T) {
	commit := plan.Git{Commit: "0123456789012345678901234567890123456789"}
	nothing := func(http.ResponseWriter) {}
	body := func(w http.ResponseWriter) {
		w.Header().Set("Content-Type", "application/x-git-upload-pack-advertisement")
		_, _ = w.Write([]byte("001e# service=git-upload-pack\n0000"))
		w.(http.Flusher).Flush()
	}
	tests := map[string]struct {
		reason  string
		git     plan.Git
		first   func(http.ResponseWriter)
		stopped bool // the run is, while it fetches
		outcome journal.Outcome
		message string
	}{
		"NoAnswer": {"another pod may find the server better", plan.Git{Branch: "main"}, nothing, false, journal.SourceUnavailable, "fetching refs/heads/main from git at URL: it has not ended within 15m0s"},
		"NoEnd":    {"what stops in the middle is as silent", plan.Git{}, body, false, journal.SourceUnavailable, "fetching HEAD from git at URL: it has not ended within 15m0s"},
		"Commit":   {"nor are all branches asked for then", commit, nothing, false, journal.SourceUnavailable, "fetching " + commit.Commit + " from git at URL: it has not ended within 15m0s"},
		"Stopped":  {"what somebody stopped is not the server's fault", plan.Git{}, nothing, true, journal.Interrupted, "stopped while fetching the source"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			server, asked := silent(t, tc.first)
			tc.git.URL = server.URL + "/shop"
			p := gitPod(t, tc.git)
			ctx, stop := context.WithTimeout(t.Context(), patience)
			defer stop()
			end := make(chan time.Time)
			go func() {
				<-asked
				if tc.stopped {
					stop()
				} else {
					close(end)
				}
			}()
			p.after = func(d time.Duration) <-chan time.Time {
				if d == gitPatience {
					return end
				}
				return nil
			}
			p.runner().Run(ctx)
			report := p.report()
			if want := strings.Replace(tc.message, "URL", tc.git.URL, 1); report.Outcome != tc.outcome || report.Message != want {
				t.Errorf("%s:\n got %s %q\nwant %s %q", tc.reason, report.Outcome, report.Message, tc.outcome, want)
			}
		})
	}
}

func TestGitWaitsForHeadersNotForEver(t *testing.T) {
	if d := safeTransport().ResponseHeaderTimeout; d <= 0 || d >= gitPatience {
		t.Errorf("%s, want less than the %s of the whole fetch", d, gitPatience)
	}
}
