package v1alpha1

import (
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
)

// StateStatus is the run whose manifest a run got as state.
type StateStatus struct {
	// target is the one whose last good run was looked for. Empty: the profile's default.
	// +optional
	// +kubebuilder:validation:MaxLength=63
	Target string `json:"target,omitempty"`

	// run is the name of the last good DbtRun. Empty: there was none that could be used, and message says why.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	Run string `json:"run,omitempty"`

	// uid of that DbtRun.
	// +optional
	UID types.UID `json:"uid,omitempty"`

	// revision is what it ran on: a commit hash, or "sha256:…" over the files of a ConfigMap. Empty for a baked project.
	// +optional
	// +kubebuilder:validation:MaxLength=128
	Revision string `json:"revision,omitempty"`

	// time is when it had succeeded.
	// +optional
	Time *metav1.Time `json:"time,omitempty"`

	// manifestDigest is "sha256:" and the digest of its manifest.json: dbt gets these bytes or none.
	// +optional
	// +kubebuilder:validation:MaxLength=71
	ManifestDigest string `json:"manifestDigest,omitempty"`

	// message says why there is no state.
	// +optional
	// +kubebuilder:validation:MaxLength=1024
	Message string `json:"message,omitempty"`
}
