package live

import (
	"bytes"

	"github.com/dbt-operator/dbt-operator/internal/journal"
)

// lines cuts a part of a journal into entries as it comes, in chunks that may end in the middle of a line. What feed and
// settle have given after any number of chunks is what journal.DecodeEntries gives for all of them as one.
type lines struct {
	// rest is what follows the last line break, at most MaxEntry bytes.
	rest []byte
	// long says that the line under way is too long to be an entry; rest is then empty.
	long bool
	// early says that settle has given rest, which was an entry without its line break.
	early bool
}

// feed calls each for the entries whose lines b ends. It returns false when what settle had given turns out to be no
// entry, since more follows it on the same line: all must then be folded anew.
func (l *lines) feed(b []byte, each func(journal.Entry)) (ok bool) {
	for {
		i := bytes.IndexByte(b, '\n')
		if i < 0 {
			return l.keep(b)
		}
		if !l.line(b[:i], each) {
			return false
		}
		b = b[i+1:]
	}
}

// line takes the end of a line.
func (l *lines) line(end []byte, each func(journal.Entry)) bool {
	line, long, early := end, l.long || len(l.rest)+len(end) > journal.MaxEntry, l.early
	if len(l.rest) > 0 && !long {
		line = append(l.rest, end...)
	}
	l.rest, l.long, l.early = l.rest[:0], false, false
	if long {
		return !early
	}
	e, is := journal.DecodeEntry(line)
	if is && !early {
		each(e)
	}
	return is || !early
}

// keep takes what is no whole line yet.
func (l *lines) keep(b []byte) bool {
	if l.long {
		return true
	}
	if len(l.rest)+len(b) > journal.MaxEntry {
		l.rest, l.long = l.rest[:0], true
		return !l.early
	}
	l.rest = append(l.rest, b...)
	return true
}

// settle gives the last line if it is an entry without a line break, which it may never get. It returns false as feed does.
func (l *lines) settle(each func(journal.Entry)) (ok bool) {
	end := bytes.TrimSpace(l.rest)
	if len(end) == 0 || end[len(end)-1] != '}' {
		return !l.early
	}
	e, is := journal.DecodeEntry(l.rest)
	if is && !l.early {
		l.early = true
		each(e)
	}
	return is || !l.early
}
