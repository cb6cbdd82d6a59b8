package cert

import (
	"context"
	"crypto/tls"
	"crypto/x509"
	"errors"
	"fmt"
	"io"
	"math/rand/v2"
	"net"
	"os"
	"path/filepath"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/go-logr/logr"
	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	clientgoscheme "k8s.io/client-go/kubernetes/scheme"
	testingclock "k8s.io/utils/clock/testing"
	"sigs.k8s.io/controller-runtime/pkg/client"
	"sigs.k8s.io/controller-runtime/pkg/client/fake"
	"sigs.k8s.io/controller-runtime/pkg/client/interceptor"

	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

var (
	start  = time.Date(2026, 11, 2, 6, 0, 0, 0, time.UTC)
	secret = types.NamespacedName{Namespace: "dbt-operator-system", Name: "dbt-operator-collector"}
	names  = append(ServiceNames(types.NamespacedName{Namespace: "dbt-operator-system", Name: "collector"}), "10.0.0.7")
)

func keeper(t testing.TB, clk *testingclock.FakeClock, c client.Client) *Keeper {
	t.Helper()
	k, err := NewKeeper(Config{Clock: clk, Reader: c, Writer: c, Secret: secret, Names: names, Log: logr.Discard()})
	if err != nil {
		t.Fatal(err)
	}
	return k
}

func server(funcs interceptor.Funcs, objects ...client.Object) client.Client {
	return fake.NewClientBuilder().WithScheme(clientgoscheme.Scheme).WithInterceptorFuncs(funcs).WithObjects(objects...).Build()
}

func ensure(t testing.TB, k *Keeper) {
	t.Helper()
	if err := k.Ensure(t.Context()); err != nil {
		t.Fatal(err)
	}
}

func serving(t testing.TB, k *Keeper) *x509.Certificate {
	t.Helper()
	c, err := k.GetCertificate(nil)
	if err != nil {
		t.Fatal(err)
	}
	return c.Leaf
}

// trusts returns an error unless a pod that was given bundle trusts c at now, by each of its names.
func trusts(bundle string, c *x509.Certificate, now time.Time) error {
	roots := x509.NewCertPool()
	if !roots.AppendCertsFromPEM([]byte(bundle)) {
		return errors.New("the bundle has no certificate")
	}
	var errs []error
	for _, name := range names {
		_, err := c.Verify(x509.VerifyOptions{DNSName: name, Roots: roots, CurrentTime: now})
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// Over ten years, with two replicas that look at odd times, a pod trusts the collector for as long as a run may take (30
// days, and its queueing), whenever it was given its bundle; and the certificate is always good for some weeks more.
func TestTrustHoldsOverTheYears(t *testing.T) {
	clk := testingclock.NewFakeClock(start)
	c := server(interceptor.Funcs{})
	replicas := []*Keeper{keeper(t, clk, c), keeper(t, clk, c)}
	given := map[string]time.Time{} // bundle: when it was given last
	r := rand.New(rand.NewPCG(1, 1))
	seen := map[string]bool{}
	for clk.Now().Before(start.Add(10 * year)) {
		k := replicas[r.IntN(2)]
		ensure(t, k)
		now := clk.Now()
		leaf := serving(t, k)
		seen[string(leaf.AuthorityKeyId)] = true
		given[k.Bundle()] = now
		for bundle, at := range given {
			if now.Sub(at) > 300*24*time.Hour {
				delete(given, bundle)
			} else if err := trusts(bundle, leaf, now); err != nil {
				t.Fatalf("at %s, with a bundle of %s: %v", now, at, err)
			}
		}
		if left := leaf.NotAfter.Sub(now); left < servingLife/3-backdate {
			t.Fatalf("at %s the certificate is good for only %s", now, left)
		}
		clk.Step(time.Duration(r.Int64N(int64(12 * 24 * time.Hour))))
	}
	if len(seen) < 9 || len(seen) > 11 {
		t.Errorf("%d authorities signed in ten years, want about one a year", len(seen))
	}
}

func TestReplicasAgree(t *testing.T) {
	clk := testingclock.NewFakeClock(start)
	c := server(interceptor.Funcs{})
	for _, when := range []string{"at the first start", "when the authority is due"} {
		var wg sync.WaitGroup
		replicas := make([]*Keeper, 4)
		for i := range replicas {
			replicas[i] = keeper(t, clk, c)
			wg.Go(func() {
				if err := replicas[i].Ensure(t.Context()); err != nil {
					t.Errorf("%s: %v", when, err)
				}
			})
		}
		wg.Wait()
		for _, k := range replicas[1:] {
			if k.Bundle() != replicas[0].Bundle() || !serving(t, k).Equal(serving(t, replicas[0])) {
				t.Errorf("%s: replicas have different certificates", when)
			}
		}
		clk.Step(13 * 30 * 24 * time.Hour)
	}
}

func TestRenewal(t *testing.T) {
	k := func(t *testing.T) (*Keeper, *testingclock.FakeClock, client.Client) {
		clk := testingclock.NewFakeClock(start)
		c := server(interceptor.Funcs{})
		k := keeper(t, clk, c)
		ensure(t, k)
		return k, clk, c
	}
	for name, c := range map[string]struct {
		reason          string
		step            time.Duration
		serving, bundle bool // change
	}{
		"a day":              {"nothing is due", 24 * time.Hour, false, false},
		"58 days":            {"nothing is due", 58 * 24 * time.Hour, false, false},
		"60 days":            {"two thirds of 90", 60 * 24 * time.Hour, true, false},
		"14 months":          {"the authority is due as well", 14 * 30 * 24 * time.Hour, true, true},
		"away for six years": {"all is over", 6 * year, true, true},
		"back by a year":     {"what was made by a clock that was wrong is not valid yet", -year, true, true},
		"back by an hour":    {"that happens", -time.Hour, false, false},
	} {
		t.Run(name, func(t *testing.T) {
			k, clk, _ := k(t)
			before, bundle := serving(t, k), k.Bundle()
			clk.Step(c.step)
			ensure(t, k)
			if got := !serving(t, k).Equal(before); got != c.serving {
				t.Errorf("%s: the certificate changed: %t", c.reason, got)
			}
			if got := k.Bundle() != bundle; got != c.bundle {
				t.Errorf("%s: the bundle changed: %t", c.reason, got)
			}
			if err := trusts(k.Bundle(), serving(t, k), clk.Now()); err != nil {
				t.Error(err)
			}
		})
	}
}

// A Secret that somebody has edited is mended; what of it is good stays.
func TestSecretIsMended(t *testing.T) {
	for name, c := range map[string]struct {
		reason string
		harm   func(map[string][]byte)
		keeps  bool // the pods' trust
	}{
		"no key":              {"the certificate is made anew", func(d map[string][]byte) { delete(d, "tls.key") }, true},
		"rubbish":             {"the certificate is made anew", func(d map[string][]byte) { d["tls.crt"] = []byte("x") }, true},
		"keys changed over":   {"they do not belong together", func(d map[string][]byte) { d["tls.key"] = d["ca.key"] }, true},
		"next is gone":        {"another next is made", func(d map[string][]byte) { delete(d, "next.crt") }, true},
		"no authority":        {"the next takes its place", func(d map[string][]byte) { delete(d, "ca.key") }, true},
		"serving as CA":       {"it is no authority", func(d map[string][]byte) { d["ca.crt"], d["ca.key"] = d["tls.crt"], d["tls.key"] }, true},
		"nothing":             {"all is made anew", func(d map[string][]byte) { clear(d) }, false},
		"larger than a stamp": {"nobody parses megabytes", func(d map[string][]byte) { d["tls.crt"] = make([]byte, maxCertificate+1) }, true},
	} {
		t.Run(name, func(t *testing.T) {
			clk := testingclock.NewFakeClock(start)
			api := server(interceptor.Funcs{})
			k := keeper(t, clk, api)
			ensure(t, k)
			bundle := k.Bundle()
			s := &corev1.Secret{}
			if err := api.Get(t.Context(), secret, s); err != nil {
				t.Fatal(err)
			}
			c.harm(s.Data)
			if err := api.Update(t.Context(), s); err != nil {
				t.Fatal(err)
			}
			ensure(t, k)
			if err := trusts(k.Bundle(), serving(t, k), clk.Now()); err != nil {
				t.Errorf("%s: %v", c.reason, err)
			}
			if err := trusts(bundle, serving(t, k), clk.Now()); (err == nil) != c.keeps {
				t.Errorf("%s: a pod that runs: %v", c.reason, err)
			}
		})
	}
}

// While the API server is away, what there is goes on being served.
func TestAPIServerAway(t *testing.T) {
	clk := testingclock.NewFakeClock(start)
	away := false
	fail := func(err error) error {
		if away {
			return errors.New("connection refused")
		}
		return err
	}
	api := server(interceptor.Funcs{
		Get: func(ctx context.Context, c client.WithWatch, key client.ObjectKey, o client.Object, opts ...client.GetOption) error {
			return fail(c.Get(ctx, key, o, opts...))
		},
	})
	k := keeper(t, clk, api)
	if _, err := k.GetCertificate(nil); err == nil || k.Bundle() != "" {
		t.Error("there is a certificate before one was made")
	}
	ensure(t, k)
	away = true
	clk.Step(70 * 24 * time.Hour)
	if err := k.Ensure(t.Context()); err == nil {
		t.Error("no error")
	}
	if err := trusts(k.Bundle(), serving(t, k), clk.Now()); err != nil {
		t.Error(err)
	}
}

// A role that lets the Secret be read and not written must not turn a certificate away that is good for weeks.
func TestSecretCannotBeWritten(t *testing.T) {
	clk := testingclock.NewFakeClock(start)
	forbidden := false
	api := server(interceptor.Funcs{Update: func(ctx context.Context, c client.WithWatch, o client.Object, opts ...client.UpdateOption) error {
		if forbidden {
			return errors.New("forbidden")
		}
		return c.Update(ctx, o, opts...)
	}})
	ensure(t, keeper(t, clk, api))
	forbidden = true
	clk.Step(61 * 24 * time.Hour)
	k := keeper(t, clk, api)
	if err := k.Ensure(t.Context()); err == nil || !strings.Contains(err.Error(), secret.String()) {
		t.Errorf("got %v", err)
	}
	if err := trusts(k.Bundle(), serving(t, k), clk.Now()); err != nil {
		t.Error(err)
	}
}

func TestNames(t *testing.T) {
	for _, bad := range [][]string{nil, {""}, {"a b"}, {"https://x"}, {"*"}} {
		if _, err := NewKeeper(Config{Names: bad}); err == nil {
			t.Errorf("names %q were taken", bad)
		}
	}
	clk := testingclock.NewFakeClock(start)
	api := server(interceptor.Funcs{})
	k := keeper(t, clk, api)
	ensure(t, k)
	bundle := k.Bundle()
	k.config.Names = []string{"collector.example.com", "fd00::7"}
	ensure(t, k)
	if got := serving(t, k); k.Bundle() != bundle || got.VerifyHostname("collector.example.com") != nil || got.VerifyHostname("fd00:0::7") != nil {
		t.Errorf("other names need another certificate, and no other authority: %v %v", got.DNSNames, got.IPAddresses)
	}
	before := serving(t, k)
	ensure(t, k)
	if !serving(t, k).Equal(before) {
		t.Error("the same names need no other certificate")
	}
}

func TestStartLooksAgainAndAgain(t *testing.T) {
	clk := testingclock.NewFakeClock(start)
	k := keeper(t, clk, server(interceptor.Funcs{}))
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- k.Start(ctx) }()
	wait := func(what string, ok func() bool) {
		testutil.Eventually(t, what, 10*time.Second, func() (bool, string) { return ok(), "" })
	}
	wait("a certificate", func() bool { return k.Bundle() != "" && clk.HasWaiters() })
	before := serving(t, k)
	clk.Step(70 * 24 * time.Hour)
	wait("another one", func() bool { return !serving(t, k).Equal(before) })
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
}

// handshake connects to a listener with GetCertificate as a pod with this bundle does.
func handshake(t *testing.T, get func(*tls.ClientHelloInfo) (*tls.Certificate, error), bundle string) error {
	t.Helper()
	client, server := net.Pipe()
	go func() {
		s := tls.Server(server, &tls.Config{GetCertificate: get, MinVersion: tls.VersionTLS12})
		_, _ = io.WriteString(s, "hello")
		_ = s.Close()
	}()
	roots := x509.NewCertPool()
	roots.AppendCertsFromPEM([]byte(bundle))
	c := tls.Client(client, &tls.Config{RootCAs: roots, ServerName: names[0], Time: func() time.Time { return start }, MinVersion: tls.VersionTLS12})
	_, err := io.ReadAll(c)
	_ = client.Close()
	return err
}

func TestFolder(t *testing.T) {
	dir := t.TempDir()
	clk := testingclock.NewFakeClock(start)
	write := func() *Keeper {
		t.Helper()
		api := server(interceptor.Funcs{})
		k := keeper(t, clk, api)
		ensure(t, k)
		s := &corev1.Secret{}
		if err := api.Get(t.Context(), secret, s); err != nil {
			t.Fatal(err)
		}
		for _, name := range []string{"tls.crt", "tls.key", "ca.crt"} {
			file := filepath.Join(dir, name)
			if err := errors.Join(os.WriteFile(file+".new", s.Data[name], 0o600), os.Rename(file+".new", file)); err != nil {
				t.Fatal(err)
			}
		}
		return k
	}
	if _, err := NewFolder(dir); err == nil || !strings.Contains(err.Error(), dir) {
		t.Errorf("an empty folder: %v", err)
	}
	one := write()
	f, err := NewFolder(dir)
	if err != nil {
		t.Fatal(err)
	}
	if err := handshake(t, f.GetCertificate, f.Bundle()); err != nil {
		t.Error(err)
	}
	if err := handshake(t, f.GetCertificate, write().Bundle()); err == nil {
		t.Error("an authority that did not sign is trusted")
	}
	f.watcher.WithWatchInterval(20 * time.Millisecond)
	ctx, cancel := context.WithCancel(t.Context())
	done := make(chan error, 1)
	go func() { done <- f.Start(ctx) }()
	testutil.Eventually(t, "the new certificate", 30*time.Second, func() (bool, string) {
		err := handshake(t, f.GetCertificate, f.Bundle())
		return err == nil && !strings.HasPrefix(one.Bundle(), f.Bundle()), fmt.Sprint(err)
	})
	cancel()
	if err := <-done; err != nil {
		t.Error(err)
	}
	bundle := f.Bundle()
	if err := os.WriteFile(filepath.Join(dir, "ca.crt"), []byte("half a cert"), 0o600); err != nil {
		t.Fatal(err)
	}
	if f.Bundle() != bundle {
		t.Error("a bundle that cannot be read took the place of one that could")
	}
}
