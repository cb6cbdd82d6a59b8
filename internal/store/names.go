package store

import (
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// maxLabel and maxArtifact bound names, in characters.
const (
	maxLabel    = 63
	maxArtifact = 128
)

var (
	label    = regexp.MustCompile(`^[a-z0-9]([a-z0-9-]*[a-z0-9])?$`)
	artifact = regexp.MustCompile(`^[a-z0-9][a-z0-9_-]*(\.[a-z0-9_-]+)*$`)
)

// refused is the error for a name that may not become part of a key.
func refused(kind, name, rule string) error {
	const shown = 80
	cut := ""
	if len(name) > shown {
		name, cut = name[:shown], fmt.Sprintf("… (%d bytes)", len(name))
	}
	return fmt.Errorf("%w: the %s %q%s is not %s", ErrName, kind, name, cut, rule)
}

func checkLabel(kind, name string) error {
	if len(name) > maxLabel || !label.MatchString(name) {
		return refused(kind, name, "1 to 63 lower-case letters, digits and dashes, with a letter or digit at both ends")
	}
	return nil
}

func checkArtifact(name string) error {
	if len(name) > maxArtifact || !artifact.MatchString(name) {
		return refused("artifact name", name,
			"1 to 128 lower-case letters, digits, dashes, underscores and single dots, with a letter or digit first and no dot last")
	}
	return nil
}

func (r Run) check() error {
	if err := checkLabel("namespace", r.Namespace); err != nil {
		return err
	}
	return checkLabel("UID", r.UID)
}

// String names the run in messages.
func (r Run) String() string { return r.Namespace + "/" + r.UID }

// runsPrefix is what every run's keys begin with.
const runsPrefix = "runs/"

// prefix is what all keys of the run begin with.
func (r Run) prefix() string { return runsPrefix + r.Namespace + "/" + r.UID + "/" }

func (r Run) metaKey() string { return r.prefix() + "meta.json" }

// runOf returns the run that a key belongs to.
func runOf(key string) (Run, bool) {
	parts := strings.SplitN(key, "/", 4)
	if len(parts) != 4 || parts[0]+"/" != runsPrefix {
		return Run{}, false
	}
	r := Run{Namespace: parts[1], UID: parts[2]}
	return r, r.check() == nil
}

// place names one part of one stream.
type place struct {
	run          Run
	stream, part string
}

func (p place) check() error {
	if err := p.run.check(); err != nil {
		return err
	}
	if err := checkLabel("stream", p.stream); err != nil {
		return err
	}
	return checkLabel("part", p.part)
}

// String names the part in messages.
func (p place) String() string {
	return fmt.Sprintf("part %s of the %s of run %s", p.part, p.stream, p.run)
}

func (p place) prefix() string { return p.run.prefix() + "streams/" + p.stream + "/" + p.part + "/" }

// Offsets have 19 digits, as the largest int64 has, so that names sort as numbers do.
const offsetDigits = 19

func (p place) segmentKey(from int64) string {
	return fmt.Sprintf("%s%0*d.seg", p.prefix(), offsetDigits, from)
}

// newBaseKey returns a name that no base ever had.
func (p place) newBaseKey(to int64) string {
	return fmt.Sprintf("%s%0*d-%s.base", p.prefix(), offsetDigits, to, unique())
}

// parseSegment returns the offset in a segment's name, without its prefix.
func parseSegment(name string) (int64, bool) {
	digits, ok := strings.CutSuffix(name, ".seg")
	if !ok {
		return 0, false
	}
	return parseOffset(digits)
}

// parseBase returns the offset in a base's name, without its prefix.
func parseBase(name string) (int64, bool) {
	rest, ok := strings.CutSuffix(name, ".base")
	if !ok {
		return 0, false
	}
	digits, id, ok := strings.Cut(rest, "-")
	if !ok || !isUnique(id) {
		return 0, false
	}
	return parseOffset(digits)
}

func parseOffset(digits string) (int64, bool) {
	if len(digits) != offsetDigits || strings.TrimLeft(digits, "0123456789") != "" {
		return 0, false
	}
	n, err := strconv.ParseInt(digits, 10, 64)
	return n, err == nil
}

// orderPrefix is the folder of the markers that say in which order a stream's parts began.
func orderPrefix(run Run, stream string) string {
	return run.prefix() + "streams/" + stream + "/.order/"
}

const ordinalDigits = 6

func orderName(ordinal int, part string) string {
	return fmt.Sprintf("%0*d-%s", ordinalDigits, ordinal, part)
}

func parseOrder(name string) (ordinal int, part string, ok bool) {
	digits, part, ok := strings.Cut(name, "-")
	if !ok || len(digits) != ordinalDigits || checkLabel("part", part) != nil {
		return 0, "", false
	}
	ordinal, err := strconv.Atoi(digits)
	return ordinal, part, err == nil && ordinal >= 0
}

func artifactsPrefix(run Run) string { return run.prefix() + "artifacts/" }

func currentKey(run Run, name string) string { return artifactsPrefix(run) + name + "/current" }

func dataKey(run Run, name, id string) string {
	return artifactsPrefix(run) + name + "/" + id + ".data"
}

const uniqueBytes = 8

// unique returns 16 hexadecimal digits that nobody else has.
func unique() string {
	b := make([]byte, uniqueBytes)
	// Never fails: the runtime ends the process where there is no randomness.
	_, _ = rand.Read(b)
	return hex.EncodeToString(b)
}

func isUnique(s string) bool {
	return len(s) == 2*uniqueBytes && strings.Trim(s, "0123456789abcdef") == ""
}
