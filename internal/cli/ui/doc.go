// Package ui serves the pages of `kubectl dbt ui` on this machine: runs, timelines, lineage, failures, logs and schedules, out
// of what somebody else reads. It knows HTTP, and who may ask: whoever has the token of this one process. It never knows a
// client, a kubeconfig or a terminal. What it shows comes from pods and people that may be hostile: the pages run no script
// but their own, load nothing from elsewhere, and put text in as text.
package ui
