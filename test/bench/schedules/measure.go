package main

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/watch"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/tools/cache"
	watchtools "k8s.io/client-go/tools/watch"
	"k8s.io/utils/ptr"
	ctrl "sigs.k8s.io/controller-runtime"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/envtest"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/schedule"
)

const (
	namespace = "default"
	// creators make schedules at a time.
	creators = 8
	// patience is how long after the tick runs are waited for.
	patience = 3 * time.Minute
)

// measure starts an API server and the manager, makes the schedules, and times their runs from the moment they are due to
// the watch event that says they are there.
func measure(ctx context.Context, s scenario, n int, manager, assets string, workers int) (*result, error) {
	ctrl.SetLogger(logr.Discard())
	env := &envtest.Environment{BinaryAssetsDirectory: assets, CRDDirectoryPaths: []string{filepath.Join("config", "crd", "bases")}, ErrorIfCRDPathMissing: true}
	config, err := env.Start()
	if err != nil {
		return nil, fmt.Errorf("starting the API server: %w", err)
	}
	defer env.Stop() //nolint:errcheck // the process ends
	config.QPS = -1
	scheme := runtime.NewScheme()
	if err := clientgoscheme.AddToScheme(scheme); err != nil {
		return nil, err
	}
	if err := v1alpha1.AddToScheme(scheme); err != nil {
		return nil, err
	}
	c, err := client.NewWithWatch(config, client.Options{Scheme: scheme})
	if err != nil {
		return nil, err
	}
	stop, err := startManager(env, manager, workers)
	if err != nil {
		return nil, err
	}
	defer stop()
	tick := time.Now().Truncate(time.Minute).Add(2*time.Minute + time.Duration(n/100)*time.Second).Truncate(time.Minute)
	began := time.Now()
	due, err := makeSchedules(ctx, c, s, n, tick)
	if err != nil {
		return nil, err
	}
	if left := time.Until(tick); left < 5*time.Second {
		return nil, fmt.Errorf("making the schedules took until %s before their tick: too slow a machine, or too many schedules", left)
	}
	fmt.Fprintf(os.Stderr, "%s: %d schedules made in %s, %s before their tick\n", s.name, n, time.Since(began).Round(time.Second/10), time.Until(tick).Round(time.Second))
	before := processors()
	r, err := follow(ctx, c, due)
	if err != nil {
		return nil, err
	}
	spent := processors()
	for name := range spent {
		spent[name] -= before[name]
	}
	r.spent = spent
	return r, nil
}

// processors returns the processor time so far, user and system, of the processes that this one started, by name.
func processors() map[string]time.Duration {
	out := map[string]time.Duration{}
	stats, _ := filepath.Glob("/proc/[0-9]*/stat")
	for _, path := range stats {
		b, err := os.ReadFile(path)
		if err != nil {
			continue // it ended
		}
		// pid (name) state ppid …, proc(5); times are the 14th and 15th field, in hundredths of a second.
		name, rest, found := strings.Cut(string(b), ") ")
		_, name, _ = strings.Cut(name, "(")
		fields := strings.Fields(rest)
		if !found || len(fields) < 13 || fields[1] != strconv.Itoa(os.Getpid()) {
			continue
		}
		for _, field := range fields[11:13] {
			if ticks, err := strconv.ParseInt(field, 10, 64); err == nil {
				out[name] += time.Duration(ticks) * 10 * time.Millisecond
			}
		}
	}
	return out
}

// startManager starts the manager's own binary on the API server.
func startManager(env *envtest.Environment, manager string, workers int) (stop func(), err error) {
	kubeconfig := filepath.Join(os.TempDir(), fmt.Sprintf("bench-schedules-%d.kubeconfig", os.Getpid()))
	if err := os.WriteFile(kubeconfig, env.KubeConfig, 0o600); err != nil {
		return nil, err
	}
	logs, err := os.Create(filepath.Join(os.TempDir(), "bench-schedules.log"))
	if err != nil {
		return nil, err
	}
	cmd := exec.Command(manager, "--runner-image=registry.example.com/dbt-operator:1", "--metrics-bind-address=0", "--health-probe-bind-address=0", //nolint:noctx // stop ends it
		fmt.Sprintf("--schedule-workers=%d", workers))
	cmd.Env = append(os.Environ(), "KUBECONFIG="+kubeconfig)
	cmd.Stdout, cmd.Stderr = logs, logs
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("starting %s: %w", manager, err)
	}
	return func() {
		_ = cmd.Process.Kill()
		_ = cmd.Wait()
		_ = logs.Close()
		_ = os.Remove(kubeconfig)
	}, nil
}

// makeSchedules makes schedules that all tick at one minute, and returns when each run is due, by the schedule's name.
func makeSchedules(ctx context.Context, c client.Client, s scenario, n int, tick time.Time) (map[string]time.Time, error) {
	project := &v1alpha1.DbtProject{ObjectMeta: metav1.ObjectMeta{Name: "shop", Namespace: namespace}}
	project.Spec.Image = "registry.example.com/dbt:1.11"
	project.Spec.Source.Image = &v1alpha1.ImageSource{Path: "/dbt"}
	project.Spec.Concurrency = &v1alpha1.Concurrency{Policy: v1alpha1.ConcurrencyAllow}
	if err := c.Create(ctx, project); err != nil {
		return nil, err
	}
	if err := c.Create(ctx, &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Name: "default", Namespace: namespace}}); client.IgnoreAlreadyExists(err) != nil {
		return nil, err
	}
	due := map[string]time.Time{}
	var mu sync.Mutex
	var failed error
	var all sync.WaitGroup
	names := make(chan string)
	for range creators {
		all.Go(func() {
			for name := range names {
				uid, err := makeSchedule(ctx, c, s, name, tick)
				mu.Lock()
				if err != nil {
					failed = err
				}
				due[name] = tick.Add(schedule.Jitter(uid, &s.jitter))
				mu.Unlock()
			}
		})
	}
	for i := range n {
		names <- fmt.Sprintf("s-%05d", i)
	}
	close(names)
	all.Wait()
	return due, failed
}

func makeSchedule(ctx context.Context, c client.Client, s scenario, name string, tick time.Time) (types.UID, error) {
	obj := &v1alpha1.DbtSchedule{ObjectMeta: metav1.ObjectMeta{Name: name, Namespace: namespace}}
	obj.Spec.Schedule = fmt.Sprintf("%d %d * * *", tick.UTC().Minute(), tick.UTC().Hour())
	obj.Spec.JitterSeconds = ptr.To(s.jitter)
	// So that each firing asks whether the author may.
	obj.Spec.RequestedBy = &v1alpha1.Requester{Username: "bench", Groups: []string{"system:masters"}}
	obj.Spec.RunTemplate.Spec.ProjectRef = &v1alpha1.ProjectReference{Name: "shop"}
	err := c.Create(ctx, obj)
	return obj.UID, err
}

// follow watches runs as they are made.
func follow(ctx context.Context, c client.WithWatch, due map[string]time.Time) (*result, error) {
	runs := &v1alpha1.DbtRunList{}
	if err := c.List(ctx, runs, client.InNamespace(namespace)); err != nil {
		return nil, err
	}
	// The API server ends the watch of a client that is slow to read, as this one may be on a machine that all share.
	w, err := watchtools.NewRetryWatcherWithContext(ctx, runs.ResourceVersion, &cache.ListWatch{
		WatchFuncWithContext: func(ctx context.Context, o metav1.ListOptions) (watch.Interface, error) {
			return c.Watch(ctx, &v1alpha1.DbtRunList{}, client.InNamespace(namespace), &client.ListOptions{Raw: &o})
		},
	})
	if err != nil {
		return nil, err
	}
	defer w.Stop()
	r, seen := &result{}, map[string]bool{}
	timeout := time.After(patience + time.Minute)
	// What is made twice is made soon after.
	var quiet <-chan time.Time
	for {
		select {
		case e, open := <-w.ResultChan():
			at := time.Now()
			run, ok := e.Object.(*v1alpha1.DbtRun)
			if !open || !ok {
				return nil, fmt.Errorf("the watch ended with %v", e.Object)
			}
			if e.Type != watch.Added {
				continue
			}
			name := run.Labels[v1alpha1.LabelSchedule]
			if seen[name] {
				r.twice++
				continue
			}
			seen[name] = true
			r.skews = append(r.skews, at.Sub(due[name]))
			if len(seen) == len(due) {
				quiet = time.After(10 * time.Second)
			}
		case <-quiet:
			return r, nil
		case <-timeout:
			return r, nil
		}
	}
}
