package runner

import (
	"encoding/json"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/dbt-operator/dbt-operator/internal/dbt"
	"github.com/dbt-operator/dbt-operator/internal/plan"
	"github.com/dbt-operator/dbt-operator/internal/testutil/collectortest"
)

const (
	privateKey = "-----BEGIN PRIVATE KEY-----\nMIIEvQIBADANBgkqhkiG9w0BAQEFAASC\nBKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj\n-----END PRIVATE KEY-----\n"
	// token has the shape of a JSON Web Token and is none.
	token = "eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJzeXN0ZW06c2VydmljZWFjY291bnQifQ.c2lnbmF0dXJlLW9mLW5vYm9keQ"
)

func TestRedactorString(t *testing.T) {
	tests := map[string]struct {
		reason  string
		secrets []string
		in      string
		want    string
	}{
		"Known":          {"a known value goes wherever it stands", []string{"hunter22"}, "user=a password=hunter22, again hunter22", "user=a password=***, again ***"},
		"InsideWord":     {"a value inside a longer word goes too", []string{"hunter22"}, "xhunter22y", "x***y"},
		"Short":          {"a value of 5 bytes is an ordinary word and stays", []string{"prod1"}, "target prod1", "target prod1"},
		"SixBytes":       {"a value of 6 bytes goes", []string{"prod12"}, "target prod12", "target ***"},
		"Longest":        {"of two secrets that begin alike the longer goes whole", []string{"hunter22", "hunter22-extra"}, "hunter22-extra hunter22", "*** ***"},
		"Trimmed":        {"a file's line break is no part of its secret", []string{"hunter22\n"}, "hunter22.", "***."},
		"PEM":            {"a key of several lines goes whole", []string{privateKey}, "key: " + strings.TrimSpace(privateKey), "key: ***"},
		"PEMLine":        {"each line of a key goes by itself: dbt logs line by line", []string{privateKey}, "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC", "***"},
		"PEMEscaped":     {"a key with its line breaks written as \\n goes line by line", []string{strings.ReplaceAll(privateKey, "\n", `\n`)}, "BKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj", "***"},
		"PEMWindows":     {"a key with CRLF goes line by line", []string{strings.ReplaceAll(privateKey, "\n", "\r\n")}, "BKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj", "***"},
		"JSON":           {"a value inside JSON text goes, as Go writes it", []string{`pa"ss&<word`}, `{"p": "pa\"ss\u0026\u003cword"}`, `{"p": "***"}`},
		"JSONPython":     {"and as Python writes it", []string{`pa"ss&<wörd`}, `{"p": "pa\"ss&<w\u00f6rd"}`, `{"p": "***"}`},
		"JSONRust":       {"and as Rust writes it", []string{`pa"ss&<wörd`}, `{"p": "pa\"ss&<wörd"}`, `{"p": "***"}`},
		"JSONPythonPair": {"a character beyond 16 bits is two escapes in Python", []string{"pass🔑word"}, `"pass\ud83d\udd11word"`, `"***"`},
		"URLEncoded":     {"a value inside a query goes", []string{"p@ss word/1"}, "?password=p%40ss+word%2F1&x=1", "?password=***&x=1"},
		"JWT":            {"a token nobody told us of goes by its shape", nil, "Bearer " + token + "!", "Bearer ***!"},
		"NoJWT":          {"what only begins like a token stays", nil, "eyJub3R.a.token", "eyJub3R.a.token"},
		"Userinfo":       {"the password of a URL goes with its user", nil, "postgresql://dbt:s3cr3t@db:5432/shop", "postgresql://***@db:5432/shop"},
		"UserinfoAt":     {"also one with an @ in it", nil, "postgresql://dbt:s3@cr3t@db:5432/shop", "postgresql://***@db:5432/shop"},
		"UserinfoToken":  {"a token as the user goes", nil, "https://ghp_abc@github.com/x", "https://***@github.com/x"},
		"NoUserinfo":     {"an @ in a path or a query is no user", nil, "https://example.com/a@b?c=d@e me@example.com", "https://example.com/a@b?c=d@e me@example.com"},
		"Empty":          {"no secrets change nothing", []string{"", " ", "\n\n"}, "a  b", "a  b"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if got := NewRedactor(tc.secrets).String(tc.in); got != tc.want {
				t.Errorf("%s:\n got %q\nwant %q", tc.reason, got, tc.want)
			}
		})
	}
}

func TestSecrets(t *testing.T) {
	dir := t.TempDir()
	keyFile := filepath.Join(dir, "key.pem")
	makeFile(t, keyFile, "x")
	profiles := `
shared: {user: dbt, word: &alias from-anchor}
shop:
  outputs:
    prod:
      type: postgres
      host: db.internal
      pass: from-pass
      private_key: |
        line-one-of-key
        line-two-of-key
      keyfile_json: {private_key: from-nested, client_email: someone@example.com}
      token: "{{ env_var('WAREHOUSE') }}"
      key: from-key
    dev:
      password: *alias
`
	makeFile(t, filepath.Join(dir, "profiles", "profiles.yml"), profiles)
	makeFile(t, filepath.Join(dir, "tokens", "warehouse"), "token-in-file\n")

	tests := map[string]struct {
		reason  string
		environ []string
		named   []string
		want    []string
		not     []string
	}{
		"Named":       {"a variable from a Secret is one whatever its name", []string{"WAREHOUSE_HOST=db-from-secret"}, []string{"WAREHOUSE_HOST"}, []string{"db-from-secret"}, nil},
		"NamedSlash":  {"also when its value begins as a path does: base64 may", []string{"PGPASSWORD=/9j+base64=="}, []string{"PGPASSWORD"}, []string{"/9j+base64=="}, nil},
		"Plain":       {"a variable that is none of this stays", []string{"REGION=eu-west-1", "PATH=/usr/bin"}, nil, nil, []string{"eu-west-1", "/usr/bin"}},
		"DbtSecret":   {"dbt's own secret variables are secrets", []string{"DBT_ENV_SECRET_GIT=ghp_abcdef"}, nil, []string{"ghp_abcdef"}, nil},
		"ByName":      {"a name that says secret is believed", []string{"MY_PASSWORD=a1", "API_KEY=a2", "apiToken=a3", "X_CREDENTIALS=a4", "PGPASS=a5", "CLIENT_SECRET=a6", "DB_PWD=a7"}, nil, []string{"a1", "a2", "a3", "a4", "a5", "a6", "a7"}, nil},
		"Path":        {"the path of a secret's file is none", []string{"TOKEN_FILE=" + keyFile}, nil, nil, []string{keyFile}},
		"NoPath":      {"what begins as a path does and leads nowhere may be a secret", []string{"SECRET_KEY=/9j+base64=="}, nil, []string{"/9j+base64=="}, nil},
		"WorkingDir":  {"PWD is no password", []string{"PWD=/srv", "OLDPWD=/srv/old"}, nil, nil, []string{"/srv", "/srv/old"}},
		"Value":       {"a value with = in it is taken whole", []string{"A_TOKEN=a=b=c"}, nil, []string{"a=b=c"}, nil},
		"TokenFiles":  {"projected tokens are secrets", nil, nil, []string{"token-in-file"}, nil},
		"Profiles":    {"profiles.yml keeps secrets under names that say so", nil, nil, []string{"from-pass", "line-one-of-key\nline-two-of-key\n", "from-nested", "from-key"}, []string{"db.internal", "someone@example.com", "postgres", "dbt"}},
		"Anchors":     {"also behind an alias", nil, nil, []string{"from-anchor"}, nil},
		"ProfilesEnv": {"a variable that profiles.yml takes a secret from is one", []string{"WAREHOUSE=from-variable"}, nil, []string{"from-variable"}, nil},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := secrets(tc.environ, tc.named, filepath.Join(dir, "profiles"), filepath.Join(dir, "tokens"))
			for _, w := range tc.want {
				if !slices.Contains(got, w) {
					t.Errorf("%s: %q is not among %q", tc.reason, w, got)
				}
			}
			for _, n := range tc.not {
				if slices.Contains(got, n) {
					t.Errorf("%s: %q is among %q", tc.reason, n, got)
				}
			}
		})
	}
}

// TestNothingLeaves runs a dbt that says a secret in every way it has, and looks for it in all that leaves the pod.
func TestNothingLeaves(t *testing.T) {
	const secret = `s3cr3t"wörd&<1>`
	const number = "8675309123"
	urlSecret := "postgresql://dbt:" + "in-the-url" + "@db/shop"
	pad := strings.Repeat("é", 340)
	say := func(id string) string {
		return "FATAL: " + secret + " " + number + " " + token + " " + urlSecret + " token-in-file from-profile\n" + privateKey + id
	}
	for _, format := range []string{plan.LogText, plan.LogJSON} {
		for _, own := range []bool{false, true} {
			name := format + "/MountedProfiles"
			if own {
				name = format + "/OwnProfiles"
			}
			t.Run(name, func(t *testing.T) {
				c := collectortest.New(t)
				p := attemptOf(t, c, "token-of-the-collector")
				p.plan.LogFormat = format
				p.plan.SecretEnv = []string{"WAREHOUSE", "PIN", "KEY_PEM"}
				p.plan.Commands = [][]string{{"build", "--vars", "{pw: '" + secret + "', in: token-in-file}"}}
				p.env = append(p.env, "WAREHOUSE="+secret, "PIN="+number, "KEY_PEM="+privateKey)
				makeFile(t, filepath.Join(p.paths.Tokens, "warehouse"), "token-in-file")
				profiles := p.paths.ConfigMap
				if !own {
					profiles = t.TempDir()
					p.plan.ProfilesDir = profiles
				}
				makeFile(t, filepath.Join(profiles, "profiles.yml"), "shop: {password: from-profile}\n")
				id := "model.shop.from-profile"
				p.dbt.script(1,
					version(),
					step{Out: say("no event")}, step{Err: say("standard error")},
					step{Out: event("X", "Note", "info", say("message"), map[string]any{
						"deep": []any{say("list"), map[string]any{say("key"): 8675309123}}, "n": 8675309123,
					})},
					started(id, 1), finished(id, "error", say("result"), 1), explained(id, say("explained")),
					step{Out: event("Z002", "MainEncounteredError", "error", pad+say("error"), map[string]any{"exc": pad + say("exc")})},
					step{Target: map[string]string{
						"manifest.json":    mustJSON(t, map[string]any{"nodes": map[string]any{say("id"): map[string]any{"resource_type": "model", "relation_name": say("r"), "n": 8675309123}}}),
						"run_results.json": mustJSON(t, map[string]any{"results": []any{say("result"), "token-of-the-collector"}}),
						"index.html":       "<pre>" + say("html") + "</pre>",
					}},
					exits(1),
				)
				code, report := p.run()
				if code != 10 {
					t.Errorf("exit code %d, want 10", code)
				}
				raw := readFile(t, p.paths.TerminationLog)
				if len(report.Failures) != 1 || !strings.Contains(report.Failures[0].Message, "FATAL: ***") {
					t.Errorf("the failure is not told: %s", raw)
				}
				if !strings.Contains(report.Commands[0].Command, "pw: '***'") {
					t.Errorf("the command is not told: %s", raw)
				}
				noSecrets(t, "the report", raw)
				noSecrets(t, "the log", p.screen.String())
				noSecrets(t, "the journal", string(c.Journal()))
				noSecrets(t, "the log that is kept", c.Log(t, "token-of-the-collector"))
				if names := c.ArtifactNames(); len(names) != 3 {
					t.Errorf("artifacts: %q", names)
				}
				for name, content := range c.Artifacts() {
					noSecrets(t, name, content)
				}
				if format == plan.LogJSON {
					validLines(t, p.screen.String())
				}
			})
		}
	}
}

// noSecrets fails when any of TestNothingLeaves' secrets is in s, whole or its first half.
func noSecrets(t *testing.T, where, s string) {
	t.Helper()
	for _, secret := range []string{
		"token-of-the-collector", `s3cr3t`, "8675309123", token[:20], "in-the-url", "token-in-file", "from-profile", "MIIEvQIBADANBgkqhkiG9w0BAQEFAASC", "BKcwggSjAgEAAoIBAQC7VJTUt9Us8cKj",
	} {
		if i := strings.Index(s, secret); i >= 0 {
			t.Errorf("%s holds %q: …%s…", where, secret, s[max(0, i-80):min(len(s), i+80)])
		}
	}
}

// validLines fails unless each line is a JSON object that carries the run's identity.
func validLines(t *testing.T, s string) {
	t.Helper()
	for line := range strings.Lines(s) {
		var o struct {
			Run, Namespace, RunUID, Project string
			Info                            struct{ Msg, Level string }
		}
		if err := json.Unmarshal([]byte(line), &o); err != nil {
			t.Errorf("a printed line is no JSON: %v\n%.300s", err, line)
			continue
		}
		if o.Run != "nightly" || o.Namespace != "shop" || o.RunUID != "0c7a" || o.Project != "jaffle" || o.Info.Level == "" {
			t.Errorf("a printed line lacks the run's identity or its level: %.300s", line)
		}
	}
}

// TestCutSecret has a secret where a message is cut: no part of it may be left.
func TestCutSecret(t *testing.T) {
	const secret = "0123456789abcdefghijklmnopqrstuvwxyz"
	for _, tc := range []struct {
		reason string
		step   func(say string) step
		cut    int
	}{
		{"a sentence of the report is cut at 700 bytes", func(say string) step {
			return step{Out: event("Z002", "MainEncounteredError", "error", say, map[string]any{})}
		}, 700},
		{"standard error is kept up to 4 KiB a line", func(say string) step { return step{Err: say} }, maxTail},
		{"a line of text is printed up to 16 KiB", func(say string) step { return step{Out: say} }, maxPrinted},
	} {
		for from := tc.cut - len(secret); from < tc.cut; from += 5 {
			p := newPod(t)
			p.plan.SecretEnv = []string{"W"}
			p.env = append(p.env, "W="+secret)
			p.dbt.script(1, tc.step(strings.Repeat("-", from)+secret), exits(2))
			p.run()
			for where, s := range map[string]string{"the log": p.screen.String(), "the report": readFile(t, p.paths.TerminationLog)} {
				if strings.Contains(s, secret[:5]) {
					t.Errorf("%s: %s holds a part of a secret that begins at byte %d", tc.reason, where, from)
				}
			}
		}
	}
}

func TestRedactJSONKeepsShape(t *testing.T) {
	raw := `{"info":{"name":"N","level":"info","n":1.50e3,"b":true,"z":null,"msg":"a\tb\u001b[31mc\u001b[0m"},"data":{"l":[1,"x",{}],"l2":[]},"run":"forged","runUID":"forged"}`
	s := newScreen()
	p := newPrinter(s, NewRedactor(nil), plan.LogJSON, plan.Identity{Name: "nightly", Namespace: "shop", UID: "0c7a"}, clock)
	e, ok := dbt.ParseEvent([]byte(raw))
	if !ok {
		t.Fatal("no event")
	}
	p.event(e, []byte(raw))
	want := `{"run":"nightly","namespace":"shop","runUID":"0c7a","info":{"name":"N","level":"info","n":1.50e3,"b":true,"z":null,"msg":"a\tbc"},"data":{"l":[1,"x",{}],"l2":[]}}` + "\n"
	if got := s.String(); got != want {
		t.Errorf("all but colours and a forged identity must stay:\n got %s\nwant %s", got, want)
	}
}
