package logs

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/dbt-operator/dbt-operator/internal/plan"
	"github.com/dbt-operator/dbt-operator/internal/runner"
)

// captures has what each engine really printed.
const captures = "../../internal/dbt/testdata"

// begun is when the runner's clock stands.
var begun = time.Date(2026, 11, 24, 6, 0, 0, 123456789, time.UTC)

// pod is the pod of one run.
type pod struct {
	plan.Identity
	name, uid string
	format    string // plan.LogJSON or plan.LogText
}

// file is where kubelet has the log of a container of the pod.
func (p pod) file(root, container string) string {
	return filepath.Join(root, p.Namespace+"_"+p.name+"_"+p.uid, container, "0.log")
}

// run has the real runner carry out `dbt build` in the pod. dbt is a program that prints the given lines, and one on standard
// error. It returns what the runner printed, without containerd's additions.
func (p pod) run(t *testing.T, root string, lines []byte) []byte {
	t.Helper()
	dir := t.TempDir()
	at := func(name string) string { return filepath.Join(dir, name) }
	write(t, at("lines"), lines, 0o644)
	write(t, at("bin/dbt"), fmt.Appendf(nil, "#!/bin/sh\n/bin/cat '%s'\necho 'no such adapter' >&2\nexit 1\n", at("lines")), 0o755)
	write(t, at("configmap/dbt_project.yml"), []byte("name: shop\n"), 0o644)
	write(t, at("workspace/.keep"), nil, 0o644)
	var printed bytes.Buffer
	log := &containerd{t: t, file: p.file(root, "dbt")}
	code := runner.New(runner.Config{
		Plan: plan.Plan{
			Version: plan.Version, Run: p.Identity, LogFormat: p.format, GracePeriodSeconds: 60,
			Source: plan.Source{ConfigMap: &plan.ConfigMap{Name: "shop"}}, Commands: [][]string{{"build"}},
		},
		Environ: []string{"PATH=" + at("bin"), plan.EnvVar + "={}"},
		Stdout:  io.MultiWriter(&printed, log),
		Now:     func() time.Time { return begun },
		Paths: runner.Paths{
			Workspace: at("workspace"), ConfigMap: at("configmap"), Tokens: at("tokens"), CollectorToken: at("collector-token"),
			GitCredentials: at("git"), TerminationLog: at("termination-log"), Root: at("root"),
		},
	}).Run(t.Context())
	if code == 0 {
		t.Fatalf("the run succeeded, though dbt said that it did not; printed was:\n%s", printed.Bytes())
	}
	log.flush()
	return printed.Bytes()
}

func write(t *testing.T, name string, content []byte, mode os.FileMode) {
	t.Helper()
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		t.Fatal(err)
	}
	if err := os.WriteFile(name, content, mode); err != nil {
		t.Fatal(err)
	}
}

func read(t *testing.T, name string) []byte {
	t.Helper()
	b, err := os.ReadFile(name)
	if err != nil {
		t.Fatal(err)
	}
	return b
}

// containerd writes standard output into a file as containerd does: each line after a time, the stream and a tag. Of a line
// that is longer than its buffer it writes the parts, tagged P but for the last; a part may end inside a character.
type containerd struct {
	t     *testing.T
	file  string
	rest  []byte
	parts int
}

// buffer is containerd's own for each stream, in bytes.
const buffer = 16 << 10

func (c *containerd) Write(b []byte) (int, error) {
	c.rest = append(c.rest, b...)
	c.flush()
	return len(b), nil
}

func (c *containerd) flush() {
	c.t.Helper()
	var out bytes.Buffer
	for {
		line, rest, whole := bytes.Cut(c.rest, []byte("\n"))
		switch {
		case len(line) > buffer:
			c.parts++
			_, _ = fmt.Fprintf(&out, "2026-11-24T06:00:05.987654321Z stdout P %s\n", line[:buffer])
			c.rest = c.rest[buffer:]
		case whole:
			_, _ = fmt.Fprintf(&out, "2026-11-24T06:00:05.987654321Z stdout F %s\n", line)
			c.rest = rest
		default:
			if err := os.MkdirAll(filepath.Dir(c.file), 0o755); err != nil {
				c.t.Fatal(err)
			}
			f, err := os.OpenFile(c.file, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o644)
			if err != nil {
				c.t.Fatal(err)
			}
			if _, err := f.Write(out.Bytes()); err != nil {
				c.t.Fatal(err)
			}
			if err := f.Close(); err != nil {
				c.t.Fatal(err)
			}
			return
		}
	}
}
