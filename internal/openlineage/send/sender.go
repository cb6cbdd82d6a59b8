package send

import (
	"cmp"
	"net/http"
	"net/url"
	"time"

	"github.com/dbt-operator/dbt-operator/internal/openlineage"
	"github.com/dbt-operator/dbt-operator/internal/outbox"
)

// Result is what became of an event, a try or a run, for metrics.
type Result string

// Results.
const (
	// Sent: the endpoint took an event.
	Sent Result = "sent"
	// Refused: the endpoint refused an event for what it says; it is left out.
	Refused Result = "refused"
	// Failed: a try failed and will be made again.
	Failed Result = "failed"
	// Dropped: a run's events were given up, or there was no room for one more run.
	Dropped Result = "dropped"
)

// Config is what a Sender is made of. URL, Source, Marks, Now and After are needed.
type Config struct {
	// URL of the endpoint. One without a path gets /api/v1/lineage, where OpenLineage's receivers listen.
	URL *url.URL
	// Header is sent with each request.
	Header http.Header
	// Token returns the bearer token, read anew for each request, since it may be rotated; nil sends none.
	Token func() (string, error)
	// Client does the requests; redirects are not followed. nil is one with Go's defaults.
	Client  *http.Client
	Options openlineage.Options
	Source  Source
	Marks   outbox.Notes
	Now     func() time.Time
	// After returns a channel that something is sent on when a time has passed, as time.After does.
	After func(time.Duration) <-chan time.Time
	// Count is told what became of events; it must not block.
	Count func(Result, int)
	// Log is told why a try failed; it must not block.
	Log func(run outbox.Key, err error)

	// Workers, MaxRuns, MinBackoff and MaxBackoff are those of the queue.
	Workers, MaxRuns       int
	MinBackoff, MaxBackoff time.Duration
	// Timeout of one request; default 10 s.
	Timeout time.Duration
	// GiveUpAfter is how long after a run's end its events are still tried to be sent; default 24 h.
	GiveUpAfter time.Duration
}

// Sender sends the events of runs. Its methods are safe for concurrent use.
type Sender struct {
	*outbox.Queue
	config   Config
	endpoint string
}

// New returns a sender; it sends nothing until it is started.
func New(c Config) *Sender {
	c.Timeout = cmp.Or(max(0, c.Timeout), 10*time.Second)
	c.GiveUpAfter = cmp.Or(max(0, c.GiveUpAfter), 24*time.Hour)
	if c.Count == nil {
		c.Count = func(Result, int) {}
	}
	client := http.Client{}
	if c.Client != nil {
		client = *c.Client
	}
	// A redirect would carry token and data to somebody that nobody named.
	client.CheckRedirect = func(*http.Request, []*http.Request) error { return http.ErrUseLastResponse }
	c.Client = &client
	s := &Sender{config: c, endpoint: endpoint(c.URL)}
	s.Queue = outbox.New(outbox.Config{
		Sync: s.Sync, Now: c.Now, After: c.After, Log: c.Log,
		Failed: func() { c.Count(Failed, 1) }, Dropped: func() { c.Count(Dropped, 1) },
		Workers: c.Workers, MaxRuns: c.MaxRuns, MinBackoff: c.MinBackoff, MaxBackoff: c.MaxBackoff,
	})
	return s
}
