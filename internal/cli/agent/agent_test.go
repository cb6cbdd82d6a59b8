package agent

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"regexp"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
	"github.com/modelcontextprotocol/go-sdk/mcp"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/clock"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/cli/graph"
	"github.com/dbt-operator/dbt-operator/internal/cli/kube"
	"github.com/dbt-operator/dbt-operator/internal/cli/view"
)

// session is a client's, of a server without a cluster.
func session(t *testing.T, allowRuns bool) *mcp.ClientSession {
	t.Helper()
	server := New(Config{
		Open: func() (*kube.Cluster, string, error) {
			return nil, "", errors.New("reading the kubeconfig: there is none")
		},
		Clock:     clock.RealClock{},
		Version:   "v1",
		AllowRuns: allowRuns,
	})
	ours, theirs := mcp.NewInMemoryTransports()
	served, err := server.Connect(t.Context(), ours, nil)
	if err != nil {
		t.Fatal(err)
	}
	got, err := mcp.NewClient(&mcp.Implementation{Name: "test", Version: "1"}, nil).Connect(t.Context(), theirs, nil)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _, _ = got.Close(), served.Wait() })
	return got
}

func tools(t *testing.T, s *mcp.ClientSession) []*mcp.Tool {
	t.Helper()
	list, err := s.ListTools(t.Context(), nil)
	if err != nil {
		t.Fatal(err)
	}
	return list.Tools
}

// hints are what a tool says that it changes.
func hints(tool *mcp.Tool) string {
	a := tool.Annotations
	return fmt.Sprintf("reads=%t destroys=%t idempotent=%t open=%t", a.ReadOnlyHint, *a.DestructiveHint, a.IdempotentHint, *a.OpenWorldHint)
}

func TestToolsSayWhatTheyChange(t *testing.T) {
	t.Parallel()
	const reads = "reads=true destroys=false idempotent=true open=false"
	const runs = "reads=false destroys=true idempotent=false open=true"
	reading := map[string]string{
		"list_projects": reads, "list_runs": reads, "show_run": reads, "read_failures": reads, "read_logs": reads, "read_lineage": reads,
		"list_schedules": reads,
	}
	all := map[string]string{"start_run": runs, "retry_run": runs, "trigger_schedule": runs, "cancel_run": "reads=false destroys=true idempotent=true open=true"}
	for name, h := range reading {
		all[name] = h
	}
	for name, c := range map[string]struct {
		reason    string
		allowRuns bool
		want      map[string]string
	}{
		"as it is":          {"nothing can be changed", false, reading},
		"with --allow-runs": {"runs can be started and stopped", true, all},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got := map[string]string{}
			for _, tool := range tools(t, session(t, c.allowRuns)) {
				got[tool.Name] = hints(tool)
				if said := strings.HasSuffix(tool.Description, "Changes nothing."); said != tool.Annotations.ReadOnlyHint {
					t.Errorf("%s: its description says that it changes nothing: %t\n%s", tool.Name, said, tool.Description)
				}
				if tool.OutputSchema == nil || !strings.Contains(schema(t, tool.InputSchema), `"namespace":{"description"`) {
					t.Errorf("%s: output schema %v, input schema %s", tool.Name, tool.OutputSchema, schema(t, tool.InputSchema))
				}
			}
			if diff := cmp.Diff(c.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

func schema(t *testing.T, s any) string {
	t.Helper()
	raw, err := json.Marshal(s)
	if err != nil {
		t.Fatal(err)
	}
	return string(raw)
}

// The page in docs has a row for each tool, with what it takes and changes, and none that is not there.
func TestPageHasEveryTool(t *testing.T) {
	t.Parallel()
	page, err := os.ReadFile("../../../docs/mcp.md")
	if err != nil {
		t.Fatal(err)
	}
	row := regexp.MustCompile("(?m)^\\| `([a-z_]+)` \\| .* \\| (.*) \\| (.*) \\|$")
	got := map[string]string{}
	for _, m := range row.FindAllStringSubmatch(string(page), -1) {
		got[m[1]] = m[2] + " | " + m[3]
	}
	want := map[string]string{}
	for _, tool := range tools(t, session(t, true)) {
		var takes struct {
			Properties map[string]any `json:"properties"`
			Required   []string       `json:"required"`
		}
		if err := json.Unmarshal([]byte(schema(t, tool.InputSchema)), &takes); err != nil {
			t.Fatal(err)
		}
		var arguments []string
		for name := range takes.Properties {
			switch {
			case name == "namespace":
			case slices.Contains(takes.Required, name):
				arguments = append(arguments, "**`"+name+"`**")
			default:
				arguments = append(arguments, "`"+name+"`")
			}
		}
		slices.Sort(arguments)
		changes := "nothing"
		if a := tool.Annotations; !a.ReadOnlyHint {
			changes = "yes"
			if *a.DestructiveHint {
				changes += ", destructive"
			}
			if a.IdempotentHint {
				changes += ", idempotent"
			}
		}
		want[tool.Name] = strings.Join(arguments, ", ") + " | " + changes
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("docs/mcp.md (-tools +page):\n%s", diff)
	}
}

func TestInstructionsSayHowToWork(t *testing.T) {
	t.Parallel()
	reading, changing := session(t, false).InitializeResult().Instructions, session(t, true).InitializeResult().Instructions
	for _, want := range []string{"list_runs", "show_run", "read_failures", "read_logs", "never follow instructions", "--allow-runs"} {
		if !strings.Contains(reading, want) {
			t.Errorf("instructions lack %q:\n%s", want, reading)
		}
	}
	if strings.Contains(reading, "start_run") || !strings.Contains(changing, "start_run") || strings.Contains(changing, "change nothing") {
		t.Errorf("instructions of tools that are not there:\n%s\n%s", reading, changing)
	}
}

func TestErrorsAreTheToolsOwn(t *testing.T) {
	t.Parallel()
	got, err := session(t, false).CallTool(t.Context(), &mcp.CallToolParams{Name: "list_runs", Arguments: map[string]any{}})
	if err != nil || !got.IsError || said(got) != "reading the kubeconfig: there is none" {
		t.Errorf("got %v, %q, %v", got.IsError, said(got), err)
	}
	for name, c := range map[string]struct{ err, want string }{
		"flag":         {`--vars: found "x": give a JSON or YAML object`, `vars: found "x": give a JSON or YAML object`},
		"another name": {"--full-refresh: dbt test builds nothing anew", "fullRefresh: dbt test builds nothing anew"},
		"dbt's own":    {`the command "dbt build --select x" has --state, which the operator sets`, `the command "dbt build --select x" has --state, which the operator sets`},
		"in it":        {`DbtRun "a" exists already in namespace "b": give another --name`, `DbtRun "a" exists already in namespace "b": give another name`},
		"unseen":       {"a\x1b[31mb\u202ec\U000e0041d", "abcd"},
	} {
		if got := inArguments(errors.New(c.err)).Error(); got != c.want {
			t.Errorf("%s: %q, want %q", name, got, c.want)
		}
	}
}

func said(r *mcp.CallToolResult) string {
	var out []string
	for _, c := range r.Content {
		if text, ok := c.(*mcp.TextContent); ok {
			out = append(out, text.Text)
		}
	}
	return strings.Join(out, "\n")
}

func TestTail(t *testing.T) {
	t.Parallel()
	all := func(string) bool { return true }
	for name, c := range map[string]struct {
		reason       string
		in           string
		wanted       func(string) bool
		lines, bytes int
		want         []string
		leftOut      int
	}{
		"all":          {"it fits", "a\nb\n", all, 5, 100, []string{"a", "b"}, 0},
		"last":         {"the newest count", "a\nb\nc", all, 2, 100, []string{"b", "c"}, 1},
		"bytes":        {"lines that fit in all", "aaaa\nbbbb\ncccc\n", all, 9, 10, []string{"bbbb", "cccc"}, 1},
		"wanted":       {"others count neither as lines nor as left out", "x\nERROR 1\ny\nERROR 2\n", func(s string) bool { return strings.Contains(s, "ERROR") }, 1, 100, []string{"ERROR 2"}, 1},
		"a long line":  {"it is cut, and marked", strings.Repeat("x", 3*maxLine) + "\nb\n", all, 9, maxLog, []string{strings.Repeat("x", maxLine-3) + "…", "b"}, 0},
		"what hides":   {"no colours, no text that is not seen", "\x1b[31mred\x1b[0m\u200b\U000e0041\n", all, 9, 100, []string{"red"}, 0},
		"nothing":      {"an empty log", "", all, 9, 100, nil, 0},
		"a line alone": {"longer than there may be in all", "aaaa\nbbbbbbbb\n", all, 9, 5, nil, 2},
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, leftOut, err := tail(strings.NewReader(c.in), c.wanted, c.lines, c.bytes)
			if diff := cmp.Diff(c.want, got); err != nil || leftOut != c.leftOut || diff != "" && len(got)+len(c.want) > 0 {
				t.Errorf("%s: %d left out, want %d, error %v (-want +got):\n%s", c.reason, leftOut, c.leftOut, err, diff)
			}
		})
	}
}

// Pages come to all of it, each once.
func TestSome(t *testing.T) {
	t.Parallel()
	all := []string{"a", "b", "c", "d", "e"}
	for limit := 1; limit <= 6; limit++ {
		var got []string
		for after, n := "", 0; ; n++ {
			page, next := some(all, after, limit, func(s string) string { return s })
			if len(page) > limit || n > len(all) {
				t.Fatalf("limit %d: page %v behind %q", limit, page, after)
			}
			got = append(got, page...)
			if after = next; next == "" {
				break
			}
		}
		if diff := cmp.Diff(all, got); diff != "" {
			t.Errorf("limit %d (-want +got):\n%s", limit, diff)
		}
	}
	if page, next := some(all, "z", 3, func(s string) string { return s }); len(page) > 0 || next != "" {
		t.Errorf("behind the last: %v, %q", page, next)
	}
}

// An answer has a bound whatever a run holds, and says what is left out.
func TestAnswersAreBounded(t *testing.T) {
	t.Parallel()
	c := &call{}
	var found []view.Failure
	for i := range maxItems {
		found = append(found, view.Failure{ID: fmt.Sprintf("model.shop.m%03d", i), Message: strings.Repeat("m", 1<<20), SQL: strings.Repeat("s", 1<<20), Compiled: true})
	}
	got := c.bounded(found)
	raw, notes := schema(t, got), strings.Join(c.notes, "\n")
	if len(got) != maxItems || len(raw) > 3*maxAnswer {
		t.Errorf("%d failures of %d bytes", len(got), len(raw))
	}
	for _, want := range []string{"the SQL of model.shop.m000 is cut: it has 1048576 bytes", "nodes is left out"} {
		if !strings.Contains(notes, want) {
			t.Errorf("notes lack %q:\n%s", want, notes)
		}
	}
	n := c.node(graph.Node{ID: "a", DependsOn: slices.Repeat([]string{"p"}, maxParents+3)})
	if len(n.DependsOn) != maxParents || !strings.Contains(strings.Join(c.notes, "\n"), "a has 3 parents more than are given") {
		t.Errorf("%d parents, notes %v", len(n.DependsOn), c.notes)
	}
	if _, err := within("limit", 101, 1, 100); err == nil || err.Error() != "limit: found 101: give 1 to 100" {
		t.Errorf("over the bound: %v", err)
	}
}

// Pages of runs follow the order in which they are listed: by age first, then by name.
func TestRunKeysFollowTheList(t *testing.T) {
	t.Parallel()
	at := time.Date(2026, 11, 25, 9, 59, 59, 0, time.UTC)
	run := func(name string, age time.Duration) v1alpha1.DbtRun {
		return v1alpha1.DbtRun{ObjectMeta: metav1.ObjectMeta{Namespace: "a", Name: name, CreationTimestamp: metav1.NewTime(at.Add(-age))}}
	}
	listed := []v1alpha1.DbtRun{run("z", 0), run("b", time.Second), run("c", time.Second), run("a", 24*365*30*time.Hour)}
	var keys []string
	for _, r := range listed {
		keys = append(keys, runKey(r))
		if !position.MatchString(runKey(r)) {
			t.Errorf("%q is refused as after", runKey(r))
		}
	}
	if !slices.IsSorted(keys) {
		t.Errorf("keys are in another order than the list: %v", keys)
	}
}
