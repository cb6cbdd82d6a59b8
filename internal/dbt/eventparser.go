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

// parser reads one event. It goes through a line once and makes strings only of what is kept: a run may log faster than
// reflection would follow.
type parser struct {
	in bytes.Buffer
	d  *jsontext.Decoder
	// data is false once the event's data has shown an unexpected shape.
	data bool
}

var parsers = sync.Pool{New: func() any {
	p := &parser{}
	p.d = jsontext.NewDecoder(&p.in, lenient)
	return p
}}

func (p *parser) release() {
	p.in = bytes.Buffer{} // the line belongs to the caller
	parsers.Put(p)
}

func (p *parser) parse(line []byte) (Event, bool) {
	p.in = *bytes.NewBuffer(line)
	p.d.Reset(&p.in, lenient)
	p.data = true
	var e Event
	var w wireData
	info := false
	ok := p.object(func(name []byte) bool {
		switch string(name) {
		case `"info"`:
			info = true
			return p.info(&e)
		case `"data"`:
			return p.eventData(&w)
		}
		return p.skip()
	})
	if !ok || !info || e.Name == "" || e.Level == "" || !p.atEnd() {
		return Event{}, false
	}
	e.Level = strings.ToLower(e.Level)
	if p.data {
		e.Data, e.Node = w.event()
	}
	return e, true
}

// atEnd reports whether nothing follows but white space.
func (p *parser) atEnd() bool {
	_, err := p.d.ReadToken()
	return err != nil && p.d.PeekKind() == 0 && len(bytes.TrimSpace(p.d.UnreadBuffer())) == 0
}

// object calls value for each member of the object that comes next; value has to read it. It returns false when that is
// no object, or when value does.
func (p *parser) object(value func(name []byte) bool) bool {
	if p.d.PeekKind() != '{' {
		return false
	}
	if _, err := p.d.ReadToken(); err != nil {
		return false
	}
	for p.d.PeekKind() == '"' {
		name, err := p.d.ReadValue()
		if err != nil || !value(name) {
			return false
		}
	}
	_, err := p.d.ReadToken()
	return err == nil
}

func (p *parser) skip() bool { return p.d.SkipValue() == nil }

func (p *parser) info(e *Event) bool {
	return p.object(func(name []byte) bool {
		switch string(name) {
		case `"code"`:
			return p.text(&e.Code)
		case `"name"`:
			return p.text(&e.Name)
		case `"level"`:
			return p.text(&e.Level)
		case `"ts"`:
			return p.text(&e.Time)
		case `"msg"`:
			return p.text(&e.Message)
		case `"invocation_id"`:
			return p.text(&e.InvocationID)
		}
		return p.skip()
	})
}

// text reads a string; null is an empty one. It returns false for anything else.
func (p *parser) text(into *string) bool {
	raw, err := p.d.ReadValue()
	return err == nil && unquote(into, raw)
}

// unquote takes a string as it is written in JSON. It returns false for anything but a string and null.
func unquote(into *string, raw jsontext.Value) bool {
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
	failures                             int32
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
		Failures: w.failures, Success: w.success, Adapter: firstNonEmpty(w.result, w.status),
	}, n
}

// eventData reads the data. What has an unexpected shape is noted, and no reason to call the line no event.
func (p *parser) eventData(w *wireData) bool {
	if p.d.PeekKind() != '{' {
		p.data = p.data && p.d.PeekKind() == 'n'
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
			raw, err := p.d.ReadValue()
			if err == nil {
				unquote(&w.status, raw)
			}
			return err == nil
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
	raw, err := p.d.ReadValue()
	if err == nil && !unquote(into, raw) {
		p.data = false
	}
	return err == nil
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
	raw, err := p.d.ReadValue()
	if err != nil {
		return false
	}
	if k := raw.Kind(); k != 'n' && (k != '0' || take(string(raw)) != nil) {
		p.data = false
	}
	return true
}

func (p *parser) flag(into **bool) bool {
	switch k := p.d.PeekKind(); k {
	case 't', 'f':
		is := k == 't'
		*into = &is
	case 'n':
	default:
		p.data = false
	}
	return p.skip()
}

func (p *parser) node(n *Node) bool {
	if k := p.d.PeekKind(); k != '{' {
		p.data = p.data && k == 'n'
		return p.skip()
	}
	return p.object(func(name []byte) bool {
		switch string(name) {
		case `"unique_id"`:
			return p.dataText(&n.UniqueID)
		case `"node_status"`:
			return p.dataText(&n.Status)
		case `"resource_type"`:
			return p.dataText(&n.ResourceType)
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
	if k := p.d.PeekKind(); k != '{' {
		p.data = p.data && k == 'n'
		return p.skip()
	}
	return p.object(func(name []byte) bool {
		if string(name) == `"relation_name"` {
			return p.dataText(&n.Relation)
		}
		return p.skip()
	})
}
