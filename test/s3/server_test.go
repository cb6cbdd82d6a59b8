package s3

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

// server is a running S3 server.
type server struct {
	address string
	// folder holds one folder for each bucket.
	folder string
}

const (
	bucket = "dbt"
	region = "us-east-1"
	// patience ends a test whose server neither answers nor dies.
	patience = 30 * time.Second
)

// startServer starts a server on a free port, with credentials that nobody else knows, and stops it when the test ends.
func startServer(t *testing.T) server {
	t.Helper()
	binary, err := filepath.Abs(filepath.Join("..", "..", "bin", "tools", "versitygw"))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(binary); errors.Is(err, fs.ErrNotExist) {
		t.Skip("bin/tools/versitygw is not built: run hack/tool.sh versitygw, or make test-integration, which does")
	}
	s := server{address: freeAddress(t), folder: t.TempDir()}
	if err := os.Mkdir(filepath.Join(s.folder, bucket), 0o700); err != nil {
		t.Fatal(err)
	}
	access, secret := rand.Text(), rand.Text()
	var output bytes.Buffer
	// Metadata in files of its own: not every file system has extended attributes.
	cmd := exec.CommandContext(context.WithoutCancel(t.Context()), binary,
		"--quiet", "--keep-alive", "--port", s.address, "--region", region, "posix", "--sidecar", t.TempDir(), s.folder)
	cmd.Env = append(os.Environ(), "ROOT_ACCESS_KEY="+access, "ROOT_SECRET_KEY="+secret)
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
	t.Setenv("AWS_ACCESS_KEY_ID", access)
	t.Setenv("AWS_SECRET_ACCESS_KEY", secret)
	// Nothing of whoever runs the test.
	t.Setenv("AWS_CONFIG_FILE", os.DevNull)
	t.Setenv("AWS_SHARED_CREDENTIALS_FILE", os.DevNull)
	return s
}

// freeAddress returns an address on which nobody listens now.
func freeAddress(t *testing.T) string {
	t.Helper()
	l, err := (&net.ListenConfig{}).Listen(t.Context(), "tcp", "127.0.0.1:0")
	if err != nil {
		t.Fatal(err)
	}
	defer func() { _ = l.Close() }()
	return l.Addr().String()
}

// await returns when the server answers.
func (s server) await(t *testing.T, ended <-chan struct{}) {
	t.Helper()
	ctx, cancel := context.WithTimeout(t.Context(), patience)
	defer cancel()
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		conn, err := (&net.Dialer{}).DialContext(ctx, "tcp", s.address)
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

// url names the bucket for the store, with further parameters.
func (s server) url(name string, more url.Values) string {
	q := url.Values{"endpoint": {"http://" + s.address}, "region": {region}, "use_path_style": {"true"}}
	for k, v := range more {
		q[k] = v
	}
	return fmt.Sprintf("s3://%s?%s", name, q.Encode())
}
