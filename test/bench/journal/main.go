// Command journal measures the collector by what its users would miss: 10,000 node results go to it through the runner's own
// client over TLS while its process is killed and started again ten times over the same folder, and what is kept is
// compared byte by byte with what was sent; then many runs report at once, and the processor time of the collector's process
// is counted, and how long the last reports take. It prints a table in Markdown whose rows end in "met" or "not met".
//
//	go run ./test/bench/journal -nodes 10000 -restarts 10 -runs 200 -seconds 20
package main

import (
	"context"
	"errors"
	"flag"
	"fmt"
	"net"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"syscall"
	"time"

	"github.com/dbt-operator/dbt-operator/test/bench/report"
)

// Budgets of design.
const (
	maxShare = 1.0 // percent of a core per active run
	maxP99   = time.Second
)

// rate is how many nodes a second the one run reports: more than any dbt project has.
const rate = 1000

func main() {
	nodes := flag.Int("nodes", 10_000, "node results of the one run")
	restarts := flag.Int("restarts", 10, "how often the collector is killed meanwhile")
	runs := flag.Int("runs", 200, "runs that report at once")
	seconds := flag.Int("seconds", 20, "how long they do, a node a second each")
	dir := flag.String("serve", "", "be the collector's process, with its files in this folder")
	address := flag.String("address", "", "where that listens")
	flag.Parse()
	if *dir != "" {
		if err := serve(*dir, *address, *runs); err != nil {
			fmt.Fprintln(os.Stderr, "collector:", err)
			os.Exit(1)
		}
		return
	}
	met, err := bench(context.Background(), *nodes, *restarts, *runs, *seconds)
	report.Exit("journal", met, err)
}

// row is one line of the table.
type row struct {
	what, found, budget string
	met                 bool
}

func bench(ctx context.Context, nodes, restarts, runs, seconds int) (met bool, err error) {
	dir, err := os.MkdirTemp("", "bench-journal-")
	if err != nil {
		return false, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	ca, err := certificate(ctx, filepath.Join(dir, "cert"))
	if err != nil {
		return false, err
	}
	b := &benchmark{dir: dir, ca: ca}
	one, err := b.restarted(ctx, nodes, restarts)
	if err != nil {
		return false, fmt.Errorf("one run, with restarts: %w", err)
	}
	many, err := b.atOnce(ctx, runs, seconds)
	if err != nil {
		return false, fmt.Errorf("many runs at once: %w", err)
	}
	found := report.New("journal")
	table := found.Table("what", "found", "budget")
	for _, r := range slices.Concat(one, many) {
		table.Row(r.met, r.what, r.found, r.budget)
	}
	return found.Finish()
}

type benchmark struct{ dir, ca string }

// server starts a collector on a free port.
func (b *benchmark) server(ctx context.Context, name string, runs, cores int) (*server, string, error) {
	var config net.ListenConfig
	l, err := config.Listen(ctx, "tcp", "127.0.0.1:0")
	if err != nil {
		return nil, "", err
	}
	s := &server{dir: filepath.Join(b.dir, name), address: l.Addr().String(), runs: runs, cores: cores}
	if err := errors.Join(l.Close(), os.MkdirAll(s.dir, 0o700), os.Symlink(filepath.Join(b.dir, "cert"), filepath.Join(s.dir, "cert"))); err != nil {
		return nil, "", err
	}
	return s, "https://" + s.address, s.start(ctx)
}

// restarted sends the results of one run while the collector is killed again and again.
func (b *benchmark) restarted(ctx context.Context, nodes, restarts int) ([]row, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	s, url, err := b.server(ctx, "one", 1, 1)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.cmd.Process.Kill() }()
	p, err := newPod(b.dir, url, b.ca, runName(0), 1)
	if err != nil {
		return nil, err
	}
	if err := p.begin(ctx); err != nil {
		return nil, err
	}
	begin, killed := time.Now(), 0
	var restart sync.WaitGroup
	tick := time.NewTicker(time.Second / rate)
	defer tick.Stop()
	fails := make(chan error, restarts)
	for i := range nodes {
		<-tick.C
		p.node(i)
		if killed < restarts && i >= (killed+1)*nodes/(restarts+1) {
			killed++
			// The run goes on meanwhile. A restart that takes longer than the time to the next is waited for.
			restart.Wait()
			restart.Go(func() { fails <- errors.Join(s.end(syscall.SIGKILL), s.start(ctx)) })
		}
	}
	restart.Wait()
	close(fails)
	for err := range fails {
		if err != nil {
			return nil, err
		}
	}
	last, err := p.end(ctx)
	if err != nil {
		return nil, err
	}
	if err := p.finish(ctx); err != nil {
		return nil, err
	}
	wall := time.Since(begin)
	fmt.Fprintf(os.Stderr, "%d nodes in %.1f s, %d restarts, the last report heard after %d ms\n", nodes, wall.Seconds(), killed, last.Milliseconds())
	rows, err := compare(ctx, b, p, url, nodes)
	if err != nil {
		return nil, err
	}
	if err := s.end(syscall.SIGTERM); err != nil {
		return nil, err
	}
	share := 100 * s.used.Seconds() / wall.Seconds()
	return append([]row{
		{fmt.Sprintf("collector killed while %d nodes report", nodes), fmt.Sprint(killed), fmt.Sprint(restarts), killed == restarts},
	}, append(rows, row{
		fmt.Sprintf("processor time of the collector for them, restarts included (%d a second: %.0f %% of a core)", rate, share),
		fmt.Sprintf("%.2f ms a node", 1000*s.used.Seconds()/float64(nodes)), "10 ms a node", s.used.Seconds()/float64(nodes) <= 0.01,
	})...), nil
}

// atOnce has many runs report a node a second each, and end all at the same time.
func (b *benchmark) atOnce(ctx context.Context, runs, seconds int) ([]row, error) {
	ctx, cancel := context.WithTimeout(ctx, 5*time.Minute)
	defer cancel()
	s, url, err := b.server(ctx, "many", runs, 1)
	if err != nil {
		return nil, err
	}
	defer func() { _ = s.cmd.Process.Kill() }()
	pods := make([]*pod, runs)
	if err := each(pods, func(i int) error {
		var err error
		if pods[i], err = newPod(b.dir, url, b.ca, runName(i), 1); err != nil {
			return err
		}
		return pods[i].begin(ctx)
	}); err != nil {
		return nil, err
	}
	begin := time.Now()
	tick := time.NewTicker(time.Second / time.Duration(runs))
	defer tick.Stop()
	for i := range seconds * runs {
		<-tick.C
		pods[i%runs].node(i / runs)
	}
	took := make([]time.Duration, runs)
	if err := each(pods, func(i int) error {
		var err error
		took[i], err = pods[i].end(ctx)
		return err
	}); err != nil {
		return nil, err
	}
	if err := each(pods, func(i int) error { return pods[i].finish(ctx) }); err != nil {
		return nil, err
	}
	wall := time.Since(begin)
	if err := s.end(syscall.SIGTERM); err != nil {
		return nil, err
	}
	slices.Sort(took)
	p50, p99 := took[len(took)/2], took[len(took)*99/100]
	share := 100 * s.used.Seconds() / wall.Seconds() / float64(runs)
	fmt.Fprintf(os.Stderr, "%d runs for %.1f s: %.2f s of processor time\n", runs, wall.Seconds(), s.used.Seconds())
	late := 0
	for _, d := range took {
		if d > maxP99 {
			late++
		}
	}
	return []row{
		{fmt.Sprintf("collector, of one core, per run of %d that report a node a second", runs), fmt.Sprintf("%.3f %%", share), fmt.Sprintf("%.0f %%", maxShare), share <= maxShare},
		{
			fmt.Sprintf("last report heard, p50 and p99 of %d runs that end at once", runs),
			fmt.Sprintf("%d and %d ms", p50.Milliseconds(), p99.Milliseconds()), fmt.Sprintf("p99 %d ms", maxP99.Milliseconds()), p99 <= maxP99,
		},
		{"last reports later than that", fmt.Sprint(late), "0", late == 0},
	}, nil
}

// each calls f for every index at once and returns the errors.
func each(pods []*pod, f func(i int) error) error {
	var wg sync.WaitGroup
	errs := make([]error, len(pods))
	for i := range pods {
		wg.Go(func() { errs[i] = f(i) })
	}
	wg.Wait()
	return errors.Join(errs...)
}
