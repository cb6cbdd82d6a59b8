package main

import (
	"fmt"
	"strconv"
	"strings"
)

// Ways to start the manager that are measured unless others are asked for: the environment of config/manager/deployment.yaml with its
// memory limit; and a limit that leaves no room for what is not needed.
const (
	shipped = "GOMEMLIMIT=460MiB,limit=512"
	tight   = "GOMEMLIMIT=140MiB,GOGC=50,limit=160"
)

// variant is one way to start the manager.
type variant struct {
	env []string
	// limit bounds its memory, in bytes; 0 does not.
	limit int64
}

func (v variant) String() string {
	s := strings.Join(v.env, " ")
	if v.limit > 0 {
		s = strings.TrimSpace(s + fmt.Sprintf(" within %d MiB", v.limit>>20))
	}
	if s == "" {
		return "no limits"
	}
	return s
}

// parseVariants reads the flag -setups.
func parseVariants(flag string) (out []variant, err error) {
	for one := range strings.SplitSeq(flag, ";") {
		var v variant
		for setting := range strings.SplitSeq(one, ",") {
			name, value, _ := strings.Cut(strings.TrimSpace(setting), "=")
			switch name {
			case "":
			case "limit":
				mib, err := strconv.ParseInt(value, 10, 32)
				if err != nil || mib < 1 {
					return nil, fmt.Errorf("-setups has limit=%s: must be a number of MiB", value)
				}
				v.limit = mib << 20
			default:
				v.env = append(v.env, name+"="+value)
			}
		}
		out = append(out, v)
	}
	return out, nil
}
