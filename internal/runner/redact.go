package runner

import (
	"bytes"
	"regexp"
	"slices"
	"strings"
	"sync/atomic"

	"github.com/go-json-experiment/json/jsontext"

	"github.com/dbt-operator/dbt-operator/internal/dbt/text"
)

// Redactor replaces secrets in text by "***": values it knows, as they are and in the encodings of forms, JSON Web
// Tokens, and the user information of URLs.
// It is safe for concurrent use.
type Redactor struct {
	known *strings.Replacer
	cuts  cuts
	most  int // length of the longest known value
	// learned knows the values that came up after this redactor was made.
	learned atomic.Pointer[learned]
}

const (
	redacted = "***"
	// minSecret is the length from which a value is replaced wherever it occurs. Shorter ones ("dbt", "prod") are also
	// ordinary words: replacing them would hide more of the log than it protects.
	minSecret = 6
)

var (
	// jwt matches a token in compact serialization (RFC 7519): three base64url parts, the first a JSON object.
	jwt = regexp.MustCompile(`eyJ[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]{8,}\.[A-Za-z0-9_-]*`)
	// userinfo matches what stands before the host of a URL (RFC 3986, section 3.2.1), an @ in a password included.
	userinfo = regexp.MustCompile(`://[^/?#\s"']+@`)
)

// NewRedactor returns a redactor of the given secrets. A secret of several lines is redacted line by line as well.
func NewRedactor(secrets []string) *Redactor {
	all := map[string]bool{}
	for _, s := range secrets {
		// A key kept in a variable often has its line breaks written as \n.
		parts := append(strings.Split(strings.ReplaceAll(s, `\n`, "\n"), "\n"), s)
		for _, part := range parts {
			if part = strings.TrimSpace(part); len(part) < minSecret {
				continue
			}
			for _, form := range forms(part) {
				all[form] = true
			}
		}
	}
	values := make([]string, 0, len(all))
	for v := range all {
		values = append(values, v)
	}
	// Longest first: the replacer takes the first that matches, and one secret may begin with another.
	slices.SortFunc(values, func(a, b string) int { return len(b) - len(a) })
	pairs := make([]string, 0, 2*len(values))
	for _, v := range values {
		pairs = append(pairs, v, redacted)
	}
	if len(pairs) == 0 {
		return &Redactor{}
	}
	return &Redactor{known: strings.NewReplacer(pairs...), cuts: newCuts(values), most: len(values[0])}
}

// String returns s without secrets.
func (r *Redactor) String(s string) string {
	if r.known != nil {
		s = r.cuts.redact(r.known.Replace(s))
	}
	if l := r.learned.Load(); l != nil {
		s = l.String(s)
	}
	if strings.Contains(s, "eyJ") {
		s = jwt.ReplaceAllString(s, redacted)
	}
	for _, head := range encodedHeads {
		if strings.Contains(s, head) {
			s = encodedJWT.ReplaceAllString(s, redacted)
		}
	}
	if strings.Contains(s, "://") && strings.Contains(s, "@") {
		s = userinfo.ReplaceAllString(s, "://"+redacted+"@")
	}
	return s
}

// Clean returns s without secrets and without what does more to a terminal than show text. Secrets are looked for in
// the clean text, and before anything is cut off: half a secret is not found.
func (r *Redactor) Clean(s string) string { return r.String(text.Clean(s, maxLine)) }

// members returns a JSON object without its opening brace: every name, string and number clean and redacted by itself,
// so that the result is JSON whatever a secret looks like. Members named in without are left out at the top. It
// returns false when raw is no JSON object.
func (r *Redactor) members(raw []byte, without []string) ([]byte, bool) {
	lenient := []jsontext.Options{jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)}
	in := jsontext.NewDecoder(bytes.NewReader(raw), lenient...)
	var b bytes.Buffer
	out := jsontext.NewEncoder(&b, lenient...)
	for {
		t, err := in.ReadToken()
		if err != nil {
			return nil, false
		}
		if t, ok := r.token(t); !ok || in.StackDepth() != 1 || !isName(in) || !slices.Contains(without, t.String()) {
			err = out.WriteToken(t)
		} else {
			err = in.SkipValue()
		}
		if err != nil {
			return nil, false
		}
		if in.StackDepth() == 0 {
			object := bytes.TrimSpace(b.Bytes())
			if object[0] != '{' {
				return nil, false
			}
			return object[1:], true
		}
	}
}

// isName reports whether the token that was read last is the name of an object's member.
func isName(in *jsontext.Decoder) bool {
	kind, n := in.StackIndex(in.StackDepth())
	return kind == '{' && n%2 == 1
}

// token returns a token clean and redacted, and whether it is a string.
func (r *Redactor) token(t jsontext.Token) (jsontext.Token, bool) {
	switch t.Kind() {
	case '"':
		return jsontext.String(r.Clean(t.String())), true
	case '0':
		if n := t.String(); r.String(n) != n {
			return jsontext.String(redacted), false
		}
	}
	return t, false
}
