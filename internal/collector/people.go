package collector

import (
	"compress/gzip"
	"context"
	"errors"
	"fmt"
	"io"
	"mime"
	"net/http"
	"path"
	"strconv"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	"k8s.io/apimachinery/pkg/types"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/collector/access"
	"github.com/dbt-operator/dbt-operator/internal/collector/live"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/store"
)

// uidOf returns the UID of a DbtRun.
func (c *Collector) uidOf(ctx context.Context, key types.NamespacedName) (string, error) {
	run := &v1alpha1.DbtRun{}
	err := c.config.Cache.Get(ctx, key, run)
	switch {
	case apierrors.IsNotFound(err):
		return "", notFound("there is no DbtRun %q in namespace %q; what was kept of one went with it", key.Name, key.Namespace)
	case err != nil:
		return "", &access.Refusal{Kind: access.ErrLater, Message: fmt.Sprintf("DbtRun %s cannot be read from the cache now: try again", key)}
	}
	return string(run.UID), nil
}

func (q *peopleRequest) live() live.Run {
	return live.Run{Namespace: q.run.Namespace, Name: q.run.Name, UID: q.uid}
}

// kept returns what is kept of the run; one of which nothing is kept is not found.
func (c *Collector) kept(ctx context.Context, q peopleRequest) (*journal.Kept, error) {
	kept, err := c.live.Kept(ctx, q.live())
	if err == nil && kept == nil {
		err = notFound("nothing is kept of DbtRun %q in namespace %q: it has not reported yet, or what it left was deleted by age or count", q.run.Name, q.run.Namespace)
	}
	return kept, err
}

// serveReport gives the report as JSON.
func (c *Collector) serveReport(w http.ResponseWriter, q peopleRequest) error {
	kept, err := c.kept(q.Context(), q)
	if err != nil {
		return err
	}
	out := journal.RunReport{
		Report: kept.Report, Running: kept.Report.Running, Artifacts: kept.Artifacts, LogBytes: kept.LogBytes, Done: kept.Done,
	}
	for _, a := range kept.Attempts {
		out.Attempts = append(out.Attempts, journal.AttemptReport(a))
	}
	c.reply(w, http.StatusOK, out)
	return nil
}

// serveArtifacts gives the list of artifacts as JSON.
func (c *Collector) serveArtifacts(w http.ResponseWriter, q peopleRequest) error {
	kept, err := c.kept(q.Context(), q)
	if err != nil {
		return err
	}
	c.reply(w, http.StatusOK, append([]journal.Artifact{}, kept.Artifacts...))
	return nil
}

// serveArtifact gives one artifact. Its bytes come from a hostile pod: a browser is to save them and nothing else.
func (c *Collector) serveArtifact(w http.ResponseWriter, q peopleRequest) error {
	ctx, cancel := context.WithCancel(q.Context())
	defer cancel()
	pace := c.paced(w, c.limits.slowestOut, cancel)
	defer pace.end()
	in, a, err := c.live.Artifact(ctx, q.live(), q.artifact)
	if errors.Is(err, store.ErrNotFound) {
		return notFound("DbtRun %q in namespace %q has no artifact %q", q.run.Name, q.run.Namespace, q.artifact)
	}
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	h := w.Header()
	h.Set("Content-Type", contentType(a.Name))
	h.Set("Content-Disposition", mime.FormatMediaType("attachment", map[string]string{"filename": a.Name}))
	announce(w, a)
	if q.Method == http.MethodHead {
		return nil
	}
	_, err = io.Copy(&slowWriter{pace, w}, in)
	return err
}

// announce begins the answer that gives an artifact.
func announce(w http.ResponseWriter, a journal.Artifact) {
	h := w.Header()
	hostile(h)
	h.Set("Content-Length", strconv.FormatInt(a.Bytes, 10))
	h.Set(journal.HeaderSHA256, a.SHA256)
	w.WriteHeader(http.StatusOK)
}

// contentType returns the type of what dbt and the runner leave behind.
func contentType(name string) string {
	switch path.Ext(name) {
	case ".json":
		return "application/json"
	case ".jsonl", ".ndjson":
		return "application/x-ndjson"
	case ".html":
		return "text/html; charset=utf-8"
	case ".txt", ".log", ".sql", ".csv", ".yml", ".yaml":
		return "text/plain; charset=utf-8"
	case ".gz":
		return "application/gzip"
	}
	return "application/octet-stream"
}

// serveJournal gives the journals of all attempts.
func (c *Collector) serveJournal(w http.ResponseWriter, q peopleRequest) error {
	kept, err := c.kept(q.Context(), q)
	if err != nil {
		return err
	}
	if len(kept.Attempts) == 0 {
		return notFound("DbtRun %q in namespace %q has no journal yet", q.run.Name, q.run.Namespace)
	}
	return c.stream(w, q.Request, "application/x-ndjson", func(ctx context.Context, out io.Writer) error {
		return c.live.WriteJournal(ctx, q.live(), "", out)
	})
}

// serveLog gives the log of all attempts, or of one, as text.
func (c *Collector) serveLog(w http.ResponseWriter, q peopleRequest) error {
	kept, err := c.kept(q.Context(), q)
	if err != nil {
		return err
	}
	if kept.LogBytes == 0 {
		return notFound("DbtRun %q in namespace %q has no log yet", q.run.Name, q.run.Namespace)
	}
	pod := q.URL.Query().Get("attempt")
	return c.stream(w, q.Request, "text/plain; charset=utf-8", func(ctx context.Context, out io.Writer) error {
		return c.live.WriteLog(ctx, q.live(), pod, out)
	})
}

// stream answers with what write writes. An error before anything was written is answered as such.
func (c *Collector) stream(w http.ResponseWriter, r *http.Request, kind string, write func(context.Context, io.Writer) error) error {
	ctx, cancel := context.WithCancel(r.Context())
	defer cancel()
	pace := c.paced(w, c.limits.slowestOut, cancel)
	defer pace.end()
	h := w.Header()
	hostile(h)
	h.Set("Content-Type", kind)
	h.Set("Vary", "Accept-Encoding")
	out := &lazy{ResponseWriter: w, slow: &slowWriter{pace, w}}
	if r.Method == http.MethodHead {
		out.slow = io.Discard
	}
	if !acceptsGzip(r.Header.Get("Accept-Encoding")) {
		return write(ctx, out)
	}
	out.encoding = "gzip"
	// What is kept is not passed on as it is: a member of a pod that was cut off would make all that follows unreadable.
	zip, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if err != nil {
		return fmt.Errorf("compressing: %w", err)
	}
	if err := write(ctx, zip); err != nil {
		return err
	}
	return zip.Close()
}

// lazy sets Content-Encoding at the first byte, so that an error before it can be answered in plain.
type lazy struct {
	http.ResponseWriter
	slow     io.Writer
	encoding string
}

func (l *lazy) Write(b []byte) (int, error) {
	if l.encoding != "" {
		l.Header().Set("Content-Encoding", l.encoding)
		l.encoding = ""
	}
	return l.slow.Write(b)
}
