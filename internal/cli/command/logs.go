package command

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/spf13/cobra"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/cli/kept"
	"github.com/dbt-operator/dbt-operator/internal/cli/kube"
	"github.com/dbt-operator/dbt-operator/internal/cli/result"
	"github.com/dbt-operator/dbt-operator/internal/cli/view"
	"github.com/dbt-operator/dbt-operator/internal/dbt/text"
)

func (a *app) logs() *cobra.Command {
	l := &logReader{app: a}
	c := &cobra.Command{
		Use:   "logs RUN",
		Short: "Print what a run's pods printed, also when they are gone",
		Long: "Prints the log of a run, over all its pods: from the pods as long as all of them are there and may be read, else from\n" +
			"what the operator keeps. Where neither can be had, the last lines in the run's status are printed.",
		Example: examples(
			"# All of it", "kubectl dbt logs shop-x7k2p",
			"# As it comes, over replaced pods, until the run ends", "kubectl dbt logs -f shop-x7k2p",
			"# What one pod printed", "kubectl dbt logs shop-x7k2p --attempt shop-x7k2p-0a1b2c3d-9wk4z"),
		Args: cobra.ExactArgs(1), ValidArgsFunction: a.names(kube.Runs, 1),
		RunE: func(c *cobra.Command, args []string) error {
			var err error
			if l.cluster, l.run, err = a.named(c.Context(), args[0]); err != nil {
				return err
			}
			if l.follow && !l.run.Status.Phase.Finished() {
				return l.followAll(c.Context())
			}
			return l.all(c.Context())
		},
	}
	c.Flags().BoolVarP(&l.follow, "follow", "f", false, "Go on printing until the run ends.")
	c.Flags().StringVar(&l.attempt, "attempt", "", "Of this pod alone.")
	c.MarkFlagsMutuallyExclusive("follow", "attempt")
	a.complete(c, "attempt", nil)
	return c
}

// logReader prints the log of one run.
type logReader struct {
	*app
	cluster *kube.Cluster
	run     *v1alpha1.DbtRun
	follow  bool
	attempt string
}

// all prints all that there is now.
func (l *logReader) all(ctx context.Context) error {
	in, err := l.results(l.cluster).Log(ctx, l.cluster, l.run, l.attempt)
	if err != nil {
		return l.tail(err)
	}
	return l.copy(in)
}

func (l *logReader) pod(ctx context.Context, name string, follow bool) error {
	in, err := l.cluster.PodLog(ctx, l.run.Namespace, name, follow)
	if err != nil {
		return err
	}
	return l.copy(in)
}

// tail prints the last lines that the status has, when the rest cannot be had.
func (l *logReader) tail(why error) error {
	if l.run.Status.Log == nil || l.run.Status.Log.Tail == "" || l.attempt != "" {
		return why
	}
	l.note("these are the last lines alone, from the run's status: %s", oneLine(why))
	return l.copy(io.NopCloser(strings.NewReader(strings.TrimRight(l.run.Status.Log.Tail, "\n") + "\n")))
}

// copy prints what comes, and closes it. What a pod printed may hold what a terminal obeys: there it is taken out.
func (l *logReader) copy(in io.ReadCloser) error {
	defer func() { _ = in.Close() }()
	if l.Width() == 0 {
		_, err := io.Copy(l.Out, in)
		return err
	}
	lines := bufio.NewReaderSize(in, 64<<10)
	for {
		line, err := lines.ReadString('\n')
		if line != "" {
			if err := l.say(text.Clean(strings.TrimRight(line, "\r\n"), 4*len(line)) + "\n"); err != nil {
				return err
			}
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return err
		}
	}
}

// look is how often it is looked for another pod, or for more of what is kept.
const look = time.Second

// followAll prints the log of one pod after the other until the run ends.
func (l *logReader) followAll(ctx context.Context) error {
	seen, said := map[string]bool{}, ""
	for {
		pods, err := result.Pods(ctx, l.cluster, l.run, "")
		var cannot *kube.Explained
		if errors.As(err, &cannot) {
			l.note("%s; following what the operator keeps instead", cannot)
			return l.followKept(ctx)
		}
		if err != nil {
			return err
		}
		for i := range pods {
			if name := pods[i].Name; !seen[name] {
				seen[name] = true
				if err := l.pod(ctx, name, true); err != nil {
					if errors.As(err, &cannot) {
						l.note("%s; following what the operator keeps instead", cannot)
						return l.followKept(ctx)
					}
					return err
				}
			}
		}
		if l.run.Status.Phase.Finished() {
			if len(seen) == 0 {
				return l.all(ctx)
			}
			return nil
		}
		if state := fmt.Sprintf("%s: %s", view.Phase(l.run), l.run.Status.Message); len(seen) == 0 && state != said {
			said = state
			l.note("DbtRun %q has no log yet (%s)", l.run.Name, strings.TrimSuffix(state, ": "))
		}
		if err := l.refresh(ctx); err != nil {
			return err
		}
	}
}

// followKept prints what is kept of the log, and what comes to it, until the run ends.
func (l *logReader) followKept(ctx context.Context) error {
	r, err := l.reader(ctx, l.cluster, l.run.Namespace)
	if err != nil {
		return err
	}
	for printed := int64(0); ; {
		over := l.run.Status.Phase.Finished()
		in, err := r.Log(ctx, key(l.run.Namespace, l.run.Name), "")
		switch {
		case errors.Is(err, kept.ErrNotKept) && !over:
		case err != nil:
			return err
		default:
			if _, err := io.CopyN(io.Discard, in, printed); err != nil && !errors.Is(err, io.EOF) {
				_ = in.Close()
				return err
			}
			counted := &counts{ReadCloser: in}
			if err := l.copy(counted); err != nil {
				return err
			}
			printed += counted.n
		}
		if over {
			return nil
		}
		if err := l.refresh(ctx); err != nil {
			return err
		}
	}
}

// counts counts what is read.
type counts struct {
	io.ReadCloser
	n int64
}

func (c *counts) Read(b []byte) (int, error) {
	n, err := c.ReadCloser.Read(b)
	c.n += int64(n)
	return n, err
}

// refresh waits a little and reads the run again.
func (l *logReader) refresh(ctx context.Context) error {
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-l.Clock.After(look):
	}
	run, err := l.cluster.Run(ctx, key(l.run.Namespace, l.run.Name))
	if err == nil {
		l.run = run
	}
	return err
}

func oneLine(err error) string { return strings.ReplaceAll(err.Error(), "\n", "; ") }
