package runner

import (
	"encoding/base64"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/plan"
)

// token puts a token where kubelet does.
func (p *pod) token(name, value string) {
	p.t.Helper()
	makeFile(p.t, filepath.Join(p.paths.Tokens, name), value+"\n")
}

// renew replaces a token as kubelet does: the new one is there whole, at once.
func (p *pod) renew(name, value string) {
	p.t.Helper()
	makeFile(p.t, filepath.Join(p.paths.Workspace, "renewed"), value+"\n")
	if err := os.Rename(filepath.Join(p.paths.Workspace, "renewed"), filepath.Join(p.paths.Tokens, name)); err != nil {
		p.t.Fatal(err)
	}
}

// ticker returns a clock whose waits of tokenInterval end when tick is called, and not before. What was begun by one tick
// is over when the next returns.
func ticker() (after func(time.Duration) <-chan time.Time, tick func()) {
	c := make(chan time.Time)
	after = func(d time.Duration) <-chan time.Time {
		if d == tokenInterval {
			return c
		}
		return time.After(d)
	}
	return after, func() { c <- clock() }
}

// jwtOf returns what looks like a token that ends at the given time.
func jwtOf(end time.Time) string {
	part := func(s string) string { return base64.RawURLEncoding.EncodeToString([]byte(s)) }
	return part(`{"alg":"none"}`) + "." + part(fmt.Sprintf(`{"exp":%d}`, end.Unix())) + "." + part("no signature")
}

func TestTokenByEnv(t *testing.T) {
	p := newPod(t)
	p.token("warehouse", "first-value")
	p.plan.Tokens = []plan.Token{{Name: "warehouse", Env: "DBT_ENV_SECRET_TOKEN"}}
	p.plan.Commands = [][]string{{"seed"}, {"run"}}
	p.env = append(p.env, "DBT_ENV_SECRET_TOKEN=of the image", "PGPASSFILE=/keys/pgpass")
	p.dbt.script(1, step{Out: "at work"}, step{Signal: true})
	p.dbt.script(2, step{Out: "it is second-value, and was first-value"})
	done := make(chan int, 1)
	go func() { done <- p.runner().Run(t.Context()) }()
	p.screen.waitFor(t, "at work")
	p.renew("warehouse", "second-value")
	p.dbt.signal(syscall.SIGINT)
	if code := <-done; code != 0 {
		t.Fatalf("exit code %d; printed:\n%s", code, p.screen)
	}
	var got []string
	for _, i := range p.dbt.invocations() {
		v, _ := i.getenv("DBT_ENV_SECRET_TOKEN")
		file, _ := i.getenv("PGPASSFILE")
		got = append(got, v+" "+file)
	}
	want := []string{"first-value /keys/pgpass", "second-value /keys/pgpass"}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("each command has the token of its beginning, and no password file but the project's (-want +got):\n%s", diff)
	}
	if out := p.screen.String(); !strings.Contains(out, "it is ***, and was ***") {
		t.Errorf("values must be known before dbt has them; printed:\n%s", out)
	}
	if os.Getenv("DBT_ENV_SECRET_TOKEN") != "" {
		t.Error("the runner's own environment holds the token")
	}
}

func TestPGPassFileFollowsTheToken(t *testing.T) {
	p := newPod(t)
	after, tick := ticker()
	p.after = after
	p.token("warehouse", "first-value")
	p.plan.Tokens = []plan.Token{{Name: "warehouse", PGPass: &plan.PGPass{Host: "postgres.warehouse.svc"}}}
	p.env = append(p.env, "PGPASSFILE=/keys/pgpass", "PGPASSWORD=another")
	p.dbt.script(1, step{Out: "at work"}, step{Signal: true}, step{Out: "now it is second-value, it was first-value"})
	done := make(chan int, 1)
	go func() { done <- p.runner().Run(t.Context()) }()
	p.screen.waitFor(t, "at work")
	i := p.dbt.invocations()[0]
	file, _ := i.getenv("PGPASSFILE")
	if _, found := i.getenv("PGPASSWORD"); found || file != filepath.Join(p.paths.Workspace, "pgpass") {
		t.Errorf("PGPASSFILE is %q and PGPASSWORD set: %v; want the run's own file, and nothing that libpq prefers to it", file, found)
	}
	checkPGPass(t, file, "postgres.warehouse.svc:*:*:*:first-value\n")

	p.renew("warehouse", "second-value")
	tick()
	tick()
	checkPGPass(t, file, "postgres.warehouse.svc:*:*:*:second-value\n")

	p.dbt.signal(syscall.SIGINT)
	if code := <-done; code != 0 {
		t.Fatalf("exit code %d; printed:\n%s", code, p.screen)
	}
	if out := p.screen.String(); !strings.Contains(out, "now it is ***, it was ***") {
		t.Errorf("a renewed token must be known as the first was; printed:\n%s", out)
	}
}

// checkPGPass checks the password file, and that nothing else of it lies about.
func checkPGPass(t *testing.T, path, want string) {
	t.Helper()
	if diff := cmp.Diff(want, readFile(t, path)); diff != "" {
		t.Errorf("password file (-want +got):\n%s", diff)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("password file: %v, mode %v; libpq ignores a file that others can read", err, info.Mode())
	}
	if all, _ := filepath.Glob(path + "*"); len(all) != 1 {
		t.Errorf("files: %q, want the password file alone", all)
	}
}

// A token that only dbt reads, from its file, is renewed while dbt runs like any other: its values must be known.
func TestRenewedFileIsRedacted(t *testing.T) {
	p := newPod(t)
	after, tick := ticker()
	p.after = after
	p.token("warehouse", "first-value")
	p.dbt.script(1, step{Out: "at work"}, step{Signal: true}, step{Out: "now it is second-value, it was first-value"})
	done := make(chan int, 1)
	go func() { done <- p.runner().Run(t.Context()) }()
	p.screen.waitFor(t, "at work")
	p.renew("warehouse", "second-value")
	tick()
	tick()
	p.dbt.signal(syscall.SIGINT)
	<-done
	if out := p.screen.String(); !strings.Contains(out, "now it is ***, it was ***") {
		t.Errorf("printed:\n%s", out)
	}
}

// Fault 38: a token that dies in the middle of a run is said to have died, once.
func TestTokenThatDies(t *testing.T) {
	for name, tc := range map[string]struct {
		reason string
		token  plan.Token
		want   string
	}{
		"not renewed": {"kubelet could not", plan.Token{Name: "warehouse", PGPass: &plan.PGPass{}}, "The token warehouse of spec.tokens expired at 2026-11-24T05:59:59Z and was not renewed: new logins with it are refused"},
		"given once":  {"the API server gave it less time than was asked for", plan.Token{Name: "warehouse", Env: "TOKEN"}, "The token warehouse of spec.tokens expired at 2026-11-24T05:59:59Z and was given to dbt once, in the variable TOKEN: new logins with it are refused"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPod(t)
			after, tick := ticker()
			p.after = after
			p.token("warehouse", jwtOf(clock().Add(-time.Second)))
			p.plan.Tokens = []plan.Token{tc.token}
			p.dbt.script(1, step{Out: "at work"}, step{Signal: true})
			done := make(chan int, 1)
			go func() { done <- p.runner().Run(t.Context()) }()
			p.screen.waitFor(t, "at work")
			if tc.token.Env != "" {
				p.renew("warehouse", jwtOf(clock().Add(time.Hour)))
			}
			for range 3 {
				tick()
			}
			p.dbt.signal(syscall.SIGINT)
			<-done
			if n := strings.Count(p.screen.String(), tc.want); n != 1 {
				t.Errorf("%s: said %d times, want once; printed:\n%s", tc.reason, n, p.screen)
			}
		})
	}
}

func TestTokenThatIsNotThere(t *testing.T) {
	for name, tc := range map[string]struct {
		reason, content, want string
		token                 plan.Token
	}{
		"missing": {"kubelet makes it before the container", "", "the token warehouse of spec.tokens is not at", plan.Token{Name: "warehouse", PGPass: &plan.PGPass{}}},
		"no line": {"a second line would be another entry of the password file", "a\n*:*:*:*:b", "found 11 bytes that are no single line", plan.Token{Name: "warehouse", PGPass: &plan.PGPass{}}},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPod(t)
			p.plan.Tokens = []plan.Token{tc.token}
			if tc.content != "" {
				p.token("warehouse", tc.content)
			}
			_, report := p.run()
			if report.Outcome != journal.SourceUnavailable || !strings.Contains(report.Message, tc.want) {
				t.Errorf("%s: %s: %s; want %q", tc.reason, report.Outcome, report.Message, tc.want)
			}
			if n := len(p.dbt.invocations()); n != 0 {
				t.Errorf("%s: dbt ran %d times without its token", tc.reason, n)
			}
		})
	}
}

func TestWritePGPassEscapes(t *testing.T) {
	path := filepath.Join(t.TempDir(), "pgpass")
	for host, want := range map[string]string{"": "*:*:*:*:to\\:k\\\\en\n", "fe80::1": "fe80\\:\\:1:*:*:*:to\\:k\\\\en\n"} {
		if err := writePGPass(path, host, `to:k\en`); err != nil {
			t.Fatal(err)
		}
		checkPGPass(t, path, want)
	}
}

func TestTokenExpiry(t *testing.T) {
	end := clock()
	for name, tc := range map[string]struct {
		reason, token string
		want          time.Time
		ok            bool
	}{
		"ends":      {"as kubelet's do", jwtOf(end), end, true},
		"two parts": {"no JSON Web Token", "a.b", time.Time{}, false},
		"no base64": {"no JSON Web Token", "a.!.c", time.Time{}, false},
		"no JSON":   {"no JSON Web Token", "a.YQ.c", time.Time{}, false},
		"no exp":    {"one that never ends", "a.e30.c", time.Time{}, false},
		"too late":  {"no year that can be written", jwtOf(time.Unix(253402300800, 0)), time.Time{}, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := tokenExpiry(tc.token)
			if ok != tc.ok || !got.Equal(tc.want) {
				t.Errorf("%s: got %v, %v; want %v, %v", tc.reason, got, ok, tc.want, tc.ok)
			}
		})
	}
}

func FuzzTokenExpiry(f *testing.F) {
	f.Add(jwtOf(clock()))
	f.Add("a.eyJleHAiOjFlMzA4fQ.c")
	f.Fuzz(func(t *testing.T, token string) {
		if end, ok := tokenExpiry(token); ok && (end.Year() < 1970 || end.Year() > 9999) {
			t.Errorf("%q ends at %v", token, end)
		}
	})
}

// Learn forgets the oldest in the end, and a value that is learned again and again drives no other out.
func TestLearn(t *testing.T) {
	r := NewRedactor(nil)
	r.Learn("value-first")
	for range 2 * mostLearned {
		r.Learn("value-again")
	}
	if got := r.String("value-first value-again"); got != "*** ***" {
		t.Errorf("got %q", got)
	}
	for i := range mostLearned {
		r.Learn(fmt.Sprintf("value-%04d", i))
	}
	if got := r.String("value-first value-0000 value-0063"); got != "value-first *** ***" {
		t.Errorf("got %q, want the last %d values hidden", got, mostLearned)
	}
}
