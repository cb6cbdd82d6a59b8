package main

import (
	"os"
	"path/filepath"
	"testing"
	"time"
)

// The short form of the soak: three managers are killed while runs are made, carried out and deleted; none is lost or done
// twice, and nothing is left. Of memory a minute says nothing.
func TestShortSoak(t *testing.T) {
	assets := os.Getenv("KUBEBUILDER_ASSETS")
	t.Chdir(filepath.Join("..", "..", ".."))
	if assets == "" {
		var err error
		if assets, err = filepath.Abs(filepath.Join("bin", "k8s")); err != nil {
			t.Fatal(err)
		}
	}
	o := options{
		duration: 45 * time.Second, killEvery: 9 * time.Second, last: 15 * time.Second, keep: 3 * time.Second, rate: 4,
		manager: filepath.Join("bin", "manager"), assets: assets, kwok: filepath.Join("bin", "tools", "kwok"),
	}
	for _, needed := range []string{o.manager, o.kwok, filepath.Join(assets, "kube-scheduler")} {
		if _, err := os.Stat(needed); err != nil {
			t.Skipf("%s is not there: make test-integration builds it", needed)
		}
	}
	found, err := soak(t.Context(), o)
	if err != nil {
		t.Fatal(err)
	}
	if found.made < 50 || found.kills < 3 {
		t.Errorf("only %d runs were made and %d managers killed", found.made, found.kills)
	}
	if found.lost+found.failed+found.doubled+found.undone+found.left > 0 {
		t.Errorf("of %d runs %d never ended, %d failed, %d had more than one Job, %d ends were taken back; %d objects are left",
			found.made, found.lost, found.failed, found.doubled, found.undone, found.left)
	}
}
