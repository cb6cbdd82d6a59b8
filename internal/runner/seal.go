package runner

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"errors"
	"fmt"
	"hash"
	"io"
	"io/fs"
	"os"
)

// maxUnzipped bounds what a cache becomes.
const maxUnzipped = 4 << 30

var errSecret = errors.New("it holds what must not leave the pod")

// seal writes a gzip of what write gives into a file, and fails with errSecret if there is a secret in it: bytes cannot be
// redacted whose form is not known.
func (r *Redactor) seal(path string, write func(io.Writer) error) error {
	out, err := os.Create(path)
	if err != nil {
		return err
	}
	zip, err := gzip.NewWriterLevel(out, gzip.BestSpeed)
	if err != nil {
		return errors.Join(err, out.Close())
	}
	check := r.check()
	err = write(io.MultiWriter(zip, check))
	return errors.Join(err, check.Close(), zip.Close(), out.Close())
}

// checking compares what is written to it with what a Redactor makes of it.
type checking struct {
	*io.PipeWriter
	written, clean hash.Hash
	redacted       chan error
}

// check returns a writer that fails at its end, with errSecret, if a secret was written to it.
func (r *Redactor) check() *checking {
	in, out := io.Pipe()
	c := &checking{PipeWriter: out, written: sha256.New(), clean: sha256.New(), redacted: make(chan error, 1)}
	go func() {
		err := r.Text(c.clean, in)
		_ = in.CloseWithError(err)
		c.redacted <- err
	}()
	return c
}

func (c *checking) Write(b []byte) (int, error) {
	_, _ = c.written.Write(b) // never fails
	return c.PipeWriter.Write(b)
}

func (c *checking) Close() error {
	if err := errors.Join(c.PipeWriter.Close(), <-c.redacted); err != nil {
		return err
	}
	if string(c.written.Sum(nil)) != string(c.clean.Sum(nil)) {
		return errSecret
	}
	return nil
}

// archiveFolder writes a folder's folders and files as a tar archive that unpack takes, and fails where unpack would.
func archiveFolder(w io.Writer, folder string) error {
	out := tar.NewWriter(w)
	root := os.DirFS(folder)
	files, room := 0, int64(maxArchiveBytes)
	err := fs.WalkDir(root, ".", func(name string, d fs.DirEntry, err error) error {
		if err != nil || name == "." {
			return err
		}
		if files++; files > maxArchiveFiles {
			return fmt.Errorf("it holds more than %d files", maxArchiveFiles)
		}
		if d.IsDir() {
			return out.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: name + "/", Mode: 0o755})
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		if !info.Mode().IsRegular() {
			return fmt.Errorf("%s is no regular file or folder", name)
		}
		if room -= info.Size(); room < 0 {
			return fmt.Errorf("it holds more than %d MiB", maxArchiveBytes>>20)
		}
		if err := out.WriteHeader(&tar.Header{Typeflag: tar.TypeReg, Name: name, Size: info.Size(), Mode: 0o644}); err != nil {
			return err
		}
		in, err := root.Open(name)
		if err != nil {
			return err
		}
		_, err = io.Copy(out, in)
		return errors.Join(err, in.Close())
	})
	return errors.Join(err, out.Close())
}

// unzip writes what a gzip holds to a file, which appears whole or not at all.
func unzip(r io.Reader, path string) error {
	zip, err := gzip.NewReader(r)
	if err != nil {
		return fmt.Errorf("it is not gzip: %w", err)
	}
	return writeWhole(path, io.LimitReader(zip, maxUnzipped))
}

// copyFile copies a regular file.
func copyFile(from, to string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	return errors.Join(writeWhole(to, in), in.Close())
}

// writeWhole writes what r gives to a file, which appears whole or not at all.
func writeWhole(path string, r io.Reader) error {
	part := path + ".part"
	out, err := os.Create(part)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, r)
	if err = errors.Join(err, out.Close()); err != nil {
		return errors.Join(err, os.Remove(part))
	}
	return os.Rename(part, path)
}
