package kube

import (
	"errors"
	"fmt"
	"regexp"
	"strings"

	apierrors "k8s.io/apimachinery/pkg/api/errors"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// Right is a verb on something.
type Right struct {
	Verb, Group, Resource, Subresource, Namespace, Name string
}

// onOwn returns a right to one of the operator's own kinds.
func onOwn(verb, resource, namespace, name string) Right {
	return Right{Verb: verb, Group: v1alpha1.GroupVersion.Group, Resource: resource, Namespace: namespace, Name: name}
}

// String returns the right as an administrator would look for it: verb "create" on dbtruns.dbtoperator.dev in namespace "a".
func (r Right) String() string {
	what := r.Resource
	if r.Subresource != "" {
		what += "/" + r.Subresource
	}
	if r.Group != "" {
		what += "." + r.Group
	}
	s := fmt.Sprintf("verb %q on %s", r.Verb, what)
	if r.Name != "" {
		s += fmt.Sprintf(" %q", r.Name)
	}
	if r.Namespace != "" {
		s += fmt.Sprintf(" in namespace %q", r.Namespace)
	}
	return s
}

// Mend returns who has such a right, or how to come by it.
func (r Right) Mend() string {
	if r.Group != v1alpha1.GroupVersion.Group {
		return "ask an administrator for a Role with it"
	}
	role := "dbt-viewer"
	switch {
	case r.Verb == "use" || r.Resource == Projects && r.Verb != "get" && r.Verb != "list" && r.Verb != "watch":
		return "ask an administrator of the namespace for a Role with it"
	case r.Verb != "get" && r.Verb != "list" && r.Verb != "watch":
		role = "dbt-runner"
	}
	return fmt.Sprintf("ask an administrator for it; the ClusterRole %s has it", role)
}

// kinds are what the resources are called in a sentence.
var kinds = map[string]string{
	Runs: "DbtRun", Schedules: "DbtSchedule", Projects: "DbtProject",
	"pods": "pod", "serviceaccounts": "ServiceAccount", "deployments": "Deployment",
}

// denied is how the API server words the refusal of an admission policy, before the policy's own sentence.
var denied = regexp.MustCompile(`(?s)^.*ValidatingAdmissionPolicy '[^']*' with binding '[^']*' denied request: `)

// user is how the API server names who asked.
var user = regexp.MustCompile(`User "((?:[^"\\]|\\.)*)" cannot`)

// Explained is an error in words for whoever asked. The API server's own is in it.
type Explained struct {
	Message string
	err     error
}

func (e *Explained) Error() string { return e.Message }

func (e *Explained) Unwrap() error { return e.err }

// Explain says what an answer of the API server means for somebody who wanted to use a right. Nil stays nil.
func Explain(err error, wanted Right) error {
	if err == nil {
		return nil
	}
	var message string
	kind := kinds[wanted.Resource]
	switch {
	case apierrors.IsForbidden(err) && denied.MatchString(err.Error()):
		message = denied.ReplaceAllString(err.Error(), "")
	case apierrors.IsForbidden(err) && user.MatchString(err.Error()):
		message = fmt.Sprintf("user %q lacks the %s; %s", user.FindStringSubmatch(err.Error())[1], wanted, wanted.Mend())
	case apierrors.IsForbidden(err):
		message = fmt.Sprintf("the API server refused it: %s", err)
	case apierrors.IsUnauthorized(err):
		message = "the API server does not know you: the login of your kubeconfig has expired or is not valid there; log in again"
	case apierrors.IsNotFound(err) && named(err):
		message = fmt.Sprintf("there is no %s %q in namespace %q", kind, wanted.Name, wanted.Namespace)
	case apierrors.IsNotFound(err) && wanted.Group == v1alpha1.GroupVersion.Group:
		message = fmt.Sprintf("the cluster has no %s.%s: dbt-operator is not installed there, or in another version; `kubectl dbt doctor` says more", wanted.Resource, wanted.Group)
	case apierrors.IsInvalid(err):
		message = fmt.Sprintf("%s is not valid: %s", kind, strings.Join(causes(err), "; "))
	case apierrors.IsConflict(err):
		message = fmt.Sprintf("%s %q was changed by somebody else at the same time: try again", kind, wanted.Name)
	case apierrors.IsAlreadyExists(err):
		message = fmt.Sprintf("%s %q exists already in namespace %q: give another --name", kind, wanted.Name, wanted.Namespace)
	default:
		return fmt.Errorf("%s: %w", wanted.attempt(kind), err)
	}
	return &Explained{message, err}
}

// attempt says what was tried.
func (r Right) attempt(kind string) string {
	if r.Name == "" {
		return fmt.Sprintf("cannot %s %s", r.Verb, r.Resource)
	}
	return fmt.Sprintf("cannot %s %s %q", r.Verb, kind, r.Name)
}

// named reports whether it is an object that was not found, rather than its kind.
func named(err error) bool {
	var status apierrors.APIStatus
	return errors.As(err, &status) && status.Status().Details != nil && status.Status().Details.Name != "" && len(status.Status().Details.Causes) == 0
}

// causes returns what is wrong with which field.
func causes(err error) []string {
	var status apierrors.APIStatus
	if !errors.As(err, &status) || status.Status().Details == nil || len(status.Status().Details.Causes) == 0 {
		return []string{err.Error()}
	}
	var out []string
	for _, c := range status.Status().Details.Causes {
		// A rule on an object repeats all of it, under a name that says nothing.
		message := strings.TrimPrefix(c.Message, `Invalid value: `)
		for _, kind := range []string{`"object": `, `"string": `, `"array": `, `"integer": `} {
			message = strings.TrimPrefix(message, kind)
		}
		out = append(out, c.Field+": "+message)
	}
	return out
}
