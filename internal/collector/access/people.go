package access

import (
	"context"
	"errors"
	"slices"
	"time"

	authenticationv1 "k8s.io/api/authentication/v1"
	authorizationv1 "k8s.io/api/authorization/v1"
	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/utils/clock"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// People finds out whether somebody may read of a run. Its methods may be called by many goroutines at once.
type People struct {
	api     Creator
	tokens  *tokens
	answers *cache.LRUExpireCache
}

const (
	// peopleTime is how long it is remembered who somebody is and what they may.
	peopleTime = 10 * time.Second
	maxAnswers = 4096
	// What is asked for.
	verb     = "get"
	resource = "dbtruns"
)

// NewPeople returns People that asks the API server each time, but for what it answered a moment ago.
func NewPeople(clk clock.PassiveClock, api Creator) *People {
	return &People{
		api:     api,
		tokens:  reviewer(clk, api, nil, peopleTime),
		answers: cache.NewLRUExpireCacheWithClock(maxAnswers, clk),
	}
}

type question struct {
	token digest
	run   types.NamespacedName
}

// Authorize returns nil if the owner of a token may get a DbtRun; address is where it came from. An error is a *Refusal, or
// has one in it.
func (p *People) Authorize(ctx context.Context, token, address string, run types.NamespacedName) error {
	if token == "" {
		return refuse(ErrUnauthenticated, "no token was shown: show one for the API server as a bearer token or, through the API server's proxy, in the header %s", journal.HeaderToken)
	}
	review, key, err := p.tokens.review(ctx, token, address)
	if err != nil {
		return err
	}
	if !review.Authenticated {
		return refuse(ErrUnauthenticated, "the token is not valid for the API server (it says: %.200s)", review.Error)
	}
	if slices.Contains(review.Audiences, journal.Audience) {
		return refuse(ErrUnauthenticated, "the token was made for audience %s, for pods to report: show one for the API server", journal.Audience)
	}
	allowed, err := p.allowed(ctx, question{key, run}, review.User)
	if err != nil {
		return err
	}
	if !allowed {
		return refuse(ErrForbidden, "user %q may not %s %s.%s %q in namespace %q", review.User.Username, verb, resource, v1alpha1.GroupVersion.Group, run.Name, run.Namespace)
	}
	return nil
}

func (p *People) allowed(ctx context.Context, q question, user authenticationv1.UserInfo) (bool, error) {
	if known, ok := p.answers.Get(q); ok {
		return known.(bool), nil //nolint:forcetypeassert // nothing else is put in
	}
	extra := map[string]authorizationv1.ExtraValue{}
	for key, values := range user.Extra {
		extra[key] = authorizationv1.ExtraValue(values)
	}
	review := &authorizationv1.SubjectAccessReview{Spec: authorizationv1.SubjectAccessReviewSpec{
		User: user.Username, UID: user.UID, Groups: user.Groups, Extra: extra,
		ResourceAttributes: &authorizationv1.ResourceAttributes{
			Namespace: q.run.Namespace, Name: q.run.Name, Verb: verb,
			Group: v1alpha1.GroupVersion.Group, Version: v1alpha1.GroupVersion.Version, Resource: resource,
		},
	}}
	return p.ask(ctx, q, review)
}

func (p *People) ask(ctx context.Context, q question, review *authorizationv1.SubjectAccessReview) (bool, error) {
	ctx, cancel := context.WithTimeout(ctx, reviewTimeout)
	defer cancel()
	if err := p.api.Create(ctx, review); err != nil {
		return false, errors.Join(refuse(ErrLater, "it cannot be checked now what you may, as the API server does not answer: try again"), err)
	}
	allowed := review.Status.Allowed && !review.Status.Denied
	p.answers.Add(q, allowed, peopleTime)
	return allowed, nil
}
