package runner

import (
	"context"
	"errors"
	"fmt"
	"strings"
	"time"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/ship"
)

const (
	// startPatience is how long a pod waits for a collector that it cannot reach before it begins without knowing what
	// earlier pods of the run did: an operator that was killed leads again within half a minute.
	startPatience = 45 * time.Second
	// endPatience is how long a pod waits at its end for a collector that was there, awayPatience for one that never was.
	endPatience  = 30 * time.Second
	awayPatience = 10 * time.Second
	// filesPatience is how long a pod waits for its log and artifacts to be taken, once the journal is.
	filesPatience = 5 * time.Minute
	// maxLog is how much of the log, compressed, a pod keeps for a collector that is away.
	maxLog = 256 << 20
)

// collector is the way to the operator's collector.
type collector struct {
	client  *ship.Client
	journal *ship.Stream
	stream  *ship.Stream // of the log
	log     *ship.Log
	uploads *uploads
	open    bool // there is an attempt to speak of
	reached bool // it has said what the attempt has to know
	refused bool // it will not hear this pod
}

// hard returns a context that is done when the pod's grace period is nearly over after ctx was done: what is not said
// by then is never said.
func (r *Runner) hard(ctx context.Context) (context.Context, context.CancelFunc) {
	hard, cancel := context.WithCancel(context.WithoutCancel(ctx))
	go func() {
		select {
		case <-hard.Done():
			return
		case <-ctx.Done():
		}
		select {
		case <-hard.Done():
		case <-r.after(max(time.Second, time.Duration(r.plan.GracePeriodSeconds)*time.Second-margin)):
			cancel()
		}
	}()
	return hard, cancel
}

// within returns a context that is done after d.
func (r *Runner) within(ctx context.Context, d time.Duration) (context.Context, context.CancelFunc) {
	ctx, cancel := context.WithCancel(ctx)
	go func() {
		select {
		case <-ctx.Done():
		case <-r.after(d):
			cancel()
		}
	}()
	return ctx, cancel
}

// connect makes the client that the plan asks for.
func (r *Runner) connect() {
	if r.plan.Collector == nil {
		return
	}
	client, err := ship.NewClient(ship.Config{
		URL: r.plan.Collector.URL, CA: r.plan.Collector.CA, Token: r.paths.CollectorToken, After: r.after, Jitter: r.jitter,
	})
	if err != nil {
		r.print.line("warn", "Nothing of this run will be kept: "+err.Error())
		return
	}
	r.collector = &collector{client: client}
}

// listen begins the attempt's streams, into which the log goes from now on. They are sent once the attempt has begun.
func (r *Runner) listen() {
	if c := r.collector; c != nil {
		c.journal = ship.NewStream(c.client, journal.StreamJournal, r.folders.workspace, 0)
		c.stream = ship.NewStream(c.client, journal.StreamLog, r.folders.workspace, maxLog)
		c.log = ship.NewLog(c.stream)
		r.print.tee(c.log)
	}
}

// ask learns what the attempt has to know before it begins. It returns an error when there is nothing to do. A
// collector that is away for too long is done without.
func (r *Runner) ask(ctx context.Context) error {
	if r.collector == nil {
		return nil
	}
	waiting, cancel := r.within(ctx, startPatience)
	defer cancel()
	reply, err := r.collector.client.Attempt(waiting)
	if err != nil {
		r.away(ctx, err)
		return nil
	}
	r.collector.reached = true
	if reply.Over {
		return over(reply.Outcome)
	}
	r.earlier, r.anew = reply, reply.Anew
	return nil
}

// recall gets what was done before this attempt, where there is any.
func (r *Runner) recall(ctx context.Context) {
	c := r.collector
	if c == nil || !c.reached {
		if r.plan.ResumeFrom {
			r.noFrom = "what the other run did is not known without the collector"
		}
		return
	}
	waiting, cancel := r.within(ctx, startPatience)
	defer cancel()
	if r.earlier.Earlier > 0 {
		state, err := c.client.Journal(waiting, false)
		if err != nil {
			r.print.line("warn", "All is run: "+err.Error())
		} else {
			r.state = state
		}
	}
	if r.plan.ResumeFrom {
		from, err := c.client.Journal(waiting, true)
		if err != nil {
			r.noFrom = err.Error()
		} else {
			r.from = from
		}
	}
}

// away says that the collector could not be reached.
func (r *Runner) away(ctx context.Context, err error) {
	if ctx.Err() != nil {
		return
	}
	r.collector.refused = errors.Is(err, ship.ErrRefused)
	r.print.line("warn", "The run begins without the collector: "+err.Error())
}

func over(o journal.Outcome) error {
	if o.ExitCode() == 1 { // none that is known: somebody stopped the run
		o = journal.Interrupted
	}
	return &stopped{o, fmt.Sprintf("the run had ended (%s) before this pod began: nothing was done", o)}
}

// open begins the attempt.
func (r *Runner) open(ctx context.Context) {
	if c := r.collector; c != nil && c.refused {
		r.print.tee(nil)
		r.collector = nil
	} else if c != nil {
		c.open = true
		r.startUploads(ctx)
		for _, s := range []*ship.Stream{c.journal, c.stream} {
			s.Start(ctx, c.offset(r.earlier, s))
		}
	}
	r.enter(journal.Entry{Kind: journal.KindBegin, Pod: r.pod()})
}

// offset returns where a stream of ours begins, -1 when that is not known.
func (c *collector) offset(reply journal.AttemptReply, s *ship.Stream) int64 {
	if !c.reached {
		return -1
	}
	if s == c.journal {
		return reply.Offsets[journal.StreamJournal]
	}
	return reply.Offsets[journal.StreamLog]
}

// pod returns the pod's name: kubelet makes it the host's.
func (r *Runner) pod() string {
	for _, e := range r.environ {
		if name, ok := strings.CutPrefix(e, "HOSTNAME="); ok {
			return name
		}
	}
	return ""
}

// enter hands an entry on.
func (c *collector) enter(e journal.Entry) {
	if c.open {
		c.journal.Append(journal.EncodeEntry(e), e.Kind == journal.KindEnd)
	}
}

// deliver waits for the collector to take what the run has to say: the journal first, which is the result, then the
// log and the artifacts. It gives up in time, and says so.
func (r *Runner) deliver(hard context.Context) {
	c := r.collector
	if c == nil || !c.open {
		return
	}
	patience := awayPatience
	if c.client.Reached() {
		patience = endPatience
	}
	if err := r.drain(hard, c.journal, patience); err != nil {
		r.print.line("warn", "The operator gets this run's result from the pod's end alone: "+err.Error())
		return
	}
	files, cancel := r.within(hard, filesPatience)
	defer cancel()
	c.log.Flush()
	if err := c.stream.Drain(files); err != nil {
		r.print.line("warn", err.Error())
	}
	r.upload(files)
	c.log.Close()
	r.print.tee(nil)
	err := errors.Join(c.stream.Drain(files), c.client.Done(files))
	if err != nil {
		r.print.line("warn", err.Error())
	}
}

func (r *Runner) drain(ctx context.Context, s *ship.Stream, patience time.Duration) error {
	ctx, cancel := r.within(ctx, patience)
	defer cancel()
	return s.Drain(ctx)
}
