package dbt

import (
	"io/fs"
	"path"

	"go.yaml.in/yaml/v3"
)

// EndHooks reports whether the project in dir, or a package that is installed in it, has hooks that dbt runs when all nodes
// have ended. A file that is not YAML counts as having some.
// https://docs.getdbt.com/reference/project-configs/on-run-start-on-run-end
func EndHooks(project fs.FS) bool {
	folder := PackagesFolder(project)
	files, err := fs.Glob(project, path.Join(folder, "*", projectFile))
	if err != nil || !fs.ValidPath(folder) {
		return true
	}
	for _, file := range append(files, projectFile) {
		b, err := fs.ReadFile(project, file)
		if err != nil {
			continue
		}
		var doc struct {
			End yaml.Node `yaml:"on-run-end"`
		}
		if yaml.Unmarshal(b, &doc) != nil || doc.End.Value != "" || len(doc.End.Content) > 0 {
			return true
		}
	}
	return false
}

const projectFile = "dbt_project.yml"
