package ui

import (
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"time"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/cli/ui/model"
)

// heartbeat is how often a page is told that this process is still there.
const heartbeat = 15 * time.Second

// live tells a page of runs as they change, as server-sent events: "runs" has all of them, "run" one that is new or has
// changed, "gone" one that was deleted, "problem" a sentence on why there will be no more.
func (s *Server) live(w http.ResponseWriter, r *http.Request) {
	w.Header().Set("Content-Type", "text/event-stream")
	out := &stream{w: w, flush: http.NewResponseController(w).Flush}
	ticks := s.Clock.NewTicker(heartbeat)
	defer ticks.Stop()
	done := make(chan struct{})
	var beats sync.WaitGroup
	beats.Go(func() {
		for {
			select {
			case <-ticks.C():
				_ = out.send("beat", struct{}{}) // the next event says so as well
			case <-done:
				return
			}
		}
	})
	err := s.Source.Follow(r.Context(), s.Namespace, func(runs []v1alpha1.DbtRun) error {
		rows := make([]model.Run, 0, len(runs))
		for i := range runs {
			rows = append(rows, model.RowOf(&runs[i]))
		}
		return out.send("runs", rows)
	}, func(run *v1alpha1.DbtRun) error {
		return out.send("run", model.RowOf(run))
	}, func(run *v1alpha1.DbtRun) error {
		return out.send("gone", model.RowOf(run))
	})
	if err != nil && r.Context().Err() == nil {
		_ = out.send("problem", map[string]string{"error": err.Error()}) // nobody is left to tell
	}
	close(done)
	beats.Wait()
}

// stream writes server-sent events.
type stream struct {
	mu    sync.Mutex
	w     http.ResponseWriter
	flush func() error
}

func (s *stream) send(event string, value any) error {
	raw, err := json.Marshal(value)
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if _, err := fmt.Fprintf(s.w, "event: %s\ndata: %s\n\n", event, raw); err != nil {
		return err
	}
	return s.flush()
}

// tail returns the last lines that the status has, when the log cannot be had.
func (s *Server) tail(run *v1alpha1.DbtRun, q model.LogQuery, why error) (any, error) {
	if run.Status.Log == nil || run.Status.Log.Tail == "" {
		return nil, why
	}
	out, err := model.SearchLog(strings.NewReader(strings.TrimRight(run.Status.Log.Tail, "\n")+"\n"), q)
	out.Notes = append(out.Notes, fmt.Sprintf("These are the last lines alone, from the run's status: %s.", why))
	return out, err
}
