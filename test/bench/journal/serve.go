package main

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"net"
	"os"
	"os/exec"
	"os/signal"
	"path/filepath"
	"strings"
	"syscall"
	"time"

	"github.com/go-logr/logr"
	"github.com/prometheus/client_golang/prometheus"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/kubernetes/scheme"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"

	"github.com/dbt-operator/dbt-operator/internal/collector"
	"github.com/dbt-operator/dbt-operator/internal/collector/cert"
	"github.com/dbt-operator/dbt-operator/internal/metrics"
	"github.com/dbt-operator/dbt-operator/internal/store"
)

// serve is the collector's process. Beside serving it does what the controller does: it asks for what is kept of each run
// every few seconds. It says when it listens.
func serve(dir, address string, runs int) error {
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM)
	defer stop()
	s, err := store.Open(ctx, "file://"+filepath.Join(dir, "store"))
	if err != nil {
		return err
	}
	defer func() { _ = s.Close() }()
	given, err := cert.NewFolder(filepath.Join(dir, "cert"))
	if err != nil {
		return err
	}
	elected := make(chan struct{})
	close(elected)
	c, err := collector.New(collector.Config{
		Clock: clock.RealClock{}, Store: s, Cache: cluster{}, Direct: cluster{}, Reviews: cluster{}, Elected: elected,
		Certificate: given.GetCertificate, Metrics: metrics.NewCollector(prometheus.NewRegistry()), Log: logr.Discard(),
	})
	if err != nil {
		return err
	}
	var l net.ListenConfig
	listener, err := l.Listen(ctx, "tcp", address)
	if err != nil {
		return err
	}
	go look(ctx, c, runs)
	fmt.Println(listening)
	return c.Serve(ctx, listener)
}

const listening = "listening"

func look(ctx context.Context, c *collector.Collector, runs int) {
	ticker := time.NewTicker(5 * time.Second)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		for i := range runs {
			if _, err := c.Kept(ctx, types.NamespacedName{Namespace: namespace, Name: runName(i)}, runUID(runName(i))); err != nil {
				fmt.Fprintln(os.Stderr, "kept:", err)
			}
		}
	}
}

// server is the collector's process as seen from outside.
type server struct {
	dir, address string
	runs, cores  int
	cmd          *exec.Cmd
	// used is the processor time of those that have ended.
	used time.Duration
}

// start starts the process and waits until it listens.
func (s *server) start(ctx context.Context) error {
	self, err := os.Executable()
	if err != nil {
		return err
	}
	s.cmd = exec.CommandContext(ctx, self, "-serve", s.dir, "-address", s.address, "-runs", fmt.Sprint(s.runs)) //nolint:gosec // this program
	s.cmd.Env = append(os.Environ(), fmt.Sprintf("GOMAXPROCS=%d", s.cores))
	s.cmd.Stderr = os.Stderr
	out, err := s.cmd.StdoutPipe()
	if err != nil {
		return err
	}
	if err := s.cmd.Start(); err != nil {
		return err
	}
	line, err := bufio.NewReader(out).ReadString('\n')
	if strings.TrimSpace(line) != listening {
		return fmt.Errorf("the collector did not come up: %q, %w", line, err)
	}
	go func() { _, _ = io.Copy(io.Discard, out) }()
	return nil
}

// end ends the process by a signal and adds up its processor time.
func (s *server) end(how os.Signal) error {
	if err := s.cmd.Process.Signal(how); err != nil {
		return err
	}
	err := s.cmd.Wait()
	s.used += s.cmd.ProcessState.UserTime() + s.cmd.ProcessState.SystemTime()
	var exit *exec.ExitError
	if how == syscall.SIGKILL && errors.As(err, &exit) {
		return nil
	}
	return err
}

// certificate writes a certificate for 127.0.0.1 into dir and returns what pods are to trust.
func certificate(ctx context.Context, dir string) (ca string, err error) {
	api := fake.NewClientBuilder().WithScheme(scheme.Scheme).Build()
	secret := types.NamespacedName{Namespace: namespace, Name: "cert"}
	k, err := cert.NewKeeper(cert.Config{Clock: clock.RealClock{}, Reader: api, Writer: api, Secret: secret, Names: []string{"127.0.0.1"}, Log: logr.Discard()})
	if err != nil {
		return "", err
	}
	if err := k.Ensure(ctx); err != nil {
		return "", err
	}
	data, err := secretData(ctx, api, secret)
	if err != nil {
		return "", err
	}
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return "", err
	}
	for _, name := range []string{"tls.crt", "tls.key", "ca.crt"} {
		if err := os.WriteFile(filepath.Join(dir, name), data[name], 0o600); err != nil {
			return "", err
		}
	}
	return k.Bundle(), nil
}
