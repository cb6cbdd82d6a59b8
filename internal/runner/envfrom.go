package runner

import (
	"errors"
	"slices"
	"strings"

	"github.com/dbt-operator/dbt-operator/internal/plan"
)

// envFrom is what came with a container's environment by envFrom.
type envFrom struct {
	// secrets are the values that came from Secrets.
	secrets []string
	// dropped are the names that the operator owns, sorted. dbt does not get what came under them.
	dropped []string
}

// withoutEnvFrom returns a container's environment without what came by envFrom under names that the operator owns, and
// without the second names that say what came so. What the image says under such a name stays, unless envFrom took its place.
// aws says that identities for AWS may come so.
func withoutEnvFrom(container []string, aws bool) (environ []string, from envFrom) {
	came := map[string][]string{}
	for _, e := range container {
		name, value, _ := strings.Cut(e, "=")
		if first, ok := strings.CutPrefix(name, plan.FromSecret); ok {
			came[first] = append(came[first], value)
			from.secrets = append(from.secrets, value)
		} else if first, ok := strings.CutPrefix(name, plan.FromConfigMap); ok {
			came[first] = append(came[first], value)
		}
	}
	environ = slices.DeleteFunc(slices.Clone(container), func(e string) bool {
		name, value, _ := strings.Cut(e, "=")
		if strings.HasPrefix(name, plan.FromSecret) || strings.HasPrefix(name, plan.FromConfigMap) {
			return true
		}
		_, reserved := plan.ReservedEnv(name)
		if !slices.Contains(came[name], value) || !reserved && (aws || !plan.AWSIdentity(name)) {
			return false
		}
		from.dropped = append(from.dropped, name)
		return true
	})
	slices.Sort(from.dropped)
	return environ, from
}

// checkEnvFrom says what of envFrom is dropped, and refuses what the run cannot do without.
func (r *Runner) checkEnvFrom() error {
	dropped := r.envFrom.dropped
	if slices.Contains(dropped, "PATH") {
		return errors.New("spec.envFrom: one of its Secrets and ConfigMaps brings PATH in place of the image's own, without which dbt is not found: remove that key, or give the source a prefix")
	}
	if len(dropped) > 0 {
		r.print.line("warn", "spec.envFrom brings "+strings.Join(dropped, ", ")+": the operator owns these names, and dbt gets none of them")
	}
	return nil
}
