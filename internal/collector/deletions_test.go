package collector

import (
	"context"
	"errors"
	"testing"

	"github.com/go-logr/logr"
	"github.com/google/go-cmp/cmp"
	"k8s.io/apimachinery/pkg/types"
)

// Whoever says that runs are gone never waits, and a store that refuses one does not keep the next.
func TestDeletions(t *testing.T) {
	var got []types.UID
	ctx, cancel := context.WithCancel(t.Context())
	d := NewDeletions(func(_ context.Context, _ types.NamespacedName, uid types.UID) error {
		got = append(got, uid)
		if len(got) == 3 {
			cancel()
		}
		return errors.New("the store is away")
	}, logr.Discard())
	for _, uid := range []types.UID{"a", "b", "c"} {
		d.Add(types.NamespacedName{Namespace: "ns", Name: "r"}, uid)
	}
	if err := d.Start(ctx); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff([]types.UID{"a", "b", "c"}, got); diff != "" {
		t.Errorf("deleted (-want +got):\n%s", diff)
	}
	for range 2 * maxDeletions {
		d.Add(types.NamespacedName{Namespace: "ns", Name: "r"}, "x")
	}
}
