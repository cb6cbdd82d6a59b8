package ship

import (
	"context"
	"testing"
	"time"
)

func TestAgain(t *testing.T) {
	away := &statusError{code: 503}
	tests := map[string]struct {
		reason string
		// results are those of the tries; the patience ends in the last of them.
		results []error
		want    string
	}{
		"Once":          {"there is no other try to tell of", []error{context.Canceled}, "context canceled"},
		"LateSuccess":   {"what succeeded did so, whenever it came back", []error{away, nil}, ""},
		"LateEnd":       {"what went wrong before says more than that the time is over", []error{away, context.Canceled}, "the collector answered 503"},
		"FirstSucceeds": {"nor is a first try lost that succeeds late", []error{nil}, ""},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			ctx, stop := context.WithCancel(t.Context())
			defer stop()
			c := &Client{jitter: func() float64 { return 0 }, after: func(time.Duration) <-chan time.Time {
				at := make(chan time.Time, 1)
				at <- time.Time{}
				return at
			}}
			tried := 0
			err := c.again(ctx, func(context.Context) error {
				tried++
				if tried == len(tc.results) {
					stop()
				}
				return tc.results[tried-1]
			})
			got := ""
			if err != nil {
				got = err.Error()
			}
			if got != tc.want || tried != len(tc.results) {
				t.Errorf("%s: after %d tries %q, want %q", tc.reason, tried, got, tc.want)
			}
		})
	}
}
