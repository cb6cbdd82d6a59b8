// Command pgtoken lets a login to PostgreSQL pass or not. The PAM module beside it starts it with the password on its
// standard input and the role in PAM_USER; it ends with 0 for yes and 1 for no, and writes one JSON line to its standard
// error, which is the database's log.
//
//	pgtoken -jwks FILE -issuer URL -audience NAME -grants FILE
package main

import (
	"encoding/json"
	"errors"
	"flag"
	"fmt"
	"io"
	"os"
	"strings"
	"time"

	"github.com/dbt-operator/dbt-operator/test/pgtoken"
)

// line is what is logged of a login.
type line struct {
	Time string `json:"time"`
	// Backend is the process of the database that asks, %p in its log.
	Backend int    `json:"backend"`
	Client  string `json:"client,omitempty"`
	pgtoken.Decision
}

func main() {
	var jwks, grants string
	var v pgtoken.Verifier
	flag.StringVar(&jwks, "jwks", "", "file with the cluster's keys, as /openid/v1/jwks gives them")
	flag.StringVar(&v.Issuer, "issuer", "", "the cluster's --service-account-issuer")
	flag.StringVar(&v.Audience, "audience", "", "the audience that tokens must have")
	flag.StringVar(&grants, "grants", "", "file with lines NAMESPACE/SERVICEACCOUNT ROLE")
	flag.Parse()

	now := time.Now()
	d := pgtoken.Decision{Role: os.Getenv("PAM_USER")}
	token, err := io.ReadAll(io.LimitReader(os.Stdin, pgtoken.MaxToken+2))
	if err == nil {
		err = load(&v, jwks, grants)
	}
	if err != nil {
		d.Reason = err.Error()
	} else {
		// PAM ends the password with a NUL; a token holds none.
		d = v.Decide(strings.TrimRight(string(token), "\x00\n"), d.Role, now)
	}
	b, err := json.Marshal(line{now.UTC().Format(time.RFC3339), os.Getppid(), os.Getenv("PAM_RHOST"), d})
	if err == nil {
		_, err = fmt.Fprintf(os.Stderr, "%s\n", b)
	}
	// What cannot be told afterwards must not happen.
	if err != nil || !d.Allowed {
		os.Exit(1)
	}
}

// load reads what tokens are held against, anew for each login: keys and grants change while the database runs.
func load(v *pgtoken.Verifier, jwks, grants string) error {
	if v.Issuer == "" || v.Audience == "" {
		return errors.New("-issuer and -audience must be set")
	}
	b, err := os.ReadFile(jwks)
	if err != nil {
		return fmt.Errorf("reading the cluster's keys: %w", err)
	}
	if err := json.Unmarshal(b, &v.Keys); err != nil {
		return fmt.Errorf("reading the cluster's keys in %s: %w", jwks, err)
	}
	// A symmetric key would be a secret that anybody who reads the file can sign with.
	for _, k := range v.Keys.Keys {
		if !k.Valid() || !k.IsPublic() {
			return fmt.Errorf("the key %q in %s is no public key", k.KeyID, jwks)
		}
	}
	f, err := os.Open(grants)
	if err != nil {
		return fmt.Errorf("reading grants: %w", err)
	}
	defer func() { _ = f.Close() }()
	v.Grants, err = pgtoken.ParseGrants(f)
	return err
}
