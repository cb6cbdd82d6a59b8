package integration

import (
	"context"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// refused creates an object by dry run and checks what the API server says: nothing for want "", else a refusal that
// holds want.
func refused(t *testing.T, object client.Object, want string) string {
	t.Helper()
	return refusedTo(t, admin, object, want)
}

// refusedTo is refused of somebody else than the administrator.
func refusedTo(t *testing.T, c client.Client, object client.Object, want string) string {
	t.Helper()
	object.SetNamespace("default")
	err := c.Create(t.Context(), object, client.DryRunAll)
	switch {
	case want == "" && err != nil:
		t.Errorf("refused: %v", err)
	case want != "" && err == nil:
		t.Errorf("accepted, want a refusal with %q", want)
	case want != "" && !strings.Contains(err.Error(), want):
		t.Errorf("refused with\n%v\nwant %q", err, want)
	}
	if err == nil {
		return ""
	}
	return err.Error()
}

func TestProjectValidation(t *testing.T) {
	const url = "https://git.example.com/team/shop.git"
	project := func() *testutil.ProjectWrapper { return testutil.MakeDbtProject("p") }
	volume := func(path string) v1alpha1.Volume {
		return v1alpha1.Volume{Name: "v", MountPath: path, Secret: &v1alpha1.LocalObjectReference{Name: "s"}}
	}
	token := func(name string, by v1alpha1.TokenDelivery, env string, seconds int64) v1alpha1.Token {
		return v1alpha1.Token{Name: name, Audience: "a", ExpirationSeconds: &seconds, Delivery: by, Env: env}
	}
	for name, c := range map[string]struct {
		reason  string
		project *testutil.ProjectWrapper
		want    string
	}{
		"baked":              {"the least project there is", project(), ""},
		"git":                {"every part of a git source", project().Git(url).Ref(v1alpha1.GitRef{Branch: "release/2.1"}).Path("dbt/shop").GitSecret("git"), ""},
		"ssh":                {"ssh names a user without a password", project().Git("ssh://git@git.example.com/team/shop.git"), ""},
		"configmap":          {"a small project", project().ConfigMap("shop", v1alpha1.KeyToPath{Key: "a.sql", Path: "models/a.sql"}), ""},
		"ext":                {"git would run a command", project().Git("ext::sh -c whoami"), "url must begin with https://"},
		"file":               {"the node's own files", project().Git("file:///etc"), "url must begin with https://"},
		"scp form":           {"the short form hides a path", project().Git("git@git.example.com:team/shop.git"), "url must begin with https://"},
		"leading dash":       {"an option to git", project().Git("--upload-pack=x"), "url must begin with https://"},
		"host dash":          {"an option to ssh", project().Git("ssh://-oProxyCommand=x/y"), "begins with a dash"},
		"line break in url":  {"a second header", project().Git("https://git.example.com/a\nb"), "url must begin with https://"},
		"link-local":         {"the cloud's metadata", project().Git("http://169.254.169.254/latest"), "link-local or metadata host"},
		"link-local v6":      {"the same over IPv6", project().Git("http://[fe80::1]/x"), "link-local or metadata host"},
		"metadata name":      {"the same by name", project().Git("http://metadata.google.internal/x"), "link-local or metadata host"},
		"link-local user":    {"a user does not hide the host", project().Git("ssh://git@169.254.169.254/x"), "link-local or metadata host"},
		"branch dash":        {"input 8", project().Git(url).Ref(v1alpha1.GitRef{Branch: "--upload-pack=x"}), "must not begin with a dash"},
		"tag dots":           {"a ref range", project().Git(url).Ref(v1alpha1.GitRef{Tag: "a..b"}), "contain '..'"},
		"short commit":       {"not pinned", project().Git(url).Ref(v1alpha1.GitRef{Commit: "abc123"}), "40 lower-case hexadecimal digits"},
		"two refs":           {"which one", project().Git(url).Ref(v1alpha1.GitRef{Branch: "main", Tag: "v1"}), "exactly one of branch, tag and commit"},
		"path up":            {"input 11", project().Git(url).Path("../.."), "must not contain '..'"},
		"path up inside":     {"input 11", project().Git(url).Path("a/../../b"), "must not contain '..'"},
		"path absolute":      {"input 11", project().Git(url).Path("/etc"), "must be relative"},
		"path NUL":           {"input 11", project().Git(url).Path("a\x00b"), "control characters"},
		"path with dots":     {"'..' in a name is no step up", project().Git(url).Path("a..b/c"), ""},
		"baked relative":     {"it is read in the image", project().Baked("dbt"), "absolute folder in the image"},
		"item path up":       {"out of the volume", project().ConfigMap("shop", v1alpha1.KeyToPath{Key: "a", Path: "../a"}), "must not contain '..'"},
		"configmap slash":    {"input 7", project().ConfigMap("other/shop"), "with no slash"},
		"secret slash":       {"input 7", project().Git(url).GitSecret("other/git"), "with no slash"},
		"image space":        {"no reference", project().Image("dbt 1.11"), "without white space"},
		"long image":         {"bounded", project().Image(strings.Repeat("x", 513)), "Too long"},
		"target dash":        {"an option to dbt", project().Target("-x"), "must not begin with a dash"},
		"env":                {"an ordinary variable", project().Env("SNOWFLAKE_USER", "dbt"), ""},
		"env LD_PRELOAD":     {"input 18", project().Env("LD_PRELOAD", "/x.so"), "env holds a name the operator owns"},
		"env PYTHONPATH":     {"input 18", project().Env("PYTHONPATH", "/x"), "env holds a name the operator owns"},
		"env profiles dir":   {"it redirects dbt", project().Env("DBT_PROFILES_DIR", "/x"), "use spec.profiles for profiles.yml"},
		"env second name":    {"dbt takes its variables under two names", project().Env("DBT_ENGINE_PROFILES_DIR", "/x"), "env holds a name the operator owns"},
		"env second log":     {"dbt takes its variables under two names", project().Env("DBT_ENGINE_LOG_PATH", "/x"), "env holds a name the operator owns"},
		"env plan":           {"the runner's own", project().Env("DBT_OPERATOR_PLAN", "{}"), "env holds a name the operator owns"},
		"env AWS":            {"another identity", project().Env("AWS_ROLE_ARN", "arn"), "no entry of tokens has the audience sts.amazonaws.com"},
		"env AWS, token":     {"its own identity", project().Env("AWS_ROLE_ARN", "arn").Token("aws", "sts.amazonaws.com", 3600), ""},
		"env twice":          {"which one", project().Env("A", "1").Env("A", "2"), "Duplicate value"},
		"token 3607":         {"API servers extend it to a year", project().Token("t", "a", 3607), "expirationSeconds must not be 3607"},
		"token short":        {"kubelet's least", project().Token("t", "a", 599), "should be greater than or equal to 600"},
		"token name":         {"it is a file name", project().Token("../t", "a", 600), "name must be lower-case letters"},
		"token deliveries":   {"one of each kind", project().Token("t", "a", 600).TokenBy(token("e", "Env", "TOKEN", 900)).TokenBy(token("p", "PGPassFile", "", 600)).Defaults(v1alpha1.RunDefaults{TimeoutSeconds: ptr.To[int64](900)}), ""},
		"token env host":     {"a server of its own", project().TokenBy(v1alpha1.Token{Name: "p", Audience: "a", Delivery: "PGPassFile", Host: "postgres.warehouse.svc"}), ""},
		"token host":         {"it would say nothing", project().TokenBy(v1alpha1.Token{Name: "p", Audience: "a", Host: "postgres.warehouse.svc"}), "host belongs to a token with delivery PGPassFile"},
		"token host line":    {"another line of the password file", project().TokenBy(v1alpha1.Token{Name: "p", Audience: "a", Delivery: "PGPassFile", Host: "a\n*"}), "host must be a host name or an address"},
		"token by mail":      {"a closed list", project().TokenBy(token("t", "Mail", "", 600)), "Unsupported value"},
		"token env none":     {"where to", project().TokenBy(token("t", "Env", "", 600)), "set both or neither"},
		"token env of file":  {"which delivery", project().TokenBy(token("t", "File", "TOKEN", 600)), "set both or neither"},
		"token env no name":  {"no variable", project().TokenBy(token("t", "Env", "1 TOKEN", 600)), "env must be letters, digits and underscores"},
		"token env reserved": {"input 18, by a token", project().TokenBy(token("t", "Env", "LD_PRELOAD", 600)), "env is a name the operator owns"},
		"token env second":   {"dbt takes its variables under two names", project().TokenBy(token("t", "Env", "DBT_ENGINE_PROJECT_DIR", 600)), "env is a name the operator owns"},
		"token env custom":   {"dbt writes these everywhere", project().TokenBy(token("t", "Env", "DBT_ENV_CUSTOM_ENV_T", 600)), "no place for a token"},
		"token env AWS":      {"it names an identity", project().TokenBy(token("t", "Env", "AWS_ROLE_ARN", 600)), "no place for a token"},
		"token env twice":    {"which one", project().TokenBy(token("t", "Env", "TOKEN", 600)).TokenBy(token("u", "Env", "TOKEN", 600)), "two entries of tokens have the same env"},
		"token env, env":     {"which one", project().Env("TOKEN", "x").TokenBy(token("t", "Env", "TOKEN", 600)), "env sets a variable that an entry of tokens is delivered in"},
		"token env short":    {"it is given once", project().TokenBy(token("t", "Env", "TOKEN", 600)).Defaults(v1alpha1.RunDefaults{TimeoutSeconds: ptr.To[int64](601)}), "expirationSeconds must be at least runDefaults.timeoutSeconds"},
		"token env default":  {"an hour unless it says", project().TokenBy(v1alpha1.Token{Name: "t", Audience: "a", Delivery: "Env", Env: "TOKEN"}).Defaults(v1alpha1.RunDefaults{TimeoutSeconds: ptr.To[int64](3601)}), "expirationSeconds must be at least runDefaults.timeoutSeconds"},
		"two token files":    {"libpq reads one", project().TokenBy(token("t", "PGPassFile", "", 600)).TokenBy(token("u", "PGPassFile", "", 600)), "only one entry of tokens can have delivery PGPassFile"},
		"token, PGPASSFILE":  {"libpq reads one", project().Env("PGPASSFILE", "/x").TokenBy(token("t", "PGPassFile", "", 600)), "env or a token sets PGPASSFILE or PGPASSWORD"},
		"token, PGPASSWORD":  {"libpq prefers it", project().TokenBy(token("t", "PGPassFile", "", 600)).TokenBy(token("u", "Env", "PGPASSWORD", 600)), "env or a token sets PGPASSFILE or PGPASSWORD"},
		"token name twice":   {"which one", project().Token("t", "a", 600).Token("t", "b", 600), "Duplicate value"},
		"volume":             {"a key file", project().Volume(volume("/keys")), ""},
		"volume in /etc":     {"the system's", project().Volume(volume("/etc/ssl")), "mountPath must not lie in"},
		"volume on runner":   {"the operator's", project().Volume(volume("/dbt-operator")), "mountPath must not lie in"},
		"volume up":          {"hides where it lies", project().Volume(volume("/a/../etc")), "without '..'"},
		"volume of nothing":  {"no kind", project().Volume(v1alpha1.Volume{Name: "v", MountPath: "/v"}), "exactly one of configMap, secret, persistentVolumeClaim, emptyDir and image"},
		"label of ours":      {"the operator finds pods by them", project().Pod(v1alpha1.PodSettings{Labels: map[string]string{v1alpha1.LabelRunUID: "x"}}), "labels must not hold keys of dbtoperator.dev"},
		"label of others":    {"a team's own", project().Pod(v1alpha1.PodSettings{Labels: map[string]string{"example.com/team": "x"}}), ""},
		"group":              {"input 19", project().Concurrency("Queue", strings.Repeat("g", 64)), "Too long"},
		"policy":             {"a closed list", project().Concurrency("Perhaps", ""), "Unsupported value"},
		"queue":              {"a label value", project().Queue("Team A"), "queueName must be the name of a LocalQueue"},
		"retry":              {"bounded", project().Defaults(v1alpha1.RunDefaults{Retry: v1alpha1.Retry{Pods: ptr.To[int32](21)}}), "should be less than or equal to 20"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Log(c.reason)
			refused(t, c.project.Obj(), c.want)
		})
	}
}

// raw makes an object that the Go types cannot hold: one with an empty spec, or with parts missing.
func raw(kind string, spec map[string]any) client.Object {
	u := &unstructured.Unstructured{Object: map[string]any{"spec": spec}}
	u.SetGroupVersionKind(v1alpha1.GroupVersion.WithKind(kind))
	u.SetName("raw")
	return u
}

func TestProjectUnions(t *testing.T) {
	refused(t, raw("DbtProject", map[string]any{"image": "dbt:1", "source": map[string]any{}}), "exactly one of git, configMap and image must be set")
	refused(t, raw("DbtProject", map[string]any{"image": "dbt:1"}), "spec.source: Required value")
	refused(t, raw("DbtProject", map[string]any{"source": map[string]any{"image": map[string]any{"path": "/dbt"}}}), "spec.image: Required value")
	refused(t, raw("DbtRun", map[string]any{}), "exactly one of projectRef and project must be set")
	both := testutil.MakeDbtProject("p").ConfigMap("shop").Obj()
	both.Spec.Source.Image = &v1alpha1.ImageSource{Path: "/dbt"}
	refused(t, both, "exactly one of git, configMap and image must be set")
	profiles := testutil.MakeDbtProject("p").Obj()
	profiles.Spec.Profiles = &v1alpha1.Profiles{}
	refused(t, profiles, "exactly one of secretRef and configMapRef must be set")
}

// Input 10: a URL with a password is refused, and the refusal, which ends up in logs, does not repeat it.
func TestPasswordInURLIsNotEchoed(t *testing.T) {
	for _, url := range []string{
		"https://ada:hunter2@git.example.com/x.git",
		"https://hunter2@git.example.com/x.git",
		"ssh://git:hunter2@git.example.com/x.git",
		"ext::https://ada:hunter2@git.example.com/x.git",
		"https://ada:hunter2@169.254.169.254/x.git",
	} {
		message := refused(t, testutil.MakeDbtProject("p").Git(url).Obj(), "url must")
		if strings.Contains(message, "hunter2") {
			t.Errorf("the refusal of %s repeats the password:\n%s", url, message)
		}
	}
}

func TestRunValidation(t *testing.T) {
	run := func() *testutil.RunWrapper { return testutil.MakeDbtRun("r").Project("shop") }
	inline := testutil.MakeDbtProject("x").Obj()
	lasting := testutil.MakeDbtProject("x").TokenBy(v1alpha1.Token{Name: "t", Audience: "a", ExpirationSeconds: ptr.To[int64](600), Delivery: "Env", Env: "TOKEN"}).Obj()
	for name, c := range map[string]struct {
		reason string
		run    *testutil.RunWrapper
		want   string
	}{
		"least":             {"everything has a default", run(), ""},
		"inline":            {"a project of its own", testutil.MakeDbtRun("r").Inline(inline), ""},
		"neither":           {"nothing to run", testutil.MakeDbtRun("r").Target("x"), "exactly one of projectRef and project must be set"},
		"both":              {"which one", run().Inline(inline), "exactly one of projectRef and project must be set"},
		"inline, bad":       {"the same rules hold inline", testutil.MakeDbtRun("r").Inline(testutil.MakeDbtProject("x").Git("ext::sh").Obj()), "url must begin with https://"},
		"reference slash":   {"input 7", testutil.MakeDbtRun("r").Project("other/shop"), "with no slash"},
		"reference long":    {"input 19", testutil.MakeDbtRun("r").Project(strings.Repeat("x", 254)), "Too long"},
		"commands":          {"with and without dbt", run().Command("dbt seed", "build --select tag:nightly", "docs generate", "source freshness"), ""},
		"unknown command":   {"not dbt's", run().Command("rm -rf /"), "a command must be one of build, run"},
		"global flag first": {"the command comes first", run().Command("dbt --log-level debug build"), "global flags behind it"},
		"almost a command":  {"a word, not a prefix", run().Command("builder"), "a command must be one of"},
		"line break":        {"input 17", run().Command("dbt build\nrm -rf /"), "one line without control characters"},
		"empty command":     {"nothing to run", run().Command(""), "should be at least 1 chars long"},
		"long command":      {"input 19", run().Command("dbt build --select " + strings.Repeat("x", 4096)), "Too long"},
		"longest command":   {"the bound itself", run().Command("dbt build --select " + strings.Repeat("x", 4096-19)), ""},
		"21 commands":       {"bounded", run().Command(strings.Split(strings.Repeat("run,", 20)+"run", ",")...), "must have at most 20 items"},
		"vars":              {"any JSON", run().Var("a", `1`).Var("b", `{"c":[true,"x"]}`).Var("d", `"x"`), ""},
		"var null":          {"null is a value to dbt", run().Var("a", `null`), ""},
		"target":            {"an option to dbt", run().Target("--x"), "must not begin with a dash"},
		"state":             {"that of another target", run().State("prod"), ""},
		"state, own target": {"that of its own", run().State(""), ""},
		"state, inline":     {"it has no earlier runs", testutil.MakeDbtRun("r").Inline(inline).State(""), "state is Auto, but an inline project has no earlier runs: remove it, or name a DbtProject in projectRef"},
		"state, unknown":    {"a closed list", of(run().State(""), func(s *v1alpha1.DbtRunSpec) { s.State = "Always" }), "Unsupported value"},
		"state target":      {"an option to dbt", run().State("--x"), "stateTarget must be letters"},
		"state target only": {"it would say nothing", of(run().State("prod"), func(s *v1alpha1.DbtRunSpec) { s.State = v1alpha1.StateNever }), "set state to Auto, or remove stateTarget"},
		"revision":          {"for pull requests", run().Revision("refs/pull/12/head"), ""},
		"revision branch":   {"which kind is not clear", run().Revision("main"), "revision must be a full ref"},
		"revision dash":     {"input 8", run().Revision("--upload-pack=x"), "revision must be a full ref"},
		"revision dots":     {"a ref range", run().Revision("refs/heads/../x"), "revision must be a full ref"},
		"token lasts":       {"as long as the run, to the second", testutil.MakeDbtRun("r").Inline(lasting).Timeout(600), ""},
		"token too short":   {"it is given once", testutil.MakeDbtRun("r").Inline(lasting).Timeout(601), "expirationSeconds must be at least timeoutSeconds"},
		"token, no bound":   {"no token lasts for ever", testutil.MakeDbtRun("r").Inline(lasting), "this run has no bound: set timeoutSeconds"},
		"token elsewhere":   {"the project it names decides when the run begins", run().Timeout(100000), ""},
		"timeout 0":         {"no bound is unset", run().Timeout(0), "should be greater than or equal to 1"},
		"ttl 0":             {"at once", run().TTL(0), ""},
		"ttl negative":      {"never is unset", run().TTL(-1), "should be greater than or equal to 0"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Log(c.reason)
			refused(t, c.run.Obj(), c.want)
		})
	}
}

// of changes the spec of a run.
func of(run *testutil.RunWrapper, change func(*v1alpha1.DbtRunSpec)) *testutil.RunWrapper {
	change(&run.Spec)
	return run
}

func TestRunIsImmutable(t *testing.T) {
	base := testutil.MakeDbtRun("immutable").Namespace("default").Project("shop").Command("dbt build").
		Var("a", `{"b":1}`).Target("ci").Revision("refs/heads/main").State("prod").RetryPods(1).Timeout(60).StartTimeout(60).Obj()
	if err := admin.Create(t.Context(), base); err != nil {
		t.Fatal(err)
	}
	cancelled := base.DeepCopy()
	cancelled.Name, cancelled.ResourceVersion, cancelled.UID, cancelled.Spec.Cancel = "cancelled", "", "", ptr.To(true)
	if err := admin.Create(t.Context(), cancelled); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		for _, run := range []*v1alpha1.DbtRun{base, cancelled} {
			if err := admin.Delete(context.Background(), run); err != nil {
				t.Error(err)
			}
		}
	})
	for name, c := range map[string]struct {
		reason string
		from   *v1alpha1.DbtRun
		change func(*v1alpha1.DbtRunSpec)
		want   string
	}{
		"nothing":         {"an apply of the same", base, func(*v1alpha1.DbtRunSpec) {}, ""},
		"cancel":          {"at any time", base, func(s *v1alpha1.DbtRunSpec) { s.Cancel = ptr.To(true) }, ""},
		"cancel false":    {"it was not set", base, func(s *v1alpha1.DbtRunSpec) { s.Cancel = ptr.To(false) }, ""},
		"ttl":             {"at any time", base, func(s *v1alpha1.DbtRunSpec) { s.TTLSecondsAfterFinished = ptr.To[int64](5) }, ""},
		"cancel back":     {"what was stopped stays stopped", cancelled, func(s *v1alpha1.DbtRunSpec) { s.Cancel = ptr.To(false) }, "cancel cannot be taken back"},
		"cancel unset":    {"the same by another way", cancelled, func(s *v1alpha1.DbtRunSpec) { s.Cancel = nil }, "cancel cannot be taken back"},
		"projectRef":      {"another project", base, func(s *v1alpha1.DbtRunSpec) { s.ProjectRef.Name = "other" }, "projectRef is immutable"},
		"project":         {"another kind of project", base, func(s *v1alpha1.DbtRunSpec) { s.ProjectRef, s.Project = nil, &testutil.MakeDbtProject("x").Spec }, "project is immutable"},
		"commands":        {"another command", base, func(s *v1alpha1.DbtRunSpec) { s.Commands = []string{"dbt run"} }, "commands is immutable"},
		"commands unset":  {"the default is another", base, func(s *v1alpha1.DbtRunSpec) { s.Commands = []string{"dbt build", "dbt test"} }, "commands is immutable"},
		"var value":       {"deep inside", base, func(s *v1alpha1.DbtRunSpec) { s.Vars["a"] = *testutil.JSON(`{"b":2}`) }, "vars is immutable"},
		"var added":       {"one more", base, func(s *v1alpha1.DbtRunSpec) { s.Vars["c"] = *testutil.JSON(`1`) }, "vars is immutable"},
		"var renamed":     {"as many as before", base, func(s *v1alpha1.DbtRunSpec) { delete(s.Vars, "a"); s.Vars["c"] = *testutil.JSON(`{"b":1}`) }, "vars is immutable"},
		"vars unset":      {"none", base, func(s *v1alpha1.DbtRunSpec) { s.Vars = nil }, "vars is immutable"},
		"target":          {"another target", base, func(s *v1alpha1.DbtRunSpec) { s.Target = "prod" }, "target is immutable"},
		"target unset":    {"the project's", base, func(s *v1alpha1.DbtRunSpec) { s.Target = "" }, "target is immutable"},
		"revision":        {"another revision", base, func(s *v1alpha1.DbtRunSpec) { s.Revision = "refs/heads/x" }, "revision is immutable"},
		"state":           {"its Job has it", base, func(s *v1alpha1.DbtRunSpec) { s.State, s.StateTarget = v1alpha1.StateNever, "" }, "state is immutable"},
		"state target":    {"its Job has it", base, func(s *v1alpha1.DbtRunSpec) { s.StateTarget = "ci" }, "stateTarget is immutable"},
		"retry":           {"its Job has it", base, func(s *v1alpha1.DbtRunSpec) { s.Retry.Pods = ptr.To[int32](2) }, "retry is immutable"},
		"timeout":         {"its Job has it", base, func(s *v1alpha1.DbtRunSpec) { s.TimeoutSeconds = ptr.To[int64](61) }, "timeoutSeconds is immutable"},
		"timeout unset":   {"its Job has it", base, func(s *v1alpha1.DbtRunSpec) { s.TimeoutSeconds = nil }, "timeoutSeconds is immutable"},
		"start timeout":   {"its Job has it", base, func(s *v1alpha1.DbtRunSpec) { s.StartTimeoutSeconds = ptr.To[int64](61) }, "startTimeoutSeconds is immutable"},
		"ttl and a var":   {"one that may does not carry one that may not", base, func(s *v1alpha1.DbtRunSpec) { s.TTLSecondsAfterFinished = ptr.To[int64](5); s.Vars = nil }, "vars is immutable"},
		"cancel, command": {"the same", base, func(s *v1alpha1.DbtRunSpec) { s.Cancel = ptr.To(true); s.Commands[0] = "dbt test" }, "commands is immutable"},
	} {
		t.Run(name, func(t *testing.T) {
			t.Log(c.reason)
			run := c.from.DeepCopy()
			c.change(&run.Spec)
			err := admin.Update(t.Context(), run, client.DryRunAll)
			if c.want == "" && err != nil {
				t.Errorf("refused: %v", err)
			}
			if c.want != "" && (err == nil || !strings.Contains(err.Error(), c.want)) {
				t.Errorf("got %v, want a refusal with %q", err, c.want)
			}
		})
	}
}
