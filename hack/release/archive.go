package main

import (
	"archive/tar"
	"compress/gzip"
	"errors"
	"fmt"
	"io"
	"os"
	"path/filepath"
	"time"
)

// writeArchive writes a gzipped tar of files, each at its top under its own name. The same files give the same bytes: of a
// file nothing counts but its name, its content and whether it can be executed.
func writeArchive(out string, files []string) error {
	f, err := os.Create(out)
	if err != nil {
		return err
	}
	zip, err := gzip.NewWriterLevel(f, gzip.BestCompression)
	if err != nil {
		return errors.Join(err, f.Close())
	}
	archive := tar.NewWriter(zip)
	for _, file := range files {
		if err = addFile(archive, file); err != nil {
			err = fmt.Errorf("packing %s: %w", file, err)
			break
		}
	}
	return errors.Join(err, archive.Close(), zip.Close(), f.Close())
}

func addFile(archive *tar.Writer, path string) error {
	in, err := os.Open(path)
	if err != nil {
		return err
	}
	defer in.Close() //nolint:errcheck // it was only read
	info, err := in.Stat()
	if err != nil {
		return err
	}
	mode := int64(0o644)
	if info.Mode()&0o111 != 0 {
		mode = 0o755
	}
	h := &tar.Header{Typeflag: tar.TypeReg, Name: filepath.Base(path), Mode: mode, Size: info.Size(), ModTime: time.Unix(0, 0), Format: tar.FormatUSTAR}
	if err := archive.WriteHeader(h); err != nil {
		return err
	}
	_, err = io.Copy(archive, in)
	return err
}
