package layout

import (
	"encoding/hex"
	"encoding/json"
	"errors"
	"fmt"
	"strings"
)

// Current is the document that publishes an artifact.
type Current struct {
	// Bytes is the artifact's size.
	Bytes int64 `json:"bytes"`
	// SHA256 is its digest: 64 lower-case hexadecimal digits.
	SHA256 string `json:"sha256"`
	// Data is the id of the object that holds the bytes.
	Data string `json:"data"`
}

// MaxCurrent bounds the encoding of a Current, in bytes.
const MaxCurrent = 4 << 10

// digestBytes is the size of a SHA-256 digest.
const digestBytes = 32

// DecodeCurrent reads the document of an artifact, and refuses whatever would not have been written: its id becomes part of
// a key.
func DecodeCurrent(b []byte) (Current, error) {
	if len(b) > MaxCurrent {
		return Current{}, fmt.Errorf("it has %d bytes, more than %d", len(b), MaxCurrent)
	}
	var c Current
	if err := json.Unmarshal(b, &c); err != nil {
		return Current{}, err
	}
	digest, err := hex.DecodeString(c.SHA256)
	if err != nil || len(digest) != digestBytes || strings.ToLower(c.SHA256) != c.SHA256 || c.Bytes < 0 || !isID(c.Data) {
		return Current{}, errors.New("it does not describe an artifact")
	}
	return c, nil
}
