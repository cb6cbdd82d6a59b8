package dbt

import (
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

func TestReadThreads(t *testing.T) {
	t.Parallel()
	tests := map[string]struct {
		reason, in string
		want       map[string]string
		wrong      bool
	}{
		"AsDbtWritesIt": {
			reason: "each node has its thread, and what else there is is passed over",
			in: `{"metadata":{"dbt_version":"1.11.6"},"results":[{"status":"success","unique_id":"model.shop.a","thread_id":"Thread-1 (worker)","timing":[{"name":"compile"}]},
				{"unique_id":"model.shop.b","thread_id":"Thread-2 (worker)"}],"elapsed_time":1.5}`,
			want: map[string]string{"model.shop.a": "Thread-1 (worker)", "model.shop.b": "Thread-2 (worker)"},
		},
		"WithoutThreads": {
			reason: "what dbt does not say is not made up",
			in:     `{"results":[{"unique_id":"model.shop.a"},{"thread_id":"Thread-1"}]}`, want: map[string]string{},
		},
		"CutOff": {
			reason: "what came before the break is of use",
			in:     `{"results":[{"unique_id":"model.shop.a","thread_id":"T1"},{"uni`, want: map[string]string{"model.shop.a": "T1"}, wrong: true,
		},
		"AnotherShape": {reason: "a hostile pod wrote it", in: `{"results":[7]}`, want: map[string]string{}, wrong: true},
	}
	for name, test := range tests {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			got, err := ReadThreads(strings.NewReader(test.in))
			if (err != nil) != test.wrong {
				t.Errorf("%s: error %v", test.reason, err)
			}
			if diff := cmp.Diff(test.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", test.reason, diff)
			}
		})
	}
}
