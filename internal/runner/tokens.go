package runner

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"time"

	"github.com/dbt-operator/dbt-operator/internal/plan"
)

// tokenInterval is how often token files are looked at. Kubelet renews a token when a fifth of its lifetime is left, two
// minutes of the least.
const tokenInterval = 5 * time.Second

// tokens hands on the projected tokens that dbt does not read from their files itself, and makes each value that a token
// ever has known before dbt can see it. It is safe for concurrent use.
type tokens struct {
	dir       string // one file per token
	collector string // the file of the token for the collector, which may not be there
	pgpass    string // where the password file goes
	plan      []plan.Token
	learn     func(value string)
	warn      func(message string)

	mu sync.Mutex
	// last is the newest value of each file; given the one that dbt has in its environment, by the token's name; written
	// the one in the password file.
	last, given map[string]string
	written     string
	warned      map[string]bool
}

// follow reads the tokens, writes the password file that the plan asks for, and keeps both in step with the files until
// the returned function is called.
func (r *Runner) follow(ctx context.Context) (stop func(), err error) {
	t := &tokens{
		dir: r.paths.Tokens, collector: r.paths.CollectorToken, pgpass: r.folders.pgpass(), plan: r.plan.Tokens, learn: r.redact.Learn,
		warn: func(message string) { r.print.line("warn", message) },
		last: map[string]string{}, given: map[string]string{}, warned: map[string]bool{},
	}
	r.tokens = t
	if err := t.refresh(r.now()); err != nil {
		return nil, unavailable("%w", err)
	}
	if len(t.last) == 0 {
		return func() {}, nil
	}
	// dbt needs its tokens also after an interrupt: to cancel a query it logs in once more.
	ctx, cancel := context.WithCancel(context.WithoutCancel(ctx))
	done := make(chan struct{})
	go func() {
		defer close(done)
		for {
			select {
			case <-ctx.Done():
				return
			case <-r.after(tokenInterval):
			}
			if err := t.refresh(r.now()); err != nil {
				t.once(err.Error())
			}
		}
	}()
	return func() { cancel(); <-done }, nil
}

// environment returns the variables that tokens are handed on in, NAME=value, with the values of this moment.
func (t *tokens) environment() ([]string, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	var env []string
	for _, p := range t.plan {
		if p.PGPass != nil {
			env = append(env, "PGPASSFILE="+t.pgpass)
			continue
		}
		value, err := readToken(filepath.Join(t.dir, p.Name))
		if err != nil {
			return nil, err
		}
		t.learn(value)
		t.given[p.Name] = value
		env = append(env, p.Env+"="+value)
	}
	return env, nil
}

// refresh looks at all token files once. One that cannot be read keeps no other from being followed.
func (t *tokens) refresh(now time.Time) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	var errs []error
	for _, path := range t.files() {
		value, err := readToken(path)
		switch {
		case errors.Is(err, os.ErrNotExist):
			continue
		case err != nil:
			errs = append(errs, err)
			continue
		case value != t.last[path]:
			t.learn(value)
			t.last[path] = value
		}
		if path != t.collector {
			t.expired(filepath.Base(path), value, "was not renewed", now)
		}
	}
	for _, p := range t.plan {
		value := t.last[filepath.Join(t.dir, p.Name)]
		switch {
		case value == "":
			errs = append(errs, fmt.Errorf("the token %s of spec.tokens is not at %s: kubelet has not made it", p.Name, filepath.Join(t.dir, p.Name)))
		case p.PGPass == nil:
			t.expired(p.Name, t.given[p.Name], "was given to dbt once, in the variable "+p.Env, now)
		case value != t.written:
			if err := writePGPass(t.pgpass, p.PGPass.Host, value); err != nil {
				errs = append(errs, fmt.Errorf("giving the token %s of spec.tokens to libpq: %w", p.Name, err))
				continue
			}
			t.written = value
		}
	}
	return errors.Join(errs...)
}

// files returns the paths of all tokens of the pod.
func (t *tokens) files() []string {
	entries, _ := os.ReadDir(t.dir)
	paths := []string{t.collector}
	for _, e := range entries {
		// Kubelet keeps the files themselves in a folder whose name begins so, and replaces that as a whole.
		if !strings.HasPrefix(e.Name(), "..") {
			paths = append(paths, filepath.Join(t.dir, e.Name()))
		}
	}
	return paths
}

// expired says so, once for each value, when a token is no longer good: what the warehouse then says is hard to read.
func (t *tokens) expired(name, value, why string, now time.Time) {
	if end, ok := tokenExpiry(value); ok && now.After(end) && !t.warned[why+value] {
		t.warned[why+value] = true
		t.warn(fmt.Sprintf("The token %s of spec.tokens expired at %s and %s: new logins with it are refused", name, end.UTC().Format(time.RFC3339), why))
	}
}

// once warns, the first time only.
func (t *tokens) once(message string) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if !t.warned[message] {
		t.warned[message] = true
		t.warn(message)
	}
}
