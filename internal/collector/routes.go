package collector

import (
	"fmt"
	"net"
	"net/http"
	"net/url"
	"regexp"
	"strconv"
	"strings"

	"k8s.io/apimachinery/pkg/types"
	"k8s.io/apimachinery/pkg/util/validation"

	"github.com/dbt-operator/dbt-operator/internal/collector/caches"
	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// route is what a request is about. Paths are taken as they are, never cleaned: `..` in one is a name that is refused.
type route struct {
	// name is one of a few, for metrics.
	name string
	// methods are those that it has.
	methods []string
	// of a pod, or of people.
	pod    func(c *Collector, w http.ResponseWriter, q podRequest) error
	people func(c *Collector, w http.ResponseWriter, q peopleRequest) error
	// stream, artifact, cache and run are what the path names.
	stream   string
	artifact string
	cache    string
	run      types.NamespacedName
}

var noRoute = route{name: "none"}

var (
	get  = []string{http.MethodGet}
	read = []string{http.MethodGet, http.MethodHead}
	post = []string{http.MethodPost}
	put  = []string{http.MethodPut}

	getOrPut = []string{http.MethodGet, http.MethodPut}
)

// routeOf returns what a path is about. An error has a code of its own.
func routeOf(path string) (route, error) {
	switch path {
	case journal.PathAttempt:
		return route{name: "attempt", methods: get, pod: (*Collector).serveAttempt}, nil
	case journal.PathJournal:
		return route{name: "journal", methods: get, pod: (*Collector).serveEarlier}, nil
	case journal.PathDone:
		return route{name: "done", methods: post, pod: (*Collector).serveDone}, nil
	}
	if name, ok := strings.CutPrefix(path, journal.PathStreams); ok {
		r := route{name: "streams", methods: post, pod: (*Collector).serveAppend, stream: name}
		if name != journal.StreamJournal && name != journal.StreamLog {
			return r, notFound("there is no stream %.100q: there are %s and %s", name, journal.StreamJournal, journal.StreamLog)
		}
		return r, nil
	}
	if name, ok := strings.CutPrefix(path, journal.PathArtifacts); ok {
		r := route{name: "artifacts", methods: put, pod: (*Collector).servePut, artifact: name}
		return r, checkArtifact(name)
	}
	if name, ok := strings.CutPrefix(path, journal.PathCaches); ok {
		r := route{name: "caches", methods: getOrPut, pod: (*Collector).serveCache, cache: name}
		if err := caches.CheckName(name); err != nil {
			return r, badRequest("%s", err)
		}
		return r, nil
	}
	if name, ok := strings.CutPrefix(path, journal.PathState); ok {
		return route{name: "state", methods: get, pod: (*Collector).serveState, artifact: name}, checkState(name)
	}
	if rest, ok := strings.CutPrefix(path, journal.PathRuns); ok {
		return peopleRoute(rest)
	}
	return noRoute, notFound("there is nothing at %.200q", path)
}

// peopleRoute returns what NAMESPACE/NAME/PART… is about.
func peopleRoute(rest string) (route, error) {
	r := route{name: "runs", methods: read}
	part := strings.SplitN(rest, "/", 4)
	if len(part) < 3 {
		return r, notFound("a path is %sNAMESPACE/NAME/%s", journal.PathRuns, "log, artifacts, artifacts/NAME, journal or report")
	}
	r.run = types.NamespacedName{Namespace: part[0], Name: part[1]}
	if len(validation.IsDNS1123Label(r.run.Namespace)) > 0 || len(validation.IsDNS1123Subdomain(r.run.Name)) > 0 {
		return r, badRequest("%.100q and %.300q are no names of a namespace and a DbtRun", part[0], part[1])
	}
	handlers := map[string]func(*Collector, http.ResponseWriter, peopleRequest) error{
		journal.PartLog: (*Collector).serveLog, journal.PartJournal: (*Collector).serveJournal,
		journal.PartReport: (*Collector).serveReport, journal.PartArtifacts: (*Collector).serveArtifacts,
	}
	if len(part) == 4 && part[2] == journal.PartArtifacts {
		r.name, r.people, r.artifact = "runs-artifact", (*Collector).serveArtifact, part[3]
		return r, checkArtifact(part[3])
	}
	if r.people = handlers[part[2]]; r.people == nil || len(part) > 3 {
		return r, notFound("of a DbtRun there are log, artifacts, artifacts/NAME, journal and report, not %.100q", strings.Join(part[2:], "/"))
	}
	r.name = "runs-" + part[2]
	return r, nil
}

// artifactName is what journal.Artifact says of names, and the store.
var artifactName = regexp.MustCompile(`^[a-z0-9]([a-z0-9._-]{0,126}[a-z0-9])?$`)

func checkArtifact(name string) error {
	if !artifactName.MatchString(name) || strings.Contains(name, "..") {
		return badRequest("an artifact cannot be named %.150q: use lower-case letters, digits, underscores, dashes and single dots, 1 to 128 of them, beginning and ending with a letter or digit", name)
	}
	return nil
}

var digestForm = regexp.MustCompile(`^[0-9a-f]{64}$`)

func checkDigest(h http.Header) (string, error) {
	digest := strings.ToLower(h.Get(journal.HeaderSHA256))
	if !digestForm.MatchString(digest) {
		return "", badRequest("the header %s must be the SHA-256 of the body, 64 hexadecimal digits, found %.80q", journal.HeaderSHA256, digest)
	}
	return digest, nil
}

// maxOffset is far behind any stream's end.
const maxOffset = 1 << 50

func offsetOf(query string) (int64, error) {
	values, err := url.ParseQuery(query)
	if err != nil {
		return 0, badRequest("the query cannot be read")
	}
	said := values.Get("offset")
	n, err := strconv.ParseUint(said, 10, 63)
	if err != nil || n > maxOffset || len(values["offset"]) != 1 {
		return 0, badRequest("offset must be one number, where the body begins in the stream, found %.40q", said)
	}
	return int64(n), nil
}

func notFound(format string, args ...any) error {
	return &statusError{http.StatusNotFound, fmt.Sprintf(format, args...)}
}

func badRequest(format string, args ...any) error {
	return &statusError{http.StatusBadRequest, fmt.Sprintf(format, args...)}
}

// bearer returns the token of an Authorization header, empty if it has none.
func bearer(h http.Header) string {
	scheme, token, ok := strings.Cut(h.Get("Authorization"), " ")
	if !ok || !strings.EqualFold(scheme, "Bearer") {
		return ""
	}
	return strings.TrimSpace(token)
}

// address returns where a request comes from, without the port.
func address(r *http.Request) string {
	host, _, err := net.SplitHostPort(r.RemoteAddr)
	if err != nil {
		return r.RemoteAddr
	}
	return host
}

// acceptsGzip reports whether an Accept-Encoding header asks for gzip.
func acceptsGzip(header string) bool {
	for item := range strings.SplitSeq(header, ",") {
		name, parameter, _ := strings.Cut(item, ";")
		if strings.EqualFold(strings.TrimSpace(name), "gzip") {
			q, isQ := strings.CutPrefix(strings.ReplaceAll(parameter, " ", ""), "q=")
			weight, err := strconv.ParseFloat(q, 64)
			return !isQ || err == nil && weight > 0
		}
	}
	return false
}
