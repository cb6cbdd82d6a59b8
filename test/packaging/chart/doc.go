// Package chart tests charts/dbt-operator by Helm's own library: that it makes what config/default makes, that a real API
// server takes what it makes of other values, and that it installs, upgrades and uninstalls. It holds
// tests only.
package chart
