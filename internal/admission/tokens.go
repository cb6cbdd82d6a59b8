package admission

import (
	"fmt"
	"strings"

	v1alpha1 "github.com/dbt-operator/dbt-operator/api/v1alpha1"
	"github.com/dbt-operator/dbt-operator/internal/plan"
)

// defaultExpiration is a token's lifetime in seconds where the object gives none, as the CRD says as well.
const defaultExpiration = 3600

// tokens returns what is wrong with the deliveries of a project's tokens.
func tokens(spec *v1alpha1.DbtProjectSpec) []error {
	var errs []error
	variables, file := map[string]string{}, ""
	for _, e := range spec.Env {
		variables[e.Name] = "spec.env"
	}
	for _, t := range spec.Tokens {
		field := "spec.tokens[" + t.Name + "]"
		errs = append(errs, members(field, t)...)
		if t.Delivery == v1alpha1.TokenPGPassFile {
			if file != "" {
				errs = append(errs, fmt.Errorf("%s.delivery: PGPassFile is the delivery of token %s already, and libpq reads one password file: use another delivery", field, file))
			}
			file = t.Name
		}
		if t.Env == "" {
			continue
		}
		if other, taken := variables[t.Env]; taken {
			errs = append(errs, fmt.Errorf("%s.env: %s is set by %s as well: give one of them another name", field, t.Env, other))
		}
		variables[t.Env] = field
	}
	// libpq takes a password from these before, or in place of, the file that the operator keeps.
	for _, name := range []string{"PGPASSFILE", "PGPASSWORD"} {
		if by := variables[name]; by != "" && file != "" {
			errs = append(errs, fmt.Errorf("spec.tokens[%s].delivery: PGPassFile is in place of %s, which %s sets: remove that variable, or the delivery", file, name, by))
		}
	}
	return errs
}

// members returns what is wrong with one token by itself.
func members(field string, t v1alpha1.Token) []error {
	var errs []error
	if (t.Delivery == v1alpha1.TokenEnv) != (t.Env != "") {
		errs = append(errs, fmt.Errorf("%s: env names the variable of a token with delivery Env: set both or neither", field))
	}
	if t.Host != "" && t.Delivery != v1alpha1.TokenPGPassFile {
		errs = append(errs, fmt.Errorf("%s.host: set, but the delivery is not PGPassFile: set that, or remove host", field))
	}
	if t.ExpirationSeconds != nil && *t.ExpirationSeconds == 3607 {
		errs = append(errs, fmt.Errorf("%s.expirationSeconds: must not be 3607: API servers extend tokens of that length to a year", field))
	}
	if instead, reserved := plan.ReservedEnv(t.Env); reserved {
		errs = append(errs, fmt.Errorf("%s.env: the operator owns %s: use another name, such as DBT_ENV_SECRET_TOKEN (for what %s does, use %s)", field, t.Env, t.Env, instead))
	}
	if strings.HasPrefix(t.Env, "DBT_ENV_CUSTOM_ENV_") || plan.AWSIdentity(t.Env) {
		errs = append(errs, fmt.Errorf("%s.env: %s is no place for a token: use another name, such as DBT_ENV_SECRET_TOKEN", field, t.Env))
	}
	return errs
}

// lasting returns which tokens do not last as long as the run may take, though they are given once.
func lasting(run *v1alpha1.DbtRunSpec, project *v1alpha1.DbtProjectSpec) []error {
	var errs []error
	timeout, field := run.TimeoutSeconds, "spec.timeoutSeconds"
	if timeout == nil {
		timeout, field = project.RunDefaults.TimeoutSeconds, "the project's spec.runDefaults.timeoutSeconds"
	}
	for _, t := range project.Tokens {
		if t.Delivery != v1alpha1.TokenEnv {
			continue
		}
		expiration := int64(defaultExpiration)
		if t.ExpirationSeconds != nil {
			expiration = *t.ExpirationSeconds
		}
		const why = "is given once (delivery Env) and must last as long as the run"
		switch {
		case timeout == nil:
			errs = append(errs, fmt.Errorf("spec.timeoutSeconds: unset, and so is the project's spec.runDefaults.timeoutSeconds, but the project's spec.tokens[%s] %s: set one of them to at most its expirationSeconds, %d", t.Name, why, expiration))
		case *timeout > expiration:
			errs = append(errs, fmt.Errorf("%s: found %d, but the project's spec.tokens[%s] %s: set it to at most %d, raise the token's expirationSeconds, or use a delivery that follows the renewed token", field, *timeout, t.Name, why, expiration))
		}
	}
	return errs
}
