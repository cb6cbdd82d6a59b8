// Command runner runs inside the pods that the operator makes. It is not for people: the operator tells it what to do
// in the environment variable DBT_OPERATOR_PLAN.
//
//	runner run                     fetch the source unless `prepare` did, run dbt, leave a report
//	runner prepare [--install P]   fetch the source with credentials, for a container that comes after; install itself
//	runner install P               copy itself to P
//	runner version
package main

import (
	"context"
	"fmt"
	"math/rand/v2"
	"os"
	"os/signal"
	"runtime/debug"
	"syscall"
	"time"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/plan"
	"github.com/dbt-operator/dbt-operator/internal/runner"
)

const usage = `usage: runner run | prepare [--install PATH] | install PATH | version

The operator starts this program in the pods of a DbtRun and passes its orders in ` + plan.EnvVar + `.
`

func main() {
	// dbt gets the memory: the runner collects its garbage early rather than grow.
	debug.SetMemoryLimit(48 << 20)
	os.Exit(run(os.Args[1:]))
}

func run(args []string) int {
	switch {
	case len(args) == 1 && args[0] == "run":
		return withPlan((*runner.Runner).Run)
	case len(args) == 1 && args[0] == "prepare":
		return withPlan((*runner.Runner).Prepare)
	case len(args) == 3 && args[0] == "prepare" && args[1] == "--install":
		if code := install(args[2]); code != 0 {
			return code
		}
		return withPlan((*runner.Runner).Prepare)
	case len(args) == 2 && args[0] == "install":
		return install(args[1])
	case len(args) == 1 && args[0] == "version":
		fmt.Println(version())
		return 0
	default:
		fmt.Fprint(os.Stderr, usage)
		return journal.ExitInvalidPlan
	}
}

func withPlan(do func(*runner.Runner, context.Context) int) int {
	p, err := plan.Decode(os.Getenv(plan.EnvVar))
	if err != nil {
		fmt.Fprintln(os.Stderr, "runner:", err)
		return journal.ExitInvalidPlan
	}
	ctx, stop := signal.NotifyContext(context.Background(), syscall.SIGTERM, syscall.SIGINT)
	defer stop()
	return do(runner.New(runner.Config{
		Plan: p, Environ: os.Environ(), Stdout: os.Stdout, Now: time.Now, Jitter: rand.Float64, Paths: runner.PodPaths(),
	}), ctx)
}

func install(path string) int {
	self, err := os.Executable()
	if err == nil {
		err = runner.Install(self, path)
	}
	if err != nil {
		fmt.Fprintln(os.Stderr, "runner:", err)
		return 1
	}
	return 0
}

func version() string {
	if info, ok := debug.ReadBuildInfo(); ok {
		return info.Main.Version
	}
	return "unknown"
}
