package dbtrun

import (
	"context"
	"slices"
	"strings"
	"testing"
	"time"

	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// keeps gives the Reconciler a collector, and the cache of a manager that has one: it holds no Job and no pod that succeeded.
func (b *bench) keeps(results Results) {
	b.r.results = results
	b.r.client = interceptor.NewClient(b.client.(client.WithWatch), interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			// What an API server would set.
			o.SetCreationTimestamp(metav1.NewTime(start))
			return c.Create(ctx, o, opts...)
		},
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			err := c.Get(ctx, key, o, opts...)
			if job, ok := o.(*batchv1.Job); ok && err == nil && job.Status.Succeeded == 1 {
				return apierrors.NewNotFound(batchv1.Resource("jobs"), key.Name)
			}
			return err
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			err := c.List(ctx, list, opts...)
			if pods, ok := list.(*corev1.PodList); ok {
				pods.Items = slices.DeleteFunc(pods.Items, func(p corev1.Pod) bool { return p.Status.Phase == corev1.PodSucceeded })
			}
			return err
		},
	})
}

// reads counts what is asked of the API server itself.
func (b *bench) reads() *[]string {
	out := &[]string{}
	b.r.direct = interceptor.NewClient(b.client.(client.WithWatch), interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			name := key.Name
			if _, job := o.(*batchv1.Job); job {
				name = "JOB"
			}
			*out = append(*out, "get "+name)
			return c.Get(ctx, key, o, opts...)
		},
		List: func(ctx context.Context, c client.WithWatch, list client.ObjectList, opts ...client.ListOption) error {
			*out = append(*out, "list")
			return c.List(ctx, list, opts...)
		},
	})
	return out
}

// succeeds has the run's pod end well, with the report in its termination message.
func (b *bench) succeeds(pod *corev1.Pod) {
	b.Helper()
	report := journal.Encode(journal.Report{RunUID: "uid-r", Outcome: journal.Succeeded, Selected: 3, Finished: 3, Results: journal.Results{Success: 3}}, journal.MaxSummary)
	pod.Status = testutil.MakePod("p").Exits(0, "Completed", start).Says(string(report)).Status
	if err := b.client.Status().Update(b.Context(), pod); err != nil {
		b.Fatal(err)
	}
}

// completes has the run's Job be complete.
func (b *bench) completes() {
	b.Helper()
	job := b.job()
	job.Status.Succeeded = 1
	job.Status.Conditions = testutil.MakeJob("j", "j").Has(batchv1.JobComplete, "", "").Status.Conditions
	if err := b.client.Status().Update(b.Context(), job); err != nil {
		b.Fatal(err)
	}
}

// A pod that succeeded is not in the cache of a manager with a collector. It is read from the API server where the collector
// did not hear all of it, and there alone.
func TestPodsThatSucceeded(t *testing.T) {
	const whole = "Succeeded: 3 nodes ended well."
	for name, c := range map[string]struct {
		reason  string
		happens func(b *bench, c *collector, pod *corev1.Pod)
		phase   v1alpha1.Phase
		message string
		reads   []string
	}{
		"the collector heard it": {"nothing is left to ask", func(b *bench, c *collector, pod *corev1.Pod) {
			c.kept = reported(pod, 3, journal.Succeeded)
			b.pass("r")
			b.succeeds(pod)
		}, v1alpha1.PhaseSucceeded, whole, nil},
		"it heard it, and the pod ended before anybody looked": {"its runner gave its name", func(b *bench, c *collector, pod *corev1.Pod) {
			c.kept = reported(pod, 3, journal.Succeeded)
			b.succeeds(pod)
		}, v1alpha1.PhaseSucceeded, whole, []string{"get r-1"}},
		"it heard nothing": {"the pod's last words count", func(b *bench, _ *collector, pod *corev1.Pod) {
			b.succeeds(pod)
		}, v1alpha1.PhaseSucceeded, whole, []string{"get r-1"}},
		"the pod is gone": {"what nobody heard is lost with it", func(b *bench, _ *collector, pod *corev1.Pod) {
			b.must(b.client.Delete(b.Context(), pod))
		}, v1alpha1.PhasePending, "about to start", []string{"get r-1"}},
		"the pod is gone and the Job complete": {"that it ended well is still known", func(b *bench, _ *collector, pod *corev1.Pod) {
			b.must(b.client.Delete(b.Context(), pod))
			b.completes()
		}, v1alpha1.PhaseSucceeded, "lost with its pod", []string{"get JOB", "get r-1"}},
	} {
		t.Run(name, func(t *testing.T) {
			b, results, pod := atWork(t)
			reads := b.reads()
			c.happens(b, results, pod)
			got, _ := b.pass("r")
			if got.Status.Phase != c.phase || !strings.Contains(got.Status.Message, c.message) {
				t.Errorf("%s: status is %s %q, want %s %q", c.reason, got.Status.Phase, got.Status.Message, c.phase, c.message)
			}
			if !slices.Equal(*reads, c.reads) {
				t.Errorf("%s: the API server was asked %q, want %q", c.reason, *reads, c.reads)
			}
		})
	}
}

// A pod that came and went while nobody looked, and that did not reach the collector, is looked for when its Job is complete.
func TestPodThatNobodyHeardOf(t *testing.T) {
	b := with(t, testutil.MakeDbtProject("shop").Namespace("ns").Obj(), makeRun("r").Project("shop").Obj())
	b.pass("r")
	_, pod := b.podOf("r")
	b.succeeds(pod)
	reads := b.reads()
	if got, _ := b.pass("r"); got.Status.Phase != v1alpha1.PhasePending || len(*reads) != 0 {
		t.Errorf("before its Job is complete it is %s, and the API server was asked %q", got.Status.Phase, *reads)
	}
	b.completes()
	got, _ := b.pass("r")
	if got.Status.Phase != v1alpha1.PhaseSucceeded || got.Status.Nodes != "3/3" || !slices.Equal(*reads, []string{"get JOB", "list"}) {
		t.Errorf("it is %s, %s nodes, and the API server was asked %q", got.Status.Phase, got.Status.Nodes, *reads)
	}
	if b.pass("r"); len(*reads) != 2 {
		t.Errorf("once it is recorded the API server was asked %q", *reads)
	}
}

// Which image ran is part of the record, also where the runner is quicker than kubelet.
func TestImageOfAPodThatSucceeded(t *testing.T) {
	b := newBench(t, testutil.MakeDbtProject("shop").Namespace("ns").Obj(), makeRun("r").Project("shop").Obj())
	c := &collector{}
	b.keeps(c)
	b.pass("r")
	_, pod := b.podOf("r")
	pod.Status = corev1.PodStatus{Phase: corev1.PodPending}
	b.must(b.client.Status().Update(t.Context(), pod))
	c.kept = reported(pod, 3, journal.Succeeded)
	reads := b.reads()
	if got, _ := b.pass("r"); got.Status.Phase != v1alpha1.PhaseSucceeded || got.Status.Revision.Image != "" || len(*reads) != 0 {
		t.Fatalf("it is %s, revision %+v, and the API server was asked %q", got.Status.Phase, got.Status.Revision, *reads)
	}
	b.succeeds(pod)
	if got, _ := b.pass("r"); got.Status.Revision.Image != "dbt@sha256:1" || !slices.Equal(*reads, []string{"get r-1"}) {
		t.Errorf("revision is %+v, and the API server was asked %q", got.Status.Revision, *reads)
	}
	if b.pass("r"); len(*reads) != 1 {
		t.Errorf("once it is recorded the API server was asked %q", *reads)
	}
}

// A newer pod that is at work says nothing of one before it, which was deleted.
func TestPodBeforeThatIsGone(t *testing.T) {
	b, _, pod := atWork(t)
	b.must(b.client.Delete(t.Context(), pod))
	pod.Name, pod.ResourceVersion, pod.UID = "r-2", "", "r-2"
	b.must(b.client.Create(t.Context(), pod))
	reads := b.reads()
	got, _ := b.pass("r")
	if a := got.Status.Attempts; len(a) != 2 || a[0].Reason != "Deleted" || a[1].Pod != "r-2" || !slices.Equal(*reads, []string{"get r-1"}) {
		t.Errorf("attempts are %+v, and the API server was asked %q", a, *reads)
	}
	if b.pass("r"); len(*reads) != 1 {
		t.Errorf("once it is recorded the API server was asked %q", *reads)
	}
}

// The next run of a group does not wait for a Job that succeeded, which no cache shows any more: it is asked for once, and not
// even that where the run before was seen at work.
func TestGroupAfterAJobThatSucceeded(t *testing.T) {
	for name, seen := range map[string]bool{"nobody looked": false, "it was seen at work": true} {
		t.Run(name, func(t *testing.T) {
			b := with(t, testutil.MakeDbtProject("shop").Namespace("ns").Obj(), makeRun("r").Project("shop").Obj(), makeRun("z").Project("shop").Created(start.Add(time.Second)).Obj())
			b.pass("r")
			if seen {
				b.pass("r")
			}
			b.completes()
			reads := b.reads()
			if got, _ := b.pass("z"); got.Status.Job == nil || (len(*reads) == 0) != seen {
				t.Errorf("the next run is %s %q, and the API server was asked %q", got.Status.Phase, got.Status.Message, *reads)
			}
		})
	}
}

func (b *bench) must(err error) {
	b.Helper()
	if err != nil {
		b.Fatal(err)
	}
}
