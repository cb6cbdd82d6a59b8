package store

import (
	"crypto/sha256"
	"encoding/hex"
	"errors"
	"fmt"
	"hash"
	"io"
)

// ErrDigest refuses an artifact whose bytes are not those that were announced.
var ErrDigest = errors.New("the digest does not match")

// Prove returns a reader of what in has that fails with ErrDigest at its end unless that has the SHA-256 digest, 64
// lower-case hexadecimal digits. Given to PutArtifact, it leaves nothing of bytes that are not those that were announced.
func Prove(in io.Reader, digest string) io.Reader {
	return &proven{in: in, want: digest, hash: sha256.New()}
}

type proven struct {
	in   io.Reader
	want string
	hash hash.Hash
}

func (p *proven) Read(b []byte) (int, error) {
	n, err := p.in.Read(b)
	_, _ = p.hash.Write(b[:n]) // never fails
	if errors.Is(err, io.EOF) {
		if got := hex.EncodeToString(p.hash.Sum(nil)); got != p.want {
			err = fmt.Errorf("%w: announced %s, received %s", ErrDigest, p.want, got)
		}
	}
	return n, err
}
