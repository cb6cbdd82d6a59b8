package live

import (
	"context"
	"errors"
	"fmt"
	"io"
	"slices"
	"sync"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/store"
)

// content is what the store has of a run. Its fields are changed under the run's lock, and only by who has the turn: who has
// it may read them without.
type content struct {
	meta Meta
	// journals and logs are the parts of the two streams, in the order in which they began.
	journals, logs []*part
	state          *journal.State
	// report is what state comes to, nil when it has changed since.
	report *journal.Report
	// ended is the part that has the newest entry of KindEnd.
	ended     string
	tail      tail
	artifacts []journal.Artifact
}

// part is what one attempt wrote of a stream.
type part struct {
	uid   string
	size  int64
	lines lines
}

func find(parts []*part, uid string) *part {
	i := slices.IndexFunc(parts, func(p *part) bool { return p.uid == uid })
	if i < 0 {
		return nil
	}
	return parts[i]
}

func last(parts []*part) *part {
	if len(parts) == 0 {
		return nil
	}
	return parts[len(parts)-1]
}

func size(parts []*part, uid string) int64 {
	if p := find(parts, uid); p != nil {
		return p.size
	}
	return 0
}

// largeRun is what a run takes in memory, in bytes, from which on its reading asks whether there is room.
const largeRun = 4 << 20

// readContent reads all that the store has of a run: its journal whole, of its log the newest part, of artifacts a list. When it
// turns out to be large, room is asked once; an error of it ends the reading.
func readContent(ctx context.Context, s Store, key store.Run, room func() error) (*content, error) {
	c := &content{state: journal.NewState()}
	b, err := s.Meta(ctx, key)
	if err != nil && !errors.Is(err, store.ErrNotFound) {
		return nil, err
	}
	c.meta = decodeMeta(b)
	if err := c.readJournals(ctx, s, key, sync.OnceValue(room)); err != nil {
		return nil, err
	}
	if err := c.readLogs(ctx, s, key); err != nil {
		return nil, err
	}
	artifacts, err := s.Artifacts(ctx, key)
	if err != nil {
		return nil, err
	}
	for _, a := range artifacts {
		c.keep(a)
	}
	return c, nil
}

func (c *content) readJournals(ctx context.Context, s Store, key store.Run, room func() error) error {
	uids, err := s.Parts(ctx, key, journal.StreamJournal)
	if err != nil {
		return err
	}
	for _, uid := range uids {
		p := &part{uid: uid}
		c.journals = append(c.journals, p)
		err := readPart(ctx, s, key, journal.StreamJournal, uid, func(b []byte) error {
			p.size += int64(len(b))
			p.lines.feed(b, func(e journal.Entry) { c.apply(p, e) })
			if c.state.Size() > largeRun {
				return room()
			}
			return nil
		})
		if err != nil {
			return err
		}
		p.lines.settle(func(e journal.Entry) { c.apply(p, e) })
	}
	return nil
}

func (c *content) readLogs(ctx context.Context, s Store, key store.Run) error {
	uids, err := s.Parts(ctx, key, journal.StreamLog)
	if err != nil {
		return err
	}
	for i, uid := range uids {
		p := &part{uid: uid}
		c.logs = append(c.logs, p)
		if i < len(uids)-1 {
			p.size, err = s.Size(ctx, key, journal.StreamLog, uid)
		} else {
			err = readPart(ctx, s, key, journal.StreamLog, uid, func(b []byte) error {
				p.size += int64(len(b))
				c.tail.add(b)
				return nil
			})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// readPart calls each with the bytes of a part, in order, until it returns an error.
func readPart(ctx context.Context, s Store, key store.Run, stream, uid string, each func([]byte) error) error {
	in, err := s.Read(ctx, key, stream, uid)
	if errors.Is(err, store.ErrNotFound) {
		// It has an order, but nothing else yet.
		return nil
	}
	if err != nil {
		return err
	}
	defer func() { _ = in.Close() }()
	buf := make([]byte, 64<<10)
	for {
		n, err := in.Read(buf)
		if err := each(buf[:n]); err != nil {
			return err
		}
		if errors.Is(err, io.EOF) {
			return nil
		}
		if err != nil {
			return fmt.Errorf("reading the %s of run %s/%s: %w: %w", stream, key.Namespace, key.UID, store.ErrStore, err)
		}
	}
}

// apply folds in an entry. Which pod begins is known better than the pod says.
func (c *content) apply(p *part, e journal.Entry) (atOnce bool) {
	switch e.Kind {
	case journal.KindBegin:
		if a := c.meta.attempt(p.uid); a != nil {
			e.Pod = a.Pod
		}
		atOnce = true
	case journal.KindEnd:
		c.ended = p.uid
		atOnce = true
	case journal.KindSource:
		atOnce = true
	default:
	}
	c.state.Apply(e)
	c.report = nil
	return atOnce
}

// keep takes in an artifact, in place of the one that had its name.
func (c *content) keep(a store.Artifact) {
	made := journal.Artifact{Name: a.Name, SHA256: a.SHA256, Bytes: a.Bytes}
	i, found := slices.BinarySearchFunc(c.artifacts, a.Name, func(a journal.Artifact, name string) int {
		switch {
		case a.Name < name:
			return -1
		case a.Name > name:
			return 1
		}
		return 0
	})
	// What Kept has given out stays as it was.
	c.artifacts = slices.Clone(c.artifacts)
	if found {
		c.artifacts[i] = made
		return
	}
	c.artifacts = slices.Insert(c.artifacts, i, made)
}

func (c *content) empty() bool {
	return len(c.journals) == 0 && len(c.logs) == 0 && len(c.artifacts) == 0 && len(c.meta.Attempts) == 0
}

// done reports whether the newest attempt has said that it has no more to send.
func (c *content) done() bool {
	n := len(c.meta.Attempts)
	return n > 0 && c.meta.Attempts[n-1].Done
}

func (c *content) kept(uid string) *journal.Kept {
	if c.empty() {
		return nil
	}
	if c.report == nil {
		r := c.state.Report(uid)
		c.report = &r
	}
	k := &journal.Kept{
		Report: *c.report, Attempts: c.state.Attempts(), Artifacts: c.artifacts,
		LogTail: c.tail.lines(), Done: c.done(),
	}
	for _, p := range c.logs {
		k.LogBytes += p.size
	}
	return k
}
