package main

import (
	"bufio"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strings"

	"sigs.k8s.io/yaml"
)

// Names of the files that speak of the others.
const (
	sumsFile       = "SHA256SUMS"
	provenanceFile = "provenance.intoto.json"
	bomSuffix      = ".cdx.json"
)

// needed are modules that no binary of the operator is without, by how its file begins.
var needed = map[string][]string{
	"kubectl-dbt_": {"github.com/spf13/cobra", "k8s.io/cli-runtime"},
	"manager_":     {"sigs.k8s.io/controller-runtime", "k8s.io/client-go", "gocloud.dev"},
	"runner_":      {"github.com/go-git/go-git/v5", "github.com/go-json-experiment/json"},
}

// check reports, joined, what does not agree in the folder of a release: SHA256SUMS has each file with its digest, the
// provenance each artifact with the same, each binary has a bill of materials with the modules it cannot be without, and
// krew's manifest each archive of the plugin.
func check(dir string) error {
	sums, err := readSums(filepath.Join(dir, sumsFile))
	if err != nil {
		return err
	}
	subjects, err := readSubjects(filepath.Join(dir, provenanceFile))
	if err != nil {
		return err
	}
	entries, err := os.ReadDir(dir)
	if err != nil {
		return err
	}
	var findings []error
	add := func(format string, args ...any) { findings = append(findings, fmt.Errorf(format, args...)) }
	var names []string
	for _, e := range entries {
		name := e.Name()
		names = append(names, name)
		if name == sumsFile {
			continue
		}
		sum, err := digest(filepath.Join(dir, name))
		if err != nil {
			return err
		}
		if sums[name] != sum {
			add("%s: %s says %q, it is %q", name, sumsFile, sums[name], sum)
		}
		if name != provenanceFile && subjects[name] != sum {
			add("%s: %s says %q, it is %q", name, provenanceFile, subjects[name], sum)
		}
	}
	for _, told := range []map[string]string{sums, subjects} {
		for name := range told {
			if !slices.Contains(names, name) {
				add("%s is told of and not there", name)
			}
		}
	}
	findings = append(findings, checkBoms(dir, names)...)
	return errors.Join(append(findings, checkKrew(dir, names)...)...)
}

// checkBoms says what is wrong with the bills of materials of the binaries among names.
func checkBoms(dir string, names []string) []error {
	var findings []error
	binaries := 0
	for _, name := range names {
		for prefix, modules := range needed {
			if !strings.HasPrefix(name, prefix) || strings.HasSuffix(name, bomSuffix) {
				continue
			}
			binaries++
			bom := strings.TrimSuffix(name, ".tar.gz") + bomSuffix
			have, err := components(filepath.Join(dir, bom))
			if err != nil {
				findings = append(findings, err)
				continue
			}
			for _, module := range modules {
				if !slices.Contains(have, module) {
					findings = append(findings, fmt.Errorf("%s does not list %s", bom, module))
				}
			}
		}
	}
	if binaries == 0 {
		findings = append(findings, errors.New("there is no binary"))
	}
	return findings
}

func readSums(path string) (map[string]string, error) {
	f, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer f.Close() //nolint:errcheck // it was only read
	sums := map[string]string{}
	s := bufio.NewScanner(f)
	for s.Scan() {
		sum, name, ok := strings.Cut(s.Text(), "  ")
		if !ok || len(sum) != 64 {
			return nil, fmt.Errorf("%s: found the line %q, want a digest, two spaces and a name", path, s.Text())
		}
		sums[name] = sum
	}
	return sums, s.Err()
}

func readSubjects(path string) (map[string]string, error) {
	var statement struct {
		PredicateType string
		Subject       []struct {
			Name   string
			Digest map[string]string
		}
	}
	if err := readJSON(path, &statement); err != nil {
		return nil, err
	}
	if statement.PredicateType != predicateType {
		return nil, fmt.Errorf("%s: found the predicate type %q, want %s", path, statement.PredicateType, predicateType)
	}
	subjects := map[string]string{}
	for _, s := range statement.Subject {
		subjects[s.Name] = s.Digest["sha256"]
	}
	return subjects, nil
}

// components returns the names of what a bill of materials lists.
func components(path string) ([]string, error) {
	var bom struct {
		BomFormat  string
		Components []struct{ Name string }
	}
	if err := readJSON(path, &bom); err != nil {
		return nil, err
	}
	if bom.BomFormat != "CycloneDX" {
		return nil, fmt.Errorf("%s: found the format %q, want CycloneDX", path, bom.BomFormat)
	}
	var names []string
	for _, c := range bom.Components {
		names = append(names, c.Name)
	}
	return names, nil
}

func readJSON(path string, into any) error { return readAs(path, into, json.Unmarshal) }

func readYAML(path string, into any) error {
	return readAs(path, into, func(raw []byte, into any) error { return yaml.UnmarshalStrict(raw, into) })
}

func readAs(path string, into any, unmarshal func([]byte, any) error) error {
	raw, err := os.ReadFile(path)
	if err != nil {
		return err
	}
	if err := unmarshal(raw, into); err != nil {
		return fmt.Errorf("%s: %w", path, err)
	}
	return nil
}
