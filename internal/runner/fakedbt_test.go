package runner

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"
)

// step is one thing that the fake dbt does. Exactly one member is set.
type step struct {
	Out    string            `json:",omitempty"` // a line on standard output
	Raw    []byte            `json:",omitempty"` // bytes on standard output
	Err    string            `json:",omitempty"` // a line on standard error
	Flood  int               `json:",omitempty"` // as many bytes of log lines on standard output
	Target map[string]string `json:",omitempty"` // files of the target folder
	Exit   *int              `json:",omitempty"`
	Kill   int               `json:",omitempty"` // send this signal to itself
	// Signal blocks until a signal comes, notes it, and prints "got <signal>". IgnoreInt goes on blocking after SIGINT.
	Signal, IgnoreInt bool `json:",omitempty"`
	// Child starts a process that holds standard output and the named pipe open for ever; Daemon one of another session.
	Child, Daemon string `json:",omitempty"`
}

// invocation is what the fake dbt saw of its surroundings.
type invocation struct {
	Args    []string
	Env     []string
	Dir     string
	InDir   []string // what the working directory holds
	Signals []string
	PID     int
}

func (i invocation) getenv(name string) (string, bool) {
	for _, e := range i.Env {
		if v, ok := strings.CutPrefix(e, name+"="); ok {
			return v, true
		}
	}
	return "", false
}

// fakeDbt is a program dbt that follows a script per invocation; without one it does nothing and exits 0.
type fakeDbt struct {
	t            *testing.T
	bin, scripts string
	player       string // the program behind it
}

const envScripts = "FAKE_DBT_SCRIPTS"

func newFakeDbt(t *testing.T) *fakeDbt {
	t.Helper()
	f := &fakeDbt{t: t, bin: t.TempDir(), scripts: t.TempDir()}
	self, err := os.Executable()
	if err != nil {
		t.Fatal(err)
	}
	// TestMain knows the fake by its name.
	f.player = filepath.Join(t.TempDir(), "dbt")
	makeFile(t, f.program(), "#!/bin/sh\nunset PWD\nexec '"+f.player+"' \"$@\"\n")
	if err := errors.Join(os.Symlink(self, f.player), os.Chmod(f.program(), 0o755)); err != nil {
		t.Fatal(err)
	}
	return f
}

func (f *fakeDbt) program() string { return filepath.Join(f.bin, "dbt") }

// binary makes the fake a binary, as dbt 2.x is. Else it is a script, as dbt 1.x is.
func (f *fakeDbt) binary() {
	f.t.Helper()
	if err := errors.Join(os.Remove(f.program()), os.Symlink(f.player, f.program())); err != nil {
		f.t.Fatal(err)
	}
}

// python makes the fake a script of a Python that has these distributions installed, beside no others.
func (f *fakeDbt) python(distributions ...string) {
	f.t.Helper()
	prefix := f.t.TempDir()
	interpreter := filepath.Join(prefix, "bin", "python")
	makeFile(f.t, filepath.Join(prefix, "bin", ".keep"), "")
	if err := os.Symlink("/bin/sh", interpreter); err != nil {
		f.t.Fatal(err)
	}
	for _, d := range distributions {
		makeFile(f.t, filepath.Join(prefix, "lib", "python3.12", "site-packages", d+".dist-info", "METADATA"), "")
	}
	makeFile(f.t, f.program(), "#!"+interpreter+"\nunset PWD\nexec '"+f.player+"' \"$@\"\n")
}

func (f *fakeDbt) environ() []string {
	return []string{"PATH=" + f.bin, envScripts + "=" + f.scripts, "GOCOVERDIR=" + f.scripts, "GORACE=atexit_sleep_ms=0"}
}

// script says what the n-th invocation does, counted from 1.
func (f *fakeDbt) script(n int, steps ...step) {
	f.t.Helper()
	makeFile(f.t, filepath.Join(f.scripts, fmt.Sprintf("script-%d.json", n)), mustJSON(f.t, steps))
}

// invocations returns what each invocation saw, in order.
func (f *fakeDbt) invocations() []invocation {
	f.t.Helper()
	var all []invocation
	for n := 1; ; n++ {
		b, err := os.ReadFile(filepath.Join(f.scripts, fmt.Sprintf("seen-%d.json", n)))
		if os.IsNotExist(err) {
			return all
		}
		var i invocation
		if err != nil || json.Unmarshal(b, &i) != nil {
			f.t.Fatalf("reading invocation %d: %v", n, err)
		}
		all = append(all, i)
	}
}

// subCommands returns the first word of each invocation.
func (f *fakeDbt) subCommands() []string {
	f.t.Helper()
	var out []string
	for _, i := range f.invocations() {
		out = append(out, i.Args[0])
	}
	return out
}

// signal sends a signal to the invocation under way.
func (f *fakeDbt) signal(s syscall.Signal) {
	all := f.invocations()
	if err := syscall.Kill(all[len(all)-1].PID, s); err != nil {
		f.t.Errorf("signalling dbt: %v", err)
	}
}

func exits(code int) step { return step{Exit: &code} }

// playDbt is dbt's main function.
func playDbt() {
	if pipe := os.Getenv("FAKE_DBT_CHILD"); pipe != "" {
		playChild(pipe)
	}
	dir := os.Getenv(envScripts)
	p := player{signals: make(chan os.Signal, 8)}
	signal.Notify(p.signals, syscall.SIGINT, syscall.SIGTERM)
	n := 1
	for ; exists(filepath.Join(dir, fmt.Sprintf("seen-%d.json", n))); n++ {
	}
	p.file = filepath.Join(dir, fmt.Sprintf("seen-%d.json", n))
	wd, _ := os.Getwd()
	p.seen = invocation{Args: os.Args[1:], Env: os.Environ(), Dir: wd, PID: os.Getpid()}
	entries, _ := os.ReadDir(wd)
	for _, e := range entries {
		p.seen.InDir = append(p.seen.InDir, e.Name())
	}
	p.note()
	var steps []step
	if b, err := os.ReadFile(filepath.Join(dir, fmt.Sprintf("script-%d.json", n))); err == nil {
		p.must(json.Unmarshal(b, &steps))
	}
	for _, s := range steps {
		p.play(s)
	}
	os.Exit(0)
}

func exists(name string) bool {
	_, err := os.Lstat(name)
	return err == nil
}

type player struct {
	signals chan os.Signal
	seen    invocation
	file    string
}

func (p *player) must(err error) {
	if err != nil {
		fmt.Fprintln(os.Stderr, "fake dbt:", err)
		os.Exit(99)
	}
}

// note writes down what was seen, whole or not at all.
func (p *player) note() {
	b, err := json.Marshal(p.seen)
	p.must(err)
	p.must(os.WriteFile(p.file+".new", b, 0o644))
	p.must(os.Rename(p.file+".new", p.file))
}

func (p *player) play(s step) {
	switch {
	case s.Out != "":
		fmt.Println(s.Out)
	case s.Raw != nil:
		_, err := os.Stdout.Write(s.Raw)
		p.must(err)
	case s.Err != "":
		fmt.Fprintln(os.Stderr, s.Err)
	case s.Flood > 0:
		flood(s.Flood)
	case s.Target != nil:
		for name, content := range s.Target {
			p.must(writeFile(filepath.Join(os.Getenv("DBT_TARGET_PATH"), name), []byte(content)))
		}
	case s.Exit != nil:
		os.Exit(*s.Exit)
	case s.Kill > 0:
		signal.Reset()
		p.must(syscall.Kill(os.Getpid(), syscall.Signal(s.Kill)))
		select {}
	case s.Signal, s.IgnoreInt:
		p.await(s.IgnoreInt)
	case s.Child != "":
		p.spawn(s.Child, &syscall.SysProcAttr{})
	case s.Daemon != "":
		p.spawn(s.Daemon, &syscall.SysProcAttr{Setsid: true})
	}
}

func (p *player) await(ignoreInt bool) {
	deadline := time.After(patience)
	for {
		select {
		case s := <-p.signals:
			p.seen.Signals = append(p.seen.Signals, s.String())
			p.note()
			fmt.Println("got " + s.String())
			if !ignoreInt || s != syscall.SIGINT {
				return
			}
		case <-deadline:
			os.Exit(98)
		}
	}
}

// spawn starts a child and returns when it holds the named pipe.
func (p *player) spawn(pipe string, attr *syscall.SysProcAttr) {
	self, err := os.Executable()
	p.must(err)
	c := exec.Command(self)
	c.Args[0] = "dbt"
	c.Env = append(os.Environ(), "FAKE_DBT_CHILD="+pipe)
	c.Stdout, c.Stderr, c.SysProcAttr = os.Stdout, os.Stderr, attr
	r, w, err := os.Pipe()
	p.must(err)
	c.ExtraFiles = []*os.File{w}
	p.must(c.Start())
	p.must(w.Close())
	_, err = io.ReadAll(r) // ends when the child has closed its end
	p.must(err)
}

// playChild opens the named pipe, says its process id and holds it, until somebody kills it or nobody can be waiting
// any more.
func playChild(pipe string) {
	signal.Ignore(syscall.SIGINT, syscall.SIGTERM)
	if f, err := os.OpenFile(pipe, os.O_WRONLY, 0); err == nil {
		_, _ = fmt.Fprintln(f, os.Getpid())
	}
	_ = os.NewFile(3, "parent").Close()
	<-time.After(patience + 10*time.Second)
	os.Exit(0)
}

// flood prints log lines that are no events, some with what terminals act on.
func flood(n int) {
	lines := []string{
		"\x1b[31mRed\x1b[0m and plain\r\n", strings.Repeat("x", 2000) + "\n", "not \xff\xfe UTF-8\n",
		`{"info": {"name": "Fake", "level": "info", "invocation_id": "other", "msg": "made up"}}` + "\n", "\n",
	}
	block := []byte(strings.Join(slices.Repeat(lines, 100), ""))
	for ; n > 0; n -= len(block) {
		if _, err := os.Stdout.Write(block); err != nil {
			return
		}
	}
}

// Events as dbt 1.11 writes them.
const invocationID = "deb847dc-c6a6-4828-b1ec-611537c39a3b"

func event(code, name, level, msg string, data any) string {
	b, err := json.Marshal(map[string]any{
		"info": map[string]any{
			"code": code, "name": name, "level": level, "msg": msg, "ts": "2026-11-24T06:00:01.000000Z",
			"invocation_id": invocationID, "extra": map[string]any{},
		},
		"data": data,
	})
	if err != nil {
		panic(err)
	}
	return string(b)
}

func nodeInfo(id, status string) map[string]any {
	return map[string]any{
		"unique_id": id, "node_status": status, "resource_type": strings.SplitN(id, ".", 2)[0], "node_path": "marts/" + id + ".sql",
		"node_relation": map[string]any{"relation_name": `"db"."main"."` + id + `"`},
	}
}

func started(id string, total int) step {
	return step{Out: event("Q011", "LogStartLine", "info", "START "+id, map[string]any{
		"node_info": nodeInfo(id, "started"), "total": total,
	})}
}

func finished(id, status, msg string, total int) step {
	level := "info"
	if status == "error" || status == "fail" {
		level = "error"
	}
	return step{Out: event("Q012", "LogModelResult", level, status+" "+id, map[string]any{
		"node_info": nodeInfo(id, status), "total": total, "execution_time": 1.5, "status": status, "msg": msg,
	})}
}

func explained(id, msg string) step {
	return step{Out: event("Z024", "RunResultError", "error", msg, map[string]any{"node_info": nodeInfo(id, "error"), "msg": msg})}
}

func version() step {
	return step{Out: event("A001", "MainReportVersion", "info", "Running with dbt=1.11.16", map[string]any{"version": "=1.11.16"})}
}
