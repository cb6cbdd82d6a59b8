// Package gate runs the tests and the type checker of examples/fastapi-gate, each in the Python that hack/gate-venv.sh makes
// of the pinned versions. That the gate does what it says against a real API server and provider is test/oidc's to prove.
package gate
