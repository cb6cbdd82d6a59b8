package graph

import (
	"fmt"
	"strings"
	"testing"
)

func TestAround(t *testing.T) {
	shop := Graph{Nodes: []Node{
		{ID: "source.shop.raw.orders"}, {ID: "model.shop.orders", DependsOn: []string{"source.shop.raw.orders"}},
		{ID: "source.shop.raw.payments"}, {ID: "model.shop.countries"}, {ID: "seed.shop.countries"},
	}}
	for name, c := range map[string]struct {
		reason string
		want   string // unique_ids, or what the error says
	}{
		"model.shop.orders":      {"a unique_id", "model.shop.orders source.shop.raw.orders"},
		"source.shop.raw.orders": {"a unique_id", "model.shop.orders source.shop.raw.orders"},
		"orders":                 {"a model and a source have the name: dbt's selection by name means the model", "model.shop.orders source.shop.raw.orders"},
		"raw.payments":           {"no other node ends so", "source.shop.raw.payments"},
		"payments":               {"a source alone has the name", "source.shop.raw.payments"},
		"countries":              {"two that are no sources have the name", `"countries" is the name of several nodes: give one of model.shop.countries, seed.shop.countries`},
		"gone":                   {"nothing has the name", `there is no node "gone"`},
	} {
		got := ""
		g, err := shop.Around(name)
		for _, n := range g.Nodes {
			got += " " + n.ID
		}
		if err != nil {
			got = fmt.Sprint(err)
		}
		if got = strings.TrimSpace(got); !strings.HasPrefix(got, c.want) || err == nil && got != c.want {
			t.Errorf("%s: %s: got %s, want %s", name, c.reason, got, c.want)
		}
	}
}
