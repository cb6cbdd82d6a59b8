package main

import (
	"fmt"
	"time"

	"github.com/dbt-operator/dbt-operator/test/bench/plane"
)

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
			err := plane.KeepProfiles(o.profiles, fmt.Sprintf("profile?seconds=%d", starting))
			if err == nil {
				done <- nil
				return
			}
			time.Sleep(20 * time.Millisecond)
		}
		done <- fmt.Errorf("no profile at %s", plane.Profiler)
	}()
	return func() error { return <-done }
}
