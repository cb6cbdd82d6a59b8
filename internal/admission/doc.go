// Package admission decides whether what a user wrote can be carried out: it splits dbt command lines into words,
// knows which commands and flags are allowed, and where environment names are refused. It states the same rules as
// the CEL of the CRDs and goes where CEL cannot (quoting). It knows the API types and never a client, a clock or a
// status; every refusal names the field, what was found and what would do.
package admission
