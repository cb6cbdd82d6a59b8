package plane

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/util/wait"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// controllers are those of Kubernetes that Jobs and their pods need.
const controllers = "job-controller,garbage-collector-controller"

// requests is how many requests a second Kubernetes' own controllers may make: none of them is to be the limit.
const requests = "10000"

// WithNodes starts a control plane that carries out pods on paper, with Shop in it: Kubernetes' Job controller, garbage
// collector and scheduler work on it, and kwok plays kubelet on nodes that are not there. A pod starts at once and succeeds at
// once. Stop ends all of it.
func WithNodes(ctx context.Context, assets, kwok string) (*Plane, error) {
	p, err := Start(assets)
	if err != nil {
		return nil, err
	}
	if err := errors.Join(p.CreateShop(ctx), p.startNodes(ctx, assets, kwok)); err != nil {
		p.Stop()
		return nil, err
	}
	return p, nil
}

// nodes is how many there are. stages.yaml says how much room each has.
const nodes = 4

// startNodes starts all that pods need. assets is the folder that Start took, kwok the binary.
func (p *Plane) startNodes(ctx context.Context, assets, kwok string) error {
	// The working directory is the repository's.
	stages := filepath.Join("test", "bench", "plane", "stages.yaml")
	for _, c := range []struct {
		name, binary string
		args         []string
	}{
		{"bench-kwok", kwok, []string{"--kubeconfig=" + kubeconfigArg, "--manage-all-nodes", "--config=" + stages}},
		{"bench-controllers", filepath.Join(assets, "kube-controller-manager"), []string{
			"--kubeconfig=" + kubeconfigArg, "--leader-elect=false", "--secure-port=0", "--controllers=" + controllers,
			"--kube-api-qps=" + requests, "--kube-api-burst=" + requests, "--concurrent-job-syncs=16",
		}},
		{"bench-scheduler", filepath.Join(assets, "kube-scheduler"), []string{
			"--kubeconfig=" + kubeconfigArg, "--leader-elect=false", "--secure-port=0", "--kube-api-qps=" + requests, "--kube-api-burst=" + requests,
		}},
	} {
		process, err := p.start(c.name, c.binary, Setup{Args: c.args})
		if err != nil {
			return err
		}
		p.processes = append(p.processes, process)
	}
	return p.createNodes(ctx)
}

func (p *Plane) createNodes(ctx context.Context) error {
	for i := range nodes {
		node := &corev1.Node{ObjectMeta: metav1.ObjectMeta{Name: fmt.Sprintf("node-%d", i)}}
		if err := p.Create(ctx, node); err != nil {
			return err
		}
		if err := p.untaint(ctx, node); err != nil {
			return fmt.Errorf("node %s: %w", node.Name, err)
		}
	}
	return nil
}

// untaint lets pods onto a node: the API server taints one that it has not seen ready, and the controller that would take
// the taint away does not run.
func (p *Plane) untaint(ctx context.Context, node *corev1.Node) error {
	return wait.PollUntilContextTimeout(ctx, 100*time.Millisecond, time.Minute, true, func(ctx context.Context) (bool, error) {
		if err := p.Get(ctx, client.ObjectKeyFromObject(node), node); err != nil {
			return false, err
		}
		node.Spec.Taints = nil
		err := p.Update(ctx, node)
		return err == nil, client.IgnoreNotFound(ignoreConflict(err))
	})
}

func ignoreConflict(err error) error {
	if apierrors.IsConflict(err) {
		return nil
	}
	return err
}
