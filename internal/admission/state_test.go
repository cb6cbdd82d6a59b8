package admission_test

import (
	"testing"

	"github.com/dbt-operator/dbt-operator/internal/admission"
)

func TestNeedsState(t *testing.T) {
	for line, want := range map[string]string{
		"build":                                           "",
		"build --select state:modified+":                  "spec.commands[0] selects by state:",
		"build -s tag:a state:new":                        "spec.commands[0] selects by state:",
		"build --select=tag:a,1+result:error":             "spec.commands[0] selects by result:",
		"build -s@state:modified.body":                    "spec.commands[0] selects by state:",
		"run --exclude 'tag:x state:old'":                 "spec.commands[0] selects by state:",
		"build -m +source_status:fresher+ --full-refresh": "spec.commands[0] selects by source_status:",
		"run --defer -s a":                                "spec.commands[0] has --defer",
		"run --favor-state":                               "spec.commands[0] has --favor-state",
		"run --no-defer":                                  "",
		"clone":                                           "spec.commands[0] is dbt clone",
		"build --select a --vars '{state:modified}'":      "",
		"build -s a -x --vars state:x":                    "",
		`show --inline "select 'state:x'"`:                "",
		"build -s mystate:x path:models/state":            "",
		"build --selector ci":                             "",
	} {
		words, err := admission.SplitCommand("dbt " + line)
		if err != nil {
			t.Fatal(line, err)
		}
		if got := admission.NeedsState([][]string{words}); got != want {
			t.Errorf("%s: %q, want %q", line, got, want)
		}
	}
	if got, want := admission.NeedsState([][]string{{"seed"}, {"run", "--defer"}}), "spec.commands[1] has --defer"; got != want {
		t.Errorf("%q, want %q", got, want)
	}
}
