package dbt

import (
	"errors"
	"fmt"
	"io"

	"github.com/go-json-experiment/json"
	"github.com/go-json-experiment/json/jsontext"
)

// errTooLarge is returned for a JSON value that no dbt writes and that nobody should hold in memory.
var errTooLarge = errors.New("a single value is too large")

// boundedDecoder reads JSON of any size in a memory of a few times its limit: it fails when one token, or one value
// that is read as a whole, is longer than limit bytes.
type boundedDecoder struct {
	*jsontext.Decoder
	in    io.Reader
	read  int64
	limit int64
}

// newBoundedDecoder returns a decoder that accepts what dbt and its adapters are known to write.
func newBoundedDecoder(r io.Reader, limit int64) *boundedDecoder {
	d := &boundedDecoder{in: r, limit: limit}
	d.Decoder = jsontext.NewDecoder(d, lenient)
	return d
}

// Read is what the decoder asks for more when what it holds ends inside of a token or value.
func (d *boundedDecoder) Read(p []byte) (int, error) {
	room := d.limit - (d.read - d.InputOffset())
	if room <= 0 {
		return 0, fmt.Errorf("%w: more than %d MiB", errTooLarge, d.limit>>20)
	}
	n, err := d.in.Read(p[:min(int64(len(p)), room)])
	d.read += int64(n)
	return n, err
}

// object reads a JSON object and calls value for each of its keys, which has to consume the value.
func (d *boundedDecoder) object(value func(key string) error) error {
	return d.members('{', func() error {
		key, err := d.ReadToken()
		if err != nil {
			return err
		}
		return value(key.String())
	})
}

// array reads a JSON array and calls value for each of its elements, which has to consume it.
func (d *boundedDecoder) array(value func() error) error { return d.members('[', value) }

// members reads an object or array and calls member where one begins.
func (d *boundedDecoder) members(kind jsontext.Kind, member func() error) error {
	switch found := d.PeekKind(); {
	case found == 0:
		_, err := d.ReadToken()
		return err
	case found == 'n':
		return d.SkipValue()
	case found != kind:
		return fmt.Errorf("found %s where a JSON %s was expected", kindName(found), kindName(kind))
	}
	if _, err := d.ReadToken(); err != nil {
		return err
	}
	for {
		switch d.PeekKind() {
		case '}', ']':
			_, err := d.ReadToken()
			return err
		case 0:
			_, err := d.ReadToken()
			return err
		}
		if err := member(); err != nil {
			return err
		}
	}
}

func kindName(k jsontext.Kind) string {
	switch k {
	case '{':
		return "object"
	case '[':
		return "array"
	default:
		return k.String()
	}
}

// value reads a value as a whole into v: its size is bounded by the limit. A value of an unexpected shape is consumed
// all the same, and wrong is why it does not fit.
func (d *boundedDecoder) value(v any) (wrong, err error) {
	raw, err := d.ReadValue()
	if err != nil {
		return nil, err
	}
	return json.Unmarshal(raw, v, lenient), nil
}

// document reads the named file, which must be one JSON object.
func (d *boundedDecoder) document(name string, value func(key string) error) error {
	if d.PeekKind() == 'n' {
		return d.explain(name, errors.New("found null where a JSON object was expected"))
	}
	if err := d.object(value); err != nil {
		return d.explain(name, err)
	}
	if _, err := d.ReadToken(); !errors.Is(err, io.EOF) {
		return d.explain(name, errors.New("something follows the JSON object"))
	}
	return nil
}

// explain wraps an error of reading the named file in words that say where the file is broken.
func (d *boundedDecoder) explain(name string, err error) error {
	if errors.Is(err, io.ErrUnexpectedEOF) || errors.Is(err, io.EOF) {
		return fmt.Errorf("reading %s: the file is cut off after %d bytes: %w", name, d.read, io.ErrUnexpectedEOF)
	}
	return fmt.Errorf("reading %s: %w", name, err)
}
