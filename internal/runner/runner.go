package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"time"

	"github.com/dbt-operator/dbt-operator/internal/dbt"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/plan"
)

// Config is what a Runner is made of. Every field but Environ, After and Jitter is needed.
type Config struct {
	Plan plan.Plan
	// Environ is the container's environment, as os.Environ returns it.
	Environ []string
	Stdout  io.Writer
	Now     func() time.Time
	// After returns a channel that gets a value when d has passed; nil means time.After.
	After func(d time.Duration) <-chan time.Time
	// Jitter returns a number in [0, 1) by which waits for the collector are spread; nil means 0.5 each time.
	Jitter func() float64
	// Paths are where the operator mounts things.
	Paths Paths
}

// Paths are folders and files of the pod.
type Paths struct {
	Workspace, ConfigMap, Tokens, CollectorToken, GitCredentials, TerminationLog string
	// Root is where the kernel's files are looked for, empty but in tests.
	Root string
}

// PodPaths returns the paths of a pod that the operator made.
func PodPaths() Paths {
	return Paths{
		Workspace: plan.Workspace, ConfigMap: plan.ConfigMapDir, Tokens: plan.TokensDir, CollectorToken: plan.CollectorToken,
		GitCredentials: plan.GitCredentialsDir, TerminationLog: plan.TerminationLog,
	}
}

// Runner carries out one plan.
type Runner struct {
	plan    plan.Plan
	environ []string
	envFrom envFrom
	paths   Paths
	folders folders
	now     func() time.Time
	after   func(d time.Duration) <-chan time.Time
	jitter  func() float64
	redact  *Redactor
	tokens  *tokens
	print   *printer
	record  *dbt.Recorder

	// state is what the run came to, over all its attempts.
	state *journal.State
	// collector is the way to the operator, nil when the plan names none or it cannot be used.
	collector *collector
	// earlier is what the collector said about the attempts before this one.
	earlier journal.AttemptReply
	// anew says why what earlier attempts did is not gone on with, empty when it is.
	anew string
	// from is what the run did that this one goes on from, nil for none; noFrom says why there is none though the plan
	// asks for it.
	from   *journal.State
	noFrom string
	// mounted brings the source out of a ConfigMap, once.
	mounted func() (project, error)
	// unkept is the artifact that the run_results.json of the last command is to be kept as, empty for none.
	unkept string
	// parseToKeep names the cache that what dbt parses is to be kept as, empty for none.
	parseToKeep string

	outcome journal.Outcome
	message string
}

// New returns a runner of a plan.
func New(c Config) *Runner {
	useSafeHTTP()
	r := &Runner{
		plan: c.Plan, paths: c.Paths, folders: folders{workspace: c.Paths.Workspace},
		now: c.Now, after: c.After, jitter: c.Jitter, state: journal.NewState(),
		print: newPrinter(c.Stdout, nil, c.Plan.LogFormat, c.Plan.Run, c.Now),
	}
	r.environ, r.envFrom = withoutEnvFrom(c.Environ, c.Plan.AWSIdentity)
	if r.after == nil {
		r.after = time.After
	}
	r.record = dbt.NewRecorder(r.changed)
	r.learnSecrets(c.Plan.ProfilesDir)
	return r
}

// learnSecrets reads what must not leave the pod, profiles.yml in the given folder included. It must not be called
// while dbt runs.
func (r *Runner) learnSecrets(profiles string) {
	found := secrets(r.environ, r.plan.SecretEnv, profiles, r.paths.Tokens)
	found = append(found, r.envFrom.secrets...)
	found = append(found, fileSecrets(r.paths.GitCredentials)...)
	if b, err := readSmall(r.paths.CollectorToken); err == nil {
		found = append(found, string(b))
	}
	r.redact = NewRedactor(found)
	r.print.redact = r.redact
}

// Run fetches the source, runs the commands and leaves the report. It returns the process's exit code. When ctx is
// done, dbt is interrupted and waited for.
func (r *Runner) Run(ctx context.Context) int {
	hard, release := r.hard(ctx)
	defer release()
	r.connect()
	r.listen()
	wait := r.fetchAhead()
	defer wait()
	err := r.ask(ctx)
	if err == nil {
		r.recall(ctx)
		r.open(hard)
		err = r.work(ctx)
	}
	r.end(err)
	code := r.leave()
	r.deliver(hard)
	return code
}

// Prepare fetches the source for a container that comes after this one. It leaves a report only when it fails.
func (r *Runner) Prepare(ctx context.Context) int {
	r.connect()
	err := r.ask(ctx)
	if err == nil {
		err = r.prepare(ctx)
	}
	if err == nil {
		return 0
	}
	r.end(err)
	return r.leave()
}

// work does everything, and returns the error that stopped it.
func (r *Runner) work(ctx context.Context) error {
	if err := r.checkEnvFrom(); err != nil {
		return err
	}
	for _, dir := range []string{r.folders.project(), r.folders.home(), r.folders.empty(), r.folders.logs(), r.folders.target()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return unavailable("making the run's folders: %w", err)
		}
	}
	p, err := r.fetch(ctx)
	if err != nil {
		return err
	}
	r.pin(p.Revision)
	if err := r.check(p); err != nil {
		return err
	}
	if r.plan.ProfilesDir == "" {
		r.learnSecrets(p.Dir)
	}
	if err := r.fetchState(ctx); err != nil {
		return err
	}
	stop, err := r.follow(ctx)
	if err != nil {
		return err
	}
	defer stop()
	if p, err = r.ready(ctx, p); err != nil {
		return err
	}
	r.restoreParse(ctx, p)
	for i, words := range r.plan.Commands {
		if err := r.step(ctx, p, int32(i), words); err != nil {
			return err
		}
	}
	return nil
}

// end records how the attempt ended.
func (r *Runner) end(err error) {
	var source *sourceError
	var stop *stopped
	switch {
	case err == nil:
		r.outcome = journal.Succeeded
		return
	case errors.As(err, &stop):
		r.outcome = stop.outcome
	case errors.As(err, &source) && source.passing:
		r.outcome = journal.SourceUnavailable
	case errors.As(err, &source):
		r.outcome = journal.SourceFailed
	default:
		r.outcome = journal.InvalidPlan
	}
	r.message = r.redact.Clean(err.Error())
}

// stopped is the error of a command that did not end well, and of an attempt that has nothing to do.
type stopped struct {
	outcome journal.Outcome
	message string
}

func (s *stopped) Error() string { return s.message }

// leave writes the report to the termination message, and to the journal as the last that the attempt says. It returns
// the exit code that goes with it.
func (r *Runner) leave() int {
	lineage := r.lineage()
	last := journal.Report{RunUID: r.plan.Run.UID, Outcome: r.outcome, Message: r.message, Lineage: lineage}
	report := r.state.Report(r.plan.Run.UID)
	report.Outcome, report.Message, report.Running = r.outcome, r.message, nil
	if lineage != nil {
		report.Lineage = lineage
	}
	if r.outcome != journal.Succeeded {
		r.print.line("error", r.message)
	}
	encoded := journal.Encode(report, journal.MaxSummary)
	if err := os.WriteFile(r.paths.TerminationLog, encoded, 0o600); err != nil {
		r.print.line("error", fmt.Sprintf("writing the report to %s: %s", r.paths.TerminationLog, err))
	}
	r.enter(journal.Entry{Kind: journal.KindEnd, Report: journal.Encode(last, journal.MaxEndReport)})
	return r.outcome.ExitCode()
}
