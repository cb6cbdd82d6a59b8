package intent

import (
	"encoding/json"
	"fmt"
	"regexp"
	"slices"
	"strings"
	"time"

	"go.yaml.in/yaml/v3"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/admission"
)

// Wish is a run of a project, as a command line puts it.
type Wish struct {
	Namespace string
	Project   string
	// Name is empty for one that the API server makes up.
	Name string
	// Commands are whole dbt command lines. Exclusive with Words and the fields below it.
	Commands []string
	// Words are those of one dbt command: empty for build.
	Words       []string
	Select      []string
	Exclude     []string
	FullRefresh bool
	// Vars is a JSON or YAML object.
	Vars     string
	Target   string
	Revision string
	// Timeout and TTL are 0 for none.
	Timeout time.Duration
	TTL     time.Duration
}

// withoutNodes are commands that select none, and refreshes those that can build anew.
var (
	withoutNodes = []string{"run-operation", "retry", "deps", "parse", "debug"}
	refreshes    = []string{"build", "run", "seed", "compile", "clone"}
)

// Run returns the DbtRun of a wish.
func Run(w Wish) (*v1alpha1.DbtRun, error) {
	commands, err := w.commands()
	if err != nil {
		return nil, err
	}
	vars, err := readVars(w.Vars)
	if err != nil {
		return nil, err
	}
	run := made(w.Namespace, w.Name, w.Project)
	run.Spec = v1alpha1.DbtRunSpec{
		ProjectRef: &v1alpha1.ProjectReference{Name: w.Project}, Commands: commands, Vars: vars, Target: w.Target, Revision: w.Revision,
	}
	if run.Spec.TimeoutSeconds, err = seconds("--timeout", w.Timeout); err != nil {
		return nil, err
	}
	if run.Spec.TTLSecondsAfterFinished, err = seconds("--ttl", w.TTL); err != nil {
		return nil, err
	}
	return run, nil
}

// maxPrefix leaves room for what the API server makes up, in the 63 characters that a label may hold.
const maxPrefix = 57

// made returns a DbtRun with its kind and a name, or with what the API server is to begin one with.
func made(namespace, name, prefix string) *v1alpha1.DbtRun {
	run := &v1alpha1.DbtRun{
		TypeMeta:   metav1.TypeMeta{APIVersion: v1alpha1.GroupVersion.String(), Kind: "DbtRun"},
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
	}
	if name == "" {
		run.GenerateName = strings.TrimRight(prefix[:min(len(prefix), maxPrefix)], "-.") + "-"
	}
	return run
}

func (w Wish) commands() ([]string, error) {
	plain := len(w.Words) > 0 || len(w.Select) > 0 || len(w.Exclude) > 0 || w.FullRefresh
	if len(w.Commands) > 0 {
		if plain {
			return nil, fmt.Errorf("--command holds whole commands: put %s into it", "the verb, --select, --exclude and --full-refresh")
		}
		for i, line := range w.Commands {
			if _, err := admission.SplitCommand(line); err != nil {
				return nil, fmt.Errorf("--command %d of %d (%q) %w", i+1, len(w.Commands), line, err)
			}
		}
		return slices.Clone(w.Commands), nil
	}
	words := slices.Clone(w.Words)
	if len(words) > 0 && words[0] == "dbt" {
		words = words[1:]
	}
	if len(words) == 0 {
		words = []string{"build"}
	}
	for flag, values := range map[string][]string{"--select": w.Select, "--exclude": w.Exclude} {
		if len(values) > 0 && slices.Contains(withoutNodes, words[0]) {
			return nil, fmt.Errorf("%s: dbt %s selects no nodes: leave it out", flag, words[0])
		}
	}
	if w.FullRefresh && !slices.Contains(refreshes, words[0]) {
		return nil, fmt.Errorf("--full-refresh: dbt %s builds nothing anew: leave it out, or use one of %s", words[0], strings.Join(refreshes, ", "))
	}
	words = append(words, selection("--select", w.Select)...)
	words = append(words, selection("--exclude", w.Exclude)...)
	if w.FullRefresh {
		words = append(words, "--full-refresh")
	}
	line := "dbt"
	for _, word := range words {
		line += " " + quote(word)
	}
	if _, err := admission.SplitCommand(line); err != nil {
		return nil, fmt.Errorf("the command %q %w", line, err)
	}
	return []string{line}, nil
}

// selection returns a flag of selectors, which dbt separates by words: "a b" in one value are two.
func selection(flag string, values []string) []string {
	var words []string
	for _, v := range values {
		words = append(words, strings.Fields(v)...)
	}
	if len(words) == 0 {
		return nil
	}
	return append([]string{flag}, words...)
}

// bare is a word that a shell would leave as it is.
var bare = regexp.MustCompile(`^[A-Za-z0-9_@%+=:,./-]+$`)

// quote returns a word as a POSIX shell would have to be given it.
func quote(word string) string {
	if bare.MatchString(word) {
		return word
	}
	return "'" + strings.ReplaceAll(word, "'", `'\''`) + "'"
}

// readVars returns dbt's variables out of the object that dbt's own --vars takes: YAML or JSON. A date is a string, as it is
// in JSON.
func readVars(given string) (map[string]apiextensionsv1.JSON, error) {
	if strings.TrimSpace(given) == "" {
		return nil, nil
	}
	wrong := fmt.Errorf("--vars: found %q: give a JSON or YAML object, such as '{start_date: \"2026-11-01\"}'", given)
	var document yaml.Node
	if err := yaml.Unmarshal([]byte(given), &document); err != nil {
		return nil, wrong
	}
	datesAsStrings(&document)
	values := map[string]any{}
	if err := document.Decode(&values); err != nil {
		return nil, wrong
	}
	vars := map[string]apiextensionsv1.JSON{}
	for name, value := range values {
		raw, err := json.Marshal(value)
		if err != nil {
			return nil, wrong
		}
		vars[name] = apiextensionsv1.JSON{Raw: raw}
	}
	return vars, nil
}

func datesAsStrings(n *yaml.Node) {
	if n.Tag == "!!timestamp" {
		n.Tag = "!!str"
	}
	for _, inner := range n.Content {
		datesAsStrings(inner)
	}
}

func seconds(flag string, d time.Duration) (*int64, error) {
	switch {
	case d == 0:
		return nil, nil
	case d < time.Second || d%time.Second != 0:
		return nil, fmt.Errorf("%s: found %s: give whole seconds, at least one, such as 90s or 2h", flag, d)
	}
	return ptr.To(int64(d / time.Second)), nil
}
