package plan

import (
	"slices"
	"strings"
)

// What a container takes by envFrom it has a second time, under names that begin with one of these: so the runner knows where
// a value came from, whatever the image and the container's own env say.
const (
	FromSecret    = "DBT_OPERATOR_FROM_SECRET_"
	FromConfigMap = "DBT_OPERATOR_FROM_CONFIGMAP_"
)

// ReservedEnv reports whether a name of the environment belongs to the operator, and what to use instead of it.
func ReservedEnv(name string) (instead string, reserved bool) {
	// dbt takes each of its variables under a second name too, since 1.11.
	if rest, second := strings.CutPrefix(name, "DBT_ENGINE_"); second {
		name = "DBT_" + rest
	}
	switch name {
	case "DBT_PROFILES_DIR":
		return "spec.profiles", true
	case "DBT_PROJECT_DIR":
		return "spec.source", true
	case "DBT_SCHEDULED_TIME":
		return "another name: runs of a DbtSchedule have it", true
	case "DBT_TARGET_PATH", "HOME", "PATH", "TMPDIR":
		return "nothing: the operator gives each run folders of its own", true
	}
	switch {
	case strings.HasPrefix(name, "DBT_LOG_"):
		return "spec.logFormat", true
	case strings.HasPrefix(name, "DBT_OPERATOR_"), strings.HasPrefix(name, "DBT_ENV_CUSTOM_ENV_RUN_"):
		return "another name", true
	case strings.HasPrefix(name, "LD_"), strings.HasPrefix(name, "PYTHON"):
		return "an image that is built the way you want it", true
	}
	return "", false
}

// AWSAudience is the audience of tokens for AWS.
const AWSAudience = "sts.amazonaws.com"

// AWSIdentity reports whether a name of the environment redirects an AWS client to another identity.
func AWSIdentity(name string) bool {
	return slices.Contains([]string{"AWS_ROLE_ARN", "AWS_WEB_IDENTITY_TOKEN_FILE", "AWS_ROLE_SESSION_NAME"}, name)
}
