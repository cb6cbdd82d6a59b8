package collector

import (
	"context"
	"fmt"
	"net/http"
	"slices"
	"strings"

	"github.com/dbt-operator/dbt-operator/internal/collector/access"
	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// ServeHTTP answers pods and people.
func (c *Collector) ServeHTTP(w http.ResponseWriter, r *http.Request) {
	counted := &counted{ResponseWriter: w, code: http.StatusOK}
	began := c.config.Clock.Now()
	at, err := routeOf(r.URL.Path)
	defer func() { c.config.Metrics.Request(at.name, counted.code, c.config.Clock.Since(began)) }()
	if err == nil {
		err = c.serve(counted, r, at)
	} else if !c.leads() {
		err = c.notLeading(counted)
	}
	if err == nil {
		return
	}
	if counted.begun {
		// The answer has begun: that it is not whole is said by breaking it off.
		panic(http.ErrAbortHandler)
	}
	c.refuse(counted, err)
}

// counted remembers the code of an answer, and whether it has begun.
type counted struct {
	http.ResponseWriter
	code  int
	begun bool
}

func (w *counted) WriteHeader(code int) {
	w.code, w.begun = code, true
	w.ResponseWriter.WriteHeader(code)
}

func (w *counted) Write(b []byte) (int, error) {
	w.begun = true
	return w.ResponseWriter.Write(b)
}

// Unwrap is for http.ResponseController.
func (w *counted) Unwrap() http.ResponseWriter { return w.ResponseWriter }

// notLeading refuses whoever came to a replica that does not lead. They must not come again by this connection.
func (c *Collector) notLeading(w http.ResponseWriter) error {
	w.Header().Set("Connection", "close")
	return &access.Refusal{Kind: access.ErrLater, Message: "this replica of the operator does not lead: try again, to reach the one that does"}
}

func (c *Collector) serve(w http.ResponseWriter, r *http.Request, at route) error {
	if !c.leads() {
		return c.notLeading(w)
	}
	if !slices.Contains(at.methods, r.Method) {
		w.Header().Set("Allow", strings.Join(at.methods, ", "))
		return &statusError{http.StatusMethodNotAllowed, fmt.Sprintf("it takes %s, not %.20s", strings.Join(at.methods, " and "), r.Method)}
	}
	if at.pod != nil {
		return c.servePod(w, r, at)
	}
	return c.servePeople(w, r, at)
}

// podRequest is a request of a pod whose run is known.
type podRequest struct {
	*http.Request
	route
	attempt access.Attempt
}

func (c *Collector) servePod(w http.ResponseWriter, r *http.Request, at route) error {
	if !c.podPlaces.take() {
		return errBusy
	}
	defer c.podPlaces.give()
	if encoding := r.Header.Get("Content-Encoding"); encoding != "" && encoding != "identity" {
		return &statusError{http.StatusUnsupportedMediaType, fmt.Sprintf("bodies are taken as they are kept, not in Content-Encoding %.40q", encoding)}
	}
	attempt, err := c.pods.Authenticate(r.Context(), bearer(r.Header), address(r))
	if err != nil {
		return err
	}
	done, err := c.enter(attempt)
	if err != nil {
		return err
	}
	defer done()
	return at.pod(c, w, podRequest{r, at, attempt})
}

// peopleRequest is a request of somebody who may get the run.
type peopleRequest struct {
	*http.Request
	route
	uid string
}

func (c *Collector) servePeople(w http.ResponseWriter, r *http.Request, at route) error {
	if !c.peoplePlaces.take() {
		return errBusy
	}
	defer c.peoplePlaces.give()
	token := r.Header.Get(journal.HeaderToken)
	if token == "" {
		token = bearer(r.Header)
	}
	if err := c.people.Authorize(r.Context(), token, address(r), at.run); err != nil {
		return err
	}
	uid, err := c.uidOf(r.Context(), at.run)
	if err != nil {
		return err
	}
	return at.people(c, w, peopleRequest{r, at, uid})
}

// short bounds a request that moves no large data.
func (c *Collector) short(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeout(ctx, c.limits.answer)
}
