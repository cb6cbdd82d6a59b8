package main

import (
	"context"
	"encoding/json"
	"fmt"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apiextensionsv1 "k8s.io/apiextensions-apiserver/pkg/apis/apiextensions/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/runjob"
	"github.com/dbt-operator/dbt-operator/test/bench/kit"
	"github.com/dbt-operator/dbt-operator/test/fixtures"
)

type benchmark struct {
	*kit.Place
	image string
	// kept is the folder of the node in which the Job by hand finds its project and target.
	kept string
}

// command runs one model, so that what is timed is what comes before it.
const command = "dbt run --select m000"

// setUp makes the project.
func (b benchmark) setUp(ctx context.Context, models int) error {
	files := fixtures.Files{"dbt_project.yml": []byte("name: many\nversion: '1.0.0'\nconfig-version: 2\nprofile: shop\n")}
	for i := range models {
		files[fmt.Sprintf("models/m%03d.sql", i)] = []byte("{{ config(materialized='view', tags=['bench']) }}\nselect 1 as one\n")
	}
	packed, err := files.Pack()
	if err != nil {
		return err
	}
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: b.Namespace, Name: name} }
	for _, o := range []client.Object{
		&corev1.ConfigMap{ObjectMeta: meta("source"), BinaryData: map[string][]byte{fixtures.ArchiveKey: packed}},
		&corev1.ConfigMap{ObjectMeta: meta("profiles"), Data: map[string]string{"profiles.yml": string(fixtures.Shop()["profiles/profiles.yml"])}},
		&v1alpha1.DbtProject{
			ObjectMeta: meta("many"),
			Spec: v1alpha1.DbtProjectSpec{
				Source: v1alpha1.Source{ConfigMap: &v1alpha1.ConfigMapSource{Name: "source"}},
				Image:  b.image, ImagePullPolicy: corev1.PullIfNotPresent, Target: "duckdb",
				Profiles: &v1alpha1.Profiles{ConfigMapRef: &v1alpha1.KeySelector{Name: "profiles"}},
			},
		},
	} {
		if err := b.Create(ctx, o); err != nil {
			return err
		}
	}
	return nil
}

// run returns a run; one with a variable of its own has to parse everything.
func (b benchmark) run(name, own string) *v1alpha1.DbtRun {
	r := &v1alpha1.DbtRun{
		ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: name},
		Spec:       v1alpha1.DbtRunSpec{ProjectRef: &v1alpha1.ProjectReference{Name: "many"}, Commands: []string{command}},
	}
	if own != "" {
		value, err := json.Marshal(own)
		if err != nil {
			panic(err) // a string
		}
		r.Spec.Vars = map[string]apiextensionsv1.JSON{"own": {Raw: value}}
	}
	return r
}

// job returns the Job that a hand would write, with a folder of the node in which project and target stay.
func (b benchmark) job(name string) *batchv1.Job {
	const script = `cd /kept && if [ ! -d project ]; then mkdir project && tar -xzf /source/project.tar.gz -C project; fi && cd project && exec ` +
		command + ` --profiles-dir /profiles --target duckdb`
	configMap := func(name string) corev1.VolumeSource {
		return corev1.VolumeSource{ConfigMap: &corev1.ConfigMapVolumeSource{LocalObjectReference: corev1.LocalObjectReference{Name: name}}}
	}
	return &batchv1.Job{
		ObjectMeta: metav1.ObjectMeta{Namespace: b.Namespace, Name: name},
		Spec: batchv1.JobSpec{
			BackoffLimit: ptr.To[int32](0),
			Template: corev1.PodTemplateSpec{Spec: corev1.PodSpec{
				RestartPolicy: corev1.RestartPolicyNever, AutomountServiceAccountToken: ptr.To(false),
				SecurityContext: &corev1.PodSecurityContext{RunAsNonRoot: ptr.To(true), RunAsUser: ptr.To[int64](65532)},
				Containers: []corev1.Container{{
					Name: runjob.ContainerName, Image: b.image, ImagePullPolicy: corev1.PullIfNotPresent, Command: []string{"sh", "-c", script},
					Env: []corev1.EnvVar{
						{Name: "HOME", Value: "/workspace"}, {Name: "DBT_TARGET_PATH", Value: "/kept/target"}, {Name: "DBT_LOG_PATH", Value: "/workspace/logs"},
						{Name: "DBT_SEND_ANONYMOUS_USAGE_STATS", Value: "false"}, {Name: "PYTHONDONTWRITEBYTECODE", Value: "1"},
					},
					VolumeMounts: []corev1.VolumeMount{
						{Name: "workspace", MountPath: "/workspace"}, {Name: "source", MountPath: "/source"},
						{Name: "profiles", MountPath: "/profiles"}, {Name: "kept", MountPath: "/kept"},
					},
				}},
				Volumes: []corev1.Volume{
					{Name: "workspace", VolumeSource: corev1.VolumeSource{EmptyDir: &corev1.EmptyDirVolumeSource{}}},
					{Name: "source", VolumeSource: configMap("source")}, {Name: "profiles", VolumeSource: configMap("profiles")},
					{Name: "kept", VolumeSource: corev1.VolumeSource{HostPath: &corev1.HostPathVolumeSource{Path: b.kept, Type: ptr.To(corev1.HostPathDirectory)}}},
				},
			}},
		},
	}
}
