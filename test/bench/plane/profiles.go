package plane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"time"
)

// Profiler is where a manager serves its profiles that was started with ServeProfiles.
const Profiler = "127.0.0.1:16060"

// ServeProfiles has a manager serve its profiles.
const ServeProfiles = "--pprof-bind-address=" + Profiler

// KeepProfiles writes profiles into a folder, each under its name; an empty folder keeps none.
func KeepProfiles(folder string, names ...string) error {
	if folder == "" {
		return nil
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	for _, name := range names {
		if err := fetch(folder, name); err != nil {
			return fmt.Errorf("profile %s: %w", name, err)
		}
	}
	return nil
}

func fetch(folder, name string) error {
	ctx, cancel := context.WithTimeout(context.Background(), time.Minute)
	defer cancel()
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+Profiler+"/debug/pprof/"+name, nil)
	if err != nil {
		return err
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		return err
	}
	defer func() { _ = response.Body.Close() }()
	file, err := os.Create(filepath.Join(folder, request.URL.Path[len("/debug/pprof/"):]))
	if err != nil {
		return err
	}
	_, err = io.Copy(file, response.Body)
	return errors.Join(err, file.Close())
}
