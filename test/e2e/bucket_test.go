package e2e

import (
	"os"
	"path/filepath"
	"strings"
	"testing"

	corev1 "k8s.io/api/core/v1"

	"github.com/dbt-operator/dbt-operator/test/s3/s3server"
)

// What runs leave is kept in a bucket as it is in a PersistentVolume, and a manager that is started anew finds it there.
func TestBucket(t *testing.T) {
	w := newSerialWorld(t)
	server := s3server.Start(t, here(t))
	var env []corev1.EnvVar
	for name, value := range server.Env() {
		env = append(env, corev1.EnvVar{Name: name, Value: value})
	}
	w.argument("--store="+server.URL(s3server.Bucket, nil), env...)
	db := w.database()
	before := w.fiveOfEight(postgres112, db)
	pod := w.pods()[0]
	w.killed(&pod)
	w.resumed(db, before)
	w.stored("chain")

	kept := 0
	if err := filepath.WalkDir(filepath.Join(server.Folder, s3server.Bucket), func(_ string, d os.DirEntry, err error) error {
		if err == nil && d.Type().IsRegular() {
			kept++
		}
		return err
	}); err != nil || kept == 0 {
		t.Errorf("%d objects in the bucket, %v", kept, err)
	}
	w.argument("--retention-count=1000")
	reader := w.token("reader", true)
	for path, want := range map[string]string{"log": ".m8 ", "artifacts/manifest.json": "model.chain.m8", "artifacts/lineage.json": "model.chain.m8"} {
		if got := w.served(t, reader, "chain/"+path); !strings.Contains(got, want) {
			t.Errorf("%s lacks %s: %.300s", path, want, got)
		}
	}
}
