package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"github.com/dbt-operator/dbt-operator/internal/dbt"
	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// goOn returns how to run what is left of a command, and which nodes that is, as they are called in the journal. Where
// that is not sound the command is to begin anew, and its note says why. The error is that of an attempt that was
// stopped meanwhile.
func (r *Runner) goOn(ctx context.Context, p project, b begun) (begun, []string, error) {
	left, err := r.left(ctx, p, &b)
	switch {
	case ctx.Err() != nil:
		return b, nil, &stopped{journal.Interrupted, "stopped before " + b.name()}
	case err != nil:
		b.mode, b.note, b.spawn, b.total = journal.ModeAnew, r.redact.Clean(err.Error()), nil, 0
		return b, nil, nil
	}
	return b, left, nil
}

// left finds out what is left of a command and lays down what `dbt retry` needs to run that alone.
func (r *Runner) left(ctx context.Context, p project, b *begun) ([]string, error) {
	if why := resumable(b.words); why != "" {
		return nil, errors.New(why)
	}
	done, elsewhere := r.done(b.index)
	if len(done) == 0 {
		return nil, errors.New("nothing of it was done")
	}
	planned, err := r.planned(ctx, p, b.words)
	if err != nil {
		return nil, fmt.Errorf("what it selects cannot be computed: %w", err)
	}
	// Nodes are known here by their names in the journal, which are redacted. Two that became one there are run again.
	names := map[string]int{}
	for _, n := range planned {
		names[r.redact.Clean(n.ID)]++
	}
	var left []string
	for i, n := range planned {
		name := r.redact.Clean(n.ID)
		if status, ok := done[name]; ok && names[name] == 1 {
			planned[i].Status = status
			if !elsewhere[name] {
				b.total++
			}
		} else {
			left = append(left, name)
		}
	}
	b.planned = len(planned)
	b.total += int32(len(left))
	return left, r.prepareRetry(b, planned)
}

// done returns the nodes of a command that have nothing left to do, with their status, and which of them that other run
// did which this one goes on from.
func (r *Runner) done(index int32) (done map[string]string, elsewhere map[string]bool) {
	done, elsewhere = map[string]string{}, map[string]bool{}
	if r.from != nil {
		for _, n := range r.from.Nodes(index) {
			if dbt.NodeDone(n.Status) {
				done[n.ID], elsewhere[n.ID] = n.Status, true
			}
		}
	}
	for _, n := range r.state.Nodes(index) {
		delete(done, n.ID)
		delete(elsewhere, n.ID)
		if dbt.NodeDone(n.Status) {
			done[n.ID] = n.Status
		}
	}
	return done, elsewhere
}

// planned returns the nodes that a command selects.
func (r *Runner) planned(ctx context.Context, p project, words []string) ([]plannedNode, error) {
	var out []plannedNode
	var said tail
	exit, err := r.spawn(ctx, p, planWords(words), func(line []byte) {
		if n, ok := parsePlanned(line); ok {
			out = append(out, n)
			return
		}
		if e, ok := dbt.ParseEvent(line); ok && e.Level == "error" {
			said.add(r.redact.Clean(e.Message))
		}
	})
	switch {
	case err != nil:
		return nil, err
	case exit.Code != 0:
		return nil, fmt.Errorf("dbt ls ended with exit code %d: %s", exit.Code, strings.Join(append(said.lines, exit.Stderr), " "))
	case len(out) == 0:
		return nil, errors.New("dbt ls names no nodes")
	}
	return out, nil
}

// prepareRetry lays down the folder that `dbt retry` reads.
func (r *Runner) prepareRetry(b *begun, planned []plannedNode) error {
	dir := r.folders.resume()
	if err := os.RemoveAll(dir); err != nil {
		return err
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	if err := copyFile(filepath.Join(dir, "manifest.json"), filepath.Join(r.folders.target(), "manifest.json")); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, "run_results.json"))
	if err != nil {
		return err
	}
	err = errors.Join(writeRunResults(f, b.words, planned, r.plan.Target, r.state.Report("").Dbt), f.Close())
	b.spawn = retryWords(b.words, dir)
	return err
}

// judgeRest returns an error for a command that ended well by what dbt said of the nodes it ran, when nodes that an
// earlier attempt left are not among them.
func (r *Runner) judgeRest(b begun) error {
	if b.spawn == nil {
		return nil
	}
	for _, n := range r.state.Nodes(b.index) {
		if dbt.NodeFailed(n.Status) || n.Status == journal.StatusInterrupted {
			return &stopped{journal.DbtError, fmt.Sprintf("dbt retry ended well, but did not run %s, which was %s before", n.ID, n.Status)}
		}
	}
	return nil
}
