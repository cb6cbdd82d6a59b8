package dbt

import (
	"bytes"
	"encoding/json"
	"errors"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

func TestNodeDone(t *testing.T) {
	cases := map[string]struct {
		done   bool
		reason string
	}{
		"success": {true, "it was made"}, "pass": {true, "the test passed"}, "Success": {true, "dbt's case is not to be relied on"},
		"warn":  {true, "a warning does not fail a run"},
		"no-op": {true, "there is nothing to do"}, "reused": {true, "dbt 2.x found it made already"},
		"error": {false, "it can be the pod's end that made it fail"}, "fail": {false, "its model may be another by now"},
		"skipped": {false, "what it waited for comes again"}, "cancelled": {false, "it was cut off"},
		"partial success": {false, "some batches are missing"}, "runtime error": {false, "dbt could not run it"},
		"": {false, "it never ended"}, "None": {false, "it never ended"}, "started": {false, "it was cut off"}, "splendid": {false, "no dbt says so"},
	}
	for status, tc := range cases {
		if got := NodeDone(status); got != tc.done {
			t.Errorf("NodeDone(%q) = %v: %s", status, got, tc.reason)
		}
	}
}

func halfDone() RunResults {
	return RunResults{
		Command: "build", Version: "1.12.6", InvocationID: "0a7bb188-5738-40fb-8cbb-36ad6dce73ad",
		Time: time.Date(2026, 11, 24, 15, 0, 0, 0, time.FixedZone("WET", 3600)),
		Results: []Result{
			{"seed.rs.s1", "success"}, {"model.rs.m1", "reused"}, {"test.rs.not_null_m1_id.558fac2ce5", "warn"},
			{"unit_test.rs.m7.ut_m7", "pass"}, {"model.rs.m3", "error"}, {"model.rs.m4", "no-op"}, {"model.rs.m5", "cancelled"}, {"model.rs.m7", ""},
		},
	}
}

func TestWriteRunResults(t *testing.T) {
	want, err := os.ReadFile("testdata/run_results.json")
	if err != nil {
		t.Fatal(err)
	}
	var got, golden bytes.Buffer
	if err := WriteRunResults(&got, halfDone()); err != nil {
		t.Fatal(err)
	}
	if err := json.Compact(&golden, want); err != nil {
		t.Fatal(err)
	}
	if diff := cmp.Diff(golden.String(), got.String()); diff != "" {
		t.Errorf("the document that was tried on dbt 1.11, 1.12 and 2.0: -want +got\n%s", diff)
	}
}

func TestWriteRunResultsOfNothing(t *testing.T) {
	var b strings.Builder
	if err := WriteRunResults(&b, RunResults{Command: "run"}); err != nil || !strings.Contains(b.String(), `"results":[]`) {
		t.Errorf("dbt wants a list, not null: %s, %v", b.String(), err)
	}
}

type fullDisk struct{}

var errFull = errors.New("no space left on device")

func (fullDisk) Write([]byte) (int, error) { return 0, errFull }

func TestWriteRunResultsSaysWhatWentWrong(t *testing.T) {
	if err := WriteRunResults(fullDisk{}, halfDone()); !errors.Is(err, errFull) || !strings.HasPrefix(err.Error(), "writing run_results.json: ") {
		t.Errorf("got %v", err)
	}
}
