// Package links tests that the links of the repository's pages lead somewhere. It holds tests only.
package links
