package runner

import (
	"bufio"
	"bytes"
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json/jsontext"
)

// JSON copies one JSON value from in to out, every name, string and number redacted by itself, so that the result is
// JSON whatever a secret looks like. Its memory is that of the longest string.
func (r *Redactor) JSON(out io.Writer, in io.Reader) error {
	lenient := []jsontext.Options{jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true)}
	d := jsontext.NewDecoder(in, lenient...)
	w := bufio.NewWriterSize(out, 64<<10)
	e := jsontext.NewEncoder(w, lenient...)
	for {
		t, err := d.ReadToken()
		if errors.Is(err, io.EOF) {
			return w.Flush()
		}
		if err != nil {
			return fmt.Errorf("it is no JSON that can be read: %w", err)
		}
		switch t.Kind() {
		case '"':
			t = jsontext.String(r.String(t.String()))
		case '0':
			if n := t.String(); r.String(n) != n {
				t = jsontext.String(redacted)
			}
		}
		if err := e.WriteToken(t); err != nil {
			return err
		}
	}
}

// chunk is how much of a text is redacted at once. A line that is longer is cut where that parts no secret.
const chunk = 1 << 20

// Text copies text from in to out, redacted. Secrets of several lines are found line by line.
func (r *Redactor) Text(out io.Writer, in io.Reader) error {
	buf := make([]byte, 0, 2*chunk)
	for {
		n, err := io.ReadFull(in, buf[len(buf):min(cap(buf), len(buf)+chunk)])
		buf = buf[:len(buf)+n]
		last := errors.Is(err, io.EOF) || errors.Is(err, io.ErrUnexpectedEOF)
		if err != nil && !last {
			return err
		}
		at := len(buf)
		if !last {
			at = r.seam(buf)
		}
		if _, err := io.WriteString(out, r.String(string(buf[:at]))); err != nil {
			return err
		}
		if last {
			return nil
		}
		buf = buf[:copy(buf, buf[at:])]
	}
}

// seam returns where a text may be cut: behind its last line, or where no secret lies on both sides.
func (r *Redactor) seam(b []byte) int {
	if i := bytes.LastIndexByte(b, '\n'); i >= 0 {
		return i + 1
	}
	around := min(r.most+jwtReach, len(b)/4)
	at := len(b) - around
	for step := 0; at > len(b)/2 && step < 64; step++ {
		before, behind := string(b[at-around:at]), string(b[at:min(len(b), at+around)])
		if r.String(before+behind) == r.String(before)+r.String(behind) {
			return at
		}
		at -= max(1, around/8)
	}
	return at
}

// jwtReach is the length of the longest token that is looked for across a cut.
const jwtReach = 8 << 10
