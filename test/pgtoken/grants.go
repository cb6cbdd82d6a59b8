package pgtoken

import (
	"bufio"
	"fmt"
	"io"
	"regexp"
	"strings"
)

// Grants say which account may log in as which role.
type Grants map[Grant]bool

// Grant is one role for one account.
type Grant struct {
	// Account is NAMESPACE/SERVICEACCOUNT.
	Account string
	Role    string
}

var grantLine = regexp.MustCompile(`^([a-z0-9][a-z0-9-]*/[a-z0-9][a-z0-9.-]*)[ \t]+([A-Za-z_][A-Za-z0-9_$-]*)$`)

// ParseGrants reads lines "NAMESPACE/SERVICEACCOUNT ROLE"; blank lines and those that begin with # say nothing. There are
// no wildcards. It refuses the whole of a file that holds any other line: half a list is not what somebody wrote.
func ParseGrants(r io.Reader) (Grants, error) {
	g := Grants{}
	lines := bufio.NewScanner(r)
	for n := 1; lines.Scan(); n++ {
		line := strings.TrimSpace(lines.Text())
		if line == "" || strings.HasPrefix(line, "#") {
			continue
		}
		m := grantLine.FindStringSubmatch(line)
		if m == nil {
			return nil, fmt.Errorf("grants, line %d: found %q, want NAMESPACE/SERVICEACCOUNT ROLE", n, line)
		}
		g[Grant{Account: m[1], Role: m[2]}] = true
	}
	if err := lines.Err(); err != nil {
		return nil, fmt.Errorf("reading grants: %w", err)
	}
	return g, nil
}
