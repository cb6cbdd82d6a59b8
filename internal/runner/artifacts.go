package runner

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"strings"

	"github.com/dbt-operator/dbt-operator/internal/dbt"
	"github.com/dbt-operator/dbt-operator/internal/ship"
)

// uploads are artifacts and caches on their way while commands go on.
type uploads struct {
	queue chan func(context.Context) error
	done  chan struct{}
}

const (
	runResults = "run_results.json"
	// maxQueue is more than a run can have of commands and retries without waiting between.
	maxQueue = 256
)

// kept are the files of dbt's target folder that are kept at the end of a run. The pages are what `dbt docs generate`
// makes; without --static they need manifest.json and catalog.json beside them.
var kept = []string{"manifest.json", "catalog.json", "sources.json", "lineage.json", "index.html", "static_index.html"}

// writeLineage writes lineage.json into the target folder, out of the manifest and what else dbt left there.
func (r *Runner) writeLineage() error {
	var files dbt.LineageFiles
	files.Redact = r.redact.String
	for name, to := range map[string]*io.Reader{"manifest.json": &files.Manifest, "catalog.json": &files.Catalog, "sources.json": &files.Sources} {
		f, err := os.Open(filepath.Join(r.folders.target(), name))
		if errors.Is(err, fs.ErrNotExist) {
			continue
		}
		if err != nil {
			return err
		}
		defer func() { _ = f.Close() }()
		*to = f
	}
	if files.Manifest == nil {
		return nil
	}
	out, err := os.Create(filepath.Join(r.folders.target(), "lineage.json"))
	if err != nil {
		return err
	}
	// An error that says what the document lacks leaves a document that can be used.
	return errors.Join(dbt.WriteLineage(out, files), out.Close())
}

// results returns the run_results.json that is there now, nil for none.
func (r *Runner) results() fs.FileInfo {
	info, err := os.Stat(filepath.Join(r.folders.target(), runResults))
	if err != nil {
		return nil
	}
	return info
}

// keep remembers that the run_results.json of a command that has ended is to be kept. before is the file that was there
// when the command began.
func (r *Runner) keep(b begun, before fs.FileInfo) {
	now := r.results()
	if r.collector == nil || b.index < 0 || now == nil || before != nil && os.SameFile(before, now) && before.ModTime().Equal(now.ModTime()) {
		return
	}
	r.unkept = fmt.Sprintf("run_results-%d.json", b.index+1)
	if b.retry > 0 {
		r.unkept = fmt.Sprintf("run_results-%d-retry-%d.json", b.index+1, b.retry)
	}
}

// setResultsAside puts the run_results.json that is to be kept aside, before the next command writes over it, and has it
// sent.
func (r *Runner) setResultsAside(ctx context.Context) {
	name := r.unkept
	if r.unkept = ""; name == "" {
		return
	}
	if err := r.setAside(ctx, name, runResults); err != nil {
		r.print.line("warn", "Not kept: "+err.Error())
		return
	}
	r.later(func(ctx context.Context) error { return r.put(ctx, name) })
}

// later has something sent in the background. Its error is ErrRefused when nothing more is to be sent.
func (r *Runner) later(send func(context.Context) error) {
	select {
	case r.collector.uploads.queue <- send:
	default:
	}
}

// setAside writes a redacted copy of a file of the target folder.
func (r *Runner) setAside(ctx context.Context, name, from string) (err error) {
	defer func() {
		if err != nil {
			err = fmt.Errorf("artifact %s: %w", name, err)
		}
	}()
	in, err := os.Open(filepath.Join(r.folders.target(), from))
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	if info, err := in.Stat(); err != nil || !info.Mode().IsRegular() {
		return errors.Join(err, fs.ErrInvalid)
	}
	if err := os.MkdirAll(r.folders.artifacts(), 0o755); err != nil {
		return err
	}
	out, err := os.Create(filepath.Join(r.folders.artifacts(), name))
	if err != nil {
		return err
	}
	redact := r.redact.Text
	if strings.HasSuffix(name, ".json") {
		redact = r.redact.JSON
	}
	return errors.Join(redact(out, stoppable{ctx, in}), out.Close())
}

// stoppable reads until ctx is done.
type stoppable struct {
	ctx context.Context
	in  io.Reader
}

func (s stoppable) Read(p []byte) (int, error) {
	if err := s.ctx.Err(); err != nil {
		return 0, err
	}
	return s.in.Read(p)
}

// startUploads sends what is put aside, in the background.
func (r *Runner) startUploads(ctx context.Context) {
	u := &uploads{queue: make(chan func(context.Context) error, maxQueue), done: make(chan struct{})}
	r.collector.uploads = u
	go func() {
		defer close(u.done)
		for send := range u.queue {
			if err := send(ctx); errors.Is(err, ship.ErrRefused) {
				return
			}
		}
	}()
}

// put sends a file that was put aside, and removes it.
func (r *Runner) put(ctx context.Context, name string) error {
	path := filepath.Join(r.folders.artifacts(), name)
	_, err := r.collector.client.Put(ctx, name, path)
	if err != nil {
		r.print.line("warn", "Not kept: "+err.Error())
	}
	return errors.Join(err, os.Remove(path))
}

// upload sends the artifacts of the run that are there at its end, and waits for those on their way.
func (r *Runner) upload(ctx context.Context) {
	r.setResultsAside(ctx)
	u := r.collector.uploads
	close(u.queue)
	select {
	case <-u.done:
	case <-ctx.Done():
		return
	}
	if err := r.writeLineage(); err != nil {
		r.print.line("warn", "No lineage.json: "+err.Error())
	}
	for _, name := range kept {
		err := r.setAside(ctx, name, name)
		switch {
		case errors.Is(err, fs.ErrNotExist):
			continue
		case err != nil:
			r.print.line("warn", "Not kept: "+err.Error())
			continue
		}
		if err := r.put(ctx, name); errors.Is(err, ship.ErrRefused) || ctx.Err() != nil {
			return
		}
	}
}
