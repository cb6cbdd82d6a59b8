package runjob

import (
	"fmt"
	"strings"

	corev1 "k8s.io/api/core/v1"

	"github.com/dbt-operator/dbt-operator/internal/plan"
)

// maxVariable is how many bytes a variable of a process has at most, with its name and what lies between and behind: 32 pages.
// https://man7.org/linux/man-pages/man2/execve.2.html
const maxVariable = 128 << 10

// planVariable returns a plan as the runner gets it. It fails if no process could be started with it.
func planVariable(p plan.Plan) (corev1.EnvVar, error) {
	encoded, err := plan.Encode(p)
	if err != nil {
		return corev1.EnvVar{}, err
	}
	// Kubernetes expands $(NAME) and $$ in the values of variables; in JSON a $ stands only inside strings, and can be
	// written so that nothing is found to expand.
	v := corev1.EnvVar{Name: plan.EnvVar, Value: strings.ReplaceAll(encoded, "$", `\u0024`)}
	if n := len(v.Name) + len(v.Value) + 2; n > maxVariable {
		return corev1.EnvVar{}, fmt.Errorf("spec: commands and vars, of which vars has %d bytes, come to %d bytes with what the runner is told of the project, and a process takes %d at most: put what is large into a file or a seed of the project, or into a table",
			len(p.Vars), n, maxVariable)
	}
	return v, nil
}
