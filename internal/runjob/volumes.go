package runjob

import (
	"path"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	"k8s.io/utils/ptr"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/plan"
)

// Names of the pod's volumes. A user's volume is prefixed, so it never meets one of these.
const (
	volumeRunner    = "runner"
	volumeWorkspace = "workspace"
	volumeTmp       = "tmp"
	volumeSource    = "source"
	volumeProfiles  = "profiles"
	volumeTokens    = "tokens"
	volumeGit       = "git-credentials"
	volumeCollector = "collector"
	userPrefix      = "volume-"
)

// Sizes of scratch space.
var (
	defaultWorkspace = resource.MustParse("4Gi")
	tmpSize          = resource.MustParse("1Gi")
	runnerSize       = resource.MustParse("64Mi")
)

// fileMode lets the pod's group read, and nobody else.
const fileMode int32 = 0o440

func volumes(r *Resolved, settings *v1alpha1.PodSettings, opts Options) []corev1.Volume {
	workspace := ptr.Deref(settings.WorkspaceSizeLimit, defaultWorkspace)
	out := []corev1.Volume{
		runnerVolume(opts),
		emptyDir(volumeWorkspace, workspace),
		emptyDir(volumeTmp, tmpSize),
	}
	if cm := r.Project.Source.ConfigMap; cm != nil {
		src := &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: cm.Name}}
		for _, item := range cm.Items {
			src.Items = append(src.Items, corev1.KeyToPath{Key: item.Key, Path: item.Path})
		}
		out = append(out, corev1.Volume{Name: volumeSource, VolumeSource: corev1.VolumeSource{ConfigMap: src}})
	}
	if r.Project.Profiles != nil {
		out = append(out, profilesVolume(r.Project.Profiles))
	}
	if len(r.Project.Tokens) > 0 {
		out = append(out, tokensVolume(r.Project.Tokens))
	}
	if name := gitSecret(r.Project); name != "" {
		out = append(out, corev1.Volume{Name: volumeGit, VolumeSource: secretSource(name)})
	}
	if opts.Collector != nil {
		out = append(out, collectorVolume())
	}
	for _, v := range r.Project.Volumes {
		out = append(out, corev1.Volume{Name: userPrefix + v.Name, VolumeSource: userSource(v)})
	}
	return out
}

func mounts(r *Resolved, opts Options) []corev1.VolumeMount {
	out := []corev1.VolumeMount{
		{Name: volumeRunner, MountPath: plan.RunnerDir, ReadOnly: true},
		{Name: volumeWorkspace, MountPath: plan.Workspace},
		{Name: volumeTmp, MountPath: "/tmp"},
	}
	if r.Project.Source.ConfigMap != nil {
		out = append(out, corev1.VolumeMount{Name: volumeSource, MountPath: plan.ConfigMapDir, ReadOnly: true})
	}
	if r.Project.Profiles != nil {
		out = append(out, corev1.VolumeMount{Name: volumeProfiles, MountPath: plan.ProfilesDir, ReadOnly: true})
	}
	if len(r.Project.Tokens) > 0 {
		out = append(out, corev1.VolumeMount{Name: volumeTokens, MountPath: plan.TokensDir, ReadOnly: true})
	}
	if opts.Collector != nil {
		out = append(out, collectorMount())
	}
	for _, v := range r.Project.Volumes {
		readOnly := ptr.Deref(v.ReadOnly, false) || v.ConfigMap != nil || v.Secret != nil || v.Image != nil
		out = append(out, corev1.VolumeMount{Name: userPrefix + v.Name, MountPath: v.MountPath, ReadOnly: readOnly})
	}
	return out
}

func runnerVolume(opts Options) corev1.Volume {
	if opts.Delivery == DeliverByImageVolume {
		return corev1.Volume{Name: volumeRunner, VolumeSource: corev1.VolumeSource{
			Image: &corev1.ImageVolumeSource{Reference: opts.OperatorImage, PullPolicy: opts.OperatorPullPolicy},
		}}
	}
	return emptyDir(volumeRunner, runnerSize)
}

func emptyDir(name string, size resource.Quantity) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
		EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: &size},
	}}
}

func profilesVolume(p *v1alpha1.Profiles) corev1.Volume {
	v := corev1.Volume{Name: volumeProfiles}
	if p.SecretRef != nil {
		v.VolumeSource = secretSource(p.SecretRef.Name)
		v.Secret.Items = profilesItem(p.SecretRef.Key)
		return v
	}
	v.ConfigMap = &corev1.ConfigMapVolumeSource{
		LocalObjectReference: corev1.LocalObjectReference{Name: p.ConfigMapRef.Name},
		Items:                profilesItem(p.ConfigMapRef.Key),
	}
	return v
}

func profilesItem(key string) []corev1.KeyToPath {
	const file = "profiles.yml"
	if key == "" {
		key = file
	}
	return []corev1.KeyToPath{{Key: key, Path: file}}
}

func tokensVolume(tokens []v1alpha1.Token) corev1.Volume {
	src := &corev1.ProjectedVolumeSource{DefaultMode: ptr.To(fileMode)}
	for _, t := range tokens {
		src.Sources = append(src.Sources, corev1.VolumeProjection{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
			Audience:          t.Audience,
			ExpirationSeconds: ptr.To(ptr.Deref(t.ExpirationSeconds, 3600)),
			Path:              t.Name,
		}})
	}
	return corev1.Volume{Name: volumeTokens, VolumeSource: corev1.VolumeSource{Projected: src}}
}

// handedOn returns the tokens that the runner gives dbt otherwise than by their files. It names them; their values are
// known in the pod alone.
func handedOn(tokens []v1alpha1.Token) []plan.Token {
	var out []plan.Token
	for _, t := range tokens {
		switch t.Delivery {
		case v1alpha1.TokenEnv:
			out = append(out, plan.Token{Name: t.Name, Env: t.Env})
		case v1alpha1.TokenPGPassFile:
			out = append(out, plan.Token{Name: t.Name, PGPass: &plan.PGPass{Host: t.Host}})
		}
	}
	return out
}

// collectorVolume holds the pod's token for the collector: of an audience of its own, so that it is good for nothing else.
func collectorVolume() corev1.Volume {
	return corev1.Volume{Name: volumeCollector, VolumeSource: corev1.VolumeSource{Projected: &corev1.ProjectedVolumeSource{
		DefaultMode: ptr.To(fileMode),
		Sources: []corev1.VolumeProjection{{ServiceAccountToken: &corev1.ServiceAccountTokenProjection{
			Audience: journal.Audience, ExpirationSeconds: ptr.To[int64](3600), Path: path.Base(plan.CollectorToken),
		}}},
	}}}
}

func collectorMount() corev1.VolumeMount {
	return corev1.VolumeMount{Name: volumeCollector, MountPath: path.Dir(plan.CollectorToken), ReadOnly: true}
}

func secretSource(name string) corev1.VolumeSource {
	return corev1.VolumeSource{Secret: &corev1.SecretVolumeSource{SecretName: name, DefaultMode: ptr.To(fileMode)}}
}

func userSource(v v1alpha1.Volume) corev1.VolumeSource {
	switch {
	case v.ConfigMap != nil:
		return corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{
			LocalObjectReference: corev1.LocalObjectReference{Name: v.ConfigMap.Name},
		}}
	case v.Secret != nil:
		return secretSource(v.Secret.Name)
	case v.PersistentVolumeClaim != nil:
		return corev1.VolumeSource{PersistentVolumeClaim: &corev1.PersistentVolumeClaimVolumeSource{
			ClaimName: v.PersistentVolumeClaim.Name, ReadOnly: ptr.Deref(v.ReadOnly, false),
		}}
	case v.Image != nil:
		return corev1.VolumeSource{Image: &corev1.ImageVolumeSource{Reference: v.Image.Reference}}
	case v.EmptyDir != nil:
		return corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{SizeLimit: &v.EmptyDir.SizeLimit}}
	default:
		return corev1.VolumeSource{}
	}
}
