// Package s3server runs a real S3 server, versitygw, for tests. It knows nothing of what is kept there.
package s3server

import (
	"bytes"
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/url"
	"os"
	"os/exec"
	"path/filepath"
	"syscall"
	"testing"
	"time"
)

// Server is a running S3 server.
type Server struct {
	// Address is where it listens, as host:port.
	Address string
	// Folder holds one folder for each bucket.
	Folder string
	// AccessKey and SecretKey are credentials that nobody else knows.
	AccessKey, SecretKey string
}

// Bucket is there from the start.
const Bucket = "dbt"

const (
	region = "us-east-1"
	// patience ends a test whose server neither answers nor dies.
	patience = 30 * time.Second
)

// Start starts a server on a free port of a host, and stops it when the test ends. The test is skipped where the server
// is not built.
func Start(t testing.TB, host string) Server {
	t.Helper()
	binary, err := filepath.Abs(filepath.Join("..", "..", "bin", "tools", "versitygw"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(binary); errors.Is(err, fs.ErrNotExist) {
		t.Skip("bin/tools/versitygw is not built: run hack/tool.sh versitygw, or make test-integration, which does")
	}
	s := Server{Address: freeAddress(t, host), Folder: t.TempDir(), AccessKey: rand.Text(), SecretKey: rand.Text()}
	if err := os.Mkdir(filepath.Join(s.Folder, Bucket), 0o700); err != nil {
		t.Fatal(err)
	}
	var output bytes.Buffer
	// Metadata in files of its own: not every file system has extended attributes.
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), binary,
		"--quiet", "--keep-alive", "--port", s.Address, "--region", region, "posix", "--sidecar", t.TempDir(), s.Folder)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+s.AccessKey, "ROOT_SECRET_KEY="+s.SecretKey)
	cmd.Stdout, cmd.Stderr = &output, &output
	if err := cmd.Start(); err != nil {
		t.Fatalf("starting %s: %v", binary, err)
	}
	ended := make(chan struct{})
	go func() { _ = cmd.Wait(); close(ended) }()
	t.Cleanup(func() {
		_ = cmd.Process.Signal(syscall.SIGTERM)
		select {
		case <-ended:
		case <-time.After(patience):
			_ = cmd.Process.Kill()
			<-ended
		}
		if t.Failed() {
			t.Logf("the S3 server said:\n%s", output.String())
		}
	})
	s.await(t, ended)
	return s
}

// Env returns the environment of a client that is to find the server's credentials and nothing of whoever runs it.
func (s Server) Env() map[string]string {
	return map[string]string{
		"AWS_ACCESS_KEY_ID": s.AccessKey, "AWS_SECRET_ACCESS_KEY": s.SecretKey,
		"AWS_CONFIG_FILE": os.DevNull, "AWS_SHARED_CREDENTIALS_FILE": os.DevNull,
	}
}

// freeAddress returns an address on which nobody listens now.
func freeAddress(t testing.TB, host string) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", net.JoinHostPort(host, "0"))
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// await returns when the server answers.
func (s Server) await(t testing.TB, ended <-chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.Address)
		if err == nil {
			_ = conn.Close()
			return
		}
		select {
		case <-tick.C:
		case <-ended:
			t.Fatal("the S3 server ended at once")
		case <-ctx.Done():
			t.Fatalf("the S3 server does not answer: %v", err)
		}
	}
}

// URL names a bucket for the store, with further parameters.
func (s Server) URL(name string, more url.Values) string {
	q := url.Values{"endpoint": {"http://" + s.Address}, "region": {region}, "use_path_style": {"true"}}
	for k, v := range more {
		q[k] = v
	}
	return fmt.Sprintf("s3://%s?%s", name, q.Encode())
}
