package runner

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"os"
)

// prepare fetches the source with the credentials that only this container has, and tells the next one what it got.
func (r *Runner) prepare(ctx context.Context) error {
	if r.plan.Source.Git == nil {
		return fmt.Errorf("prepare fetches git only, and the plan's source is %s", kindOf(r.plan.Source))
	}
	p, err := r.fetchPinned(ctx, *r.plan.Source.Git)
	if err != nil {
		return err
	}
	if err := r.check(p); err != nil {
		return err
	}
	b, err := json.Marshal(p)
	if err != nil {
		return err
	}
	if err := os.WriteFile(r.folders.fetched(), b, 0o644); err != nil {
		return unavailable("telling dbt's container what was fetched: %w", err)
	}
	return nil
}

// Install copies this program to path, where dbt's container finds it. The copy appears whole or not at all.
func Install(self, path string) (err error) {
	in, err := os.Open(self)
	if err != nil {
		return fmt.Errorf("installing the runner: %w", err)
	}
	defer func() { _ = in.Close() }()
	out, err := os.OpenFile(path+".new", os.O_CREATE|os.O_TRUNC|os.O_WRONLY, 0o755)
	if err != nil {
		return fmt.Errorf("installing the runner: %w", err)
	}
	defer func() {
		if err != nil {
			_ = os.Remove(path + ".new")
		}
	}()
	_, err = io.Copy(out, in)
	if closeErr := out.Close(); err == nil {
		err = closeErr
	}
	if err != nil {
		return fmt.Errorf("installing the runner at %s: %w", path, err)
	}
	if err = os.Rename(path+".new", path); err != nil {
		return fmt.Errorf("installing the runner: %w", err)
	}
	return nil
}
