package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/plan"
)

// runUntil runs the plan, and stops it when the text was printed.
func (p *pod) runUntil(text string) (int, journal.Report) {
	p.t.Helper()
	ctx, stop := context.WithCancel(p.t.Context())
	defer stop()
	code := make(chan int, 1)
	go func() { code <- p.runner().Run(ctx) }()
	p.screen.waitFor(p.t, text)
	stop()
	select {
	case c := <-code:
		return c, p.report()
	case <-time.After(patience):
		p.t.Fatalf("the runner did not end in %s; printed was:\n%s", patience, p.screen)
		return 0, journal.Report{}
	}
}

func TestInterrupt(t *testing.T) {
	p := newPod(t)
	p.plan.Commands = [][]string{{"build"}, {"docs", "generate"}}
	p.dbt.script(1, version(), started("model.shop.a", 3), finished("model.shop.a", "success", "", 3), started("model.shop.b", 3),
		step{Signal: true}, finished("model.shop.b", "error", "canceling statement due to user request", 3), exits(2))
	code, report := p.runUntil("START model.shop.b")

	if code != journal.ExitInterrupted || report.Outcome != journal.Interrupted {
		t.Errorf("a run that was told to stop ended with %d and %s, want %d and %s", code, report.Outcome, journal.ExitInterrupted, journal.Interrupted)
	}
	if want := "stopped during dbt build"; report.Message != want {
		t.Errorf("message %q, want %q", report.Message, want)
	}
	seen := p.dbt.invocations()
	if len(seen) != 1 || !slices.Equal(seen[0].Signals, []string{"interrupt"}) {
		t.Fatalf("dbt must be asked once by SIGINT, which makes it cancel its queries, and no later command start; seen: %+v", seen)
	}
	if report.Results.Success != 1 || report.Selected != 3 || report.Finished != 2 || report.Commands[0].ExitCode != 2 {
		t.Errorf("what dbt did before and after the interrupt must be told: %+v", report)
	}
}

func TestInterruptTwoCommands(t *testing.T) {
	p := newPod(t)
	p.plan.Commands = [][]string{{"seed"}, {"run"}}
	// dbt ends well in spite of the interrupt: it was nearly done.
	p.dbt.script(1, started("seed.shop.a", 1), step{Signal: true}, finished("seed.shop.a", "success", "", 1))
	code, report := p.runUntil("START seed.shop.a")
	if code != journal.ExitInterrupted || report.Message != "stopped before dbt run" || len(report.Commands) != 1 {
		t.Errorf("the next command must not start: %d, %+v", code, report)
	}
	if got := p.dbt.subCommands(); !slices.Equal(got, []string{"seed"}) {
		t.Errorf("dbt was started for %q, want seed only", got)
	}
}

func TestInterruptOfLastCommandThatEndsWell(t *testing.T) {
	p := newPod(t)
	p.dbt.script(1, started("model.shop.a", 1), step{Signal: true}, finished("model.shop.a", "success", "", 1))
	if code, report := p.runUntil("START model.shop.a"); code != 0 || report.Outcome != journal.Succeeded {
		t.Errorf("a run whose work was done when it was told to stop succeeded; got %d, %+v", code, report)
	}
}

func TestStoppedBeforeItBegan(t *testing.T) {
	p := newPod(t)
	ctx, stop := context.WithCancel(t.Context())
	stop()
	code := p.runner().Run(ctx)
	report := p.report()
	if code != journal.ExitInterrupted || report.Outcome != journal.Interrupted || len(p.dbt.invocations()) != 0 {
		t.Errorf("dbt must not start: exit code %d, %+v, %d invocations", code, report, len(p.dbt.invocations()))
	}
}

// pipe is a named pipe. Reading it ends when the last process that holds it is gone.
type pipe struct {
	name string
	r    *os.File
}

func newPipe(t *testing.T) pipe {
	t.Helper()
	name := filepath.Join(t.TempDir(), "pipe")
	if err := syscall.Mkfifo(name, 0o600); err != nil {
		t.Fatal(err)
	}
	r, err := os.OpenFile(name, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = r.Close() })
	return pipe{name, r}
}

// gone fails the test unless whoever held the pipe is dead.
func (p pipe) gone(t *testing.T, reason string) {
	t.Helper()
	if err := p.r.SetReadDeadline(time.Now().Add(10 * time.Second)); err != nil {
		t.Fatal(err)
	}
	switch b, err := io.ReadAll(p.r); {
	case errors.Is(err, os.ErrDeadlineExceeded):
		t.Errorf("%s: process %s still lives", reason, b)
	case err != nil || len(b) == 0:
		t.Errorf("nobody ever held the pipe: %v", err)
	}
}

// kill kills the process that holds the pipe.
func (p pipe) kill(t *testing.T) {
	t.Helper()
	if err := p.r.SetReadDeadline(time.Now().Add(patience)); err != nil {
		t.Fatal(err)
	}
	var pid int
	if _, err := fmt.Fscan(p.r, &pid); err != nil {
		t.Fatal(err)
	}
	if err := syscall.Kill(pid, syscall.SIGKILL); err != nil {
		t.Errorf("it must still live: %v", err)
	}
}

func TestDbtThatIgnoresInterrupt(t *testing.T) {
	p := newPod(t)
	child := newPipe(t)
	p.plan.GracePeriodSeconds = 6 // of which dbt gets one
	p.dbt.script(1, step{Child: child.name}, started("model.shop.a", 1), step{IgnoreInt: true})
	code, report := p.runUntil("START model.shop.a")
	if code != journal.ExitInterrupted || report.Message != "stopped during dbt build" || report.Commands[0].ExitCode != -1 {
		t.Errorf("got %d, %+v", code, report)
	}
	if seen := p.dbt.invocations(); !slices.Equal(seen[0].Signals, []string{"interrupt"}) {
		t.Errorf("dbt must first be asked by SIGINT; it saw %q", seen[0].Signals)
	}
	child.gone(t, "dbt's children must be killed with it: they could still write to the warehouse")
}

func TestChildrenThatOutliveDbt(t *testing.T) {
	tests := map[string]struct {
		reason string
		step   func(pipe string) step
		killed bool
	}{
		"Child":  {"a child that dbt left behind is killed, and holds nothing up", func(p string) step { return step{Child: p} }, true},
		"Daemon": {"a child in a session of its own escapes the kill, and holds nothing up", func(p string) step { return step{Daemon: p} }, false},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPod(t)
			child := newPipe(t)
			p.plan.GracePeriodSeconds = 3600 // nobody may wait that long for a child
			p.dbt.script(1, tc.step(child.name), started("model.shop.a", 1), finished("model.shop.a", "success", "", 1), step{Out: "the end"})
			done := make(chan int, 1)
			go func() { done <- p.runner().Run(t.Context()) }()
			select {
			case code := <-done:
				if code != 0 {
					t.Errorf("exit code %d, want 0", code)
				}
			case <-time.After(patience):
				t.Fatalf("%s: the runner waits for it", tc.reason)
			}
			if !strings.Contains(p.screen.String(), "the end") || p.report().Results.Success != 1 {
				t.Errorf("%s: what dbt said was lost: %s", tc.reason, p.screen)
			}
			if tc.killed {
				child.gone(t, tc.reason)
			} else {
				child.kill(t)
			}
		})
	}
}

// TestOutputIsWhole checks that not a byte of a dbt that prints and dies at once is lost.
func TestOutputIsWhole(t *testing.T) {
	for range 20 {
		p := newPod(t)
		big := strings.Repeat("x", 60<<10) // what a pipe holds
		p.dbt.script(1, step{Raw: []byte(big[:1000] + "\n" + big + "the end")}, step{Err: "the end of standard error"}, exits(1))
		p.run()
		if s := p.screen.String(); !strings.Contains(s, "the end of standard error") {
			t.Fatalf("lost: %d bytes printed", len(s))
		}
	}
}

func TestSignalled(t *testing.T) {
	tests := map[string]struct {
		reason  string
		signal  syscall.Signal
		code    int
		outcome journal.Outcome
		message string
	}{
		"Term": {"a TERM that did not come from us is no cancel", syscall.SIGTERM, journal.ExitDbtError, journal.DbtError, "dbt build was ended by signal 15 (terminated)"},
		"Kill": {"a KILL without an out-of-memory event is not called one", syscall.SIGKILL, journal.ExitDbtError, journal.DbtError, "dbt build was killed by signal 9"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPod(t)
			p.dbt.script(1, started("model.shop.a", 1), step{Kill: int(tc.signal)})
			code, report := p.run()
			if code != tc.code || report.Outcome != tc.outcome || report.Message != tc.message || report.Commands[0].ExitCode != -1 {
				t.Errorf("%s: got %d, %+v", tc.reason, code, report)
			}
		})
	}
}

func TestOutOfMemory(t *testing.T) {
	for _, file := range []string{"memory.events", "memory/memory.oom_control"} {
		t.Run(file, func(t *testing.T) {
			p := newPod(t)
			events := filepath.Join(p.paths.Root, "sys/fs/cgroup", file)
			makeFile(t, events, "low 0\noom 4\noom_kill 4\n")
			p.dbt.script(1, started("model.shop.a", 1), step{Signal: true}, step{Kill: int(syscall.SIGKILL)})
			// The kernel counts while dbt runs. Here the screen does, on which dbt's last words appear before it dies.
			p.screen.onWrite = func(s string) {
				if strings.Contains(s, "START") {
					makeFile(t, events, "low 0\noom 5\noom_kill 5\n")
					p.dbt.signal(syscall.SIGTERM)
				}
			}
			code, report := p.run()
			if code != journal.ExitOutOfMemory || report.Outcome != journal.OutOfMemory {
				t.Errorf("got %d, %+v", code, report)
			}
			if want := "the container ran out of memory during dbt build"; report.Message != want {
				t.Errorf("message %q, want %q", report.Message, want)
			}
		})
	}
}

func TestParseOOMKills(t *testing.T) {
	for in, want := range map[string]int{
		"":                                   0,
		"low 0\nhigh 0\noom 7\noom_kill 3\n": 3,
		"oom_kill_disable 0\nunder_oom 0\noom_kill 2": 2,
		"oom_kill many\n":    0,
		"oom_group_kill 9\n": 0,
	} {
		if got := parseOOMKills(in); got != want {
			t.Errorf("parseOOMKills(%q) = %d, want %d", in, got, want)
		}
	}
}

func TestMissingDbt(t *testing.T) {
	empty := t.TempDir()
	folder := t.TempDir()
	if err := os.Mkdir(filepath.Join(folder, "dbt"), 0o755); err != nil {
		t.Fatal(err)
	}
	plain := t.TempDir()
	makeFile(t, filepath.Join(plain, "dbt"), "not executable")
	tests := map[string]struct{ reason, path, message string }{
		"Missing":  {"an image without dbt", empty, "the image has no program dbt in its PATH (" + empty + "): set spec.image to an image with dbt and the adapter"},
		"Folder":   {"a folder called dbt is none", folder, "the image has no program dbt in its PATH (" + folder + "): set spec.image to an image with dbt and the adapter"},
		"Plain":    {"a file that cannot be executed is none", plain, "the image has no program dbt in its PATH (" + plain + "): set spec.image to an image with dbt and the adapter"},
		"Relative": {"a relative entry is not searched: the project could bring its own dbt", ".:bin:" + empty, "the image has no program dbt in its PATH (.:bin:" + empty + "): set spec.image to an image with dbt and the adapter"},
		"NoPath":   {"an image without PATH", "", "the image has no program dbt in its PATH (): set spec.image to an image with dbt and the adapter"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			p := newPod(t)
			p.env = append(p.env, "PATH="+tc.path)
			code, report := p.run()
			if code != journal.ExitDbtError || report.Outcome != journal.DbtError || report.Message != tc.message {
				t.Errorf("%s: got %d %q, want %q", tc.reason, code, report.Message, tc.message)
			}
		})
	}
	t.Run("Broken", func(t *testing.T) {
		p := newPod(t)
		bin := t.TempDir()
		makeFile(t, filepath.Join(bin, "dbt"), "#!/no/such/interpreter\n")
		if err := os.Chmod(filepath.Join(bin, "dbt"), 0o755); err != nil {
			t.Fatal(err)
		}
		p.env = append(p.env, "PATH="+bin)
		code, report := p.run()
		if code != journal.ExitDbtError || !strings.HasPrefix(report.Message, "starting "+bin+"/dbt: ") {
			t.Errorf("a dbt that cannot be started: got %d %q", code, report.Message)
		}
	})
}

func TestEnvironment(t *testing.T) {
	p := newPod(t)
	p.env = append(p.env,
		"HOME=/root", "TMPDIR=/elsewhere", "PWD=/srv", "XDG_CACHE_HOME=/cache", "REGION=eu",
		"DBT_TARGET_PATH=/x", "DBT_PROFILES_DIR=/x", "DBT_PROJECT_DIR=/x", "DBT_LOG_PATH=/x", "DBT_LOG_FORMAT=text", "DBT_LOG_LEVEL=none", "DBT_QUIET=true", "DBT_ENGINE_QUIET=true",
		"DBT_ENGINE_TARGET_PATH=/x", "DBT_ENGINE_PROFILES_DIR=/x", "DBT_ENGINE_PROJECT_DIR=/x", "DBT_ENGINE_LOG_PATH=/x", "DBT_ENGINE_LOG_FORMAT=text",
		"DBT_SEND_ANONYMOUS_USAGE_STATS=true", "DBT_ENV_CUSTOM_ENV_RUN_NAME=forged", "DBT_ENV_CUSTOM_ENV_RUN_REQUESTED_BY=forged", "DBT_ENGINE_ENV_CUSTOM_ENV_RUN_REQUESTED_BY=forged", "DBT_ENV_CUSTOM_ENV_TEAM=core", "DBT_WARN_ERROR=1",
		"DBT_SCHEDULED_TIME=forged",
	)
	p.plan.Run.ScheduledTime = "2026-11-24T06:00:00Z"
	p.run()
	seen := p.dbt.invocations()
	if len(seen) != 1 {
		t.Fatalf("%d invocations, want 1", len(seen))
	}
	names := map[string]int{}
	for _, e := range seen[0].Env {
		name, _, _ := strings.Cut(e, "=")
		names[name]++
	}
	w := p.paths.Workspace
	want := map[string]string{
		"HOME": w + "/home", "TMPDIR": "/tmp", "XDG_CACHE_HOME": "/cache", "REGION": "eu", "DBT_WARN_ERROR": "1",
		"DBT_TARGET_PATH": w + "/target", "DBT_LOG_PATH": w + "/logs", "DBT_LOG_LEVEL": "info", "DBT_QUIET": "false",
		"DBT_SEND_ANONYMOUS_USAGE_STATS": "false", "DBT_USE_COLORS": "false", "DBT_USE_COLORS_FILE": "false",
		"PYTHONDONTWRITEBYTECODE": "1", "PYTHON_DOTENV_DISABLED": "1", "RUST_BACKTRACE": "0",
		"DBT_ENV_CUSTOM_ENV_RUN_NAME": "nightly", "DBT_ENV_CUSTOM_ENV_RUN_NAMESPACE": "shop", "DBT_ENV_CUSTOM_ENV_RUN_UID": "0c7a",
		"DBT_ENV_CUSTOM_ENV_RUN_PROJECT": "jaffle", "DBT_ENV_CUSTOM_ENV_RUN_REQUESTED_BY": "ada@example.com", "DBT_ENV_CUSTOM_ENV_TEAM": "core",
		"DBT_SCHEDULED_TIME": "2026-11-24T06:00:00Z",
	}
	for name, value := range want {
		if got, _ := seen[0].getenv(name); got != value || names[name] != 1 {
			t.Errorf("dbt saw %s=%q, %d times, want %q once", name, got, names[name], value)
		}
	}
	for _, name := range []string{
		plan.EnvVar, "PWD", "DBT_PROFILES_DIR", "DBT_PROJECT_DIR", "DBT_LOG_FORMAT", "DBT_ENGINE_TARGET_PATH",
		"DBT_ENGINE_PROFILES_DIR", "DBT_ENGINE_PROJECT_DIR", "DBT_ENGINE_LOG_PATH", "DBT_ENGINE_LOG_FORMAT", "DBT_ENGINE_QUIET",
	} {
		if v, ok := seen[0].getenv(name); ok {
			t.Errorf("dbt saw %s=%q, want none", name, v)
		}
	}
	if seen[0].Dir != w+"/empty" || len(seen[0].InDir) != 0 {
		t.Errorf("dbt ran in %s, which holds %q; want an empty folder: dbt reads .env from where it runs", seen[0].Dir, seen[0].InDir)
	}
	for _, dir := range []string{"home", "target", "logs"} {
		if info, err := os.Stat(filepath.Join(w, dir)); err != nil || !info.IsDir() {
			t.Errorf("folder %s: %v", dir, err)
		}
	}
}

func TestArguments(t *testing.T) {
	p := newPod(t)
	p.plan.ProfilesDir = t.TempDir()
	p.plan.Target, p.plan.Threads, p.plan.Vars = "ci", 4, []byte(`{"day":"2026-11-01"}`)
	p.plan.Commands = [][]string{{"run", "--select", "a b; rm -rf $HOME"}, {"docs", "generate"}, {"ls"}}
	if code, report := p.run(); code != 0 {
		t.Fatalf("exit code %d, %+v", code, report)
	}
	dir := p.paths.Workspace + "/project"
	common := []string{"--log-format", "json", "--project-dir", dir, "--profiles-dir", p.plan.ProfilesDir, "--target", "ci"}
	vars := []string{"--vars", `{"day":"2026-11-01"}`}
	want := [][]string{
		slices.Concat([]string{"run"}, common, []string{"--threads", "4"}, vars, []string{"--select", "a b; rm -rf $HOME"}),
		slices.Concat([]string{"docs", "generate"}, common, []string{"--threads", "4"}, vars),
		slices.Concat([]string{"ls"}, common, vars),
	}
	var got [][]string
	for _, i := range p.dbt.invocations() {
		got = append(got, i.Args)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("each command must reach dbt word by word, no shell between (-want +got):\n%s", diff)
	}
}
