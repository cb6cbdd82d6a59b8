package main

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

// profiler is where the manager serves its profiles.
const profiler = "127.0.0.1:16060"

// starting is how much of a start the processor profile has, in seconds.
const starting = 8

// profileStart begins a processor profile as soon as the manager serves one, and returns what waits for its end.
func (o options) profileStart() func() error {
	if o.profiles == "" {
		return func() error { return nil }
	}
	done := make(chan error, 1)
	go func() {
		for range 200 {
			err := keep(o.profiles, fmt.Sprintf("profile?seconds=%d", starting))
			if err == nil {
				done <- nil
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		done <- fmt.Errorf("no profile at %s", profiler)
	}()
	return func() error { return <-done }
}

// keep writes profiles into a folder, each under its name.
func keep(folder string, names ...string) error {
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
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://"+profiler+"/debug/pprof/"+name, nil)
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
