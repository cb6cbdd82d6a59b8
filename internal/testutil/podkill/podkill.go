// Package podkill ends a pod as the kernel would: at once, with no word to anybody. It knows where Linux says which process
// belongs to which pod, and is imported by tests and benchmarks only.
package podkill

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
)

// ErrNotSeen is for a pod whose processes cannot be seen from here.
var ErrNotSeen = errors.New("the processes of the cluster's pods cannot be seen from here")

// Kill sends SIGKILL to the first process of the pod's dbt container, with which the kernel ends the others.
func Kill(podUID string) error {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return err
	}
	err = ErrNotSeen
	for _, dir := range dirs {
		groups, _ := os.ReadFile(filepath.Join(dir, "cgroup"))
		line, _ := os.ReadFile(filepath.Join(dir, "cmdline"))
		if !strings.Contains(string(groups), "pod"+podUID) || !strings.HasPrefix(string(line), "/dbt-operator/runner\x00run") {
			continue
		}
		pid, notNumber := strconv.Atoi(filepath.Base(dir))
		if notNumber != nil {
			continue
		}
		if err = syscall.Kill(pid, syscall.SIGKILL); err != nil {
			return fmt.Errorf("killing process %d of pod %s: %w", pid, podUID, err)
		}
	}
	return err
}
