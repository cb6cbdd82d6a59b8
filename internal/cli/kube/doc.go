// Package kube reads and writes DbtRuns, DbtSchedules and DbtProjects for a person, with that person's own rights, and says
// in plain words which right is lacking. It knows the API server's clients. It never knows a terminal, how anything is
// shown, or what the collector keeps.
package kube
