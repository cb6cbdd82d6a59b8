package live

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/dbt-operator/dbt-operator/test/docs/pages"
)

// patience is how long one call may take on a busy machine.
const patience = 5 * time.Minute

// made are pages that a script writes by carrying out what they show.
var made = regexp.MustCompile(`transcripts?\.md$`)

// Every call of every page is carried out here, or it is said where it is.
func TestWhatPagesSayWorks(t *testing.T) {
	repository, err := pages.Read(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	ended, underWay := newWorld(t), newWorld(t)
	ended.furnish()
	underWay.busy()

	carriedOut, named := 0, map[string]bool{}
	for _, page := range repository.Pages {
		calls, err := page.Calls()
		if err != nil {
			t.Error(err)
		}
		for _, call := range calls {
			if call.Span || made.MatchString(page.Path) {
				continue
			}
			if key, _, found := longest(elsewhere, call); found {
				named[key] = true
				continue
			}
			key, way, _ := longest(ways, call)
			named[key] = true
			w := ended
			if way.underWay {
				w = underWay
			}
			carriedOut++
			if err := w.carryOut(t.Context(), call, way); err != nil {
				t.Errorf("%s:%d: `%s`: %v", page.Path, call.Line, call, err)
			}
		}
	}
	// A reader of pages that finds nothing would find nothing wrong.
	if carriedOut < 60 {
		t.Errorf("%d calls were carried out, want at least 60: what looks for them is wrong", carriedOut)
	}
	t.Logf("%d calls were carried out", carriedOut)
	for key := range ways {
		if !named[key] {
			t.Errorf("no page says to type %q any more: remove it from ways", key)
		}
	}
	for key := range elsewhere {
		if !named[key] {
			t.Errorf("no page says to type %q any more: remove it from elsewhere", key)
		}
	}
}

// carryOut does what a call says.
func (w *world) carryOut(ctx context.Context, call pages.Call, way way) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	words, err := w.here(ctx, call.Words)
	if err != nil {
		return err
	}
	if way.serves {
		return w.serve(ctx, words)
	}
	out, err := w.command(ctx, words...).CombinedOutput()
	code := 0
	var exit *exec.ExitError
	switch {
	case errors.As(err, &exit):
		code = exit.ExitCode()
	case err != nil:
		return err
	}
	if code != way.exit {
		return fmt.Errorf("exit code %d, want %d: %s", code, way.exit, out)
	}
	return nil
}

// here puts what is called otherwise in this world in the place of what pages call it: the namespace, and a pod's name.
func (w *world) here(ctx context.Context, words []string) ([]string, error) {
	words = slices.Clone(words)
	for i, word := range words {
		switch word {
		case "team-a":
			words[i] = w.namespace
		case "--attempt":
			pod, err := w.command(ctx, "kubectl", "get", "dbtrun", words[i-1], "-o", "jsonpath={.status.attempts[0].pod}").Output()
			if err != nil {
				return nil, fmt.Errorf("the pod of run %s: %w", words[i-1], err)
			}
			words[i+1] = string(pod)
		}
	}
	return words, nil
}

// address is where a server says that it serves.
var address = regexp.MustCompile(`(?:127\.0\.0\.1|localhost|\[::1\]):\d+[^\s]*`)

// serve starts what serves, reads the page that it names, and stops it.
func (w *world) serve(ctx context.Context, words []string) error {
	cmd := w.command(ctx, words...)
	said := &firstAddress{found: make(chan string, 1)}
	cmd.Stdout, cmd.Stderr = said, said
	if err := cmd.Start(); err != nil {
		return err
	}
	ended := make(chan struct{})
	var how error
	go func() { how = cmd.Wait(); close(ended) }()
	defer func() {
		_ = cmd.Process.Signal(os.Interrupt)
		<-ended
	}()
	select {
	case at := <-said.found:
		return read(ctx, "http://"+at)
	case <-ended:
		return errors.Join(fmt.Errorf("it ended before it served: %s", said), how)
	case <-ctx.Done():
		return fmt.Errorf("it has not said where it serves: %s", said)
	}
}

func read(ctx context.Context, url string) error {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, url, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	body, err := io.ReadAll(io.LimitReader(response.Body, 1000))
	if response.StatusCode != http.StatusOK {
		return errors.Join(fmt.Errorf("%s answers %s: %s", url, response.Status, body), err)
	}
	return err
}

// firstAddress keeps what is written to it, and finds the first address in it.
type firstAddress struct {
	mu    sync.Mutex
	said  bytes.Buffer
	found chan string
}

func (f *firstAddress) Write(p []byte) (int, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.said.Write(p)
	// Of a line that is not whole yet, the address may not be either.
	if whole := strings.LastIndex(f.said.String(), "\n"); whole >= 0 {
		if at := address.FindString(f.said.String()[:whole]); at != "" {
			select {
			case f.found <- at:
			default:
			}
		}
	}
	return len(p), nil
}

func (f *firstAddress) String() string {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.said.String()
}

// command is a command in the repository's root, with the world's namespace and the repository's own kubectl and plugin.
func (w *world) command(ctx context.Context, words ...string) *exec.Cmd {
	name := words[0]
	if name == "kubectl" {
		name = kubectl()
	}
	cmd := exec.CommandContext(ctx, name, words[1:]...)
	cmd.Dir = root
	cmd.Env = append(os.Environ(), "KUBECONFIG="+w.kubeconfig, "NO_COLOR=1", "PATH="+filepath.Join(root, "bin")+":"+os.Getenv("PATH"))
	return cmd
}

// kubectl is the one that the local cluster was built with, or else the machine's.
func kubectl() string {
	if built := filepath.Join(root, "bin", "k8s", "kubectl"); exists(built) {
		return built
	}
	return "kubectl"
}

func exists(name string) bool {
	_, err := os.Stat(name)
	return err == nil
}

var testName = regexp.MustCompile(`\bTest[A-Z][A-Za-z0-9]*`)

// What is said to be tested elsewhere is tested there.
func TestNamedTestsAreThere(t *testing.T) {
	repository, err := pages.Read(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	var code strings.Builder
	for name := range repository.Files {
		if strings.HasSuffix(name, "_test.go") {
			content, err := os.ReadFile(filepath.Join(root, name))
			if err != nil {
				t.Fatal(err)
			}
			code.Write(content)
		}
	}
	for key, why := range elsewhere {
		for _, name := range testName.FindAllString(why, -1) {
			if !strings.Contains(code.String(), "func "+name+"(") {
				t.Errorf("%q: there is no %s", key, name)
			}
		}
	}
}
