package manifests

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/api/meta"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbt-operator/dbt-operator/internal/testutil/manifest"
	"github.com/dbt-operator/dbt-operator/test/docs/pages"
)

// elsewhere are what manifests of pages begin with that this API server does not know, and why that is as it should be.
var elsewhere = map[string]string{
	"apiVersion: apiserver.config.k8s.io/": "a file of the API server's own; test/oidc starts one with a file of the same fields",
	"apiVersion: argoproj.io/":             "what a reader of the page on Argo Workflows has, or another controller's",
	"# profiles.yml":                       "dbt's own file",
	"# dbt_project.yml":                    "dbt's own file",
	"# .github/workflows/":                 "a file of GitHub Actions; what it has a shell run, test/docs/commands looks at",
	"users:":                               "a part of a kubeconfig",
}

// An API server with the CRDs and the policies takes every manifest that a page shows, unknown fields refused. A part of one
// is taken as a part of at least one of the kinds.
func TestManifestsAreTaken(t *testing.T) {
	r, err := pages.Read(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	found, used := 0, map[string]bool{}
	for _, p := range r.Pages {
		for _, b := range p.Blocks {
			if b.Language != "yaml" {
				continue
			}
			found++
			if err := taken(t.Context(), b.Text, used); err != nil {
				t.Errorf("%s:%d: %v", p.Path, b.Line, err)
			}
		}
	}
	if found < 10 {
		t.Errorf("found %d manifests in all pages: what looks for them is wrong", found)
	}
	for prefix := range elsewhere {
		if !used[prefix] {
			t.Errorf("no page shows a manifest that begins with %q any more: remove it from elsewhere", prefix)
		}
	}
}

func TestWrongManifestsAreFound(t *testing.T) {
	const run = "apiVersion: dbtoperator.dev/v1alpha1\nkind: DbtRun\nmetadata: {name: x}\nspec: {projectRef: {name: shop}, "
	for text, want := range map[string]string{
		run + "commands: [dbt build]}": "",
		run + "command: [dbt build]}":  `DbtRun x: DbtRun in version "v1alpha1" cannot be handled as a DbtRun: strict decoding error: unknown field "spec.command"`,
		run + "commands: [dbt biuld]}": "a command must be one of build,",
		run + "commands: [dbt build], trigger: {type: ProjectChange, scheduleRef: {name: x}}}": "spec.trigger.type",
		"spec:\n  after: [{schedule: raw}]\n":                                                  "",
		"concurrency: {policy: Queue}\n":                                                       "",
		"spec:\n  aftre: [{schedule: raw}]\n":                                                  `unknown field "spec.aftre"`,
		"apiVersion: v2\nkind: DbtRun\nmetadata: {name: x}\n":                                  `DbtRun x: no matches for kind "DbtRun" in version "v2"`,
		"spec: [\n": "reading the block",
		"# kustomization.yaml\nresources: [" + remote + "/config/crd?ref=main]\n":        "",
		"# kustomization.yaml\nresources: [" + remote + "/config/crd?ref=main]\nnmae: x": `unknown field "nmae"`,
	} {
		err := taken(t.Context(), text, map[string]bool{})
		if want == "" && err != nil || want != "" && (err == nil || !strings.Contains(err.Error(), want)) {
			t.Errorf("%s\ngot  %v\nwant %s", text, err, want)
		}
	}
}

// taken reports why the API server does not take a block, and notes which exception it is.
func taken(ctx context.Context, block string, used map[string]bool) error {
	for prefix := range elsewhere {
		if strings.HasPrefix(block, prefix) {
			used[prefix] = true
			return within(ctx, block)
		}
	}
	if strings.HasPrefix(block, "# kustomization.yaml") {
		return builds(ctx, block)
	}
	objects, err := manifest.Objects([]byte(block), "the block")
	if err != nil {
		return err
	}
	for _, object := range objects {
		if object.GetKind() == "" {
			if err := part(ctx, object.Object); err != nil {
				return err
			}
		} else if err := create(ctx, object); err != nil {
			return fmt.Errorf("%s %s: %w", object.GetKind(), object.GetName(), err)
		}
	}
	return nil
}

// within reports why a manifest of ours that is a text in somebody else's is not taken.
func within(ctx context.Context, block string) error {
	objects, err := manifest.Objects([]byte(block), "the block")
	if err != nil {
		return err
	}
	var texts []string
	for _, object := range objects {
		texts = append(texts, ours(object.Object)...)
	}
	for _, text := range texts {
		if err := taken(ctx, text, map[string]bool{}); err != nil {
			return err
		}
	}
	return nil
}

// ours returns the texts in a value that are manifests of our kinds.
func ours(value any) []string {
	var out []string
	switch v := value.(type) {
	case string:
		if strings.HasPrefix(v, "apiVersion: "+group) {
			out = append(out, v)
		}
	case []any:
		for _, item := range v {
			out = append(out, ours(item)...)
		}
	case map[string]any:
		for _, item := range v {
			out = append(out, ours(item)...)
		}
	}
	return out
}

// create has the API server check an object by a strict dry run.
func create(ctx context.Context, object *unstructured.Unstructured) error {
	if object.GetNamespace() == "" {
		object.SetNamespace("default")
	} else {
		ns := &unstructured.Unstructured{Object: map[string]any{
			"apiVersion": "v1", "kind": "Namespace", "metadata": map[string]any{"name": object.GetNamespace()},
		}}
		if err := client.IgnoreAlreadyExists(admin.Create(ctx, ns)); err != nil {
			return err
		}
	}
	err := admin.Create(ctx, object, client.DryRunAll, client.FieldValidation(metav1.FieldValidationStrict))
	if meta.IsNoMatchError(err) {
		return fmt.Errorf("%w: correct it, or name it in elsewhere with the reason", err)
	}
	return err
}

// part reports why a part of a manifest, with or without the line "spec:", is no part of any of the kinds.
func part(ctx context.Context, fragment map[string]any) error {
	spec, ok := fragment["spec"].(map[string]any)
	if !ok {
		spec = fragment
	}
	var refused []error
	for _, kind := range []string{"DbtProject", "DbtRun", "DbtSchedule"} {
		object := base(kind)
		whole := object["spec"].(map[string]any)
		for key, value := range spec {
			whole[key] = value
		}
		if _, inline := spec["project"]; inline {
			delete(whole, "projectRef")
		}
		err := create(ctx, &unstructured.Unstructured{Object: object})
		if err == nil {
			return nil
		}
		refused = append(refused, fmt.Errorf("as a part of a %s: %w", kind, err))
	}
	return errors.Join(refused...)
}

// remote is how pages name a folder of this repository in kustomizations.
const remote = "https://github.com/dbt-operator/dbt-operator/"

// builds reports why a kustomization cannot be built over this checkout.
func builds(ctx context.Context, block string) error {
	dir, err := os.MkdirTemp(".", "tmp-overlay-")
	if err != nil {
		return err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	var lines []string
	for line := range strings.Lines(block) {
		if strings.Contains(line, remote) {
			line = strings.NewReplacer(remote+"/", filepath.Join("..", root)+"/", remote, filepath.Join("..", root)+"/", "?ref=main", "").Replace(line)
		}
		lines = append(lines, line)
	}
	if err := os.WriteFile(filepath.Join(dir, "kustomization.yaml"), []byte(strings.Join(lines, "")), 0o600); err != nil {
		return err
	}
	if _, said, err := kubectl(ctx, "kustomize", dir); err != nil {
		return fmt.Errorf("building it: %w: %s", err, said)
	}
	return nil
}

// verbs are what kubectl is run for here: it changes nothing by them, or is told to change nothing.
var verbs = []string{"get", "describe", "delete", "patch", "label", "annotate", "apply", "create", "events", "wait"}

// What pages have kubectl ask, the API server understands: kinds, selectors, output and the files of the repository. That an
// object is not there is no fault, nor that somebody who is impersonated may not.
func TestKubectlIsUnderstood(t *testing.T) {
	r, err := pages.Read(t.Context(), root)
	if err != nil {
		t.Fatal(err)
	}
	ran := 0
	for _, p := range r.Pages {
		calls, err := p.Calls()
		if err != nil {
			t.Error(err)
		}
		for _, call := range calls {
			args := runnable(r, p.Path, call)
			if args == nil {
				continue
			}
			ran++
			_, said, err := kubectl(t.Context(), args...)
			as := slices.Contains(args, "--as")
			if err != nil && !strings.Contains(said, "NotFound") && !strings.Contains(said, "not found") && !(as && strings.Contains(said, "Forbidden")) {
				t.Errorf("%s:%d: kubectl %s: %v: %s", p.Path, call.Line, strings.Join(args, " "), err, said)
			}
		}
	}
	if ran < 30 {
		t.Errorf("ran %d calls of kubectl of all pages: what looks for them is wrong", ran)
	}
}

// runnable returns the arguments with which a call is run here; none if it is not.
func runnable(r *pages.Repository, page string, call pages.Call) []string {
	if call.Words[0] != "kubectl" || call.Span {
		return nil
	}
	args := slices.Clone(call.Words[1:])
	if i := slices.Index(args, "--token"); i >= 0 {
		args = slices.Delete(args, i, i+2)
	}
	verb := slices.IndexFunc(args, func(a string) bool { return slices.Contains(verbs, a) })
	if verb < 0 || slices.Contains(args, "dbt") || slices.Contains(args, "rollout") {
		return nil
	}
	reads := false
	for i, arg := range args {
		if i == 0 || args[i-1] != "-f" && args[i-1] != "-k" && args[i-1] != "--patch-file" {
			continue
		}
		if arg == "." || !r.Files[arg] {
			return nil // the reader's own; test/docs/commands knows which
		}
		reads, args[i] = true, filepath.Join(root, arg)
	}
	switch args[verb] {
	case "create":
		if !reads {
			return nil
		}
		args = append(args, "--dry-run=server", "--validate=strict")
	case "apply":
		args = append(args, "--dry-run=server", "--validate=strict")
	case "delete", "patch", "label", "annotate":
		args = append(args, "--dry-run=server")
	case "wait":
		args = append(args, "--timeout=1s")
	}
	return args
}
