package plane

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// cgroup bounds the memory of a process as the kernel does it for a container: what goes beyond is killed.
type cgroup struct{ dir, limit string }

// newCgroup makes a group of the memory controller, of cgroup v2 or v1, whichever the machine has.
func newCgroup(name string, bytes int64) (*cgroup, error) {
	g := &cgroup{dir: filepath.Join("/sys/fs/cgroup", name), limit: "memory.max"}
	if _, err := os.Stat("/sys/fs/cgroup/memory/memory.limit_in_bytes"); err == nil {
		g = &cgroup{dir: filepath.Join("/sys/fs/cgroup/memory", name), limit: "memory.limit_in_bytes"}
	}
	if err := os.Mkdir(g.dir, 0o755); err != nil && !errors.Is(err, os.ErrExist) {
		return nil, fmt.Errorf("making a cgroup, which takes root: %w", err)
	}
	if err := os.WriteFile(filepath.Join(g.dir, g.limit), []byte(strconv.FormatInt(bytes, 10)), 0o600); err != nil {
		g.remove()
		return nil, fmt.Errorf("limiting memory: %w", err)
	}
	return g, nil
}

// procs is the file that a process writes its number into to be bound.
func (g *cgroup) procs() string { return filepath.Join(g.dir, "cgroup.procs") }

func (g *cgroup) remove() { _ = os.Remove(g.dir) }

// readStatus returns the sizes that /proc/PID/status has under names such as VmRSS, in bytes.
func readStatus(pid int, names ...string) ([]int64, error) {
	b, err := os.ReadFile(fmt.Sprintf("/proc/%d/status", pid))
	if err != nil {
		return nil, err
	}
	out := make([]int64, len(names))
	for line := range strings.Lines(string(b)) {
		for i, name := range names {
			kb, ok := strings.CutPrefix(line, name+":")
			if !ok {
				continue
			}
			n, err := strconv.ParseInt(strings.TrimSuffix(strings.TrimSpace(kb), " kB"), 10, 64)
			if err != nil {
				return nil, err
			}
			out[i] = n << 10
		}
	}
	return out, nil
}
