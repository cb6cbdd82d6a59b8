// Package agent serves the Model Context Protocol: tools by which a program that a language model drives reads projects, runs
// and what became of them, and, where it is allowed to, starts and stops runs. It knows the protocol, what each tool takes,
// gives and changes, and how much of anything is given at a time. It never knows a kubeconfig, a terminal or the process's
// streams, and has no rights of its own: all it asks, it asks as whoever started it.
package agent
