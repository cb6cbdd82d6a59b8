package dbt

import (
	"fmt"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Settings are the flags the operator gives every command.
type Settings struct {
	ProjectDir  string // --project-dir
	ProfilesDir string // --profiles-dir
	Target      string // --target, empty to leave it to the profile
	Threads     int32  // --threads, 0 to leave it to the profile
	Vars        []byte // a JSON object, merged under the command's own --vars; nil for none
	State       string // --state, for the commands that compare with or defer to one; empty for none
}

// withoutThreads are the commands that refuse --threads (dbt 1.11).
var withoutThreads = []string{"ls", "list", "deps", "debug"}

// withState are the commands that compare with a state, or defer to it. dbt 1.11 and 1.12 take both flags for all
// commands; retry looks for run_results.json there, and the others have no use for them.
var withState = map[string]struct{ defers bool }{
	"build": {true}, "run": {true}, "test": {true}, "snapshot": {true}, "compile": {true}, "docs": {true}, "ls": {true}, "list": {true},
	"show": {true}, "seed": {}, "source": {}, "clone": {},
}

// stateFlags returns what a command gets of a state. What is left of a command has a --state of its own, which holds the same
// manifest.
func stateFlags(command string, rest []string, state string) []string {
	takes, ok := withState[command]
	if state == "" || !ok {
		return nil
	}
	var flags []string
	if !has(rest, "--state") {
		flags = append(flags, "--state", state)
	}
	if takes.defers && !has(rest, "--defer") && !has(rest, "--no-defer") {
		flags = append(flags, "--defer")
	}
	return flags
}

// WithoutDefer returns the words of a command without --defer, which Args gives each command that has a state.
func WithoutDefer(words []string) []string {
	return slices.DeleteFunc(slices.Clone(words), func(w string) bool { return w == "--defer" })
}

// Args returns dbt's arguments for a command given in words: the sub-command, the operator's flags, the rest. It
// returns an error only when the command's --vars are not a mapping.
func Args(words []string, s Settings) ([]string, error) {
	n := 1
	if words[0] == "docs" || words[0] == "source" {
		n = 2
	}
	sub, rest := words[:n], words[n:]
	args := append(slices.Clone(sub), "--log-format", "json", "--project-dir", s.ProjectDir, "--profiles-dir", s.ProfilesDir)
	if s.Target != "" {
		args = append(args, "--target", s.Target)
	}
	if s.Threads > 0 && !slices.Contains(withoutThreads, sub[0]) && !has(rest, "--threads") {
		args = append(args, "--threads", strconv.Itoa(int(s.Threads)))
	}
	args = append(args, stateFlags(sub[0], rest, s.State)...)
	if len(s.Vars) > 0 {
		own, without := cutFlag(rest, "--vars")
		merged, err := mergeVars(s.Vars, own)
		if err != nil {
			return nil, err
		}
		args, rest = append(args, "--vars", merged), without
	}
	return append(args, rest...), nil
}

func has(words []string, flag string) bool {
	return slices.ContainsFunc(words, func(w string) bool { return w == flag || strings.HasPrefix(w, flag+"=") })
}

// cutFlag returns the last value of a flag, as dbt would take it, and the words without the flag.
func cutFlag(words []string, flag string) (value string, rest []string) {
	for i := 0; i < len(words); i++ {
		switch v, glued := strings.CutPrefix(words[i], flag+"="); {
		case glued:
			value = v
		case words[i] == flag && i+1 < len(words):
			i++
			value = words[i]
		default:
			rest = append(rest, words[i])
		}
	}
	return value, rest
}

// mergeVars lays the variables of a command, YAML as dbt takes it, over the run's, a JSON object. Values stay as they
// were written: YAML's idea of a date must reach dbt as YAML.
func mergeVars(run []byte, command string) (string, error) {
	if command == "" {
		return string(run), nil
	}
	under, err := mapping(string(run))
	if err != nil {
		return "", fmt.Errorf("the vars of the run: %w", err)
	}
	over, err := mapping(command)
	if err != nil {
		return "", fmt.Errorf("--vars of the command: %w", err)
	}
	for i := 0; i+1 < len(over.Content); i += 2 {
		set(under, over.Content[i], over.Content[i+1])
	}
	flow(under)
	out, err := yaml.Marshal(under)
	if err != nil {
		return "", fmt.Errorf("merging --vars: %w", err)
	}
	return strings.TrimSpace(string(out)), nil
}

func mapping(s string) (*yaml.Node, error) {
	var doc yaml.Node
	if err := yaml.Unmarshal([]byte(s), &doc); err != nil {
		return nil, fmt.Errorf("must be a YAML mapping such as '{key: value}': %w", err)
	}
	if len(doc.Content) != 1 || doc.Content[0].Kind != yaml.MappingNode {
		return nil, fmt.Errorf("must be a YAML mapping such as '{key: value}', found %q", cutText(s))
	}
	return doc.Content[0], nil
}

func set(m, key, value *yaml.Node) {
	for i := 0; i+1 < len(m.Content); i += 2 {
		if m.Content[i].Value == key.Value {
			m.Content[i+1] = value
			return
		}
	}
	m.Content = append(m.Content, key, value)
}

// flow makes a document fit on one line, as a command line's argument should be.
func flow(n *yaml.Node) {
	n.Style = n.Style &^ (yaml.LiteralStyle | yaml.FoldedStyle)
	if n.Kind == yaml.MappingNode || n.Kind == yaml.SequenceNode {
		n.Style |= yaml.FlowStyle
	}
	n.HeadComment, n.LineComment, n.FootComment = "", "", ""
	for _, c := range n.Content {
		flow(c)
	}
}

func cutText(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
