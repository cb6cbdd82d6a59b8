package dbt

import (
	"bytes"
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"path"
	"regexp"
	"slices"

	"go.yaml.in/yaml/v3"
)

// ErrNotPinned says that what a project's packages are is not decided by its files alone.
var ErrNotPinned = errors.New("packages are not pinned")

// packageFiles are the files that say which packages a project has.
var packageFiles = []string{"packages.yml", "dependencies.yml", packageLock}

const packageLock = "package-lock.yml"

var commit = regexp.MustCompile(`^[0-9a-f]{40}$`)

// PinnedPackages returns a digest of what decides which packages `dbt deps` installs, or an ErrNotPinned that says why the
// project's files do not decide it: there is no package-lock.yml, one of the files holds Jinja, or a package is not of one
// version or one commit. Whether the lock is up to date is not known before `dbt deps`, which changes one that is not.
// https://docs.getdbt.com/docs/build/packages#pinning-packages
func PinnedPackages(project fs.FS) (string, error) {
	h := sha256.New()
	for _, name := range packageFiles {
		b, err := fs.ReadFile(project, name)
		switch {
		case errors.Is(err, fs.ErrNotExist) && name != packageLock:
			continue
		case errors.Is(err, fs.ErrNotExist):
			return "", fmt.Errorf("%w: the project has no %s: commit the one that dbt deps writes", ErrNotPinned, packageLock)
		case err != nil:
			return "", err
		case bytes.Contains(b, []byte("{{")):
			return "", fmt.Errorf("%w: %s holds Jinja, whose value is not in the project", ErrNotPinned, name)
		}
		if name == packageLock {
			if err := checkLock(b); err != nil {
				return "", err
			}
		}
		_, _ = fmt.Fprintf(h, "%s\x00%d\x00", name, len(b))
		_, _ = h.Write(b)
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// checkLock returns an ErrNotPinned unless every package of a lock is one of a registry's versions or one commit.
func checkLock(b []byte) error {
	var lock struct {
		Packages []map[string]any `yaml:"packages"`
	}
	if err := yaml.Unmarshal(b, &lock); err != nil || len(lock.Packages) == 0 {
		return fmt.Errorf("%w: %s lists no packages", ErrNotPinned, packageLock)
	}
	for _, p := range lock.Packages {
		_, hub := p["package"].(string)
		_, version := p["version"].(string)
		revision, _ := p["revision"].(string)
		_, git := p["git"].(string)
		if pinned := hub && version || git && commit.MatchString(revision); !pinned {
			return fmt.Errorf("%w: %s has one that is neither a version of the registry's nor a commit of git", ErrNotPinned, packageLock)
		}
	}
	return nil
}

// ErrLink says that a project holds a symbolic link, whose content its files do not decide.
var ErrLink = errors.New("a symbolic link")

// written are folders at a project's top that dbt and git write; dbt reads none of them as source.
var written = []string{"target", "logs", ".git"}

// walkFiles calls f with each file that a project's source consists of, its installed packages included.
func walkFiles(project fs.FS, f func(name string) error) error {
	return fs.WalkDir(project, ".", func(name string, d fs.DirEntry, err error) error {
		switch {
		case err != nil:
			return err
		case d.IsDir() && slices.Contains(written, name):
			return fs.SkipDir
		case d.IsDir():
			return nil
		case !d.Type().IsRegular():
			return fmt.Errorf("%w: %s", ErrLink, name)
		}
		return f(name)
	})
}

// ErrVolatile says that what dbt parses differs from run to run though no file does.
var ErrVolatile = errors.New("parsing depends on the run")

// Jinja of which dbt keeps the value it had when a file was parsed. It has other values in the next run, and dbt does not
// know: only of env_var(), var() and the profile does it notice a change.
// https://docs.getdbt.com/reference/parsing#known-limitations
var (
	volatile = regexp.MustCompile(`\b(run_started_at|invocation_id|dbt_metadata_envs|modules\s*\.\s*(datetime|pytz)|flags\s*\.)`)
	// jinja is an expression or a statement.
	jinja = regexp.MustCompile(`(?s)\{[{%].*?[%}]\}`)
	// configCall is where a model says how it is configured, which is rendered as it is parsed.
	configCall = regexp.MustCompile(`\bconfig\s*\(`)
	// nameMacro is a macro that dbt calls as it parses.
	nameMacro = regexp.MustCompile(`\bmacro\s+(\w+__)?(generate_(schema|alias|database)_name|ref|source)\s*\(`)
)

// Fingerprint returns a digest of all paths and contents of a project, its installed packages included. It is an ErrLink
// when the project holds a symbolic link, and an ErrVolatile that names the first file whose parsing depends on the run: Jinja
// with the time, the invocation or dbt's flags in a YAML file, within config(), or in a file with a macro that dbt calls as it
// parses. It does not follow macros that a config() calls. Each file is read once.
func Fingerprint(project fs.FS) (string, error) {
	h := sha256.New()
	err := walkFiles(project, func(name string) error {
		digest, err := fingerprint(project, name)
		if err != nil {
			return err
		}
		_, _ = fmt.Fprintf(h, "%s\x00%x\n", name, digest)
		return nil
	})
	if err != nil {
		return "", err
	}
	return hex.EncodeToString(h.Sum(nil)), nil
}

// fingerprint returns the digest of a file, or an ErrVolatile. One that dbt does not render as it parses, such as a seed, may be
// larger than memory.
func fingerprint(project fs.FS, name string) ([]byte, error) {
	h := sha256.New()
	if find := finder(name); find != nil {
		b, err := fs.ReadFile(project, name)
		if err != nil {
			return nil, err
		}
		if word := find(b); word != "" {
			return nil, fmt.Errorf("%w: %s uses %s", ErrVolatile, name, word)
		}
		_, _ = h.Write(b)
		return h.Sum(nil), nil
	}
	in, err := project.Open(name)
	if err != nil {
		return nil, err
	}
	defer func() { _ = in.Close() }()
	_, err = io.Copy(h, in)
	return h.Sum(nil), err
}

// finder returns what finds volatile Jinja in a file, nil for one that dbt does not render as it parses.
func finder(name string) func([]byte) string {
	switch path.Ext(name) {
	case ".yml", ".yaml":
		return func(b []byte) string {
			for _, expression := range jinja.FindAll(b, -1) {
				if word := volatile.Find(expression); word != nil {
					return string(word)
				}
			}
			return ""
		}
	case ".sql", ".py":
		return inCode
	}
	return nil
}

func inCode(b []byte) string {
	if nameMacro.Match(b) {
		if word := volatile.Find(b); word != nil {
			return string(word)
		}
	}
	for _, at := range configCall.FindAllIndex(b, -1) {
		if word := volatile.Find(b[at[1]:closing(b, at[1])]); word != nil {
			return string(word)
		}
	}
	return ""
}

// closing returns where the parenthesis closes that was opened before from, strings passed over; the end when it does not.
func closing(b []byte, from int) int {
	depth := 1
	var quote byte
	for i := from; i < len(b); i++ {
		switch c := b[i]; {
		case quote != 0:
			if c == quote {
				quote = 0
			}
		case c == '\'' || c == '"':
			quote = c
		case c == '(':
			depth++
		case c == ')':
			if depth--; depth == 0 {
				return i
			}
		}
	}
	return len(b)
}
