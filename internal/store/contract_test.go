package store_test

import (
	"testing"

	"github.com/dbt-operator/dbt-operator/internal/store"
	"github.com/dbt-operator/dbt-operator/internal/testutil/storetest"
)

func TestContractInMemory(t *testing.T) {
	t.Parallel()
	memory := open(t, "mem://")
	storetest.Run(t, func(t *testing.T) *store.Store {
		s := store.Another(memory)
		closeLater(t, s)
		return s
	})
}

func TestContractInFolder(t *testing.T) {
	t.Parallel()
	url := "file://" + t.TempDir() + "/made/by/it"
	storetest.Run(t, func(t *testing.T) *store.Store { return open(t, url) })
}

func open(t *testing.T, url string) *store.Store {
	t.Helper()
	s, err := store.Open(t.Context(), url, store.OnError(func(err error) { t.Errorf("in the background: %v", err) }))
	if err != nil {
		t.Fatalf("Open: %v", err)
	}
	closeLater(t, s)
	return s
}

func closeLater(t *testing.T, s *store.Store) {
	t.Cleanup(func() {
		if err := s.Close(); err != nil {
			t.Errorf("Close: %v", err)
		}
	})
}
