package integration

import (
	"bytes"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

// kubectl runs kubectl as somebody, and returns what it printed and how it ended.
func (x *team) kubectl(p *person, stdin string, args ...string) (string, error) {
	x.Helper()
	kubectl := filepath.Join(env.BinaryAssetsDirectory, "kubectl")
	return x.command(p, stdin, kubectl, append([]string{"--namespace", x.ns}, args...)...)
}

// script runs a script of hack as somebody, which is not to wait for anything.
func (x *team) script(p *person, name string) (string, error) {
	x.Helper()
	return x.command(p, "", filepath.Join("..", "..", "hack", name))
}

func (x *team) command(p *person, stdin, name string, args ...string) (string, error) {
	x.Helper()
	kubeconfig := filepath.Join(x.TempDir(), "kubeconfig")
	x.ok("kubeconfig", os.WriteFile(kubeconfig, p.kubeconfig, 0o600))
	assets, err := filepath.Abs(env.BinaryAssetsDirectory)
	x.ok("assets", err)
	cmd := exec.CommandContext(x.Context(), name, args...)
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig, "POLICIES_TIMEOUT=0", "PATH="+assets+string(os.PathListSeparator)+os.Getenv("PATH"))
	cmd.Stdin = strings.NewReader(stdin)
	var out bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &out
	err = cmd.Run()
	return out.String(), err
}

// The script by which an installation waits for its policies finds them in force.
func TestScriptFindsThePolicies(t *testing.T) {
	x := newTeam(t)
	if out, err := x.script(x.person("ada", "system:masters"), "policies.sh"); err != nil {
		t.Errorf("%v\n%s", err, out)
	}
}
