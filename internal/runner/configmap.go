package runner

import (
	"archive/tar"
	"compress/gzip"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path"
	"path/filepath"
	"slices"
	"strings"
)

// archiveKey is the key of a ConfigMap that holds a whole project.
const archiveKey = "project.tar.gz"

// Limits of an archive's content. The archive itself is at most 1 MiB, which is what a ConfigMap holds.
const (
	maxArchiveBytes = 64 << 20
	maxArchiveFiles = 20_000
	maxPadding      = 1 << 20
)

// fetchConfigMap copies the project mounted in from to the folder to: the files of the keys, or the content of the
// key project.tar.gz. Its revision is a digest over all paths and contents.
func fetchConfigMap(from, to, name string) (project, error) {
	archive := filepath.Join(from, archiveKey)
	f, err := os.Open(archive)
	if errors.Is(err, fs.ErrNotExist) {
		return copyMounted(from, to, name)
	}
	if err != nil {
		return project{}, unavailable("ConfigMap %s: %w", name, err)
	}
	defer func() { _ = f.Close() }()
	files, err := unpack(f, to)
	if err != nil {
		return project{}, refused("ConfigMap %s, key %s: %w", name, archiveKey, err)
	}
	dir, err := topFolder(to)
	if err != nil {
		return project{}, refused("ConfigMap %s, key %s: %w", name, archiveKey, err)
	}
	return project{Dir: dir, Revision: files.digest()}, nil
}

// contents are the digests of a project's files by path.
type contents map[string][sha256.Size]byte

func (c contents) digest() string {
	paths := make([]string, 0, len(c))
	for p := range c {
		paths = append(paths, p)
	}
	slices.Sort(paths)
	h := sha256.New()
	for _, p := range paths {
		_, _ = fmt.Fprintf(h, "%s\x00%x\n", p, c[p])
	}
	return "sha256:" + hex.EncodeToString(h.Sum(nil))
}

// copyMounted copies a mounted ConfigMap. Kubelet mounts it as symbolic links into a hidden folder, "..data", which is
// followed; nothing else that begins with two dots belongs to it.
func copyMounted(from, to, name string) (project, error) {
	found := contents{}
	data := filepath.Join(from, "..data")
	if _, err := os.Stat(data); err != nil {
		data = from
	}
	root, err := filepath.EvalSymlinks(data)
	if err != nil {
		return project{}, unavailable("ConfigMap %s: %w", name, err)
	}
	err = filepath.WalkDir(root, func(p string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		rel, err := filepath.Rel(root, p)
		if err != nil {
			return err
		}
		b, err := os.ReadFile(p)
		if err != nil {
			return err
		}
		found[filepath.ToSlash(rel)] = sha256.Sum256(b)
		return writeFile(filepath.Join(to, rel), b)
	})
	if err != nil {
		return project{}, unavailable("copying ConfigMap %s: %w", name, err)
	}
	return project{Dir: to, Revision: found.digest()}, nil
}

func writeFile(name string, b []byte) error {
	if err := os.MkdirAll(filepath.Dir(name), 0o755); err != nil {
		return err
	}
	return os.WriteFile(name, b, 0o644)
}

// unpack writes a gzipped tar's folders and regular files to a folder that is made for it. Links, devices and paths
// that lead out of the folder are refused: none of them belongs in a dbt project. All writing goes through os.Root,
// so that even a folder swapped for a link while this runs leads nowhere else.
func unpack(r io.Reader, to string) (contents, error) {
	zip, err := gzip.NewReader(r)
	if err != nil {
		return nil, fmt.Errorf("is not gzip: %w", err)
	}
	if err := os.MkdirAll(to, 0o755); err != nil {
		return nil, err
	}
	root, err := os.OpenRoot(to)
	if err != nil {
		return nil, err
	}
	defer func() { _ = root.Close() }()
	u := unpacker{root: root, files: contents{}, room: maxArchiveBytes, buffer: make([]byte, 32<<10)}
	for in := tar.NewReader(zip); ; {
		h, err := in.Next()
		if errors.Is(err, io.EOF) {
			// The checksum comes last, behind what tar fills its last block with.
			_, err := io.Copy(io.Discard, io.LimitReader(zip, maxPadding))
			return u.files, notTar(err)
		}
		if err != nil {
			return nil, notTar(err)
		}
		if err := u.entry(h, in); err != nil {
			return nil, err
		}
	}
}

// notTar says what is wrong with an archive that cannot be read on.
func notTar(err error) error {
	switch {
	case err == nil:
		return nil
	case errors.Is(err, io.ErrUnexpectedEOF):
		return errors.New("ends too early: pack it anew")
	default:
		return fmt.Errorf("is not a tar archive: %w", err)
	}
}

type unpacker struct {
	root  *os.Root
	files contents
	room  int64
	seen  int
	// buffer is what the files go through.
	buffer []byte
}

func (u *unpacker) entry(h *tar.Header, in io.Reader) error {
	if u.seen++; u.seen > maxArchiveFiles {
		return fmt.Errorf("holds more than %d files", maxArchiveFiles)
	}
	name := path.Clean(h.Name)
	if strings.ContainsRune(h.Name, 0) || path.IsAbs(h.Name) || !filepath.IsLocal(name) {
		return fmt.Errorf("holds %.80q, which leads out of the project: archive the project's folder with relative paths", h.Name)
	}
	switch h.Typeflag {
	case tar.TypeXGlobalHeader:
		return nil
	case tar.TypeDir:
		return u.root.MkdirAll(name, 0o755)
	case tar.TypeReg:
		return u.file(name, in)
	default:
		return fmt.Errorf("holds %.80q, which is no regular file or folder: links and devices are not unpacked", h.Name)
	}
}

func (u *unpacker) file(name string, in io.Reader) error {
	if err := u.root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return fmt.Errorf("writing %.80q: %w", name, err)
	}
	f, err := u.root.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return fmt.Errorf("writing %.80q: %w", name, err)
	}
	defer func() { _ = f.Close() }()
	h := sha256.New()
	body := &remember{Reader: io.LimitReader(in, u.room+1)}
	n, err := io.CopyBuffer(io.MultiWriter(f, h), body, u.buffer)
	switch {
	case body.err != nil:
		return notTar(body.err)
	case err != nil:
		return fmt.Errorf("writing %.80q: %w", name, err)
	}
	if u.room -= n; u.room < 0 {
		return fmt.Errorf("unpacks to more than %d MiB: leave out what is no source, such as target/ and data", maxArchiveBytes>>20)
	}
	u.files[name] = [sha256.Size]byte(h.Sum(nil))
	return f.Close()
}

// remember keeps the error of a reader, to tell it from one of the writer that it is copied to.
type remember struct {
	io.Reader
	err error
}

func (r *remember) Read(p []byte) (int, error) {
	n, err := r.Reader.Read(p)
	if err != nil && !errors.Is(err, io.EOF) {
		r.err = err
	}
	return n, err
}

// topFolder returns the folder that holds dbt_project.yml: the archive's top, or its only folder.
func topFolder(dir string) (string, error) {
	if _, err := os.Stat(filepath.Join(dir, "dbt_project.yml")); err == nil {
		return dir, nil
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return "", err
	}
	if len(entries) == 1 && entries[0].IsDir() {
		return filepath.Join(dir, entries[0].Name()), nil
	}
	return dir, nil
}
