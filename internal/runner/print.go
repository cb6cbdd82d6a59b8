package runner

import (
	"bufio"
	"bytes"
	"encoding/json"
	"io"
	"sync"
	"time"

	"github.com/dbt-operator/dbt-operator/internal/dbt"
	"github.com/dbt-operator/dbt-operator/internal/dbt/text"
	"github.com/dbt-operator/dbt-operator/internal/plan"
)

// printer writes what the pod prints: lines for people, as dbt prints them, or one JSON object a line in which dbt's
// event also carries the run's identity, for log collectors. It is safe for concurrent use.
type printer struct {
	mu     sync.Mutex
	out    *bufio.Writer
	copy   io.Writer // gets what out gets, nil for none
	redact *Redactor
	json   bool
	// identity is the beginning of each JSON line: `"run":"…",…,`.
	identity []byte
	now      func() time.Time
}

func newPrinter(out io.Writer, redact *Redactor, format string, id plan.Identity, now func() time.Time) *printer {
	p := &printer{out: bufio.NewWriterSize(out, 32<<10), redact: redact, json: format == plan.LogJSON, now: now}
	b, err := json.Marshal(struct {
		Run       string `json:"run"`
		Namespace string `json:"namespace"`
		UID       string `json:"runUID"`
		Project   string `json:"project,omitempty"`
		Requester string `json:"requester,omitempty"`
	}{id.Name, id.Namespace, id.UID, id.Project, id.RequestedBy})
	if err == nil {
		p.identity = append(bytes.TrimSuffix(bytes.TrimPrefix(b, []byte("{")), []byte("}")), ',')
	}
	return p
}

const maxPrinted = 16 << 10

// event prints one of dbt's events, whose line is raw.
func (p *printer) event(e dbt.Event, raw []byte) {
	if p.json {
		if members, ok := p.redact.members(raw, identityNames); ok {
			p.writeJSON(members)
		}
		return
	}
	// dbt 2.x writes its debug lines to standard output even when they were not asked for.
	if e.Level == "debug" || e.Message == "" {
		return
	}
	clock := p.now().UTC().Format(time.TimeOnly)
	if at, err := time.Parse(time.RFC3339Nano, e.Time); err == nil {
		clock = at.UTC().Format(time.TimeOnly)
	}
	p.write(clock + "  " + text.Cut(p.redact.Clean(e.Message), maxPrinted))
}

// line prints a line that is no event: from dbt's standard error, from a hook, from the runner itself.
func (p *printer) line(level, s string) {
	s = text.Cut(p.redact.Clean(s), maxPrinted)
	if !p.json {
		p.write(p.now().UTC().Format(time.TimeOnly) + "  " + s)
		return
	}
	b, err := json.Marshal(map[string]any{"info": map[string]string{
		"level": level, "msg": s, "name": "Output", "ts": p.now().UTC().Format(time.RFC3339Nano),
	}})
	if err == nil {
		p.writeJSON(b[1:])
	}
}

// identityNames are the members of a line that are the runner's to set.
var identityNames = []string{"run", "namespace", "runUID", "project", "requester"}

// writeJSON writes an object, given without its opening brace, with the run's identity before it.
func (p *printer) writeJSON(members []byte) {
	p.write("{" + string(p.identity) + string(members))
}

// write never fails the run: a log that nobody can take is no reason to stop dbt.
func (p *printer) write(s string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	_, _ = p.out.WriteString(s)
	_ = p.out.WriteByte('\n')
	_ = p.out.Flush()
	if p.copy != nil {
		_, _ = io.WriteString(p.copy, s+"\n")
	}
}

// tee has what is printed from now on written to w as well; nil ends that.
func (p *printer) tee(w io.Writer) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.copy = w
}
