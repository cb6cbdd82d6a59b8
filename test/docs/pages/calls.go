package pages

import (
	"errors"
	"fmt"
	"strings"

	"mvdan.cc/sh/v3/syntax"
)

// Call is one command that a page says to type.
type Call struct {
	Line int
	// Words are the command and its arguments without their quotes. What a shell would put in is "$".
	Words []string
	// Span is set where the command stands in the text, often without all of its arguments.
	Span bool
}

// String returns the words of a call, as a finding quotes them.
func (c Call) String() string { return strings.Join(c.Words, " ") }

// Shells are the languages of blocks that hold commands; of Console those behind "$ ", the rest is what they print.
var Shells = map[string]bool{"sh": true, Console: true}

// Console is the language of blocks that show commands and what they print.
const Console = "console"

// begins are what a code span begins with that is a command to type.
var begins = []string{"make ", "kubectl ", "helm ", "go run ", "go test ", "hack/"}

// Calls returns the commands of a page: those of its blocks, those inside other commands among them, and code spans that
// begin as one. The error names each that no shell could read.
func (p Page) Calls() ([]Call, error) {
	var calls []Call
	var failed []error
	for _, b := range p.Blocks {
		for _, script := range scripts(b) {
			found, err := read(script, b.Line)
			if err != nil {
				failed = append(failed, fmt.Errorf("%s:%w", p.Path, err))
			}
			calls = append(calls, found...)
		}
	}
	for _, s := range p.Spans {
		for _, begin := range begins {
			if !strings.HasPrefix(s.Text, begin) {
				continue
			}
			found, err := read(s.Text, s.Line)
			if err != nil {
				failed = append(failed, fmt.Errorf("%s:%w", p.Path, err))
			}
			for i := range found {
				found[i].Span = true
			}
			calls = append(calls, found...)
		}
	}
	return calls, errors.Join(failed...)
}

// Workflow is how a block begins that holds a file of GitHub Actions.
const Workflow = "# .github/workflows/"

// scripts returns what a block has a shell run. Those of a workflow stand on their own lines, in the order of the file.
func scripts(b Block) []string {
	switch {
	case b.Language == Console:
		return []string{typed(b.Text)}
	case Shells[b.Language]:
		return []string{b.Text}
	case !strings.HasPrefix(b.Text, Workflow):
		return nil
	}
	var out []string
	var script strings.Builder
	inside := -1 // how far the "run: |" of the script is indented
	number := 0  // of lines before this one
	for line := range strings.Lines(b.Text) {
		text := strings.TrimLeft(line, " -")
		indent := len(line) - len(text)
		if inside >= 0 && indent <= inside && strings.TrimSpace(line) != "" {
			out = append(out, script.String())
			inside = -1
		}
		command, begins := strings.CutPrefix(text, "run: ")
		switch {
		case inside >= 0:
			script.WriteString(line)
		case begins && strings.TrimSpace(command) == "|":
			inside = indent
			script.Reset()
			script.WriteString(strings.Repeat("\n", number+1))
		case begins:
			out = append(out, strings.Repeat("\n", number)+command)
		}
		number++
	}
	if inside >= 0 {
		out = append(out, script.String())
	}
	return out
}

// typed returns what is typed in a console, with an empty line in place of each that it prints.
func typed(console string) string {
	var out strings.Builder
	goesOn := false
	for line := range strings.Lines(console) {
		command, prompt := strings.CutPrefix(line, "$ ")
		switch {
		case prompt:
			out.WriteString(command)
		case goesOn:
			out.WriteString(line)
		default:
			out.WriteString("\n")
		}
		goesOn = (prompt || goesOn) && strings.HasSuffix(strings.TrimRight(line, "\n"), `\`)
	}
	return out.String()
}

// read returns the commands of a script whose first line is the given one of its page.
func read(script string, first int) ([]Call, error) {
	file, err := syntax.NewParser(syntax.Variant(syntax.LangBash)).Parse(strings.NewReader(script), "")
	if err != nil {
		var parse syntax.ParseError
		if errors.As(err, &parse) {
			return nil, fmt.Errorf("%d: a shell cannot read it: %s", first+int(parse.Pos.Line())-1, parse.Text)
		}
		return nil, fmt.Errorf("%d: a shell cannot read it: %w", first, err)
	}
	var calls []Call
	syntax.Walk(file, func(node syntax.Node) bool {
		if call, ok := node.(*syntax.CallExpr); ok && len(call.Args) > 0 {
			c := Call{Line: first + int(call.Args[0].Pos().Line()) - 1}
			for _, word := range call.Args {
				c.Words = append(c.Words, literal(word.Parts))
			}
			calls = append(calls, c)
		}
		return true
	})
	return calls, nil
}

func literal(parts []syntax.WordPart) string {
	var out strings.Builder
	for _, part := range parts {
		switch p := part.(type) {
		case *syntax.Lit:
			out.WriteString(unescape(p.Value))
		case *syntax.SglQuoted:
			out.WriteString(p.Value)
		case *syntax.DblQuoted:
			out.WriteString(literal(p.Parts))
		default:
			out.WriteString("$")
		}
	}
	return out.String()
}

// unescape takes the backslashes out of what is not quoted, and line breaks with them.
func unescape(s string) string {
	var out strings.Builder
	escaped := false
	for _, r := range s {
		switch {
		case !escaped && r == '\\':
			escaped = true
			continue
		case escaped && r == '\n':
		default:
			out.WriteRune(r)
		}
		escaped = false
	}
	return out.String()
}
