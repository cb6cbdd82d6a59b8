package store

import (
	"errors"
	"fmt"
	"syscall"

	"github.com/dbt-operator/dbt-operator/internal/store/layout"
)

// What went wrong, for errors.Is. Every error says what was being done, and to what.
var (
	// ErrNotFound is what a read of something that is not there returns.
	ErrNotFound = errors.New("not found")
	// ErrName refuses a namespace, UID, stream, part or artifact name.
	ErrName = layout.ErrName
	// ErrTooLarge refuses bytes over a limit. Nothing of them was kept.
	ErrTooLarge = errors.New("too large")
	// ErrOffset refuses an append elsewhere than at the stream's end. It is always an *OffsetError.
	ErrOffset = errors.New("wrong offset")
	// ErrStore is any failure of the store itself: full, unreachable, refusing, too slow for the context.
	ErrStore = errors.New("the store failed")
	// ErrFull is an ErrStore of a folder without room. An object store that is full says so only in its message.
	ErrFull = errors.New("the store is full")
)

// OffsetError tells where a stream ends. It is ErrOffset.
type OffsetError struct {
	// Offset is where the append was to begin, in bytes.
	Offset int64
	// End is where the stream ends, in bytes: the offset that would have been right.
	End int64
	// Differs says that all of the append is inside the stream, but that other bytes are kept there: somebody else wrote
	// this part, and going on from End would join two streams into one.
	Differs bool
}

func (e *OffsetError) Error() string {
	if e.Differs {
		return fmt.Sprintf("wrong offset: other bytes are kept at offset %d; the stream ends at %d", e.Offset, e.End)
	}
	return fmt.Sprintf("wrong offset: the stream ends at %d, not at %d", e.End, e.Offset)
}

// Is reports whether target is ErrOffset.
func (e *OffsetError) Is(target error) bool { return target == ErrOffset }

// failed wraps an error of the store itself with what was being done.
func failed(err error, format string, args ...any) error {
	what := fmt.Sprintf(format, args...)
	switch {
	case errors.Is(err, syscall.ENOSPC), errors.Is(err, syscall.EDQUOT):
		return fmt.Errorf("%s: %w, so %w: %w", what, ErrFull, ErrStore, err)
	case errors.Is(err, ErrNotFound):
		return fmt.Errorf("%s: %w", what, err)
	default:
		return fmt.Errorf("%s: %w: %w", what, ErrStore, err)
	}
}
