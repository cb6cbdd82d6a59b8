package v1alpha1

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
)

// Token is one short-lived service-account token.
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
	// API servers extend tokens of that length to a year.
	// +optional
	// +kubebuilder:default=3600
	// +kubebuilder:validation:Minimum=600
	// +kubebuilder:validation:Maximum=86400
	// +kubebuilder:validation:XValidation:rule="self != 3607",message="expirationSeconds must not be 3607: API servers extend tokens of that length to a year"
	ExpirationSeconds *int64 `json:"expirationSeconds,omitempty"`
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
