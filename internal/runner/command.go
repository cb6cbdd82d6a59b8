package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/dbt-operator/dbt-operator/internal/dbt"
	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// Parts of the pod's grace period: reserve is kept for the report and for the collector once dbt has ended, margin for
// the process's own end.
const (
	reserve = 5 * time.Second
	margin  = time.Second
)

// deps is the index of `dbt deps` before the run's commands.
const deps = -1

// ready returns the project with its packages. A project baked into the image lies on a read-only file system, so it
// is copied to the workspace before packages are installed.
func (r *Runner) ready(ctx context.Context, p project) (project, error) {
	if !r.plan.InstallDeps || r.plan.Commands[0][0] == "deps" {
		return p, nil
	}
	missing, err := dbt.MissingPackages(os.DirFS(p.Dir))
	if err != nil {
		return p, refused("%w", err)
	}
	if !missing {
		return p, nil
	}
	if r.plan.Source.Image != nil {
		if err := os.CopyFS(r.folders.project(), os.DirFS(p.Dir)); err != nil {
			return p, refused("spec.source.image: copying %s to install its packages: %w", p.Dir, err)
		}
		p.Dir = r.folders.project()
	}
	cache := r.packagesKey(p)
	if r.restorePackages(ctx, p, cache) {
		return p, nil
	}
	b := begun{index: deps, words: []string{"deps"}}
	if _, before := r.state.Command(deps); before {
		b.mode, b.note = journal.ModeAnew, noPackages
	}
	if err := r.command(ctx, p, b); err != nil {
		return p, err
	}
	r.keepPackages(p, cache)
	return p, nil
}

// begun is how a command of the run begins.
type begun struct {
	index int32
	// words are the command's own; spawn, when it is not nil, those that do what is left of it.
	words, spawn []string
	mode         journal.Mode
	note         string
	total        int32 // nodes of this run that it is about, 0 when unknown
	planned      int   // nodes that it selects, 0 when unknown
	retry        int32 // of its failed nodes, counted from 1
}

// anew returns how the command is begun anew, and why.
func (b begun) anew(why string) begun {
	return begun{index: b.index, words: b.words, mode: journal.ModeAnew, note: why}
}

func (b begun) name() string { return "dbt " + strings.Join(b.words, " ") }

// command runs one dbt command and returns a *stopped error when it did not end well.
func (r *Runner) command(ctx context.Context, p project, b begun) error {
	if ctx.Err() != nil {
		return &stopped{journal.Interrupted, "stopped before " + b.name()}
	}
	r.setResultsAside(ctx)
	if b.spawn == nil && b.total == 0 {
		b.total = r.count(ctx, p, b.words)
	}
	if ctx.Err() != nil {
		return &stopped{journal.Interrupted, "stopped before " + b.name()}
	}
	r.begin(b)
	words := b.words
	if b.spawn != nil {
		words = b.spawn
	}
	r.record.Begin()
	results := r.results()
	exit, err := r.spawn(ctx, p, words, r.observe)
	if err == nil {
		err = r.judge(ctx, b, exit)
	}
	last := journal.Entry{Kind: journal.KindCommandEnd, ExitCode: int32(exit.Code), Outcome: journal.Succeeded}
	var stop *stopped
	switch {
	case errors.As(err, &stop):
		last.Outcome, last.Message = stop.outcome, stop.message
	case err != nil:
		last.Outcome, last.Message = journal.DbtError, err.Error()
	}
	r.enter(last)
	r.keep(b, results)
	if b.index != deps {
		r.keepParse()
	}
	return err
}

// begin journals that a command begins.
func (r *Runner) begin(b begun) {
	r.enter(journal.Entry{Kind: journal.KindCommand, Command: b.index, Line: b.name(), Mode: b.mode, Note: b.note})
	if b.total > 0 {
		r.enter(journal.Entry{Kind: journal.KindTotal, Total: b.total})
	}
}

// judge returns a *stopped error when a command did not end well.
func (r *Runner) judge(ctx context.Context, b begun, exit ended) error {
	ending, why := r.record.Judge("dbt "+b.words[0], exit.Exit)
	switch {
	case ending == dbt.EndedWell:
		return r.judgeRest(b)
	case ctx.Err() != nil:
		return &stopped{journal.Interrupted, "stopped during " + b.name()}
	case exit.outOfMemory:
		return &stopped{journal.OutOfMemory, "the container ran out of memory during " + b.name()}
	case ending == dbt.NodesFailed:
		return &stopped{journal.NodesFailed, r.failedNodes(b.index, why)}
	default:
		return &stopped{journal.DbtError, why}
	}
}

// ended is how a command's process ended.
type ended struct {
	dbt.Exit
	outOfMemory bool
}

// spawn runs dbt and hands each line of its output to observe until it has ended.
func (r *Runner) spawn(ctx context.Context, p project, words []string, observe func(line []byte)) (ended, error) {
	e := ended{Exit: dbt.Exit{Code: -1}}
	path, err := lookPath(r.environ)
	if err != nil {
		return e, &stopped{journal.DbtError, err.Error()}
	}
	profiles := r.plan.ProfilesDir
	if profiles == "" {
		profiles = p.Dir
	}
	args, err := dbt.Args(words, dbt.Settings{
		ProjectDir: p.Dir, ProfilesDir: profiles, Target: r.plan.Target, Threads: r.plan.Threads, Vars: r.plan.Vars,
		State: r.stateDir(),
	})
	if err != nil {
		return e, fmt.Errorf("command dbt %s: %w", strings.Join(words, " "), err)
	}
	var stderr tail
	out := &lineWriter{emit: observe}
	errs := &lineWriter{emit: func(line []byte) {
		clean := r.redact.Clean(string(line))
		stderr.add(clean)
		r.print.line("error", clean)
	}}
	given, err := r.tokens.environment()
	if err != nil {
		return e, &stopped{journal.DbtError, err.Error()}
	}
	before := oomKills(r.paths.Root)
	e.Exit, err = process{
		path: path, args: args, env: environment(r.withoutState(r.environ), r.folders, r.plan.Run, given), dir: r.folders.empty(),
		stdout: out, stderr: errs, grace: r.grace(),
	}.run(ctx)
	out.Close()
	errs.Close()
	e.Stderr = strings.Join(stderr.lines, "\n")
	e.outOfMemory = e.Signal == syscall.SIGKILL && oomKills(r.paths.Root) > before
	if err != nil {
		e.Code = -1
		return e, &stopped{journal.DbtError, fmt.Sprintf("starting %s: %s", path, err)}
	}
	return e, nil
}

func (r *Runner) observe(line []byte) {
	e, ok := dbt.ParseEvent(line)
	if !ok {
		r.print.line("info", string(line))
		return
	}
	r.print.event(e, line)
	// The recorder cuts long texts, so they are redacted before.
	for _, s := range []*string{&e.Message, &e.Data.Message, &e.Data.Exception} {
		*s = r.redact.Clean(*s)
	}
	r.record.Observe(e)
}

// grace returns how long dbt may take to end: the pod's grace period, less what the report takes.
func (r *Runner) grace() time.Duration {
	return max(time.Second, time.Duration(r.plan.GracePeriodSeconds)*time.Second-reserve)
}

// lookPath finds dbt in the PATH of the container.
func lookPath(environ []string) (string, error) {
	search := ""
	for _, e := range environ {
		if v, ok := strings.CutPrefix(e, "PATH="); ok {
			search = v
		}
	}
	for _, dir := range filepath.SplitList(search) {
		if !filepath.IsAbs(dir) {
			continue
		}
		if path, err := exec.LookPath(filepath.Join(dir, "dbt")); err == nil {
			return path, nil
		}
	}
	return "", fmt.Errorf("the image has no program dbt in its PATH (%s): set spec.image to an image with dbt and the adapter", search)
}
