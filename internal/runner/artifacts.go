package runner

import (
	"context"
	"errors"
	"io"
	"os"
)

// keep puts what a command left behind aside, before the next one writes over it.
func (r *Runner) keep(b begun) {}

// upload sends the run's artifacts.
func (r *Runner) upload(ctx context.Context) {}

// copyFile copies a file.
func copyFile(to, from string) error {
	in, err := os.Open(from)
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	out, err := os.Create(to)
	if err != nil {
		return err
	}
	_, err = io.Copy(out, in)
	return errors.Join(err, out.Close())
}
