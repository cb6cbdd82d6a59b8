package main

import (
	"archive/tar"
	"bytes"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"strings"

	v1 "github.com/google/go-containerregistry/pkg/v1"
	"github.com/google/go-containerregistry/pkg/v1/tarball"
)

// treeLayer returns a layer that holds the file or folder src at dst.
func treeLayer(dst, src string) (v1.Layer, error) {
	var buf bytes.Buffer
	w := tar.NewWriter(&buf)
	if err := parents(w, dst); err != nil {
		return nil, err
	}
	// WalkDir visits in lexical order, so the layer's digest depends on the content alone.
	err := filepath.WalkDir(src, func(p string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(src, p)
		if err != nil {
			return err
		}
		return add(w, path.Join(dst, filepath.ToSlash(rel)), p, d)
	})
	if err != nil {
		return nil, fmt.Errorf("adding %s: %w", src, err)
	}
	if err := w.Close(); err != nil {
		return nil, err
	}
	return tarball.LayerFromOpener(func() (io.ReadCloser, error) {
		return io.NopCloser(bytes.NewReader(buf.Bytes())), nil
	}, quick)
}

// parents writes the folders above dst: an unpacker makes missing ones with modes of its own.
func parents(w *tar.Writer, dst string) error {
	dir := ""
	for _, part := range strings.Split(strings.Trim(path.Dir(path.Clean(dst)), "/"), "/") {
		if part == "" {
			continue
		}
		dir = path.Join(dir, part)
		if err := w.WriteHeader(&tar.Header{Typeflag: tar.TypeDir, Name: dir + "/", Mode: 0o755}); err != nil {
			return err
		}
	}
	return nil
}

// add writes one file, folder or link; anything else has no place in an image.
func add(w *tar.Writer, name, src string, d fs.DirEntry) error {
	info, err := d.Info()
	if err != nil {
		return err
	}
	h := &tar.Header{Name: strings.TrimPrefix(name, "/"), Mode: 0o644}
	switch {
	case info.IsDir():
		h.Typeflag, h.Mode, h.Name = tar.TypeDir, 0o755, h.Name+"/"
		return w.WriteHeader(h)
	case info.Mode()&fs.ModeSymlink != 0:
		h.Typeflag = tar.TypeSymlink
		if h.Linkname, err = os.Readlink(src); err != nil {
			return err
		}
		return w.WriteHeader(h)
	case !info.Mode().IsRegular():
		return fmt.Errorf("%s is neither file, folder nor link", src)
	}
	content, err := os.ReadFile(src)
	if err != nil {
		return err
	}
	if info.Mode()&0o100 != 0 {
		h.Mode = 0o755
	}
	h.Size = int64(len(content))
	if err := w.WriteHeader(h); err != nil {
		return err
	}
	_, err = w.Write(content)
	return err
}
