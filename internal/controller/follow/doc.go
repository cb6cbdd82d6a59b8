// Package follow tells an outbox of DbtRuns that started or ended, and reads what the store has of them. It knows when the
// results of a DbtRun are as complete as they will be; it never knows what is told of it, nor to whom.
package follow
