package main

import (
	"fmt"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// krewFile is the manifest by which krew installs the plugin. https://krew.sigs.k8s.io/docs/developer-guide/plugin-manifest/
const krewFile = "dbt.krew.yaml"

type krewPlugin struct {
	APIVersion string            `json:"apiVersion"`
	Kind       string            `json:"kind"`
	Metadata   map[string]string `json:"metadata"`
	Spec       krewSpec          `json:"spec"`
}

type krewSpec struct {
	Version          string         `json:"version"`
	Homepage         string         `json:"homepage"`
	ShortDescription string         `json:"shortDescription"`
	Description      string         `json:"description"`
	Platforms        []krewPlatform `json:"platforms"`
}

type krewPlatform struct {
	Selector struct {
		MatchLabels map[string]string `json:"matchLabels"`
	} `json:"selector"`
	URI    string `json:"uri"`
	SHA256 string `json:"sha256"`
	Bin    string `json:"bin"`
}

// archiveOf is what an archive of the plugin is called: kubectl-dbt_OS_ARCH.tar.gz.
var archiveOf = regexp.MustCompile(`^kubectl-dbt_([a-z0-9]+)_([a-z0-9]+)\.tar\.gz$`)

// krew returns krew's manifest of a version of the plugin, for the platforms that there are archives of.
func krew(version string, archives []string) ([]byte, error) {
	p := krewPlugin{
		APIVersion: "krew.googlecontainertools.github.com/v1alpha2", Kind: "Plugin", Metadata: map[string]string{"name": "dbt"},
		Spec: krewSpec{
			Version: version, Homepage: repository, ShortDescription: "Run dbt on Kubernetes, and see what came of it",
			Description: "Starts, follows, explains and repeats the dbt runs of dbt-operator: live progress, failures with their SQL,\n" +
				"lineage, logs of pods that are gone, schedules, and a page in the browser. It has the rights of your kubeconfig.\n",
		},
	}
	for _, path := range slices.Sorted(slices.Values(archives)) {
		file := filepath.Base(path)
		m := archiveOf.FindStringSubmatch(file)
		if m == nil {
			return nil, fmt.Errorf("krew: found the archive %q, want kubectl-dbt_OS_ARCH.tar.gz", file)
		}
		sum, err := digest(path)
		if err != nil {
			return nil, err
		}
		platform := krewPlatform{URI: repository + "/releases/download/" + version + "/" + file, SHA256: sum, Bin: "kubectl-dbt"}
		platform.Selector.MatchLabels = map[string]string{"os": m[1], "arch": m[2]}
		if m[1] == "windows" {
			platform.Bin += ".exe"
		}
		p.Spec.Platforms = append(p.Spec.Platforms, platform)
	}
	return yaml.Marshal(p)
}

// checkKrew says what does not agree between krew's manifest in a folder and the archives beside it.
func checkKrew(dir string, names []string) []error {
	var p krewPlugin
	if err := readYAML(filepath.Join(dir, krewFile), &p); err != nil {
		return []error{err}
	}
	var findings []error
	told := map[string]bool{}
	for _, platform := range p.Spec.Platforms {
		file := platform.URI[strings.LastIndexByte(platform.URI, '/')+1:]
		told[file] = true
		sum, err := digest(filepath.Join(dir, file))
		switch {
		case err != nil:
			findings = append(findings, fmt.Errorf("%s: %w", krewFile, err))
		case sum != platform.SHA256:
			findings = append(findings, fmt.Errorf("%s: %s says %q, it is %q", file, krewFile, platform.SHA256, sum))
		}
	}
	for _, name := range names {
		if archiveOf.MatchString(name) && !told[name] {
			findings = append(findings, fmt.Errorf("%s is not told of in %s", name, krewFile))
		}
	}
	return findings
}
