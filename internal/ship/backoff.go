package ship

import (
	"context"
	"errors"
	"time"
)

const (
	firstWait = 200 * time.Millisecond
	longest   = 5 * time.Second
)

// backoff says how long to wait before asking again: twice as long each time, spread by half to either side, and not
// less than the collector asks for.
type backoff struct {
	failures int
	jitter   func() float64
}

func (b *backoff) next(err error) time.Duration {
	d := longest
	if b.failures < 5 {
		d = firstWait << b.failures
	}
	b.failures++
	d = time.Duration(float64(min(d, longest)) * (0.5 + b.jitter()))
	var status *statusError
	if errors.As(err, &status) {
		d = max(d, min(status.after, 6*longest))
	}
	return d
}

func (b *backoff) reset() { b.failures = 0 }

// again calls try until it succeeds, fails for good, or ctx is done; then it returns what went wrong last.
func (c *Client) again(ctx context.Context, try func(context.Context) error) error {
	b := backoff{jitter: c.jitter}
	var last error
	for {
		err := try(ctx)
		if err == nil {
			return nil
		}
		if ctx.Err() != nil && last != nil {
			return last
		}
		last = err
		if !passing(err) || ctx.Err() != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return err
		case <-c.after(b.next(err)):
		}
	}
}
