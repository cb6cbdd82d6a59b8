package runner

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// retried runs nodes that failed again, as often as the plan says, when err is how a command ended with such nodes. It
// returns how the command ended in the end.
func (r *Runner) retried(ctx context.Context, p project, b begun, err error) error {
	for n := int32(1); n <= r.plan.RetryNodes.Limit; n++ {
		var stop *stopped
		if !errors.As(err, &stop) || stop.outcome != journal.NodesFailed || ctx.Err() != nil {
			return err
		}
		next := begun{index: b.index, words: b.words, mode: journal.ModeRetry, retry: n}
		next.note = fmt.Sprintf("retry %d of %d", n, r.plan.RetryNodes.Limit)
		ended, _ := r.state.Command(b.index)
		// The retry is in the journal before all else: a pod that is lost meanwhile is gone on with.
		r.begin(next)
		next, why, failed := r.retryable(ctx, p, next)
		if failed == nil && why == "" {
			failed = r.delay(ctx, next)
		}
		if failed != nil {
			r.enter(journal.Entry{Kind: journal.KindCommandEnd, ExitCode: -1, Outcome: journal.Interrupted, Message: failed.Error()})
			return failed
		}
		if why == "" {
			retry := r.command(ctx, p, next)
			if !r.cameToNothing(ctx, retry) {
				err = retry
				continue
			}
			why = retry.Error()
		}
		r.print.line("warn", "The nodes that failed are not retried: "+why)
		r.enter(journal.Entry{Kind: journal.KindCommandEnd, ExitCode: ended.ExitCode, Outcome: ended.Outcome, Message: ended.Message})
		return err
	}
	return err
}

// retryable returns how a retry begins, or why there is none. The error is that of an attempt that was stopped meanwhile.
func (r *Runner) retryable(ctx context.Context, p project, b begun) (begun, string, error) {
	next, left, err := r.goOn(ctx, p, b)
	switch {
	case err != nil:
		return b, "", err
	case next.mode != b.mode:
		return b, next.note, nil
	case len(left) == 0 && slices.ContainsFunc(r.state.Nodes(b.index), journal.Node.Hook):
		return b, "they are hooks, which dbt does not run alone", nil
	case len(left) == 0:
		return b, "they are no more part of what " + b.name() + " selects", nil
	}
	next.note = fmt.Sprintf("%s: %d nodes: %s", b.note, len(left), short(left))
	r.print.line("info", next.name()+": "+next.note)
	return next, "", nil
}

// delay waits before nodes are retried.
func (r *Runner) delay(ctx context.Context, b begun) error {
	d := time.Duration(r.plan.RetryNodes.DelaySeconds) * time.Second
	if d <= 0 {
		return nil
	}
	r.begin(b)
	r.print.line("info", fmt.Sprintf("The retry begins in %s", d))
	select {
	case <-r.after(d):
		return nil
	case <-ctx.Done():
		return &stopped{journal.Interrupted, "stopped before " + b.name() + " was retried"}
	}
}
