// Package kept reads what the operator's collector keeps of a run: its log, journal, report and artifacts, through the API
// server's proxy of the collector's Service, with the token that the person shows to the API server anyway. It knows HTTP,
// the collector's paths and its answers. It never knows a terminal, or what the API server itself keeps.
package kept
