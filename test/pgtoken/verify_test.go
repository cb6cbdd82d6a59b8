package pgtoken_test

import (
	"crypto/ecdsa"
	"crypto/elliptic"
	"crypto/rand"
	"encoding/json"
	"maps"
	"strings"
	"testing"
	"time"

	"github.com/go-jose/go-jose/v4"
	"github.com/go-jose/go-jose/v4/jwt"
	"github.com/google/go-cmp/cmp"

	"github.com/dbt-operator/dbt-operator/test/pgtoken"
)

var now = time.Date(2026, 11, 24, 6, 0, 0, 0, time.UTC)

// signer is a cluster's key, or somebody else's.
type signer struct {
	t   testing.TB
	key jose.JSONWebKey
}

func newSigner(t testing.TB, id string) signer {
	t.Helper()
	key, err := ecdsa.GenerateKey(elliptic.P256(), rand.Reader)
	if err != nil {
		t.Fatal(err)
	}
	return signer{t, jose.JSONWebKey{Key: key, KeyID: id, Algorithm: string(jose.ES256), Use: "sig"}}
}

func (s signer) verifier() pgtoken.Verifier {
	return pgtoken.Verifier{
		Keys:   jose.JSONWebKeySet{Keys: []jose.JSONWebKey{s.key.Public()}},
		Issuer: "https://kubernetes.default.svc", Audience: "postgres.warehouse",
		Grants: pgtoken.Grants{{Account: "shop/nightly", Role: "shop"}: true},
	}
}

// claims are those of a token as kubelet gets it, changed.
func claims(change map[string]any) map[string]any {
	c := map[string]any{
		"iss": "https://kubernetes.default.svc", "aud": []string{"postgres.warehouse"}, "sub": "system:serviceaccount:shop:nightly",
		"iat": now.Add(-time.Minute).Unix(), "nbf": now.Add(-time.Minute).Unix(), "exp": now.Add(time.Hour).Unix(), "jti": "6f0c",
		"kubernetes.io": map[string]any{
			"namespace": "shop", "serviceaccount": map[string]any{"name": "nightly", "uid": "a"},
			"pod": map[string]any{"name": "nightly-1", "uid": "b"}, "node": map[string]any{"name": "node-1", "uid": "c"},
		},
	}
	maps.Copy(c, change)
	maps.DeleteFunc(c, func(_ string, v any) bool { return v == nil })
	return c
}

func (s signer) token(c map[string]any) string {
	s.t.Helper()
	signing, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.ES256, Key: s.key}, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	token, err := jwt.Signed(signing).Claims(c).Serialize()
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

// symmetric signs with the bytes of the public key, which everybody has.
func (s signer) symmetric(c map[string]any) string {
	s.t.Helper()
	public := s.key.Public()
	secret, err := public.MarshalJSON()
	if err != nil {
		s.t.Fatal(err)
	}
	signing, err := jose.NewSigner(jose.SigningKey{Algorithm: jose.HS256, Key: jose.JSONWebKey{Key: secret, KeyID: s.key.KeyID}}, nil)
	if err != nil {
		s.t.Fatal(err)
	}
	token, err := jwt.Signed(signing).Claims(c).Serialize()
	if err != nil {
		s.t.Fatal(err)
	}
	return token
}

func TestDecide(t *testing.T) {
	cluster, other := newSigner(t, "k"), newSigner(t, "k")
	bound := func(member string, v any) map[string]any {
		k := maps.Clone(claims(nil)["kubernetes.io"].(map[string]any))
		k[member] = v
		return map[string]any{"kubernetes.io": k}
	}
	whole := cluster.token(claims(nil))
	head, rest, _ := strings.Cut(whole, ".")
	for name, tc := range map[string]struct {
		why, token, role, reason string
		known                    bool // who asks is told
	}{
		"right":            {"what it is for", whole, "shop", "the account has the role", true},
		"other role":       {"a grant is for one role", whole, "boss", "the account shop/nightly may not log in as boss", true},
		"other account":    {"a grant is for one account", cluster.token(claims(map[string]any{"sub": "system:serviceaccount:shop:other", "kubernetes.io": bound("serviceaccount", map[string]any{"name": "other"})["kubernetes.io"]})), "shop", "the account shop/other may not log in as shop", true},
		"other namespace":  {"an account of the same name", cluster.token(claims(map[string]any{"sub": "system:serviceaccount:evil:nightly", "kubernetes.io": bound("namespace", "evil")["kubernetes.io"]})), "shop", "the account evil/nightly may not log in as shop", true},
		"other key":        {"a key that calls itself as the cluster's does", other.token(claims(nil)), "shop", "no key of the cluster has signed the token", false},
		"public as secret": {"the algorithm is the token's word", cluster.symmetric(claims(nil)), "shop", "the password is no signed token", false},
		"no algorithm":     {"nothing signed", "eyJhbGciOiJub25lIn0." + strings.Split(whole, ".")[1] + ".", "shop", "the password is no signed token", false},
		"changed":          {"signed, then changed", head + ".e30" + rest[strings.Index(rest, "."):], "shop", "no key of the cluster has signed the token", false},
		"cut":              {"what pam_exec would hand on", whole[:511], "shop", "", false},
		"garbage":          {"a password", "hunter2", "shop", "the password is no signed token", false},
		"empty":            {"no password", "", "shop", "the password is no signed token", false},
		"huge":             {"bounded", strings.Repeat("a", pgtoken.MaxToken+1), "shop", "longer than the 16384 bytes", false},
		"issuer":           {"another cluster with a key of ours", cluster.token(claims(map[string]any{"iss": "https://other"})), "shop", `issuer is "https://other"`, true},
		"audience":         {"a token for somebody else, who could use it here", cluster.token(claims(map[string]any{"aud": []string{"elsewhere"}})), "shop", `the token is for ["elsewhere"], not for "postgres.warehouse"`, true},
		"no audience":      {"a token for everybody", cluster.token(claims(map[string]any{"aud": nil})), "shop", "not for", true},
		"expired":          {"to the second", cluster.token(claims(map[string]any{"exp": now.Unix()})), "shop", "the token expired at 2026-11-24T06:00:00Z", true},
		"for ever":         {"kubelet's tokens end", cluster.token(claims(map[string]any{"exp": nil})), "shop", "the token never expires", true},
		"not yet":          {"clocks differ by seconds, not by minutes", cluster.token(claims(map[string]any{"nbf": now.Add(time.Minute).Unix()})), "shop", "not good before 2026-11-24T06:01:00Z", true},
		"just now":         {"a clock that is a little behind", cluster.token(claims(map[string]any{"nbf": now.Add(20 * time.Second).Unix()})), "shop", "the account has the role", true},
		"by hand":          {"bound to no pod", cluster.token(claims(bound("pod", nil))), "shop", "bound to no pod", true},
		"no id":            {"nobody could find what it did", cluster.token(claims(map[string]any{"jti": nil})), "shop", "the token has no id", true},
		"person":           {"no account", cluster.token(claims(map[string]any{"sub": "alice"})), "shop", `subject is "alice", which is no ServiceAccount`, false},
		"two accounts":     {"one in the subject, one beside it", cluster.token(claims(bound("namespace", "evil"))), "shop", "which is no ServiceAccount that its other claims name", false},
		"three parts":      {"a name holds no colon", cluster.token(claims(map[string]any{"sub": "system:serviceaccount:shop:nightly:x"})), "shop", "which is no ServiceAccount", false},
	} {
		t.Run(name, func(t *testing.T) {
			got := cluster.verifier().Decide(tc.token, tc.role, now)
			if !strings.Contains(got.Reason, tc.reason) || got.Allowed != (tc.reason == "the account has the role") {
				t.Errorf("%s: got %+v, want %q", tc.why, got, tc.reason)
			}
			if (got.Account != "") != tc.known || tc.known && (got.Role != tc.role || got.Expires == "" && name != "for ever") {
				t.Errorf("%s: who asks is told: %+v, want %v", tc.why, got, tc.known)
			}
			if b, err := json.Marshal(got); err != nil || len(tc.token) > 20 && strings.Contains(string(b), tc.token[len(tc.token)-20:]) {
				t.Errorf("%s: a decision must be loggable: %s, %v", tc.why, b, err)
			}
		})
	}
}

// A decision names what an audit is joined by.
func TestDecisionNamesTheToken(t *testing.T) {
	cluster := newSigner(t, "k")
	got := cluster.verifier().Decide(cluster.token(claims(nil)), "shop", now)
	want := pgtoken.Decision{
		Allowed: true, Reason: "the account has the role", Role: "shop", Account: "shop/nightly", TokenID: "6f0c",
		Pod: "nightly-1", PodUID: "b", Node: "node-1", Expires: "2026-11-24T07:00:00Z",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("-want +got:\n%s", diff)
	}
}

func TestParseGrants(t *testing.T) {
	for name, tc := range map[string]struct {
		why, text, err string
		want           pgtoken.Grants
	}{
		"two roles": {"an account may have several", "# who\n\nshop/nightly shop\nshop/nightly\treports\n", "", pgtoken.Grants{{"shop/nightly", "shop"}: true, {"shop/nightly", "reports"}: true}},
		"empty":     {"nobody may anything", "", "", pgtoken.Grants{}},
		"wildcard":  {"there are none", "shop/a a\n*/nightly shop\n", `line 2: found "*/nightly shop"`, nil},
		"no role":   {"which role", "shop/nightly\n", "line 1", nil},
		"too much":  {"a third word may be meant as a comment, or not", "shop/nightly shop reports\n", "line 1", nil},
		"long":      {"bounded", strings.Repeat("a", 1<<17), "reading grants", nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := pgtoken.ParseGrants(strings.NewReader(tc.text))
			if (err == nil) != (tc.err == "") || err != nil && !strings.Contains(err.Error(), tc.err) {
				t.Errorf("%s: error %v, want %q", tc.why, err, tc.err)
			}
			if diff := cmp.Diff(tc.want, got); diff != "" {
				t.Errorf("%s (-want +got):\n%s", tc.why, diff)
			}
		})
	}
}

// Nothing that the cluster's key has not signed ever passes.
func FuzzDecide(f *testing.F) {
	cluster, other := newSigner(f, "k"), newSigner(f, "k")
	v := cluster.verifier()
	f.Add(other.token(claims(nil)), "shop")
	f.Add(cluster.symmetric(claims(nil)), "shop")
	f.Add("eyJhbGciOiJub25lIn0.e30.", "shop")
	f.Fuzz(func(t *testing.T, token, role string) {
		if d := v.Decide(token, role, now); d.Allowed || d.Account != "" || d.Reason == "" {
			t.Errorf("%q as %q: %+v", token, role, d)
		}
	})
}

func FuzzParseGrants(f *testing.F) {
	f.Add("shop/nightly shop\n# x\n")
	f.Fuzz(func(t *testing.T, text string) {
		g, err := pgtoken.ParseGrants(strings.NewReader(text))
		if err != nil && g != nil {
			t.Errorf("%q: half a list", text)
		}
		for grant := range g {
			if !strings.Contains(text, grant.Account) || !strings.Contains(text, grant.Role) || strings.Count(grant.Account, "/") != 1 {
				t.Errorf("%q: %+v is not in it", text, grant)
			}
		}
	})
}
