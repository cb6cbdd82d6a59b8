package live

import (
	"encoding/json"
	"slices"
	"time"

	"github.com/dbt-operator/dbt-operator/internal/dbt/text"
)

// Meta is the small document of a run: what is neither in its journal nor in its DbtRun once that is gone.
type Meta struct {
	Version int `json:"v"`
	// Run and Project are the names of the DbtRun and of its DbtProject, the latter empty for a project inline.
	Run     string `json:"run,omitempty"`
	Project string `json:"project,omitempty"`
	// Began is when the first attempt was first heard of; Ended when the last one said that it had ended, zero while
	// it has not. Both are by the collector's clock.
	Began time.Time `json:"began,omitzero"`
	Ended time.Time `json:"ended,omitzero"`
	// Attempts are the pods that wrote anything, oldest first; the newest maxMetaAttempts.
	Attempts []MetaAttempt `json:"attempts,omitempty"`
}

// MetaAttempt is one pod of a run.
type MetaAttempt struct {
	UID string `json:"uid"`
	Pod string `json:"pod"`
	// Done says that it has nothing more to send.
	Done bool `json:"done,omitempty"`
}

const (
	metaVersion     = 1
	maxMetaAttempts = 1000
)

// decodeMeta returns the document in b, an empty one if there is none or another program wrote it.
func decodeMeta(b []byte) Meta {
	var m Meta
	if len(b) == 0 || json.Unmarshal(b, &m) != nil || m.Version != metaVersion {
		return Meta{Version: metaVersion}
	}
	m.Run, m.Project = text.Line(m.Run, 253), text.Line(m.Project, 253)
	return m
}

func (m Meta) encode() []byte {
	b, err := json.Marshal(m)
	if err != nil {
		// A time after the year 9999: no clock says so.
		return nil
	}
	return b
}

func (m *Meta) attempt(uid string) *MetaAttempt {
	i := slices.IndexFunc(m.Attempts, func(a MetaAttempt) bool { return a.UID == uid })
	if i < 0 {
		return nil
	}
	return &m.Attempts[i]
}

// with returns the document with an attempt in it, and whether that changed it.
func (m Meta) with(a Attempt, now time.Time) (Meta, bool) {
	m.Attempts = slices.Clone(m.Attempts)
	if m.attempt(a.UID) != nil {
		return m, false
	}
	m.Version, m.Run, m.Project = metaVersion, a.Run.Name, a.Run.Project
	if m.Began.IsZero() {
		m.Began = now
	}
	m.Ended = time.Time{}
	m.Attempts = append(m.Attempts, MetaAttempt{UID: a.UID, Pod: a.Pod})
	m.Attempts = m.Attempts[max(0, len(m.Attempts)-maxMetaAttempts):]
	return m, true
}
