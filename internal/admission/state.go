package admission

import (
	"fmt"
	"regexp"
	"slices"
	"strings"
)

// Selection is what takes the words of a selection, up to the next flag.
var selection = []string{"--select", "-s", "--exclude", "--models", "--model", "-m"}

// comparing are the methods of dbt's selection that compare with a state: alone, in an intersection, and with operators
// such as + before them. https://docs.getdbt.com/reference/node-selection/methods
var comparing = regexp.MustCompile(`(?:^|[ ,@+])(state|result|source_status):`)

// NeedsState returns why one of a run's commands cannot be carried out without a state, such as "spec.commands[0] selects
// by state:"; empty when none needs one. A selector of selectors.yml is not looked into.
func NeedsState(commands [][]string) string {
	for i, words := range commands {
		if what := needsState(words); what != "" {
			return fmt.Sprintf("spec.commands[%d] %s", i, what)
		}
	}
	return ""
}

func needsState(words []string) string {
	if words[0] == "clone" {
		return "is dbt clone"
	}
	selecting := false
	for _, word := range words[1:] {
		flag, value, glued := strings.Cut(word, "=")
		switch {
		case flag == "--defer", flag == "--favor-state":
			return "has " + flag
		case strings.HasPrefix(word, "--") || slices.Contains(selection, flag):
			selecting = slices.Contains(selection, flag)
			if !glued || !selecting {
				continue
			}
		case len(word) > 2 && slices.Contains(selection, word[:2]):
			selecting, value = true, word[2:]
		case strings.HasPrefix(word, "-"):
			selecting = false
			continue
		default:
			value = word
		}
		if m := comparing.FindStringSubmatch(value); selecting && m != nil {
			return "selects by " + m[1] + ":"
		}
	}
	return ""
}
