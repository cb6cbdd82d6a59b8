package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// TokenDelivery is how dbt gets a token.
//
// +kubebuilder:validation:Enum=File;Env;PGPassFile
type TokenDelivery string

// Token deliveries.
const (
	// TokenFile leaves the token in its file, for adapters that read it again when they need it.
	TokenFile TokenDelivery = "File"
	// TokenEnv gives the token's value in a variable of dbt's process.
	TokenEnv TokenDelivery = "Env"
	// TokenPGPassFile keeps a libpq password file in step with the token.
	TokenPGPassFile TokenDelivery = "PGPassFile"
)

// Token is one short-lived service-account token.
//
// +kubebuilder:validation:XValidation:rule="(has(self.delivery) && self.delivery == 'Env') == has(self.env)",message="env names the variable of a token with delivery Env: set both or neither"
// +kubebuilder:validation:XValidation:rule="!has(self.host) || (has(self.delivery) && self.delivery == 'PGPassFile')",message="host belongs to a token with delivery PGPassFile: set that, or remove host"
type Token struct {
	// name is the token's file name under /var/run/secrets/dbtoperator.dev/tokens. At most 63 characters: lower-case
	// letters, digits and dashes.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=63
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="name must be lower-case letters, digits and dashes"
	Name string `json:"name,omitempty"`

	// audience is who the token is for, such as "snowflakecomputing.com" or "sts.amazonaws.com". 1 to 256 characters.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=256
	Audience string `json:"audience,omitempty"`

	// expirationSeconds is the token's lifetime; kubelet renews the file before it ends. 600 to 86400. 3607 is refused:
	// API servers extend tokens of that length to a year. With delivery Env, at least the run's timeoutSeconds.
	// +optional
	// +kubebuilder:default=3600
	// +kubebuilder:validation:Minimum=600
	// +kubebuilder:validation:Maximum=86400
	// +kubebuilder:validation:XValidation:rule="self != 3607",message="expirationSeconds must not be 3607: API servers extend tokens of that length to a year"
	ExpirationSeconds *int64 `json:"expirationSeconds,omitempty"`

	// delivery is how dbt gets the token. The file is there in any case. File: nothing else, for adapters that are told
	// the file's name and read it again. Env: dbt's process, and it alone, also has the value in the variable env names,
	// as it was when the command began; so the run must have a timeoutSeconds of at most expirationSeconds. PGPassFile:
	// for PostgreSQL by libpq: PGPASSFILE names a password file that follows the token while dbt runs; the profile's
	// password must be empty. It does not do for dbt 2.0, which wants a password: use Env there.
	// +optional
	// +kubebuilder:default=File
	Delivery TokenDelivery `json:"delivery,omitempty"`

	// env is the variable that holds the token's value, with delivery Env alone. A name whose value profiles.yml reads,
	// such as DBT_ENV_SECRET_TOKEN. At most 128 characters: letters, digits and underscores, and no name the operator
	// owns (see the project's env), nor one that env sets, nor one of another token.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=128
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z_][A-Za-z0-9_]*$')",message="env must be letters, digits and underscores, and must not begin with a digit"
	// +kubebuilder:validation:XValidation:rule="!self.startsWith('LD_') && !self.startsWith('PYTHON') && !self.startsWith('DBT_LOG_') && !self.startsWith('DBT_ENGINE_LOG_') && !self.startsWith('DBT_OPERATOR_') && !(self in ['HOME', 'PATH', 'TMPDIR', 'DBT_PROFILES_DIR', 'DBT_PROJECT_DIR', 'DBT_TARGET_PATH', 'DBT_SCHEDULED_TIME', 'DBT_ENGINE_PROFILES_DIR', 'DBT_ENGINE_PROJECT_DIR', 'DBT_ENGINE_TARGET_PATH', 'DBT_ENGINE_SCHEDULED_TIME']) && !self.startsWith('DBT_ENV_CUSTOM_ENV_') && !(self in ['AWS_ROLE_ARN', 'AWS_WEB_IDENTITY_TOKEN_FILE', 'AWS_ROLE_SESSION_NAME'])",message="env is a name the operator owns (LD_*, PYTHON*, HOME, PATH, TMPDIR, DBT_PROFILES_DIR, DBT_PROJECT_DIR, DBT_TARGET_PATH, DBT_LOG_*, DBT_SCHEDULED_TIME, the same behind DBT_ENGINE_, DBT_OPERATOR_*), or one that is no place for a token (DBT_ENV_CUSTOM_ENV_*, AWS_ROLE_ARN, AWS_WEB_IDENTITY_TOKEN_FILE, AWS_ROLE_SESSION_NAME): use another, such as DBT_ENV_SECRET_TOKEN"
	Env string `json:"env,omitempty"`

	// host is the only server that gets the token out of the password file, with delivery PGPassFile alone: the host as
	// the profile writes it. Unset: any server that the profile gives no password for. At most 253 characters, no white
	// space.
	// +optional
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=253
	// +kubebuilder:validation:XValidation:rule="self.matches('^[A-Za-z0-9]([A-Za-z0-9.:_-]*[A-Za-z0-9])?$')",message="host must be a host name or an address, as the profile writes it"
	Host string `json:"host,omitempty"`
}

// Volume is a volume and where dbt's container sees it.
//
// +kubebuilder:validation:XValidation:rule="(has(self.configMap) ? 1 : 0) + (has(self.secret) ? 1 : 0) + (has(self.persistentVolumeClaim) ? 1 : 0) + (has(self.emptyDir) ? 1 : 0) + (has(self.image) ? 1 : 0) == 1",message="exactly one of configMap, secret, persistentVolumeClaim, emptyDir and image must be set"
type Volume struct {
	// name is the volume's name. At most 55 characters: lower-case letters, digits and dashes.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=55
	// +kubebuilder:validation:XValidation:rule="self.matches('^[a-z0-9]([-a-z0-9]*[a-z0-9])?$')",message="name must be lower-case letters, digits and dashes"
	Name string `json:"name,omitempty"`

	// mountPath is the absolute folder in dbt's container. Folders the operator or the system owns are refused:
	// /workspace, /dbt-operator, /var/run, /run, /dev, /proc, /sys, /etc, /tmp and the root.
	// +required
	// +kubebuilder:validation:MinLength=2
	// +kubebuilder:validation:MaxLength=256
	// +kubebuilder:validation:XValidation:rule="self.startsWith('/') && !self.contains('//') && !self.contains(':') && !self.split('/').exists(p, p == '..' || p == '.')",message="mountPath must be an absolute folder without '..' or ':'"
	// +kubebuilder:validation:XValidation:rule="!self.matches('^/(workspace|dbt-operator|var/run|run|dev|proc|sys|etc|tmp)(/|$)')",message="mountPath must not lie in /workspace, /dbt-operator, /var/run, /run, /dev, /proc, /sys, /etc or /tmp"
	MountPath string `json:"mountPath,omitempty"`

	// readOnly mounts the volume so that dbt cannot write to it. ConfigMaps, Secrets and images are always read-only.
	// +optional
	ReadOnly *bool `json:"readOnly,omitempty"`

	// configMap is the name of a ConfigMap in this namespace.
	// +optional
	ConfigMap *LocalObjectReference `json:"configMap,omitempty"`

	// secret is the name of a Secret in this namespace. Its files are readable by dbt's user alone.
	// +optional
	Secret *LocalObjectReference `json:"secret,omitempty"`

	// persistentVolumeClaim is the name of a claim in this namespace.
	// +optional
	PersistentVolumeClaim *LocalObjectReference `json:"persistentVolumeClaim,omitempty"`

	// emptyDir is scratch space that ends with the pod.
	// +optional
	EmptyDir *EmptyDirVolume `json:"emptyDir,omitempty"`

	// image is a container image whose files are mounted. It needs a cluster with image volumes (Kubernetes 1.36, or
	// the feature gate ImageVolume before).
	// +optional
	Image *ImageVolume `json:"image,omitempty"`
}

// EmptyDirVolume is scratch space that ends with the pod.
type EmptyDirVolume struct {
	// sizeLimit is the most it may hold; a pod that exceeds it is evicted.
	// +required
	SizeLimit resource.Quantity `json:"sizeLimit,omitzero"`
}

// ImageVolume is a container image whose files are mounted.
type ImageVolume struct {
	// reference is the image.
	// +required
	// +kubebuilder:validation:MinLength=1
	// +kubebuilder:validation:MaxLength=512
	Reference string `json:"reference,omitempty"`
}

// PodSettings shape the run's pod. What makes the pod safe (user, capabilities, read-only root, no API token) is not
// among them.
type PodSettings struct {
	// resources of dbt's container.
	// +optional
	Resources corev1.ResourceRequirements `json:"resources,omitempty,omitzero"`

	// nodeSelector are labels a node must have.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	NodeSelector map[string]string `json:"nodeSelector,omitempty"`

	// tolerations are taints the pod tolerates. At most 32.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=32
	Tolerations []corev1.Toleration `json:"tolerations,omitempty"`

	// affinity is the pod's affinity and anti-affinity.
	// +optional
	Affinity *corev1.Affinity `json:"affinity,omitempty"`

	// topologySpreadConstraints spread pods over the cluster. At most 8.
	// +optional
	// +listType=atomic
	// +kubebuilder:validation:MaxItems=8
	TopologySpreadConstraints []corev1.TopologySpreadConstraint `json:"topologySpreadConstraints,omitempty"`

	// priorityClassName is the pod's priority class.
	// +optional
	// +kubebuilder:validation:MaxLength=253
	PriorityClassName string `json:"priorityClassName,omitempty"`

	// imagePullSecrets are Secrets in this namespace to pull the images with. At most 8.
	// +optional
	// +listType=map
	// +listMapKey=name
	// +kubebuilder:validation:MaxItems=8
	ImagePullSecrets []LocalObjectReference `json:"imagePullSecrets,omitempty"`

	// labels are added to the pod. Keys of dbtoperator.dev, kubernetes.io and k8s.io are refused. At most 32.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.size() <= 317 && !k.matches('(^|[.])(dbtoperator[.]dev|kubernetes[.]io|k8s[.]io)/'))",message="labels must not hold keys of dbtoperator.dev, kubernetes.io or k8s.io: the operator and Kubernetes set those"
	Labels map[string]string `json:"labels,omitempty"`

	// annotations are added to the pod. Keys of dbtoperator.dev, kubernetes.io and k8s.io are refused. At most 32.
	// +optional
	// +kubebuilder:validation:MaxProperties=32
	// +kubebuilder:validation:XValidation:rule="self.all(k, k.size() <= 317 && !k.matches('(^|[.])(dbtoperator[.]dev|kubernetes[.]io|k8s[.]io)/'))",message="annotations must not hold keys of dbtoperator.dev, kubernetes.io or k8s.io: the operator and Kubernetes set those"
	Annotations map[string]string `json:"annotations,omitempty"`

	// terminationGracePeriodSeconds is the time dbt has to cancel its queries when the run is stopped. 10 to 3600.
	// +optional
	// +kubebuilder:default=60
	// +kubebuilder:validation:Minimum=10
	// +kubebuilder:validation:Maximum=3600
	TerminationGracePeriodSeconds *int64 `json:"terminationGracePeriodSeconds,omitempty"`

	// workspaceSizeLimit is the most the source, target and logs of a run may take on the node's disk. The pod is
	// evicted when it is exceeded.
	// +optional
	// +kubebuilder:default="4Gi"
	WorkspaceSizeLimit *resource.Quantity `json:"workspaceSizeLimit,omitempty"`

	// hostUsers false gives the pod a user namespace of its own: its user is none of the node's, so that what breaks out
	// of the container is nobody there. It needs Linux 6.3, containerd 2.0 or CRI-O 1.25, and Kubernetes 1.33 (or the
	// feature gate UserNamespacesSupport before); on a node that lacks one of these the pod does not start, and the run
	// fails with reason StartTimeout. File systems of volumes must support id-mapped mounts; NFS does not. Unset:
	// the node's own user namespace, as for any pod.
	// +optional
	HostUsers *bool `json:"hostUsers,omitempty"`
}
