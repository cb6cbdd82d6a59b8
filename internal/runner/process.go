package runner

import (
	"context"
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

// linger is how long the output of a dbt that has ended may be held open by what it has left behind.
const linger = 2 * time.Second

// run starts the process and waits for its end. When ctx is done it sends SIGINT to the process group: on SIGINT dbt
// cancels its queries in the warehouse and ends, on SIGTERM it dies at once and leaves them running (measured on dbt
// 1.11, 1.12 and 2.0). The group is killed when the grace is over, and what is left of it once dbt has ended: nobody
// waits for that, and it could still write to the warehouse.
func (p process) run(ctx context.Context) (dbt.Exit, error) {
	var streams []*stream
	for _, to := range []io.Writer{p.stdout, p.stderr} {
		s, err := newStream(to)
		if err != nil {
			return dbt.Exit{}, err
		}
		defer s.close()
		streams = append(streams, s)
	}
	cmd := exec.Command(p.path, p.args...) //nolint:noctx // a context would kill dbt, which must be told to stop and waited for
	cmd.Env, cmd.Dir, cmd.Stdout, cmd.Stderr = p.env, p.dir, streams[0].in, streams[1].in
	cmd.SysProcAttr = &syscall.SysProcAttr{Setpgid: true}
	if err := cmd.Start(); err != nil {
		return dbt.Exit{}, err
	}
	for _, s := range streams {
		s.start()
	}
	over := make(chan struct{})
	go p.stop(ctx, cmd.Process.Pid, over)
	err := cmd.Wait()
	close(over)
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	for _, s := range streams {
		s.finish()
	}
	return exitOf(cmd, err)
}

// stop interrupts the process group when ctx is done, and kills it when it is not over after the grace.
func (p process) stop(ctx context.Context, group int, over <-chan struct{}) {
	select {
	case <-over:
		return
	case <-ctx.Done():
	}
	_ = syscall.Kill(-group, syscall.SIGINT)
	grace := time.NewTimer(p.grace)
	defer grace.Stop()
	select {
	case <-over:
	case <-grace.C:
		_ = syscall.Kill(-group, syscall.SIGKILL)
	}
}

// exitOf returns how the process ended; err is what waiting for it returned.
func exitOf(cmd *exec.Cmd, err error) (dbt.Exit, error) {
	if cmd.ProcessState == nil {
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
