package plane

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Process is one that works on the control plane: the manager's, or one of Kubernetes' own.
type Process struct {
	cmd  *exec.Cmd
	done chan struct{} // closed when the process has ended
	logs *os.File
	kube string
	// cgroup is nil where memory is not limited.
	cgroup *cgroup
}

// Setup is how a manager is started. The zero value is nothing special.
type Setup struct {
	Args []string
	Env  []string
	// MemoryLimit bounds its memory, in bytes, as that of a container; 0 does not.
	MemoryLimit int64
}

// Manager starts the manager's own binary, without metrics and probes unless the setup asks for them. Its log is in the
// folder of temporary files, under the name.
func (p *Plane) Manager(name, binary string, setup Setup) (*Process, error) {
	setup.Args = append([]string{"--runner-image=registry.example.com/dbt-operator:1", "--metrics-bind-address=0", "--health-probe-bind-address=0"}, setup.Args...)
	return p.start(name, binary, setup)
}

// start starts a process with the plane's kubeconfig in KUBECONFIG.
func (p *Plane) start(name, binary string, setup Setup) (*Process, error) {
	m := &Process{done: make(chan struct{}), kube: filepath.Join(os.TempDir(), fmt.Sprintf("%s-%d.kubeconfig", name, os.Getpid()))}
	if err := os.WriteFile(m.kube, p.env.KubeConfig, 0o600); err != nil {
		return nil, err
	}
	var err error
	if m.logs, err = os.OpenFile(filepath.Join(os.TempDir(), name+".log"), os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600); err != nil {
		return nil, err
	}
	command := append([]string{binary}, setup.Args...)
	for i := range command {
		command[i] = strings.ReplaceAll(command[i], kubeconfigArg, m.kube)
	}
	if setup.MemoryLimit > 0 {
		if m.cgroup, err = newCgroup(name, setup.MemoryLimit); err != nil {
			return nil, err
		}
		command = append([]string{"/bin/sh", "-c", `echo $$ >"$0" && exec "$@"`, m.cgroup.procs()}, command...)
	}
	m.cmd = exec.Command(command[0], command[1:]...) //nolint:noctx // Stop ends it
	m.cmd.Env = append(append(os.Environ(), "KUBECONFIG="+m.kube), setup.Env...)
	m.cmd.Stdout, m.cmd.Stderr = m.logs, m.logs
	if err := m.cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", binary, err)
	}
	go func() {
		defer close(m.done)
		_ = m.cmd.Wait()
	}()
	return m, nil
}

// kubeconfigArg stands for the path of the kubeconfig in arguments.
const kubeconfigArg = "$KUBECONFIG"

// Stop kills it, by SIGKILL.
func (m *Process) Stop() {
	_ = m.cmd.Process.Kill()
	<-m.done
	_ = m.logs.Close()
	_ = os.Remove(m.kube)
	if m.cgroup != nil {
		m.cgroup.remove()
	}
}

// Ended is closed when the process has ended, whether it was to or not.
func (m *Process) Ended() <-chan struct{} { return m.done }

// Memory returns the resident set now and the largest there was, in bytes, as /proc/PID/status has them; shared is how much
// of it now is the binary itself, which the kernel can drop and read again.
func (m *Process) Memory() (now, peak, shared int64, err error) {
	sizes, err := readStatus(m.cmd.Process.Pid, "VmRSS", "VmHWM", "RssFile")
	if err != nil {
		return 0, 0, 0, err
	}
	return sizes[0], sizes[1], sizes[2], nil
}

// Processors returns the processor time so far, user and system, of the processes that this one started, by name.
func Processors() map[string]time.Duration {
	out := map[string]time.Duration{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it ended
		}
		// pid (name) state ppid …, proc(5); times are the 14th and 15th field, in hundredths of a second.
		name, rest, found := strings.Cut(string(b), ") ")
		_, name, _ = strings.Cut(name, "(")
		fields := strings.Fields(rest)
		if !found || len(fields) < 13 || fields[1] != strconv.Itoa(os.Getpid()) {
			continue
		}
		for _, field := range fields[11:13] {
			if ticks, err := strconv.ParseInt(field, 10, 64); err == nil {
				out[name] += time.Duration(ticks) * 10 * time.Millisecond
			}
		}
	}
	return out
}

// ProcessorsSince returns what Processors has more than before.
func ProcessorsSince(before map[string]time.Duration) map[string]time.Duration {
	now := Processors()
	for name := range now {
		now[name] -= before[name]
	}
	return now
}
