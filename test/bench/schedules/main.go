// Command schedules measures how late runs are made when many DbtSchedules tick in one minute: the manager's own binary,
// with all of its controllers, on an API server and etcd of its own. No kubelet runs, so that runs stay at their Jobs. It
// prints a table in Markdown whose rows end in "met" or "not met".
//
//	go run ./test/bench/schedules -n 5000 -manager bin/manager -assets bin/k8s
package main

import (
	"context"
	"flag"
	"fmt"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"
	_ "time/tzdata" // as in the manager

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/schedule"
	"github.com/dbt-operator/dbt-operator/test/bench/report"
)

// maxDecision is how long a decision may take, whatever the gap.
const maxDecision = time.Millisecond

// scenario is one way for schedules to tick in the same minute.
type scenario struct {
	name string
	// jitter is spec.jitterSeconds.
	jitter int32
	// budget is how late 99 of 100 runs may be.
	budget time.Duration
}

var scenarios = []scenario{
	{"in one minute, spread by jitterSeconds: 50", 50, 2 * time.Second},
	// All that there is to do at once: what counts is that it is done before the next minute.
	{"in the same second, no jitter", 0, time.Minute},
}

func main() {
	n := flag.Int("n", 5000, "schedules")
	manager := flag.String("manager", "bin/manager", "the manager's binary")
	assets := flag.String("assets", "bin/k8s", "folder of kube-apiserver and etcd")
	workers := flag.Int("workers", 64, "the manager's --schedule-workers")
	flag.Parse()
	met, err := bench(context.Background(), *n, *manager, *assets, *workers)
	report.Exit("schedules", met, err)
}

func bench(ctx context.Context, n int, manager, assets string, workers int) (met bool, err error) {
	found := report.New("schedules")
	table := found.Table(fmt.Sprintf("%d schedules", n), "runs made", "twice", "skew p50, s", "p99, s", "most, s", "budget p99, s")
	for _, s := range scenarios {
		r, err := measure(ctx, s, n, manager, assets, workers)
		if err != nil {
			return false, fmt.Errorf("%s: %w", s.name, err)
		}
		table.Row(len(r.skews) == n && r.twice == 0 && r.quantile(0.99) <= s.budget, s.name, strconv.Itoa(len(r.skews)), strconv.Itoa(r.twice),
			report.Seconds(r.quantile(0.5), 2), report.Seconds(r.quantile(0.99), 2), report.Seconds(r.quantile(1), 2), report.Seconds(s.budget, 0))
		found.Durations("skew "+s.name, r.skews)
		fmt.Fprintln(os.Stderr, s.name+": processor time until the last run was made:", r.spent)
	}
	took := decision()
	found.Table("decision over ten years of missed minutes", "ms", "budget, ms").Row(took <= maxDecision, "America/New_York, catch-up of 100",
		fmt.Sprintf("%.3f", float64(took.Microseconds())/1000), strconv.FormatInt(maxDecision.Milliseconds(), 10))
	return found.Finish()
}

// result is how late each run was made.
type result struct {
	skews []time.Duration
	twice int
	// spent is the processor time of each process from the tick until the last run was made.
	spent map[string]time.Duration
}

func (r *result) quantile(q float64) time.Duration {
	if len(r.skews) == 0 {
		return 0
	}
	slices.Sort(r.skews)
	return r.skews[min(len(r.skews)-1, int(q*float64(len(r.skews))))]
}

// decision returns how long one decision over a gap of ten years takes.
func decision() time.Duration {
	created := time.Date(2026, 11, 24, 5, 30, 0, 0, time.UTC)
	limit := int32(100)
	in := schedule.Input{
		Spec: &v1alpha1.DbtScheduleSpec{
			Schedule: "* * * * *", TimeZone: "America/New_York", ConcurrencyPolicy: v1alpha1.ScheduleAllow,
			CatchUp: v1alpha1.CatchUp{Policy: v1alpha1.CatchUpAll, Limit: &limit},
		},
		UID: "a", Created: created, Now: created.AddDate(10, 0, 0),
		Ticking: &v1alpha1.Ticking{Schedule: "* * * * *", TimeZone: "America/New_York", Since: metav1.NewTime(created)},
	}
	r := testing.Benchmark(func(b *testing.B) {
		for b.Loop() {
			if d, err := schedule.Decide(in); err != nil || len(d.Slots) != int(limit) {
				b.Fatal(d, err)
			}
		}
	})
	return time.Duration(r.NsPerOp())
}
