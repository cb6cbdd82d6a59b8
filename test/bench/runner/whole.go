package main

import (
	"context"
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"crypto/x509"
	"encoding/pem"
	"fmt"
	"io"
	"math/big"
	"os"
	"path/filepath"
	"time"

	"github.com/dbt-operator/dbt-operator/internal/plan"
	"github.com/dbt-operator/dbt-operator/internal/runner"
)

// wholeRun carries out a plan whose dbt prints the events, with a collector that is away: all is printed, redacted,
// journaled, compressed and kept in the spool.
func wholeRun(events string) error {
	dir, err := os.MkdirTemp(filepath.Dir(events), "run-")
	if err != nil {
		return err
	}
	for name, content := range map[string]string{"dbt_project.yml": "name: shop\n", "dbt": fmt.Sprintf("#!/bin/sh\nexec cat '%s'\n", events), "token": "token-of-the-pod"} {
		if err := os.WriteFile(filepath.Join(dir, name), []byte(content), 0o755); err != nil {
			return err
		}
	}
	ca, err := authority()
	if err != nil {
		return err
	}
	environ := []string{"PATH=" + dir + ":/usr/bin:/bin"}
	for i, s := range secrets() {
		environ = append(environ, fmt.Sprintf("PASSWORD_%d=%s", i, s))
	}
	code := runner.New(runner.Config{
		Plan: plan.Plan{
			Version: plan.Version, Run: plan.Identity{Namespace: "bench", Name: "bench", UID: "0"},
			Source: plan.Source{Image: &plan.Image{Path: dir}}, Commands: [][]string{{"build"}}, GracePeriodSeconds: 30,
			Collector: &plan.Collector{URL: "https://127.0.0.1:1", CA: ca},
		},
		Environ: environ, Stdout: io.Discard, Now: time.Now,
		After: func(d time.Duration) <-chan time.Time { return time.After(min(d, 100*time.Millisecond)) },
		Paths: runner.Paths{
			Workspace: filepath.Join(dir, "workspace"), CollectorToken: filepath.Join(dir, "token"),
			TerminationLog: filepath.Join(dir, "termination-log"),
		},
	}).Run(context.Background())
	if code != 0 {
		report, _ := os.ReadFile(filepath.Join(dir, "termination-log"))
		return fmt.Errorf("the run ended with exit code %d: %s", code, report)
	}
	return nil
}

// authority returns the certificate of an authority, which nobody shows.
func authority() (string, error) {
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		return "", err
	}
	template := &x509.Certificate{SerialNumber: big.NewInt(1), IsCA: true, BasicConstraintsValid: true}
	der, err := x509.CreateCertificate(rand.Reader, template, template, &key.PublicKey, key)
	return string(pem.EncodeToMemory(&pem.Block{Type: "CERTIFICATE", Bytes: der})), err
}
