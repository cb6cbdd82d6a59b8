package runner

import (
	"bytes"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/plan"
	"github.com/dbt-operator/dbt-operator/internal/testutil/collectortest"
)

func TestArtifacts(t *testing.T) {
	c := collectortest.New(t)
	p := attemptOf(t, c, "pod-a")
	p.plan.SecretEnv, p.plan.RetryNodes = []string{"W"}, plan.RetryNodes{Limit: 1}
	p.env = append(p.env, "W=hunter22")
	p.plan.Commands = [][]string{{"run"}, {"docs", "generate"}, {"test"}}
	leaves := func(files ...string) step {
		target := map[string]string{}
		for i := 0; i < len(files); i += 2 {
			target[files[i]] = files[i+1]
		}
		return step{Target: target}
	}
	p.dbt.script(1, script(made(1, 1, 2), finished(model(2), "error", "x", 2), leaves("manifest.json", manifestJSON, "run_results.json", `{"results":[1]}`), exits(1))...)
	p.dbt.script(2, listed(2)...)
	p.dbt.script(3, script(made(2, 2, 1), leaves("run_results.json", `{"results":[2]}`))...)
	p.dbt.script(4, leaves("catalog.json", `{"pw":"hunter22 in it"}`, "index.html", "<html>hunter22</html>\n", "run_results.json", `{"results":[3]}`))
	p.dbt.script(5, leaves("sources.json", `{"truncated`)) // no run_results.json of its own
	if code, report := p.run(); code != 0 {
		t.Fatalf("got %d, %+v\n%s", code, report, p.screen)
	}
	want := map[string]string{
		"manifest.json": manifestJSON + "\n", "run_results-1.json": `{"results":[1]}` + "\n", "run_results-1-retry-1.json": `{"results":[2]}` + "\n",
		"run_results-2.json": `{"results":[3]}` + "\n", "catalog.json": `{"pw":"*** in it"}` + "\n", "index.html": "<html>***</html>\n",
	}
	if diff := cmp.Diff(want, c.Artifacts()); diff != "" {
		t.Errorf("artifacts: -want +got\n%s", diff)
	}
	if want := "Not kept: artifact sources.json: it is no JSON that can be read"; !strings.Contains(c.Log(t, "pod-a"), want) {
		t.Errorf("%q is not in the log that is kept: %s", want, p.screen)
	}
	requests := c.Requests()
	if last := requests[len(requests)-1]; last != "POST "+journal.PathDone {
		t.Errorf("the last request is %s, want that it is done", last)
	}
}

func TestArtifactsThatAreRefused(t *testing.T) {
	c := collectortest.New(t)
	p := attemptOf(t, c, "pod-a")
	p.dbt.script(1, step{Target: map[string]string{"manifest.json": manifestJSON, "run_results.json": "{}"}})
	p.screen.onWrite = nil
	ends := func(r []string) bool {
		return slices.ContainsFunc(r, func(s string) bool { return strings.HasPrefix(s, "PUT ") })
	}
	c.Fail(refusePuts)
	if code, _ := p.run(); code != 0 || !ends(c.Requests()) || len(c.Artifacts()) != 0 {
		t.Errorf("exit code %d, requests %q", code, c.Requests())
	}
	if c.Fold(t).Report("").Outcome != journal.Succeeded {
		t.Error("the journal has no end")
	}
}

func TestRedactorText(t *testing.T) {
	const secret = "0123456789abcdefghijklmnopqrstuvwxyz"
	r := NewRedactor([]string{secret})
	random := rand.New(rand.NewPCG(5, 6))
	for _, breaks := range []bool{false, true} {
		b := make([]byte, 0, 5*chunk)
		for len(b) < 5*chunk {
			b = append(b, strings.Repeat("x", random.IntN(200))...)
			b = append(b, secret...)
			if breaks && random.IntN(100) == 0 {
				b = append(b, '\n')
			}
		}
		var out bytes.Buffer
		if err := r.Text(&out, bytes.NewReader(b)); err != nil {
			t.Fatal(err)
		}
		if want := r.String(string(b)); out.String() != want {
			t.Errorf("line breaks %v: %d bytes, want %d, as if it had been redacted at once", breaks, out.Len(), len(want))
		}
	}
}

func TestRedactorJSON(t *testing.T) {
	r := NewRedactor([]string{"hunter22", "8675309"})
	in := `{"hunter22": ["a hunter22 b", 8675309, 1.50e3, true, null, {"sql": "select 1\n-- é\t\u001b[0m"}], "a": 1, "a": 2}`
	want := `{"***":["a *** b","***",1.50e3,true,null,{"sql":"select 1\n-- é\t\u001b[0m"}],"a":1,"a":2}` + "\n"
	var out bytes.Buffer
	if err := r.JSON(&out, strings.NewReader(in)); err != nil || out.String() != want {
		t.Errorf("%v\n got %s\nwant %s", err, out.String(), want)
	}
	for _, bad := range []string{`{"a":`, `{"a" 1}`, strings.Repeat("[", 20_000)} {
		if err := r.JSON(&bytes.Buffer{}, strings.NewReader(bad)); err == nil {
			t.Errorf("%.20s is no JSON", bad)
		}
	}
}

func FuzzRedactorJSON(f *testing.F) {
	f.Add([]byte(manifestJSON))
	f.Add([]byte(`{"a":"hunter22","hunter22":[1,"eyJhbGciOiJSUzI1NiJ9.eyJzdWIiOiJ4In0.x"]}`))
	r := NewRedactor([]string{"hunter22"})
	f.Fuzz(func(t *testing.T, b []byte) {
		var out bytes.Buffer
		if r.JSON(&out, bytes.NewReader(b)) == nil && bytes.Contains(out.Bytes(), []byte("hunter22")) {
			t.Errorf("a secret is left: %q", out.Bytes())
		}
	})
}
