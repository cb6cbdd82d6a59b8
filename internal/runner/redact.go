package runner

import (
	"bytes"
	"encoding/json"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"slices"
	"strings"

	"go.yaml.in/yaml/v3"
)

// Redactor replaces secrets in text by "***": values it knows, JSON Web Tokens, and the user information of URLs.
// It is safe for concurrent use.
type Redactor struct{ known *strings.Replacer }

const (
	redacted = "***"
	// minSecret is the length from which a value is replaced wherever it occurs. Shorter ones ("dbt", "prod") are also
	// ordinary words: replacing them would hide more of the log than it protects.
	minSecret = 6
	// maxSecretFile bounds the files that secrets are read from.
	maxSecretFile = 64 << 10
)

var (
	// jwt matches a token in compact serialization (RFC 7519): three base64url parts, the first a JSON object.
	jwt = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*`)
	// userinfo matches what stands before the host of a URL (RFC 3986, section 3.2.1).
	userinfo = regexp.MustCompile(`://[^/\s"'@]+@`)
	// secretName matches names under which people keep secrets.
	secretName = regexp.MustCompile(`(?i)(pass|secret|token|credential|private_?key|api_?key|^key$)`)
)

// NewRedactor returns a redactor of the given secrets. A secret of several lines is redacted line by line as well.
func NewRedactor(secrets []string) *Redactor {
	all := map[string]bool{}
	for _, s := range secrets {
		for _, part := range append(strings.Split(s, "\n"), s) {
			part = strings.TrimSpace(part)
			if len(part) < minSecret {
				continue
			}
			all[part] = true
			if b, err := json.Marshal(part); err == nil {
				all[string(b[1:len(b)-1])] = true // as it stands inside a JSON string
			}
		}
	}
	values := make([]string, 0, len(all))
	for v := range all {
		values = append(values, v)
	}
	// Longest first: the replacer takes the first that matches, and one secret may begin with another.
	slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) })
	pairs := make([]string, 0, 2*len(values))
	for _, v := range values {
		pairs = append(pairs, v, redacted)
	}
	if len(pairs) == 0 {
		return &Redactor{}
	}
	return &Redactor{known: strings.NewReplacer(pairs...)}
}

// String returns s without secrets.
func (r *Redactor) String(s string) string {
	if r.known != nil {
		s = r.known.Replace(s)
	}
	if strings.Contains(s, "eyJ") {
		s = jwt.ReplaceAllString(s, redacted)
	}
	if strings.Contains(s, "://") && strings.Contains(s, "@") {
		s = userinfo.ReplaceAllString(s, "://"+redacted+"@")
	}
	return s
}

// secrets returns the values that must not leave the pod: the named variables, variables whose name says so, dbt's
// own secret variables, token files, and what profiles.yml keeps under names that say so.
func secrets(environ, named []string, profiles string, tokens string) []string {
	var out []string
	for _, e := range environ {
		name, value, _ := strings.Cut(e, "=")
		if slices.Contains(named, name) || strings.HasPrefix(name, "DBT_ENV_SECRET_") || secretName.MatchString(name) {
			if !strings.HasPrefix(value, "/") { // the path of a secret's file is none
				out = append(out, value)
			}
		}
	}
	out = append(out, fileSecrets(tokens)...)
	if profiles != "" {
		out = append(out, profileSecrets(filepath.Join(profiles, "profiles.yml"))...)
	}
	return out
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

func profileSecrets(path string) []string {
	b, err := readSmall(path)
	if err != nil {
		return nil
	}
	var doc yaml.Node
	if yaml.Unmarshal(b, &doc) != nil {
		return nil
	}
	var out []string
	var walk func(n *yaml.Node)
	walk = func(n *yaml.Node) {
		for i, c := range n.Content {
			isValue := n.Kind == yaml.MappingNode && i%2 == 1
			if isValue && c.Kind == yaml.ScalarNode && secretName.MatchString(n.Content[i-1].Value) && !strings.Contains(c.Value, "{{") {
				out = append(out, c.Value)
			}
			walk(c)
		}
	}
	walk(&doc)
	return out
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
