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
	"testing"
	"time"
	_ "time/tzdata" // as in the manager

	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/schedule"
	"github.com/dbt-operator/dbt-operator/test/bench/kit"
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
	kit.Exit("schedules", met, err)
}

func bench(ctx context.Context, n int, manager, assets string, workers int) (met bool, err error) {
	met = true
	fmt.Printf("| %d schedules | runs made | twice | skew p50, s | p99, s | most, s | budget p99, s | |\n|---|---|---|---|---|---|---|---|\n", n)
	for _, s := range scenarios {
		r, err := measure(ctx, s, n, manager, assets, workers)
		if err != nil {
			return false, fmt.Errorf("%s: %w", s.name, err)
		}
		ok := len(r.skews) == n && r.twice == 0 && r.quantile(0.99) <= s.budget
		met = met && ok
		fmt.Printf("| %s | %d | %d | %.2f | %.2f | %.2f | %.0f | %s |\n", s.name, len(r.skews), r.twice,
			r.quantile(0.5).Seconds(), r.quantile(0.99).Seconds(), r.quantile(1).Seconds(), s.budget.Seconds(), kit.Verdict(ok))
		fmt.Fprintln(os.Stderr, s.name+": processor time until the last run was made:", r.spent)
	}
	took := decision()
	met = met && took <= maxDecision
	fmt.Printf("\n| decision over ten years of missed minutes | ms | budget, ms | |\n|---|---|---|---|\n| America/New_York, catch-up of 100 | %.3f | %.0f | %s |\n",
		float64(took.Microseconds())/1000, float64(maxDecision.Milliseconds()), kit.Verdict(took <= maxDecision))
	return met, nil
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
