// Package gitops tests what GitOps tools make of the operator's kinds: the health script of config/argocd by an embedded Lua,
// and kstatus by the library that Flux and Helm wait with. It holds tests only.
package gitops
