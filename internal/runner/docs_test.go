package runner

import (
	"bytes"
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/dbt-operator/dbt-operator/internal/plan"
)

const (
	logsPage = "../../docs/logs.md"
	captures = "../dbt/testdata"
)

// fieldRow is a row of the page's table of fields: its name, its type, and in which lines it is.
var fieldRow = regexp.MustCompile("(?m)^\\| `([A-Za-z_.]+)` \\| ([a-z]+) \\| (all|dbt|dbt 1\\.x|dbt 2\\.x|Output) \\| ([^|]*) \\|$")

// docs/logs.md names each field that lines of JSON have, its type and where it is, and none beside.
func TestPageNamesEveryField(t *testing.T) {
	page := readFile(t, logsPage)
	told := map[string]string{}
	for _, m := range fieldRow.FindAllStringSubmatch(page, -1) {
		if _, twice := told[m[1]]; twice {
			t.Errorf("docs/logs.md tells of %s twice", m[1])
		}
		told[m[1]] = m[2] + " of " + m[3]
	}
	fields, levels := printedFields(t)
	if diff := cmp.Diff(fields, told); diff != "" {
		t.Errorf("docs/logs.md is not what is printed (-printed +page):\n%s", diff)
	}
	for _, level := range levels {
		if row := "| `info.level` |"; !strings.Contains(page[strings.Index(page, row):], "`"+level+"`") {
			t.Errorf("docs/logs.md does not tell of level %s", level)
		}
	}
}

// The page's example is what is printed of a recorded event.
func TestExampleOfThePageIsPrinted(t *testing.T) {
	_, example, _ := strings.Cut(readFile(t, logsPage), "```json\n")
	example, _, _ = strings.Cut(example, "```")
	for line := range strings.Lines(readFile(t, filepath.Join(captures, "dbt112-model-error.jsonl"))) {
		if !strings.Contains(line, `"LogModelResult"`) || !strings.Contains(line, `"node_status": "error"`) {
			continue
		}
		var want bytes.Buffer
		if err := json.Indent(&want, []byte(printedOf(plan.Identity{
			Namespace: "shop", Name: "nightly-29400120", UID: "5b0c5a1e-6f0a-4a0e-9d4c-2f6f1a2b3c4d", Project: "shop", RequestedBy: "ada@example.com",
		}, plan.LogJSON, line)), "", "  "); err != nil {
			t.Fatal(err)
		}
		if diff := cmp.Diff(want.String(), example); diff != "" {
			t.Errorf("what is printed (-) and the page's example (+):\n%s", diff)
		}
		return
	}
	t.Fatal("the recorded output has no such event")
}

// printedFields returns of each field that is printed its type and in which lines it is, and all levels.
func printedFields(t *testing.T) (fields map[string]string, levels []string) {
	t.Helper()
	where := map[string]map[string]bool{} // sources by field and type
	for source, lines := range printedLines(t) {
		for line := range strings.Lines(lines) {
			var o map[string]any
			if err := json.Unmarshal([]byte(line), &o); err != nil {
				t.Fatalf("a line is no JSON: %v\n%s", err, line)
			}
			eachField("", o, func(name, kind string) {
				if where[name+" "+kind] == nil {
					where[name+" "+kind] = map[string]bool{}
				}
				where[name+" "+kind][source] = true
			})
			if level := o["info"].(map[string]any)["level"].(string); !slices.Contains(levels, level) {
				levels = append(levels, level)
			}
		}
	}
	fields = map[string]string{}
	for key, sources := range where {
		name, kind, _ := strings.Cut(key, " ")
		if known, twice := fields[name]; twice {
			t.Errorf("field %s is a %s, and %s", name, kind, known)
		}
		fields[name] = kind + " of " + among(sources)
	}
	return fields, levels
}

// among says in words which lines have a field.
func among(sources map[string]bool) string {
	switch {
	case len(sources) == 3:
		return "all"
	case sources["dbt 1.x"] && sources["dbt 2.x"]:
		return "dbt"
	case len(sources) == 1:
		for source := range sources {
			return source
		}
	}
	return fmt.Sprint(sources)
}

// printedLines returns what is printed of recorded output of dbt, and of what is no event, by whose word it is.
func printedLines(t *testing.T) map[string]string {
	t.Helper()
	out := map[string]string{"Output": printed(plan.LogJSON, "Traceback (most recent call last):")}
	for source, pattern := range map[string]string{"dbt 1.x": "dbt11*.jsonl", "dbt 2.x": "dbt2*.jsonl"} {
		files, err := filepath.Glob(filepath.Join(captures, pattern))
		if err != nil || len(files) == 0 {
			t.Fatalf("no recorded output %s: %v", pattern, err)
		}
		var all strings.Builder
		for _, file := range files {
			b, err := os.ReadFile(file)
			if err != nil {
				t.Fatal(err)
			}
			for line := range strings.Lines(string(b)) {
				// What is no event is printed as other such lines are.
				if s := printed(plan.LogJSON, strings.TrimSuffix(line, "\n")); !strings.Contains(s, `"name":"Output"`) {
					all.WriteString(s)
				}
			}
		}
		out[source] = all.String()
	}
	return out
}

// eachField tells of each field of an object, and of those of the objects in it whose fields are the same for all events.
func eachField(prefix string, o map[string]any, tell func(name, kind string)) {
	for name, value := range o {
		name = prefix + name
		if strings.HasPrefix(name, "data.") && !strings.HasPrefix(name, "data.node_info") {
			continue
		}
		switch v := value.(type) {
		case map[string]any:
			tell(name, "object")
			switch name {
			case "info", "data", "data.node_info", "data.node_info.node_relation":
				eachField(name+".", v, tell)
			}
		case string:
			tell(name, "string")
		case float64:
			tell(name, "number")
		default:
			tell(name, fmt.Sprintf("%T", v))
		}
	}
}
