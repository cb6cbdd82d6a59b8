package testutil

import (
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// ProjectWrapper builds a DbtProject.
type ProjectWrapper struct{ v1alpha1.DbtProject }

// MakeDbtProject begins a DbtProject that is baked into its image, in no namespace.
func MakeDbtProject(name string) *ProjectWrapper {
	return &ProjectWrapper{v1alpha1.DbtProject{
		ObjectMeta: metav1.ObjectMeta{Name: name},
		Spec: v1alpha1.DbtProjectSpec{
			Image:  "registry.example.com/dbt:1.11",
			Source: v1alpha1.Source{Image: &v1alpha1.ImageSource{Path: "/dbt"}},
		},
	}}
}

// Obj returns a copy of the project.
func (w *ProjectWrapper) Obj() *v1alpha1.DbtProject { return w.DeepCopy() }

// Clone returns a wrapper that shares nothing with this one.
func (w *ProjectWrapper) Clone() *ProjectWrapper { return &ProjectWrapper{*w.DeepCopy()} }

// Label sets a label.
func (w *ProjectWrapper) Label(key, value string) *ProjectWrapper {
	if w.Labels == nil {
		w.Labels = map[string]string{}
	}
	w.Labels[key] = value
	return w
}

// Namespace sets the namespace.
func (w *ProjectWrapper) Namespace(ns string) *ProjectWrapper {
	w.DbtProject.Namespace = ns
	return w
}

// Generation sets what an API server would.
func (w *ProjectWrapper) Generation(n int64) *ProjectWrapper {
	w.DbtProject.Generation = n
	return w
}

// Image sets the image.
func (w *ProjectWrapper) Image(image string) *ProjectWrapper {
	w.Spec.Image = image
	return w
}

// Git makes the project come from a repository, at no ref.
func (w *ProjectWrapper) Git(url string) *ProjectWrapper {
	w.Spec.Source = v1alpha1.Source{Git: &v1alpha1.GitSource{URL: url}}
	return w
}

// Ref sets the ref of a project in git.
func (w *ProjectWrapper) Ref(ref v1alpha1.GitRef) *ProjectWrapper {
	w.Spec.Source.Git.Ref = &ref
	return w
}

// Path sets the folder of a project in git.
func (w *ProjectWrapper) Path(path string) *ProjectWrapper {
	w.Spec.Source.Git.Path = path
	return w
}

// GitSecret names the credentials of a project in git.
func (w *ProjectWrapper) GitSecret(name string) *ProjectWrapper {
	w.Spec.Source.Git.CredentialsSecretRef = &v1alpha1.LocalObjectReference{Name: name}
	return w
}

// ConfigMap makes the project come from a ConfigMap.
func (w *ProjectWrapper) ConfigMap(name string, items ...v1alpha1.KeyToPath) *ProjectWrapper {
	w.Spec.Source = v1alpha1.Source{ConfigMap: &v1alpha1.ConfigMapSource{Name: name, Items: items}}
	return w
}

// Baked makes the project come from its image.
func (w *ProjectWrapper) Baked(path string) *ProjectWrapper {
	w.Spec.Source = v1alpha1.Source{Image: &v1alpha1.ImageSource{Path: path}}
	return w
}

// Target sets dbt's target.
func (w *ProjectWrapper) Target(target string) *ProjectWrapper {
	w.Spec.Target = target
	return w
}

// Env adds a literal environment variable.
func (w *ProjectWrapper) Env(name, value string) *ProjectWrapper {
	w.Spec.Env = append(w.Spec.Env, corev1.EnvVar{Name: name, Value: value})
	return w
}

// EnvSecret adds an environment variable from a Secret.
func (w *ProjectWrapper) EnvSecret(name, secret, key string) *ProjectWrapper {
	w.Spec.Env = append(w.Spec.Env, corev1.EnvVar{Name: name, ValueFrom: &corev1.EnvVarSource{
		SecretKeyRef: &corev1.SecretKeySelector{LocalObjectReference: corev1.LocalObjectReference{Name: secret}, Key: key},
	}})
	return w
}

// ProfilesSecret takes profiles.yml from a Secret.
func (w *ProjectWrapper) ProfilesSecret(name, key string) *ProjectWrapper {
	w.Spec.Profiles = &v1alpha1.Profiles{SecretRef: &v1alpha1.KeySelector{Name: name, Key: key}}
	return w
}

// Token adds a projected token.
func (w *ProjectWrapper) Token(name, audience string, seconds int64) *ProjectWrapper {
	w.Spec.Tokens = append(w.Spec.Tokens, v1alpha1.Token{Name: name, Audience: audience, ExpirationSeconds: &seconds})
	return w
}

// TokenBy adds a projected token as it is.
func (w *ProjectWrapper) TokenBy(t v1alpha1.Token) *ProjectWrapper {
	w.Spec.Tokens = append(w.Spec.Tokens, t)
	return w
}

// Volume adds a volume.
func (w *ProjectWrapper) Volume(v v1alpha1.Volume) *ProjectWrapper {
	w.Spec.Volumes = append(w.Spec.Volumes, v)
	return w
}

// Queue names the Kueue queue.
func (w *ProjectWrapper) Queue(name string) *ProjectWrapper {
	w.Spec.QueueName = name
	return w
}

// Concurrency sets policy and group.
func (w *ProjectWrapper) Concurrency(policy v1alpha1.ConcurrencyPolicy, group string) *ProjectWrapper {
	w.Spec.Concurrency = &v1alpha1.Concurrency{Policy: policy, Group: group}
	return w
}

// Pod sets the pod's settings.
func (w *ProjectWrapper) Pod(p v1alpha1.PodSettings) *ProjectWrapper {
	w.Spec.Pod = &p
	return w
}

// Defaults sets what runs use that do not say otherwise.
func (w *ProjectWrapper) Defaults(d v1alpha1.RunDefaults) *ProjectWrapper {
	w.Spec.RunDefaults = d
	return w
}

// UID sets what an API server would.
func (w *ProjectWrapper) UID(uid string) *ProjectWrapper {
	w.DbtProject.UID = types.UID(uid)
	return w
}
