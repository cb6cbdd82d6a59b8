package collector

import (
	"net/http"
	"strings"
	"testing"

	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// FuzzRequest reads what a request says of itself: whatever it is, what comes out is within bounds.
func FuzzRequest(f *testing.F) {
	f.Add("/v1/streams/journal", "offset=5", "Bearer x", digestOf("x"), "gzip")
	f.Add("/v1/artifacts/../x", "offset=-1&offset=2", "bearer", "abc", "gzip;q=0")
	f.Add("/v1/runs/ns/a/artifacts/index.html", "offset=%zz", "Basic eDp5", "", "br;q=1.0, gzip;q=x")
	f.Add("/v1/artifacts/a..b", "offset=0", "Bearer", "", "")
	f.Add("/v1/runs/ns/../log", "", "", "\x00", ";;,")
	f.Fuzz(func(t *testing.T, path, query, authorization, digest, encoding string) {
		at, err := routeOf(path)
		if at.name == "" || strings.ContainsAny(at.name, "/. ") {
			t.Errorf("route %q of %q", at.name, path)
		}
		if err == nil {
			if (at.pod == nil) == (at.people == nil) || len(at.methods) == 0 {
				t.Errorf("%q is for nobody, or for all: %+v", path, at)
			}
			if strings.ContainsAny(at.artifact, "/\\\x00") || strings.Contains(at.artifact, "..") || len(at.artifact) > 128 {
				t.Errorf("artifact %q of %q", at.artifact, path)
			}
			if at.people != nil && (len(validation.IsDNS1123Label(at.run.Namespace)) > 0 || len(validation.IsDNS1123Subdomain(at.run.Name)) > 0) {
				t.Errorf("run %v of %q", at.run, path)
			}
		} else if a := answerTo(err); a.code != http.StatusNotFound && a.code != http.StatusBadRequest || len(a.message) > 2000 {
			t.Errorf("%q: %+v", path, a)
		}
		if n, err := offsetOf(query); n < 0 || n > maxOffset || err != nil && n != 0 {
			t.Errorf("offset %d of %q", n, query)
		}
		h := http.Header{"Authorization": {authorization}}
		h.Set(journal.HeaderSHA256, digest)
		if d, err := checkDigest(h); err == nil && len(d) != 64 {
			t.Errorf("digest %q of %q", d, digest)
		}
		if token := bearer(h); token != "" && !strings.Contains(authorization, token) {
			t.Errorf("token %q of %q", token, authorization)
		}
		_ = acceptsGzip(encoding)
	})
}
