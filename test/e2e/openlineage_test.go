package e2e

import (
	"encoding/json"
	"fmt"
	"io"
	"net"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"k8s.io/utils/ptr"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/testutil/olschema"
)

// receiver is an OpenLineage endpoint.
type receiver struct {
	mu     sync.Mutex
	bodies [][]byte
}

func (r *receiver) ServeHTTP(w http.ResponseWriter, req *http.Request) {
	body, err := io.ReadAll(req.Body)
	if err != nil || req.Method != http.MethodPost {
		w.WriteHeader(http.StatusBadRequest)
		return
	}
	r.mu.Lock()
	defer r.mu.Unlock()
	r.bodies = append(r.bodies, body)
	w.WriteHeader(http.StatusCreated)
}

// got returns the events of the jobs below a name, as "TYPE job".
func (r *receiver) got(job string) (events []string, bodies [][]byte) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, b := range r.bodies {
		var e struct {
			Type string `json:"eventType"`
			Job  struct {
				Namespace string `json:"namespace"`
				Name      string `json:"name"`
			} `json:"job"`
		}
		if json.Unmarshal(b, &e) == nil && strings.Contains(e.Job.Namespace+"/"+e.Job.Name, job) {
			events, bodies = append(events, e.Type+" "+e.Job.Name), append(bodies, b)
		}
	}
	return events, bodies
}

// Events of runs that succeed, fail and are killed reach an endpoint, and each is what OpenLineage asks for.
func TestOpenLineage(t *testing.T) {
	w := newSerialWorld(t)
	db := w.database()
	var listen net.ListenConfig
	listener, err := listen.Listen(t.Context(), "tcp", net.JoinHostPort(here(t), "0"))
	if err != nil {
		t.Skipf("no endpoint can be offered to the cluster from here: %v", err)
	}
	r := &receiver{}
	server := &http.Server{Handler: r, ReadHeaderTimeout: 10 * time.Second}
	go func() { _ = server.Serve(listener) }()
	t.Cleanup(func() { _ = server.Close() })
	w.argument("--openlineage-url=http://" + listener.Addr().String())

	files := chain(map[string]int{"m6": 40})
	files["models/m8.sql"] = []byte("-- {{ ref('m7') }}\nselect * from no_such_table\n")
	w.project(postgres112, files)
	w.run("good", commands("dbt build --select m1 m2"))
	w.ended(w.over("good"), v1alpha1.PhaseSucceeded, v1alpha1.ReasonSucceeded)
	w.run("bad", commands("dbt build --select m8"))
	w.ended(w.over("bad"), v1alpha1.PhaseFailed, v1alpha1.ReasonNodesFailed)
	w.run("killed", commands("dbt build"), func(r *v1alpha1.DbtRun) { r.Spec.Retry = &v1alpha1.Retry{Pods: ptr.To[int32](0)} })
	w.eventually("the slow query", patience, func() (bool, string) { return db.sleeping() == 1, "no query" })
	// What a pod has not told yet when it is killed, nobody knows.
	w.eventually("its being recorded", patience, func() (bool, string) {
		p := w.get("killed").Status.Progress
		return p != nil && slices.Contains(p.Running, "model.chain.m6"), fmt.Sprint(p)
	})
	for _, p := range w.pods() {
		if p.Annotations[v1alpha1.AnnotationRun] == "killed" {
			w.killed(&p)
		}
	}
	w.ended(w.over("killed"), v1alpha1.PhaseFailed, v1alpha1.ReasonPodLost)

	for run, want := range map[string][]string{
		"good":   {"START", "COMPLETE", "model.chain.m1", "model.chain.m2"},
		"bad":    {"START", "FAIL", "model.chain.m8"},
		"killed": {"START", "FAIL", "model.chain.m6"},
	} {
		name := w.get(run).Name
		w.eventually("the events of run "+run, patience, func() (bool, string) {
			events, _ := r.got(w.namespace)
			all := strings.Join(events, "\n")
			for _, part := range want {
				if !strings.Contains(all, part) {
					return false, fmt.Sprintf("%s of %s: %s", part, name, all)
				}
			}
			return true, ""
		})
	}
	events, bodies := r.got(w.namespace)
	if len(bodies) == 0 {
		t.Fatal("no event")
	}
	checker := olschema.New(t)
	for i, b := range bodies {
		if err := checker.Check(b); err != nil {
			t.Errorf("%s: %v\n%s", events[i], err, b)
		}
	}
}
