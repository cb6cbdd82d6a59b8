// Package integration tests the manager against a real kube-apiserver and etcd, with the CRDs and the roles of config/
// as they are shipped. What a kubelet and the Job controller would do is played by package testutil's Cluster. It
// knows the API and the manager's constructors; it never knows what is inside a controller.
package integration
