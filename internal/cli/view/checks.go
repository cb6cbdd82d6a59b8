package view

import (
	"fmt"
	"strings"

	"github.com/dbt-operator/dbt-operator/internal/cli/doctor"
)

// Checks returns findings, a line each, and below it what would mend it.
func (s Style) Checks(checks []doctor.Check) string {
	colours := map[doctor.State]string{doctor.OK: green, doctor.Warn: yellow, doctor.Fail: red}
	counts := map[doctor.State]int{}
	var out strings.Builder
	for _, c := range checks {
		counts[c.State]++
		fmt.Fprintf(&out, "%s  %s: %s\n", s.paint(colours[c.State], fmt.Sprintf("%-4s", c.State)), c.Name, c.Found)
		if c.Mend != "" && c.State != doctor.OK {
			out.WriteString("      " + s.paint(dim, "→ "+c.Mend) + "\n")
		}
	}
	fmt.Fprintf(&out, "\n%d ok, %d warn, %d fail\n", counts[doctor.OK], counts[doctor.Warn], counts[doctor.Fail])
	return out.String()
}
