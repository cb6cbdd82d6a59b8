package e2e

import (
	"context"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"net/http"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/apimachinery/pkg/util/version"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/test/fixtures"
	"github.com/dbt-operator/dbt-operator/test/oidc/oidctest"
)

// jane is who the cluster is told, and her group.
const (
	janesName  = "oidc:jane@example.com"
	janesGroup = "oidc:shop-team"
)

// napping is the shop with two models that take longer than progress is apart in the status: each is seen at work.
func napping() fixtures.Files {
	files := fixtures.Shop()
	for name, after := range map[string]string{"nap_one": "orders", "nap_two": "nap_one"} {
		files["models/"+name+".sql"] = fmt.Appendf(nil, "{{ config(materialized='table') }}\n-- {{ ref('%s') }}\nselect sleep_ms(7000) as rested\n", after)
	}
	return files
}

// A person logs in at a real provider and starts a run through the gate, which has nothing but its own token: real dbt
// runs, the person follows it to its end and reads what came of it, and all that tells of the run names the person.
func TestGateRunsForThePerson(t *testing.T) {
	w := newWorld(t)
	dex, gate := w.gate()
	w.project(duckdb111, napping())
	w.teams()
	reader := w.token("reader", true)
	janes := dex.Login(t, oidctest.Jane, oidctest.Audience)
	name := w.asked(gate, janes)
	w.follows(gate, janes, name)

	r := w.stored(name)
	w.ended(r, v1alpha1.PhaseSucceeded, v1alpha1.ReasonSucceeded, "28 nodes ended well")
	want := &v1alpha1.Requester{Username: janesName, UID: subject(t, janes), Groups: []string{janesGroup, "system:authenticated"}}
	if who := r.Spec.RequestedBy; who == nil || who.Username != want.Username || who.UID != want.UID || !slices.Equal(who.Groups, want.Groups) {
		t.Errorf("spec.requestedBy: got %+v, want %+v", who, want)
	}
	w.startNames(name, janesName)
	var manifest struct {
		Metadata struct {
			Env map[string]string `json:"env"`
		} `json:"metadata"`
	}
	if err := json.Unmarshal([]byte(w.served(t, reader, name+"/artifacts/manifest.json")), &manifest); err != nil {
		t.Errorf("manifest.json: %v", err)
	}
	if env := manifest.Metadata.Env; env["RUN_REQUESTED_BY"] != janesName || env["RUN_NAME"] != name {
		t.Errorf("metadata.env of manifest.json: got %q, want run %s, requested by %s", env, name, janesName)
	}
	w.reads(gate, dex.Login(t, oidctest.Jane, oidctest.Audience), name)

	joes := dex.Login(t, oidctest.Joe, oidctest.Audience)
	got := gate.Do(t, http.MethodPost, "/runs", joes, `{"project": "shop"}`)
	refusal := `User "oidc:joe@example.com" cannot run DbtProject "shop" in namespace "` + w.namespace + `": that needs the verb "use" on dbtprojects.dbtoperator.dev "shop"`
	if got.Code != http.StatusForbidden || !strings.Contains(got.Text("detail"), refusal) {
		t.Errorf("joe of another group got %d %s, want 403 with %s", got.Code, got.Body, refusal)
	}
	if runs := w.runs(); len(runs) != 1 {
		t.Errorf("runs: got %q, want jane's alone", runs)
	}
	if said := gate.Process.Output(); strings.Contains(said, "eyJ") || !strings.Contains(said, "POST /runs") {
		t.Errorf("the gate's log has a token in it, or nothing: %s", said)
	}
}

// gate starts the provider and the gate on this host, the latter with the rights of its manifests and nothing else.
func (w *world) gate() (*oidctest.Provider, *oidctest.Gate) {
	w.Helper()
	if unmet := oidctest.Unmet(); unmet != "" {
		w.Skip(unmet)
	}
	at, err := cluster.logs.Discovery().ServerVersion()
	if err != nil {
		w.Fatal(err)
	}
	if !version.MustParseGeneric(at.GitVersion).AtLeast(version.MustParseGeneric("1.36")) {
		w.Skipf("NOT TESTED: Kubernetes %s neither stamps requesters nor has constrained impersonation; that begins with 1.36", at.GitVersion)
	}
	dir := w.TempDir()
	dex, err := oidctest.StartProvider(w.Context(), dir)
	if dex != nil && dex.Process != nil {
		w.Cleanup(dex.Process.Stop)
	}
	if err != nil {
		w.Fatal(err)
	}
	token, err := oidctest.GateToken(w.Context(), cluster, w.gateManifests())
	if err != nil {
		w.Fatalf("asking for a token of the gate's ServiceAccount: %v", err)
	}
	config := rest.CopyConfig(cluster.config)
	if err := rest.LoadTLSFiles(config); err != nil {
		w.Fatal(err)
	}
	gate, unmet, err := oidctest.StartGate(w.Context(), dir, oidctest.GateConfig{
		Provider: dex, Namespace: w.namespace, APIServer: strings.TrimSuffix(config.Host, "/"), CA: config.CAData, Token: token,
	})
	if gate != nil {
		w.Cleanup(func() {
			gate.Process.Stop()
			if said := gate.Process.Output(); w.Failed() {
				w.Logf("the gate said:\n%s", said[max(0, len(said)-4096):])
			}
		})
	}
	if err != nil {
		w.Fatal(err)
	}
	if unmet != "" {
		w.Skip(unmet)
	}
	return dex, gate
}

// gateManifests creates what the gate's kustomization lists, for runs in the world's namespace, and returns the gate's
// own. Names that hold for the whole cluster are the world's as well.
func (w *world) gateManifests() string {
	w.Helper()
	folder, own := filepath.Join("..", "..", "examples", "fastapi-gate", "deploy"), w.namespace+"-gate"
	var kustomization struct {
		Resources []string `json:"resources"`
	}
	w.readYAML(filepath.Join(folder, "kustomization.yaml"), func(s string) error { return yaml.Unmarshal([]byte(s), &kustomization) })
	if len(kustomization.Resources) == 0 {
		w.Fatal("the gate's kustomization lists nothing")
	}
	names := strings.NewReplacer("dbt-gate", own, "team-a", w.namespace)
	for _, file := range kustomization.Resources {
		if file == "deployment.yaml" {
			continue // This test runs in its place.
		}
		w.readYAML(filepath.Join(folder, file), func(s string) error {
			for doc := range strings.SplitSeq(names.Replace(s), "\n---\n") {
				o := &unstructured.Unstructured{}
				if err := yaml.Unmarshal([]byte(doc), o); err != nil {
					return err
				}
				w.create(o)
				// The test's own context is done when it cleans up.
				w.Cleanup(func() { _ = cluster.Delete(context.Background(), o) })
			}
			return nil
		})
	}
	return own
}

func (w *world) readYAML(file string, read func(string) error) {
	w.Helper()
	content, err := os.ReadFile(file)
	if err == nil {
		err = read(string(content))
	}
	if err != nil {
		w.Fatalf("reading %s: %v", file, err)
	}
}

// teams lets both teams create runs, and one of them run the project.
func (w *world) teams() {
	w.Helper()
	group := func(name string) rbacv1.Subject {
		return rbacv1.Subject{APIGroup: rbacv1.GroupName, Kind: rbacv1.GroupKind, Name: name}
	}
	meta := func(name string) metav1.ObjectMeta { return metav1.ObjectMeta{Namespace: w.namespace, Name: name} }
	w.create(&rbacv1.Role{ObjectMeta: meta("use-shop"), Rules: []rbacv1.PolicyRule{{
		APIGroups: []string{v1alpha1.GroupVersion.Group}, Resources: []string{"dbtprojects"}, ResourceNames: []string{"shop"}, Verbs: []string{"use"},
	}}})
	w.create(&rbacv1.RoleBinding{
		ObjectMeta: meta("teams-run"), RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "ClusterRole", Name: "dbt-runner"},
		Subjects: []rbacv1.Subject{group(janesGroup), group("oidc:finance-team")},
	})
	w.create(&rbacv1.RoleBinding{
		ObjectMeta: meta("shop-team-uses-shop"), RoleRef: rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: "use-shop"},
		Subjects: []rbacv1.Subject{group(janesGroup)},
	})
}

// asked asks the gate for a run of the project, and returns its name.
func (w *world) asked(gate *oidctest.Gate, token string) string {
	w.Helper()
	var got oidctest.Answer
	// The API server takes rights up a moment after they were granted.
	w.eventually("the gate starts a run", patience, func() (bool, string) {
		got = gate.Do(w, http.MethodPost, "/runs", token, `{"project": "shop"}`)
		return got.Code != http.StatusForbidden, string(got.Body)
	})
	if got.Code != http.StatusCreated {
		w.Fatalf("creating a run: got %d %s", got.Code, got.Body)
	}
	return got.Text("name")
}

// told is what an event says of the run.
type told struct {
	Phase    v1alpha1.Phase    `json:"phase"`
	Progress v1alpha1.Progress `json:"progress"`
}

// follows reads the run's events until the last. They end with the token at the latest.
func (w *world) follows(gate *oidctest.Gate, token, name string) {
	w.Helper()
	response := gate.Request(w, http.MethodGet, "/runs/"+name+"/events", token, "")
	defer func() { _ = response.Body.Close() }()
	if kind := response.Header.Get("Content-Type"); response.StatusCode != http.StatusOK || !strings.HasPrefix(kind, "text/event-stream") {
		w.Fatalf("the events: got %s %s", response.Status, kind)
	}
	var seen []told
	var last oidctest.Event
	oidctest.Events(w, response.Body, func(e oidctest.Event) {
		last = e
		if e.Name != "run" {
			return
		}
		var run told
		if err := json.Unmarshal([]byte(e.Data), &run); err != nil {
			w.Errorf("event %s: %v", e.Data, err)
		}
		seen = append(seen, run)
	})
	w.rises(seen)
	if last.Name != "end" || !strings.Contains(last.Data, string(v1alpha1.PhaseSucceeded)) {
		w.Errorf("the last event is %s %s, want end of a run that succeeded", last.Name, last.Data)
	}
}

// rises fails unless progress rose from event to event, with each nap seen while it lasted, up to the end.
func (w *world) rises(seen []told) {
	w.Helper()
	if len(seen) == 0 {
		w.Fatal("no event tells of the run")
	}
	during := func(nap string) int32 {
		i := slices.IndexFunc(seen, func(e told) bool {
			return e.Phase == v1alpha1.PhaseRunning && slices.Contains(e.Progress.Running, nap)
		})
		if i < 0 {
			w.Errorf("no event has %s at work: %+v", nap, seen)
			return 0
		}
		return seen[i].Progress.Done
	}
	end := seen[len(seen)-1]
	one, two := during("model.shop.nap_one"), during("model.shop.nap_two")
	if one <= 0 || two <= one || end.Progress.Done <= two || end.Progress.Done != end.Progress.Total {
		w.Errorf("done: %d, then %d, then %d of %d; want it to rise from more than 0 to all", one, two, end.Progress.Done, end.Progress.Total)
	}
	if end.Phase != v1alpha1.PhaseSucceeded || !slices.IsSortedFunc(seen, func(a, b told) int { return int(a.Progress.Done - b.Progress.Done) }) {
		w.Errorf("the events do not rise to the success of the run: %+v", seen)
	}
}

// startNames fails unless the event of the run's start says who asked for it.
func (w *world) startNames(run, who string) {
	w.Helper()
	said := ""
	w.eventually("the event Starting of DbtRun "+run, patience, func() (bool, string) {
		events := &corev1.EventList{}
		if err := cluster.List(w.Context(), events, client.InNamespace(w.namespace)); err != nil {
			return false, err.Error()
		}
		for _, e := range events.Items {
			if e.InvolvedObject.Kind == "DbtRun" && e.InvolvedObject.Name == run && e.Reason == v1alpha1.ReasonStarting {
				said = e.Message
			}
		}
		return said != "", fmt.Sprintf("%d other events", len(events.Items))
	})
	if !strings.HasPrefix(said, "Requested by "+who+".") {
		w.Errorf("the event Starting says %q, want it to name %s", said, who)
	}
}

// reads reads through the gate what came of the run.
func (w *world) reads(gate *oidctest.Gate, token, name string) {
	w.Helper()
	for path, words := range map[string][]string{
		"/runs/" + name: {
			`"phase":"Succeeded"`, `"username":"` + janesName + `"`, `"success":27`, `"lineage.json"`,
		},
		"/runs/" + name + "/lineage?whole=true": {"model.shop.orders", "model.shop.nap_two"},
		"/runs/" + name + "/log":                {"Running with dbt=" + duckdb111.version, "nap_two"},
	} {
		got := gate.Do(w, http.MethodGet, path, token, "")
		if got.Code != http.StatusOK {
			w.Errorf("%s: got %d %.1000s", path, got.Code, got.Body)
		}
		for _, word := range words {
			if !strings.Contains(string(got.Body), word) {
				w.Errorf("%s: got %.2000s, want it to say %s", path, got.Body, word)
			}
		}
	}
}

// runs returns the names of the namespace's runs.
func (w *world) runs() (names []string) {
	w.Helper()
	runs := &v1alpha1.DbtRunList{}
	if err := cluster.List(w.Context(), runs, client.InNamespace(w.namespace)); err != nil {
		w.Fatal(err)
	}
	for _, r := range runs.Items {
		names = append(names, r.Name)
	}
	return names
}

// subject returns who a token says it is for.
func subject(t *testing.T, token string) string {
	t.Helper()
	_, rest, _ := strings.Cut(token, ".")
	payload, _, _ := strings.Cut(rest, ".")
	content, err := base64.RawURLEncoding.DecodeString(payload)
	var claims struct {
		Sub string `json:"sub"`
	}
	if err == nil {
		err = json.Unmarshal(content, &claims)
	}
	if err != nil || claims.Sub == "" {
		t.Fatalf("the token has no subject: %v", err)
	}
	return claims.Sub
}
