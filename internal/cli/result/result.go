package result

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/cli/compare"
	"github.com/dbt-operator/dbt-operator/internal/cli/graph"
	"github.com/dbt-operator/dbt-operator/internal/cli/kept"
	"github.com/dbt-operator/dbt-operator/internal/cli/kube"
	"github.com/dbt-operator/dbt-operator/internal/cli/view"
	"github.com/dbt-operator/dbt-operator/internal/dbt"
	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// Source is where results are read.
type Source struct {
	// Kept returns what reads the collector, for runs of a namespace.
	Kept func(ctx context.Context, namespace string) (*kept.Reader, error)
	// Note takes what is not as it should be, and does not keep the rest from being shown.
	Note func(format string, args ...any)
}

// Failures returns the nodes that failed, as far as they are known; what cannot be read is noted.
func (s Source) Failures(ctx context.Context, run *v1alpha1.DbtRun, sql bool) []view.Failure {
	found := view.Failures(run.Status.Failures)
	all := int32(len(found)) //nolint:gosec // there are ten
	if n := run.Status.FailedNodes; n != nil {
		all = max(all, *n)
	}
	sql = sql && len(found) > 0
	if all <= int32(len(found)) && !sql { //nolint:gosec // there are ten
		return found
	}
	r, err := s.Kept(ctx, run.Namespace)
	if err != nil {
		s.Note("shown is what the run's status has (%d of %d, without SQL): %s", len(found), all, err)
		return found
	}
	if all > int32(len(found)) { //nolint:gosec // there are ten
		if state, err := r.Journal(ctx, of(run)); err != nil {
			s.Note("shown are %d of %d nodes that failed, those in the run's status: %s", len(found), all, err)
		} else {
			found = failedOf(state)
		}
	}
	if sql {
		if err := addSQL(ctx, r, run, found); err != nil {
			s.Note("the SQL is not shown: %s", err)
		}
	}
	return found
}

// failedOf returns the nodes of a journal that failed, sorted.
func failedOf(state *journal.State) []view.Failure {
	var out []view.Failure
	for id, n := range compare.Nodes(state) {
		if n.Failed() {
			out = append(out, view.Failure{ID: id, Type: n.ResourceType, Status: n.Status, Message: n.Message, Path: n.Path})
		}
	}
	slices.SortFunc(out, func(a, b view.Failure) int { return strings.Compare(a.ID, b.ID) })
	return out
}

func addSQL(ctx context.Context, r *kept.Reader, run *v1alpha1.DbtRun, to []view.Failure) error {
	if !graph.Kept(run) {
		return fmt.Errorf("%s of the run is not kept", graph.File)
	}
	in, err := r.Artifact(ctx, of(run), graph.File)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	index := map[string]int{}
	for i := range to {
		index[to[i].ID] = i
	}
	_, err = dbt.ReadLineage(in, func(n dbt.LineageNode) error {
		if i, ok := index[n.ID]; ok && n.SQL != nil {
			to[i].SQL, to[i].Compiled = n.SQL.Code, n.SQL.Compiled
		}
		return nil
	})
	return err
}

// Lineage returns the graph of a run. What must be read from what is kept is an error if it cannot; what had better be, a
// note.
func (s Source) Lineage(ctx context.Context, run *v1alpha1.DbtRun, whole, tests bool) (graph.Graph, error) {
	g := graph.OfStatus(run.Status.Lineage)
	if !whole && !tests && (len(g.Nodes) > 0 && !g.Truncated || !graph.Kept(run)) {
		if len(g.Nodes) == 0 {
			return g, fmt.Errorf("DbtRun %q has no lineage: dbt wrote no manifest, or it has not ended yet (%s)", run.Name, run.Status.Phase)
		}
		return g, nil
	}
	all, err := s.wholeLineage(ctx, run, tests)
	if err != nil && !whole && !tests && len(g.Nodes) > 0 {
		s.Note("shown is as much of the lineage as the run's status holds: %s", err)
		return g, nil
	}
	return all, err
}

func (s Source) wholeLineage(ctx context.Context, run *v1alpha1.DbtRun, tests bool) (graph.Graph, error) {
	r, err := s.Kept(ctx, run.Namespace)
	if err != nil {
		return graph.Graph{}, err
	}
	in, err := r.Artifact(ctx, of(run), graph.File)
	if err != nil {
		return graph.Graph{}, err
	}
	g, err := graph.Read(in, tests)
	return g, errors.Join(err, in.Close())
}

// Log opens the log of a run, of one pod if that is named: of the pods as long as all of them are there and may be read,
// else what is kept.
func (s Source) Log(ctx context.Context, c *kube.Cluster, run *v1alpha1.DbtRun, pod string) (io.ReadCloser, error) {
	pods, err := Pods(ctx, c, run, pod)
	if err == nil && len(pods) > 0 && (pod != "" || everyAttempt(run, pods)) {
		return &inTurn{left: pods, open: func(p string) (io.ReadCloser, error) { return c.PodLog(ctx, run.Namespace, p, false) }}, nil
	}
	r, storeErr := s.Kept(ctx, run.Namespace)
	if storeErr != nil {
		return nil, errors.Join(err, storeErr)
	}
	in, storeErr := r.Log(ctx, of(run), pod)
	if storeErr != nil {
		return nil, errors.Join(err, storeErr)
	}
	return in, nil
}

// Pods returns the pods of a run that have a log, or of them the one that is named.
func Pods(ctx context.Context, c *kube.Cluster, run *v1alpha1.DbtRun, pod string) ([]corev1.Pod, error) {
	pods, err := c.Pods(ctx, run)
	return slices.DeleteFunc(pods, func(p corev1.Pod) bool {
		return !kube.Started(&p) || pod != "" && p.Name != pod
	}), err
}

// everyAttempt reports whether the pods are all that the run has had.
func everyAttempt(run *v1alpha1.DbtRun, pods []corev1.Pod) bool {
	return !slices.ContainsFunc(run.Status.Attempts, func(a v1alpha1.Attempt) bool {
		return !slices.ContainsFunc(pods, func(p corev1.Pod) bool { return p.Name == a.Pod })
	})
}

// inTurn reads the logs of pods one after the other.
type inTurn struct {
	left []corev1.Pod
	open func(pod string) (io.ReadCloser, error)
	now  io.ReadCloser
}

func (r *inTurn) Read(b []byte) (int, error) {
	for {
		if r.now == nil {
			if len(r.left) == 0 {
				return 0, io.EOF
			}
			in, err := r.open(r.left[0].Name)
			if err != nil {
				return 0, err
			}
			r.now, r.left = in, r.left[1:]
		}
		n, err := r.now.Read(b)
		if errors.Is(err, io.EOF) {
			err = r.now.Close()
			r.now = nil
		}
		if n > 0 || err != nil {
			return n, err
		}
	}
}

func (r *inTurn) Close() error {
	if r.now == nil {
		return nil
	}
	return r.now.Close()
}

func of(run *v1alpha1.DbtRun) types.NamespacedName {
	return types.NamespacedName{Namespace: run.Namespace, Name: run.Name}
}
