package dbt

import (
	"bytes"
	"strconv"
	"strings"
	"sync"
	"unicode/utf8"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// lenient accepts what dbt and its adapters are known to write: text that is not UTF-8, the same name twice.
var lenient = json.JoinOptions(jsontext.AllowInvalidUTF8(true), jsontext.AllowDuplicateNames(true))

// parser reads one event of a line that is known to be JSON. It goes through it once and makes strings only of what is
// kept, and of words that come again and again only once: dbt may log faster than reflection would follow.
type parser struct {
	b  []byte
	at int
	// data is false once the event's data has shown an unexpected shape.
	data  bool
	words map[string]string
}

var parsers = sync.Pool{New: func() any { return &parser{words: map[string]string{}} }}

func (p *parser) release() {
	p.b = nil // it belongs to the caller
	parsers.Put(p)
}

func (p *parser) parse(line []byte) (Event, bool) {
	if !jsontext.Value(line).IsValid(lenient) {
		return Event{}, false
	}
	p.b, p.at, p.data = line, 0, true
	var e Event
	var w wireData
	ok := p.object(func(name []byte) bool {
		switch string(name) {
		case `"info"`:
			return p.info(&e)
		case `"data"`:
			return p.eventData(&w)
		}
		return p.skip()
	})
	if !ok || e.Name == "" || e.Level == "" {
		return Event{}, false
	}
	if p.data {
		e.Data, e.Node = w.event()
		if e.Node.Status == "" && e.Code == "Q007" {
			e.Node.Status = testStatus(w.status)
		}
	}
	return e, true
}

// peek returns the first byte of the value that comes next.
func (p *parser) peek() byte {
	for p.at < len(p.b) {
		switch c := p.b[p.at]; c {
		case ' ', '\t', '\n', '\r', ',', ':':
			p.at++
		default:
			return c
		}
	}
	return 0
}

// value returns the value that comes next as it is written.
func (p *parser) value() []byte {
	first := p.peek()
	from, depth := p.at, 0
	for p.at < len(p.b) {
		switch p.b[p.at] {
		case '"':
			p.toQuote()
		case '{', '[':
			depth++
		case '}', ']':
			depth--
		}
		p.at++
		if depth == 0 && (first == '"' || first == '{' || first == '[' || p.atEdge()) {
			break
		}
	}
	return p.b[from:p.at]
}

// toQuote moves from a string's first quote to its last.
func (p *parser) toQuote() {
	at := p.at + 1
	for at < len(p.b) {
		n := bytes.IndexByte(p.b[at:], '"')
		if n < 0 {
			break
		}
		at += n
		escapes := 0
		for p.b[at-1-escapes] == '\\' {
			escapes++
		}
		if escapes%2 == 0 {
			p.at = at
			return
		}
		at++
	}
	p.at = len(p.b)
}

// atEdge reports whether a number or a word ends here.
func (p *parser) atEdge() bool {
	if p.at >= len(p.b) {
		return true
	}
	switch p.b[p.at] {
	case ' ', '\t', '\n', '\r', ',', ':', '}', ']':
		return true
	}
	return false
}

// object calls member for the name of each member of the object that comes next; member has to read the value. It
// returns false when that is no object, or when member does.
func (p *parser) object(member func(name []byte) bool) bool {
	if p.peek() != '{' {
		return false
	}
	p.at++
	for p.peek() == '"' {
		if !member(p.value()) {
			return false
		}
	}
	p.at++
	return true
}

func (p *parser) skip() bool {
	p.value()
	return true
}

func (p *parser) info(e *Event) bool {
	return p.object(func(name []byte) bool {
		switch string(name) {
		case `"code"`:
			return p.word(&e.Code)
		case `"name"`:
			return p.word(&e.Name)
		case `"level"`:
			ok := p.word(&e.Level)
			e.Level = strings.ToLower(e.Level)
			return ok
		case `"ts"`:
			return p.text(&e.Time)
		case `"msg"`:
			return p.text(&e.Message)
		case `"invocation_id"`:
			return p.word(&e.InvocationID)
		}
		return p.skip()
	})
}

// text reads a string; null is an empty one. It returns false for anything else.
func (p *parser) text(into *string) bool { return unquote(into, p.value()) }

// word reads a string as text does, of a kind that comes again and again.
func (p *parser) word(into *string) bool {
	const most, longest = 512, 64
	raw := p.value()
	if known, ok := p.words[string(raw)]; ok {
		*into = known
		return true
	}
	ok := unquote(into, raw)
	if ok && len(raw) <= longest && len(p.words) < most {
		p.words[string(raw)] = *into
	}
	return ok
}

// unquote takes a string as it is written in JSON. It returns false for anything but a string and null.
func unquote(into *string, raw []byte) bool {
	switch {
	case raw[0] == 'n':
	case raw[0] != '"':
		return false
	case bytes.IndexByte(raw, '\\') < 0 && utf8.Valid(raw):
		*into = string(raw[1 : len(raw)-1])
	default:
		b, _ := jsontext.AppendUnquote(nil, raw) // which is valid but for its UTF-8, and that is mended
		*into = string(b)
	}
	return true
}

// wireData is an event's data as it is written.
type wireData struct {
	version, adapterName, adapterVersion string
	total, totalTests, totalNodes        int32 // dbt 1.x calls the total num_models in results of tests
	seconds                              float64
	message, result, path, exception     string
	failures, batches                    int32
	success                              *bool
	status                               string
	node                                 Node
}

func (w *wireData) event() (Data, Node) {
	n := w.node
	n.Status = nodeStatus(n.Status)
	return Data{
		Version: strings.TrimPrefix(w.version, "="), AdapterName: w.adapterName,
		AdapterVersion: strings.TrimPrefix(w.adapterVersion, "="), Total: max(w.total, w.totalTests, w.totalNodes),
		Seconds: w.seconds, Message: firstNonEmpty(w.message, w.result), Path: w.path, Exception: w.exception,
		Failures: w.failures, Batches: w.batches, Success: w.success, Adapter: firstNonEmpty(w.result, w.status),
	}, n
}

// testStatus returns the node status in the result of a test, given what the result's own status is. dbt 1.x says how a
// unit test ended only there: its node_status stays None.
func testStatus(s string) string {
	s = strings.ToLower(s)
	if _, known := classes[s]; !known {
		return ""
	}
	return s
}

// eventData reads the data. What has an unexpected shape is noted, and no reason to call the line no event.
func (p *parser) eventData(w *wireData) bool {
	if c := p.peek(); c != '{' {
		p.data = p.data && c == 'n'
		return p.skip()
	}
	return p.object(func(name []byte) bool {
		switch string(name) {
		case `"version"`:
			return p.dataText(&w.version)
		case `"adapter_name"`:
			return p.dataText(&w.adapterName)
		case `"adapter_version"`:
			return p.dataText(&w.adapterVersion)
		case `"msg"`:
			return p.dataText(&w.message)
		case `"result_message"`:
			return p.dataText(&w.result)
		case `"path"`:
			return p.dataText(&w.path)
		case `"exc"`:
			return p.dataText(&w.exception)
		case `"status"`:
			// In some events a member of this name is no string.
			unquote(&w.status, p.value())
			return true
		case `"node_info"`:
			return p.node(&w.node)
		}
		return p.dataNumber(w, name)
	})
}

func (p *parser) dataNumber(w *wireData, name []byte) bool {
	switch string(name) {
	case `"total"`:
		return p.count(&w.total)
	case `"num_models"`:
		return p.count(&w.totalTests)
	case `"node_count"`:
		return p.count(&w.totalNodes)
	case `"total_batches"`:
		return p.count(&w.batches)
	case `"num_failures"`:
		return p.count(&w.failures)
	case `"execution_time"`:
		return p.number(func(raw string) (err error) {
			w.seconds, err = strconv.ParseFloat(raw, 64)
			return err
		})
	case `"success"`:
		return p.flag(&w.success)
	}
	return p.skip()
}

func (p *parser) dataText(into *string) bool {
	p.data = p.text(into) && p.data
	return true
}

func (p *parser) dataWord(into *string) bool {
	p.data = p.word(into) && p.data
	return true
}

func (p *parser) count(into *int32) bool {
	return p.number(func(raw string) error {
		n, err := strconv.ParseInt(raw, 10, 32)
		*into = int32(n)
		return err
	})
}

// number reads a number and hands it to take as it is written. null is none.
func (p *parser) number(take func(raw string) error) bool {
	if raw := p.value(); raw[0] != 'n' && take(string(raw)) != nil {
		p.data = false
	}
	return true
}

func (p *parser) flag(into **bool) bool {
	switch c := p.value()[0]; c {
	case 't', 'f':
		is := c == 't'
		*into = &is
	case 'n':
	default:
		p.data = false
	}
	return true
}

func (p *parser) node(n *Node) bool {
	if c := p.peek(); c != '{' {
		p.data = p.data && c == 'n'
		return p.skip()
	}
	return p.object(func(name []byte) bool {
		switch string(name) {
		case `"unique_id"`:
			return p.dataText(&n.UniqueID)
		case `"node_status"`:
			return p.dataWord(&n.Status)
		case `"resource_type"`:
			return p.dataWord(&n.ResourceType)
		case `"node_path"`:
			return p.dataText(&n.Path)
		case `"node_started_at"`:
			return p.dataText(&n.StartedAt)
		case `"node_finished_at"`:
			return p.dataText(&n.FinishedAt)
		case `"node_relation"`:
			return p.relation(n)
		}
		return p.skip()
	})
}

func (p *parser) relation(n *Node) bool {
	if c := p.peek(); c != '{' {
		p.data = p.data && c == 'n'
		return p.skip()
	}
	return p.object(func(name []byte) bool {
		if string(name) == `"relation_name"` {
			return p.dataText(&n.Relation)
		}
		return p.skip()
	})
}
