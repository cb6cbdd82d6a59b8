package runner

import (
	"errors"
	"fmt"
	"io"
	"os"
	"path"
	"strings"

	"github.com/go-git/go-git/v5/plumbing/filemode"
	"github.com/go-git/go-git/v5/plumbing/object"
)

// checkout writes a commit's files to the project's folder. It makes no symbolic link: one that points to a file of
// the same commit becomes a copy of it, any other is left out and said so. Submodules are left out.
func (r *Runner) checkout(tree *object.Tree) error {
	dir := r.folders.project()
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return err
	}
	root, err := os.OpenRoot(dir)
	if err != nil {
		return err
	}
	defer func() { _ = root.Close() }()
	w := object.NewTreeWalker(tree, true, nil)
	defer w.Close()
	files, room := 0, int64(maxCheckoutBytes)
	for {
		name, entry, err := w.Next()
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		from := name
		switch entry.Mode {
		case filemode.Dir:
			continue
		case filemode.Submodule:
			r.print.line("warn", "Submodule "+name+" is not fetched")
			continue
		case filemode.Symlink:
			if from = target(tree, name); from == "" {
				r.print.line("warn", "Symbolic link "+name+" is left out: it does not point to a file of the repository")
				continue
			}
		}
		if files++; files > maxCheckoutFiles {
			return errTooLarge
		}
		n, err := writeBlob(root, tree, from, name, room)
		if err != nil {
			return err
		}
		if room -= n; room < 0 {
			return errTooLarge
		}
	}
}

// target returns the file of the tree that a symbolic link leads to, through other links if need be, or nothing.
func target(tree *object.Tree, link string) string {
	const most, maxLinkBytes = 16, 4096
	for range most {
		f, err := tree.File(link)
		if err != nil {
			return ""
		}
		if f.Mode != filemode.Symlink {
			return link
		}
		if f.Size > maxLinkBytes {
			return ""
		}
		to, err := f.Contents()
		if err != nil || path.IsAbs(to) {
			return ""
		}
		link = path.Join(path.Dir(link), to)
		if link == ".." || strings.HasPrefix(link, "../") {
			return ""
		}
	}
	return ""
}

func writeBlob(root *os.Root, tree *object.Tree, from, name string, room int64) (int64, error) {
	f, err := tree.File(from)
	if err != nil {
		return 0, err
	}
	if f.Size > room {
		return 0, errTooLarge
	}
	in, err := f.Reader()
	if err != nil {
		return 0, err
	}
	defer func() { _ = in.Close() }()
	if err := root.MkdirAll(path.Dir(name), 0o755); err != nil {
		return 0, fmt.Errorf("writing %s: %w", name, err)
	}
	out, err := root.OpenFile(name, os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o644)
	if err != nil {
		return 0, fmt.Errorf("writing %s: %w", name, err)
	}
	n, err := io.Copy(out, in)
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	return n, err
}
