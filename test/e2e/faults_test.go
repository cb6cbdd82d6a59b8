package e2e

import (
	"strings"
	"testing"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/api/resource"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/test/fixtures"
)

// A run that cannot start says why, while it waits and when it gives up.
func TestWhatKeepsARunFromStarting(t *testing.T) {
	cases := map[string]struct {
		change func(*v1alpha1.DbtProject)
		quota  bool
		reason string
		part   string
	}{
		"an image that is not there": {
			change: func(p *v1alpha1.DbtProject) { p.Spec.Image = "localhost/no-such-image:1" },
			reason: v1alpha1.ReasonImagePullFailed, part: "localhost/no-such-image:1",
		},
		"a Secret that is not there": {
			change: func(p *v1alpha1.DbtProject) { p.Spec.Env[1].ValueFrom.SecretKeyRef.Name = "no-such-secret" },
			reason: v1alpha1.ReasonStartTimeout, part: `secret "no-such-secret" not found`,
		},
		"no node that fits": {
			change: func(p *v1alpha1.DbtProject) {
				p.Spec.Pod = &v1alpha1.PodSettings{NodeSelector: map[string]string{"disk": "no-such-disk"}}
			},
			reason: v1alpha1.ReasonStartTimeout, part: "didn't match Pod's node affinity/selector",
		},
		"a quota": {
			change: func(*v1alpha1.DbtProject) {}, quota: true,
			reason: v1alpha1.ReasonStartTimeout, part: "exceeded quota: no-pods",
		},
	}
	for name, tc := range cases {
		t.Run(name, func(t *testing.T) {
			w := newWorld(t)
			if tc.quota {
				w.create(&corev1.ResourceQuota{
					ObjectMeta: metav1.ObjectMeta{Name: "no-pods", Namespace: w.namespace},
					Spec:       corev1.ResourceQuotaSpec{Hard: corev1.ResourceList{corev1.ResourcePods: resource.MustParse("0")}},
				})
				w.eventually("the quota's being counted", patience, func() (bool, string) {
					q := &corev1.ResourceQuota{}
					err := cluster.Get(w.Context(), client.ObjectKey{Namespace: w.namespace, Name: "no-pods"}, q)
					return err == nil && len(q.Status.Hard) > 0, "not yet"
				})
			}
			w.project(duckdb111, fixtures.Shop(), tc.change)
			w.run("stuck", func(r *v1alpha1.DbtRun) { r.Spec.StartTimeoutSeconds = ptr.To[int64](30) })
			w.eventually("a message that says what it waits for", patience, func() (bool, string) {
				r := w.get("stuck")
				return strings.Contains(r.Status.Message, tc.part), r.Status.Message
			})
			r := w.over("stuck")
			w.ended(r, v1alpha1.PhaseFailed, tc.reason, tc.part)
		})
	}
}

// A Job that somebody deletes is not made again: the run ends and says so.
func TestDeletedJob(t *testing.T) {
	w := newWorld(t)
	db := w.database()
	w.project(postgres20, variant(t, "slow-model"))
	w.run("slow")
	w.eventually("the slow query", patience, func() (bool, string) { return db.sleeping() == 1, "no query" })
	job := &batchv1.Job{ObjectMeta: metav1.ObjectMeta{Name: w.get("slow").Status.Job.Name, Namespace: w.namespace}}
	if err := cluster.Delete(w.Context(), job, client.PropagationPolicy(metav1.DeletePropagationBackground)); err != nil {
		t.Fatal(err)
	}
	w.ended(w.over("slow"), v1alpha1.PhaseFailed, v1alpha1.ReasonJobMissing, job.Name)
}

// A pod without enough memory says so, also when the kernel kills dbt alone.
func TestOutOfMemory(t *testing.T) {
	w := newWorld(t)
	w.project(duckdb111, fixtures.Shop(), func(p *v1alpha1.DbtProject) {
		p.Spec.Pod = &v1alpha1.PodSettings{Resources: corev1.ResourceRequirements{
			Limits: corev1.ResourceList{corev1.ResourceMemory: resource.MustParse("90Mi")},
		}}
	})
	w.run("build", func(r *v1alpha1.DbtRun) { r.Spec.Retry = &v1alpha1.Retry{Pods: ptr.To[int32](0)} })
	w.ended(w.over("build"), v1alpha1.PhaseFailed, v1alpha1.ReasonOutOfMemory, "spec.pod.resources.limits.memory")
}

// A command that tries to cheat is refused with the words that name what is wrong, and never becomes a Job.
func TestCheatIsRefused(t *testing.T) {
	w := newWorld(t)
	w.project(duckdb111, fixtures.Shop())
	w.run("cheat", commands("dbt build --profiles-dir /tmp"))
	w.run("shell", commands("dbt build --select a; rm -rf /"))
	w.run("honest", commands("dbt parse"))
	w.ended(w.over("cheat"), v1alpha1.PhaseFailed, v1alpha1.ReasonInvalidSpec, "spec.commands[0]", "--profiles-dir", "spec.profiles")
	w.ended(w.over("shell"), v1alpha1.PhaseFailed, v1alpha1.ReasonInvalidSpec, "spec.commands[0]")
	w.ended(w.over("honest"), v1alpha1.PhaseSucceeded, v1alpha1.ReasonSucceeded)
	if n := len(w.pods()); n != 1 {
		t.Errorf("%d pods, want that of the honest run alone", n)
	}
}
