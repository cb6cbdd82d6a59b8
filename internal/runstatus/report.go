package runstatus

import (
	"encoding/json"
	"fmt"
	"math"
	"strconv"
	"strings"
	"time"

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// maxStatus is the size of a whole status as JSON, in bytes.
const maxStatus = 32 << 10

// setReport records what a runner said. The report comes from the pod and is bounded field by field, as the CRD is.
func setReport(s *v1alpha1.DbtRunStatus, r *journal.Report) {
	if s.Revision == nil {
		s.Revision = &v1alpha1.Revision{}
	}
	s.Revision.Source = keep(cut(r.Source, 128), s.Revision.Source)
	s.Revision.Dbt = keep(cut(r.Dbt, 64), s.Revision.Dbt)
	s.Revision.Adapter = keep(cut(r.Adapter, 128), s.Revision.Adapter)

	s.Commands = nil
	for _, c := range r.Commands[:min(len(r.Commands), 21)] {
		s.Commands = append(s.Commands, v1alpha1.CommandStatus{
			Command: cut(c.Command, 512), InvocationID: cut(c.InvocationID, 64),
			StartTime: millis(c.Start), EndTime: millis(c.End), ExitCode: exitCode(c), Note: cut(c.Note, 512),
		})
	}
	res := r.Results
	s.Results = &v1alpha1.Results{
		Success: natural(res.Success), Warn: natural(res.Warn), Fail: natural(res.Fail), Error: natural(res.Error),
		Skipped: natural(res.Skipped), NoOp: natural(res.NoOp), Reused: natural(res.Reused),
	}
	s.FailedNodes = ptr.To(sum(res.Fail, res.Error))
	s.Nodes = ""
	if total := max(natural(r.Selected), natural(r.Finished)); total > 0 {
		s.Nodes = fmt.Sprintf("%d/%d", natural(r.Finished), total)
	}
	s.Failures = nil
	for _, f := range r.Failures[:min(len(r.Failures), journal.MaxFailures)] {
		s.Failures = append(s.Failures, v1alpha1.Failure{
			UniqueID: cut(f.UniqueID, 512), ResourceType: cut(f.ResourceType, 64), Status: cut(f.Status, 64),
			Message: cut(f.Message, 1024), Path: cut(f.Path, 512),
		})
	}
	s.Slowest = nil
	for _, n := range r.Slowest[:min(len(r.Slowest), journal.MaxSlowest)] {
		s.Slowest = append(s.Slowest, v1alpha1.NodeDuration{
			UniqueID: cut(n.UniqueID, 512), Seconds: strconv.FormatFloat(max(0, min(n.Seconds, 1e9)), 'f', 3, 64),
		})
	}
	if l := lineage(r.Lineage); l != nil {
		s.Lineage = l
	}
}

// setProgress records how far the run is. One that is over has no node that runs.
func setProgress(s *v1alpha1.DbtRunStatus, r *journal.Report) {
	total := max(natural(r.Selected), natural(r.Finished))
	if total == 0 {
		return
	}
	s.Progress = &v1alpha1.Progress{Total: total, Done: natural(r.Finished)}
	if s.Phase.Finished() {
		return
	}
	for _, id := range r.Running[:min(len(r.Running), maxRunning)] {
		s.Progress.Running = append(s.Progress.Running, cut(id, 512))
	}
}

// maxRunning is how many running nodes a status names.
const maxRunning = 10

func exitCode(c journal.Command) *int32 {
	if c.End == 0 {
		return nil
	}
	return ptr.To(c.ExitCode)
}

// Limits of lists in a status's lineage, as in the CRD.
const (
	maxRelations = 100
	maxGraph     = 200
)

func lineage(l *journal.Lineage) *v1alpha1.Lineage {
	if l == nil {
		return nil
	}
	out := &v1alpha1.Lineage{Nodes: natural(l.Nodes), Edges: natural(l.Edges), Truncated: l.Truncated}
	var all [3]bool
	out.Inputs, all[0] = relations(l.Inputs)
	out.Outputs, all[1] = relations(l.Outputs)
	all[2] = len(l.Graph) <= maxGraph
	for _, n := range l.Graph[:min(len(l.Graph), maxGraph)] {
		parents, whole := relations(n.DependsOn)
		out.Graph = append(out.Graph, v1alpha1.LineageNode{ID: cut(n.ID, 512), Relation: cut(n.Relation, 512), DependsOn: parents})
		all[2] = all[2] && whole
	}
	out.Truncated = out.Truncated || !all[0] || !all[1] || !all[2]
	return out
}

func relations(names []string) (out []string, whole bool) {
	for _, n := range names[:min(len(names), maxRelations)] {
		out = append(out, cut(n, 512))
	}
	return out, len(names) <= maxRelations
}

// bound cuts a status to maxStatus: the graph goes first, from its end, then relations, then what is for comfort, and
// last the ends of messages, which are kept once in the status and once in each condition.
func bound(s *v1alpha1.DbtRunStatus) {
	for size(s) > maxStatus {
		l := s.Lineage
		switch {
		case l != nil && len(l.Graph) > 0:
			l.Graph, l.Truncated = l.Graph[:len(l.Graph)*3/4], true
		case l != nil && len(l.Outputs)+len(l.Inputs) > 0:
			l.Outputs, l.Inputs, l.Truncated = l.Outputs[:len(l.Outputs)/2], l.Inputs[:len(l.Inputs)/2], true
		case s.Log != nil && len(s.Log.Tail) > leastMessage:
			s.Log.Tail = tail(s.Log.Tail[len(s.Log.Tail)/2:])
		case len(s.Failures) > 1:
			s.Failures = s.Failures[:len(s.Failures)/2]
		case len(s.Commands) > 1:
			s.Commands = s.Commands[len(s.Commands)/2:]
		case len(s.Slowest) > 1:
			s.Slowest = s.Slowest[:len(s.Slowest)/2]
		case len(s.Message) > leastMessage:
			s.Message = cut(s.Message, len(s.Message)/2)
			for i := range s.Conditions {
				if c := &s.Conditions[i]; c.Type != v1alpha1.ConditionResultsAvailable {
					c.Message = s.Message
				}
			}
		default:
			return
		}
	}
}

// leastMessage is the length in bytes below which a message is not cut any more.
const leastMessage = 256

func size(s *v1alpha1.DbtRunStatus) int {
	b, err := json.Marshal(s)
	if err != nil {
		return 0
	}
	return len(b)
}

func millis(ms int64) *metav1.Time {
	// A time outside these bounds cannot be written as RFC 3339.
	if ms <= 0 || ms > time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC).UnixMilli() {
		return nil
	}
	return ptr.To(metav1.NewTime(time.UnixMilli(ms).UTC().Truncate(time.Second)))
}

// sum adds counts that came from a pod, and stays a count.
func sum(a, b int32) int32 {
	return int32(min(int64(natural(a))+int64(natural(b)), math.MaxInt32)) //nolint:gosec // bounded
}

func natural(n int32) int32 { return max(0, n) }

func keep(now, before string) string {
	if now == "" {
		return before
	}
	return now
}

// cut shortens s to at most n bytes of valid UTF-8.
func cut(s string, n int) string {
	if len(s) > n {
		s = s[:n]
	}
	return strings.ToValidUTF8(s, "")
}
