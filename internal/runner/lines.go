package runner

import "bytes"

// maxLine bounds one line of dbt's output. What is longer is cut: it is no event that matters, and no line for people.
const maxLine = 4 << 20

// lineWriter calls emit for each line written to it, without its line break, a carriage return before it included.
// The slice is valid during the call only.
type lineWriter struct {
	emit func(line []byte)
	buf  []byte
	skip bool // the rest of a line that was cut
}

// Write never fails, so that a full disk or a closed reader on our side cannot stop dbt.
func (w *lineWriter) Write(p []byte) (int, error) {
	n := len(p)
	for len(p) > 0 {
		i := bytes.IndexByte(p, '\n')
		if i < 0 {
			w.grow(p)
			break
		}
		if len(w.buf) == 0 && !w.skip && i <= maxLine {
			w.send(p[:i])
		} else {
			w.grow(p[:i])
			w.flush()
		}
		w.skip = false
		p = p[i+1:]
	}
	return n, nil
}

// Close emits a last line that no line break ended.
func (w *lineWriter) Close() {
	if len(w.buf) > 0 {
		w.flush()
	}
}

func (w *lineWriter) grow(p []byte) {
	if w.skip {
		return
	}
	if room := maxLine - len(w.buf); len(p) > room {
		p, w.skip = p[:room], true
		w.buf = append(w.buf, p...)
		w.flush()
		return
	}
	w.buf = append(w.buf, p...)
}

func (w *lineWriter) flush() {
	if len(w.buf) > 0 {
		w.send(w.buf)
	}
	if cap(w.buf) > 1<<20 {
		w.buf = nil
	}
	w.buf = w.buf[:0]
}

func (w *lineWriter) send(line []byte) { w.emit(bytes.TrimSuffix(line, []byte("\r"))) }

// tail keeps the last lines of a stream.
type tail struct {
	lines []string
	size  int
}

const maxTail = 4 << 10

func (t *tail) add(line string) {
	if len(line) > maxTail {
		line = line[:maxTail]
	}
	t.lines = append(t.lines, line)
	t.size += len(line) + 1
	for t.size > maxTail && len(t.lines) > 1 {
		t.size -= len(t.lines[0]) + 1
		t.lines = t.lines[1:]
	}
}
