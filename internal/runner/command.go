package runner

import (
	"context"
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

// reserve is the part of the pod's grace period kept for the report once dbt has ended.
const reserve = 5 * time.Second

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
	return p, r.command(ctx, p, []string{"deps"})
}

// command runs one dbt command and returns a *stopped error when it did not end well.
func (r *Runner) command(ctx context.Context, p project, words []string) error {
	name := "dbt " + strings.Join(words, " ")
	if ctx.Err() != nil {
		return &stopped{journal.Interrupted, "stopped before " + name}
	}
	exit, err := r.spawn(ctx, p, words)
	r.report.Commands = append(r.report.Commands, journal.Command{
		Command: r.redact.String(name), InvocationID: r.record.InvocationID(),
		Start: exit.start.UnixMilli(), End: exit.end.UnixMilli(), ExitCode: int32(exit.Code),
	})
	if err != nil {
		return err
	}
	ending, why := r.record.Judge("dbt "+words[0], exit.Exit)
	switch {
	case ending == dbt.EndedWell:
		return nil
	case ctx.Err() != nil:
		return &stopped{journal.Interrupted, "stopped during " + name}
	case exit.outOfMemory:
		return &stopped{journal.OutOfMemory, "the container ran out of memory during " + name}
	case ending == dbt.NodesFailed:
		return &stopped{journal.NodesFailed, why}
	default:
		return &stopped{journal.DbtError, why}
	}
}

// ended is how a command's process ended.
type ended struct {
	dbt.Exit
	start, end  time.Time
	outOfMemory bool
}

// spawn runs dbt and takes its output in until it has ended.
func (r *Runner) spawn(ctx context.Context, p project, words []string) (ended, error) {
	e := ended{start: r.now(), end: r.now()}
	path, err := lookPath(r.environ)
	if err != nil {
		e.Code = -1
		return e, &stopped{journal.DbtError, err.Error()}
	}
	profiles := r.plan.ProfilesDir
	if profiles == "" {
		profiles = p.Dir
	}
	args, err := dbt.Args(words, dbt.Settings{
		ProjectDir: p.Dir, ProfilesDir: profiles, Target: r.plan.Target, Threads: r.plan.Threads, Vars: r.plan.Vars,
	})
	if err != nil {
		e.Code = -1
		return e, fmt.Errorf("command dbt %s: %w", strings.Join(words, " "), err)
	}
	var stderr tail
	out := &lineWriter{emit: r.observe}
	errs := &lineWriter{emit: func(line []byte) {
		clean := r.redact.Clean(string(line))
		stderr.add(clean)
		r.print.line("error", clean)
	}}
	r.record.Begin()
	before := oomKills(r.paths.Root)
	e.Exit, err = process{
		path: path, args: args, env: environment(r.environ, r.folders, r.plan.Run), dir: r.folders.empty(),
		stdout: out, stderr: errs, grace: r.grace(),
	}.run(ctx)
	out.Close()
	errs.Close()
	e.end = r.now()
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
