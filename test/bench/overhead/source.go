package main

import (
	"context"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/test/fixtures"
)

// source is a way to bring the project: as a DbtProject named key, and as a hand would write it in a Job.
type source struct {
	name, key, image, script string
	volumes                  []corev1.Volume
	mounts                   []corev1.VolumeMount
	project                  v1alpha1.Source
}

const dbtBuild = `dbt build --profiles-dir /profiles --target duckdb`

func configMapSource(image string) source {
	s := source{
		name: "ConfigMap", key: "configmap", image: image,
		script:  `mkdir project && tar -xzf /source/project.tar.gz -C project && cd project && exec ` + dbtBuild,
		project: v1alpha1.Source{ConfigMap: &v1alpha1.ConfigMapSource{Name: "shop-source"}},
	}
	s.volumes = []corev1.Volume{configMapVolume("source", "shop-source")}
	s.mounts = []corev1.VolumeMount{{Name: "source", MountPath: "/source"}}
	return s
}

func bakedSource(image string) source {
	return source{
		name: "baked into the image", key: "baked", image: image,
		script:  `exec ` + dbtBuild + ` --project-dir /dbt`,
		project: v1alpha1.Source{Image: &v1alpha1.ImageSource{Path: "/dbt"}},
	}
}

func configMapVolume(name, configMap string) corev1.Volume {
	return corev1.Volume{Name: name, VolumeSource: corev1.VolumeSource{
		ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: configMap}},
	}}
}

// createSources makes the ConfigMaps and a DbtProject for each source.
func (b *benchmark) createSources(ctx context.Context, sources []source) error {
	files := fixtures.Shop()
	packed, err := files.Pack()
	if err != nil {
		return err
	}
	if err := b.Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: "shop-source"},
		BinaryData: map[string][]byte{fixtures.ArchiveKey: packed},
	}); err != nil {
		return err
	}
	if err := b.Create(ctx, &corev1.ConfigMap{
		ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: "shop-profiles"},
		Data:       map[string]string{"profiles.yml": string(files["profiles/profiles.yml"])},
	}); err != nil {
		return err
	}
	for _, s := range sources {
		if err := b.Create(ctx, &v1alpha1.DbtProject{
			ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: s.key},
			Spec: v1alpha1.DbtProjectSpec{
				Source: s.project, Image: s.image, ImagePullPolicy: corev1.PullIfNotPresent, Target: "duckdb",
				Profiles: &v1alpha1.Profiles{ConfigMapRef: &v1alpha1.KeySelector{Name: "shop-profiles"}},
			},
		}); err != nil {
			return err
		}
	}
	return nil
}

// job returns the Job that a hand would write for the source, as restricted as the operator's.
func (s source) job(namespace, name string) *batchv1.Job {
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: name},
		Spec: batchv1.JobSpec{
			BackoffLimit: ptr.To[int32](0),
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
				RestartPolicy:                corev1.RestartPolicyNever,
				AutomountServiceAccountToken: ptr.To(false),
				SecurityContext: &corev1.PodSecurityContext{
					RunAsNonRoot: ptr.To(true), RunAsUser: ptr.To[int64](65532), FSGroup: ptr.To[int64](65532),
					SeccompProfile: &corev1.SeccompProfile{Type: corev1.SeccompProfileTypeRuntimeDefault},
				},
				Containers: []corev1.Container{{
					Name: "dbt", Image: s.image, ImagePullPolicy: corev1.PullIfNotPresent, WorkingDir: "/workspace",
					Command: []string{"sh", "-c", s.script},
					Env: []corev1.EnvVar{
						{Name: "HOME", Value: "/workspace"}, {Name: "DBT_TARGET_PATH", Value: "/workspace/target"},
						{Name: "DBT_LOG_PATH", Value: "/workspace/logs"}, {Name: "DBT_SEND_ANONYMOUS_USAGE_STATS", Value: "false"},
						{Name: "PYTHONDONTWRITEBYTECODE", Value: "1"},
					},
					VolumeMounts: append([]corev1.VolumeMount{
						{Name: "workspace", MountPath: "/workspace"}, {Name: "tmp", MountPath: "/tmp"}, {Name: "profiles", MountPath: "/profiles"},
					}, s.mounts...),
					SecurityContext: &corev1.SecurityContext{
						AllowPrivilegeEscalation: ptr.To(false), ReadOnlyRootFilesystem: ptr.To(true),
						Capabilities: &corev1.Capabilities{Drop: []corev1.Capability{"ALL"}},
					},
				}},
				Volumes: append([]corev1.Volume{
					{Name: "workspace", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
					{Name: "tmp", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
					configMapVolume("profiles", "shop-profiles"),
				}, s.volumes...),
			}},
		},
	}
}
