// Command cli-docs writes docs/reference/cli.md from the commands of kubectl dbt.
// `make cli-docs` runs it from the repository's root.
package main

import (
	"bytes"
	"fmt"
	"io"
	"os"
	"strings"

	"github.com/spf13/cobra"
	"github.com/spf13/pflag"
	"k8s.io/cli-runtime/pkg/genericiooptions"
	"k8s.io/utils/clock"

	"github.com/dbt-operator/dbt-operator/internal/cli/command"
)

const page = "docs/reference/cli.md"

func main() {
	if err := os.WriteFile(page, write(root()), 0o644); err != nil { //nolint:gosec // a page is for everybody
		fmt.Fprintln(os.Stderr, "cli-docs: "+err.Error())
		os.Exit(1)
	}
}

func root() *cobra.Command {
	// kubectl's flags have the home of whoever runs this as a default.
	if err := os.Setenv("HOME", "/home/me"); err != nil {
		panic(err)
	}
	none := genericiooptions.IOStreams{In: strings.NewReader(""), Out: io.Discard, ErrOut: io.Discard}
	return command.Root(command.Env{IOStreams: none, Clock: clock.RealClock{}})
}

// write returns the page: each command with its words, examples and flags, in the order of the help.
func write(root *cobra.Command) []byte {
	var b bytes.Buffer
	b.WriteString("# kubectl dbt\n\n" +
		"Generated from the commands themselves: `make cli-docs`. [kubectl.md](../kubectl.md) says what they are for, which rights they\n" +
		"need, and how they end.\n\n| command | |\n|---|---|\n")
	cobra.EnableCommandSorting = false
	for _, c := range commands(root) {
		fmt.Fprintf(&b, "| [%s](#%s) | %s |\n", c.CommandPath(), anchor(c), cell(c.Short))
	}
	for _, c := range commands(root) {
		fmt.Fprintf(&b, "\n## %s\n%s\n\n```text\n%s\n```\n", c.CommandPath(), prose(c), strings.TrimSuffix(c.UseLine(), " [flags]"))
		if c.Example != "" {
			fmt.Fprintf(&b, "\n```sh\n%s\n```\n", unindent(c.Example))
		}
		flags(&b, c.NonInheritedFlags())
	}
	b.WriteString("\n## Flags of every command\nThose of kubectl, and two of the operator's.\n")
	flags(&b, root.PersistentFlags())
	return b.Bytes()
}

// commands returns the commands that help lists, those of cobra's own left out.
func commands(root *cobra.Command) []*cobra.Command {
	var out []*cobra.Command
	for _, c := range root.Commands() {
		if c.IsAvailableCommand() {
			out = append(out, append([]*cobra.Command{c}, commands(c)...)...)
		}
	}
	return out
}

func anchor(c *cobra.Command) string { return strings.ReplaceAll(c.CommandPath(), " ", "-") }

// prose returns what a command says of itself; what would be a mark of Markdown stands as it is.
func prose(c *cobra.Command) string {
	text := c.Long
	if text == "" {
		text = c.Short + "."
	}
	return strings.NewReplacer("<", `\<`, "*", `\*`, "_", `\_`).Replace(text)
}

func unindent(example string) string {
	var lines []string
	for line := range strings.Lines(example) {
		lines = append(lines, strings.TrimPrefix(strings.TrimSuffix(line, "\n"), "  "))
	}
	return strings.Join(lines, "\n")
}

func flags(b *bytes.Buffer, set *pflag.FlagSet) {
	rows := 0
	set.VisitAll(func(f *pflag.Flag) {
		if f.Hidden || f.Name == "help" {
			return
		}
		if rows == 0 {
			b.WriteString("\n| flag | default | |\n|---|---|---|\n")
		}
		rows++
		name := "`--" + f.Name + "`"
		if f.Shorthand != "" {
			name = "`-" + f.Shorthand + "`, " + name
		}
		value, usage := pflag.UnquoteUsage(f)
		if value != "" {
			name += " " + value
		}
		fmt.Fprintf(b, "| %s | %s | %s |\n", name, initial(f), cell(usage))
	})
}

// initial returns a flag's default as a cell, empty for one that is off or unset.
func initial(f *pflag.Flag) string {
	switch f.DefValue {
	case "", "false", "[]", "0", "0s":
		return ""
	}
	return "`" + cell(strings.ReplaceAll(f.DefValue, "/home/me", "$HOME")) + "`"
}

// cell keeps a text within a cell of a table.
func cell(text string) string {
	return strings.NewReplacer("|", `\|`, "<", `\<`, "\n", " ").Replace(text)
}
