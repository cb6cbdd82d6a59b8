package store

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"gocloud.dev/blob/fileblob"

	"github.com/dbt-operator/dbt-operator/internal/store/layout"
)

// folder is objects in a folder. Reading and writing are the library's; it lists by itself, as the library passes over
// what it cannot read, starts anew with each page, and opens a second file for each it finds. Names change and are listed
// under a lock, so that creating only if absent is one step, and a listing is what was there at one moment.
type folder struct {
	blobs

	root *os.Root
	// lock is the file whose lock processes take in turn; turn does so within this process.
	lock *os.File
	turn chan struct{}
}

const (
	lockName = ".lock"
	// lockRetry is how long to wait before asking again for a lock that another process has.
	lockRetry = 2 * time.Millisecond
)

// openFolder opens a folder, and makes it if it is missing.
func openFolder(dir string) (*folder, error) {
	bucket, err := fileblob.OpenBucket(dir, &fileblob.Options{
		CreateDir:   true,
		DirFileMode: 0o770,
		// Temporary files beside the final ones, as renaming is atomic only within a file system.
		NoTempDir: true,
		Metadata:  fileblob.MetadataDontWrite,
	})
	if err != nil {
		return nil, err
	}
	f := &folder{blobs: blobs{bucket: bucket}, turn: make(chan struct{}, 1)}
	if f.root, err = os.OpenRoot(dir); err != nil {
		return nil, errors.Join(err, bucket.Close())
	}
	if f.lock, err = f.root.OpenFile(lockName, os.O_RDWR|os.O_CREATE, 0o660); err != nil {
		return nil, errors.Join(err, f.root.Close(), bucket.Close())
	}
	return f, nil
}

func (f *folder) close() error {
	return errors.Join(f.lock.Close(), f.root.Close(), f.bucket.Close())
}

func (f *folder) put(ctx context.Context, key string, r io.Reader, how put) (int64, error) {
	var file *os.File
	n, err := write(ctx, f.bucket, key, r, how, func(o *os.File) { file = o }, func(publish func() error) error {
		if how.sync && file != nil {
			if err := file.Sync(); err != nil {
				return err
			}
		}
		return f.exclusive(ctx, publish)
	})
	if err == nil && how.sync {
		err = f.syncDir(path.Dir(key))
	}
	return n, err
}

// syncDir makes the names in a folder last.
func (f *folder) syncDir(name string) error {
	d, err := f.root.Open(name)
	if err != nil {
		return err
	}
	return errors.Join(d.Sync(), d.Close())
}

// exclusive calls do while no other goroutine or process does so.
func (f *folder) exclusive(ctx context.Context, do func() error) (err error) {
	select {
	case f.turn <- struct{}{}:
		defer func() { <-f.turn }()
	case <-ctx.Done():
		return ctx.Err()
	}
	raw, err := f.lock.SyscallConn()
	if err != nil {
		return err
	}
	for {
		locked, err := flock(raw, syscall.LOCK_EX|syscall.LOCK_NB)
		if err != nil {
			return err
		}
		if locked {
			break
		}
		again := time.NewTimer(lockRetry)
		select {
		case <-again.C:
		case <-ctx.Done():
			again.Stop()
			return fmt.Errorf("waiting for the lock of another process: %w", ctx.Err())
		}
	}
	defer func() {
		_, unlocking := flock(raw, syscall.LOCK_UN)
		err = errors.Join(err, unlocking)
	}()
	return do()
}

// flock reports whether the lock was had; no error means that another process has it.
func flock(raw syscall.RawConn, how int) (bool, error) {
	var err error
	if failed := raw.Control(func(fd uintptr) {
		for {
			if err = syscall.Flock(int(fd), how); !errors.Is(err, syscall.EINTR) {
				return
			}
		}
	}); failed != nil {
		return false, failed
	}
	if errors.Is(err, syscall.EWOULDBLOCK) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("locking %s (the folder's file system must have flock): %w", lockName, err)
	}
	return true, nil
}

func (f *folder) delete(ctx context.Context, key string) error {
	return f.exclusive(ctx, func() error { return f.blobs.delete(ctx, key) })
}

func (f *folder) list(ctx context.Context, prefix string) (all []layout.Object, err error) {
	err = f.exclusive(ctx, func() error {
		all, err = f.walk(ctx, prefix)
		return err
	})
	return all, err
}

func (f *folder) walk(ctx context.Context, prefix string) ([]layout.Object, error) {
	var all []layout.Object
	err := fs.WalkDir(f.root.FS(), strings.TrimSuffix(prefix, "/"), func(name string, d fs.DirEntry, err error) error {
		if err == nil {
			err = ctx.Err()
		}
		if err != nil {
			return gone(err)
		}
		if !d.Type().IsRegular() {
			return nil
		}
		info, err := d.Info()
		if err != nil {
			return gone(err)
		}
		all = append(all, layout.Object{Key: name, Size: info.Size(), Time: info.ModTime()})
		return nil
	})
	return all, err
}

// gone passes over what was deleted while it was looked at.
func gone(err error) error {
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	return err
}

// deleteAll removes the folders, too, and what a dead process left in them.
func (f *folder) deleteAll(ctx context.Context, prefix string) error {
	return f.exclusive(ctx, func() error {
		return f.root.RemoveAll(filepath.FromSlash(strings.TrimSuffix(prefix, "/")))
	})
}

func (f *folder) runs(ctx context.Context, do func(Run, []layout.Object) error) error {
	namespaces, err := f.folders(strings.TrimSuffix(layout.Runs, "/"))
	if err != nil {
		return err
	}
	for _, namespace := range namespaces {
		uids, err := f.folders(layout.Runs + namespace)
		if err != nil {
			return err
		}
		for _, uid := range uids {
			run := Run{Namespace: namespace, UID: uid}
			if run.Check() != nil {
				continue
			}
			// Only counted, so without the lock.
			its, err := f.walk(ctx, run.Prefix())
			if err != nil {
				return err
			}
			if len(its) == 0 {
				// Nothing but folders: a deletion that was cut off, or a run that is just beginning.
				info, err := f.root.Stat(run.Prefix())
				if err != nil {
					continue
				}
				its = []layout.Object{{Key: run.Prefix(), Time: info.ModTime()}}
			}
			if err := do(run, its); err != nil {
				return err
			}
		}
	}
	return nil
}

// folders returns the names of the folders in one.
func (f *folder) folders(name string) ([]string, error) {
	entries, err := fs.ReadDir(f.root.FS(), name)
	if err != nil {
		return nil, gone(err)
	}
	var names []string
	for _, e := range entries {
		if e.IsDir() {
			names = append(names, e.Name())
		}
	}
	return names, nil
}
