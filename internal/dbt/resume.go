package dbt

import (
	"fmt"
	"slices"
	"strings"
)

// A command that was cut off goes on as itself: the same command with the same flags, but for its selection, which
// becomes "what run_results.json calls skipped" (docs/resume.md). `dbt retry` is not that: dbt 1.x takes the target and
// most flags from run_results.json alone and lets a model be built although its unit test fails; dbt 2.x knows no
// --full-refresh there and runs tests that the command had left out.

// resumable are the commands that can go on, with the resource types of their nodes. An exposure is a node of dbt
// build in 1.x, though nothing is done for it.
var resumable = map[string][]string{
	"build":    {"model", "seed", "snapshot", "test", "unit_test", "function", "saved_query", "exposure"},
	"run":      {"model"},
	"test":     {"test", "unit_test"},
	"seed":     {"seed"},
	"snapshot": {"snapshot"},
}

// Resumable returns nil when a command given in words can go on where it was cut off, or else why not, as the end of a
// sentence that begins with the command: "has the flag --sample, whose window is counted from the time of each start".
func Resumable(words []string) error {
	_, err := split(words)
	return err
}

// PlanWords returns the words of the command that lists the nodes of another one: dbt ls with the same selection. Its
// output is for a Plan.
func PlanWords(words []string) ([]string, error) {
	options, err := split(words)
	if err != nil {
		return nil, err
	}
	plan := []string{"ls"}
	for _, o := range options {
		if o.part&planned != 0 {
			plan = append(plan, o.words()...)
		}
	}
	// How a model is materialized is config.materialized in dbt 1.x and materialized in 2.x; each leaves out what it
	// does not know.
	return append(plan, "--output", "json", "--output-keys", "unique_id", "resource_type", "config.materialized", "materialized", "config.lookback", "lookback"), nil
}

// Windowed reports whether a command says itself which batches of microbatch models it builds, whatever was built before: all of
// them, or those of a given time.
func Windowed(words []string) bool {
	options, err := split(words)
	given := map[string]bool{}
	for _, o := range options {
		given[o.name] = true
	}
	return err == nil && (given["--full-refresh"] || given["--event-time-start"] && given["--event-time-end"])
}

// RetryWords returns the words of the command that does what is left of another one. stateDir is a folder with nothing
// but the run_results.json of WriteRunResults and, for a command that has a state, the manifest.json of that.
func RetryWords(words []string, stateDir string) ([]string, error) {
	options, err := split(words)
	if err != nil {
		return nil, err
	}
	retry := []string{words[0]}
	for _, o := range options {
		if o.part&repeated != 0 {
			retry = append(retry, o.words()...)
		}
	}
	// Tests are named in run_results.json like all other nodes: none may come along because of its model.
	return append(retry, "--select", "result:"+toDo, "--indirect-selection", "empty", "--state", stateDir), nil
}

// part is what an option is needed for.
type part uint8

const (
	planned  part = 1 << iota // by dbt ls, to list the same nodes
	repeated                  // by the command that does what is left
)

// arity is the number of values an option takes.
type arity uint8

const (
	none arity = iota
	one
	many // all words up to the next option
)

type knownFlag struct {
	name string // as it is passed on
	arity
	part
}

// flags are the options that were tried on dbt 1.11, 1.12 and 2.0 and keep their meaning when a command goes on.
var flags = func() map[string]knownFlag {
	known := map[string]knownFlag{}
	add := func(a arity, p part, names ...string) {
		for _, n := range names {
			known[n] = knownFlag{n, a, p}
		}
	}
	alias := func(of string, names ...string) {
		for _, n := range names {
			known[n] = known[of]
		}
	}
	add(many, planned, "--select", "--exclude", "--resource-type", "--resource-types", "--exclude-resource-type", "--exclude-resource-types")
	// --models of dbt ls is something else than that of dbt build: it lists models only.
	alias("--select", "-s", "--models", "--model", "-m")
	add(one, planned, "--selector", "--indirect-selection")
	add(one, planned|repeated, "--vars")
	add(none, planned|repeated, "--version-check", "--no-version-check", "--partial-parse", "--no-partial-parse")
	add(one, repeated, "--threads", "--event-time-start", "--event-time-end", "--warn-error-options")
	add(none, repeated, "--full-refresh", "--no-full-refresh", "--fail-fast", "--no-fail-fast", "--store-failures", "--empty", "--no-empty",
		"--warn-error", "--populate-cache", "--no-populate-cache", "--cache-selected-only", "--no-cache-selected-only",
		"--use-colors", "--no-use-colors", "--debug", "--no-debug", "--no-defer", "--no-favor-state")
	alias("--full-refresh", "-f")
	alias("--fail-fast", "-x")
	alias("--debug", "-d")
	return known
}()

// unsound says why an option stands in the way, where more is known than that it was not tried.
var unsound = map[string]string{
	"--sample":               "whose window is counted from the time of each start",
	"--quiet":                "with which dbt does not say which nodes ended",
	"-q":                     "with which dbt does not say which nodes ended",
	"--defer":                "which needs a state of its own",
	"--favor-state":          "with which what was built before would be read where the state has it",
	"--export-saved-queries": "whose exports are not listed as nodes",
}

// switches are the variables that stand for such an option.
var switches = map[string]string{"DBT_SAMPLE": "--sample", "DBT_FAVOR_STATE": "--favor-state", "DBT_EXPORT_SAVED_QUERIES": "--export-saved-queries"}

// ResumableIn returns nil when a command can go on that runs in an environment of NAME=value, or else why not, as Resumable does.
func ResumableIn(environ []string) error {
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		name = Variable(name)
		flag, known := switches[name]
		if known && !slices.Contains([]string{"", "0", "f", "false", "n", "no", "off"}, strings.ToLower(value)) {
			return fmt.Errorf("has the variable %s, %s", name, unsound[flag])
		}
	}
	return nil
}

// Variable returns the first name of a variable: dbt takes each of its own under a second one too, DBT_ENGINE_, since 1.11.
func Variable(name string) string {
	if rest, second := strings.CutPrefix(name, "DBT_ENGINE_"); second {
		return "DBT_" + rest
	}
	return name
}

// option is an option of a command with its values.
type option struct {
	knownFlag
	values []string
}

func (o option) words() []string { return append([]string{o.name}, o.values...) }

// split returns the options of a command that can go on.
func split(words []string) ([]option, error) {
	if len(words) == 0 || resumable[words[0]] == nil {
		return nil, fmt.Errorf("is not one of %s, which alone can go on where they were cut off", strings.Join(sortedCommands(), ", "))
	}
	var options []option
	for rest := words[1:]; len(rest) > 0; {
		var err error
		if options, rest, err = next(options, rest); err != nil {
			return nil, err
		}
	}
	return options, nil
}

// next takes the option at the head of the words, or several short ones that are glued to each other.
func next(options []option, words []string) ([]option, []string, error) {
	word, rest := words[0], words[1:]
	name, value, glued := strings.Cut(word, "=")
	if len(word) > 2 && word[0] == '-' && word[1] != '-' {
		name, value, glued = word[:2], word[2:], true
	}
	f, known := flags[name]
	switch {
	case !strings.HasPrefix(name, "-"):
		return nil, nil, fmt.Errorf("has the word %q, which belongs to no flag that is known", cutText(name))
	case !known && unsound[name] != "":
		return nil, nil, fmt.Errorf("has the flag %s, %s", name, unsound[name])
	case !known:
		return nil, nil, fmt.Errorf("has the flag %s, with which going on was not tried", cutText(name))
	case f.arity == none && glued && strings.HasPrefix(word, "--"):
		return nil, nil, fmt.Errorf("has a value for the flag %s, which takes none", name)
	case f.arity == none && glued:
		return append(options, option{knownFlag: f}), append([]string{"-" + value}, rest...), nil
	case f.arity == none:
		return append(options, option{knownFlag: f}), rest, nil
	}
	var values []string
	if glued {
		values = append(values, value)
	} else if len(rest) > 0 {
		values, rest = append(values, rest[0]), rest[1:]
	}
	for f.arity == many && len(rest) > 0 && !strings.HasPrefix(rest[0], "-") {
		values, rest = append(values, rest[0]), rest[1:]
	}
	if len(values) == 0 {
		return nil, nil, fmt.Errorf("has no value for the flag %s", name)
	}
	return append(options, option{f, values}), rest, nil
}

func sortedCommands() []string {
	names := make([]string, 0, len(resumable))
	for name := range resumable {
		names = append(names, name)
	}
	slices.Sort(names)
	return names
}
