package runner

import (
	"context"
	"errors"
	"io"
	"os"
	"os/exec"
	"syscall"
	"time"

	"github.com/dbt-operator/dbt-operator/internal/dbt"
)

// process is one invocation of dbt.
type process struct {
	path           string
	args, env      []string
	dir            string
	stdout, stderr io.Writer
	// grace is how long dbt may take to end after an interrupt before it is killed.
	grace time.Duration
}

// run starts the process and waits for its end. When ctx is done it sends SIGINT to the process group: on SIGINT dbt
// cancels its queries in the warehouse and ends, on SIGTERM it dies at once and leaves them running (measured on dbt
// 1.11, 1.12 and 2.0). The group is killed when the grace is over, and what is left of it once dbt has ended.
func (p process) run(ctx context.Context) (dbt.Exit, error) {
	cmd := exec.CommandContext(ctx, p.path, p.args...)
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = p.env, p.dir, p.stdout, p.stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	cmd.Cancel = func() error { return syscall.Kill(-cmd.Process.Pid, syscall.SIGINT) }
	cmd.WaitDelay = p.grace
	if err := cmd.Start(); err != nil {
		return dbt.Exit{}, err
	}
	err := cmd.Wait()
	// Nobody waits for what dbt has left behind, and it could still write to the warehouse.
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	return exitOf(cmd, err)
}

func exitOf(cmd *exec.Cmd, err error) (dbt.Exit, error) {
	var exit *exec.ExitError
	switch {
	case cmd.ProcessState == nil:
		return dbt.Exit{}, err
	case err != nil && !errors.As(err, &exit) && !errors.Is(err, exec.ErrWaitDelay) && !errors.Is(err, context.Canceled):
		return dbt.Exit{}, err
	}
	if status, ok := cmd.ProcessState.Sys().(syscall.WaitStatus); ok && status.Signaled() {
		return dbt.Exit{Code: -1, Signal: status.Signal()}, nil
	}
	return dbt.Exit{Code: cmd.ProcessState.ExitCode()}, nil
}

// oomKills reads how often the kernel has killed a process of this container for lack of memory: cgroup v2, then v1.
func oomKills(root string) int {
	for _, file := range []string{"/sys/fs/cgroup/memory.events", "/sys/fs/cgroup/memory/memory.oom_control"} {
		if b, err := os.ReadFile(root + file); err == nil {
			return parseOOMKills(string(b))
		}
	}
	return 0
}
