package access

import (
	"errors"
	"fmt"
)

// What a refusal means, for errors.Is. The message of a Refusal is for whoever is refused.
var (
	// ErrUnauthenticated: who asks is not known.
	ErrUnauthenticated = errors.New("not authenticated")
	// ErrForbidden: who asks may not.
	ErrForbidden = errors.New("forbidden")
	// ErrLater: it cannot be told now; the same request may be granted a little later.
	ErrLater = errors.New("not known yet")
	// ErrTooMany: too many new tokens came from the same address; the same request may be granted a little later.
	ErrTooMany = errors.New("too many requests")
)

// Refusal is an error that is one of the above.
type Refusal struct {
	Kind    error
	Message string
}

func (r *Refusal) Error() string { return r.Message }

func (r *Refusal) Unwrap() error { return r.Kind }

func refuse(kind error, format string, args ...any) error {
	return &Refusal{kind, fmt.Sprintf(format, args...)}
}
