package integration

import (
	"bytes"
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"strings"
	"time"

	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/testutil"
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
func install(ctx context.Context, c client.Client, folder string, stamps bool) error {
	manifest, err := kustomize(ctx, filepath.Join("..", "..", "config", folder))
	if err != nil {
		return err
	}
	if err := applyAll(ctx, c, bytes.NewReader(manifest), "config/"+folder); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for {
		missing := inactive(ctx, c, stamps)
		if len(missing) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("policies of config/%s are not active: %s", folder, strings.Join(missing, "; "))
		case <-tick.C:
		}
	}
}

// inactive names what does not work of the policies, tried by dry runs of what each of them refuses and stamps.
func inactive(ctx context.Context, c client.Client, stamps bool) []string {
	forged := &v1alpha1.Requester{Username: "somebody-else"}
	run := testutil.MakeDbtRun("probe").Namespace("default").Project("shop").Obj()
	run.Spec.RequestedBy = forged
	run.Spec.Trigger = &v1alpha1.Trigger{Type: v1alpha1.TriggerProjectChange, ScheduleRef: &v1alpha1.ScheduleReference{Name: "s"}}
	s := testutil.MakeDbtSchedule("probe", "0 * * * *").Namespace("default").Obj()
	s.Spec.RequestedBy = forged
	project := testutil.MakeDbtProject("probe").Namespace("default").Obj()
	project.Spec.RequestedBy = forged
	var missing []string
	refused := func(what string, object client.Object, want string) {
		if err := c.Create(ctx, object, client.DryRunAll); err == nil || !strings.Contains(err.Error(), want) {
			missing = append(missing, fmt.Sprintf("%s: %v", what, err))
		}
	}
	refused("runs", run, "spec.trigger")
	if !stamps {
		refused("schedules", s, "in the name of")
		refused("projects", project, "in the name of")
		return missing
	}
	// Where the API server stamps, the other half has nothing to refuse but what is anonymous.
	for _, object := range []client.Object{s, project} {
		if err := c.Create(ctx, object, client.DryRunAll); err != nil {
			missing = append(missing, err.Error())
		}
	}
	if s.Spec.RequestedBy.Username == forged.Username || project.Spec.RequestedBy.Username == forged.Username {
		missing = append(missing, "authors are not stamped")
	}
	run.Spec.Trigger = nil
	if err := c.Create(ctx, run, client.DryRunAll); err != nil || run.Spec.RequestedBy.Username == forged.Username {
		missing = append(missing, fmt.Sprintf("runs are not stamped: %v", err))
	}
	return missing
}

// noon is a tick of every hourly schedule.
var noon = time.Date(2026, 11, 24, 12, 0, 0, 0, time.UTC)
