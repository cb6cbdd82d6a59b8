package access

import (
	"context"
	"crypto/sha256"
	"errors"
	"time"

	"golang.org/x/time/rate"
	authenticationv1 "k8s.io/api/authentication/v1"
	"k8s.io/apimachinery/pkg/util/cache"
	"k8s.io/utils/clock"
	"sigs.k8s.io/controller-runtime/pkg/client"
)

// Creator creates objects: a client.Client is one.
type Creator interface {
	Create(ctx context.Context, object client.Object, options ...client.CreateOption) error
}

const (
	// maxToken bounds a token in bytes: one of a ServiceAccount has about 1 KiB, one of an identity provider some more.
	maxToken = 16 << 10
	// maxTokens bounds how many reviews are remembered, maxAddresses of how many addresses it is known how much they ask.
	maxTokens    = 4096
	maxAddresses = 4096
	// refusedTime is how long it is remembered that a token is not valid.
	refusedTime = 10 * time.Second
	// newTokens is how many tokens a second, that are not remembered, are reviewed for one address, after newTokensBurst.
	// Many may share an address: people come from the API server's when they come through its proxy, and pods from their
	// node's where it translates addresses, all of them at once when another replica has begun to lead.
	newTokens      = 50
	newTokensBurst = 500
	// reviewTimeout bounds one question to the API server.
	reviewTimeout = 5 * time.Second
)

// tokens reviews tokens and remembers what came of it for a short time, by the tokens' digests.
type tokens struct {
	clock     clock.PassiveClock
	api       Creator
	audiences []string
	keep      time.Duration
	known     *cache.LRUExpireCache
	addresses *cache.LRUExpireCache
}

type digest [sha256.Size]byte

func reviewer(clk clock.PassiveClock, api Creator, audiences []string, keep time.Duration) *tokens {
	return &tokens{
		clock: clk, api: api, audiences: audiences, keep: keep,
		known: cache.NewLRUExpireCacheWithClock(maxTokens, clk), addresses: cache.NewLRUExpireCacheWithClock(maxAddresses, clk),
	}
}

// review returns what the API server says of a token. address is where it came from.
func (t *tokens) review(ctx context.Context, token, address string) (authenticationv1.TokenReviewStatus, digest, error) {
	key := digest(sha256.Sum256([]byte(token)))
	if known, ok := t.known.Get(key); ok {
		return known.(authenticationv1.TokenReviewStatus), key, nil //nolint:forcetypeassert // nothing else is put in
	}
	if token == "" || len(token) > maxToken {
		return authenticationv1.TokenReviewStatus{Error: "it is empty or too long"}, key, nil
	}
	if !t.allow(address) {
		return authenticationv1.TokenReviewStatus{}, key, refuse(ErrTooMany, "too many new tokens came from %s: try again in a moment", address)
	}
	ctx, cancel := context.WithTimeout(ctx, reviewTimeout)
	defer cancel()
	r := &authenticationv1.TokenReview{Spec: authenticationv1.TokenReviewSpec{Token: token, Audiences: t.audiences}}
	if err := t.api.Create(ctx, r); err != nil {
		return authenticationv1.TokenReviewStatus{}, key, errors.Join(refuse(ErrLater, "the token cannot be checked now, as the API server does not answer: try again"), err)
	}
	keep := t.keep
	if !r.Status.Authenticated {
		keep = min(keep, refusedTime)
	}
	t.known.Add(key, r.Status, keep)
	return r.Status, key, nil
}

// allow reports whether an address may have another token reviewed.
func (t *tokens) allow(address string) bool {
	limiter, ok := t.addresses.Get(address)
	if !ok {
		limiter = rate.NewLimiter(newTokens, newTokensBurst)
	}
	t.addresses.Add(address, limiter, time.Minute)
	return limiter.(*rate.Limiter).AllowN(t.clock.Now(), 1) //nolint:forcetypeassert // nothing else is put in
}
