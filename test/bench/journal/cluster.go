package main

import (
	"context"
	"fmt"
	"strings"

	authenticationv1 "k8s.io/api/authentication/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/runtime/schema"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// cluster plays the API server and the manager's cache: every run and every pod that is named as here is there. A pod's
// token is its name.
type cluster struct{ client.Reader }

const namespace = "bench"

func runName(i int) string { return fmt.Sprintf("run-%d", i) }

func podName(run string, attempt int) string { return fmt.Sprintf("%s.%d", run, attempt) }

func runUID(run string) types.UID { return types.UID("uid-" + run) }

// podUID is the part of a stream, too: no dots.
func podUID(pod string) types.UID { return types.UID("uid-" + strings.ReplaceAll(pod, ".", "-")) }

func owned(name string, uid types.UID, apiVersion, kind, owner string, ownerUID types.UID) metav1.ObjectMeta {
	return metav1.ObjectMeta{Namespace: namespace, Name: name, UID: uid, OwnerReferences: []metav1.OwnerReference{
		{APIVersion: apiVersion, Kind: kind, Name: owner, UID: ownerUID, Controller: ptr.To(true)},
	}}
}

// Get returns the pod, the Job or the DbtRun of a name.
func (cluster) Get(_ context.Context, key client.ObjectKey, into client.Object, _ ...client.GetOption) error {
	switch o := into.(type) {
	case *corev1.Pod:
		run, _, _ := strings.Cut(key.Name, ".")
		o.ObjectMeta = owned(key.Name, podUID(key.Name), "batch/v1", "Job", run, runUID(run))
	case *batchv1.Job:
		o.ObjectMeta = owned(key.Name, runUID(key.Name), v1alpha1.GroupVersion.String(), "DbtRun", key.Name, runUID(key.Name))
	case *v1alpha1.DbtRun:
		o.ObjectMeta = metav1.ObjectMeta{Namespace: namespace, Name: key.Name, UID: runUID(key.Name)}
	default:
		return apierrors.NewNotFound(schema.GroupResource{}, key.Name)
	}
	return nil
}

// Create reviews a token.
func (cluster) Create(_ context.Context, object client.Object, _ ...client.CreateOption) error {
	r, ok := object.(*authenticationv1.TokenReview)
	if !ok {
		return fmt.Errorf("nobody reviews a %T here", object)
	}
	r.Status = authenticationv1.TokenReviewStatus{Authenticated: true, Audiences: []string{journal.Audience}, User: authenticationv1.UserInfo{
		Username: "system:serviceaccount:" + namespace + ":jaffle",
		Extra: map[string]authenticationv1.ExtraValue{
			"authentication.kubernetes.io/pod-name": {r.Spec.Token}, "authentication.kubernetes.io/pod-uid": {string(podUID(r.Spec.Token))},
		},
	}}
	return nil
}
