package runner

import (
	"encoding/base64"
	"fmt"
	"net/url"
	"strings"
	"testing"
)

// canary has every kind of character that encoders treat differently: a secret of the shape people choose.
const canary = `k4n@ry/Lösung+~'(*)%& =?!-1`

// TestEncodedSecrets has a secret in the encodings that redaction promises to find, wherever in the text that is
// encoded it stands.
func TestEncodedSecrets(t *testing.T) {
	long := strings.Repeat("a-long-token-", 40) + "end"
	std, raw := base64.StdEncoding.EncodeToString, base64.RawURLEncoding.EncodeToString
	wrap := func(s string, width int) string {
		var b strings.Builder
		for encoded := std([]byte(s)); encoded != ""; encoded = encoded[min(width, len(encoded)):] {
			b.WriteString(encoded[:min(width, len(encoded))] + "\n")
		}
		return b.String()
	}
	every := func(format, s string) string {
		var b strings.Builder
		for i := range len(s) {
			fmt.Fprintf(&b, format, s[i])
		}
		return b.String()
	}
	tests := map[string]struct {
		reason, secret, in string
		// most is how many characters may be left beside the redaction: those that hold bits of a neighbour.
		most int
	}{
		"Base64":            {"all of it, with its padding", canary, std([]byte(canary)), 0},
		"Base64Unpadded":    {"without padding, URL alphabet", canary, raw([]byte(canary)), 0},
		"Base64Echo":        {"with the line break that echo adds", canary, std([]byte(canary + "\n")), 2},
		"Base64Behind1":     {"one byte stands before it", canary, std([]byte("x" + canary)), 4},
		"Base64Behind2":     {"two bytes stand before it", canary, std([]byte("xy" + canary + "z")), 8},
		"Base64Behind3":     {"three bytes stand before it", canary, std([]byte("xyz" + canary + "z")), 8},
		"Base64URL":         {"the URL alphabet, in the middle", canary, raw([]byte("u:" + canary + "@h")), 8},
		"Base64Short":       {"the shortest value that is redacted", "abc123", std([]byte("u:abc123")), 5},
		"Base64Mail":        {"lines of 76 characters, as the base64 command breaks them", long, wrap(long, 76), 12},
		"Base64PEM":         {"lines of 64 characters", long, wrap(long, 64), 14},
		"Base64Token":       {"a token nobody told us of: kubelet has renewed it", "", std([]byte(token)), 0},
		"Base64TokenBehind": {"behind the word Bearer", "", std([]byte("Bearer " + token)), 10},
		"Base64TokenThird":  {"and at the third distance", "", std([]byte("Bearer: " + token)), 12},
		"Query":             {"as Go writes queries", canary, url.QueryEscape(canary), 0},
		"Path":              {"as Go writes paths", canary, url.PathEscape(canary), 0},
		"Lower":             {"with small digits", canary, "k4n%40ry%2fL%c3%b6sung%2b~%27%28%2a%29%25%26+%3d%3f%21-1", 0},
		"PythonQuote":       {"as Python's quote and Jinja's urlencode write it", canary, "k4n%40ry/L%C3%B6sung%2B~%27%28%2A%29%25%26%20%3D%3F%21-1", 0},
		"JavaScript":        {"as encodeURIComponent writes it", canary, "k4n%40ry%2FL%C3%B6sung%2B~'(*)%25%26%20%3D%3F!-1", 0},
		"JavaScriptURI":     {"as encodeURI writes it", canary, "k4n@ry/L%C3%B6sung+~'(*)%25&%20=?!-1", 0},
		"Form":              {"as HTML forms write it", canary, "k4n%40ry%2FL%C3%B6sung%2B%7E%27%28*%29%25%26+%3D%3F%21-1", 0},
		"EveryByte":         {"with every byte encoded", canary, every("%%%02X", canary), 0},
		"EveryByteLower":    {"with every byte encoded, small digits", canary, every("%%%02x", canary), 0},
		"Tojson":            {"as Jinja's tojson writes it", canary, `"k4n@ry/L\u00f6sung+~\u0027(*)%\u0026 =?!-1"`, 2},
	}
	for name, tc := range tests {
		t.Run(name, func(t *testing.T) {
			got := NewRedactor([]string{tc.secret}).String("said: " + tc.in)
			left := strings.NewReplacer("said: ", "", redacted, "", "\n", "").Replace(got)
			if !strings.Contains(got, redacted) || len(left) > tc.most {
				t.Errorf("%s:\n in  %s\n got %s\nwant at most %d characters left", tc.reason, tc.in, got, tc.most)
			}
		})
	}
}

// TestCutByTheDatabase has a secret in SQL that a database quotes and cuts.
func TestCutByTheDatabase(t *testing.T) {
	const secret = "hunter22-and-more"
	for name, tc := range map[string]struct{ reason, in, want string }{
		"Behind":  {"the end is cut off", "LINE 1: attach 'password=hunter22-an...\n", "LINE 1: attach 'password=***...\n"},
		"Before":  {"the beginning is cut off", "LINE 1: ...22-and-more' as x", "LINE 1: ...***' as x"},
		"One":     {"an ellipsis of one character", "password=hunter2… and …d-more", "password=***… and …***"},
		"Both":    {"two pieces", "hunter22...nd-more", "***...***"},
		"Encoded": {"a piece of an encoded form", "said " + base64.StdEncoding.EncodeToString([]byte(secret))[:12] + "...", "said ***..."},
		"Short":   {"five characters are also words", "hunte... more", "hunte... more"},
		"Dots":    {"dbt's own dots", "1 of 2 START hunter ........... [RUN]", "1 of 2 START hunter ........... [RUN]"},
		"NoDots":  {"a word that begins as the secret does is no piece of it", "hunter22-an example", "hunter22-an example"},
	} {
		t.Run(name, func(t *testing.T) {
			if got := NewRedactor([]string{secret}).String(tc.in); got != tc.want {
				t.Errorf("%s:\n got %q\nwant %q", tc.reason, got, tc.want)
			}
		})
	}
}

// What docs/security.md says is out of reach is out of reach: when that changes, the page must.
func TestEncodingsOutOfReach(t *testing.T) {
	const secret = "hunter22hunter22"
	reversed := []byte(secret)
	for i, j := 0, len(reversed)-1; i < j; i, j = i+1, j-1 {
		reversed[i], reversed[j] = reversed[j], reversed[i]
	}
	for name, in := range map[string]string{
		"hex":      fmt.Sprintf("%x", secret),
		"reversed": string(reversed),
		"split":    secret[:8] + " " + secret[8:],
		"twice":    base64.StdEncoding.EncodeToString([]byte(base64.StdEncoding.EncodeToString([]byte(secret)))),
	} {
		if got := NewRedactor([]string{secret}).String(in); got != in {
			t.Errorf("%s is found (%q becomes %q): say so in docs/security.md", name, in, got)
		}
	}
}

func FuzzBase64Forms(f *testing.F) {
	f.Add("", "hunter22", "")
	f.Add("u:", canary, "@host")
	f.Fuzz(func(t *testing.T, before, secret, after string) {
		if secret = strings.TrimSpace(secret); len(secret) < minSecret || len(secret) > 256 || strings.ContainsAny(secret, "\n\\") {
			t.Skip()
		}
		r := NewRedactor([]string{secret})
		for _, encoding := range []*base64.Encoding{base64.StdEncoding, base64.RawURLEncoding} {
			if got := r.String(encoding.EncodeToString([]byte(before + secret + after))); !strings.Contains(got, redacted) {
				t.Errorf("%q is left in the base64 of %q: %s", secret, before+secret+after, got)
			}
		}
	})
}

// BenchmarkRedactorString says how many bytes of log lines a second are redacted with three secrets of usual kinds.
func BenchmarkRedactorString(b *testing.B) {
	r := NewRedactor([]string{canary, token + strings.Repeat("x", 800), privateKey})
	line := strings.Repeat("12:00:01  14 of 28 OK created sql table model analytics.order_totals ..................... [SELECT 1000 in 0.21s] ", 4)
	b.SetBytes(int64(len(line)))
	for b.Loop() {
		r.String(line)
	}
}
