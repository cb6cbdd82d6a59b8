package schedule

import (
	"fmt"
	"hash/fnv"
	"math"
	"time"

	"k8s.io/apimachinery/pkg/types"
)

// RunName returns the name of a tick's run: the schedule's and the Unix minute. It is the lock by which a tick has one.
func RunName(schedule string, tick time.Time) string {
	return fmt.Sprintf("%s-%d", schedule, floorDiv(tick.Unix(), 60))
}

// BackfillRunName returns the name of a tick's run in a backfill.
func BackfillRunName(schedule string, id int64, tick time.Time) string {
	return fmt.Sprintf("%s-b%d-%d", schedule, id, floorDiv(tick.Unix(), 60))
}

// ProjectRunName returns the name of the run that a change of the project has: the schedule's, the project's generation
// and a digest of its UID, as a project that is deleted and made again counts from 1.
func ProjectRunName(schedule string, project types.UID, generation int64) string {
	return fmt.Sprintf("%s-g%d-%04x", schedule, generation, uint16(digest(project))) //nolint:gosec // cut on purpose
}

// Jitter returns how much later than its ticks a schedule's runs are made: from 0 to the most, always the same share of
// it for one schedule.
func Jitter(uid types.UID, mostSeconds *int32) time.Duration {
	if mostSeconds == nil || *mostSeconds <= 0 {
		return 0
	}
	share := float64(digest(uid)) / math.MaxUint64
	return time.Duration(share * float64(*mostSeconds) * float64(time.Second)).Truncate(time.Millisecond)
}

// digest spreads UIDs, which differ in few digits when made in a row.
func digest(uid types.UID) uint64 {
	h := fnv.New64a()
	_, _ = h.Write([]byte(uid)) // it cannot fail
	x := h.Sum64()
	x ^= x >> 33
	x *= 0xff51afd7ed558ccd
	x ^= x >> 33
	return x
}
