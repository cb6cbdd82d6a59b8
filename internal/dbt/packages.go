package dbt

import (
	"fmt"
	"io/fs"
	"path"

	"go.yaml.in/yaml/v3"
)

// MissingPackages reports whether the project in dir asks for packages, in packages.yml or dependencies.yml, that are
// not in its packages folder. A file that is not YAML counts as asking: dbt itself says best what is wrong with it.
// https://docs.getdbt.com/docs/build/packages
func MissingPackages(project fs.FS) (bool, error) {
	asks := false
	for _, name := range []string{"packages.yml", "dependencies.yml"} {
		b, err := fs.ReadFile(project, name)
		if err != nil {
			continue
		}
		var doc struct {
			Packages []any `yaml:"packages"`
			Projects []any `yaml:"projects"`
		}
		if err := yaml.Unmarshal(b, &doc); err != nil || len(doc.Packages) > 0 {
			asks = true
		}
	}
	if !asks {
		return false, nil
	}
	folder := PackagesFolder(project)
	entries, err := fs.ReadDir(project, folder)
	switch {
	case err != nil && !fs.ValidPath(folder):
		return false, fmt.Errorf("packages-install-path in dbt_project.yml: found %q, must be a folder inside the project", folder)
	case err != nil:
		return true, nil
	}
	return len(entries) == 0, nil
}

// PackagesFolder returns the folder of a project that `dbt deps` installs packages in, as packages-install-path of
// dbt_project.yml has it. It may lead out of the project.
func PackagesFolder(project fs.FS) string {
	var doc struct {
		Path string `yaml:"packages-install-path"`
	}
	if b, err := fs.ReadFile(project, projectFile); err == nil && yaml.Unmarshal(b, &doc) == nil && doc.Path != "" {
		return path.Clean(doc.Path)
	}
	return "dbt_packages"
}
