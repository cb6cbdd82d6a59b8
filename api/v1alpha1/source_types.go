package v1alpha1

// Source is where a dbt project comes from.
//
// +kubebuilder:validation:XValidation:rule="(has(self.git) ? 1 : 0) + (has(self.configMap) ? 1 : 0) + (has(self.image) ? 1 : 0) == 1",message="exactly one of git, configMap and image must be set"
// +union
type Source struct {
	// git is a repository that is fetched anew for each run.
	// +optional
	Git *GitSource `json:"git,omitempty"`

	// configMap is a small project in a ConfigMap.
	// +optional
	ConfigMap *ConfigMapSource `json:"configMap,omitempty"`

	// image is a project baked into spec.image.
	// +optional
	Image *ImageSource `json:"image,omitempty"`
}

// GitSource is a git repository at one ref.
//
// The rules on url stand here because a refusal by a rule on the field itself would repeat its value, password and all.
//
// +kubebuilder:validation:XValidation:rule="self.url.matches('^(https?|ssh)://[^[:space:][:cntrl:]]+$')",message="url must begin with https://, http:// or ssh://; file paths, ext:: and the short form user@host:path are refused",fieldPath=".url"
// +kubebuilder:validation:XValidation:rule="!self.url.matches('^https?://[^/]*@') && !self.url.matches('^ssh://[^/]*:[^/]*@')",message="url must not hold a user name with a password: put them in a Secret and name it in credentialsSecretRef",fieldPath=".url"
// +kubebuilder:validation:XValidation:rule="!self.url.matches('^[a-z]+://([^/]*@)?(-|169[.]254[.]|[[]?[fF][eE][89abAB][0-9a-fA-F]:|metadata[.]google[.]internal)')",message="url must not name a link-local or metadata host, or a host that begins with a dash",fieldPath=".url"
type GitSource struct {
	// url is the repository, by https, http or ssh: "https://git.example.com/team/shop.git" or
	// "ssh://git@git.example.com/team/shop.git". It holds no password: use credentialsSecretRef. At most 1024 characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=1024
	URL string `json:"url,omitempty"`

	// ref is the branch, tag or commit. Unset: the repository's default branch. A run's revision overrides it.
	// +optional
	Ref *GitRef `json:"ref,omitempty"`

	// path is the folder of dbt_project.yml inside the repository. Unset: the top. Relative, without "..".
	// +optional
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('/') && !self.split('/').exists(p, p == '..')",message="path must be relative to the repository and must not contain '..'"
	// +kubebuilder:validation:XValidation:rule="!self.matches('[[:cntrl:]]')",message="path must not contain control characters"
	Path string `json:"path,omitempty"`

	// credentialsSecretRef names a Secret in this namespace with what the git server asks for: username and password
	// (or token alone) for https, with ca.crt where the server's certificate is signed by an authority of your own;
	// ssh-privatekey and known_hosts for ssh. It is mounted only in the container that fetches, never in dbt's.
	// +optional
	CredentialsSecretRef *LocalObjectReference `json:"credentialsSecretRef,omitempty"`
}

// GitRef is a branch, a tag or a commit.
//
// +kubebuilder:validation:XValidation:rule="(has(self.branch) ? 1 : 0) + (has(self.tag) ? 1 : 0) + (has(self.commit) ? 1 : 0) == 1",message="exactly one of branch, tag and commit must be set"
type GitRef struct {
	// branch is a branch name, such as "main". Its newest commit is resolved for each run and recorded.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=250
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9_][A-Za-z0-9_./+@-]*$') && !self.contains('..')",message="branch must be a branch name such as main or release/2.1; it must not begin with a dash or contain '..'"
	Branch string `json:"branch,omitempty"`

	// tag is a tag name, such as "v2.1.0".
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=250
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9_][A-Za-z0-9_./+@-]*$') && !self.contains('..')",message="tag must be a tag name such as v2.1.0; it must not begin with a dash or contain '..'"
	Tag string `json:"tag,omitempty"`

	// commit is a full commit hash: 40 lower-case hexadecimal digits.
	// +optional
	// +kubebuilder:validation:MaxLength=40
	// +kubebuilder:validation:XValidation:rule="self.matches('^[0-9a-f]{40}$')",message="commit must be a full commit hash: 40 lower-case hexadecimal digits"
	Commit string `json:"commit,omitempty"`
}

// ConfigMapSource is a project in a ConfigMap: each key a file, and, under the key project.tar.gz, an archive.
type ConfigMapSource struct {
	// name is the ConfigMap, in this namespace. Its keys are the project's files; a key project.tar.gz is unpacked.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="name must be the name of a ConfigMap in this namespace: lower-case letters, digits, dashes and dots, with no slash"
	Name string `json:"name,omitempty"`

	// items place keys in folders, as in a configMap volume: only the keys listed are used then. Unset: every key is a
	// file at the top. At most 256.
	// +optional
	// +listType=map
	// +listMapKey=key
	// +kubebuilder:validation:MinItems=1
	// +kubebuilder:validation:MaxItems=256
	Items []KeyToPath `json:"items,omitempty"`
}

// KeyToPath places one key of a ConfigMap at a path of the project.
type KeyToPath struct {
	// key is a key of the ConfigMap.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key,omitempty"`

	// path is the file's place in the project, relative, without "..".
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('/') && !self.split('/').exists(p, p == '..')",message="path must be relative and must not contain '..'"
	Path string `json:"path,omitempty"`
}

// ImageSource is a project baked into spec.image.
type ImageSource struct {
	// path is the absolute folder of dbt_project.yml in the image, such as "/dbt". It is read, never written.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	// +kubebuilder:validation:XValidation:rule="self.startsWith('/') && !self.split('/').exists(p, p == '..') && !self.matches('[[:cntrl:]]')",message="path must be an absolute folder in the image and must not contain '..'"
	Path string `json:"path,omitempty"`
}

// LocalObjectReference names an object of a known kind in the same namespace.
type LocalObjectReference struct {
	// name is the object's name, in this namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="name must be the name of an object in this namespace: lower-case letters, digits, dashes and dots, with no slash"
	Name string `json:"name,omitempty"`
}

// Profiles is the Secret or ConfigMap that holds dbt's profiles.yml.
//
// +kubebuilder:validation:XValidation:rule="(has(self.secretRef) ? 1 : 0) + (has(self.configMapRef) ? 1 : 0) == 1",message="exactly one of secretRef and configMapRef must be set"
type Profiles struct {
	// secretRef is a key of a Secret. Prefer configMapRef with tokens, or env_var() in the profile: then nothing secret
	// is stored.
	// +optional
	SecretRef *KeySelector `json:"secretRef,omitempty"`

	// configMapRef is a key of a ConfigMap.
	// +optional
	ConfigMapRef *KeySelector `json:"configMapRef,omitempty"`
}

// KeySelector names one key of a Secret or ConfigMap in the same namespace.
type KeySelector struct {
	// name is the object's name, in this namespace.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9.]*[a-z0-9])?$')",message="name must be the name of an object in this namespace: lower-case letters, digits, dashes and dots, with no slash"
	Name string `json:"name,omitempty"`

	// key is the key whose value is the file.
	// +optional
	// +kubebuilder:default=profiles.yml
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	Key string `json:"key,omitempty"`
}
