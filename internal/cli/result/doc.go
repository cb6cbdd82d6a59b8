// Package result puts together what is known of a run: the nodes that failed, its lineage, its log, out of its status and its
// pods and, where that is not all, of what the operator keeps. It knows which source is asked first, and what is done when
// one cannot be read. It never knows a terminal, or how anything is shown.
package result
