package live

import (
	"bytes"
	"compress/gzip"
	"errors"
	"io"
	"slices"
	"strings"

	"github.com/dbt-operator/dbt-operator/internal/dbt/text"
)

// Bounds of the work for a tail, in bytes. The log comes from a pod that may be hostile: a gzip stream can grow a
// thousandfold.
const (
	// maxTail is how much text a tail has.
	maxTail = 4 << 10
	// tailWindow is how much of a log's end is kept in memory, compressed.
	tailWindow = 192 << 10
	// tailBudget is how much is decompressed for one tail.
	tailBudget = 2 << 20
)

// tail keeps the end of a log, compressed as it came, and can tell its last lines.
type tail struct {
	window []byte
	text   string
	fresh  bool // text is of window
}

func (t *tail) add(b []byte) {
	t.fresh = false
	b = b[max(0, len(b)-tailWindow):]
	if over := len(t.window) + len(b) - 2*tailWindow; over > 0 {
		t.window = append(t.window[:0], t.window[len(t.window)-(tailWindow-min(len(b), tailWindow)):]...)
	}
	t.window = append(t.window, b...)
}

// lines returns the last lines, at most maxTail bytes, clean.
func (t *tail) lines() string {
	if !t.fresh {
		text, from := lastText(t.window)
		if len(text) > maxTail {
			// What is before it is never needed again.
			t.window = slices.Clone(t.window[from:])
		}
		t.text, t.fresh = lastLines(text), true
	}
	return t.text
}

// magic begins a gzip member without a name or a comment: its number, the one method there is, no flags.
var magic = []byte{0x1f, 0x8b, 0x08, 0x00}

// lastText decompresses the last members in window that give more than maxTail bytes of text, as far as it goes, and says
// where the first of them begins. The first of the window may be cut at its beginning, the last at its end. Members are
// found from the end, as a member says nothing of where the one before it begins; bytes that only look like a beginning
// are no member, or do not end where the next begins.
func lastText(window []byte) (out []byte, begin int) {
	budget := tailBudget
	window = trimHeader(window)
	end := len(window)
	for from := end; len(out) <= maxTail && budget > 0; {
		from = bytes.LastIndex(window[:from], magic)
		if from < 0 {
			break
		}
		text, how := inflate(window[from:end], &budget)
		if how == corrupt || how == torn && end < len(window) {
			continue
		}
		out = append(text, out...)
		end = from
	}
	return out, end
}

// trimHeader takes off the beginning of a member that is so short that it cannot be told from other bytes.
func trimHeader(b []byte) []byte {
	for n := len(magic) - 1; n > 0; n-- {
		if bytes.HasSuffix(b, magic[:n]) {
			return b[:len(b)-n]
		}
	}
	return b
}

// How a member ends.
const (
	whole   = iota // where its bytes end
	torn           // behind where its bytes end
	corrupt        // elsewhere, or it is none
)

// inflate returns the end of the text of one gzip member, and how it ends.
func inflate(b []byte, budget *int) (text []byte, end int) {
	// A start costs, too, or many false beginnings would cost nothing.
	*budget -= 4 << 10
	src := bytes.NewReader(b)
	r, err := gzip.NewReader(src)
	switch {
	case errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
		return nil, torn
	case err != nil:
		return nil, corrupt
	}
	r.Multistream(false)
	buf := make([]byte, 2*maxTail)
	kept := make([]byte, 0, 4*maxTail)
	for *budget > 0 {
		n, err := r.Read(buf)
		*budget -= n
		if len(kept)+n > cap(kept) {
			kept = append(kept[:0], kept[len(kept)-2*maxTail:]...)
		}
		kept = append(kept, buf[:n]...)
		text = kept[max(0, len(kept)-2*maxTail):]
		switch {
		case err == nil:
		case errors.Is(err, io.ErrUnexpectedEOF):
			return text, torn
		case errors.Is(err, io.EOF) && src.Len() == 0:
			return text, whole
		default:
			return nil, corrupt
		}
	}
	return nil, corrupt
}

// lastLines returns the last whole lines of b that fit, clean. A line that is longer than all is cut at its beginning.
func lastLines(b []byte) string {
	// Clean makes three bytes of one that is no UTF-8.
	s := text.Clean(string(b), 4*len(b))
	if len(s) <= maxTail {
		return s
	}
	s = s[len(s)-maxTail:]
	if i := strings.IndexByte(s, '\n'); i >= 0 && i < len(s)-1 {
		return s[i+1:]
	}
	return strings.ToValidUTF8(s, "")
}
