package admission

import (
	"errors"
	"fmt"
	"regexp"
	"slices"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// commands are the dbt commands a run may hold; a two-word command maps to its second words.
// https://docs.getdbt.com/reference/dbt-commands
var commands = map[string][]string{
	"build": nil, "run": nil, "test": nil, "seed": nil, "snapshot": nil, "compile": nil,
	"docs":          {"generate"},
	"source":        {"freshness", "snapshot-freshness"},
	"run-operation": nil, "retry": nil, "deps": nil, "parse": nil, "ls": nil, "list": nil,
	"show": nil, "clone": nil, "debug": nil,
}

// ownedFlags are flags the operator sets itself, with what to use instead.
var ownedFlags = map[string]string{
	"--profiles-dir":          "spec.profiles of the DbtProject",
	"--profile":               "the profile named in dbt_project.yml",
	"--project-dir":           "spec.source of the DbtProject",
	"--target":                "spec.target of the DbtRun",
	"-t":                      "spec.target of the DbtRun",
	"--target-path":           "nothing: the operator gives each run a folder of its own",
	"--state":                 "spec.state and spec.stateTarget of the DbtRun",
	"--defer-state":           "spec.state and spec.stateTarget of the DbtRun",
	"--packages-install-path": "nothing: the operator decides where packages are installed",
}

// shortTarget matches -t with its value glued on, alone or behind short flags that take none (-x, -f, -q, -d).
var shortTarget = regexp.MustCompile(`^-[xfqd]*t`)

// SplitCommand returns the words of a dbt command line, without the leading "dbt". Words are split as a POSIX shell
// would split them, quotes and backslashes included; anything a shell would expand or run (variables, globs are left
// literal; substitutions, pipes, redirections, several commands) is refused.
func SplitCommand(line string) ([]string, error) {
	if strings.ContainsFunc(line, isControl) {
		return nil, errors.New("holds a control character or a line break: give several commands as several entries")
	}
	words, err := split(line)
	if err != nil {
		return nil, err
	}
	if len(words) > 0 && words[0] == "dbt" {
		words = words[1:]
	}
	if err := checkCommand(words); err != nil {
		return nil, err
	}
	return words, nil
}

func isControl(r rune) bool { return r < ' ' || r == 0x7f }

func split(line string) ([]string, error) {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangPOSIX)).Parse(strings.NewReader(line), "")
	if err != nil {
		var parseErr syntax.ParseError
		if errors.As(err, &parseErr) {
			return nil, fmt.Errorf("cannot be split into words: %s", parseErr.Text)
		}
		return nil, fmt.Errorf("cannot be split into words: %w", err)
	}
	if len(file.Stmts) != 1 {
		return nil, fmt.Errorf("must be one dbt command, found %d: give several commands as several entries", len(file.Stmts))
	}
	stmt := file.Stmts[0]
	call, ok := stmt.Cmd.(*syntax.CallExpr)
	switch {
	case !ok, stmt.Negated, stmt.Background, stmt.Coprocess, len(stmt.Redirs) > 0:
		return nil, errors.New("must be one plain dbt command: no shell runs it, so ';', '&', '|', '<', '>' and '!' must be quoted or left out")
	case len(call.Assigns) > 0:
		return nil, errors.New("must begin with a dbt command: set variables in spec.env of the DbtProject")
	}
	words := make([]string, 0, len(call.Args))
	for _, arg := range call.Args {
		word, err := literal(arg.Parts, false)
		if err != nil {
			return nil, err
		}
		words = append(words, word)
	}
	return words, nil
}

// literal returns the text of a word, or an error when a shell would have to expand it.
func literal(parts []syntax.WordPart, quoted bool) (string, error) {
	var b strings.Builder
	for _, part := range parts {
		switch p := part.(type) {
		case *syntax.Lit:
			b.WriteString(unescape(p.Value, quoted))
		case *syntax.SglQuoted:
			b.WriteString(p.Value)
		case *syntax.DblQuoted:
			inner, err := literal(p.Parts, true)
			if err != nil {
				return "", err
			}
			b.WriteString(inner)
		default:
			return "", errors.New("holds a shell expansion ($…, $(…) or `…`): no shell runs the command, so put it in single quotes or use spec.vars")
		}
	}
	return b.String(), nil
}

// unescape removes the backslashes of a literal: before any character outside quotes, and before $, `, ", \ inside
// double quotes (POSIX 2.2.1 and 2.2.3).
func unescape(s string, quoted bool) string {
	if !strings.Contains(s, `\`) {
		return s
	}
	var b strings.Builder
	for i := 0; i < len(s); i++ {
		if s[i] == '\\' && i+1 < len(s) && (!quoted || strings.IndexByte("$`\"\\", s[i+1]) >= 0) {
			i++
		}
		b.WriteByte(s[i])
	}
	return b.String()
}

func checkCommand(words []string) error {
	if len(words) == 0 {
		return errors.New("is empty: give a dbt command such as 'dbt build'")
	}
	seconds, known := commands[words[0]]
	if !known {
		return fmt.Errorf("found %q: must be one of %s", cut(words[0]), allowed())
	}
	if seconds != nil && (len(words) < 2 || !slices.Contains(seconds, words[1])) {
		return fmt.Errorf("found %q: must be one of %s", cut(strings.Join(words[:min(2, len(words))], " ")), allowed())
	}
	for _, word := range words[1:] {
		flag, _, _ := strings.Cut(word, "=")
		if flag == "--" {
			return errors.New("holds '--': give flags and selectors without it")
		}
		if instead, owned := owner(flag); owned {
			return fmt.Errorf("holds the flag %s, which the operator sets: use %s", flag, instead)
		}
	}
	return nil
}

// owner returns what to use instead of a flag the operator sets. dbt's command line accepts no abbreviated long
// options, but short options may be glued to their value and to each other ("-tprod").
func owner(flag string) (instead string, owned bool) {
	if instead, ok := ownedFlags[flag]; ok {
		return instead, true
	}
	if strings.HasPrefix(flag, "--log-") || strings.HasPrefix(flag, "--no-log-") {
		return "spec.logFormat of the DbtProject", true
	}
	if shortTarget.MatchString(flag) {
		return ownedFlags["-t"], true
	}
	return "", false
}

func allowed() string {
	names := make([]string, 0, len(commands))
	for name, seconds := range commands {
		if seconds != nil {
			name += " " + seconds[0]
		}
		names = append(names, name)
	}
	slices.Sort(names)
	return strings.Join(names, ", ")
}

// cut shortens what a user wrote for use in a message.
func cut(s string) string {
	const most = 64
	if len(s) <= most {
		return s
	}
	return strings.ToValidUTF8(s[:most], "") + "…"
}
