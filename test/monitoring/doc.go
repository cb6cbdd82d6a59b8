// Package monitoring tests the alerts of config/prometheus and the dashboard of config/grafana by Prometheus' own engine, over
// what the operator's own metrics give when they are scraped. It is a module of its own, and holds tests only.
package monitoring
