package send

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"net/http"
	"net/url"

	"github.com/dbt-operator/dbt-operator/internal/dbt/text"
)

// endpoint returns the address that events are posted to.
func endpoint(u *url.URL) string {
	if u.Path == "" || u.Path == "/" {
		return u.JoinPath("api", "v1", "lineage").String()
	}
	return u.String()
}

// maxAnswer is how much of an answer is read.
const maxAnswer = 4 << 10

// post sends one event. One that the endpoint refuses for what it says is left out: sending it again would not help,
// and the events behind it must not wait for it.
func (s *Sender) post(ctx context.Context, body []byte) error {
	ctx, cancel := context.WithTimeout(ctx, s.config.Timeout)
	defer cancel()
	req, err := http.NewRequestWithContext(ctx, http.MethodPost, s.endpoint, bytes.NewReader(body))
	if err != nil {
		return fmt.Errorf("making a request to the OpenLineage endpoint: %w", err)
	}
	for name, values := range s.config.Header {
		req.Header[name] = values
	}
	req.Header.Set("Content-Type", "application/json")
	if s.config.Token != nil {
		token, err := s.config.Token()
		if err != nil {
			return fmt.Errorf("reading the token for the OpenLineage endpoint: %w", err)
		}
		req.Header.Set("Authorization", "Bearer "+token)
	}
	res, err := s.config.Client.Do(req)
	if err != nil {
		var about *url.Error
		if errors.As(err, &about) {
			err = about.Err // without the address, which may hold a key
		}
		return fmt.Errorf("sending an OpenLineage event: %w", err)
	}
	defer func() { _ = res.Body.Close() }()
	answer, _ := io.ReadAll(io.LimitReader(res.Body, maxAnswer))
	switch {
	case res.StatusCode/100 == 2:
		s.config.Count(Sent, 1)
		return nil
	case refused(res.StatusCode):
		s.config.Count(Refused, 1)
		return nil
	}
	return fmt.Errorf("the OpenLineage endpoint answered %d: %s", res.StatusCode, text.Line(string(answer), 200))
}

// refused reports whether an answer is about the event itself. The others say that the endpoint is not there, does not
// know who asks, or has too much to do.
func refused(code int) bool {
	switch code {
	case http.StatusBadRequest, http.StatusConflict, http.StatusRequestEntityTooLarge, http.StatusUnsupportedMediaType, http.StatusUnprocessableEntity:
		return true
	}
	return false
}
