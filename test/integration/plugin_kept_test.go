package integration

import (
	"context"
	"io"
	"net/http"
	"regexp"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"
	rbacv1 "k8s.io/api/rbac/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

const pluginLineage = `{"lineage":1,"dbt":{"version":"1.12.6"},"nodes":[
{"id":"source.shop.raw.orders","type":"source","relation":{"name":"raw.orders"}},
{"id":"model.shop.orders","type":"model","dependsOn":["source.shop.raw.orders"],"relation":{"name":"mart.orders"},"sql":{"code":"select no_such_column\nfrom raw.orders","compiled":true}},
{"id":"test.shop.unique","type":"test","dependsOn":["model.shop.orders"]}
]}`

// entries are the journal of a run of nodes with these statuses; one that failed has a message.
func entries(status map[string]string) []journal.Entry {
	out := []journal.Entry{{Kind: journal.KindBegin, Pod: "p"}, {Kind: journal.KindCommand, Line: "dbt build"}}
	for _, id := range []string{"model.shop.orders", "model.shop.customers"} {
		n := &journal.Node{ID: id, ResourceType: "model", Status: status[id], Seconds: 1}
		if n.Status == "error" {
			n.Message, n.Path = "no_such_column is not there", "models/orders.sql"
		}
		if n.Status != "" {
			out = append(out, journal.Entry{Kind: journal.KindResult, Node: n})
		}
	}
	return append(out, journal.Entry{Kind: journal.KindEnd, Report: journal.Encode(journal.Report{Outcome: journal.NodesFailed}, 1000)})
}

// library is a team with two runs that have ended, of which all is kept, and somebody who may read it, by a token.
type library struct {
	*shelf
	jane *person
}

func newLibrary(t *testing.T) *library {
	x := newTeam(t)
	l := &library{shelf: newShelf(x)}
	bad, good := x.run("bad").Obj(), x.run("good").Obj()
	for _, run := range []*v1alpha1.DbtRun{bad, good} {
		x.ok("run", x.admin.Create(t.Context(), run))
	}
	l.keep(bad, "bad-1", "1 of 2 ERROR orders\n", entries(map[string]string{"model.shop.orders": "error"}), map[string]string{"lineage.json": pluginLineage})
	l.keep(good, "good-1", "1 of 2 OK orders\n", entries(map[string]string{"model.shop.orders": "success", "model.shop.customers": "success"}),
		map[string]string{"index.html": "<html>docs</html>", "manifest.json": "{}", "catalog.json": "{}"})
	x.status(bad, v1alpha1.PhaseFailed, v1alpha1.ReasonNodesFailed, func(s *v1alpha1.DbtRunStatus) {
		// Of two that failed, one is in the status.
		s.FailedNodes = ptr.To[int32](2)
		s.Failures = []v1alpha1.Failure{{UniqueID: "model.shop.other", Status: "error"}}
		s.Log = &v1alpha1.Log{Tail: "the last line"}
		s.Lineage = &v1alpha1.Lineage{Graph: []v1alpha1.LineageNode{{ID: "model.shop.orders"}}}
	})
	x.status(good, v1alpha1.PhaseSucceeded, v1alpha1.ReasonSucceeded)
	l.jane = x.account("jane")
	x.bind(l.jane.name, "ClusterRole", "dbt-viewer")
	l.proxies(l.jane.name)
	x.may(l.jane.name, true, right{"get", "dbtoperator.dev", "dbtruns", ""})
	testutil.Eventually(t, "the proxy knows the way to the collector", patience, func() (bool, string) {
		got := x.dbt(l.jane, l.of("logs", "good")...)
		return got.code == 0 && got.out == "1 of 2 OK orders\n", got.out + got.err
	})
	return l
}

// of adds where the collector is.
func (l *library) of(args ...string) []string {
	return append(placed(args, "--operator-namespace", l.namespace), args[1:]...)
}

// proxies lets somebody come to the collector.
func (l *library) proxies(user string) {
	l.Helper()
	role := &rbacv1.Role{
		ObjectMeta: metav1.ObjectMeta{Namespace: l.namespace, GenerateName: "r-"},
		Rules:      []rbacv1.PolicyRule{{APIGroups: []string{""}, Resources: []string{"services/proxy"}, ResourceNames: []string{"https:collector:9443"}, Verbs: []string{"get"}}},
	}
	l.ok("role", l.admin.Create(l.Context(), role))
	l.ok("binding", l.admin.Create(l.Context(), &rbacv1.RoleBinding{
		ObjectMeta: metav1.ObjectMeta{Namespace: l.namespace, GenerateName: "r-"},
		RoleRef:    rbacv1.RoleRef{APIGroup: rbacv1.GroupName, Kind: "Role", Name: role.Name},
		Subjects:   []rbacv1.Subject{{APIGroup: rbacv1.GroupName, Kind: rbacv1.UserKind, Name: user}},
	}))
}

// What is kept is read by its own way, with the reader's own token, when no pod is there any more.
func TestPluginReadsWhatIsKept(t *testing.T) {
	l := newLibrary(t)
	for name, c := range map[string]struct {
		reason    string
		args      []string
		out, errs string
	}{
		"log":              {"no pod is there", []string{"logs", "bad"}, "1 of 2 ERROR orders\n", ""},
		"log, followed":    {"the run is over", []string{"logs", "-f", "bad"}, "1 of 2 ERROR orders\n", ""},
		"log of one":       {"by its pod", []string{"logs", "bad", "--attempt", "bad-1"}, "1 of 2 ERROR orders\n", ""},
		"failures":         {"more than the status has, with the SQL", []string{"failures", "bad"}, "error model.shop.orders\n  models/orders.sql\n  no_such_column is not there\n  SQL (compiled):\n    select no_such_column\n    from raw.orders\n", ""},
		"failures as JSON": {"for a program", []string{"failures", "bad", "-o", "json"}, `"sql": "select no_such_column\nfrom raw.orders"`, ""},
		"whole lineage":    {"a tree", []string{"lineage", "bad", "--whole"}, "source.shop.raw.orders  raw.orders\n└── model.shop.orders  mart.orders\n", ""},
		"with tests":       {"an arrow of Graphviz", []string{"lineage", "bad", "--tests", "-o", "dot"}, `"model.shop.orders" -> "test.shop.unique";`, ""},
		"lineage":          {"the status has all that there is", []string{"lineage", "bad"}, "model.shop.orders\n", ""},
		"diff":             {"node by node", []string{"diff", "bad", "good"}, "model.shop.orders      mended   error 1.00s   success 1.00s\n", ""},
		"diff, new nodes":  {"what only one has", []string{"diff", "bad", "good"}, "model.shop.customers   added    -             success 1.00s\n", ""},
	} {
		t.Run(name, func(t *testing.T) {
			got := l.dbt(l.jane, l.of(c.args...)...)
			if got.code != 0 || !strings.Contains(got.out, c.out) || got.err != c.errs {
				t.Errorf("%s: exit code %d\n%s\nwant\n%s\nstderr: %s", c.reason, got.code, got.out, c.out, got.err)
			}
		})
	}
}

// Who cannot read what is kept is told why, and is shown what there is without it.
func TestPluginSaysWhyNothingKeptCanBeRead(t *testing.T) {
	l := newLibrary(t)
	const joes = "plugin-joe"
	joe := l.person(joes) // by certificate
	l.bind(joes, "ClusterRole", "dbt-viewer")
	l.proxies(joes)
	ann := l.account("ann") // may not come to the collector
	l.bind(ann.name, "ClusterRole", "dbt-viewer")
	for _, name := range []string{joes, ann.name} {
		l.may(name, true, right{"get", "dbtoperator.dev", "dbtruns", ""})
	}
	l.says("log by certificate", l.dbt(joe, l.of("logs", "bad")...), 0, "the last line\n",
		"these are the last lines alone", "your kubeconfig has none", "--collector-account")
	l.says("failures by certificate", l.dbt(joe, l.of("failures", "bad")...), 0, "error model.shop.other\n", "shown are 1 of 2", "your kubeconfig has none")
	l.says("diff by certificate", l.dbt(joe, l.of("diff", "bad", "good")...), 0, "Nodes are not compared: ")
	l.says("whole lineage by certificate", l.dbt(joe, l.of("lineage", "bad", "--whole")...), 1, "", "error: the collector asks for a token")
	l.says("without services/proxy", l.dbt(ann, l.of("lineage", "bad", "--whole")...), 1, "", `the verb "get" on services/proxy "https:collector:9443" in namespace "`+l.namespace+`"`)
	l.says("no such operator", l.dbt(l.jane, "lineage", "--operator-namespace", "default", "bad", "--whole"), 1, "", "services/proxy")

	// By an account of the namespace, of which one may create tokens.
	l.says("an account without the right", l.dbt(joe, l.of("lineage", "bad", "--whole", "--collector-account", "jane")...), 1, "",
		`lacks the verb "create" on serviceaccounts/token "jane"`)
	l.grant(joes, right{"create", "", "serviceaccounts/token", "jane"})
	testutil.Eventually(t, "joe may create tokens of jane", patience, func() (bool, string) {
		got := l.dbt(joe, l.of("lineage", "bad", "--whole", "--collector-account", "jane")...)
		return got.code == 0 && strings.Contains(got.out, "mart.orders"), got.err
	})
}

// A run that is under way is followed from the store by those who may not read pods, until it ends.
func TestPluginFollowsTheStoreWherePodsMayNotBeRead(t *testing.T) {
	l := newLibrary(t)
	run := l.run("live").Obj()
	l.ok("run", l.admin.Create(t.Context(), run))
	l.status(run, v1alpha1.PhaseRunning, v1alpha1.ReasonRunning)
	l.keep(run, "live-1", "first line\n", entries(nil), nil)
	var out output
	done := make(chan printed, 1)
	go func() { done <- l.dbtInto(l.Context(), l.jane, &out, &output{}, l.of("logs", "live", "--follow")...) }()
	testutil.Eventually(t, "the first line", patience, func() (bool, string) { return out.String() == "first line\n", out.String() })
	l.status(run, v1alpha1.PhaseSucceeded, v1alpha1.ReasonSucceeded)
	got := <-done
	l.says("end", got, 0, "first line\n", `lacks the verb "list" on pods in namespace`, "following what the operator keeps instead")
}

// What a run leaves is there some seconds after its end: who asks at once waits for it.
func TestPluginWaitsForWhatIsStillSent(t *testing.T) {
	l := newLibrary(t)
	good := l.run("good").Obj()
	results := func(status metav1.ConditionStatus, reason string, names ...string) {
		l.status(good, v1alpha1.PhaseSucceeded, v1alpha1.ReasonSucceeded, func(s *v1alpha1.DbtRunStatus) {
			s.Conditions = append(s.Conditions, metav1.Condition{Type: v1alpha1.ConditionResultsAvailable, Status: status, Reason: reason, LastTransitionTime: metav1.Now()})
			for _, name := range names {
				s.Artifacts = append(s.Artifacts, v1alpha1.Artifact{Name: name})
			}
		})
	}
	results(metav1.ConditionFalse, v1alpha1.ReasonUploading)
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out, errs output
	done := make(chan printed, 1)
	go func() { done <- l.dbtInto(ctx, l.jane, &out, &errs, l.of("docs", "good")...) }()
	testutil.Eventually(t, "that it waits", patience, func() (bool, string) {
		return strings.Contains(errs.String(), `the pod of DbtRun "good" is still sending`), errs.String()
	})
	results(metav1.ConditionTrue, v1alpha1.ReasonStored, "index.html", "catalog.json")
	testutil.Eventually(t, "the address", patience, func() (bool, string) {
		return strings.Contains(out.String(), "http://127.0.0.1:"), out.String() + errs.String()
	})
	cancel()
	<-done
}

func TestPluginServesDocs(t *testing.T) {
	l := newLibrary(t)
	l.says("no docs", l.dbt(l.jane, l.of("docs", "bad")...), 1, "", `DbtRun "bad" keeps no docs`, "docs generate")
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	var out output
	done := make(chan printed, 1)
	go func() { done <- l.dbtInto(ctx, l.jane, &out, &output{}, l.of("docs", "good")...) }()
	at := ""
	testutil.Eventually(t, "the address", patience, func() (bool, string) {
		at = regexp.MustCompile(`http://127\.0\.0\.1:\d+/`).FindString(out.String())
		return at != "", out.String()
	})
	for path, want := range map[string]struct {
		code int
		body string
	}{"": {200, "<html>docs</html>"}, "manifest.json": {200, "{}"}, "lineage.json": {404, ""}, "../x": {404, ""}} {
		code, body := fetched(t, at+path, "")
		if code != want.code || want.body != "" && body != want.body {
			t.Errorf("%q: %d %s", path, code, body)
		}
	}
	if code, _ := fetched(t, at, "evil.example.com"); code != http.StatusForbidden {
		t.Errorf("by another name: %d, want 403", code)
	}
	cancel()
	if got := <-done; got.code != 0 {
		t.Errorf("stopped: %+v", got)
	}
}

func fetched(t *testing.T, url, host string) (int, string) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
	if err != nil {
		t.Fatal(err)
	}
	r.Host = host
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = answer.Body.Close() }()
	body, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	return answer.StatusCode, string(body)
}

func TestPluginDoctor(t *testing.T) {
	l := newLibrary(t)
	root := l.person("plugin-root", "system:masters")
	got := l.dbt(root, l.of("doctor")...)
	l.says("a cluster without an operator", got, 1, "ok    admission policies: a forged requester is replaced, a forged trigger refused\n")
	for _, want := range []string{
		"ok    API server: v1.", "ok    clocks: ", "ok    CRDs: dbtprojects, dbtruns and dbtschedules in dbtoperator.dev/v1alpha1\n",
		"ok    CRD of DbtRun: of this version\n", "ok    CRD of DbtSchedule: of this version\n", "ok    CRD of DbtProject: of this version\n",
		`fail  operator: there is no Deployment "manager" in namespace "` + l.namespace + `"` + "\n      → install the operator",
		`ok    right: verb "use" on dbtprojects.dbtoperator.dev "shop"`, " 1 fail\n",
	} {
		if !strings.Contains(got.out, want) {
			t.Errorf("doctor lacks %q:\n%s", want, got.out)
		}
	}
	got = l.dbt(l.jane, l.of("doctor")...)
	for _, want := range []string{
		"ok    store: the collector answers\n", `warn  admission policies: it cannot be tried: user "` + l.jane.name + `" lacks the verb "create" on dbtruns`,
		`warn  right: you lack the verb "use" on dbtprojects.dbtoperator.dev "shop"`, `ok    right: verb "get" on dbtruns`,
	} {
		if !strings.Contains(got.out, want) {
			t.Errorf("jane's doctor lacks %q:\n%s", want, got.out)
		}
	}
	nobody := l.dbt(l.person("plugin-none"), l.of("doctor")...)
	l.says("somebody without rights", nobody, 1, `fail  right: you lack the verb "list" on dbtruns.dbtoperator.dev`)
	l.says("version", l.dbt(root, l.of("version")...), 0, "API server   v1.")
}

// Whoever may read pods is shown what they print.
func TestPluginAsksForPodsFirst(t *testing.T) {
	l := newLibrary(t)
	ada := l.account("ada")
	l.bind(ada.name, "ClusterRole", "dbt-viewer")
	l.grant(ada.name, right{"list", "", "pods", ""}, right{"get", "", "pods/log", ""})
	l.proxies(ada.name)
	l.may(ada.name, true, right{"get", "dbtoperator.dev", "dbtruns", ""})
	run := fresh(l.team, l.run("good").Obj())
	pod := &corev1.Pod{
		ObjectMeta: metav1.ObjectMeta{Namespace: l.ns, Name: "good-1", Labels: map[string]string{v1alpha1.LabelRunUID: string(run.UID)}},
		Spec:       corev1.PodSpec{NodeName: "no-such-node", Containers: []corev1.Container{{Name: "dbt", Image: "x"}}},
	}
	l.ok("pod", l.admin.Create(t.Context(), pod))
	// There is no kubelet: a pod that has not begun has no log, so the store is read.
	l.says("a pod that has not begun", l.dbt(ada, l.of("logs", "good")...), 0, "1 of 2 OK orders\n")
	pod.Status.ContainerStatuses = []corev1.ContainerStatus{{Name: "dbt", State: corev1.ContainerState{Terminated: &corev1.ContainerStateTerminated{}}}}
	l.ok("status", l.admin.Status().Update(t.Context(), pod))
	l.says("a pod that has", l.dbt(ada, l.of("logs", "good")...), 1, "", `"good-1"`)
}
