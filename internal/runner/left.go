package runner

import (
	"cmp"
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"github.com/dbt-operator/dbt-operator/internal/dbt"
	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// goOn returns how to run what is left of a command, and which nodes that is, as they are called in the journal. Where
// that is not sound the command is to begin anew, and its note says why. The error is that of an attempt that was
// stopped meanwhile.
func (r *Runner) goOn(ctx context.Context, p project, b begun) (begun, []string, error) {
	left, err := r.left(ctx, p, &b)
	var gap *batchesLeftOut
	switch {
	case ctx.Err() != nil:
		return b, nil, &stopped{journal.Interrupted, "stopped before " + b.name()}
	case errors.As(err, &gap) && b.retry == 0:
		return b, nil, r.mayNotGoOn(b, gap)
	case err != nil:
		b.mode, b.note, b.spawn, b.total = journal.ModeAnew, r.redact.Clean(err.Error()), nil, 0
		return b, nil, nil
	}
	return b, left, nil
}

// left finds out what is left of a command and lays down what dbt needs to run that alone.
func (r *Runner) left(ctx context.Context, p project, b *begun) ([]string, error) {
	if err := cmp.Or(dbt.Resumable(r.deferring(b.words)), dbt.ResumableIn(r.environ)); err != nil {
		return nil, fmt.Errorf("dbt %s %w", b.words[0], err)
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
	for _, n := range planned.Nodes() {
		names[r.redact.Clean(n.UniqueID)]++
	}
	statuses := map[string]string{}
	var left []string
	for _, n := range planned.Nodes() {
		name := r.redact.Clean(n.UniqueID)
		switch status, ok := done[name]; {
		case ok && names[name] == 1:
			statuses[n.UniqueID] = status
			b.planned++
			if !elsewhere[name] {
				b.total++
			}
		case !n.Idle:
			left = append(left, name)
		}
	}
	if gap := r.batchesLeftOut(*b, planned.Nodes(), left); gap != nil {
		return nil, gap
	}
	b.planned += len(left)
	b.total += int32(len(left))
	return left, r.layDown(b, planned.Results(statuses))
}

// batchesLeftOut is a microbatch model of which more batches were begun than dbt would build if it went on: as its table is
// there now, those of its lookback alone. Which of the others are built nobody can tell but the dbt that is gone, and to
// begin anew would be no better.
type batchesLeftOut struct {
	node          string
	begun, builds int32
}

func (e *batchesLeftOut) Error() string {
	return fmt.Sprintf("%s is a microbatch model of which %d batches were begun, and dbt would build the last %d alone now: run it with --event-time-start and --event-time-end of what is missing, or with --full-refresh",
		e.node, e.begun, e.builds)
}

// batchesLeftOut returns the first of what is left of a command with which dbt would leave out batches, nil when it would with
// none.
func (r *Runner) batchesLeftOut(b begun, planned []dbt.PlannedNode, left []string) *batchesLeftOut {
	if dbt.Windowed(b.words) {
		return nil
	}
	batches := map[string]int32{}
	look := func(nodes []journal.Node) {
		for _, n := range nodes {
			// Of one that is an error no batch was built: the window is the same again.
			if batches[n.ID] = n.Batches; n.Status == "error" {
				batches[n.ID] = 0
			}
		}
	}
	if r.from != nil {
		look(r.from.Nodes(b.index))
	}
	look(r.state.Nodes(b.index))
	for _, n := range planned {
		name := r.redact.Clean(n.UniqueID)
		if builds := n.Lookback + 1; batches[name] > builds && slices.Contains(left, name) {
			return &batchesLeftOut{name, batches[name], builds}
		}
	}
	return nil
}

// mayNotGoOn records that a command failed, as going on with it would pass for success and leave out data.
func (r *Runner) mayNotGoOn(b begun, why error) error {
	b.note = "it was not gone on with"
	r.begin(b)
	message := b.name() + " cannot go on: " + why.Error()
	r.enter(journal.Entry{Kind: journal.KindCommandEnd, ExitCode: -1, Outcome: journal.DbtError, Message: message})
	return &stopped{journal.DbtError, message}
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
func (r *Runner) planned(ctx context.Context, p project, words []string) (*dbt.Plan, error) {
	ls, err := dbt.PlanWords(r.deferring(words))
	if err != nil {
		return nil, err
	}
	out := dbt.NewPlan(words)
	var said tail
	exit, err := r.spawn(ctx, p, ls, func(line []byte) {
		e, ok := dbt.ParseEvent(line)
		if !ok {
			return
		}
		out.Observe(e)
		if e.Level == "error" {
			said.add(r.redact.Clean(e.Message))
		}
	})
	switch {
	case err != nil:
		return nil, err
	case exit.Code != 0:
		return nil, fmt.Errorf("dbt ls ended with exit code %d: %s", exit.Code, strings.Join(append(said.lines, exit.Stderr), " "))
	case !out.Complete():
		return nil, errors.New("dbt ls names no nodes, or too many")
	}
	return out, nil
}

// layDown writes the folder from which dbt takes what is left of a command.
func (r *Runner) layDown(b *begun, results []dbt.Result) error {
	dir := r.folders.resume()
	words, err := dbt.RetryWords(r.deferring(b.words), dir)
	if err != nil {
		return err
	}
	if err := errors.Join(os.RemoveAll(dir), os.MkdirAll(dir, 0o755)); err != nil {
		return err
	}
	if err := r.layDownState(dir); err != nil {
		return err
	}
	f, err := os.Create(filepath.Join(dir, runResults))
	if err != nil {
		return err
	}
	before, _ := r.state.Command(b.index)
	b.spawn = words
	return errors.Join(dbt.WriteRunResults(f, dbt.RunResults{
		Command: b.words[0], Version: r.state.Report("").Dbt, InvocationID: before.InvocationID, Time: r.now(), Results: results,
	}), f.Close())
}

// judgeRest returns an error for a command that ended well by what dbt said of the nodes it ran, when nodes that an
// earlier attempt left are not among them.
func (r *Runner) judgeRest(b begun) error {
	if b.spawn == nil {
		return nil
	}
	for _, n := range r.state.Nodes(b.index) {
		if n.Failed() {
			return &stopped{journal.DbtError, fmt.Sprintf("dbt %s ended well, but did not run %s, which was %s before", b.words[0], n.ID, n.Status)}
		}
	}
	return nil
}
