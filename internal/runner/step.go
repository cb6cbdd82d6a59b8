package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strings"

	"github.com/dbt-operator/dbt-operator/internal/dbt"
	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// pin records the revision that the attempt runs on, and decides whether what earlier attempts did can be gone on with.
func (r *Runner) pin(revision string) {
	if was := r.earlier.Source; r.anew == "" && was != "" && was != revision {
		r.anew = fmt.Sprintf("the source is at %s now, and was at %s before", revision, was)
	}
	if revision != "" {
		r.enter(journal.Entry{Kind: journal.KindSource, Source: revision})
	}
	if r.anew == "" {
		return
	}
	// All commands are begun anew, also those that an attempt after this one would find to have ended well.
	for _, c := range r.state.Commands() {
		if c.Index != deps {
			r.enter(journal.Entry{Kind: journal.KindCommand, Command: c.Index, Line: c.Line, Mode: journal.ModeAnew, Note: r.anew})
		}
	}
}

// step runs the command with this index, or what is left of it, and what failed of it again if the plan says so.
func (r *Runner) step(ctx context.Context, p project, index int32, words []string) error {
	b := begun{index: index, words: words}
	c, before := r.state.Command(index)
	switch {
	case !before && r.from != nil:
		return r.stepFrom(ctx, p, b)
	case !before && r.noFrom != "":
		b.mode, b.note = journal.ModeAnew, r.noFrom
	case !before:
	case r.anew != "":
		b.mode, b.note = journal.ModeAnew, r.anew
	case c.Outcome == journal.Succeeded && words[0] == "deps":
		b.mode, b.note = journal.ModeAnew, noPackages
	case c.Outcome == journal.Succeeded:
		r.print.line("info", b.name()+" ended well in an earlier pod of this run: it is not run again")
		return nil
	case c.Outcome == journal.NodesFailed, c.Outcome == journal.DbtError:
		return &stopped{c.Outcome, c.Message}
	default:
		return r.resume(ctx, p, b)
	}
	return r.retried(ctx, p, b, r.command(ctx, p, b))
}

const noPackages = "packages are not kept between pods"

// resume goes on with a command that was cut off: with what is left of it where that is sound, else from its start.
func (r *Runner) resume(ctx context.Context, p project, b begun) error {
	b.mode = journal.ModeResumed
	b, left, err := r.goOn(ctx, p, b)
	if err != nil {
		return err
	}
	if b.mode == journal.ModeResumed {
		b.note = fmt.Sprintf("%d of %d nodes were left", len(left), b.total)
	}
	return r.rest(ctx, p, b, left)
}

// rest runs what is left of a command or, where goOn says so, all of it.
func (r *Runner) rest(ctx context.Context, p project, b begun, left []string) error {
	over := b.spawn != nil && len(left) == 0
	if over {
		if why := r.unfinished(p, b.index); why != "" {
			b, over = b.anew(why), false
		}
	}
	r.print.line("info", r.begins(b))
	if over {
		return r.nothingLeft(b)
	}
	err := r.command(ctx, p, b)
	if b.spawn != nil && r.cameToNothing(ctx, err) {
		b = b.anew("what was left did not begin: " + err.Error())
		r.print.line("info", r.begins(b))
		err = r.command(ctx, p, b)
	}
	return r.retried(ctx, p, b, err)
}

// unfinished says why a command is not over of which no node is left, empty when it is. What is left then dbt does not do
// alone: without a node to run it runs no hook (dbt/task/runnable.py of dbt 1.11).
func (r *Runner) unfinished(p project, index int32) string {
	of := r.state
	c, began := of.Command(index)
	if !began && r.from != nil {
		of = r.from
		c, _ = of.Command(index)
	}
	nodes := of.Nodes(index)
	if i := slices.IndexFunc(nodes, func(n journal.Node) bool { return n.Hook() && n.Failed() }); i >= 0 {
		return "its nodes had ended well, and its hook " + nodes[i].ID + " had failed"
	}
	switch c.Outcome {
	case journal.Succeeded, journal.NodesFailed:
		return ""
	case journal.DbtError:
		return "its nodes had ended well, and then dbt failed"
	}
	if dbt.EndHooks(os.DirFS(p.Dir)) {
		return "its nodes had ended well, and nobody knows how far its hooks at the end had come"
	}
	return ""
}

// cameToNothing reports whether err is that of a dbt that failed before it came to any node.
func (r *Runner) cameToNothing(ctx context.Context, err error) bool {
	var stop *stopped
	return ctx.Err() == nil && errors.As(err, &stop) && stop.outcome == journal.DbtError && r.record.Nodes() == 0
}

// begins says how a command begins when not for the first time.
func (r *Runner) begins(b begun) string {
	if b.mode == journal.ModeAnew {
		return b.name() + " is begun anew: " + b.note
	}
	return b.name() + " goes on: " + b.note
}

// stepFrom runs a command of a run that goes on from another: not at all when it ended well there, what had failed and
// had not run there when it did not, and all of it when that one did not come to it.
func (r *Runner) stepFrom(ctx context.Context, p project, b begun) error {
	was, before := r.from.Command(b.index)
	switch {
	case !before:
	case was.Line != (journal.Entry{Line: r.redact.Clean(b.name())}).Bounded().Line:
		b.note = "the run that this one goes on from ran another command here: " + was.Line
	case was.Outcome == journal.Succeeded && b.words[0] != "deps":
		b.mode, b.note = journal.ModeResumed, "it ended well in the run that this one goes on from"
		r.print.line("info", r.begins(b))
		return r.nothingLeft(b)
	case was.Outcome != journal.Succeeded:
		return r.goOnFrom(ctx, p, b)
	}
	return r.retried(ctx, p, b, r.command(ctx, p, b))
}

func (r *Runner) goOnFrom(ctx context.Context, p project, b begun) error {
	b.mode = journal.ModeRetry
	b, left, err := r.goOn(ctx, p, b)
	if err != nil {
		return err
	}
	if b.mode == journal.ModeRetry {
		b.note = fmt.Sprintf("%d of %d nodes had not ended well in the run that this one goes on from; the others are not counted here: %s", len(left), b.planned, short(left))
	}
	return r.rest(ctx, p, b, left)
}

// nothingLeft records a command of which nothing is left to run.
func (r *Runner) nothingLeft(b begun) error {
	r.begin(b)
	r.enter(journal.Entry{Kind: journal.KindCommandEnd, Outcome: journal.Succeeded})
	return nil
}

// short names the first few of many.
func short(names []string) string {
	const most = 5
	if len(names) <= most {
		return strings.Join(names, ", ")
	}
	return fmt.Sprintf("%s and %d more", strings.Join(names[:most], ", "), len(names)-most)
}
