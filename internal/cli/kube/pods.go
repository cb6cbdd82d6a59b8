package kube

import (
	"context"
	"io"
	"slices"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
)

// container is the name of dbt's container in the pods of runs.
const container = "dbt"

// tokenSeconds is how long a token for reading what is kept is good for: the least that the API server gives.
const tokenSeconds = 600

// Pods returns the pods of a run that are still there, the oldest first.
func (c *Cluster) Pods(ctx context.Context, run *v1alpha1.DbtRun) ([]corev1.Pod, error) {
	list, err := c.core.CoreV1().Pods(run.Namespace).List(ctx, metav1.ListOptions{LabelSelector: v1alpha1.LabelRunUID + "=" + string(run.UID)})
	if err != nil {
		return nil, Explain(err, Right{Verb: "list", Resource: "pods", Namespace: run.Namespace})
	}
	slices.SortStableFunc(list.Items, func(a, b corev1.Pod) int { return a.CreationTimestamp.Compare(b.CreationTimestamp.Time) })
	return list.Items, nil
}

// Started reports whether dbt's container of a pod has begun, so that it has a log.
func Started(pod *corev1.Pod) bool {
	for _, s := range pod.Status.ContainerStatuses {
		if s.Name == container {
			return s.State.Running != nil || s.State.Terminated != nil || s.LastTerminationState.Terminated != nil
		}
	}
	return false
}

// PodLog returns what dbt's container of a pod printed, and with follow what it goes on to print.
func (c *Cluster) PodLog(ctx context.Context, namespace, pod string, follow bool) (io.ReadCloser, error) {
	in, err := c.core.CoreV1().Pods(namespace).GetLogs(pod, &corev1.PodLogOptions{Container: container, Follow: follow}).Stream(ctx)
	if err != nil {
		return nil, Explain(err, Right{Verb: "get", Resource: "pods", Subresource: "log", Namespace: namespace, Name: pod})
	}
	return in, nil
}

// May reports whether the person has a right.
func (c *Cluster) May(ctx context.Context, r Right) (bool, error) {
	review := &authorizationv1.SelfSubjectAccessReview{Spec: authorizationv1.SelfSubjectAccessReviewSpec{
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Verb: r.Verb, Group: r.Group, Resource: r.Resource, Subresource: r.Subresource, Namespace: r.Namespace, Name: r.Name,
		},
	}}
	got, err := c.core.AuthorizationV1().SelfSubjectAccessReviews().Create(ctx, review, metav1.CreateOptions{})
	if err != nil {
		return false, Explain(err, Right{Verb: "create", Group: "authorization.k8s.io", Resource: "selfsubjectaccessreviews"})
	}
	return got.Status.Allowed && !got.Status.Denied, nil
}

// Token returns a short-lived token of a ServiceAccount for the API server.
func (c *Cluster) Token(ctx context.Context, namespace, account string) (string, error) {
	request := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](tokenSeconds)}}
	got, err := c.core.CoreV1().ServiceAccounts(namespace).CreateToken(ctx, account, request, metav1.CreateOptions{})
	if err != nil {
		return "", Explain(err, Right{Verb: "create", Resource: "serviceaccounts", Subresource: "token", Namespace: namespace, Name: account})
	}
	return got.Status.Token, nil
}
