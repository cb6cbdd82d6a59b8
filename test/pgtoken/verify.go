package pgtoken

import (
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
)

// MaxToken is the length in bytes of the longest token that is looked at. Kubernetes' are about 1,100.
const MaxToken = 16 << 10

// algorithms are those that API servers sign with. One that the key does not fit is refused whatever the token says.
var algorithms = []jose.SignatureAlgorithm{jose.RS256, jose.ES256, jose.ES384, jose.ES512}

// Verifier is what a token is held against. Every field is needed.
type Verifier struct {
	// Keys are the cluster's, as /openid/v1/jwks gives them.
	Keys jose.JSONWebKeySet
	// Issuer is the cluster's --service-account-issuer; Audience the name of this warehouse.
	Issuer, Audience string
	Grants           Grants
}

// Decision says who may log in, or why not. Of a token whose signature does not hold nothing is told: it is made up.
type Decision struct {
	Allowed bool `json:"allowed"`
	// Reason is one sentence.
	Reason string `json:"reason"`
	// Role is the database role that was asked for.
	Role string `json:"role"`
	// Account is NAMESPACE/SERVICEACCOUNT.
	Account string `json:"account,omitempty"`
	// TokenID is the token's jti, which the API server's audit log has as authentication.kubernetes.io/credential-id.
	TokenID string `json:"tokenID,omitempty"`
	Pod     string `json:"pod,omitempty"`
	PodUID  string `json:"podUID,omitempty"`
	Node    string `json:"node,omitempty"`
	Expires string `json:"expires,omitempty"`
}

// claims are those of a ServiceAccount token beside the registered ones.
type claims struct {
	Kubernetes struct {
		Namespace      string `json:"namespace"`
		ServiceAccount object `json:"serviceaccount"`
		Pod            object `json:"pod"`
		Node           object `json:"node"`
	} `json:"kubernetes.io"`
}

type object struct {
	Name string `json:"name"`
	UID  string `json:"uid"`
}

// Decide says whether the bearer of the token may log in as the role.
func (v Verifier) Decide(token, role string, now time.Time) Decision {
	d := Decision{Role: role}
	registered, c, err := v.read(token)
	if err != nil {
		d.Reason = err.Error()
		return d
	}
	d.TokenID, d.Pod, d.PodUID, d.Node = registered.ID, c.Kubernetes.Pod.Name, c.Kubernetes.Pod.UID, c.Kubernetes.Node.Name
	if registered.Expiry != nil {
		d.Expires = registered.Expiry.Time().UTC().Format(time.RFC3339)
	}
	if d.Account, err = account(registered.Subject, c); err == nil {
		err = v.hold(d, registered, now)
	}
	if err != nil {
		d.Reason = err.Error()
		return d
	}
	d.Allowed, d.Reason = true, "the account has the role"
	return d
}

// read returns the claims of a token that one of the cluster's keys has signed.
func (v Verifier) read(token string) (jwt.Claims, claims, error) {
	var registered jwt.Claims
	var c claims
	if len(token) > MaxToken {
		return registered, c, fmt.Errorf("the password is longer than the %d bytes of any token", MaxToken)
	}
	parsed, err := jwt.ParseSigned(token, algorithms)
	if err != nil {
		// The library's words may hold what was sent.
		return registered, c, errors.New("the password is no signed token")
	}
	if parsed.Claims(&v.Keys, &registered, &c) != nil {
		return jwt.Claims{}, claims{}, errors.New("no key of the cluster has signed the token")
	}
	return registered, c, nil
}

// account returns NAMESPACE/SERVICEACCOUNT, if the subject is one and the token says the same twice.
func account(subject string, c claims) (string, error) {
	k := c.Kubernetes
	rest, ok := strings.CutPrefix(subject, "system:serviceaccount:")
	namespace, name, parted := strings.Cut(rest, ":")
	if !ok || !parted || namespace == "" || name == "" || namespace != k.Namespace || name != k.ServiceAccount.Name {
		return "", fmt.Errorf("the token's subject is %q, which is no ServiceAccount that its other claims name", subject)
	}
	return namespace + "/" + name, nil
}

// hold returns the first thing that is wrong with a genuine token.
func (v Verifier) hold(d Decision, registered jwt.Claims, now time.Time) error {
	switch {
	case registered.Issuer != v.Issuer:
		return fmt.Errorf("the token's issuer is %q, want %q", registered.Issuer, v.Issuer)
	case !slices.Contains(registered.Audience, v.Audience):
		return fmt.Errorf("the token is for %q, not for %q", []string(registered.Audience), v.Audience)
	case registered.Expiry == nil:
		return errors.New("the token never expires")
	case !now.Before(registered.Expiry.Time()):
		return fmt.Errorf("the token expired at %s", d.Expires)
	case registered.NotBefore != nil && now.Before(registered.NotBefore.Time().Add(-leeway)):
		return fmt.Errorf("the token is not good before %s", registered.NotBefore.Time().UTC().Format(time.RFC3339))
	case d.Pod == "" || d.PodUID == "":
		return errors.New("the token is bound to no pod: somebody asked for it by hand")
	case d.TokenID == "":
		return errors.New("the token has no id, so that nobody could find what it did")
	case !v.Grants[Grant{Account: d.Account, Role: d.Role}]:
		return fmt.Errorf("the account %s may not log in as %s", d.Account, d.Role)
	}
	return nil
}

// leeway is by how much the clocks of the warehouse and the cluster may differ for a token that was made just now. A token
// that has ended gets none.
const leeway = 30 * time.Second
