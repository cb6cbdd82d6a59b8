package admission

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestSplitCommand(t *testing.T) {
	for name, c := range map[string]struct {
		reason string
		line   string
		want   []string
		err    string
	}{
		"plain":             {reason: "the usual", line: "dbt build --select tag:nightly", want: []string{"build", "--select", "tag:nightly"}},
		"without dbt":       {reason: "it may be left out", line: "build", want: []string{"build"}},
		"spaces":            {reason: "a shell drops them", line: "  dbt   build  ", want: []string{"build"}},
		"single quotes":     {reason: "nothing inside is special", line: `run --args '{"a": "$b; c"}'`, want: []string{"run", "--args", `{"a": "$b; c"}`}},
		"double quotes":     {reason: "backslashes before some characters go", line: `run --vars "{\"a\": \"b\\c\d\"}"`, want: []string{"run", "--vars", `{"a": "b\c\d"}`}},
		"glued quotes":      {reason: "one word", line: `run --select a'b c'"d"`, want: []string{"run", "--select", "ab cd"}},
		"escaped space":     {reason: "one word", line: `run --select a\ b`, want: []string{"run", "--select", "a b"}},
		"empty word":        {reason: "quotes make a word", line: `run --select ''`, want: []string{"run", "--select", ""}},
		"globs":             {reason: "dbt has its own", line: `run --select *.staging+ @orders 1+orders+2`, want: []string{"run", "--select", "*.staging+", "@orders", "1+orders+2"}},
		"tilde":             {reason: "no home is looked up", line: "run --select ~x", want: []string{"run", "--select", "~x"}},
		"two words":         {reason: "a command of two words", line: "dbt docs generate --no-compile", want: []string{"docs", "generate", "--no-compile"}},
		"freshness":         {reason: "a command of two words", line: "source freshness", want: []string{"source", "freshness"}},
		"select short":      {reason: "-s takes a value and is no cluster", line: "build -s tag:x -x", want: []string{"build", "-s", "tag:x", "-x"}},
		"select glued":      {reason: "the value of -s", line: "build -stag:x", want: []string{"build", "-stag:x"}},
		"empty":             {reason: "nothing to run", line: "  ", err: "must be one dbt command, found 0"},
		"dbt alone":         {reason: "nothing to run", line: "dbt", err: "is empty"},
		"other program":     {reason: "only dbt runs", line: "bash -c x", err: `found "bash": must be one of build, clone`},
		"other dbt command": {reason: "not in the list", line: "dbt docs serve", err: `found "docs serve"`},
		"docs alone":        {reason: "half a command", line: "dbt docs", err: `found "docs"`},
		"global flags":      {reason: "the command comes first", line: "dbt --debug build", err: `found "--debug"`},
		"semicolon":         {reason: "input 17", line: "dbt build; rm -rf /", err: "must be one dbt command, found 2"},
		"newline":           {reason: "input 17", line: "dbt build\nrm -rf /", err: "control character or a line break"},
		"carriage return":   {reason: "input 17", line: "dbt build\rx", err: "control character"},
		"NUL":               {reason: "it would end the argument", line: "dbt build\x00", err: "control character"},
		"and":               {reason: "no shell", line: "dbt build && x", err: "must be one plain dbt command"},
		"pipe":              {reason: "no shell", line: "dbt build | x", err: "must be one plain dbt command"},
		"background":        {reason: "no shell", line: "dbt build &", err: "must be one plain dbt command"},
		"redirect":          {reason: "no shell", line: "dbt build > /x", err: "must be one plain dbt command"},
		"negated":           {reason: "no shell", line: "! dbt build", err: "must be one plain dbt command"},
		"subshell":          {reason: "no shell", line: "(dbt build)", err: "must be one plain dbt command"},
		"substitution":      {reason: "no shell", line: "dbt build --select $(whoami)", err: "holds a shell expansion"},
		"backquotes":        {reason: "no shell", line: "dbt build --select `whoami`", err: "holds a shell expansion"},
		"in double quotes":  {reason: "no shell", line: `dbt build --select "$(whoami)"`, err: "holds a shell expansion"},
		"variable":          {reason: "no shell", line: "dbt build --select $HOME", err: "holds a shell expansion"},
		"arithmetic":        {reason: "no shell", line: "dbt build --select $((1))", err: "holds a shell expansion"},
		"assignment":        {reason: "a hidden variable", line: "LD_PRELOAD=/x dbt build", err: "set variables in spec.env"},
		"open quote":        {reason: "where does it end", line: "dbt build 'x", err: "cannot be split into words"},
		"profiles dir":      {reason: "input 17", line: "dbt build --profiles-dir /x", err: "--profiles-dir, which the operator sets: use spec.profiles"},
		"profiles dir=":     {reason: "the other form", line: "dbt build --profiles-dir=/x", err: "--profiles-dir, which the operator sets"},
		"quoted flag":       {reason: "quotes hide nothing", line: `dbt build "--profiles"-dir /x`, err: "--profiles-dir, which the operator sets"},
		"project dir":       {reason: "another project", line: "dbt build --project-dir /x", err: "use spec.source"},
		"target":            {reason: "the group depends on it", line: "dbt build --target prod", err: "use spec.target"},
		"-t":                {reason: "the same", line: "dbt build -t prod", err: "-t, which the operator sets"},
		"-tprod":            {reason: "glued", line: "dbt build -tprod", err: "-tprod, which the operator sets"},
		"-xt":               {reason: "behind another short flag", line: "dbt build -xt prod", err: "-xt, which the operator sets"},
		"-fxqt=":            {reason: "behind several", line: "dbt build -fxqt=prod", err: "-fxqt, which the operator sets"},
		"target path":       {reason: "artifacts elsewhere", line: "dbt build --target-path /x", err: "--target-path, which the operator sets"},
		"log path":          {reason: "logs elsewhere", line: "dbt build --log-path /x", err: "use spec.logFormat"},
		"log format":        {reason: "the runner reads it", line: "dbt build --log-format=text", err: "use spec.logFormat"},
		"no log":            {reason: "the runner reads it", line: "dbt build --no-log-cache-events", err: "use spec.logFormat"},
		"state":             {reason: "not yet", line: "dbt build --state /x", err: "--state, which the operator sets"},
		"dashes":            {reason: "it would make the operator's flags selectors", line: "dbt build --", err: "holds '--'"},
		"long word":         {reason: "input 19: the message stays short", line: "dbt " + strings.Repeat("x", 10_000), err: strings.Repeat("x", 64) + "…"},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := SplitCommand(c.line)
			switch {
			case c.err == "" && err != nil:
				t.Errorf("%s: refused: %v", c.reason, err)
			case c.err != "" && (err == nil || !strings.Contains(err.Error(), c.err)):
				t.Errorf("%s: got %q, error %v, want %q", c.reason, got, err, c.err)
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
			if err != nil && len(err.Error()) > 500 {
				t.Errorf("%s: the message has %d bytes", c.reason, len(err.Error()))
			}
		})
	}
}

// What is accepted holds no flag the operator owns, no control character and no second command, and splitting its own
// quoted words again changes nothing.
func FuzzSplitCommand(f *testing.F) {
	for _, line := range []string{"dbt build", `run --vars '{"a": 1}'`, `x "a\"b"`, "build; rm", "build $(x)", "build -t x", `build \--target x`, "build # x", "build 'a\\'", "build --target\u00a0x"} {
		f.Add(line)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words, err := SplitCommand(line)
		if err != nil {
			if words != nil {
				t.Fatalf("words %q beside error %v", words, err)
			}
			return
		}
		if _, ok := commands[words[0]]; !ok {
			t.Fatalf("command %q was let through", words[0])
		}
		quoted := make([]string, len(words))
		for i, w := range words {
			if strings.ContainsFunc(w, isControl) {
				t.Fatalf("word %q holds a control character", w)
			}
			flag, _, _ := strings.Cut(w, "=")
			if i > 0 && (flag == "--target" || flag == "--profiles-dir" || flag == "--" || strings.HasPrefix(flag, "--log-")) {
				t.Fatalf("word %q was let through", w)
			}
			quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
		}
		again, err := SplitCommand(strings.Join(quoted, " "))
		if err != nil {
			t.Fatalf("splitting %q again: %v", quoted, err)
		}
		if diff := cmp.Diff(words, again); diff != "" {
			t.Fatalf("splitting again (-first +second):\n%s", diff)
		}
	})
}
