package e2e

import (
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/test/fixtures"
)

// A cancelled run leaves no query in the database and ends as Cancelled, with what it did until then.
func TestCancelLeavesNoQuery(t *testing.T) {
	for _, e := range []engine{postgres111, postgres20} {
		t.Run(e.name, func(t *testing.T) {
			w := newWorld(t)
			db := w.database()
			w.project(e, variant(t, "slow-model"))
			w.run("slow")
			w.eventually("the slow query", patience, func() (bool, string) { return db.sleeping() == 1, "no query" })
			r := w.get("slow")
			before := r.DeepCopy()
			r.Spec.Cancel = ptr.To(true)
			if err := cluster.Patch(w.Context(), r, client.MergeFrom(before)); err != nil {
				t.Fatal(err)
			}
			w.eventually("no query in pg_stat_activity", 5*time.Second, func() (bool, string) { return db.sleeping() == 0, "the query still runs" })
			r = w.over("slow")
			w.ended(r, v1alpha1.PhaseCancelled, v1alpha1.ReasonCancelled)
			if r.Status.Results == nil || r.Status.Results.Success == 0 {
				t.Errorf("results: got %+v, want what was done before the cancel", r.Status.Results)
			}
			w.eventually("no pod left running", time.Minute, func() (bool, string) {
				for _, p := range w.pods() {
					if p.Status.Phase == corev1.PodRunning {
						return false, p.Name
					}
				}
				return true, ""
			})
		})
	}
}

// A run that takes too long is stopped as gently as one that is cancelled.
func TestTimeoutLeavesNoQuery(t *testing.T) {
	w := newWorld(t)
	db := w.database()
	w.project(postgres20, variant(t, "slow-model"))
	w.run("slow", func(r *v1alpha1.DbtRun) { r.Spec.TimeoutSeconds = ptr.To[int64](15) })
	r := w.over("slow")
	w.ended(r, v1alpha1.PhaseFailed, v1alpha1.ReasonTimedOut, "timeoutSeconds of 15")
	if n := db.sleeping(); n != 0 {
		t.Errorf("%d queries still run in the database", n)
	}
}

// database looks at PostgreSQL from outside the cluster.
type database struct {
	w    *world
	conn *pgx.Conn
}

func (w *world) database() *database {
	w.Helper()
	conn, err := pgx.Connect(w.Context(), "postgres://dbt:dbt@"+postgres(w.T)+"/warehouse")
	if err != nil {
		w.Fatalf("connecting to PostgreSQL: %v", err)
	}
	w.Cleanup(func() { _ = conn.Close(w.Context()) })
	return &database{w, conn}
}

// sleeping returns the number of queries that sleep in the world's schema.
func (d *database) sleeping() (n int) {
	d.w.Helper()
	err := d.conn.QueryRow(d.w.Context(), `select count(*) from pg_stat_activity where state = 'active'
		and pid <> pg_backend_pid() and query like '%pg_sleep%' and query like $1`, "%"+d.w.schema()+"%").Scan(&n)
	if err != nil {
		d.w.Fatalf("reading pg_stat_activity: %v", err)
	}
	return n
}

// A pod that is deleted by hand is replaced, and the run ends right.
func TestDeletedPodIsReplaced(t *testing.T) {
	w := newWorld(t)
	db := w.database()
	w.project(postgres111, variant(t, "slow-model"))
	w.run("slow", func(r *v1alpha1.DbtRun) {
		r.Spec.Commands = []string{`dbt build --vars '{slow_seconds: 6}'`}
	})
	w.eventually("the slow query", patience, func() (bool, string) { return db.sleeping() == 1, "no query" })
	first := w.pods()[0]
	if err := cluster.Delete(w.Context(), &first); err != nil {
		t.Fatal(err)
	}
	r := w.over("slow")
	w.ended(r, v1alpha1.PhaseSucceeded, v1alpha1.ReasonSucceeded)
	if len(r.Status.Attempts) != 2 || r.Status.Attempts[0].Pod == r.Status.Attempts[1].Pod {
		t.Errorf("attempts: got %+v, want the deleted pod and its replacement", r.Status.Attempts)
	}
}

// Two runs of one group never have pods at work together.
func TestGroupNeverOverlaps(t *testing.T) {
	w := newWorld(t)
	w.project(duckdb111, fixtures.Shop())
	names := []string{"a", "b", "c"}
	for _, n := range names {
		w.run(n, commands("dbt seed"))
	}
	over := map[string]bool{}
	queued := false
	w.eventually("the end of all three", patience, func() (bool, string) {
		var active []string
		for _, p := range w.pods() {
			if p.Status.Phase == corev1.PodPending || p.Status.Phase == corev1.PodRunning {
				active = append(active, p.Name)
			}
		}
		if len(active) > 1 {
			t.Fatalf("pods of one group at work together: %s", strings.Join(active, ", "))
		}
		for _, n := range names {
			r := w.get(n)
			over[n] = r.Status.CompletionTime != nil
			queued = queued || r.Status.Phase == v1alpha1.PhaseQueued
		}
		return over["a"] && over["b"] && over["c"], strings.Join(active, ", ")
	})
	if !queued {
		t.Error("no run was ever Queued: the test proved nothing")
	}
	for _, n := range names {
		w.ended(w.get(n), v1alpha1.PhaseSucceeded, v1alpha1.ReasonSucceeded)
	}
}
