package openlineage_test

import (
	"encoding/json"
	"os"
	"reflect"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbt-operator/dbt-operator/internal/dbt"
	"github.com/dbt-operator/dbt-operator/internal/testutil/olschema"
)

const page = "../../docs/lineage.md"

// examples returns the JSON blocks of the documentation.
func examples(t *testing.T) (text string, blocks []string) {
	t.Helper()
	b, err := os.ReadFile(page)
	if err != nil {
		t.Fatal(err)
	}
	for _, part := range strings.Split(string(b), "```json\n")[1:] {
		block, _, _ := strings.Cut(part, "```")
		blocks = append(blocks, block)
	}
	if len(blocks) != 2 {
		t.Fatalf("%s has %d examples, want a document and an event", page, len(blocks))
	}
	return string(b), blocks
}

// The document of the page is one: what is read of it is all that it says.
func TestDocumentOfTheDocumentation(t *testing.T) {
	_, blocks := examples(t)
	var nodes []dbt.LineageNode
	h, err := dbt.ReadLineage(strings.NewReader(blocks[0]), func(n dbt.LineageNode) error {
		nodes = append(nodes, n)
		return nil
	})
	if err != nil {
		t.Fatal(err)
	}
	var want, got struct {
		Dbt   map[string]any
		Nodes []any
	}
	if err := json.Unmarshal([]byte(blocks[0]), &want); err != nil {
		t.Fatal(err)
	}
	again, err := json.Marshal(map[string]any{"dbt": h, "nodes": nodes})
	if err != nil {
		t.Fatal(err)
	}
	if err := json.Unmarshal(again, &got); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("the page's document (-) and what was read of it (+):\n%s", diff)
	}
}

// Every field that is written is told.
func TestFieldsOfTheDocumentAreDocumented(t *testing.T) {
	text, _ := examples(t)
	for _, v := range []any{
		dbt.LineageHeader{}, dbt.LineageNode{}, dbt.Relation{}, dbt.Column{}, dbt.SQL{}, dbt.Test{}, dbt.Exposure{}, dbt.Freshness{},
	} {
		for i := range reflect.TypeOf(v).NumField() {
			name, _, _ := strings.Cut(reflect.TypeOf(v).Field(i).Tag.Get("json"), ",")
			if name != "-" && !strings.Contains(text, "`"+name+"`") {
				t.Errorf("%s does not tell of %T's %s", page, v, name)
			}
		}
	}
}

func TestEventOfTheDocumentation(t *testing.T) {
	_, blocks := examples(t)
	if err := olschema.New(t).Check([]byte(blocks[1])); err != nil {
		t.Error(err)
	}
}
