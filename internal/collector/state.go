package collector

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"regexp"
	"slices"
	"strconv"
	"strings"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/collector/access"
	"github.com/dbt-operator/dbt-operator/internal/collector/live"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/store"
)

// stateFiles are what a state consists of.
var stateFiles = []string{journal.StateManifest, journal.StateResults, journal.StateSources}

func checkState(name string) error {
	if !slices.Contains(stateFiles, name) {
		return notFound("a state has no file %.100q: it has %s", name, strings.Join(stateFiles, ", "))
	}
	return nil
}

// serveState gives a file of the run that the status of the attempt's own run names as its state. The pod has no say in
// which that is.
func (c *Collector) serveState(w http.ResponseWriter, q podRequest) error {
	run, pinned := q.attempt.Run, q.attempt.Run.Status.State
	switch {
	case run.Spec.State != v1alpha1.StateAuto:
		return notFound("spec.state of DbtRun %s/%s is not %s: it has no state", run.Namespace, run.Name, v1alpha1.StateAuto)
	case pinned == nil:
		// It is recorded right after the Job is made.
		return &access.Refusal{Kind: access.ErrLater, Message: fmt.Sprintf("the status of DbtRun %s/%s does not say yet what its state is: try again", run.Namespace, run.Name)}
	case pinned.Run == "":
		return notFound("DbtRun %s/%s has no state: %s", run.Namespace, run.Name, pinned.Message)
	}
	of := live.Run{Namespace: run.Namespace, Name: pinned.Run, UID: string(pinned.UID)}
	gone := notFound("DbtRun %s, whose manifest is the state, has no %s (any more): it was deleted since, or what it left was, by age or count", of.Name, q.artifact)
	ctx, cancel := context.WithCancel(q.Context())
	defer cancel()
	name, err := c.stateArtifact(ctx, of, q.artifact)
	if err != nil {
		return err
	}
	if name == "" {
		return gone
	}
	pace := c.paced(w, c.limits.slowestOut, cancel)
	defer pace.end()
	in, a, err := c.live.Artifact(ctx, of, name)
	if errors.Is(err, store.ErrNotFound) {
		return gone
	}
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	if q.artifact == journal.StateManifest && "sha256:"+a.SHA256 != pinned.ManifestDigest {
		return notFound("the manifest.json of DbtRun %s is another now than the one that was pinned as state", of.Name)
	}
	w.Header().Set("Content-Type", "application/json")
	announce(w, journal.Artifact{Name: q.artifact, SHA256: a.SHA256, Bytes: a.Bytes})
	_, err = io.Copy(&slowWriter{pace, w}, in)
	return err
}

// resultsName is what the runner calls the run_results.json of a command, and of a retry of it.
var resultsName = regexp.MustCompile(`^run_results-([0-9]{1,4})(?:-retry-([0-9]{1,4}))?\.json$`)

// stateArtifact returns the name under which a file of a state is kept, empty for none.
func (c *Collector) stateArtifact(ctx context.Context, of live.Run, file string) (string, error) {
	if file != journal.StateResults {
		return file, nil
	}
	kept, err := c.config.Store.Artifacts(ctx, store.Run{Namespace: of.Namespace, UID: of.UID})
	if err != nil {
		return "", err
	}
	newest, found := [2]int{-1, -1}, ""
	for _, a := range kept {
		m := resultsName.FindStringSubmatch(a.Name)
		if m == nil {
			continue
		}
		command, _ := strconv.Atoi(m[1]) // digits
		retry, _ := strconv.Atoi(m[2])   // digits, or none: 0
		if at := [2]int{command, retry}; slices.Compare(at[:], newest[:]) > 0 {
			newest, found = at, a.Name
		}
	}
	return found, nil
}
