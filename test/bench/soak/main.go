// Command soak creates and deletes DbtRuns at a steady rate for a long time, on a control plane of its own with pods on paper
// (kwok), and kills the manager again and again by SIGKILL. Every run must end once, have one Job and leave nothing behind,
// and the manager's memory must stay what it was. It prints a table in Markdown whose rows end in "met" or "not met", and its
// progress each minute.
//
//	go run ./test/bench/soak -duration 1h -rate 8
package main

import (
	"context"
	"flag"
	"fmt"
	"time"

	"github.com/dbt-operator/dbt-operator/test/bench/report"
)

// options are the command's flags.
type options struct {
	duration, keep, killEvery, last time.Duration
	rate                            float64
	manager, assets, kwok           string
}

func main() {
	var o options
	flag.DurationVar(&o.duration, "duration", time.Hour, "how long runs are created")
	flag.DurationVar(&o.killEvery, "kill-every", 2*time.Minute, "how long each manager lives before it is killed")
	flag.DurationVar(&o.last, "last", 30*time.Minute, "how long the last manager lives, to see its memory: longer than the 12 minutes for which client-go remembers events")
	flag.DurationVar(&o.keep, "keep", 15*time.Second, "how long a run is kept after its end")
	flag.Float64Var(&o.rate, "rate", 8, "runs created a second; half of what bench-throughput finds")
	flag.StringVar(&o.manager, "manager", "bin/manager", "the manager's binary")
	flag.StringVar(&o.assets, "assets", "bin/k8s", "folder of Kubernetes' binaries and etcd")
	flag.StringVar(&o.kwok, "kwok", "bin/tools/kwok", "kwok's binary")
	flag.Parse()
	met, err := bench(context.Background(), o)
	report.Exit("soak", met, err)
}

// maxGrowth is how much more memory the manager may have at its end than in the middle of its life.
const maxGrowth = 1.2

func bench(ctx context.Context, o options) (met bool, err error) {
	found, err := soak(ctx, o)
	if err != nil {
		return false, err
	}
	return tabulate(o, found).Finish()
}

// tabulate makes the table of what was found.
func tabulate(o options, found *result) *report.Report {
	r := report.New("soak")
	r.Kubernetes = found.version
	t := r.Table(fmt.Sprintf("%s, %.3g runs a second, manager killed every %s", o.duration, o.rate, o.killEvery), "found", "budget")
	count := func(what string, n int) { t.Row(n == 0, what, fmt.Sprint(n), "0") }
	t.Note("runs made", fmt.Sprint(found.made))
	t.Note("managers killed", fmt.Sprint(found.kills))
	count("runs that never ended", found.lost)
	count("runs that ended otherwise than in success", found.failed)
	count("runs with more than one Job", found.doubled)
	count("ends that were taken back", found.undone)
	count("DbtRuns, Jobs and pods left when all runs were deleted", found.left)
	t.Row(growth(found.lives) <= maxGrowth, "manager's resident memory before its kill: first, last", pair(found.lives), fmt.Sprintf("× %.1f", maxGrowth))
	t.Row(growth(found.lastLife) <= maxGrowth, fmt.Sprintf("the last manager's, which lived %s: in its middle, at its end", o.last), pair(found.lastLife), fmt.Sprintf("× %.1f", maxGrowth))
	r.Raw["resident before each kill, bytes"] = found.lives
	r.Raw["resident in the last life, bytes"] = found.lastLife
	return r
}

func pair(sizes []int64) string {
	if len(sizes) == 0 {
		return "not measured"
	}
	return report.MiB(sizes[0]) + ", " + report.MiB(sizes[len(sizes)-1])
}
