package runjob

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"

	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"

	corev1 "k8s.io/api/core/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/plan"
)

func sourceOf(run *v1alpha1.DbtRun, project *v1alpha1.DbtProjectSpec) plan.Source {
	src := project.Source
	switch {
	case src.Git != nil:
		return plan.Source{Git: gitOf(run, src.Git)}
	case src.ConfigMap != nil:
		return plan.Source{ConfigMap: &plan.ConfigMap{Name: src.ConfigMap.Name}}
	case src.Image != nil:
		return plan.Source{Image: &plan.Image{Path: src.Image.Path}}
	default:
		return plan.Source{}
	}
}

func gitOf(run *v1alpha1.DbtRun, src *v1alpha1.GitSource) *plan.Git {
	g := &plan.Git{URL: src.URL, Path: src.Path, Credentials: src.CredentialsSecretRef != nil}
	switch {
	case strings.HasPrefix(run.Spec.Revision, "refs/"):
		g.Ref = run.Spec.Revision
	case run.Spec.Revision != "":
		g.Commit = run.Spec.Revision
	case src.Ref != nil:
		g.Branch, g.Tag, g.Commit = src.Ref.Branch, src.Ref.Tag, src.Ref.Commit
	}
	return g
}

// secretEnv names the variables whose value comes from a Secret.
func secretEnv(env []corev1.EnvVar) []string {
	var names []string
	for _, e := range env {
		if e.ValueFrom != nil && e.ValueFrom.SecretKeyRef != nil {
			names = append(names, e.Name)
		}
	}
	return names
}

// envFrom returns the sources, and each of them a second time under names that tell the runner where a value came from.
func envFrom(sources []corev1.EnvFromSource) []corev1.EnvFromSource {
	out := slices.Clip(sources) // the project keeps its own
	for _, s := range sources {
		second := *s.DeepCopy()
		if s.SecretRef != nil {
			second.Prefix = plan.FromSecret + s.Prefix
		} else {
			second.Prefix = plan.FromConfigMap + s.Prefix
		}
		out = append(out, second)
	}
	return out
}

// awsIdentity reports whether variables of an AWS identity may come by envFrom.
func awsIdentity(project *v1alpha1.DbtProjectSpec) bool {
	return len(project.EnvFrom) > 0 && slices.ContainsFunc(project.Tokens, func(t v1alpha1.Token) bool { return t.Audience == plan.AWSAudience })
}

func encodeVars(vars map[string]apiextensionsv1.JSON) (json.RawMessage, error) {
	if len(vars) == 0 {
		return nil, nil
	}
	object := make(map[string]json.RawMessage, len(vars))
	for name, value := range vars {
		if !json.Valid(value.Raw) {
			return nil, fmt.Errorf("spec.vars[%s]: is not valid JSON", name)
		}
		object[name] = value.Raw
	}
	return json.Marshal(object)
}
