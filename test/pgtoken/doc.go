// Package pgtoken decides whether a Kubernetes ServiceAccount token may log in to PostgreSQL as a role. It knows JSON Web
// Tokens, the cluster's keys, and which account may take which role. It never knows a network, a clock or a file: the
// program in cmd/pgtoken reads those, and PostgreSQL starts it by PAM for each login (see pam). It is the warehouse of the
// end-to-end tests, and a pattern for one of your own.
package pgtoken
