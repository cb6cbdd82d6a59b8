package dbt

import (
	"cmp"
	"slices"
	"strings"

	"github.com/go-json-experiment/json"
)

// PlannedNode is a node that a command sets out to run.
type PlannedNode struct {
	UniqueID, ResourceType string
	// Idle says that nothing is done for the node: an ephemeral model, of which dbt 1.x does not speak at all, or an
	// exposure.
	Idle bool
	// Lookback is how many batches before the last one a microbatch model builds again whose table is there.
	Lookback int32
}

// Plan collects the nodes of a command from the events of the dbt ls that PlanWords made. Its memory is bounded by the
// number of nodes. It is not safe for concurrent use.
type Plan struct {
	types []string
	known map[string]bool
	nodes []PlannedNode
	cut   bool
}

// Limits of what is read of dbt ls.
const maxNodeID = 1 << 10

// NewPlan returns an empty plan of a command given in words.
func NewPlan(words []string) *Plan {
	p := &Plan{known: map[string]bool{}}
	if len(words) > 0 {
		p.types = resumable[words[0]]
	}
	return p
}

// Observe takes in an event of dbt ls. Of other events, and of nodes that the command does not run, it takes no notice.
func (p *Plan) Observe(e Event) {
	n, ok := ParsePlanned(e)
	switch {
	case !ok || p.known[n.UniqueID] || !slices.Contains(p.types, n.ResourceType):
	case len(p.nodes) == maxNodes:
		p.cut = true
	default:
		p.known[n.UniqueID] = true
		p.nodes = append(p.nodes, n)
	}
}

// Complete reports whether the plan can be relied on: it has nodes, and there were no more than are kept.
func (p *Plan) Complete() bool { return len(p.nodes) > 0 && !p.cut }

// Nodes returns the nodes in the order in which dbt listed them.
func (p *Plan) Nodes() []PlannedNode { return p.nodes }

// Left returns how many nodes are still to be run, given the status that each has come to, by unique_id. Idle nodes are
// not counted: nobody misses them.
func (p *Plan) Left(statuses map[string]string) int {
	left := 0
	for _, n := range p.nodes {
		if !n.Idle && !NodeDone(statuses[n.UniqueID]) {
			left++
		}
	}
	return left
}

// Results returns what WriteRunResults is to say of each node.
func (p *Plan) Results(statuses map[string]string) []Result {
	results := make([]Result, 0, len(p.nodes))
	for _, n := range p.nodes {
		results = append(results, Result{n.UniqueID, statuses[n.UniqueID]})
	}
	return results
}

// ParsePlanned returns the node that an event of dbt ls names, or false when it names none. dbt prints each node as a
// line of JSON, which under --log-format json is the text of an event.
func ParsePlanned(e Event) (PlannedNode, bool) {
	if e.Code != "Z052" || !strings.HasPrefix(e.Data.Message, "{") {
		return PlannedNode{}, false
	}
	var w struct {
		UniqueID      string `json:"unique_id"`
		ResourceType  string `json:"resource_type"`
		Materialized1 string `json:"config.materialized"` // dbt 1.x
		Materialized2 string `json:"materialized"`        // dbt 2.x
		Lookback1     *int32 `json:"config.lookback"`
		Lookback2     *int32 `json:"lookback"`
	}
	if json.Unmarshal([]byte(e.Data.Message), &w, lenient) != nil || w.ResourceType == "" || !validID(w.UniqueID) {
		return PlannedNode{}, false
	}
	n := PlannedNode{UniqueID: w.UniqueID, ResourceType: w.ResourceType, Idle: w.ResourceType == "exposure"}
	if w.ResourceType == "model" {
		n.Idle = firstNonEmpty(w.Materialized1, w.Materialized2) == "ephemeral"
		n.Lookback = *cmp.Or(w.Lookback1, w.Lookback2, &defaultLookback)
	}
	return n, true
}

// defaultLookback is dbt's own. https://docs.getdbt.com/reference/resource-configs/lookback
var defaultLookback int32 = 1

// validID reports whether a text can be a unique_id: its kind, its package and its name, with a dot between.
func validID(s string) bool {
	return len(s) <= maxNodeID && strings.Count(s, ".") >= 2 && !strings.ContainsFunc(s, func(r rune) bool { return r < ' ' || r == 0xFFFD })
}
