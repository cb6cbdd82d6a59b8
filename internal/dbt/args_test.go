package dbt

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestArgs(t *testing.T) {
	owned := []string{"--log-format", "json", "--project-dir", "/p", "--profiles-dir", "/f"}
	cases := map[string]struct {
		reason   string
		words    []string
		settings Settings
		want     []string
	}{
		"Plain": {reason: "the operator's flags follow the sub-command", words: []string{"build", "-s", "a"}, want: []string{"build", "+", "-s", "a"}},
		"TwoWords": {reason: "the sub-command of docs is two words", words: []string{"docs", "generate", "--no-compile"},
			want: []string{"docs", "generate", "+", "--no-compile"}},
		"Target": {reason: "target and threads become flags", words: []string{"run"}, settings: Settings{Target: "prod", Threads: 8},
			want: []string{"run", "+", "--target", "prod", "--threads", "8"}},
		"OwnThreads": {reason: "threads of the command win", words: []string{"run", "--threads=2"}, settings: Settings{Threads: 8},
			want: []string{"run", "+", "--threads=2"}},
		"NoThreads": {reason: "dbt ls refuses --threads", words: []string{"ls"}, settings: Settings{Threads: 8}, want: []string{"ls", "+"}},
		"Vars":      {reason: "vars pass as they are", words: []string{"run"}, settings: Settings{Vars: []byte(`{"a":1}`)}, want: []string{"run", "+", "--vars", `{"a":1}`}},
		"OwnVars":   {reason: "the command's own vars need no merge", words: []string{"run", "--vars", "a: 1"}, want: []string{"run", "+", "--vars", "a: 1"}},
		"State": {reason: "a command that builds compares and defers", words: []string{"build", "-s", "state:modified+"}, settings: Settings{State: "/s"},
			want: []string{"build", "+", "--state", "/s", "--defer", "-s", "state:modified+"}},
		"StateTwoWords": {reason: "docs generate does", words: []string{"docs", "generate"}, settings: Settings{State: "/s"},
			want: []string{"docs", "generate", "+", "--state", "/s", "--defer"}},
		"StateOwnDefer":   {reason: "not twice", words: []string{"run", "--defer"}, settings: Settings{State: "/s"}, want: []string{"run", "+", "--state", "/s", "--defer"}},
		"StateNoDefer":    {reason: "who does not want to defer can still compare", words: []string{"run", "--no-defer"}, settings: Settings{State: "/s"}, want: []string{"run", "+", "--state", "/s", "--no-defer"}},
		"StateLeft":       {reason: "what is left has a folder of its own", words: []string{"run", "--state", "/r"}, settings: Settings{State: "/s"}, want: []string{"run", "+", "--defer", "--state", "/r"}},
		"StateClone":      {reason: "it clones from there, and has nothing to defer", words: []string{"clone"}, settings: Settings{State: "/s"}, want: []string{"clone", "+", "--state", "/s"}},
		"StateFreshness":  {reason: "it can select source_status:", words: []string{"source", "freshness"}, settings: Settings{State: "/s"}, want: []string{"source", "freshness", "+", "--state", "/s"}},
		"StateRetry":      {reason: "it looks for run_results.json there", words: []string{"retry"}, settings: Settings{State: "/s"}, want: []string{"retry", "+"}},
		"StateOfNoMatter": {reason: "a macro defers nothing", words: []string{"run-operation", "grant"}, settings: Settings{State: "/s"}, want: []string{"run-operation", "+", "grant"}},
		"MergedVars": {reason: "the command's vars win, and a YAML date stays one", words: []string{"run", "--vars", "{a: 2, day: 2026-11-01}", "-x"},
			settings: Settings{Vars: []byte(`{"a":1,"b":"x"}`)}, want: []string{"run", "+", "--vars", `{"a": 2, "b": "x", day: 2026-11-01}`, "-x"}},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			tc.settings.ProjectDir, tc.settings.ProfilesDir = "/p", "/f"
			got, err := Args(tc.words, tc.settings)
			if err != nil {
				t.Fatal(err)
			}
			var want []string
			for _, w := range tc.want {
				if w == "+" {
					want = append(want, owned...)
				} else {
					want = append(want, w)
				}
			}
			if diff := cmp.Diff(want, got); diff != "" {
				t.Errorf("%s: -want +got\n%s", tc.reason, diff)
			}
		})
	}
}

func TestArgsRefusesVarsThatAreNoMapping(t *testing.T) {
	_, err := Args([]string{"run", "--vars", "[1]"}, Settings{Vars: []byte(`{"a":1}`)})
	if err == nil || !strings.Contains(err.Error(), `--vars of the command: must be a YAML mapping such as '{key: value}', found "[1]"`) {
		t.Errorf("got %v", err)
	}
}
