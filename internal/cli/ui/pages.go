package ui

import (
	"context"
	"fmt"
	"net/http"
	"regexp"
	"strconv"

	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/cli/compare"
	"github.com/dbt-operator/dbt-operator/internal/cli/graph"
	"github.com/dbt-operator/dbt-operator/internal/cli/ui/model"
	"github.com/dbt-operator/dbt-operator/internal/dbt"
	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// resultsFile are the artifacts that say on which thread a node ran.
var resultsFile = regexp.MustCompile(`^run_results-\d+\.json$`)

func keyOf(r *http.Request) types.NamespacedName {
	return types.NamespacedName{Namespace: r.PathValue("namespace"), Name: r.PathValue("name")}
}

// about says what is shown, and the time by the clock that everything else here goes by.
func (s *Server) about(*http.Request) (any, error) {
	return map[string]any{
		"namespace": s.Namespace, "context": s.Context, "version": s.Version, "now": s.Clock.Now().UnixMilli(),
	}, nil
}

func (s *Server) schedules(r *http.Request) (any, error) {
	schedules, err := s.Source.Schedules(r.Context(), s.Namespace)
	if err != nil {
		return nil, err
	}
	runs, err := s.Source.Runs(r.Context(), s.Namespace)
	if err != nil {
		return nil, err
	}
	return model.SchedulesOf(schedules, runs, s.Clock.Now()), nil
}

func (s *Server) run(r *http.Request) (any, error) {
	run, err := s.Source.Run(r.Context(), keyOf(r))
	if err != nil {
		return nil, err
	}
	return model.PageOf(run), nil
}

func (s *Server) timeline(r *http.Request) (any, error) {
	run, err := s.Source.Run(r.Context(), keyOf(r))
	if err != nil {
		return nil, err
	}
	in := model.TimelineInput{Now: s.Clock.Now().UnixMilli(), Threads: map[string]string{}}
	var notes []string
	note := func(format string, args ...any) { notes = append(notes, fmt.Sprintf(format, args...)) }
	if in.State, err = s.Source.Journal(r.Context(), keyOf(r)); err != nil {
		in.State = nil
		note("The times of nodes are not shown: %s.", err)
	} else {
		for _, name := range threadFiles(run) {
			if err := s.threads(r.Context(), keyOf(r), name, in.Threads); err != nil {
				note("Threads are not all known: %s.", err)
			}
		}
		// Tests hold up what comes after them, and the run's status has none.
		g, err := s.graph(r.Context(), run, true)
		if err != nil {
			note("The critical path goes by the lineage in the run's status, if there is one: %s.", err)
		}
		in.Parents = model.Parents(g)
	}
	t := model.TimelineOf(in)
	t.Notes = notes
	return t, nil
}

func threadFiles(run *v1alpha1.DbtRun) []string {
	var out []string
	for _, a := range run.Status.Artifacts {
		if resultsFile.MatchString(a.Name) {
			out = append(out, a.Name)
		}
	}
	return out
}

func (s *Server) threads(ctx context.Context, of types.NamespacedName, name string, into map[string]string) error {
	in, err := s.Source.Artifact(ctx, of, name)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	found, err := dbt.ReadThreads(in)
	for id, thread := range found {
		into[id] = thread
	}
	return err
}

// graph returns a run's lineage: the whole if it is kept, else as much as the status has; with why it is not the whole.
func (s *Server) graph(ctx context.Context, run *v1alpha1.DbtRun, tests bool) (graph.Graph, error) {
	g := graph.OfStatus(run.Status.Lineage)
	stored := graph.Kept(run)
	switch {
	case !tests && len(g.Nodes) > 0 && !g.Truncated:
		return g, nil
	case !stored && run.Status.Phase.Finished():
		return g, fmt.Errorf("%s of the run is not kept", graph.File)
	case !stored:
		return g, fmt.Errorf("the run has not sent %s yet", graph.File)
	}
	in, err := s.Source.Artifact(ctx, types.NamespacedName{Namespace: run.Namespace, Name: run.Name}, graph.File)
	if err != nil {
		return g, err
	}
	defer func() { _ = in.Close() }()
	whole, err := graph.Read(in, tests)
	if err != nil {
		return g, err
	}
	return whole, nil
}

func (s *Server) lineage(r *http.Request) (any, error) {
	run, err := s.Source.Run(r.Context(), keyOf(r))
	if err != nil {
		return nil, err
	}
	g, why := s.graph(r.Context(), run, r.URL.Query().Get("tests") == "true")
	results, unknown := s.results(r.Context(), run)
	out := model.GraphOf(g, results)
	if why != nil {
		out.Notes = append(out.Notes, fmt.Sprintf("This is what the run's status has: %s.", why))
	}
	if unknown != nil {
		out.Notes = append(out.Notes, fmt.Sprintf("Only the results that the run's status has are shown: %s.", unknown))
	}
	return out, nil
}

// results returns what became of a run's nodes, by unique_id; what the status has of it, with the reason, where the journal
// cannot be read.
func (s *Server) results(ctx context.Context, run *v1alpha1.DbtRun) (map[string]journal.Node, error) {
	state, err := s.Source.Journal(ctx, types.NamespacedName{Namespace: run.Namespace, Name: run.Name})
	if err == nil {
		return compare.Nodes(state), nil
	}
	out := map[string]journal.Node{}
	for _, f := range run.Status.Failures {
		out[f.UniqueID] = journal.Node{ID: f.UniqueID, ResourceType: f.ResourceType, Status: f.Status, Message: f.Message, Path: f.Path}
	}
	if run.Status.Progress != nil {
		for _, id := range run.Status.Progress.Running {
			out[id] = journal.Node{ID: id}
		}
	}
	return out, err
}

func (s *Server) failures(r *http.Request) (any, error) {
	run, err := s.Source.Run(r.Context(), keyOf(r))
	if err != nil {
		return nil, err
	}
	nodes, err := s.results(r.Context(), run)
	if err != nil {
		nodes = nil
	}
	f := model.FailuresOf(run, nodes)
	if err != nil && f.Of > len(f.Nodes) {
		f.Notes = append(f.Notes, fmt.Sprintf("These are %d of %d, those in the run's status: %s.", len(f.Nodes), f.Of, err))
	}
	if len(f.Nodes) == 0 {
		return f, nil
	}
	wanted := map[string]int{}
	for i, n := range f.Nodes {
		wanted[n.ID] = i
	}
	if err := s.eachCode(r.Context(), keyOf(r), func(id string, c model.Code) {
		if i, ok := wanted[id]; ok {
			f.Nodes[i].Code = c
		}
	}); err != nil {
		f.Notes = append(f.Notes, fmt.Sprintf("The SQL is not shown: %s.", err))
	}
	return f, nil
}

// code returns the SQL of one node.
func (s *Server) code(r *http.Request) (any, error) {
	id, out := r.URL.Query().Get("node"), model.Code{}
	err := s.eachCode(r.Context(), keyOf(r), func(of string, c model.Code) {
		if of == id {
			out = c
		}
	})
	return out, err
}

func (s *Server) eachCode(ctx context.Context, of types.NamespacedName, each func(id string, c model.Code)) error {
	in, err := s.Source.Artifact(ctx, of, graph.File)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	_, err = dbt.ReadLineage(in, func(n dbt.LineageNode) error {
		each(n.ID, model.CodeOf(n))
		return nil
	})
	return err
}

func (s *Server) log(r *http.Request) (any, error) {
	run, err := s.Source.Run(r.Context(), keyOf(r))
	if err != nil {
		return nil, err
	}
	q := model.LogQuery{Text: r.URL.Query().Get("q")}
	if around := r.URL.Query().Get("around"); around != "" {
		if q.Around, err = strconv.Atoi(around); err != nil {
			return nil, fmt.Errorf("around: %q is no number of a line", around)
		}
	}
	in, err := s.Source.Log(r.Context(), run)
	if err != nil {
		return s.tail(run, q, err)
	}
	defer func() { _ = in.Close() }()
	return model.SearchLog(in, q)
}
