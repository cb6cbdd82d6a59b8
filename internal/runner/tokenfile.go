package runner

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"time"
)

// readToken returns the token in a file that kubelet made.
func readToken(path string) (string, error) {
	b, err := readSmall(path)
	if err != nil {
		return "", fmt.Errorf("reading the token at %s: %w", path, err)
	}
	b = bytes.TrimSpace(b)
	if len(b) == 0 || bytes.ContainsAny(b, "\x00\r\n") {
		return "", fmt.Errorf("reading the token at %s: found %d bytes that are no single line", path, len(b))
	}
	return string(b), nil
}

// writePGPass puts a libpq password file in place: one line, for any port, database and user of the host, of any host
// when that is empty. It appears whole or not at all, as dbt may log in at any moment, and readable by its owner alone, as
// libpq wants it. https://www.postgresql.org/docs/current/libpq-pgpass.html
func writePGPass(path, host, token string) (err error) {
	if host == "" {
		host = "*"
	} else {
		host = pgpassEscape.Replace(host)
	}
	f, err := os.CreateTemp(filepath.Dir(path), filepath.Base(path)+".*") // of mode 0600
	if err != nil {
		return err
	}
	defer func() {
		if err != nil {
			_ = os.Remove(f.Name())
		}
	}()
	_, err = f.WriteString(host + ":*:*:*:" + pgpassEscape.Replace(token) + "\n")
	if err = errors.Join(err, f.Close()); err != nil {
		return err
	}
	return os.Rename(f.Name(), path)
}

var pgpassEscape = strings.NewReplacer(`\`, `\\`, ":", `\:`)

// tokenExpiry returns when a JSON Web Token says that it ends (RFC 7519, section 4.1.4), and whether it says so. Its
// signature is the warehouse's business.
func tokenExpiry(token string) (time.Time, bool) {
	parts := strings.Split(token, ".")
	if len(parts) != 3 {
		return time.Time{}, false
	}
	payload, err := base64.RawURLEncoding.DecodeString(parts[1])
	if err != nil {
		return time.Time{}, false
	}
	var claims struct {
		Exp *float64 `json:"exp"`
	}
	// Within what a time can be written as.
	if json.Unmarshal(payload, &claims) != nil || claims.Exp == nil || *claims.Exp < 0 || *claims.Exp > 253402300799 {
		return time.Time{}, false
	}
	return time.Unix(int64(*claims.Exp), 0), true
}
