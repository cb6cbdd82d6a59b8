package journal

// What a pod and the collector say to each other. Every request of a pod carries its token as a bearer token; the
// collector knows from it which run and which attempt speak, so no request names them.
//
//	GET  PathAttempt                  AttemptReply: what the attempt has to know before it begins
//	GET  PathJournal                  the entries of the run's earlier attempts, as lines, oldest first
//	GET  PathJournal?from=resumeFrom  those of the run that spec.resumeFrom names
//	POST PathStreams/NAME?offset=N    appends the body at offset N of the attempt's stream; StreamReply
//	PUT  PathArtifacts/NAME           keeps the body, whose SHA-256 the header HeaderSHA256 has, as an artifact of the run
//	GET  PathCaches/NAME              a cache of the run's project; 404 when there is none
//	PUT  PathCaches/NAME              keeps the body, whose SHA-256 the header HeaderSHA256 has, as a cache of the project
//	GET  PathState/NAME               a file of the run whose manifest is the state of this one, by its status.state: StateManifest,
//	                                  StateResults or StateSources; 404 when it is not there (any more)
//	POST PathDone                     says that the attempt has nothing more to send
//
// An answer other than 2xx is an ErrorReply. 409 is a StreamReply as well, with the offset that the stream really has; 403
// means that this pod has nothing to say (any more); 413 that it is more than is kept; 503 that another replica leads or that
// the store is away, 507 that the store is full, 429 that this pod or all pods ask too much, 408 that a body came too slowly:
// try again, after the seconds of Retry-After.
const (
	PathAttempt   = "/v1/attempt"
	PathJournal   = "/v1/journal"
	PathStreams   = "/v1/streams/"
	PathArtifacts = "/v1/artifacts/"
	PathCaches    = "/v1/caches/"
	PathState     = "/v1/state/"
	PathDone      = "/v1/done"
	// PathRuns is where people read: PathRuns + NAMESPACE/NAME/…
	PathRuns = "/v1/runs/"

	// HeaderSHA256 holds the SHA-256 of an artifact in hexadecimal.
	HeaderSHA256 = "X-Content-Sha256"

	// Audience is that of the tokens that pods show to the collector.
	Audience = "collector.dbtoperator.dev"
)

// Files of a state, by the names that dbt looks for.
const (
	StateManifest = "manifest.json"
	// StateResults are those of the run's last command that left any.
	StateResults = "run_results.json"
	StateSources = "sources.json"
)

// Streams of an attempt.
const (
	// StreamJournal holds entries, as lines.
	StreamJournal = "journal"
	// StreamLog holds what the pod printed, redacted, as gzip members one after the other.
	StreamLog = "log"
)

// Limits of requests, in bytes.
const (
	MaxAppend   = 1 << 20
	MaxArtifact = 512 << 20
)

// AttemptReply is what an attempt has to know before it begins.
type AttemptReply struct {
	// Over says that the run has ended: there is nothing to do. Outcome is that end, which the attempt repeats.
	Over    bool    `json:"over,omitempty"`
	Outcome Outcome `json:"outcome,omitempty"`
	// Source is the revision an earlier attempt pinned, empty when none did.
	Source string `json:"source,omitempty"`
	// Earlier is the number of earlier attempts that have a journal.
	Earlier int `json:"earlier,omitempty"`
	// Anew says why what earlier attempts did must not be gone on with, empty when it may.
	Anew string `json:"anew,omitempty"`
	// Offsets are where the attempt's own streams end: more than 0 when the container was started again.
	Offsets map[string]int64 `json:"offsets,omitempty"`
}

// StreamReply says where a stream ends.
type StreamReply struct {
	Offset int64 `json:"offset"`
}

// ErrorReply says why a request was refused.
type ErrorReply struct {
	Error string `json:"error"`
}

// Artifact is a file that a run left behind.
type Artifact struct {
	// Name is the file's name: lower-case letters, digits, underscores, dashes and dots.
	Name string `json:"name"`
	// SHA256 is its digest in hexadecimal; Bytes its size.
	SHA256 string `json:"sha256"`
	Bytes  int64  `json:"bytes"`
}

// Kept is what the collector holds of a run. It is shared, and not changed once it is made.
type Kept struct {
	// Report is what the journal of all attempts comes to; Outcome is empty while the last attempt is at work.
	Report Report
	// Attempts are the pods that wrote it, oldest first.
	Attempts  []AttemptState
	Artifacts []Artifact
	// LogTail are the last lines of the newest attempt's log, at most 4 KiB.
	LogTail string
	// LogBytes is the size of the log as it is kept, compressed.
	LogBytes int64
	// Done says that everything the run had to send is there.
	Done bool
}
