package kept

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"time"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/client-go/rest"
	"k8s.io/utils/clock"

	"github.com/dbt-operator/dbt-operator/internal/journal"
)

const (
	// DefaultNamespace is where the operator is installed unless somebody moved it.
	DefaultNamespace = "dbt-operator-system"
	// service is the collector's, with the scheme that the API server's proxy is to use.
	service = "https:collector:9443"
	// tries is how often a collector that does not lead, or is busy, is asked, and pause how long is between.
	tries = 10
	pause = 300 * time.Millisecond
	// maxAnswer bounds what is read of an answer that is no success.
	maxAnswer = 64 << 10
)

// Reader reads what is kept of runs. Its methods may be called by many goroutines at once.
type Reader struct {
	http      *http.Client
	base      string
	namespace string
	clock     clock.WithTicker
}

// Config says how the collector is reached.
type Config struct {
	// Rest leads to the API server.
	Rest *rest.Config
	// Namespace is the operator's.
	Namespace string
	// Token is shown to the collector instead of the person's own; empty: the person's own is.
	Token string
	Clock clock.WithTicker
}

// New returns a Reader.
func New(c Config) (*Reader, error) {
	cfg := rest.CopyConfig(c.Rest)
	if c.Token == "" && cfg.Impersonate.UserName != "" {
		return nil, &Error{Kind: ErrNoToken, Message: fmt.Sprintf("the collector asks for a token of who reads, and --as %s does not reach it: "+howToToken, cfg.Impersonate.UserName)}
	}
	// The outermost wrappers put in the person's token; this one is within them and sees it.
	cfg.Wrap(func(next http.RoundTripper) http.RoundTripper { return &shows{next, c.Token} })
	client, err := rest.HTTPClientFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	host, _, err := rest.DefaultServerUrlFor(cfg)
	if err != nil {
		return nil, fmt.Errorf("reading the kubeconfig: %w", err)
	}
	base := strings.TrimSuffix(host.String(), "/") + "/api/v1/namespaces/" + url.PathEscape(c.Namespace) + "/services/" + service + "/proxy"
	return &Reader{http: client, base: base, namespace: c.Namespace, clock: c.Clock}, nil
}

const howToToken = "log in with a token (OpenID Connect, a cloud's plugin), or name with --collector-account a ServiceAccount of the run's namespace that may get the DbtRun and that you may create tokens of"

// shows puts a token where the collector finds it: the API server's proxy takes the Authorization header off.
type shows struct {
	next  http.RoundTripper
	token string
}

func (s *shows) RoundTrip(r *http.Request) (*http.Response, error) {
	token := s.token
	if token == "" {
		_, bearer, ok := strings.Cut(r.Header.Get("Authorization"), " ")
		if !ok || !strings.HasPrefix(strings.ToLower(r.Header.Get("Authorization")), "bearer ") {
			return nil, errNoBearer
		}
		token = strings.TrimSpace(bearer)
	}
	r = r.Clone(r.Context())
	r.Header.Set(journal.HeaderToken, token)
	return s.next.RoundTrip(r)
}

var errNoBearer = errors.New("no bearer token")

// What an Error means, for errors.Is.
var (
	// ErrNoToken: the person has no token to show.
	ErrNoToken = errors.New("no token")
	// ErrForbidden: the person may not.
	ErrForbidden = errors.New("forbidden")
	// ErrNotKept: nothing of it is kept.
	ErrNotKept = errors.New("not kept")
	// ErrUnreachable: the collector does not answer.
	ErrUnreachable = errors.New("unreachable")
)

// Error is why something could not be read, in words for whoever asked.
type Error struct {
	Kind    error
	Message string
}

func (e *Error) Error() string { return e.Message }

func (e *Error) Unwrap() error { return e.Kind }

// Log returns the log of a run; of one pod if that is named.
func (r *Reader) Log(ctx context.Context, run types.NamespacedName, pod string) (io.ReadCloser, error) {
	path := journal.PartLog
	if pod != "" {
		path += "?" + url.Values{"attempt": {pod}}.Encode()
	}
	return r.get(ctx, run, path)
}

// Artifact returns an artifact of a run.
func (r *Reader) Artifact(ctx context.Context, run types.NamespacedName, name string) (io.ReadCloser, error) {
	return r.get(ctx, run, journal.PartArtifacts+"/"+url.PathEscape(name))
}

// Report returns what is kept of a run, but for its log, journal and artifacts.
func (r *Reader) Report(ctx context.Context, run types.NamespacedName) (*journal.RunReport, error) {
	in, err := r.get(ctx, run, journal.PartReport)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	out := &journal.RunReport{}
	if err := json.NewDecoder(in).Decode(out); err != nil {
		return nil, fmt.Errorf("reading the report of DbtRun %q: %w", run.Name, err)
	}
	return out, nil
}

// Journal returns what the journal of a run comes to.
func (r *Reader) Journal(ctx context.Context, run types.NamespacedName) (*journal.State, error) {
	in, err := r.get(ctx, run, journal.PartJournal)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	state := journal.NewState()
	if _, err := journal.DecodeEntries(in, func(e journal.Entry) error { state.Apply(e); return nil }); err != nil {
		return nil, fmt.Errorf("reading the journal of DbtRun %q: %w", run.Name, err)
	}
	return state, nil
}

// get returns the answer to a request, once there is one of a collector that leads.
func (r *Reader) get(ctx context.Context, run types.NamespacedName, path string) (io.ReadCloser, error) {
	target := r.base + journal.PathRuns + url.PathEscape(run.Namespace) + "/" + url.PathEscape(run.Name) + "/" + path
	for n := 1; ; n++ {
		body, again, err := r.once(ctx, target)
		if err == nil || !again || n == tries {
			return body, err
		}
		select {
		case <-ctx.Done():
			return nil, ctx.Err()
		case <-r.clock.After(pause):
		}
	}
}

func (r *Reader) once(ctx context.Context, target string) (body io.ReadCloser, again bool, err error) {
	request, err := http.NewRequestWithContext(ctx, http.MethodGet, target, nil)
	if err != nil {
		return nil, false, err
	}
	answer, err := r.http.Do(request)
	switch {
	case errors.Is(err, errNoBearer):
		return nil, false, &Error{ErrNoToken, "the collector asks for a token, and your kubeconfig has none (it logs in by certificate or password): " + howToToken}
	case err != nil:
		return nil, false, fmt.Errorf("asking the collector through the API server: %w", err)
	case answer.StatusCode == http.StatusOK:
		return answer.Body, false, nil
	}
	defer func() { _ = answer.Body.Close() }()
	said, err := io.ReadAll(io.LimitReader(answer.Body, maxAnswer))
	if err != nil {
		return nil, false, fmt.Errorf("asking the collector through the API server: %w", err)
	}
	again = answer.StatusCode == http.StatusServiceUnavailable || answer.StatusCode == http.StatusTooManyRequests
	return nil, again, r.refused(answer.StatusCode, said)
}

// refused returns what an answer that is no success means. The API server's own answers are Status objects, the collector's
// are not.
func (r *Reader) refused(code int, body []byte) error {
	var said struct {
		Kind    string `json:"kind"`
		Message string `json:"message"`
		Error   string `json:"error"`
	}
	_ = json.Unmarshal(body, &said) // what is no JSON says nothing that could be shown
	if said.Kind == "Status" {
		return r.refusedByAPIServer(code, said.Message)
	}
	message := said.Error
	if message == "" {
		message = fmt.Sprintf("it answers with code %d", code)
	}
	switch code {
	case http.StatusNotFound:
		return &Error{ErrNotKept, message}
	case http.StatusForbidden, http.StatusUnauthorized:
		return &Error{ErrForbidden, "the collector refuses: " + message}
	}
	return &Error{ErrUnreachable, "the collector cannot answer: " + message}
}

func (r *Reader) refusedByAPIServer(code int, message string) error {
	switch code {
	case http.StatusForbidden:
		return &Error{ErrForbidden, fmt.Sprintf(
			"what is kept of runs is read through the API server's proxy, which needs the verb \"get\" on services/proxy \"https:collector:9443\" in namespace %q: "+
				"ask an administrator for a Role with it; `kubectl dbt doctor` checks it", r.namespace)}
	case http.StatusNotFound:
		return &Error{ErrUnreachable, fmt.Sprintf("there is no Service \"collector\" in namespace %q: name the operator's own with --operator-namespace, if it is another", r.namespace)}
	case http.StatusUnauthorized:
		return &Error{ErrForbidden, "the API server does not know you: log in again"}
	}
	return &Error{ErrUnreachable, fmt.Sprintf("the collector cannot be reached (%s): `kubectl dbt doctor` says whether the operator is up", strings.TrimSpace(message))}
}
