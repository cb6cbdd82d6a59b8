package agent

import (
	"errors"
	"regexp"
	"strings"
)

// ofFlags are what errors of the packages beside this one name by the flags of the command line, where an agent has
// arguments.
var (
	leading = regexp.MustCompile(`^--(command|select|exclude|full-refresh|vars|timeout|ttl|selector)\b`)
	ofFlags = map[string]string{
		"command": "commands", "full-refresh": "fullRefresh", "timeout": "timeoutSeconds", "ttl": "ttlSecondsAfterFinished", "selector": "labels",
	}
	phrases = strings.NewReplacer(
		"give another --name", "give another name",
		"ask for the whole with --whole", "ask for the whole with whole set to true",
		"the verb, --select, --exclude and --full-refresh", "verb, select, exclude and fullRefresh",
		"`kubectl dbt run` runs everything again", "start_run runs everything again",
	)
)

// inArguments returns an error in the words of the tools' arguments, clean and bounded.
func inArguments(err error) error {
	said := leading.ReplaceAllStringFunc(err.Error(), func(flag string) string {
		name := strings.TrimPrefix(flag, "--")
		if argument, ok := ofFlags[name]; ok {
			return argument
		}
		return name
	})
	return errors.New(clean(phrases.Replace(said), maxMessage))
}
