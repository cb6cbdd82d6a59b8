package dbtrun

import (
	"context"
	"errors"
	"fmt"
	"testing"
	"time"

	"github.com/prometheus/client_golang/prometheus"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/tools/events"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/controller"
	"github.com/dbt-operator/dbt-operator/internal/metrics"
	"github.com/dbt-operator/dbt-operator/internal/runjob"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

var errDied = errors.New("the process died")

// mortal is a client whose process dies at one of its writes: before the write, or after it and before the reply.
type mortal struct {
	at      int
	applied bool
	writes  int
	jobs    int
}

func (m *mortal) write(do func() error) error {
	m.writes++
	dies := m.writes == m.at
	if dies && !m.applied {
		return errDied
	}
	if err := do(); err != nil {
		return err
	}
	if dies {
		return errDied
	}
	return nil
}

func (m *mortal) funcs() interceptor.Funcs {
	return interceptor.Funcs{
		Create: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.CreateOption) error {
			// What an API server would set.
			o.SetUID(types.UID(fmt.Sprintf("job-%d", m.jobs+1)))
			o.SetCreationTimestamp(metav1.NewTime(start))
			return m.write(func() error {
				err := c.Create(ctx, o, opts...)
				if err == nil {
					m.jobs++
				}
				return err
			})
		},
		Delete: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.DeleteOption) error {
			return m.write(func() error { return c.Delete(ctx, o, opts...) })
		},
		SubResourcePatch: func(ctx context.Context, c client.Client, sub string, o client.Object, p client.Patch, opts ...client.SubResourcePatchOption) error {
			return m.write(func() error { return c.SubResource(sub).Patch(ctx, o, p, opts...) })
		},
	}
}

// live carries the run as far as it goes by itself. A process that dies is followed by a new one, with nothing in
// memory.
func (b *bench) live(m *mortal) {
	b.Helper()
	for range 12 {
		_, err := b.r.Reconcile(b.Context(), ctrl.Request{NamespacedName: client.ObjectKey{Namespace: "ns", Name: "r"}})
		if errors.Is(err, errDied) {
			b.restart(m)
		} else if err != nil {
			b.Fatal(err)
		}
	}
}

func (b *bench) restart(m *mortal) {
	c := interceptor.NewClient(b.client.(client.WithWatch), m.funcs())
	b.r = New(b.clock, c, c, events.NewFakeRecorder(100), metrics.NewRuns(prometheus.NewRegistry(), b.clock.Now), runjob.Options{OperatorImage: "operator"}, nil, controller.Shard{})
}

// Fault 25: the operator dies at each of its writes, before or after it is applied. One Job is made, and the run ends as
// it would have without.
func TestDeathAtEveryWrite(t *testing.T) {
	for name, c := range map[string]struct {
		reason string
		cancel bool
		exit   int32
		want   v1alpha1.Phase
		writes int
	}{
		"succeeds":  {"the usual", false, 0, v1alpha1.PhaseSucceeded, 4},
		"fails":     {"dbt said no", false, 10, v1alpha1.PhaseFailed, 4},
		"cancelled": {"the Job is deleted by the operator, not lost", true, 21, v1alpha1.PhaseCancelled, 6},
	} {
		for at := 0; at <= c.writes; at++ {
			for _, applied := range []bool{false, true} {
				t.Run(fmt.Sprintf("%s/write %d, applied %t", name, at, applied), func(t *testing.T) {
					b := newBench(t, testutil.MakeDbtProject("shop").Namespace("ns").Obj(), makeRun("r").Project("shop").Obj())
					m := &mortal{at: at, applied: applied}
					b.restart(m)
					b.live(m)
					job, pod := b.podOf("r")
					b.live(m)
					if c.cancel {
						run := b.read("r")
						testutil.Cancel(run)
						if err := b.client.Update(t.Context(), run); err != nil {
							t.Fatal(err)
						}
						b.live(m)
						if err := b.client.Get(t.Context(), client.ObjectKeyFromObject(job), job); err == nil {
							t.Error("the Job of a cancelled run was not deleted")
						}
					}
					pod.Status = testutil.MakePod("p").Exits(c.exit, "Error", start.Add(time.Minute)).Status
					if err := b.client.Status().Update(t.Context(), pod); err != nil {
						t.Fatal(err)
					}
					b.live(m)
					if c.cancel {
						// The pod goes after its Job.
						if err := b.client.Delete(t.Context(), pod); err != nil {
							t.Fatal(err)
						}
						b.live(m)
					}
					got := b.read("r")
					if got.Status.Phase != c.want || m.jobs != 1 || got.Status.Job == nil || got.Status.Job.UID != job.UID {
						t.Errorf("%s: phase %s (%s), %d Jobs made, status names %v", c.reason, got.Status.Phase, got.Status.Message, m.jobs, got.Status.Job)
					}
					if at == 0 && m.writes != c.writes {
						t.Errorf("%d writes without a fault, want %d: the test misses some", m.writes, c.writes)
					}
				})
			}
		}
	}
}

func (b *bench) read(name string) *v1alpha1.DbtRun {
	b.Helper()
	run := &v1alpha1.DbtRun{}
	if err := b.client.Get(b.Context(), client.ObjectKey{Namespace: "ns", Name: name}, run); err != nil {
		b.Fatal(err)
	}
	return run
}

// job returns the only Job there is.
func (b *bench) job() *batchv1.Job {
	b.Helper()
	var list batchv1.JobList
	if err := b.client.List(b.Context(), &list); err != nil {
		b.Fatal(err)
	}
	if len(list.Items) != 1 {
		b.Fatalf("%d Jobs", len(list.Items))
	}
	return &list.Items[0]
}

// podOf starts the pod of the run's Job.
func (b *bench) podOf(name string) (*batchv1.Job, *corev1.Pod) {
	b.Helper()
	job := b.job()
	pod := testutil.MakePod(name + "-1").Runs(start).Obj()
	pod.Namespace, pod.Labels, pod.Annotations = job.Namespace, job.Spec.Template.Labels, job.Spec.Template.Annotations
	pod.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(job, batchv1.SchemeGroupVersion.WithKind("Job"))}
	if err := b.client.Create(b.Context(), pod); err != nil {
		b.Fatal(err)
	}
	return job, pod
}

// Faults 26 and 27: the Job is there, whether the cache shows it or not, now or ever. It is adopted by its controller's
// UID; one of somebody else is not.
func TestJobThatIsThere(t *testing.T) {
	for name, c := range map[string]struct {
		reason string
		owner  string
		phase  v1alpha1.Phase
	}{
		"its own":      {"an owned AlreadyExists is success", "uid-r", v1alpha1.PhasePending},
		"somebody's":   {"refused", "uid-of-another", v1alpha1.PhaseFailed},
		"an old run's": {"the same name, another UID", "uid-r-before", v1alpha1.PhaseFailed},
	} {
		for _, shown := range []bool{true, false} {
			t.Run(fmt.Sprintf("%s, shown %t", name, shown), func(t *testing.T) {
				run := makeRun("r").Project("shop").Obj()
				owner := run.DeepCopy()
				owner.UID = types.UID(c.owner)
				job := testutil.MakeJob(runjob.Name(run), "job-there").Created(start).Obj()
				job.Namespace = "ns"
				job.OwnerReferences = []metav1.OwnerReference{*metav1.NewControllerRef(owner, v1alpha1.GroupVersion.WithKind("DbtRun"))}
				b := newBench(t, testutil.MakeDbtProject("shop").Namespace("ns").Obj(), run, job)
				stale := interceptor.NewClient(b.client.(client.WithWatch), interceptor.Funcs{
					Get: func(ctx context.Context, w client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
						if _, isJob := o.(*batchv1.Job); isJob && !shown {
							return apierrors.NewNotFound(batchv1.Resource("jobs"), key.Name)
						}
						return w.Get(ctx, key, o, opts...)
					},
				})
				b.r = New(b.clock, stale, b.client, events.NewFakeRecorder(100), metrics.NewRuns(prometheus.NewRegistry(), b.clock.Now), runjob.Options{OperatorImage: "operator"}, nil, controller.Shard{})
				for range 3 {
					b.pass("r")
				}
				got := b.read("r")
				if got.Status.Phase != c.phase || b.jobs() != 1 {
					t.Errorf("%s: phase %s (%s), %d Jobs", c.reason, got.Status.Phase, got.Status.Message, b.jobs())
				}
				if named := got.Status.Job != nil && got.Status.Job.UID == "job-there"; named != (c.phase == v1alpha1.PhasePending) {
					t.Errorf("%s: status names Job %v", c.reason, got.Status.Job)
				}
			})
		}
	}
}
