package collector

import (
	"context"
	"encoding/json"
	"errors"
	"net/http"
	"os"
	"strconv"
	"time"

	"github.com/dbt-operator/dbt-operator/internal/collector/access"
	"github.com/dbt-operator/dbt-operator/internal/collector/live"
	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/store"
)

// replyTime is how long a short answer may take to be read.
const replyTime = 15 * time.Second

// reply answers with JSON.
func (c *Collector) reply(w http.ResponseWriter, code int, body any) {
	b, err := json.Marshal(body)
	if err != nil {
		c.config.Log.Error(err, "an answer could not be written as JSON")
		code, b = http.StatusInternalServerError, []byte("{}")
	}
	// A request that took long has used up the time that the server gives it.
	_ = http.NewResponseController(w).SetWriteDeadline(c.config.Clock.Now().Add(replyTime))
	h := w.Header()
	hostile(h)
	h.Set("Content-Type", "application/json")
	h.Set("Content-Length", strconv.Itoa(len(b)+1))
	w.WriteHeader(code)
	_, _ = w.Write(append(b, '\n')) // nobody is left to tell
}

// hostile sets headers that keep a browser from doing anything with what a hostile pod has sent.
func hostile(h http.Header) {
	h.Set("X-Content-Type-Options", "nosniff")
	h.Set("Content-Security-Policy", "default-src 'none'; frame-ancestors 'none'; sandbox")
	h.Set("Cross-Origin-Resource-Policy", "same-origin")
	h.Set("Referrer-Policy", "no-referrer")
	h.Set("Cache-Control", "no-store")
}

// conflict is an answer 409: a journal.ErrorReply and a journal.StreamReply in one.
type conflict struct {
	journal.ErrorReply
	journal.StreamReply
}

// refuse answers with what err means.
func (c *Collector) refuse(w http.ResponseWriter, err error) {
	var elsewhere *store.OffsetError
	if errors.As(err, &elsewhere) && !errors.Is(err, live.ErrForeign) {
		c.reply(w, http.StatusConflict, conflict{journal.ErrorReply{Error: elsewhere.Error()}, journal.StreamReply{Offset: elsewhere.End}})
		return
	}
	a := answerTo(err)
	if a.code == http.StatusUnauthorized {
		w.Header().Set("WWW-Authenticate", "Bearer")
	}
	if a.retry > 0 {
		w.Header().Set("Retry-After", strconv.Itoa(a.retry))
	}
	if a.code == http.StatusInternalServerError {
		c.config.Log.Error(err, "a request to the collector failed")
	}
	c.reply(w, a.code, journal.ErrorReply{Error: a.message})
}

// answer is what is said of an error. retry is a time in seconds, 0 if asking again is of no use.
type answer struct {
	code    int
	message string
	retry   int
}

// answerTo returns what is said of an error. What the store says stays inside: it has names of folders and hosts.
func answerTo(err error) answer {
	message := err.Error()
	if r := (*access.Refusal)(nil); errors.As(err, &r) {
		message = r.Message
	}
	if s := (*statusError)(nil); errors.As(err, &s) {
		return answer{s.code, message, 0}
	}
	is := func(targets ...error) bool {
		for _, t := range targets {
			if errors.Is(err, t) {
				return true
			}
		}
		return false
	}
	body := (*bodyError)(nil)
	switch {
	case is(access.ErrUnauthenticated):
		return answer{http.StatusUnauthorized, message, 0}
	case is(access.ErrForbidden, live.ErrOver, live.ErrSuperseded, live.ErrForeign, live.ErrDeleted):
		return answer{http.StatusForbidden, message, 0}
	case is(access.ErrTooMany):
		return answer{http.StatusTooManyRequests, message, 1}
	case is(access.ErrLater):
		return answer{http.StatusServiceUnavailable, message, 1}
	case is(store.ErrTooLarge):
		return answer{http.StatusRequestEntityTooLarge, message, 0}
	case is(live.ErrDigest, store.ErrName):
		return answer{http.StatusBadRequest, message, 0}
	case is(os.ErrDeadlineExceeded) && errors.As(err, &body):
		return answer{http.StatusRequestTimeout, "the body came too slowly and was cut off: nothing of it was kept", 1}
	case errors.As(err, &body):
		return answer{http.StatusBadRequest, "the body could not be read to its end: nothing of it was kept", 0}
	case is(store.ErrNotFound):
		return answer{http.StatusNotFound, message, 0}
	case is(store.ErrFull):
		return answer{http.StatusInsufficientStorage, "the collector's store is full: nothing of this request was kept, and what was kept before is still there; whoever runs the operator must make room", 10}
	case is(live.ErrBusy):
		return answer{http.StatusServiceUnavailable, "what is kept of the run is still being read, or written by another request: try again", 1}
	case is(store.ErrStore):
		return answer{http.StatusServiceUnavailable, "the collector's store does not answer: try again; what was kept before is still there", 2}
	case is(context.Canceled, context.DeadlineExceeded):
		return answer{http.StatusServiceUnavailable, "it took too long: try again", 1}
	default:
		return answer{http.StatusInternalServerError, "the collector failed; its log says why", 5}
	}
}

// statusError is an error with a code of its own.
type statusError struct {
	code    int
	message string
}

func (e *statusError) Error() string { return e.message }
