package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"

	"gocloud.dev/blob"
	"gocloud.dev/gcerrors"

	"github.com/dbt-operator/dbt-operator/internal/store/layout"
)

// put says how to write an object.
type put struct {
	// create refuses with errExists if there is one already.
	create bool
	// sync makes a folder write it to disk before it is said to be there.
	sync bool
	// size is how many bytes there will be, or 0 if that is not known.
	size int
}

// errExists is what put.create finds.
var errExists = errors.New("exists already")

// objects is all that the rest of this package asks of a blob store. A read of what is not there is ErrNotFound; no other
// error is classified.
type objects interface {
	// put writes what r gives as one object that appears whole or not at all, and returns its size.
	put(ctx context.Context, key string, r io.Reader, how put) (int64, error)
	// get opens an object from an offset on.
	get(ctx context.Context, key string, offset int64) (io.ReadCloser, error)
	stat(ctx context.Context, key string) (layout.Object, error)
	// list returns all objects whose keys begin with prefix, in no certain order.
	list(ctx context.Context, prefix string) ([]layout.Object, error)
	// delete is no error when there is nothing.
	delete(ctx context.Context, key string) error
	// deleteAll deletes all objects whose keys begin with prefix, a run's.
	deleteAll(ctx context.Context, prefix string) error
	// runs calls f with all objects of each run.
	runs(ctx context.Context, f func(Run, []layout.Object) error) error
	close() error
}

// blobs are objects in a bucket of gocloud.dev. It looks at the context itself, as not every driver does.
type blobs struct {
	bucket *blob.Bucket
}

// Streaming uploads buffer this many bytes this many times; S3 takes no part below 5 MiB.
const (
	partBytes   = 8 << 20
	partsAtOnce = 2
)

func (b *blobs) put(ctx context.Context, key string, r io.Reader, how put) (int64, error) {
	return write(ctx, b.bucket, key, r, how, nil, nil)
}

// write puts an object into a bucket. opened is told the file that a folder's driver writes to; finish wraps the step that
// makes the object visible.
func write(ctx context.Context, bucket *blob.Bucket, key string, r io.Reader, how put,
	opened func(*os.File), finish func(publish func() error) error,
) (int64, error) {
	if err := ctx.Err(); err != nil {
		return 0, err
	}
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	// A set type keeps the library from holding back the first bytes to guess one.
	options := &blob.WriterOptions{
		ContentType: "application/octet-stream", IfNotExist: how.create, BufferSize: partBytes, MaxConcurrency: partsAtOnce,
	}
	if how.size > 0 {
		options.BufferSize = how.size + 1
	}
	if opened != nil {
		options.BeforeWrite = func(as func(any) bool) error {
			var f *os.File
			if as(&f) {
				opened(f)
			}
			return nil
		}
	}
	w, err := bucket.NewWriter(ctx, key, options)
	if err != nil {
		return 0, err
	}
	n, err := io.Copy(w, r)
	if err != nil {
		// A close after the context's end gives the upload up.
		cancel()
		if closing := w.Close(); exists(closing) {
			return n, errExists
		}
		return n, err
	}
	if finish == nil {
		finish = func(publish func() error) error { return publish() }
	}
	closed := false
	err = finish(func() error { closed = true; return w.Close() })
	if !closed {
		cancel()
		_ = w.Close()
	}
	if exists(err) {
		err = errExists
	}
	return n, err
}

// exists reports whether an error says that put.create found an object.
func exists(err error) bool {
	return err != nil && gcerrors.Code(err) == gcerrors.FailedPrecondition
}

func (b *blobs) get(ctx context.Context, key string, offset int64) (io.ReadCloser, error) {
	if err := ctx.Err(); err != nil {
		return nil, err
	}
	r, err := b.bucket.NewRangeReader(ctx, key, offset, -1, nil)
	if err != nil {
		return nil, missing(err)
	}
	return r, nil
}

func (b *blobs) stat(ctx context.Context, key string) (layout.Object, error) {
	if err := ctx.Err(); err != nil {
		return layout.Object{}, err
	}
	a, err := b.bucket.Attributes(ctx, key)
	if err != nil {
		return layout.Object{}, missing(err)
	}
	return layout.Object{Key: key, Size: a.Size, Time: a.ModTime}, nil
}

// missing makes ErrNotFound of what the library calls so.
func missing(err error) error {
	if gcerrors.Code(err) == gcerrors.NotFound {
		return fmt.Errorf("%w: %w", ErrNotFound, err)
	}
	return err
}

func (b *blobs) list(ctx context.Context, prefix string) ([]layout.Object, error) {
	var all []layout.Object
	err := b.each(ctx, prefix, func(o layout.Object) error {
		all = append(all, o)
		return nil
	})
	return all, err
}

func (b *blobs) each(ctx context.Context, prefix string, f func(layout.Object) error) error {
	objects := b.bucket.List(&blob.ListOptions{Prefix: prefix})
	for {
		if err := ctx.Err(); err != nil {
			return err
		}
		o, err := objects.Next(ctx)
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		if err := f(layout.Object{Key: o.Key, Size: o.Size, Time: o.ModTime}); err != nil {
			return err
		}
	}
}

func (b *blobs) delete(ctx context.Context, key string) error {
	if err := ctx.Err(); err != nil {
		return err
	}
	if err := b.bucket.Delete(ctx, key); err != nil && gcerrors.Code(err) != gcerrors.NotFound {
		return err
	}
	return nil
}

func (b *blobs) deleteAll(ctx context.Context, prefix string) error {
	all, err := b.list(ctx, prefix)
	if err != nil {
		return err
	}
	for _, o := range all {
		if err := b.delete(ctx, o.Key); err != nil {
			return err
		}
	}
	return nil
}

// runs lists everything once: buckets list by name, so that a run's objects come one after the other.
func (b *blobs) runs(ctx context.Context, f func(Run, []layout.Object) error) error {
	var run Run
	var its []layout.Object
	flush := func() error {
		if len(its) == 0 {
			return nil
		}
		defer func() { its = its[:0] }()
		return f(run, its)
	}
	err := b.each(ctx, layout.Runs, func(o layout.Object) error {
		next, ok := layout.RunOf(o.Key)
		if !ok {
			return nil
		}
		if next != run {
			if err := flush(); err != nil {
				return err
			}
			run = next
		}
		its = append(its, o)
		return nil
	})
	if err != nil {
		return err
	}
	return flush()
}

func (b *blobs) close() error { return b.bucket.Close() }
