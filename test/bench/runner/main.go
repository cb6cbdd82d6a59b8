// Command runner measures the parts of the runner that grow with a project: how fast it reads dbt's events, beside jq
// that reads the same file and does nothing with it, and what the lineage of a large manifest takes. It prints a table
// in Markdown whose rows end in "met" or "not met".
//
// Times are of the processor, user and system, of all threads: on a machine that has nothing else to do the clock on the
// wall shows no more, and on one that has, it shows what the others do.
//
//	go run ./test/bench/runner -events 1024 -manifest 100
package main

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"runtime/debug"
	"strconv"
	"strings"
	"time"

	"github.com/dbt-operator/dbt-operator/internal/dbt"
	"github.com/dbt-operator/dbt-operator/internal/runner"
	"github.com/dbt-operator/dbt-operator/test/bench/report"
)

// Budgets of design. The memory limit is the one that the runner sets itself (cmd/runner).
const (
	minRate     = 150.0 // MB/s
	maxManifest = 1500 * time.Millisecond
	maxResident = 64 << 20
	maxBinary   = 20_000_000
	memoryLimit = 48 << 20
)

func main() {
	events := flag.Int("events", 1024, "size of the events, MB")
	manifest := flag.Int("manifest", 100, "size of the manifest, MB")
	captures := flag.String("captures", "internal/dbt/testdata", "the folder with captured events")
	child := flag.String("child", "", "what a process of its own measures: events, run, manifest or redact; the file is the argument")
	flag.Parse()
	var met bool
	var err error
	if *child != "" {
		met, err = true, measure(*child, flag.Arg(0))
	} else {
		met, err = bench(*events, *manifest, *captures)
	}
	report.Exit("runner", met, err)
}

func bench(eventsMB, manifestMB int, captures string) (met bool, err error) {
	dir, err := os.MkdirTemp("", "bench-runner-")
	if err != nil {
		return false, err
	}
	defer func() { _ = os.RemoveAll(dir) }()
	eventFile, manifestFile := filepath.Join(dir, "events.jsonl"), filepath.Join(dir, "manifest.json")
	if err := errors.Join(writeEvents(eventFile, int64(eventsMB)*1e6, captures), writeManifest(manifestFile, int64(manifestMB)*1e6)); err != nil {
		return false, err
	}
	took, _, err := inChild("events", eventFile)
	if err != nil {
		return false, err
	}
	whole, wholeResident, err := inChild("run", eventFile)
	if err != nil {
		return false, err
	}
	jq, jqNote, err := timeJQ(eventFile)
	if err != nil {
		return false, err
	}
	lineage, resident, err := inChild("manifest", manifestFile)
	if err != nil {
		return false, err
	}
	redacted, redactedResident, err := inChild("redact", manifestFile)
	if err != nil {
		return false, err
	}
	size, err := binary(dir)
	if err != nil {
		return false, err
	}
	rate := float64(eventsMB) / took.Seconds()
	beside := jqNote
	if jq > 0 {
		beside = fmt.Sprintf("jq: %.0f MB/s", float64(eventsMB)/jq.Seconds())
	}
	found := report.New("runner")
	table := found.Table("what", "measured", "beside", "budget")
	row := func(what, measured, beside, budget string, ok bool) { table.Row(ok, what, measured, beside, budget) }
	row(fmt.Sprintf("%d MB of events, read and recorded", eventsMB), fmt.Sprintf("%.0f MB/s", rate), beside, fmt.Sprintf("≥ %.0f MB/s", minRate), rate >= minRate)
	row("a run that prints them, its collector away", fmt.Sprintf("%.0f MB/s, %.0f MiB resident", float64(eventsMB)/whole.Seconds(), float64(wholeResident)/(1<<20)), "", fmt.Sprintf("≤ %d MiB", maxResident>>20), wholeResident <= maxResident)
	row(fmt.Sprintf("lineage of a manifest of %d MB", manifestMB), fmt.Sprintf("%.2f s", lineage.Seconds()), "", fmt.Sprintf("≤ %.1f s", maxManifest.Seconds()), lineage <= maxManifest)
	row("the same, resident", fmt.Sprintf("%.0f MiB", float64(resident)/(1<<20)), "", fmt.Sprintf("≤ %d MiB", maxResident>>20), resident <= maxResident)
	row("the same manifest redacted, to be kept", fmt.Sprintf("%.2f s, %.0f MiB resident", redacted.Seconds(), float64(redactedResident)/(1<<20)), "", fmt.Sprintf("≤ %d MiB", maxResident>>20), redactedResident <= maxResident)
	row("the runner's binary", fmt.Sprintf("%.1f MB", float64(size)/1e6), "", fmt.Sprintf("≤ %d MB", maxBinary/1_000_000), size <= maxBinary)
	return found.Finish()
}

// inChild measures in a process of its own, whose peak of resident memory is nobody else's.
func inChild(what, file string) (took time.Duration, resident int64, err error) {
	self, err := os.Executable()
	if err != nil {
		return 0, 0, err
	}
	c := exec.CommandContext(context.Background(), self, "-child", what, file)
	c.Stderr = os.Stderr
	out, err := c.Output()
	if err != nil {
		return 0, 0, fmt.Errorf("measuring %s: %w", what, err)
	}
	_, err = fmt.Sscan(string(out), &resident)
	return processor(c), resident, err
}

func processor(c *exec.Cmd) time.Duration {
	return c.ProcessState.UserTime() + c.ProcessState.SystemTime()
}

// measure does the work and prints the peak of resident memory in bytes.
func measure(what, file string) error {
	debug.SetMemoryLimit(memoryLimit)
	f, err := os.Open(file)
	if err != nil {
		return err
	}
	defer func() { _ = f.Close() }()
	switch what {
	case "events":
		err = readEvents(f)
	case "manifest":
		err = readManifest(f)
	case "run":
		err = wholeRun(file)
	case "redact":
		err = runner.NewRedactor(secrets()).JSON(io.Discard, f)
	}
	if err != nil {
		return err
	}
	peak, err := peakMemory()
	fmt.Println(peak)
	return err
}

func readEvents(r io.Reader) error {
	record := dbt.NewRecorder(nil)
	in := bufio.NewReaderSize(r, 1<<20)
	for {
		line, err := in.ReadSlice('\n')
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
		e, ok := dbt.ParseEvent(bytes.TrimSpace(line))
		if !ok {
			return fmt.Errorf("no event: %.100s", line)
		}
		record.Observe(e)
	}
}

func readManifest(r io.Reader) error {
	m, err := dbt.ReadManifest(bufio.NewReaderSize(r, 64<<10))
	if err != nil {
		return err
	}
	if l := m.Lineage(nil); l.Nodes == 0 || l.Edges == 0 {
		return fmt.Errorf("a lineage of %d nodes and %d edges", l.Nodes, l.Edges)
	}
	return nil
}

// secrets are as many as a pod may well have.
func secrets() []string {
	var out []string
	for i := range 20 {
		out = append(out, fmt.Sprintf("s3cr3t-%d-of-a-warehouse", i))
	}
	return out
}

func peakMemory() (int64, error) {
	b, err := os.ReadFile("/proc/self/status")
	if err != nil {
		return 0, err
	}
	for line := range strings.Lines(string(b)) {
		if kb, ok := strings.CutPrefix(line, "VmHWM:"); ok {
			n, err := strconv.ParseInt(strings.TrimSpace(strings.TrimSuffix(strings.TrimSpace(kb), "kB")), 10, 64)
			return n << 10, err
		}
	}
	return 0, errors.New("/proc/self/status has no VmHWM")
}

// timeJQ returns how long jq takes to read the file, or says that it is not there.
func timeJQ(file string) (time.Duration, string, error) {
	path, err := exec.LookPath("jq")
	if err != nil {
		return 0, "jq is not installed", nil
	}
	f, err := os.Open(file)
	if err != nil {
		return 0, "", err
	}
	defer func() { _ = f.Close() }()
	c := exec.CommandContext(context.Background(), path, "-c", ".")
	c.Stdin = f
	if err := c.Run(); err != nil {
		return 0, "", err
	}
	return processor(c), "", nil
}

func binary(dir string) (int64, error) {
	path := filepath.Join(dir, "runner")
	c := exec.CommandContext(context.Background(), "go", "build", "-trimpath", "-ldflags", "-s -w", "-o", path, "./cmd/runner")
	c.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := c.CombinedOutput(); err != nil {
		return 0, fmt.Errorf("building the runner: %w\n%s", err, out)
	}
	info, err := os.Stat(path)
	if err != nil {
		return 0, err
	}
	return info.Size(), nil
}
