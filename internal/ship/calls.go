package ship

import (
	"context"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"os"
	"strconv"
	"time"

	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// Attempt asks what this attempt has to know before it begins, again and again until ctx is done.
func (c *Client) Attempt(ctx context.Context) (journal.AttemptReply, error) {
	var out journal.AttemptReply
	err := c.again(ctx, func(ctx context.Context) error {
		out = journal.AttemptReply{}
		return c.do(ctx, request{method: http.MethodGet, path: journal.PathAttempt}, decode(&out))
	})
	if err != nil {
		return journal.AttemptReply{}, fmt.Errorf("asking the collector about this attempt: %w", err)
	}
	return out, nil
}

// journalTimeout bounds the reading of a journal, which may have some 10 MB.
const journalTimeout = time.Minute

// Journal returns what the run's earlier attempts came to or, with resumeFrom, what the run did that this one goes on
// from. It asks until ctx is done. An empty journal is an empty state.
func (c *Client) Journal(ctx context.Context, resumeFrom bool) (*journal.State, error) {
	path := journal.PathJournal
	if resumeFrom {
		path += "?from=resumeFrom"
	}
	var state *journal.State
	err := c.again(ctx, func(ctx context.Context) error {
		state = journal.NewState()
		r := request{method: http.MethodGet, path: path, timeout: journalTimeout}
		return c.do(ctx, r, func(body io.Reader) error {
			_, err := journal.DecodeEntries(body, func(e journal.Entry) error {
				state.Apply(e)
				return nil
			})
			return err
		})
	})
	if err != nil {
		return nil, fmt.Errorf("getting the journal of what was done before: %w", err)
	}
	return state, nil
}

// Done says once that the attempt has nothing more to send; it asks until ctx is done.
func (c *Client) Done(ctx context.Context) error {
	err := c.again(ctx, func(ctx context.Context) error {
		return c.do(ctx, request{method: http.MethodPost, path: journal.PathDone}, nil)
	})
	if err != nil {
		return fmt.Errorf("telling the collector that all is sent: %w", err)
	}
	return nil
}

// slowest is the rate in bytes a second that an upload may fall to.
const slowest = 1 << 20

// Put keeps the file at path as the artifact with this name; it tries until ctx is done. The file must not change
// meanwhile. Its digest is read from it first, so its bytes are read twice and never held.
func (c *Client) Put(ctx context.Context, name, path string) (journal.Artifact, error) {
	a, err := c.put(ctx, journal.PathArtifacts+url.PathEscape(name), path)
	if err != nil {
		return a, fmt.Errorf("artifact %s: %w", name, err)
	}
	a.Name = name
	return a, nil
}

// PutCache keeps the file at path as a cache of the run's project, as Put keeps artifacts.
func (c *Client) PutCache(ctx context.Context, name, path string) error {
	if _, err := c.put(ctx, journal.PathCaches+name, path); err != nil {
		return fmt.Errorf("cache %s: %w", name, err)
	}
	return nil
}

func (c *Client) put(ctx context.Context, to, path string) (journal.Artifact, error) {
	var a journal.Artifact
	f, err := os.Open(path)
	if err != nil {
		return a, err
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	if a.Bytes, err = io.Copy(h, f); err != nil {
		return a, err
	}
	if a.Bytes > journal.MaxArtifact {
		return a, fmt.Errorf("has %d MiB, more than the %d MiB that are kept", a.Bytes>>20, int64(journal.MaxArtifact)>>20)
	}
	a.SHA256 = hex.EncodeToString(h.Sum(nil))
	return a, c.again(ctx, func(ctx context.Context) error {
		return c.do(ctx, request{
			method: http.MethodPut, path: to, size: a.Bytes,
			body:    io.NewSectionReader(f, 0, a.Bytes),
			header:  map[string]string{journal.HeaderSHA256: a.SHA256},
			timeout: c.timeout + time.Duration(a.Bytes/slowest)*time.Second,
		}, nil)
	})
}

// cacheTime bounds how long a cache may take to come: what takes longer is made faster anew.
const cacheTime = 30 * time.Second

// Cache hands a cache of the run's project to read, and reports whether there is one. It asks once: a run can do without.
// An error may come after some of it was read.
func (c *Client) Cache(ctx context.Context, name string, read func(io.Reader) error) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, cacheTime)
	defer cancel()
	err := c.do(ctx, request{method: http.MethodGet, path: journal.PathCaches + name, timeout: cacheTime}, read)
	var status *statusError
	switch {
	case err == nil:
		return true, nil
	case errors.As(err, &status) && status.code == http.StatusNotFound:
		return false, nil
	default:
		return false, fmt.Errorf("cache %s: %w", name, err)
	}
}

// ErrGone says that there is no such file in the run's state, and never will be.
var ErrGone = errors.New("not there")

// stateTime bounds how long one file of a state may take to come.
const stateTime = 10 * time.Minute

// State writes a file of the run's state to path, and returns "sha256:" and the digest of what it wrote. It asks until ctx is
// done. The error is ErrGone when there is no such file.
func (c *Client) State(ctx context.Context, name, path string) (digest string, err error) {
	err = c.again(ctx, func(ctx context.Context) error {
		h := sha256.New()
		err := c.do(ctx, request{method: http.MethodGet, path: journal.PathState + name, timeout: stateTime}, func(body io.Reader) error {
			f, err := os.Create(path)
			if err != nil {
				return fmt.Errorf("%w: %w", errLocal, err)
			}
			_, err = io.Copy(io.MultiWriter(f, h), body)
			return errors.Join(err, f.Close())
		})
		digest = "sha256:" + hex.EncodeToString(h.Sum(nil))
		return err
	})
	var status *statusError
	switch {
	case err == nil:
		return digest, nil
	case errors.As(err, &status) && status.code == http.StatusNotFound:
		return "", fmt.Errorf("%w: %s", ErrGone, status.text)
	default:
		return "", fmt.Errorf("getting %s of the state: %w", name, err)
	}
}

// append posts size bytes of body at an offset of a stream once, and returns where the stream ends then.
func (c *Client) append(ctx context.Context, stream string, offset int64, body io.Reader, size int64) (int64, error) {
	reply := journal.StreamReply{Offset: -1}
	path := journal.PathStreams + stream + "?offset=" + strconv.FormatInt(offset, 10)
	err := c.do(ctx, request{method: http.MethodPost, path: path, body: body, size: size}, decode(&reply))
	return reply.Offset, err
}
