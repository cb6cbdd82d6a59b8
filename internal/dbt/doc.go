// Package dbt knows dbt's own formats: the events of `--log-format json`, exit codes, command lines, vars and the
// manifest, of dbt 1.x and 2.x, and turns them into plain structs. It never knows Kubernetes, processes, files or a
// clock: callers hand it bytes and words.
//
// Only the event stream is believed. run_results.json is not read: after an interruption dbt 1.x leaves nodes out of it
// and dbt 2.x calls every node an error, also those that had succeeded.
package dbt
