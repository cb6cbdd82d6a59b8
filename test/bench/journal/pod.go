package main

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"time"

	corev1 "k8s.io/api/core/v1"
	"k8s.io/apimachinery/pkg/types"
	"sigs.k8s.io/controller-runtime/pkg/client"

	"github.com/dbt-operator/dbt-operator/internal/journal"
	"github.com/dbt-operator/dbt-operator/internal/ship"
)

func secretData(ctx context.Context, api client.Reader, name types.NamespacedName) (map[string][]byte, error) {
	s := &corev1.Secret{}
	err := api.Get(ctx, name, s)
	return s.Data, err
}

// pod is one attempt of a run, which reports through the runner's own client.
type pod struct {
	run, name string
	client    *ship.Client
	journal   *ship.Stream
	log       *ship.Log
	logs      *ship.Stream
	// sent is every byte of the journal, in order.
	sent []byte
}

// newPod returns the attempt of a run, connected to a collector. dir is for its token and what it has not sent yet.
func newPod(dir, url, ca, run string, attempt int) (*pod, error) {
	p := &pod{run: run, name: podName(run, attempt)}
	dir = filepath.Join(dir, p.name)
	token := filepath.Join(dir, "token")
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return nil, err
	}
	if err := os.WriteFile(token, []byte(p.name), 0o600); err != nil {
		return nil, err
	}
	c, err := ship.NewClient(ship.Config{URL: url, CA: ca, Token: token})
	if err != nil {
		return nil, err
	}
	p.client = c
	p.journal = ship.NewStream(c, journal.StreamJournal, dir, 0)
	p.logs = ship.NewStream(c, journal.StreamLog, dir, 0)
	p.log = ship.NewLog(p.logs)
	return p, nil
}

// begin asks for what the attempt has to know, and says that it begins.
func (p *pod) begin(ctx context.Context) error {
	reply, err := p.client.Attempt(ctx)
	if err != nil {
		return err
	}
	p.journal.Start(ctx, reply.Offsets[journal.StreamJournal])
	p.logs.Start(ctx, reply.Offsets[journal.StreamLog])
	p.say(journal.Entry{Kind: journal.KindBegin, Pod: p.name})
	p.say(journal.Entry{Kind: journal.KindCommand, Line: "dbt build"})
	return nil
}

// say writes an entry as the runner does.
func (p *pod) say(e journal.Entry) {
	e.At = time.Now().UnixMilli()
	line := journal.EncodeEntry(e)
	p.sent = append(p.sent, line...)
	p.journal.Append(line, e.Kind == journal.KindEnd)
}

// node says that a node has run.
func (p *pod) node(i int) {
	n := journal.Node{
		ID: nodeID(i), ResourceType: "model", Start: time.Now().UnixMilli(),
		Relation: fmt.Sprintf(`"warehouse"."analytics"."model_%05d"`, i), Path: fmt.Sprintf("models/marts/finance/model_%05d.sql", i),
	}
	p.say(journal.Entry{Kind: journal.KindStart, Node: &n})
	done := journal.Node{ID: n.ID, Status: "success", Start: n.Start, End: n.Start + 40, Seconds: 0.04, Rows: int64(i)}
	p.say(journal.Entry{Kind: journal.KindResult, Node: &done})
	_, _ = fmt.Fprintf(p.log, "12:00:00  %d of 10000 OK created sql table model analytics.model_%05d [SELECT %d in 0.04s]\n", i, i, i) // never fails
}

func nodeID(i int) string { return fmt.Sprintf("model.finance.model_%05d", i) }

// end says that the attempt has ended and returns how long it took to be heard.
func (p *pod) end(ctx context.Context) (time.Duration, error) {
	begin := time.Now()
	p.say(journal.Entry{Kind: journal.KindEnd, Report: journal.Encode(journal.Report{Outcome: journal.Succeeded}, journal.MaxEndReport)})
	if err := p.journal.Drain(ctx); err != nil {
		return 0, err
	}
	return time.Since(begin), nil
}

// finish sends the log and says that all is sent.
func (p *pod) finish(ctx context.Context) error {
	p.log.Close()
	if err := p.logs.Drain(ctx); err != nil {
		return err
	}
	return p.client.Done(ctx)
}
