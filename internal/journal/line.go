package journal

// DecodeEntry returns the entry in one line, with or without its line break; false when it is none. It decides as
// DecodeEntries does of each line.
func DecodeEntry(line []byte) (Entry, bool) {
	if n := len(line); n > 0 && line[n-1] == '\n' {
		line = line[:n-1]
	}
	if len(line) > MaxEntry {
		return Entry{}, false
	}
	return decodeEntry(line)
}
