package controller

import (
	"strings"
	"testing"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

func TestParseShard(t *testing.T) {
	run := func(shard string) *v1alpha1.DbtRun {
		r := &v1alpha1.DbtRun{}
		if shard != "" {
			r.Labels = map[string]string{v1alpha1.LabelShard: shard}
		}
		return r
	}
	for name, c := range map[string]struct {
		selector string
		wrong    string
		all      bool
		has      string
		hasNot   string
	}{
		"everything":    {selector: "", all: true, has: "a"},
		"one":           {selector: "dbtoperator.dev/shard=a", has: "a", hasNot: "b"},
		"several":       {selector: "dbtoperator.dev/shard in (a, b)", has: "b", hasNot: "c"},
		"the rest":      {selector: "!dbtoperator.dev/shard", has: "", hasNot: "a"},
		"another label": {selector: "team=a", wrong: "selects by the label team: must be by dbtoperator.dev/shard alone"},
		"no selector":   {selector: "a b", wrong: "is no label selector"},
	} {
		t.Run(name, func(t *testing.T) {
			shard, err := ParseShard(c.selector)
			if c.wrong != "" {
				if err == nil || !strings.Contains(err.Error(), c.wrong) {
					t.Errorf("error is %v, want %q", err, c.wrong)
				}
				return
			}
			if err != nil {
				t.Fatal(err)
			}
			if shard.All() != c.all || !shard.Has(run(c.has)) {
				t.Errorf("all is %t; has %q: %t", shard.All(), c.has, shard.Has(run(c.has)))
			}
			if !c.all && shard.Has(run(c.hasNot)) {
				t.Errorf("it has %q", c.hasNot)
			}
		})
	}
}

// Managers of one shard share a lease, those of others have another.
func TestShardsHaveNamesOfTheirOwn(t *testing.T) {
	names := map[string]bool{}
	for _, selector := range []string{"", "dbtoperator.dev/shard=a", "dbtoperator.dev/shard=b", "!dbtoperator.dev/shard"} {
		shard, err := ParseShard(selector)
		if err != nil {
			t.Fatal(err)
		}
		names[shard.Name("dbt-operator")] = true
	}
	if len(names) != 4 || !names["dbt-operator"] {
		t.Errorf("names are %v", names)
	}
}
