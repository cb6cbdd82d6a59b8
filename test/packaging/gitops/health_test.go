package gitops

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/fluxcd/cli-utils/pkg/kstatus/status"
	lua "github.com/yuin/gopher-lua"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/apis/meta/v1/unstructured"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/yaml"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// health is what Argo CD says of an object.
type health struct{ status, message string }

// agrees is what kstatus says where Argo CD says something.
var agrees = map[string]status.Status{"Healthy": status.CurrentStatus, "Progressing": status.InProgressStatus, "Degraded": status.FailedStatus}

// Argo CD and kstatus are of one mind about each kind in each of its states.
func TestHealth(t *testing.T) {
	tests := map[string]struct {
		reason string
		object client.Object
		want   health
	}{
		"RunUnseen": {
			"kstatus takes what has no status for done: the CRD's default keeps it from that",
			unseen(run("", "", "", ""), "DbtRun"), health{"Progressing", "The operator has not seen it yet."},
		},
		"RunPending": {
			"work has not begun",
			run(v1alpha1.PhasePending, metav1.ConditionUnknown, v1alpha1.ReasonPending, "The run has just been created."), health{"Progressing", "The run has just been created."},
		},
		"RunQueued": {
			"it waits for another",
			run(v1alpha1.PhaseQueued, metav1.ConditionUnknown, v1alpha1.ReasonQueued, "It waits for DbtRun other."), health{"Progressing", "It waits for DbtRun other."},
		},
		"RunRunning": {
			"work is under way",
			run(v1alpha1.PhaseRunning, metav1.ConditionUnknown, v1alpha1.ReasonRunning, "dbt is running."), health{"Progressing", "dbt is running."},
		},
		"RunSucceeded": {
			"it is done",
			run(v1alpha1.PhaseSucceeded, metav1.ConditionTrue, v1alpha1.ReasonSucceeded, "dbt succeeded."), health{"Healthy", "dbt succeeded."},
		},
		"RunFailed": {
			"it never goes on by itself",
			run(v1alpha1.PhaseFailed, metav1.ConditionFalse, v1alpha1.ReasonNodesFailed, "2 of 28 nodes failed."), health{"Degraded", "2 of 28 nodes failed."},
		},
		"RunCancelled": {
			"somebody stopped it, so what was asked for is not there",
			run(v1alpha1.PhaseCancelled, metav1.ConditionFalse, v1alpha1.ReasonCancelled, "The run was cancelled."), health{"Degraded", "The run was cancelled."},
		},
		"RunCancelAsked": {
			"the change of its spec is not seen yet",
			changed(run(v1alpha1.PhaseRunning, metav1.ConditionUnknown, v1alpha1.ReasonRunning, "dbt is running.")), health{"Progressing", "The operator has not seen it yet."},
		},
		"ScheduleUnseen": {
			"as RunUnseen",
			unseen(schedule("", "", ""), "DbtSchedule"), health{"Progressing", "The operator has not seen it yet."},
		},
		"ScheduleTicking": {
			"a run that failed is not a sync that failed",
			schedule(metav1.ConditionTrue, v1alpha1.ReasonTicking, "Runs are made as scheduled."), health{"Healthy", "Runs are made as scheduled."},
		},
		"ScheduleSuspended": {
			"it is as it was asked for: Argo CD's Suspended would hold up the waves after it",
			schedule(metav1.ConditionTrue, v1alpha1.ReasonScheduleSuspended, "The schedule is suspended: spec.suspend is set."), health{"Healthy", "The schedule is suspended: spec.suspend is set."},
		},
		"ScheduleDenied": {
			"its author may not run its project: nothing comes of it",
			schedule(metav1.ConditionFalse, v1alpha1.ReasonDenied, "The schedule's author may not run its project."), health{"Degraded", "The schedule's author may not run its project."},
		},
		"ScheduleChanged": {
			"what is true of the old spec says nothing of the new one",
			changed(schedule(metav1.ConditionFalse, v1alpha1.ReasonInvalidSpec, "spec.schedule: …")), health{"Progressing", "The operator has not seen it yet."},
		},
		"ProjectUnseen": {
			"as RunUnseen",
			unseen(project("", "", ""), "DbtProject"), health{"Progressing", "The operator has not seen it yet."},
		},
		"ProjectValid": {
			"runs can be made of it",
			project(metav1.ConditionTrue, v1alpha1.ReasonValid, "Runs can be made of this project."), health{"Healthy", "Runs can be made of this project."},
		},
		"ProjectRefused": {
			"no run can be made of it",
			project(metav1.ConditionFalse, v1alpha1.ReasonInvalidSpec, "spec.env: DBT_PROFILES_DIR is the operator's."), health{"Degraded", "spec.env: DBT_PROFILES_DIR is the operator's."},
		},
		"ProjectChanged": {
			"as ScheduleChanged",
			changed(project(metav1.ConditionTrue, v1alpha1.ReasonValid, "Runs can be made of this project.")), health{"Progressing", "The operator has not seen it yet."},
		},
	}
	scripts := scripts(t)
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			object := decoded(t, tc.object)
			if got := argo(t, scripts["resource.customizations.health.dbtoperator.dev_"+object.GetKind()], object); got != tc.want {
				t.Errorf("%s: Argo CD says %v, want %v", tc.reason, got, tc.want)
			}
			got, err := status.Compute(object)
			if err != nil {
				t.Fatal(err)
			}
			if got.Status != agrees[tc.want.status] {
				t.Errorf("%s: kstatus says %s (%s), Argo CD %s", tc.reason, got.Status, got.Message, tc.want.status)
			}
		})
	}
}

// scripts are the data of the ConfigMap of config/argocd.
func scripts(t *testing.T) map[string]string {
	t.Helper()
	content, err := os.ReadFile(filepath.Join("..", "..", "..", "config", "argocd", "argocd-cm.yaml"))
	if err != nil {
		t.Fatal(err)
	}
	cm := corev1.ConfigMap{}
	if err := yaml.UnmarshalStrict(content, &cm); err != nil {
		t.Fatal(err)
	}
	if cm.Name != "argocd-cm" || len(cm.Data) != 3 {
		t.Fatalf("ConfigMap %s holds %d scripts, want argocd-cm with 3", cm.Name, len(cm.Data))
	}
	return cm.Data
}

// argo runs a health script as Argo CD does: with the object as obj, and no library but the base and tables.
func argo(t *testing.T, script string, object *unstructured.Unstructured) health {
	t.Helper()
	l := lua.NewState(lua.Options{SkipOpenLibs: true})
	defer l.Close()
	for name, open := range map[string]lua.LGFunction{lua.BaseLibName: lua.OpenBase, lua.TabLibName: lua.OpenTable} {
		if err := l.CallByParam(lua.P{Fn: l.NewFunction(open), Protect: true}, lua.LString(name)); err != nil {
			t.Fatal(err)
		}
	}
	l.SetGlobal("obj", value(l, object.Object))
	if err := l.DoString(script); err != nil {
		t.Fatal(err)
	}
	table, ok := l.Get(-1).(*lua.LTable)
	if !ok {
		t.Fatalf("the script returns %v", l.Get(-1))
	}
	return health{table.RawGetString("status").String(), table.RawGetString("message").String()}
}

// value makes a value of Lua of one of JSON.
func value(l *lua.LState, of any) lua.LValue {
	switch v := of.(type) {
	case string:
		return lua.LString(v)
	case bool:
		return lua.LBool(v)
	case int64:
		return lua.LNumber(v)
	case float64:
		return lua.LNumber(v)
	case []any:
		out := l.NewTable()
		for _, each := range v {
			out.Append(value(l, each))
		}
		return out
	case map[string]any:
		out := l.NewTable()
		for key, each := range v {
			out.RawSetString(key, value(l, each))
		}
		return out
	}
	return lua.LNil
}
