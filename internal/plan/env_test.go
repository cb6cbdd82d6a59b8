package plan

import (
	"strings"
	"testing"
)

func TestReservedEnv(t *testing.T) {
	for name, want := range map[string]string{
		"LD_PRELOAD": "an image", "PYTHONPATH": "an image", "PYTHONSTARTUP": "an image", "DBT_PROFILES_DIR": "spec.profiles",
		"DBT_PROJECT_DIR": "spec.source", "DBT_TARGET_PATH": "folders", "DBT_LOG_LEVEL": "spec.logFormat", "HOME": "folders", "PATH": "folders", "TMPDIR": "folders",
		"DBT_OPERATOR_PLAN":                   "another name",
		"DBT_ENV_CUSTOM_ENV_RUN_REQUESTED_BY": "another name", "DBT_ENGINE_ENV_CUSTOM_ENV_RUN_UID": "another name", "DBT_ENV_CUSTOM_ENV_TEAM": "",
		"DBT_SCHEDULED_TIME":      "runs of a DbtSchedule have it",
		"DBT_ENGINE_PROFILES_DIR": "spec.profiles", "DBT_ENGINE_LOG_PATH": "spec.logFormat", "DBT_ENGINE_TARGET_PATH": "folders", "DBT_ENGINE_VERSION_CHECK": "",
		"DBT_ENV_SECRET_X": "", "SNOWFLAKE_USER": "", "HOMEDIR": "", "XLD_PRELOAD": "", "ld_preload": "", "AWS_ROLE_ARN": "",
	} {
		instead, reserved := ReservedEnv(name)
		if reserved != (want != "") || !strings.Contains(instead, want) {
			t.Errorf("ReservedEnv(%q) = %q, %t; want %q", name, instead, reserved, want)
		}
	}
}
