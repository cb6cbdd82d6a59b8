package runner

import (
	"bytes"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"regexp"
	"strings"
	"unicode/utf16"
)

// forms returns a value as it stands in text, inside a JSON string, in a URL, and inside base64. Encodings beyond these
// are out of reach: there is no end to them, and code that is meant to leak can always choose another (docs/security.md).
func forms(s string) []string {
	out := append([]string{s}, jsonForms(s)...)
	out = append(out, percentForms(s)...)
	return append(out, base64Forms(s)...)
}

// jsonForms returns a value inside a JSON string as Go, Rust, Python and Jinja's tojson write it.
func jsonForms(s string) []string {
	var out []string
	for _, html := range []bool{true, false} {
		var b bytes.Buffer
		e := json.NewEncoder(&b)
		e.SetEscapeHTML(html)
		if e.Encode(s) != nil {
			continue
		}
		inside := strings.TrimSuffix(b.String(), "\n")
		inside = inside[1 : len(inside)-1]
		out = append(out, inside, ascii(inside))
		if html {
			out = append(out, ascii(strings.ReplaceAll(inside, "'", `\u0027`)))
		}
	}
	return out
}

// ascii writes all but ASCII as JSON escapes, as Python does.
func ascii(s string) string {
	var b strings.Builder
	for _, r := range s {
		switch {
		case r < 0x80:
			b.WriteRune(r)
		case r > 0xffff:
			high, low := utf16.EncodeRune(r)
			fmt.Fprintf(&b, `\u%04x\u%04x`, high, low)
		default:
			fmt.Fprintf(&b, `\u%04x`, r)
		}
	}
	return b.String()
}

// unescaped are the characters besides letters and digits that a URL encoder leaves as they are.
var unescaped = []string{
	"-_.~",                 // RFC 3986; Go's QueryEscape; Python's quote with nothing safe, quote_plus
	"-_.~/",                // Python's quote, Jinja's urlencode
	"-_.~$&+=:@",           // Go's PathEscape
	"-_.~!'()*",            // JavaScript's encodeURIComponent
	"-_.~!'()*;/?:@&=+$,#", // JavaScript's encodeURI
	"-_.*",                 // HTML forms
}

const (
	lowerHex = "0123456789abcdef"
	upperHex = "0123456789ABCDEF"
)

// percentForms returns a value as URL encoders write it (RFC 3986, section 2.1), and with every byte encoded.
func percentForms(s string) []string {
	var out []string
	for _, digits := range []string{upperHex, lowerHex} {
		for _, safe := range unescaped {
			escaped := percent(s, safe, digits)
			out = append(out, escaped, strings.ReplaceAll(escaped, "%20", "+"))
		}
		var all strings.Builder
		for i := range len(s) {
			all.Write([]byte{'%', digits[s[i]>>4], digits[s[i]&15]})
		}
		out = append(out, all.String())
	}
	return out
}

func percent(s, safe, digits string) string {
	var b strings.Builder
	for i := range len(s) {
		c := s[i]
		if 'a' <= c && c <= 'z' || 'A' <= c && c <= 'Z' || '0' <= c && c <= '9' || strings.IndexByte(safe, c) >= 0 {
			b.WriteByte(c)
			continue
		}
		b.Write([]byte{'%', digits[c>>4], digits[c&15]})
	}
	return b.String()
}

// wrapped is how many bytes encoders that break lines put into one: 76 characters (RFC 2045) and 64 (PEM, RFC 7468).
var wrapped = []int{57, 48}

// base64Forms returns what of a value's base64 is the same wherever it stands in the text that is encoded. Three bytes
// become four characters, so there are three ways: it begins at a boundary, or one or two bytes behind it. A character
// that also holds bits of a neighbour is left out: it tells at most four bits of the value's first or last byte. A
// value longer than a line of encoders that break lines is found if the encoded text begins with it.
func base64Forms(s string) []string {
	var out []string
	for _, alphabet := range []*base64.Encoding{base64.StdEncoding, base64.URLEncoding} {
		unpadded := alphabet.WithPadding(base64.NoPadding)
		out = append(out, alphabet.EncodeToString([]byte(s)), unpadded.EncodeToString([]byte(s)))
		for before := range 3 {
			encoded := unpadded.EncodeToString(append(make([]byte, before), s...))
			out = append(out, encoded[(before*8+5)/6:(before+len(s))*8/6])
		}
		for _, width := range wrapped {
			if len(s) <= width {
				continue
			}
			for at := 0; at+minSecret <= len(s); at += width {
				out = append(out, unpadded.EncodeToString([]byte(s[at:min(at+width, len(s))])))
			}
		}
	}
	return out
}

// encodedJWT matches what jwt matches, in base64: kubelet renews tokens, so their values are not all known when a run
// begins. The three beginnings are those of `eyJhbGciOi` ({"alg":) at each distance from a boundary.
var encodedJWT = regexp.MustCompile(`(?:` + strings.Join(encodedHeads, "|") + `)[A-Za-z0-9+/_-]{40,}={0,2}`)

var encodedHeads = []string{"ZXlKaGJHY2lPa", "V5SmhiR2NpT2", "leUpoYkdjaU9p"}
