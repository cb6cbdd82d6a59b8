package dbt

import (
	"bytes"
	"encoding/json"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestWordsOfWhatIsGoneOnWith(t *testing.T) {
	const ls = "ls --output json --output-keys unique_id+resource_type"
	for name, c := range map[string]struct {
		reason, words, version string
		why, plan, retry       string
	}{
		"plain":         {"nothing to carry", "build", "1.11.16", "", ls, "retry --state dir"},
		"selection":     {"ls selects, retry reads what is left", "build --select a b+ --exclude=c -s d --threads 2", "1.12.6", "", ls + " --select a b+ --exclude=c -s d", "retry --state dir --threads 2"},
		"vars":          {"both parse the project", "run --vars {a:1}", "1.11.16", "", ls + " --vars {a:1}", "retry --state dir --vars {a:1}"},
		"run of 2.0":    {"it would run tests as well", "run", "2.0.0-alpha.4", "", ls, "retry --state dir --exclude resource_type:test resource_type:unit_test"},
		"build of 2.0":  {"tests belong to it", "build", "2.0.0-alpha.4", "", ls, "retry --state dir"},
		"fail fast":     {"engines differ in where they take it from", "build -x", "2.0.0", "", ls, "retry --state dir -x"},
		"parsing":       {"of no matter", "build --no-partial-parse", "1.11.16", "", ls, "retry --state dir"},
		"full refresh":  {"dbt 2.0 cannot be told", "build --full-refresh", "1.11.16", "the flag --full-refresh", "", ""},
		"empty":         {"engines differ", "build --select a --empty", "1.11.16", "the flag --empty", "", ""},
		"a stray word":  {"dbt refuses it itself", "build stray", "1.11.16", "stray", "", ""},
		"run-operation": {"nobody knows what it did", "run-operation grant", "1.11.16", "dbt run-operation cannot be gone on with", "", ""},
		"compile":       {"nothing in the warehouse", "compile", "1.11.16", "dbt compile", "", ""},
	} {
		t.Run(name, func(t *testing.T) {
			words := strings.Fields(c.words)
			why := Resumable(words)
			if (why == "") != (c.why == "") || !strings.Contains(why, c.why) {
				t.Errorf("%s: got %q, want %q", c.reason, why, c.why)
			}
			if c.why != "" {
				return
			}
			join := func(words []string) string {
				return strings.ReplaceAll(strings.Join(words, " "), "unique_id resource_type", "unique_id+resource_type")
			}
			if diff := cmp.Diff(c.plan, join(PlanWords(words))) + cmp.Diff(c.retry, join(RetryWords(words, "dir", c.version))); diff != "" {
				t.Errorf("%s (-want +got):\n%s", c.reason, diff)
			}
		})
	}
}

func TestParsePlanned(t *testing.T) {
	node := PlannedNode{ID: "model.shop.a", ResourceType: "model"}
	for name, c := range map[string]struct {
		reason, command, line string
		want                  bool
	}{
		"plain":        {"as dbt prints it", "build", `{"unique_id": "model.shop.a", "resource_type": "model"}`, true},
		"event":        {"in a JSON log", "run", `{"info":{"name":"PrintEvent","msg":"{\"unique_id\": \"model.shop.a\", \"resource_type\": \"model\"}"},"data":{}}`, true},
		"other kind":   {"dbt test runs no models", "test", `{"unique_id": "model.shop.a", "resource_type": "model"}`, false},
		"source":       {"nothing runs", "build", `{"unique_id": "source.shop.a", "resource_type": "source"}`, false},
		"log line":     {"an event of another kind", "build", `{"info":{"name":"X","msg":"hello"},"data":{}}`, false},
		"no id":        {"nothing to run", "build", `{"resource_type": "model"}`, false},
		"no JSON":      {"foreign bytes", "build", `{"unique_id": `, false},
		"far too long": {"no node is so long", "build", `{"unique_id": "` + strings.Repeat("x", maxPlannedLine) + `", "resource_type": "model"}`, false},
	} {
		t.Run(name, func(t *testing.T) {
			got, ok := ParsePlanned([]string{c.command}, []byte(c.line))
			if ok != c.want || ok && got != node {
				t.Errorf("%s: got %+v, %t", c.reason, got, ok)
			}
		})
	}
}

func TestWriteRunResults(t *testing.T) {
	var b bytes.Buffer
	if err := WriteRunResults(&b, []string{"build", "-x"}, []PlannedNode{{ID: "a", Status: "success"}, {ID: "b"}}, "prod", ""); err != nil {
		t.Fatal(err)
	}
	var got struct {
		Metadata struct {
			Version string `json:"dbt_version"`
		} `json:"metadata"`
		Results []struct {
			ID     string `json:"unique_id"`
			Status string `json:"status"`
		} `json:"results"`
		Args map[string]any `json:"args"`
	}
	if err := json.Unmarshal(b.Bytes(), &got); err != nil {
		t.Fatal(err)
	}
	if len(got.Results) != 2 || got.Results[0].Status != "success" || got.Results[1].Status != "skipped" || got.Metadata.Version == "" {
		t.Errorf("got %+v", got)
	}
	if diff := cmp.Diff(map[string]any{"which": "build", "command": "build", "target": "prod", "fail_fast": true}, got.Args); diff != "" {
		t.Errorf("args (-want +got):\n%s", diff)
	}
}

func FuzzParsePlanned(f *testing.F) {
	f.Add([]byte(`{"unique_id": "model.shop.a", "resource_type": "model"}`))
	f.Add([]byte(`{"info":{"name":"PrintEvent","msg":"{\"unique_id\": \"model.shop.a\", \"resource_type\": \"model\"}"},"data":{}}`))
	f.Fuzz(func(t *testing.T, line []byte) {
		if n, ok := ParsePlanned([]string{"build"}, line); ok && n.ID == "" {
			t.Error("a node without an id")
		}
	})
}
