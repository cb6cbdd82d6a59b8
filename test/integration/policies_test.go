package integration

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"k8s.io/client-go/rest"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
	"github.com/dbt-operator/dbt-operator/internal/testutil/manifest"
)

// kustomize builds a folder as kubectl does.
func kustomize(ctx context.Context, dir string) ([]byte, error) {
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(env.BinaryAssetsDirectory, "kubectl"), "kustomize", dir)
	cmd.Stderr = &said
	out, err := cmd.Output()
	if err != nil {
		return nil, fmt.Errorf("building %s: %w: %s", dir, err, said.String())
	}
	return out, nil
}

// install installs a folder of config that holds policies, and waits until the API server keeps to all of them.
func install(ctx context.Context, s server, folder string, stamps bool) error {
	content, err := kustomize(ctx, filepath.Join("..", "..", "config", folder))
	if err != nil {
		return err
	}
	if err := manifest.Create(ctx, s.admin, content, "config/"+folder); err != nil {
		return err
	}
	// Nobody, with every right there is: only the policies refuse them.
	cfg := rest.CopyConfig(s.env.Config)
	cfg.Impersonate = rest.ImpersonationConfig{UserName: "system:anonymous", Groups: []string{"system:masters"}}
	nobody, err := client.New(cfg, client.Options{Scheme: scheme})
	if err != nil {
		return err
	}
	// The server has only just begun, maybe beside other tests.
	ctx, cancel := context.WithTimeout(ctx, 3*patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	var missing []string
	for {
		found := inactive(ctx, nobody, s.admin, stamps)
		if len(found) == 0 {
			return nil
		}
		// What is cut off by the deadline says nothing.
		if ctx.Err() == nil || missing == nil {
			missing = found
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("policies of config/%s are not active: %s", folder, strings.Join(missing, "; "))
		case <-tick.C:
		}
	}
}

// inactive names the policies that are not in force yet, tried by dry runs of what each of them refuses or stamps.
func inactive(ctx context.Context, nobody, somebody client.Client, stamps bool) []string {
	run := testutil.MakeDbtRun("probe").Namespace("default").Project("shop").Obj()
	s := testutil.MakeDbtSchedule("probe", "0 * * * *").Namespace("default").Obj()
	p := testutil.MakeDbtProject("probe").Namespace("default").Obj()
	var missing []string
	for _, object := range []client.Object{run, s, p} {
		if err := nobody.Create(ctx, object.DeepCopyObject().(client.Object), client.DryRunAll); err == nil || !strings.Contains(err.Error(), "anonymous request") { //nolint:forcetypeassert // a copy is what it is a copy of
			missing = append(missing, fmt.Sprintf("%T of nobody: %v", object, err))
		}
		if err := somebody.Create(ctx, object, client.DryRunAll); err != nil {
			missing = append(missing, fmt.Sprintf("%T: %v", object, err))
		}
	}
	for kind, who := range map[string]*v1alpha1.Requester{"run": run.Spec.RequestedBy, "schedule": s.Spec.RequestedBy, "project": p.Spec.RequestedBy} {
		if stamps != (who != nil) {
			missing = append(missing, kind+" is not stamped")
		}
	}
	return missing
}

// noon is a tick of every hourly schedule.
var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
