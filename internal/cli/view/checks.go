package view

import (
	"fmt"
	"strings"
)

// State is how a check came out.
type State string

// States.
const (
	OK   State = "ok"
	Warn State = "warn"
	Fail State = "fail"
)

// Check is one finding about a cluster.
type Check struct {
	State State  `json:"state"`
	Name  string `json:"name"`
	// Found is what is so; Mend what would mend it, empty if nothing has to be.
	Found string `json:"found"`
	Mend  string `json:"mend,omitempty"`
}

// Checks returns findings, a line each, and below it what would mend it.
func (s Style) Checks(checks []Check) string {
	colours := map[State]string{OK: green, Warn: yellow, Fail: red}
	counts := map[State]int{}
	var out strings.Builder
	for _, c := range checks {
		counts[c.State]++
		fmt.Fprintf(&out, "%s  %s: %s\n", s.paint(colours[c.State], fmt.Sprintf("%-4s", c.State)), c.Name, c.Found)
		if c.Mend != "" && c.State != OK {
			out.WriteString("      " + s.paint(dim, "→ "+c.Mend) + "\n")
		}
	}
	fmt.Fprintf(&out, "\n%d ok, %d warn, %d fail\n", counts[OK], counts[Warn], counts[Fail])
	return out.String()
}
