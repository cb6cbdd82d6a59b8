package journal

// What people read of a run, below PathRuns + NAMESPACE/NAME; GET and HEAD only:
//
//	/log               the log of all attempts, as text; ?attempt=POD for one alone
//	/artifacts         []Artifact, sorted by name
//	/artifacts/NAME    one artifact, with HeaderSHA256
//	/journal           the entries of all attempts, as lines, oldest first
//	/report            RunReport
//
// The token of whoever asks is a bearer token or, through the API server's service proxy, which takes that header off, in
// HeaderToken. It must be one for the API server. It is asked whether its owner may get the DbtRun.

// HeaderToken holds the token of whoever reads through the API server's service proxy.
const HeaderToken = "X-Dbt-Operator-Token"

// Parts of a run that people read.
const (
	PartLog       = "log"
	PartArtifacts = "artifacts"
	PartJournal   = "journal"
	PartReport    = "report"
)

// RunReport is what is kept of a run, but for its log, journal and the contents of its artifacts.
type RunReport struct {
	Report Report `json:"report"`
	// Running are nodes that run now, the longest first.
	Running   []string        `json:"running,omitempty"`
	Attempts  []AttemptReport `json:"attempts,omitempty"`
	Artifacts []Artifact      `json:"artifacts,omitempty"`
	// LogBytes is the size of the log as it is kept, compressed.
	LogBytes int64 `json:"logBytes,omitempty"`
	// Done says that everything the run had to send is there.
	Done bool `json:"done"`
}

// AttemptReport is an AttemptState as JSON.
type AttemptReport struct {
	Pod string `json:"pod"`
	// Begin and End are Unix milliseconds by the pod's clock, End 0 while it has not said that it ended.
	Begin   int64   `json:"begin,omitempty"`
	End     int64   `json:"end,omitempty"`
	Outcome Outcome `json:"outcome,omitempty"`
	Message string  `json:"message,omitempty"`
}
