// Command throughput measures how many DbtRuns a second are carried out, beside the same number of bare Jobs with the same
// pods, and of such Jobs with the least record of what became of them, on control planes of their own with pods on paper (kwok). It prints tables in Markdown whose rows end in "met" or
// "not met".
//
//	go run ./test/bench/throughput -manager bin/manager -assets bin/k8s -kwok bin/tools/kwok
package main

import (
	"context"
	"flag"
	"fmt"
	"maps"
	"os"
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/dbt-operator/dbt-operator/test/bench/report"
)

// minRatio is the rate of DbtRuns by that of bare Jobs.
const minRatio = 0.75

// options are the command's flags.
type options struct {
	counts                string
	manager, assets, kwok string
	clients               int
	profiles              string
}

func main() {
	var o options
	flag.StringVar(&o.counts, "n", "1000,5000", "numbers of DbtRuns, and of Jobs, separated by commas")
	flag.StringVar(&o.manager, "manager", "bin/manager", "the manager's binary")
	flag.StringVar(&o.assets, "assets", "bin/k8s", "folder of Kubernetes' binaries and etcd")
	flag.StringVar(&o.kwok, "kwok", "bin/tools/kwok", "kwok's binary")
	flag.IntVar(&o.clients, "clients", 20, "how many create at a time")
	flag.StringVar(&o.profiles, "profiles", "", "folder for Go's profiles while runs are carried out: cpu of the manager and the API server, then heap and mutex of the manager; empty for none")
	flag.Parse()
	met, err := bench(context.Background(), o)
	report.Exit("throughput", met, err)
}

func bench(ctx context.Context, o options) (met bool, err error) {
	r := report.New("throughput")
	rates := r.Table(fmt.Sprintf("created by %d clients, pods simulated", o.clients), "Jobs a second", "Jobs with a record", "DbtRuns", "by Jobs", "by Jobs with a record", "budget")
	costs := r.Table("per object, of all clients", "requests", "etcd grew by bytes", "processor, ms", "of that the API server's", "the manager's")
	for field := range strings.SplitSeq(o.counts, ",") {
		n, err := strconv.Atoi(field)
		if err != nil || n < 1 {
			return false, fmt.Errorf("-n has %q: must be numbers of at least 1", field)
		}
		jobs, err := measure(ctx, o, n, bareJobs{})
		if err != nil {
			return false, fmt.Errorf("%d Jobs: %w", n, err)
		}
		records, err := measure(ctx, o, n, recorded{})
		if err != nil {
			return false, fmt.Errorf("%d Jobs with a record: %w", n, err)
		}
		runs, err := measure(ctx, o, n, dbtRuns{})
		if err != nil {
			return false, fmt.Errorf("%d DbtRuns: %w", n, err)
		}
		r.Kubernetes = runs.version
		rate := func(of *result) string { return fmt.Sprintf("%.1f", of.rate()) }
		by := func(of *result) string { return fmt.Sprintf("%.2f", runs.rate()/of.rate()) }
		rates.Row(runs.rate() >= minRatio*jobs.rate(), strconv.Itoa(n), rate(jobs), rate(records), rate(runs), by(jobs), by(records), fmt.Sprintf("%.2f of Jobs", minRatio))
		for _, found := range []*result{jobs, records, runs} {
			r.Durations(fmt.Sprintf("ends of %d %s", n, found.what), found.ends)
			costs.Note(fmt.Sprintf("%d %s", n, found.what), found.perObject(found.requests), found.perObject(found.etcd), found.perObject(found.processor()*1000),
				found.perObject(found.spent["kube-apiserver"].Seconds()*1000), found.perObject(found.spent["manager"].Seconds()*1000))
			fmt.Fprintf(os.Stderr, "%d %s: %s; requests by verb: %v; processor time: %v\n", n, found.what, found.took().Round(time.Second/10), found.byVerb, found.spent)
		}
	}
	return r.Finish()
}

// result is what it took to carry out so many objects.
type result struct {
	what, version string
	// ends are the times from the first creation to each end, in order.
	ends     []time.Duration
	requests float64
	byVerb   map[string]float64
	etcd     float64
	// spent is the processor time of each process.
	spent map[string]time.Duration
}

func (r *result) took() time.Duration { return r.ends[len(r.ends)-1] }

func (r *result) rate() float64 { return float64(len(r.ends)) / r.took().Seconds() }

func (r *result) perObject(total float64) string {
	return fmt.Sprintf("%.1f", total/float64(len(r.ends)))
}

// processor returns the processor time of all processes, in seconds.
func (r *result) processor() (seconds float64) {
	for _, name := range slices.Sorted(maps.Keys(r.spent)) {
		seconds += r.spent[name].Seconds()
	}
	return seconds
}
