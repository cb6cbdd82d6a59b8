// Package logs tests examples/logging/opentelemetry-collector.yaml by a real OpenTelemetry Collector in the tests' process: it
// reads what the real runner prints, in files as kubelet and containerd lay them out, and sends to a receiver of the tests. It
// is a module of its own, and holds tests only.
package logs
