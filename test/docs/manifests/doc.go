// Package manifests tests that an API server with the operator's CRDs and policies takes the manifests that the repository's
// pages show, and what they have kubectl read of it. It needs bin/k8s, or KUBEBUILDER_ASSETS, and holds tests only.
package manifests
