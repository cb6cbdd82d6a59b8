package runner

import (
	"path/filepath"
	"slices"
	"strconv"
	"strings"

	"github.com/dbt-operator/dbt-operator/internal/dbt"
	"github.com/dbt-operator/dbt-operator/internal/plan"
)

// folders are where a run reads and writes, all inside the workspace but for a project baked into the image.
type folders struct {
	workspace string
}

func (f folders) project() string { return filepath.Join(f.workspace, "project") }
func (f folders) target() string  { return filepath.Join(f.workspace, "target") }
func (f folders) logs() string    { return filepath.Join(f.workspace, "logs") }
func (f folders) home() string    { return filepath.Join(f.workspace, "home") }

// empty is dbt's working directory. It holds nothing: dbt 1.12 reads a .env file from it.
func (f folders) empty() string { return filepath.Join(f.workspace, "empty") }

// fetched is the file in which `prepare` tells `run` what it fetched.
func (f folders) fetched() string { return filepath.Join(f.workspace, "fetched.json") }

// artifacts holds the files that are to be kept, redacted, under the names they are kept by.
func (f folders) artifacts() string { return filepath.Join(f.workspace, "artifacts") }

// state is where dbt finds the manifest of the last good run.
func (f folders) state() string { return filepath.Join(f.workspace, "state") }

// resume is where dbt finds what was done before.
func (f folders) resume() string { return filepath.Join(f.workspace, "resume") }

// owned are variables of dbt's process that the runner sets or removes; what the image or the project says is dropped.
var owned = []string{
	plan.EnvVar, "HOME", "TMPDIR", "PWD",
	"DBT_TARGET_PATH", "DBT_PROFILES_DIR", "DBT_PROJECT_DIR", "DBT_SCHEDULED_TIME",
	"DBT_QUIET", "DBT_SEND_ANONYMOUS_USAGE_STATS", "DBT_USE_COLORS", "DBT_USE_COLORS_FILE", "PYTHONDONTWRITEBYTECODE", "PYTHON_DOTENV_DISABLED", "RUST_BACKTRACE",
}

// pgpass is the libpq password file that follows a token.
func (f folders) pgpass() string { return filepath.Join(f.workspace, "pgpass") }

// environment returns dbt's environment: the container's, without what the operator owns, with folders of the run, its
// identity, and the variables that tokens are handed on in. dbt repeats variables that begin with DBT_ENV_CUSTOM_ENV_ in
// each event and in its artifacts.
func environment(container []string, f folders, id plan.Identity, tokens []string) []string {
	application := "PGAPPNAME=dbt/" + id.UID
	env := slices.DeleteFunc(slices.Clone(container), func(e string) bool {
		name, _, _ := strings.Cut(e, "=")
		if name == "PGAPPNAME" {
			application = e
			return true
		}
		if slices.ContainsFunc(tokens, func(t string) bool { return replaces(t, name) }) {
			return true
		}
		name = dbt.Variable(name)
		return slices.Contains(owned, name) || strings.HasPrefix(name, "DBT_LOG_") || strings.HasPrefix(name, "DBT_ENV_CUSTOM_ENV_RUN_")
	})
	if id.ScheduledTime != "" {
		env = append(env, "DBT_SCHEDULED_TIME="+id.ScheduledTime)
	}
	env = append(env, tokens...)
	return append(env,
		// What libpq says of itself when the profile has it say nothing: so the database's log knows the run.
		application,
		"HOME="+f.home(),
		"TMPDIR=/tmp",
		"DBT_TARGET_PATH="+f.target(),
		"DBT_LOG_PATH="+f.logs(),
		// Else flags of dbt_project.yml decide, with which dbt may not say which nodes ended.
		"DBT_LOG_LEVEL=info",
		"DBT_QUIET=false",
		"DBT_SEND_ANONYMOUS_USAGE_STATS=false",
		"DBT_USE_COLORS=false",
		"DBT_USE_COLORS_FILE=false",
		"PYTHONDONTWRITEBYTECODE=1",
		"PYTHON_DOTENV_DISABLED=1",
		"RUST_BACKTRACE=0",
		"DBT_ENV_CUSTOM_ENV_RUN_NAME="+id.Name,
		"DBT_ENV_CUSTOM_ENV_RUN_NAMESPACE="+id.Namespace,
		"DBT_ENV_CUSTOM_ENV_RUN_UID="+id.UID,
		"DBT_ENV_CUSTOM_ENV_RUN_PROJECT="+id.Project,
		"DBT_ENV_CUSTOM_ENV_RUN_REQUESTED_BY="+id.RequestedBy,
	)
}

// replaces reports whether the variable t, NAME=value, takes the place of the variable called name. libpq looks into
// PGPASSWORD before it opens a password file.
func replaces(t, name string) bool {
	set, _, _ := strings.Cut(t, "=")
	return set == name || set == "PGPASSFILE" && name == "PGPASSWORD"
}

// parseOOMKills reads the counter oom_kill of memory.events or memory.oom_control.
func parseOOMKills(s string) int {
	for line := range strings.Lines(s) {
		if n, ok := strings.CutPrefix(strings.TrimSpace(line), "oom_kill "); ok {
			if count, err := strconv.Atoi(n); err == nil {
				return count
			}
		}
	}
	return 0
}
