package plane

import (
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"path/filepath"
	"strconv"
	"time"

	"k8s.io/client-go/kubernetes"
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

// KeepServerProfile writes a processor profile of the API server's next seconds into a folder, as apiserver.
func (p *Plane) KeepServerProfile(ctx context.Context, folder string, seconds int) error {
	c, err := kubernetes.NewForConfig(p.env.Config)
	if err != nil {
		return err
	}
	b, err := c.Discovery().RESTClient().Get().AbsPath("/debug/pprof/profile").Param("seconds", strconv.Itoa(seconds)).DoRaw(ctx)
	if err != nil {
		return fmt.Errorf("profile of the API server: %w", err)
	}
	if err := os.MkdirAll(folder, 0o755); err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "apiserver"), b, 0o644)
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
