package gate

import (
	"bytes"
	"encoding/xml"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
)

const root = "../.."

// python returns the folder of the gate's Python, and skips where there is none to make it of.
func python(t *testing.T) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(root, "hack", "gate-venv.sh"))
	var said bytes.Buffer
	cmd.Stderr = &said
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 3 {
		t.Skipf("NOT TESTED: the FastAPI gate needs Python: %s", said.String())
	}
	if err != nil {
		t.Fatalf("making the gate's Python: %v\n%s", err, said.String())
	}
	return strings.TrimSpace(string(out))
}

// run runs a program of the gate's Python in the gate's folder and returns what it said.
func run(t *testing.T, program string, args ...string) (string, error) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), filepath.Join(python(t), "bin", program), args...)
	cmd.Dir = filepath.Join(root, "examples", "fastapi-gate")
	// Nothing is left in the checkout, and nothing of whoever runs the test gets in.
	cmd.Env = append(os.Environ(), "PYTHONDONTWRITEBYTECODE=1", "PYTHONPATH=", "MYPY_CACHE_DIR="+filepath.Join(python(t), "mypy-cache"))
	out, err := cmd.CombinedOutput()
	return string(out), err
}

// report is pytest's JUnit file.
type report struct {
	Cases []struct {
		Class   string    `xml:"classname,attr"`
		Name    string    `xml:"name,attr"`
		Failure *string   `xml:"failure"`
		Error   *string   `xml:"error"`
		Skipped *struct{} `xml:"skipped"`
	} `xml:"testsuite>testcase"`
}

// Each of pytest's tests is a test here, so that they are counted and named with all others.
func TestPytest(t *testing.T) {
	file := filepath.Join(t.TempDir(), "report.xml")
	out, err := run(t, "python", "-m", "pytest", "--junit-xml", file)
	content, readErr := os.ReadFile(file)
	if readErr != nil {
		t.Fatalf("pytest: %v\n%s", err, out)
	}
	var r report
	if err := xml.Unmarshal(content, &r); err != nil {
		t.Fatalf("reading pytest's report: %v", err)
	}
	for _, c := range r.Cases {
		t.Run(strings.TrimPrefix(c.Class, "tests.")+"."+c.Name, func(t *testing.T) {
			switch {
			case c.Failure != nil:
				t.Error(*c.Failure)
			case c.Error != nil:
				t.Error(*c.Error)
			case c.Skipped != nil:
				t.Error("skipped: a test of the gate that does not run proves nothing")
			}
		})
	}
	if len(r.Cases) == 0 || (err != nil && !t.Failed()) {
		t.Errorf("pytest ran %d tests: %v\n%s", len(r.Cases), err, out)
	}
}

func TestTypes(t *testing.T) {
	if out, err := run(t, "mypy"); err != nil {
		t.Errorf("mypy: %v\n%s", err, out)
	}
}
