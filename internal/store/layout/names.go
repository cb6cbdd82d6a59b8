package layout

import (
	"errors"
	"fmt"
	"regexp"
	"strconv"
	"strings"
)

// ErrName refuses a name that may not become part of a key.
var ErrName = errors.New("bad name")

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

// CheckLabel returns an ErrName unless a name follows the rule of Run's. kind is what it names.
func CheckLabel(kind, name string) error {
	if len(name) > maxLabel || !label.MatchString(name) {
		return refused(kind, name, "1 to 63 lower-case letters, digits and dashes, with a letter or digit at both ends")
	}
	return nil
}

// CheckArtifact returns an ErrName unless an artifact may be called so.
func CheckArtifact(name string) error {
	if len(name) > maxArtifact || !artifact.MatchString(name) {
		return refused("artifact name", name,
			"1 to 128 lower-case letters, digits, dashes, underscores and single dots, with a letter or digit first and no dot last")
	}
	return nil
}

// Owner is whose artifacts are kept: a Run or a Project.
type Owner interface {
	fmt.Stringer
	// Check returns an ErrName unless all names are good.
	Check() error
	// Noun says what it is: "run" or "project".
	Noun() string
	// Prefix is what all its keys begin with.
	Prefix() string
}

// Run names a run's data. Both are lower-case letters, digits and dashes, 1 to 63 characters, beginning and ending with a
// letter or digit, as Kubernetes' namespaces and UIDs are; anything else is ErrName.
type Run struct {
	Namespace string
	UID       string
}

// Check returns an ErrName unless both names are good.
func (r Run) Check() error {
	if err := CheckLabel("namespace", r.Namespace); err != nil {
		return err
	}
	return CheckLabel("UID", r.UID)
}

// String names the run in messages.
func (r Run) String() string { return r.Namespace + "/" + r.UID }

// Noun says what it is.
func (r Run) Noun() string { return "run" }

// Runs is what every run's keys begin with.
const Runs = "runs/"

// Prefix is what all keys of the run begin with.
func (r Run) Prefix() string { return Runs + r.Namespace + "/" + r.UID + "/" }

// MetaKey names the run's small document.
func (r Run) MetaKey() string { return r.Prefix() + "meta.json" }

// NoteKey names a small text about the run.
func (r Run) NoteKey(name string) string { return r.Prefix() + "notes/" + name }

// RunOf returns the run that a key belongs to.
func RunOf(key string) (Run, bool) {
	parts := strings.SplitN(key, "/", 4)
	if len(parts) != 4 || parts[0]+"/" != Runs {
		return Run{}, false
	}
	r := Run{Namespace: parts[1], UID: parts[2]}
	return r, r.Check() == nil
}

// Project names what is kept of a project, from one run to the next. Its names follow the rule of Run's.
type Project struct {
	Namespace string
	UID       string
}

// Check returns an ErrName unless both names are good.
func (p Project) Check() error { return Run(p).Check() }

// String names the project in messages.
func (p Project) String() string { return Run(p).String() }

// Noun says what it is.
func (p Project) Noun() string { return "project" }

// Projects is what every project's keys begin with.
const Projects = "projects/"

// Prefix is what all keys of the project begin with.
func (p Project) Prefix() string { return Projects + p.Namespace + "/" + p.UID + "/" }

// ProjectOf returns the project that a key belongs to.
func ProjectOf(key string) (Project, bool) {
	rest, ok := strings.CutPrefix(key, Projects)
	if !ok {
		return Project{}, false
	}
	run, ok := RunOf(Runs + rest)
	return Project(run), ok
}

// Place names one part of one stream.
type Place struct {
	Run          Run
	Stream, Part string
}

// Check returns an ErrName unless all names are good.
func (p Place) Check() error {
	if err := p.Run.Check(); err != nil {
		return err
	}
	if err := CheckLabel("stream", p.Stream); err != nil {
		return err
	}
	return CheckLabel("part", p.Part)
}

// String names the part in messages.
func (p Place) String() string {
	return fmt.Sprintf("part %s of the %s of run %s", p.Part, p.Stream, p.Run)
}

// Prefix is what all keys of the part begin with.
func (p Place) Prefix() string { return p.Run.Prefix() + "streams/" + p.Stream + "/" + p.Part + "/" }

// Offsets have 19 digits, as the largest int64 has, so that names sort as numbers do.
const offsetDigits = 19

// SegmentKey names the segment that begins at an offset.
func (p Place) SegmentKey(from int64) string {
	return fmt.Sprintf("%s%0*d.seg", p.Prefix(), offsetDigits, from)
}

// BaseKey returns the name of a base of the bytes up to an offset. No base may ever have the id of another.
func (p Place) BaseKey(to int64, id string) string {
	return fmt.Sprintf("%s%0*d-%s.base", p.Prefix(), offsetDigits, to, id)
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
	if !ok || !isID(id) {
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

// OrderPrefix is the folder of the markers that say in which order a stream's parts began.
func OrderPrefix(run Run, stream string) string {
	return run.Prefix() + "streams/" + stream + "/.order/"
}

const ordinalDigits = 6

// OrderName is the marker, below OrderPrefix, of the part that began as the ordinal-th.
func OrderName(ordinal int, part string) string {
	return fmt.Sprintf("%0*d-%s", ordinalDigits, ordinal, part)
}

func parseOrder(name string) (ordinal int, part string, ok bool) {
	digits, part, ok := strings.Cut(name, "-")
	if !ok || len(digits) != ordinalDigits || CheckLabel("part", part) != nil {
		return 0, "", false
	}
	ordinal, err := strconv.Atoi(digits)
	return ordinal, part, err == nil && ordinal >= 0
}

// ArtifactsPrefix is what the keys of all artifacts of an owner begin with.
func ArtifactsPrefix(of Owner) string { return of.Prefix() + "artifacts/" }

// ArtifactPrefix is what the keys of one artifact begin with.
func ArtifactPrefix(of Owner, name string) string { return ArtifactsPrefix(of) + name + "/" }

// CurrentKey names the document that publishes an artifact.
func CurrentKey(of Owner, name string) string { return ArtifactPrefix(of, name) + "current" }

// DataKey names the object with an artifact's bytes.
func DataKey(of Owner, name, id string) string { return ArtifactPrefix(of, name) + id + ".data" }

// IDBytes is how many random bytes an id has; it is written as twice as many hexadecimal digits.
const IDBytes = 8

func isID(s string) bool {
	return len(s) == 2*IDBytes && strings.Trim(s, "0123456789abcdef") == ""
}
