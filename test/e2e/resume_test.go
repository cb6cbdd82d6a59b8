package e2e

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"os/exec"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/jackc/pgx/v5"
	corev1 "k8s.io/api/core/v1"
	discoveryv1 "k8s.io/api/discovery/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/testutil/podkill"
	"github.com/dbt-operator/dbt-operator/test/fixtures"
)

// chain is a project of eight models m1 to m8, each read by the next. Each notes when it was made; naps are seconds that
// a model sleeps in the database, by name.
func chain(naps map[string]int) fixtures.Files {
	files := fixtures.Files{
		"dbt_project.yml":       []byte("name: chain\nversion: '1.0.0'\nconfig-version: 2\nprofile: shop\nmodels:\n  chain:\n    +materialized: table\n"),
		"profiles/profiles.yml": fixtures.Shop()["profiles/profiles.yml"],
	}
	for i := 1; i <= 8; i++ {
		name, before := fmt.Sprint("m", i), ""
		if i > 1 {
			before = fmt.Sprintf("-- {{ ref('m%d') }}\n", i-1)
		}
		files["models/"+name+".sql"] = fmt.Appendf(nil, "%sselect clock_timestamp() as made from (select pg_sleep(%d)) as nap\n", before, naps[name])
	}
	return files
}

// made returns when each model of the chain was made, by name.
func (d *database) made() map[string]time.Time {
	d.w.Helper()
	out := map[string]time.Time{}
	for i := 1; i <= 8; i++ {
		var at time.Time
		table := pgx.Identifier{d.w.schema(), fmt.Sprint("m", i)}.Sanitize()
		if err := d.conn.QueryRow(d.w.Context(), "select made from "+table).Scan(&at); err == nil {
			out[fmt.Sprint("m", i)] = at
		}
	}
	return out
}

// killed ends everything in a pod as the kernel would: at once, with no word to anybody. It skips the test where the
// pod's processes cannot be seen from here.
func (w *world) killed(pod *corev1.Pod) {
	w.Helper()
	switch err := podkill.Kill(string(pod.UID)); {
	case errors.Is(err, podkill.ErrNotSeen):
		w.Skip(err)
	case err != nil:
		w.Fatal(err)
	}
}

// fiveOfEight runs the chain and returns when five of its models are made and the sixth is at work.
func (w *world) fiveOfEight(e engine, db *database) map[string]time.Time {
	w.Helper()
	w.project(e, chain(map[string]int{"m6": 6}))
	w.run("chain", commands("dbt build"))
	w.eventually("five models of eight, and the sixth at work", patience, func() (bool, string) {
		return db.sleeping() == 1, fmt.Sprint(w.get("chain").Status.Progress)
	})
	w.eventually("their being recorded", patience, func() (bool, string) {
		p := w.get("chain").Status.Progress
		return p != nil && p.Done == 5, fmt.Sprint(p)
	})
	return db.made()
}

// resumed checks that the run ended well, made each model once, and ran exactly the three that were left again.
func (w *world) resumed(db *database, before map[string]time.Time) {
	w.Helper()
	r := w.over("chain")
	w.ended(r, v1alpha1.PhaseSucceeded, v1alpha1.ReasonSucceeded, "8 nodes ended well")
	after := db.made()
	var again []string
	for name, at := range after {
		if !at.Equal(before[name]) {
			again = append(again, name)
		}
	}
	slices.Sort(again)
	if got := strings.Join(again, " "); got != "m6 m7 m8" || len(before) != 5 || len(after) != 8 {
		w.Errorf("made again: %s; want m6 m7 m8 (%d models before, %d after)", got, len(before), len(after))
	}
	if r.Status.Results == nil || r.Status.Results.Success != 8 || r.Status.Nodes != "8/8" {
		w.Errorf("results: got %+v, nodes %s; want 8 of 8", r.Status.Results, r.Status.Nodes)
	}
	if len(r.Status.Attempts) != 2 || len(r.Status.Commands) != 1 || !strings.Contains(r.Status.Commands[0].Note, "3 of 8") {
		w.Errorf("attempts %+v, commands %+v; want two attempts, and a note of the 3 of 8 nodes that were left", r.Status.Attempts, r.Status.Commands)
	}
}

// A run whose pod is killed after five of eight nodes goes on with the other three.
func TestKilledPodIsResumed(t *testing.T) {
	for _, e := range []engine{postgres111, postgres112, postgres20} {
		t.Run(e.name, func(t *testing.T) {
			w := newWorld(t)
			db := w.database()
			before := w.fiveOfEight(e, db)
			pod := w.pods()[0]
			w.killed(&pod)
			w.resumed(db, before)
		})
	}
}

// The same with the operator killed at the same moment.
func TestKilledPodAndManager(t *testing.T) {
	w := newSerialWorld(t)
	db := w.database()
	before := w.fiveOfEight(postgres20, db)
	pod := w.pods()[0]
	w.killed(&pod)
	if err := cluster.DeleteAllOf(w.Context(), &corev1.Pod{}, client.InNamespace(system),
		client.MatchingLabels{"app.kubernetes.io/name": "dbt-operator"}, client.GracePeriodSeconds(0)); err != nil {
		t.Fatal(err)
	}
	w.resumed(db, before)
}

// The same with the kubelet killed at the same moment, which comes back later.
func TestKilledPodAndKubelet(t *testing.T) {
	w := newSerialWorld(t)
	db := w.database()
	before := w.fiveOfEight(postgres20, db)
	pod := w.pods()[0]
	w.killed(&pod)
	w.restart("kubelet")
	w.resumed(db, before)
}

// restart kills a part of the local cluster and starts it again; it skips the test where the cluster is another.
func (w *world) restart(part string) {
	w.Helper()
	if os.Getenv("CLUSTER_POSTGRES") == "" {
		w.Skip("this cluster is not that of hack/cluster")
	}
	if out, err := exec.CommandContext(w.Context(), "../../hack/cluster/cluster", "restart", part).CombinedOutput(); err != nil {
		w.Fatalf("restarting %s: %v\n%s", part, err, out)
	}
}

// Nodes that fail are run again in the same pod, by dbt retry, and the run ends well when they do.
func TestRetryOfNodes(t *testing.T) {
	for _, e := range []engine{postgres111, postgres20} {
		t.Run(e.name, func(t *testing.T) {
			w := newWorld(t)
			db := w.database()
			files := chain(map[string]int{"m6": 3})
			// It fails until the table that it reads is there, which is made while m6 sleeps for the first time.
			files["models/m7.sql"] = fmt.Appendf(nil, "-- {{ ref('m6') }}\nselect made from %s.late\n", w.schema())
			w.project(e, files)
			w.run("chain", commands("dbt build"), func(r *v1alpha1.DbtRun) {
				r.Spec.Retry = &v1alpha1.Retry{Nodes: &v1alpha1.NodeRetry{Limit: ptr.To[int32](3), DelaySeconds: ptr.To[int32](15)}}
			})
			// Progress is told every 5 seconds at most, and a retry is told of before its delay.
			w.eventually("the first retry", patience, func() (bool, string) {
				r := w.get("chain")
				return len(r.Status.Commands) == 1 && strings.Contains(r.Status.Commands[0].Note, "retry 1 of 3"), fmt.Sprint(r.Status.Commands)
			})
			before := db.made()
			if _, err := db.conn.Exec(w.Context(), "create table "+w.schema()+".late as select clock_timestamp() as made"); err != nil {
				t.Fatal(err)
			}
			r := w.over("chain")
			w.ended(r, v1alpha1.PhaseSucceeded, v1alpha1.ReasonSucceeded, "8 nodes ended well")
			for _, name := range []string{"m1", "m5", "m6"} {
				if after := db.made(); !after[name].Equal(before[name]) {
					t.Errorf("%s was made again", name)
				}
			}
			if len(r.Status.Attempts) != 1 {
				t.Errorf("attempts: %+v, want one", r.Status.Attempts)
			}
		})
	}
}

// A run goes on from the failures of another.
func TestResumeFrom(t *testing.T) {
	w := newWorld(t)
	db := w.database()
	files := chain(nil)
	files["models/m7.sql"] = fmt.Appendf(nil, "-- {{ ref('m6') }}\nselect made from %s.late\n", w.schema())
	w.project(postgres112, files)
	w.run("first", commands("dbt build"))
	w.ended(w.over("first"), v1alpha1.PhaseFailed, v1alpha1.ReasonNodesFailed, "model.chain.m7")
	before := db.made()
	if _, err := db.conn.Exec(w.Context(), "create table "+w.schema()+".late as select clock_timestamp() as made"); err != nil {
		t.Fatal(err)
	}
	w.run("second", commands("dbt build"), func(r *v1alpha1.DbtRun) { r.Spec.ResumeFrom = &v1alpha1.RunReference{Name: "first"} })
	r := w.over("second")
	w.ended(r, v1alpha1.PhaseSucceeded, v1alpha1.ReasonSucceeded, "2 nodes ended well")
	after := db.made()
	for i := 1; i <= 6; i++ {
		if name := fmt.Sprint("m", i); !after[name].Equal(before[name]) {
			t.Errorf("%s was made again", name)
		}
	}
	if len(after) != 8 {
		t.Errorf("%d models, want 8", len(after))
	}
}

// With the collector away a run still runs and ends right, and says that nothing of it is kept.
func TestCollectorAway(t *testing.T) {
	w := newSerialWorld(t)
	w.collectorIs(w.Context(), "no-such-component")
	// The test's own context is done when it cleans up.
	t.Cleanup(func() { w.collectorIs(context.Background(), "manager") })
	w.project(duckdb111, fixtures.Shop())
	w.run("build")
	r := w.over("build")
	w.ended(r, v1alpha1.PhaseSucceeded, v1alpha1.ReasonSucceeded, "26 nodes ended well")
	w.eventually("what is said of its results", patience, func() (bool, string) {
		r = w.get("build")
		return reasonOf(r, v1alpha1.ConditionResultsAvailable) == v1alpha1.ReasonCollectorUnreachable, fmt.Sprint(r.Status.Conditions)
	})
	if r.Status.Lineage == nil || r.Status.Lineage.Nodes != 16 {
		t.Errorf("lineage: %+v, want 16 nodes from the pod's last report", r.Status.Lineage)
	}
}

// A collector that comes back while a run is at work is told all that happened meanwhile.
func TestCollectorReturns(t *testing.T) {
	w := newSerialWorld(t)
	db := w.database()
	w.collectorIs(w.Context(), "no-such-component")
	t.Cleanup(func() { w.collectorIs(context.Background(), "manager") })
	w.project(postgres112, chain(map[string]int{"m6": 15}))
	w.run("chain")
	w.eventually("the slow query", patience, func() (bool, string) { return db.sleeping() == 1, "no query" })
	if r := w.get("chain"); r.Status.Progress != nil {
		t.Errorf("progress %+v: who can have told it?", r.Status.Progress)
	}
	w.collectorIs(w.Context(), "manager")
	w.eventually("what happened meanwhile", patience, func() (bool, string) {
		r := w.get("chain")
		return r.Status.Progress != nil && r.Status.Progress.Done >= 5, fmt.Sprint(r.Status.Progress)
	})
	w.ended(w.over("chain"), v1alpha1.PhaseSucceeded, v1alpha1.ReasonSucceeded, "8 nodes ended well")
	w.stored("chain")
	log := w.served(t, w.token("reader", true), "chain/log")
	for i := 1; i <= 8; i++ {
		if want := fmt.Sprintf("%d of 8 OK created sql table model %s.m%d", i, w.schema(), i); !strings.Contains(log, want) {
			t.Errorf("the log lacks %q:\n%s", want, log)
		}
	}
}

// collectorIs points the collector's Service at pods of a component, and returns when the network does so too.
func (w *world) collectorIs(ctx context.Context, component string) {
	w.Helper()
	patch := fmt.Sprintf(`{"spec":{"selector":{"app.kubernetes.io/component":%q}}}`, component)
	s := &corev1.Service{}
	s.Namespace, s.Name = system, "collector"
	if err := cluster.Patch(ctx, s, client.RawPatch(types.MergePatchType, []byte(patch))); err != nil {
		w.Fatal(err)
	}
	pods := &corev1.PodList{}
	if err := cluster.List(ctx, pods, client.InNamespace(system), client.MatchingLabels{"app.kubernetes.io/component": component}); err != nil {
		w.Fatal(err)
	}
	want := len(pods.Items) > 0
	w.eventually("the collector's endpoints", patience, func() (bool, string) {
		slices := &discoveryv1.EndpointSliceList{}
		if err := cluster.List(ctx, slices, client.InNamespace(system), client.MatchingLabels{discoveryv1.LabelServiceName: s.Name}); err != nil {
			return false, err.Error()
		}
		n := 0
		for _, slice := range slices.Items {
			n += len(slice.Endpoints)
		}
		return n > 0 == want, fmt.Sprint(n, " endpoints")
	})
	if want {
		return // a runner asks until it is answered
	}
	// Endpoints are known a moment before the node's rules are. A test that is on no node finds the address closed at once.
	address := net.JoinHostPort(s.Spec.ClusterIP, fmt.Sprint(s.Spec.Ports[0].Port))
	w.eventually("the collector's address being closed", patience, func() (bool, string) {
		conn, err := net.DialTimeout("tcp", address, time.Second)
		if err != nil {
			return true, ""
		}
		_ = conn.Close()
		return false, address + " is open"
	})
}

func reasonOf(r *v1alpha1.DbtRun, kind string) string {
	for _, c := range r.Status.Conditions {
		if c.Type == kind {
			return c.Reason
		}
	}
	return ""
}
