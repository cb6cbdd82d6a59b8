package kube

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"slices"
	"strings"
	"time"

	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// Version returns the API server's version, such as "v1.37.0", and what time it is there by its clock; zero if it does not
// say.
func (c *Cluster) Version(ctx context.Context) (version string, at time.Time, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, c.base+"/version", nil)
	if err != nil {
		return "", time.Time{}, err
	}
	answer, err := c.http.Do(request)
	if err != nil {
		return "", time.Time{}, fmt.Errorf("asking the API server for its version: %w", err)
	}
	defer func() { _ = answer.Body.Close() }()
	var said struct {
		GitVersion string `json:"gitVersion"`
	}
	if err := json.NewDecoder(io.LimitReader(answer.Body, 1<<20)).Decode(&said); err != nil || said.GitVersion == "" {
		return "", time.Time{}, fmt.Errorf("asking the API server for its version: it answers with code %d", answer.StatusCode)
	}
	at, err = http.ParseTime(answer.Header.Get("Date"))
	if err != nil {
		return said.GitVersion, time.Time{}, nil //nolint:nilerr // it does not say
	}
	return said.GitVersion, at, nil
}

// Served returns the resources of this API that the API server has; none if it does not know it in this version.
func (c *Cluster) Served(ctx context.Context) ([]string, error) {
	raw, err := c.core.Discovery().RESTClient().Get().AbsPath("/apis/" + v1alpha1.GroupVersion.String()).Do(ctx).Raw()
	if apierrors.IsNotFound(err) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("asking the API server what it has of %s: %w", v1alpha1.GroupVersion, err)
	}
	var list metav1.APIResourceList
	if err := json.Unmarshal(raw, &list); err != nil {
		return nil, fmt.Errorf("asking the API server what it has of %s: %w", v1alpha1.GroupVersion, err)
	}
	var out []string
	for _, r := range list.APIResources {
		if !strings.Contains(r.Name, "/") {
			out = append(out, r.Name)
		}
	}
	slices.Sort(out)
	return out, nil
}

// Fields returns the fields of the spec of a kind that the CRD in the cluster has.
func (c *Cluster) Fields(ctx context.Context, kind string) ([]string, error) {
	raw, err := c.core.Discovery().RESTClient().Get().AbsPath("/openapi/v3/apis/"+v1alpha1.GroupVersion.String()).
		SetHeader("Accept", "application/json").Do(ctx).Raw()
	if err != nil {
		return nil, fmt.Errorf("reading the schema of %s: %w", kind, err)
	}
	type object struct {
		Properties map[string]json.RawMessage `json:"properties"`
	}
	var doc struct {
		Components struct {
			Schemas map[string]object `json:"schemas"`
		} `json:"components"`
	}
	if err := json.Unmarshal(raw, &doc); err != nil {
		return nil, fmt.Errorf("reading the schema of %s: %w", kind, err)
	}
	var out []string
	for name, schema := range doc.Components.Schemas {
		if !strings.HasSuffix(name, "."+kind) {
			continue
		}
		var spec object
		if err := json.Unmarshal(schema.Properties["spec"], &spec); err != nil {
			return nil, fmt.Errorf("reading the schema of %s: %w", kind, err)
		}
		for field := range spec.Properties {
			out = append(out, field)
		}
	}
	slices.Sort(out)
	return out, nil
}

// Forged is what the API server made of a DbtRun that claims to be somebody else's, and of a schedule's tick. Nothing of it
// is kept.
type Forged struct {
	// Taken: it took it. StampedAs is who it then says asked for it.
	Taken     bool
	StampedAs string
	// Refused are the policies' words, empty if it was not a policy that refused it.
	Refused string
}

// Forger is who a forged DbtRun claims to be of.
const Forger = "dbt-operator-doctor-probe"

// Forge tries a forged DbtRun, by a dry run.
func (c *Cluster) Forge(ctx context.Context, namespace string) (Forged, error) {
	at := metav1.NewTime(c.clock.Now())
	run := &v1alpha1.DbtRun{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, GenerateName: "doctor-probe-"}}
	run.Spec = v1alpha1.DbtRunSpec{
		ProjectRef:  &v1alpha1.ProjectReference{Name: "doctor-probe"},
		RequestedBy: &v1alpha1.Requester{Username: Forger},
		Trigger:     &v1alpha1.Trigger{Type: v1alpha1.TriggerSchedule, ScheduleRef: &v1alpha1.ScheduleReference{Name: "doctor-probe"}, ScheduledTime: &at},
	}
	err := c.client.Create(ctx, run, client.DryRunAll)
	switch {
	case err == nil && run.Spec.RequestedBy == nil:
		return Forged{Taken: true}, nil
	case err == nil:
		return Forged{Taken: true, StampedAs: run.Spec.RequestedBy.Username}, nil
	case apierrors.IsForbidden(err) && denied.MatchString(err.Error()):
		return Forged{Refused: denied.ReplaceAllString(err.Error(), "")}, nil
	}
	return Forged{}, Explain(err, onOwn("create", Runs, namespace, ""))
}

// Operator is the operator's Deployment.
type Operator struct {
	Image           string
	Wanted, Ready   int32
	KeepsSomething  bool
	DeploymentFound bool
}

// Operator returns what the operator's Deployment is like.
func (c *Cluster) Operator(ctx context.Context, namespace string) (Operator, error) {
	d, err := c.core.AppsV1().Deployments(namespace).Get(ctx, "manager", metav1.GetOptions{})
	if apierrors.IsNotFound(err) {
		return Operator{}, nil
	}
	if err != nil {
		return Operator{}, Explain(err, Right{Verb: "get", Group: "apps", Resource: "deployments", Namespace: namespace, Name: "manager"})
	}
	o := Operator{DeploymentFound: true, Wanted: 1, Ready: d.Status.ReadyReplicas}
	if d.Spec.Replicas != nil {
		o.Wanted = *d.Spec.Replicas
	}
	for _, container := range d.Spec.Template.Spec.Containers {
		if container.Name == "manager" {
			o.Image = container.Image
			o.KeepsSomething = slices.ContainsFunc(container.Args, func(arg string) bool { return strings.HasPrefix(arg, "--store=") && arg != "--store=" })
		}
	}
	return o, nil
}
