package runjob

import (
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/plan"
)

// nonRoot is the user and group of every container, and the group of every volume.
const nonRoot = 65532

func podTemplate(run *v1alpha1.DbtRun, r *Resolved, opts Options) (*corev1.PodTemplateSpec, error) {
	settings := r.Project.Pod.DeepCopy()
	if settings == nil {
		settings = &v1alpha1.PodSettings{}
	}
	p, err := planOf(run, r, opts)
	if err != nil {
		return nil, err
	}
	planEnv, err := planVariable(p)
	if err != nil {
		return nil, err
	}
	account := r.Project.ServiceAccountName
	if account == "" {
		account = defaultAccount
	}
	return &corev1.PodTemplateSpec{
		ObjectMeta: podMeta(run, r, settings),
		Spec: corev1.PodSpec{
			RestartPolicy:                 corev1.RestartPolicyNever,
			ServiceAccountName:            account,
			AutomountServiceAccountToken:  ptr.To(false),
			EnableServiceLinks:            ptr.To(false),
			HostUsers:                     settings.HostUsers,
			TerminationGracePeriodSeconds: ptr.To(r.GracePeriod),
			SecurityContext:               podSecurity(),
			InitContainers:                initContainers(r, opts, planEnv),
			Containers:                    []corev1.Container{dbtContainer(r, settings, opts, planEnv)},
			Volumes:                       volumes(r, settings, opts),
			ImagePullSecrets:              pullSecrets(settings.ImagePullSecrets),
			NodeSelector:                  settings.NodeSelector,
			Tolerations:                   settings.Tolerations,
			Affinity:                      settings.Affinity,
			TopologySpreadConstraints:     settings.TopologySpreadConstraints,
			PriorityClassName:             settings.PriorityClassName,
		},
	}, nil
}

// podSecurity and containerSecurity meet the restricted Pod Security Standard.
// https://kubernetes.io/docs/concepts/security/pod-security-standards/#restricted
func podSecurity() *corev1.PodSecurityContext {
	return &corev1.PodSecurityContext{
		RunAsNonRoot:        ptr.To(true),
		RunAsUser:           ptr.To[int64](nonRoot),
		RunAsGroup:          ptr.To[int64](nonRoot),
		FSGroup:             ptr.To[int64](nonRoot),
		FSGroupChangePolicy: ptr.To(corev1.FSGroupChangeOnRootMismatch),
		SeccompProfile:      &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
	}
}

func containerSecurity() *corev1.SecurityContext {
	return &corev1.SecurityContext{
		AllowPrivilegeEscalation: ptr.To(false),
		ReadOnlyRootFilesystem:   ptr.To(true),
		Capabilities:             &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
	}
}

func dbtContainer(r *Resolved, settings *v1alpha1.PodSettings, opts Options, planEnv corev1.EnvVar) corev1.Container {
	project := r.Project.DeepCopy()
	return corev1.Container{
		Name:            ContainerName,
		Image:           project.Image,
		ImagePullPolicy: project.ImagePullPolicy,
		Command:         []string{plan.RunnerPath, "run"},
		WorkingDir:      plan.Workspace,
		Env:             append(project.Env, planEnv),
		EnvFrom:         envFrom(project.EnvFrom),
		Resources:       settings.Resources,
		SecurityContext: containerSecurity(),
		VolumeMounts:    mounts(r, opts),
		// A runner that is killed writes no report: then the last lines of its log are better than nothing.
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
	}
}

// initContainers are none unless they must be: the runner where no image volume brings it, and a fetch with
// credentials that dbt's container must never see.
func initContainers(r *Resolved, opts Options, planEnv corev1.EnvVar) []corev1.Container {
	fetch := gitSecret(r.Project) != ""
	install := opts.Delivery != DeliverByImageVolume
	if !fetch && !install {
		return nil
	}
	c := corev1.Container{
		Name:            InstallContainerName,
		Image:           opts.OperatorImage,
		ImagePullPolicy: opts.OperatorPullPolicy,
		Command:         []string{"/runner", "install", plan.RunnerPath},
		SecurityContext: containerSecurity(),
		Resources: corev1.ResourceRequirements{
			Requests: corev1.ResourceList{corev1.ResourceCPU: resource.MustParse("10m"), corev1.ResourceMemory: resource.MustParse("32Mi")},
		},
		TerminationMessagePolicy: corev1.TerminationMessageFallbackToLogsOnError,
	}
	if install {
		c.VolumeMounts = append(c.VolumeMounts, corev1.VolumeMount{Name: volumeRunner, MountPath: plan.RunnerDir})
	}
	if fetch {
		c.Name = PrepareContainerName
		c.Command = []string{"/runner", "prepare"}
		if install {
			c.Command = append(c.Command, "--install", plan.RunnerPath)
		}
		c.Env = []corev1.EnvVar{planEnv}
		c.VolumeMounts = append(c.VolumeMounts,
			corev1.VolumeMount{Name: volumeWorkspace, MountPath: plan.Workspace},
			corev1.VolumeMount{Name: volumeTmp, MountPath: "/tmp"},
			corev1.VolumeMount{Name: volumeGit, MountPath: plan.GitCredentialsDir, ReadOnly: true})
		if opts.Collector != nil {
			// Another attempt asks which commit the first one pinned.
			c.VolumeMounts = append(c.VolumeMounts, collectorMount())
		}
	}
	return []corev1.Container{c}
}

func pullSecrets(refs []v1alpha1.LocalObjectReference) []corev1.LocalObjectReference {
	var out []corev1.LocalObjectReference
	for _, ref := range refs {
		out = append(out, corev1.LocalObjectReference{Name: ref.Name})
	}
	return out
}

func gitSecret(project *v1alpha1.DbtProjectSpec) string {
	if project.Source.Git == nil || project.Source.Git.CredentialsSecretRef == nil {
		return ""
	}
	return project.Source.Git.CredentialsSecretRef.Name
}
