package runner

import (
	"bytes"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// maxSecretFile bounds the files that secrets are read from.
const maxSecretFile = 64 << 10

var (
	// secretName matches names under which people keep secrets.
	secretName = regexp.MustCompile(`(?i)(pass|secret|token|credential|private_?key|api_?key|_pwd$|^key$)`)
	// envVar matches a variable that profiles.yml takes a value from.
	envVar = regexp.MustCompile(`env_var\(\s*['"]([^'"]+)['"]`)
)

// secrets returns the values that must not leave the pod: the named variables, variables whose name says so, dbt's
// own secret variables, token files, and what profiles.yml keeps under names that say so, or takes from a variable.
func secrets(environ, named []string, profiles string, tokens string) []string {
	out := fileSecrets(tokens)
	if profiles != "" {
		inFile, fromEnv := profileSecrets(filepath.Join(profiles, "profiles.yml"))
		out, named = append(out, inFile...), slices.Concat(named, fromEnv)
	}
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		switch {
		case slices.Contains(named, name), strings.HasPrefix(name, "DBT_ENV_SECRET_"):
			out = append(out, value)
		case secretName.MatchString(name) && !isPath(value): // the path of a secret's file is no secret
			out = append(out, value)
		}
	}
	return out
}

// isPath reports whether there is something at the path s. What only looks like a path may be base64.
func isPath(s string) bool {
	if !filepath.IsAbs(s) {
		return false
	}
	_, err := os.Stat(s)
	return err == nil
}

// fileSecrets returns the content of each file in a folder.
func fileSecrets(folder string) []string {
	var out []string
	entries, err := os.ReadDir(folder)
	if err != nil {
		return nil
	}
	for _, e := range entries {
		if b, err := readSmall(filepath.Join(folder, e.Name())); err == nil {
			out = append(out, string(bytes.TrimSpace(b)))
		}
	}
	return out
}

// profileSecrets returns the values that a profiles.yml has under names that say secret, and the variables that it
// takes such values from.
func profileSecrets(path string) (values, variables []string) {
	b, err := readSmall(path)
	if err != nil {
		return nil, nil
	}
	var doc yaml.Node
	if yaml.Unmarshal(b, &doc) != nil {
		return nil, nil
	}
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		for i, c := range n.Content {
			walk(c)
			if n.Kind != yaml.MappingNode || i%2 == 0 || !secretName.MatchString(n.Content[i-1].Value) {
				continue
			}
			if c.Kind == yaml.AliasNode {
				c = c.Alias
			}
			if c.Kind != yaml.ScalarNode {
				continue
			}
			if !strings.Contains(c.Value, "{{") {
				values = append(values, c.Value)
			}
			for _, found := range envVar.FindAllStringSubmatch(c.Value, -1) {
				variables = append(variables, found[1])
			}
		}
	}
	walk(&doc)
	return values, variables
}

func readSmall(path string) ([]byte, error) {
	info, err := os.Stat(path)
	if err != nil {
		return nil, err
	}
	if !info.Mode().IsRegular() || info.Size() > maxSecretFile {
		return nil, fs.ErrInvalid
	}
	return os.ReadFile(path)
}
