package store

import (
	"bytes"
	"cmp"
	"context"
	"crypto/sha256"
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"hash"
	"io"
	"slices"
	"strings"

	"github.com/dbt-operator/dbt-operator/internal/store/layout"
)

func described(c layout.Current, name string, o layout.Object) Artifact {
	return Artifact{Name: name, Bytes: c.Bytes, SHA256: c.SHA256, Time: o.Time}
}

// PutArtifact keeps what r gives under a name, and returns its size and digest. It streams. An artifact of that name is
// replaced at the very end, in one step: when r fails, gives more than limit bytes (ErrTooLarge) or ctx ends, what was
// there before stays, and nothing of r can be read. An error of r is returned wrapped, and is no ErrStore.
//
// A name is lower-case letters, digits, dashes, underscores and single dots, 1 to 128 characters, with a letter or digit
// first and no dot last.
func (s *Store) PutArtifact(ctx context.Context, of Owner, name string, r io.Reader, limit int64) (Artifact, error) {
	if err := checkArtifactOf(of, name); err != nil {
		return Artifact{}, err
	}
	source := &source{r: r, left: limit}
	sum := sha256.New()
	c := layout.Current{Data: unique()}
	data := layout.DataKey(of, name, c.Data)
	var err error
	c.Bytes, err = s.objects.put(ctx, data, io.TeeReader(source, sum), put{sync: true})
	switch {
	case source.over:
		return Artifact{}, fmt.Errorf("keeping artifact %s of %s %s: %w: more than %d bytes", name, of.Noun(), of, ErrTooLarge, limit)
	case source.err != nil:
		return Artifact{}, fmt.Errorf("keeping artifact %s of %s %s: %w", name, of.Noun(), of, source.err)
	case err != nil:
		return Artifact{}, failed(err, "keeping artifact %s of %s %s", name, of.Noun(), of)
	}
	c.SHA256 = hex.EncodeToString(sum.Sum(nil))
	a, err := s.publish(ctx, of, name, c)
	if err != nil {
		return Artifact{}, failed(err, "publishing artifact %s of %s %s", name, of.Noun(), of)
	}
	return a, nil
}

// publish makes c the current artifact and deletes the bytes that are not: those of the one before, or c's own if it fails.
// Of two that replace the same one, the second finds the first.
func (s *Store) publish(ctx context.Context, of Owner, name string, c layout.Current) (Artifact, error) {
	ids := []string{c.Data}
	// It looks which is current, as a request that failed may have been carried out.
	defer func() { s.discard(ctx, of, name, ids...) }()
	release, err := s.publishing.take(ctx, layout.CurrentKey(of, name))
	if err != nil {
		return Artifact{}, err
	}
	defer release()
	// What cannot be read is replaced all the same.
	if before, err := s.current(ctx, of, name); err == nil {
		ids = append(ids, before.Data)
	}
	return s.makeCurrent(ctx, of, name, c)
}

func (s *Store) makeCurrent(ctx context.Context, of Owner, name string, c layout.Current) (Artifact, error) {
	key := layout.CurrentKey(of, name)
	doc, err := json.Marshal(c)
	if err != nil {
		return Artifact{}, err
	}
	if _, err := s.objects.put(ctx, key, bytes.NewReader(doc), put{sync: true, size: len(doc)}); err != nil {
		return Artifact{}, err
	}
	o, err := s.objects.stat(ctx, key)
	if err != nil {
		return Artifact{}, err
	}
	return described(c, name, o), nil
}

func checkArtifactOf(of Owner, name string) error {
	if err := of.Check(); err != nil {
		return err
	}
	return layout.CheckArtifact(name)
}

// source is the caller's reader up to a limit, and keeps its error apart from the store's.
type source struct {
	r    io.Reader
	left int64
	err  error
	over bool
}

func (s *source) Read(b []byte) (int, error) {
	if s.err != nil {
		return 0, s.err
	}
	// One byte more than may be, to see whether there is one.
	if int64(len(b)) > s.left+1 {
		b = b[:s.left+1]
	}
	n, err := s.r.Read(b)
	s.left -= int64(n)
	if s.left < 0 {
		s.over, s.err = true, ErrTooLarge
		return 0, s.err
	}
	if err != nil && !errors.Is(err, io.EOF) {
		s.err = err
	}
	return n, err
}

func (s *Store) current(ctx context.Context, of Owner, name string) (layout.Current, error) {
	b, err := s.readAll(ctx, layout.CurrentKey(of, name), layout.MaxCurrent)
	if err != nil {
		return layout.Current{}, err
	}
	c, err := layout.DecodeCurrent(b)
	if err != nil {
		return layout.Current{}, fmt.Errorf("%s is damaged: %w", layout.CurrentKey(of, name), err)
	}
	return c, nil
}

// readAll reads a small object.
func (s *Store) readAll(ctx context.Context, key string, limit int64) ([]byte, error) {
	r, err := s.objects.get(ctx, key, 0)
	if err != nil {
		return nil, err
	}
	b, err := io.ReadAll(io.LimitReader(r, limit+1))
	if err := errors.Join(err, r.Close()); err != nil {
		return nil, err
	}
	if int64(len(b)) > limit {
		return nil, fmt.Errorf("%s is damaged: it has more than %d bytes", key, limit)
	}
	return b, nil
}

// Artifact opens an artifact. The caller closes the reader; ctx holds for reading, too. It is ErrNotFound if there is none.
// The reader ends with an ErrStore instead of io.EOF if the bytes have not the digest.
func (s *Store) Artifact(ctx context.Context, of Owner, name string) (io.ReadCloser, Artifact, error) {
	if err := checkArtifactOf(of, name); err != nil {
		return nil, Artifact{}, err
	}
	what := fmt.Sprintf("reading artifact %s of %s %s", name, of.Noun(), of)
	var last error
	for range looks {
		c, err := s.current(ctx, of, name)
		if err != nil {
			return nil, Artifact{}, failed(err, "%s", what)
		}
		o, err := s.objects.stat(ctx, layout.CurrentKey(of, name))
		if err != nil {
			return nil, Artifact{}, failed(err, "%s", what)
		}
		r, err := s.objects.get(ctx, layout.DataKey(of, name, c.Data), 0)
		if err == nil {
			return &body{ctx: ctx, r: r, left: c.Bytes, hash: sha256.New(), sha256: c.SHA256, what: what}, described(c, name, o), nil
		}
		if !errors.Is(err, ErrNotFound) {
			return nil, Artifact{}, failed(err, "%s", what)
		}
		// Replaced meanwhile.
		last = err
	}
	return nil, Artifact{}, fmt.Errorf("%s: %w: its bytes are gone: %s", what, ErrStore, last.Error())
}

// body reads the bytes of an artifact, and fails if they are not the ones that were kept.
type body struct {
	// ctx is here as an io.Reader can take it from nowhere else; Artifact says that it holds for reading.
	ctx    context.Context
	r      io.ReadCloser
	left   int64
	hash   hash.Hash
	sha256 string
	what   string
}

func (b *body) Read(p []byte) (int, error) {
	if b.left == 0 {
		if got := hex.EncodeToString(b.hash.Sum(nil)); got != b.sha256 {
			return 0, failed(errors.New("its bytes are not those that were kept"), "%s", b.what)
		}
		return 0, io.EOF
	}
	if err := b.ctx.Err(); err != nil {
		return 0, failed(err, "%s", b.what)
	}
	n, err := b.r.Read(p[:min(int64(len(p)), b.left)])
	b.left -= int64(n)
	b.hash.Write(p[:n])
	switch {
	case err == nil || b.left == 0:
		return n, nil
	case errors.Is(err, io.EOF):
		return n, failed(io.ErrUnexpectedEOF, "%s: %d bytes are missing", b.what, b.left)
	default:
		return n, failed(err, "%s", b.what)
	}
}

func (b *body) Close() error { return b.r.Close() }

// Artifacts lists what is published of an owner, sorted by name.
func (s *Store) Artifacts(ctx context.Context, of Owner) ([]Artifact, error) {
	if err := of.Check(); err != nil {
		return nil, err
	}
	prefix := layout.ArtifactsPrefix(of)
	all, err := s.objects.list(ctx, prefix)
	if err != nil {
		return nil, failed(err, "listing the artifacts of %s %s", of.Noun(), of)
	}
	var artifacts []Artifact
	for _, o := range all {
		name, ok := strings.CutSuffix(strings.TrimPrefix(o.Key, prefix), "/current")
		if !ok || layout.CheckArtifact(name) != nil {
			continue
		}
		c, err := s.current(ctx, of, name)
		if errors.Is(err, ErrNotFound) {
			continue
		}
		if err != nil {
			return nil, failed(err, "listing the artifacts of %s %s", of.Noun(), of)
		}
		artifacts = append(artifacts, described(c, name, o))
	}
	slices.SortFunc(artifacts, func(a, b Artifact) int { return cmp.Compare(a.Name, b.Name) })
	return artifacts, nil
}

// DeleteArtifact deletes an artifact. It is no error when there is none.
func (s *Store) DeleteArtifact(ctx context.Context, of Owner, name string) error {
	if err := checkArtifactOf(of, name); err != nil {
		return err
	}
	// What publishes it goes first: a death in between leaves bytes that nobody is told of.
	err := s.objects.delete(ctx, layout.CurrentKey(of, name))
	if err == nil {
		err = s.objects.deleteAll(ctx, layout.ArtifactPrefix(of, name))
	}
	if err != nil {
		return failed(err, "deleting artifact %s of %s %s", name, of.Noun(), of)
	}
	return nil
}
