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

// Config is what a Runner is made of. Every field but Environ is needed.
type Config struct {
	Plan plan.Plan
	// Environ is the container's environment, as os.Environ returns it.
	Environ []string
	Stdout  io.Writer
	Now     func() time.Time
	// Paths are where the operator mounts things.
	Paths Paths
}

// Paths are folders and files of the pod.
type Paths struct {
	Workspace, ConfigMap, Tokens, GitCredentials, TerminationLog string
	// Root is where the kernel's files are looked for, empty but in tests.
	Root string
}

// PodPaths returns the paths of a pod that the operator made.
func PodPaths() Paths {
	return Paths{
		Workspace: plan.Workspace, ConfigMap: plan.ConfigMapDir, Tokens: plan.TokensDir,
		GitCredentials: plan.GitCredentialsDir, TerminationLog: plan.TerminationLog,
	}
}

// Runner carries out one plan.
type Runner struct {
	plan    plan.Plan
	environ []string
	paths   Paths
	folders folders
	now     func() time.Time
	redact  *Redactor
	print   *printer
	record  *dbt.Recorder
	report  journal.Report
}

// New returns a runner of a plan.
func New(c Config) *Runner {
	useSafeHTTP()
	r := &Runner{
		plan: c.Plan, environ: c.Environ, paths: c.Paths, folders: folders{workspace: c.Paths.Workspace},
		now: c.Now, record: dbt.NewRecorder(),
		print:  newPrinter(c.Stdout, nil, c.Plan.LogFormat, c.Plan.Run, c.Now),
		report: journal.Report{RunUID: c.Plan.Run.UID},
	}
	r.learnSecrets(c.Plan.ProfilesDir)
	return r
}

// learnSecrets reads what must not leave the pod, profiles.yml in the given folder included. It must not be called
// while dbt runs.
func (r *Runner) learnSecrets(profiles string) {
	r.redact = NewRedactor(append(
		secrets(r.environ, r.plan.SecretEnv, profiles, r.paths.Tokens), fileSecrets(r.paths.GitCredentials)...))
	r.print.redact = r.redact
}

// Run fetches the source, runs the commands and leaves the report. It returns the process's exit code. When ctx is
// done, dbt is interrupted and waited for.
func (r *Runner) Run(ctx context.Context) int {
	r.end(r.work(ctx))
	return r.leave()
}

// Prepare fetches the source for a container that comes after this one. It leaves a report only when it fails.
func (r *Runner) Prepare(ctx context.Context) int {
	if err := r.prepare(ctx); err != nil {
		r.end(err)
		return r.leave()
	}
	return 0
}

// work does everything, and returns the error that stopped it.
func (r *Runner) work(ctx context.Context) error {
	for _, dir := range []string{r.folders.project(), r.folders.home(), r.folders.empty(), r.folders.logs(), r.folders.target()} {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			return unavailable("making the run's folders: %w", err)
		}
	}
	p, err := r.fetch(ctx)
	if err != nil {
		return err
	}
	r.report.Source = p.Revision
	if err := r.check(p); err != nil {
		return err
	}
	if r.plan.ProfilesDir == "" {
		r.learnSecrets(p.Dir)
	}
	if p, err = r.ready(ctx, p); err != nil {
		return err
	}
	for _, words := range r.plan.Commands {
		if err := r.command(ctx, p, words); err != nil {
			return err
		}
	}
	return nil
}

// end records how the run ended.
func (r *Runner) end(err error) {
	var source *sourceError
	var stop *stopped
	switch {
	case err == nil:
		r.report.Outcome = journal.Succeeded
		return
	case errors.As(err, &stop):
		r.report.Outcome = stop.outcome
	case errors.As(err, &source) && source.passing:
		r.report.Outcome = journal.SourceUnavailable
	case errors.As(err, &source):
		r.report.Outcome = journal.SourceFailed
	default:
		r.report.Outcome = journal.InvalidPlan
	}
	r.report.Message = r.redact.Clean(err.Error())
}

// stopped is the error of a command that did not end well.
type stopped struct {
	outcome journal.Outcome
	message string
}

func (s *stopped) Error() string { return s.message }

// leave writes the report to the termination message and returns the exit code that goes with it.
func (r *Runner) leave() int {
	r.collect()
	if r.report.Outcome != journal.Succeeded {
		r.print.line("error", r.report.Message)
	}
	encoded := journal.Encode(r.report, journal.MaxSummary)
	if err := os.WriteFile(r.paths.TerminationLog, encoded, 0o600); err != nil {
		r.print.line("error", fmt.Sprintf("writing the report to %s: %s", r.paths.TerminationLog, err))
	}
	return r.report.Outcome.ExitCode()
}

// collect puts what the recorder knows into the report, redacted.
func (r *Runner) collect() {
	out := &r.report
	out.Dbt, out.Adapter = r.record.Version(), r.record.Adapter()
	c := r.record.Counts()
	out.Results = journal.Results{
		Success: c.Success, Warn: c.Warn, Fail: c.Fail, Error: c.Error, Skipped: c.Skipped, NoOp: c.NoOp, Reused: c.Reused,
	}
	out.Selected, out.Finished = r.record.Selected(), c.Finished()
	for _, f := range r.record.Failures(journal.MaxFailures) {
		out.Failures = append(out.Failures, journal.Failure{
			UniqueID: f.UniqueID, ResourceType: f.ResourceType, Status: f.Status, Message: f.Message, Path: f.Path,
		})
	}
	for _, n := range r.record.Slowest(journal.MaxSlowest) {
		out.Slowest = append(out.Slowest, journal.NodeTime{UniqueID: n.UniqueID, Seconds: n.Seconds})
	}
	out.Lineage = r.lineage()
	r.redactReport()
}

// redactReport redacts every text of the report that comes from dbt or from the project.
func (r *Runner) redactReport() {
	out := &r.report
	texts := []*string{&out.Message, &out.Dbt, &out.Adapter}
	for i := range out.Commands {
		texts = append(texts, &out.Commands[i].Command, &out.Commands[i].InvocationID)
	}
	for i := range out.Failures {
		f := &out.Failures[i]
		texts = append(texts, &f.UniqueID, &f.ResourceType, &f.Status, &f.Message, &f.Path)
	}
	for i := range out.Slowest {
		texts = append(texts, &out.Slowest[i].UniqueID)
	}
	if l := out.Lineage; l != nil {
		for _, names := range [][]string{l.Inputs, l.Outputs} {
			for i := range names {
				texts = append(texts, &names[i])
			}
		}
		for i := range l.Graph {
			n := &l.Graph[i]
			texts = append(texts, &n.ID, &n.Relation)
			for j := range n.DependsOn {
				texts = append(texts, &n.DependsOn[j])
			}
		}
	}
	for _, s := range texts {
		*s = r.redact.Clean(*s)
	}
}

// lineage reads the manifest that dbt left. What cannot be read is no reason to call a run failed.
func (r *Runner) lineage() *journal.Lineage {
	f, err := os.Open(r.folders.target() + "/manifest.json")
	if err != nil {
		return nil
	}
	defer func() { _ = f.Close() }()
	m, err := dbt.ReadManifest(f)
	if err != nil {
		r.print.line("warn", "No lineage: "+err.Error())
		return nil
	}
	// dbt 2.x names its adapter nowhere else.
	r.report.Adapter = firstNonEmpty(r.report.Adapter, m.Adapter)
	l := m.Lineage(r.record.Made())
	out := &journal.Lineage{Nodes: l.Nodes, Edges: l.Edges, Inputs: l.Inputs, Outputs: l.Outputs}
	for _, n := range l.Graph {
		out.Graph = append(out.Graph, journal.GraphNode{ID: n.ID, Relation: n.Relation, DependsOn: n.DependsOn})
	}
	return out
}
