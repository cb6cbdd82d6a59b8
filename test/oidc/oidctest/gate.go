package oidctest

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	authenticationv1 "k8s.io/api/authentication/v1"
	corev1 "k8s.io/api/core/v1"
	metav1 "k8s.io/apimachinery/pkg/apis/meta/v1"
	"k8s.io/utils/ptr"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbt-operator/dbt-operator/internal/testutil"
)

// GateConfig says what a gate is started with.
type GateConfig struct {
	// Provider is whose tokens it takes.
	Provider *Provider
	// Namespace is the one whose runs it deals with.
	Namespace string
	// APIServer is that one's URL, CA who signed its certificate, as PEM.
	APIServer string
	CA        []byte
	// Token is the gate's own: all that it can show the API server.
	Token string
}

// Gate is a running examples/fastapi-gate.
type Gate struct {
	URL string
	// Token is its own.
	Token   string
	Process *Process
}

// StartGate starts the gate as its Deployment does, with files in a folder. Where there is no Python it returns nil and
// says so.
func StartGate(ctx context.Context, dir string, c GateConfig) (gate *Gate, unmet string, err error) {
	venv, unmet, err := python(ctx)
	if venv == "" {
		return nil, unmet, err
	}
	address, err := testutil.FreeAddress(ctx)
	if err != nil {
		return nil, "", err
	}
	token, ca := filepath.Join(dir, "gate-token"), filepath.Join(dir, "api-server-ca.crt")
	if err := errors.Join(os.WriteFile(token, []byte(c.Token), 0o600), os.WriteFile(ca, c.CA, 0o600)); err != nil {
		return nil, "", err
	}
	g := &Gate{URL: "http://" + address, Token: c.Token}
	_, port, _ := strings.Cut(address, ":")
	g.Process, err = startProcess(filepath.Join(root, "examples", "fastapi-gate"), []string{
		"PYTHONDONTWRITEBYTECODE=1", "PYTHONPATH=",
		"GATE_ISSUER=" + c.Provider.Issuer, "GATE_ISSUER_CA_FILE=" + c.Provider.CAFile, "GATE_AUDIENCE=" + Audience,
		`GATE_GROUPS=["oidc:shop-team", "oidc:finance-team"]`, "GATE_NAMESPACE=" + c.Namespace,
		"GATE_API_SERVER=" + c.APIServer, "GATE_API_SERVER_CA_FILE=" + ca, "GATE_TOKEN_FILE=" + token,
	}, filepath.Join(venv, "bin", "uvicorn"), "--factory", "gate.app:create_app", "--host", "127.0.0.1", "--port", port)
	if err != nil {
		return nil, "", err
	}
	return g, "", Await(ctx, "the gate answers", func() error {
		if g.Process.Ended() {
			return errors.New("it has ended: " + g.Process.Output())
		}
		request, err := http.NewRequestWithContext(ctx, http.MethodGet, g.URL+"/healthz", http.NoBody)
		if err != nil {
			return err
		}
		response, err := http.DefaultClient.Do(request)
		if err == nil {
			_ = response.Body.Close()
		}
		return err
	})
}

// python returns the folder of the gate's Python, or why there is none.
func python(ctx context.Context) (venv, unmet string, err error) {
	var said bytes.Buffer
	cmd := exec.CommandContext(ctx, filepath.Join(root, "hack", "gate-venv.sh"))
	cmd.Stderr = &said
	out, err := cmd.Output()
	var exit *exec.ExitError
	if errors.As(err, &exit) && exit.ExitCode() == 3 {
		return "", "NOT TESTED: the FastAPI gate needs Python: " + said.String(), nil
	}
	if err != nil {
		return "", "", fmt.Errorf("making the gate's Python: %w: %s", err, said.String())
	}
	return strings.TrimSpace(string(out)), "", nil
}

// GateToken asks for a token of the ServiceAccount that the gate's manifests make in a namespace, as kubelet does.
func GateToken(ctx context.Context, c client.Client, namespace string) (string, error) {
	r := &authenticationv1.TokenRequest{Spec: authenticationv1.TokenRequestSpec{ExpirationSeconds: ptr.To[int64](3600)}}
	account := &corev1.ServiceAccount{ObjectMeta: metav1.ObjectMeta{Namespace: namespace, Name: "gate"}}
	err := c.SubResource("token").Create(ctx, account, r)
	return r.Status.Token, err
}

// Request asks the gate for something in the name of whose token it is; the caller closes the answer's body.
func (g *Gate) Request(t testing.TB, method, path, token, body string) *http.Response {
	t.Helper()
	request, err := http.NewRequestWithContext(t.Context(), method, g.URL+path, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if token != "" {
		request.Header.Set("Authorization", "Bearer "+token)
	}
	if body != "" {
		request.Header.Set("Content-Type", "application/json")
	}
	response, err := http.DefaultClient.Do(request)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return response
}

// Do asks the gate for something, and returns what it answered.
func (g *Gate) Do(t testing.TB, method, path, token, body string) Answer {
	t.Helper()
	response := g.Request(t, method, path, token, body)
	defer func() { _ = response.Body.Close() }()
	content, err := io.ReadAll(response.Body)
	if err != nil {
		t.Fatalf("%s %s: %v", method, path, err)
	}
	return Answer{response.StatusCode, response.Header.Get("Content-Type"), content}
}
