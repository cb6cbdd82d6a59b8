package access

import (
	"context"
	"slices"
	"strings"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	batchv1 "k8s.io/api/batch/v1"
	corev1 "k8s.io/api/core/v1"
	apierrors "k8s.io/apimachinery/pkg/api/errors"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// Pods finds out of which run a pod may speak. Its methods may be called by many goroutines at once.
type Pods struct {
	clock  clock.PassiveClock
	tokens *tokens
	cache  client.Reader
	// absent remembers when an object was first looked for in vain.
	absent *cache.LRUExpireCache
}

// Attempt is a pod and the run that it belongs to.
type Attempt struct {
	Run *v1alpha1.DbtRun
	Pod string
	UID types.UID
}

const (
	// podTokenTime is how long a pod's token is not asked about again.
	podTokenTime = time.Minute
	// cacheLag is how long an object that is not in the cache may just not be there yet.
	cacheLag  = time.Minute
	maxAbsent = 1024
)

// What the API server says of a token that is bound to a pod.
const (
	serviceAccount = "system:serviceaccount:"
	extraPodName   = "authentication.kubernetes.io/pod-name"
	extraPodUID    = "authentication.kubernetes.io/pod-uid"
)

// NewPods returns Pods that reads objects from the manager's cache.
func NewPods(clk clock.PassiveClock, api Creator, objects client.Reader) *Pods {
	return &Pods{
		clock: clk, cache: objects,
		tokens: reviewer(clk, api, []string{journal.Audience}, podTokenTime),
		absent: cache.NewLRUExpireCacheWithClock(maxAbsent, clk),
	}
}

// Authenticate returns the attempt that a token speaks for; address is where it came from. An error is a *Refusal, or has
// one in it.
func (p *Pods) Authenticate(ctx context.Context, token, address string) (Attempt, error) {
	if token == "" {
		return Attempt{}, refuse(ErrUnauthenticated, "no token was shown: the pod of a DbtRun shows that of audience %s as a bearer token", journal.Audience)
	}
	review, _, err := p.tokens.review(ctx, token, address)
	if err != nil {
		return Attempt{}, err
	}
	pod, err := bound(review)
	if err != nil {
		return Attempt{}, err
	}
	run, err := p.owner(ctx, pod)
	if err != nil {
		return Attempt{}, err
	}
	return Attempt{Run: run, Pod: pod.name.Name, UID: pod.uid}, nil
}

type object struct {
	name types.NamespacedName
	uid  types.UID
}

// bound returns the pod that a reviewed token is bound to.
func bound(r authenticationv1.TokenReviewStatus) (object, error) {
	if !r.Authenticated {
		return object{}, refuse(ErrForbidden, "the token is not valid for audience %s: it has expired, was made for another audience, or its pod is gone (the API server says: %.200s)", journal.Audience, r.Error)
	}
	// An API server that knows no audiences answers with none.
	if !slices.Contains(r.Audiences, journal.Audience) {
		return object{}, refuse(ErrForbidden, "the token was not made for audience %s", journal.Audience)
	}
	namespace, _, ok := strings.Cut(strings.TrimPrefix(r.User.Username, serviceAccount), ":")
	name, uid := r.User.Extra[extraPodName], r.User.Extra[extraPodUID]
	if !ok || !strings.HasPrefix(r.User.Username, serviceAccount) || len(name) != 1 || len(uid) != 1 || name[0] == "" || uid[0] == "" {
		return object{}, refuse(ErrForbidden, "the token of %s is not bound to a pod", r.User.Username)
	}
	return object{types.NamespacedName{Namespace: namespace, Name: name[0]}, types.UID(uid[0])}, nil
}

// owner returns the run that a pod belongs to, by controllers alone: labels can be written by anyone who makes pods.
func (p *Pods) owner(ctx context.Context, pod object) (*v1alpha1.DbtRun, error) {
	found := &corev1.Pod{}
	if err := p.get(ctx, "pod", pod, found); err != nil {
		return nil, err
	}
	job, ok := controller(found, batchv1.SchemeGroupVersion.String(), "Job")
	if !ok {
		return nil, refuse(ErrForbidden, "pod %s is not controlled by a Job", pod.name)
	}
	parent := &batchv1.Job{}
	if err := p.get(ctx, "Job", job, parent); err != nil {
		return nil, err
	}
	owner, ok := controller(parent, v1alpha1.GroupVersion.String(), "DbtRun")
	if !ok {
		return nil, refuse(ErrForbidden, "Job %s of pod %s is not controlled by a DbtRun", job.name, pod.name.Name)
	}
	run := &v1alpha1.DbtRun{}
	if err := p.get(ctx, "DbtRun", owner, run); err != nil {
		return nil, err
	}
	return run, nil
}

func controller(of metav1.Object, apiVersion, kind string) (object, bool) {
	c := metav1.GetControllerOfNoCopy(of)
	if c == nil || c.APIVersion != apiVersion || c.Kind != kind {
		return object{}, false
	}
	return object{types.NamespacedName{Namespace: of.GetNamespace(), Name: c.Name}, c.UID}, true
}

// get reads an object from the cache. One of that name with another UID is another object; one that is not there may not
// be there yet.
func (p *Pods) get(ctx context.Context, kind string, want object, into client.Object) error {
	err := p.cache.Get(ctx, want.name, into)
	switch {
	case err == nil && into.GetUID() == want.uid:
		return nil
	case err == nil:
		return refuse(ErrForbidden, "%s %s is another one than the token speaks of: it was deleted and made again", kind, want.name)
	case !apierrors.IsNotFound(err):
		return refuse(ErrLater, "%s %s cannot be read from the cache now: try again", kind, want.name)
	}
	now := p.clock.Now()
	since, ok := p.absent.Get(want.uid)
	if !ok {
		since = now
		p.absent.Add(want.uid, now, 10*cacheLag)
	}
	if first, _ := since.(time.Time); now.Sub(first) < cacheLag {
		return refuse(ErrLater, "%s %s is not in the operator's cache yet: try again", kind, want.name)
	}
	return refuse(ErrForbidden, "%s %s is not there, or is not one of this operator's", kind, want.name)
}
