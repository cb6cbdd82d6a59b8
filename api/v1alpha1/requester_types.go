package v1alpha1

// Requester is who asked for something, as the API server knows them after authentication. It is stamped by the API
// server's own policy (config/policy), whatever the object says; where the cluster cannot stamp (Kubernetes before 1.36),
// it is true or absent, never false.
type Requester struct {
	// username is the name by which the API server knows the user, such as "ada@example.com" or
	// "system:serviceaccount:team-a:airflow". 1 to 1024 characters: a user with a longer name is refused, as a name that
	// is cut is another's.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	Username string `json:"username,omitempty"`

	// uid tells users of one name at different times apart, where the way they log in gives one. Unset: it gives none. At
	// most 1024 characters.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	UID string `json:"uid,omitempty"`

	// groups are the user's groups at that time: the first 64 whose names have at most 256 characters.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=64
	// +kubebuilder:validation:items:MaxLength=256
	Groups []string `json:"groups,omitempty"`

	// omittedGroups is how many groups the user had beside those in groups. Unset: none. At least 1.
	// +optional
	// +kubebuilder:validation:Minimum=1
	OmittedGroups *int32 `json:"omittedGroups,omitempty"`
}
