// Package oidc proves logging in by OpenID Connect end to end: a real provider (Dex) with people of two groups, a real API
// server with structured authentication and the admission policies of config/policy, and examples/fastapi-gate between
// them. What a person may do is decided by their group alone, and what the gate makes for them bears their name.
package oidc
