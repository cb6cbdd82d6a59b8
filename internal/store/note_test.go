package store_test

import (
	"errors"
	"testing"

	"github.com/dbt-operator/dbt-operator/internal/store"
)

// Notes are kept by name, replaced whole, and go with their run.
func TestNotes(t *testing.T) {
	ctx := t.Context()
	s, err := store.Open(ctx, "file://"+t.TempDir())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = s.Close() })
	run, other := store.Run{Namespace: "a", UID: "u"}, store.Run{Namespace: "a", UID: "v"}
	for _, content := range []string{"one", "two"} {
		if err := s.PutNote(ctx, run, "mark", []byte(content)); err != nil {
			t.Fatal(err)
		}
	}
	if got, err := s.Note(ctx, run, "mark"); err != nil || string(got) != "two" {
		t.Errorf("got %q, %v", got, err)
	}
	for _, missing := range []error{second(s.Note(ctx, run, "other")), second(s.Note(ctx, other, "mark"))} {
		if !errors.Is(missing, store.ErrNotFound) {
			t.Errorf("got %v, want ErrNotFound", missing)
		}
	}
	for _, bad := range []string{"", "../mark", "a/b", "Mark"} {
		if err := s.PutNote(ctx, run, bad, nil); !errors.Is(err, store.ErrName) {
			t.Errorf("the name %q: got %v, want ErrName", bad, err)
		}
	}
	if err := s.PutNote(ctx, run, "mark", make([]byte, store.MaxMeta+1)); !errors.Is(err, store.ErrTooLarge) {
		t.Errorf("too large: got %v", err)
	}
	if err := s.DeleteRun(ctx, run); err != nil {
		t.Fatal(err)
	}
	if _, err := s.Note(ctx, run, "mark"); !errors.Is(err, store.ErrNotFound) {
		t.Errorf("after its run was deleted: got %v", err)
	}
}

func second(_ []byte, err error) error { return err }
