package admission

import (
	"errors"
	"fmt"
	"slices"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/plan"
)

// Project returns what keeps a run from being made of the project, as one error with a line for each field, or nil.
// Fields are named as in a DbtProject, from "spec" on.
func Project(spec *v1alpha1.DbtProjectSpec) error {
	var errs []error
	for _, e := range spec.Env {
		if instead, reserved := plan.ReservedEnv(e.Name); reserved {
			errs = append(errs, fmt.Errorf("spec.env[%s]: the operator owns this name: remove it and use %s", e.Name, instead))
		}
		if plan.AWSIdentity(e.Name) && !hasAudience(spec.Tokens, plan.AWSAudience) {
			errs = append(errs, fmt.Errorf("spec.env[%s]: found without a token for %s: add that token to spec.tokens, or remove the variable", e.Name, plan.AWSAudience))
		}
	}
	for _, from := range spec.EnvFrom {
		if instead, reserved := plan.ReservedEnv(from.Prefix); reserved {
			errs = append(errs, fmt.Errorf("spec.envFrom: the prefix %q makes names the operator owns: use %s", from.Prefix, instead))
		}
	}
	errs = append(errs, unions(spec)...)
	errs = append(errs, tokens(spec)...)
	seen := map[string]string{}
	for _, v := range spec.Volumes {
		if other, taken := seen[v.MountPath]; taken {
			errs = append(errs, fmt.Errorf("spec.volumes[%s].mountPath: %s is taken by volume %s: give each volume a folder of its own", v.Name, v.MountPath, other))
		}
		seen[v.MountPath] = v.Name
	}
	return errors.Join(errs...)
}

// unions repeats what the CRD says of unions, for objects that were stored before it said so.
func unions(spec *v1alpha1.DbtProjectSpec) []error {
	var errs []error
	if src := spec.Source; set(src.Git != nil, src.ConfigMap != nil, src.Image != nil) != 1 {
		errs = append(errs, errors.New("spec.source: exactly one of git, configMap and image must be set"))
	}
	if p := spec.Profiles; p != nil && set(p.SecretRef != nil, p.ConfigMapRef != nil) != 1 {
		errs = append(errs, errors.New("spec.profiles: exactly one of secretRef and configMapRef must be set"))
	}
	for _, v := range spec.Volumes {
		if set(v.ConfigMap != nil, v.Secret != nil, v.PersistentVolumeClaim != nil, v.EmptyDir != nil, v.Image != nil) != 1 {
			errs = append(errs, fmt.Errorf("spec.volumes[%s]: exactly one of configMap, secret, persistentVolumeClaim, emptyDir and image must be set", v.Name))
		}
	}
	return errs
}

// set counts what is set.
func set(members ...bool) int {
	n := 0
	for _, m := range members {
		if m {
			n++
		}
	}
	return n
}

func hasAudience(tokens []v1alpha1.Token, audience string) bool {
	for _, t := range tokens {
		if t.Audience == audience {
			return true
		}
	}
	return false
}

// Run returns the run's commands as words, or what keeps the run from being carried out with this project.
func Run(spec *v1alpha1.DbtRunSpec, project *v1alpha1.DbtProjectSpec) ([][]string, error) {
	var errs []error
	if err := Project(project); err != nil {
		errs = append(errs, err)
	}
	errs = append(errs, lasting(spec, project)...)
	if spec.Revision != "" && project.Source.Git == nil {
		errs = append(errs, errors.New("spec.revision: set, but the project's source is not git: remove it, or use a project with spec.source.git"))
	}
	if spec.State == v1alpha1.StateAuto && spec.ProjectRef == nil {
		errs = append(errs, errors.New("spec.state: is Auto, but an inline project has no earlier runs: remove it, or name a DbtProject in spec.projectRef"))
	}
	words := make([][]string, 0, len(spec.Commands))
	for i, line := range spec.Commands {
		w, err := SplitCommand(line)
		if err != nil {
			errs = append(errs, fmt.Errorf("spec.commands[%d]: %w", i, err))
			continue
		}
		words = append(words, w)
	}
	if len(spec.Commands) == 0 {
		words = append(words, []string{"build"})
	}
	if err := errors.Join(errs...); err != nil {
		return nil, err
	}
	return words, nil
}

// ResumeFrom returns what keeps a run from going on from another, nil when nothing does. from is nil when there is no
// such run. One that was created after the run has only the name of the one that is meant.
func ResumeFrom(run, from *v1alpha1.DbtRun) error {
	const field = "spec.resumeFrom"
	name := run.Spec.ResumeFrom.Name
	switch {
	case from == nil:
		return fmt.Errorf("%s: there is no DbtRun %s in this namespace: name a run that is over", field, name)
	case from.CreationTimestamp.After(run.CreationTimestamp.Time):
		return fmt.Errorf("%s: DbtRun %s was created after this run, so it is not the one that was named: create a run anew that names it", field, name)
	case !from.Status.Phase.Finished():
		return fmt.Errorf("%s: DbtRun %s is not over yet: wait for its end, or cancel it", field, name)
	case from.Status.Phase == v1alpha1.PhaseSucceeded:
		return fmt.Errorf("%s: DbtRun %s succeeded, so nothing of it is left to run: create a run without %s", field, name, field)
	case from.Status.Job == nil:
		return fmt.Errorf("%s: DbtRun %s never began: create a run without %s", field, name, field)
	case projectName(&run.Spec) != projectName(&from.Spec):
		return fmt.Errorf("%s: DbtRun %s is of project %s, this one of %s: name a run of the same project", field, name, projectName(&from.Spec), projectName(&run.Spec))
	case !slices.Equal(run.Spec.Commands, from.Spec.Commands):
		return fmt.Errorf("%s: DbtRun %s has other commands: copy its spec.commands", field, name)
	case run.Spec.Target != from.Spec.Target:
		return fmt.Errorf("%s: DbtRun %s has target %q, this one %q: use the same", field, name, from.Spec.Target, run.Spec.Target)
	}
	return nil
}

func projectName(spec *v1alpha1.DbtRunSpec) string {
	if spec.ProjectRef == nil {
		return v1alpha1.InlineProject
	}
	return spec.ProjectRef.Name
}
