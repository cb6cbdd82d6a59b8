// Package shop is the sample dbt project, embedded: the demo, the tests and the builder of its ConfigMap all take it
// from here. It knows which files belong to the project. It never knows what is done with them.
//
// dbt does not look at this file: it reads only the folders that dbt_project.yml names.
package shop

import "embed"

// FS holds the project: dbt_project.yml at the top, its folders, and profiles/profiles.yml.
//
//go:embed dbt_project.yml macros models profiles seeds snapshots tests
var FS embed.FS
