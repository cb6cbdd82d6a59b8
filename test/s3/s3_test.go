package s3

import (
	"context"
	"errors"
	"net/url"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/dbt-operator/dbt-operator/internal/store"
	"github.com/dbt-operator/dbt-operator/internal/testutil/storetest"
	"github.com/dbt-operator/dbt-operator/test/s3/s3server"
)

// start starts a server to which this process then has the credentials.
func start(t *testing.T) s3server.Server {
	t.Helper()
	s := s3server.Start(t, "127.0.0.1")
	for name, value := range s.Env() {
		t.Setenv(name, value)
	}
	return s
}

func open(t *testing.T, url string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), url, store.OnError(func(err error) { t.Errorf("in the background: %v", err) }))
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
	return s
}

func TestContract(t *testing.T) {
	server := start(t)
	storetest.Run(t, func(t *testing.T) *store.Store { return open(t, server.URL(s3server.Bucket, nil)) })
}

func TestPrefix(t *testing.T) {
	server := start(t)
	run := store.Run{Namespace: "shop", UID: "uid-1"}
	s := open(t, server.URL(s3server.Bucket, url.Values{"prefix": {"of/dbt"}}))
	if err := s.PutMeta(t.Context(), run, []byte("{}")); err != nil {
		t.Fatalf("PutMeta: %v", err)
	}
	if _, err := os.Stat(filepath.Join(server.Folder, s3server.Bucket, "of", "dbt", "runs", "shop", "uid-1", "meta.json")); err != nil {
		t.Errorf("a document below a prefix: %v", err)
	}
	var seen []store.Run
	if err := s.Runs(t.Context(), func(i store.RunInfo) error { seen = append(seen, i.Run); return nil }); err != nil || len(seen) != 1 {
		t.Errorf("Runs below a prefix = %v, %v; want one", seen, err)
	}
}

// TestUnfit tries what an administrator may get wrong. Check says so; nothing hangs.
func TestUnfit(t *testing.T) {
	server := start(t)
	tests := map[string]struct {
		reason string
		bucket string
		more   url.Values
		secret string
		want   string
	}{
		"NoBucket":    {"the bucket was never made", "other", nil, "", "NoSuchBucket"},
		"WrongSecret": {"the secret key is another one", s3server.Bucket, nil, "not the secret", "SignatureDoesNotMatch"},
		"NoServer":    {"nobody listens there", s3server.Bucket, url.Values{"endpoint": {"http://127.0.0.1:1"}}, "", "connection refused"},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			if tc.secret != "" {
				t.Setenv("AWS_SECRET_ACCESS_KEY", tc.secret)
			}
			ctx, cancel := context.WithTimeout(t.Context(), time.Minute)
			defer cancel()
			s := open(t, server.URL(tc.bucket, tc.more))
			err := s.Check(ctx)
			if !errors.Is(err, store.ErrStore) || errors.Is(err, store.ErrNotFound) || !strings.Contains(err.Error(), tc.want) {
				t.Errorf("%s: Check: %v; want ErrStore that says %s", tc.reason, err, tc.want)
			}
			t.Log(err)
			run := store.Run{Namespace: "shop", UID: "uid-1"}
			if _, err := s.Append(ctx, run, "journal", "pod-1", 0, []byte("x")); !errors.Is(err, store.ErrStore) {
				t.Errorf("%s: Append: %v; want ErrStore", tc.reason, err)
			}
		})
	}
}
