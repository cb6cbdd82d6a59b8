// Package oidctest runs, for tests, a real OpenID Connect provider (Dex) with people of two groups, and
// examples/fastapi-gate, and speaks to both as people do. It knows what they are started with and how they answer; it
// knows neither the cluster behind the gate nor what anybody may do there. Its tests are those of test/oidc.
package oidctest
