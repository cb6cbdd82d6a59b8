package dbt

import (
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestResumedWords(t *testing.T) {
	keys := []string{"--output", "json", "--output-keys", "unique_id", "resource_type", "config.materialized", "materialized", "config.lookback", "lookback"}
	rest := []string{"--select", "result:skipped", "--indirect-selection", "empty", "--state", "/s"}
	cases := map[string]struct {
		reason, words string
		plan, retry   string
	}{
		"Plain":      {"nothing is added to a plain command but the selection", "build", "ls", "build"},
		"Selection":  {"dbt ls takes the selection, the retry has its own", "run --select a b+ --exclude c", "ls --select a b+ --exclude c", "run"},
		"Short":      {"-m of dbt ls lists models only, so that the long form is given", "build -m a -s b", "ls --select a --select b", "build"},
		"Glued":      {"a value may be glued to its flag", "build -stag:x --exclude=y --threads=4", "ls --select tag:x --exclude y", "build --threads 4"},
		"GluedMany":  {"the words after a glued value belong to it as well in dbt 1.x", "build --select=x y", "ls --select x y", "build"},
		"Clustered":  {"short flags may be glued to each other", "build -xfs tag:x", "ls --select tag:x", "build --fail-fast --full-refresh"},
		"Types":      {"resource types are part of the selection", "build --resource-type model test --exclude-resource-types seed", "ls --resource-type model test --exclude-resource-types seed", "build"},
		"Selector":   {"a named selection, with how tests are selected", "build --selector nightly --indirect-selection cautious", "ls --selector nightly --indirect-selection cautious", "build"},
		"Vars":       {"vars change the project, so that both need them", "seed --vars {a:1}", "ls --vars {a:1}", "seed --vars {a:1}"},
		"Refresh":    {"dbt ls refuses --full-refresh, a retry without it would be another command", "snapshot --full-refresh", "ls", "snapshot --full-refresh"},
		"Tests":      {"tests keep their flags", "test --store-failures --fail-fast --warn-error -s t", "ls --select t", "test --store-failures --fail-fast --warn-error"},
		"Microbatch": {"a window with fixed ends stays the same", "run --event-time-start 2026-01-01 --event-time-end 2026-02-01", "ls", "run --event-time-start 2026-01-01 --event-time-end 2026-02-01"},
		"Check":      {"dbt ls checks the version too", "build --no-version-check --empty", "ls --no-version-check", "build --no-version-check --empty"},
		"Dash":       {"the value of a flag that takes one may begin with a dash", "build --selector -x", "ls --selector -x", "build"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			words := strings.Fields(tc.words)
			before := slices.Clone(words)
			plan, err := PlanWords(words)
			if diff := cmp.Diff(append(strings.Fields(tc.plan), keys...), plan); diff != "" || err != nil {
				t.Errorf("%s: PlanWords, %v: -want +got\n%s", tc.reason, err, diff)
			}
			retry, err := RetryWords(words, "/s")
			if diff := cmp.Diff(append(strings.Fields(tc.retry), rest...), retry); diff != "" || err != nil {
				t.Errorf("%s: RetryWords, %v: -want +got\n%s", tc.reason, err, diff)
			}
			if err := Resumable(words); err != nil {
				t.Errorf("%s: %v", tc.reason, err)
			}
			if diff := cmp.Diff(before, words); diff != "" {
				t.Errorf("the words of the command were changed:\n%s", diff)
			}
		})
	}
}

func TestNotResumable(t *testing.T) {
	cases := map[string]struct{ reason, words, want string }{
		"Operation": {"what a macro did is not known", "run-operation grant", "is not one of build, run, seed, snapshot, test, which alone can go on where they were cut off"},
		"Docs":      {"it makes no nodes", "docs generate", "is not one of build, "},
		"Nothing":   {"there is no command", "", "is not one of build, "},
		"Sample":    {"the second half would see another window", "build --sample 3days", "has the flag --sample, whose window is counted from the time of each start"},
		"SampleOf":  {"the same, glued", "build --sample=3days", "has the flag --sample, whose window"},
		"Quiet":     {"nothing would be known as done", "build -q", "has the flag -q, with which dbt does not say which nodes ended"},
		"InCluster": {"the same, behind another flag", "build -xq", "has the flag -q, with which"},
		"Defer":     {"the folder of --state is taken", "run --defer", "has the flag --defer, which needs a state of its own"},
		"Unknown":   {"what was not tried is not promised", "run --compute inline", "has the flag --compute, with which going on was not tried"},
		"Stray":     {"dbt would refuse it", "run orders", `has the word "orders", which belongs to no flag that is known`},
		"NoValue":   {"dbt would refuse it", "run --threads", "has no value for the flag --threads"},
		"NoValues":  {"dbt would refuse it", "run --selector", "has no value for the flag --selector"},
		"Surplus":   {"dbt would refuse it", "run --fail-fast=yes", "has a value for the flag --fail-fast, which takes none"},
		"Long":      {"a message stays short", "run --" + strings.Repeat("x", 5000), "has the flag --" + strings.Repeat("x", 62) + "…, with which"},
		"Dashes":    {"an end of flags is none", "run -f-", "has the flag --, with which"},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			words := strings.Fields(tc.words)
			err := Resumable(words)
			if err == nil || !strings.HasPrefix(err.Error(), tc.want) {
				t.Errorf("%s: got %v, want %s", tc.reason, err, tc.want)
			}
			if plan, err := PlanWords(words); err == nil {
				t.Errorf("PlanWords = %v, want an error", plan)
			}
			if retry, err := RetryWords(words, "/s"); err == nil {
				t.Errorf("RetryWords = %v, want an error", retry)
			}
		})
	}
}

func TestResumableIn(t *testing.T) {
	for env, want := range map[string]string{
		"PATH=/bin": "", "DBT_SAMPLE=": "", "DBT_FAVOR_STATE=False": "",
		"DBT_SAMPLE=3 days":           "has the variable DBT_SAMPLE, whose window is counted from the time of each start",
		"DBT_ENGINE_FAVOR_STATE=true": "has the variable DBT_FAVOR_STATE, with which what was built before would be read where the state has it",
	} {
		got := ""
		if err := ResumableIn([]string{"A=1", env}); err != nil {
			got = err.Error()
		}
		if got != want {
			t.Errorf("%s: %q, want %q", env, got, want)
		}
	}
}

func TestRetryWordsBecomeArguments(t *testing.T) {
	words, err := RetryWords([]string{"build", "-s", "a", "--vars", "{a: 2}", "-x"}, "/s")
	if err != nil {
		t.Fatal(err)
	}
	args, err := Args(words, Settings{ProjectDir: "/p", ProfilesDir: "/f", Target: "prod", Threads: 4, Vars: []byte(`{"a":1,"b":1}`)})
	want := []string{"build", "--log-format", "json", "--project-dir", "/p", "--profiles-dir", "/f", "--target", "prod", "--threads", "4",
		"--vars", `{"a": 2, "b": 1}`, "--fail-fast", "--select", "result:skipped", "--indirect-selection", "empty", "--state", "/s"}
	if diff := cmp.Diff(want, args); diff != "" || err != nil {
		t.Errorf("the operator's flags are those of any command, %v: -want +got\n%s", err, diff)
	}
}

func FuzzResumable(f *testing.F) {
	for _, s := range []string{"build -xfs a", "run --select=a b --vars {}", "test -q", "seed -f-", "build --exclude\x00\xff", "build -", "build --", "run --threads --select"} {
		f.Add(s)
	}
	f.Fuzz(func(t *testing.T, line string) {
		words := strings.Split(line, " ")
		retry, err := RetryWords(words, "/s")
		if err != nil {
			if len(err.Error()) > 300 {
				t.Errorf("a message of %d bytes", len(err.Error()))
			}
			return
		}
		own := retry[:len(retry)-6]
		again, err := RetryWords(own, "/s")
		if diff := cmp.Diff(retry, again); diff != "" || err != nil {
			t.Errorf("a command that goes on is one that can go on, %v:\n%s", err, diff)
		}
		options, _ := split(own)
		for _, o := range options {
			if o.part&repeated == 0 {
				t.Errorf("the retry keeps %q", o.words())
			}
		}
	})
}
