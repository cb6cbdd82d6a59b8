// Package kit is what benchmarks share: a client, a namespace that goes with them, and waiting by watch. It
// knows Kubernetes and the API of the operator; it never knows what is measured.
package kit

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"strings"
	"time"

	"github.com/go-logr/logr"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime"
	"k8s.io/apimachinery/pkg/watch"
	"k8s.io/client-go/kubernetes"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/config"
	"sigs.k8s.io/controller-runtime/pkg/log"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// Place is a namespace of the cluster that KUBECONFIG names.
type Place struct {
	client.WithWatch
	Namespace string
	rest      *rest.Config
}

// Open makes a namespace whose name begins with the prefix.
func Open(ctx context.Context, prefix string) (*Place, error) {
	log.SetLogger(logr.Discard())
	cfg, err := config.GetConfig()
	if err != nil {
		return nil, err
	}
	cfg.QPS = -1
	scheme := runtime.NewScheme()
	if err := errors.Join(clientgoscheme.AddToScheme(scheme), v1alpha1.AddToScheme(scheme)); err != nil {
		return nil, err
	}
	c, err := client.NewWithWatch(cfg, client.Options{Scheme: scheme})
	if err != nil {
		return nil, err
	}
	ns := &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{GenerateName: prefix + "-"}}
	if err := c.Create(ctx, ns); err != nil {
		return nil, err
	}
	return &Place{c, ns.Name, cfg}, nil
}

// Log opens the log of a pod.
func (p *Place) Log(ctx context.Context, pod string, o *corev1.PodLogOptions) (io.ReadCloser, error) {
	c, err := kubernetes.NewForConfig(p.rest)
	if err != nil {
		return nil, err
	}
	return c.CoreV1().Pods(p.Namespace).GetLogs(pod, o).Stream(ctx)
}

// Said returns when the container runtime was given the last line with a text, of a container of the one pod that has these
// labels. The cluster is on this machine, with its clock.
func (p *Place) Said(ctx context.Context, labels client.MatchingLabels, container, text string) (time.Time, error) {
	var pods corev1.PodList
	if err := p.List(ctx, &pods, client.InNamespace(p.Namespace), labels); err != nil {
		return time.Time{}, err
	}
	if len(pods.Items) != 1 {
		return time.Time{}, fmt.Errorf("%d pods, want 1", len(pods.Items))
	}
	log, err := p.Log(ctx, pods.Items[0].Name, &corev1.PodLogOptions{Container: container, Timestamps: true})
	if err != nil {
		return time.Time{}, err
	}
	defer func() { _ = log.Close() }()
	return findLast(log, text)
}

func findLast(log io.Reader, text string) (at time.Time, err error) {
	for lines := bufio.NewScanner(log); lines.Scan(); {
		stamp, line, _ := strings.Cut(lines.Text(), " ")
		if !strings.Contains(line, text) {
			continue
		}
		if at, err = time.Parse(time.RFC3339Nano, stamp); err != nil {
			return at, err
		}
	}
	if at.IsZero() {
		return at, errors.New("its log has no line with " + text)
	}
	return at, nil
}

// Close removes the namespace and all in it.
func (p *Place) Close() {
	_ = p.Delete(context.Background(), &corev1.Namespace{ObjectMeta: metav1.ObjectMeta{Name: p.Namespace}})
}

// limit is how long a wait may take.
const limit = 10 * time.Minute

// Await returns the time from start to the first event of which done says so.
func Await(w watch.Interface, start time.Time, done func(runtime.Object) (bool, error)) (time.Duration, error) {
	timeout := time.After(limit)
	for {
		select {
		case e, open := <-w.ResultChan():
			if !open {
				return 0, errors.New("the watch ended")
			}
			at := time.Since(start)
			ok, err := done(e.Object)
			if err != nil || ok {
				return at, err
			}
		case <-timeout:
			return 0, fmt.Errorf("not over within %s", limit)
		}
	}
}

// Succeeded is done of Await for a DbtRun's end. Its error is that of a run that did not end well.
func Succeeded(name string) func(runtime.Object) (bool, error) {
	return func(o runtime.Object) (bool, error) {
		r, ok := o.(*v1alpha1.DbtRun)
		if !ok || r.Name != name {
			return false, nil
		}
		switch r.Status.Phase {
		case v1alpha1.PhaseFailed, v1alpha1.PhaseCancelled:
			return false, fmt.Errorf("the DbtRun %s failed: %s", r.Name, r.Status.Message)
		}
		return r.Status.Phase == v1alpha1.PhaseSucceeded, nil
	}
}

// Complete is done of Await for the end of the first Job that is chosen. Its error is that of a Job that failed.
func Complete(chosen func(*batchv1.Job) bool) func(runtime.Object) (bool, error) {
	return func(o runtime.Object) (bool, error) {
		j, ok := o.(*batchv1.Job)
		if !ok || !chosen(j) {
			return false, nil
		}
		for _, c := range j.Status.Conditions {
			switch {
			case c.Status != corev1.ConditionTrue:
			case c.Type == batchv1.JobFailed:
				return false, fmt.Errorf("the Job %s failed: %s", j.Name, c.Message)
			case c.Type == batchv1.JobComplete:
				return true, nil
			}
		}
		return false, nil
	}
}

// Median returns the upper median of at least one duration, and sorts them.
func Median(d []time.Duration) time.Duration {
	slices.Sort(d)
	return d[len(d)/2]
}
