package journal

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"
)

// model is what State says of nodes, done the long way round: each entry goes through all nodes.
type model struct {
	current int32
	nodes   []*modelNode
}

type modelNode struct {
	id, status string
	command    int32
	start      int64
	open, cut  bool
}

func (m *model) apply(e Entry) {
	if e.Kind == KindBegin || e.Kind == KindCommand || e.Kind == KindCommandEnd && m.current >= 0 || e.Kind == KindEnd {
		for _, n := range m.nodes {
			n.cut = n.cut || n.open
			n.open = false
		}
	}
	switch e.Kind {
	case KindBegin:
		m.current = -1
	case KindCommand:
		m.current = e.Command
		if e.Mode == ModeAnew {
			m.nodes = slices.DeleteFunc(m.nodes, func(n *modelNode) bool { return n.command == e.Command })
		}
	case KindStart, KindResult:
		i := slices.IndexFunc(m.nodes, func(n *modelNode) bool { return n.id == e.Node.ID })
		if i < 0 {
			m.nodes = append(m.nodes, &modelNode{id: e.Node.ID})
			i = len(m.nodes) - 1
		}
		n := m.nodes[i]
		if m.current >= 0 {
			n.command = m.current
		}
		n.status, n.open, n.cut = e.Node.Status, e.Kind == KindStart, false
		if e.Kind == KindStart {
			n.start = e.Node.Start
		}
	default:
	}
}

// says is what can be asked of a State and of the model alike.
type says struct {
	Nodes   map[int32][]string
	Running []string
}

func (m *model) says() says {
	out := says{Nodes: map[int32][]string{}}
	var open []*modelNode
	for _, n := range m.nodes {
		status := n.status
		if n.cut {
			status = StatusInterrupted
		}
		out.Nodes[n.command] = append(out.Nodes[n.command], n.id+" "+status)
		if n.open {
			open = append(open, n)
		}
	}
	slices.SortStableFunc(open, func(a, b *modelNode) int { return int(a.start - b.start) })
	for _, n := range open {
		out.Running = append(out.Running, n.id)
	}
	return out
}

func stateSays(s *State) says {
	out := says{Nodes: map[int32][]string{}, Running: s.Running(1000)}
	for command := range int32(4) {
		for _, n := range s.Nodes(command) {
			out.Nodes[command] = append(out.Nodes[command], n.ID+" "+n.Status)
		}
	}
	return out
}

// What State does in a time that does not grow with the journal is what goes through all nodes each time.
func TestStateAgreesWithItsModel(t *testing.T) {
	for seed := range uint64(200) {
		r := rand.New(rand.NewPCG(seed, 11))
		s, m := NewState(), &model{current: -1}
		var history strings.Builder
		for range 150 {
			e := Entry{Kind: []Kind{KindBegin, KindCommand, KindCommand, KindCommandEnd, KindEnd, KindStart, KindStart, KindStart, KindResult, KindResult}[r.IntN(10)]}
			switch e.Kind {
			case KindCommand:
				e.Command, e.Mode = r.Int32N(4), []Mode{ModeFirst, ModeAnew, ModeResumed}[r.IntN(3)]
			case KindStart:
				e.Node = &Node{ID: fmt.Sprint("n", r.IntN(12)), Start: r.Int64N(5)}
			case KindResult:
				e.Node = &Node{ID: fmt.Sprint("n", r.IntN(12)), Status: "success"}
			default:
			}
			fmt.Fprintf(&history, "%s %d %s %+v\n", e.Kind, e.Command, e.Mode, e.Node)
			s.Apply(e)
			m.apply(e)
			if diff := cmp.Diff(m.says(), stateSays(s)); diff != "" {
				t.Fatalf("seed %d, after\n%s(-model +state):\n%s", seed, history.String(), diff)
			}
		}
	}
}

// The size of a state is what its nodes add up to, whatever came before, and has a bound.
func TestSizeOfAState(t *testing.T) {
	s := NewState()
	s.Apply(Entry{Kind: KindBegin})
	s.Apply(Entry{Kind: KindCommand, Line: "dbt build"})
	long := strings.Repeat("m", maxMessage)
	for i := range 50_000 {
		id := fmt.Sprint("n", i)
		s.Apply(Entry{Kind: KindStart, Node: &Node{ID: id, Path: "models/" + id}})
		s.Apply(Entry{Kind: KindResult, Node: &Node{ID: id, Status: "error", Message: long}})
		if i%3 == 0 {
			s.Apply(Entry{Kind: KindStart, Node: &Node{ID: id}})
		}
	}
	text := 0
	for _, n := range s.nodes {
		text += n.text()
		if n.Status == "" && !n.open {
			t.Fatalf("the status of %s is lost", n.ID)
		}
	}
	if s.text != text || text > maxStateText+50_000*(maxID+maxStatus) || text < maxStateText/2 {
		t.Errorf("counted %d bytes, there are %d", s.text, text)
	}
	s.Apply(Entry{Kind: KindCommand, Line: "dbt build", Mode: ModeAnew})
	if s.text != 0 || s.Size() != 0 {
		t.Errorf("of a command that is begun anew %d bytes are left, %d of text", s.Size(), s.text)
	}
}

// A hostile journal of lines that each would go through all nodes, or add an attempt, stays cheap and small.
func TestStateOfAHostileJournal(t *testing.T) {
	s := NewState()
	for i := range maxStateNodes + 10 {
		s.Apply(Entry{Kind: KindStart, Node: &Node{ID: fmt.Sprint(i)}})
	}
	for range 100_000 {
		s.Apply(Entry{Kind: KindBegin})
		s.Apply(Entry{Kind: KindCommand, Command: 1, Mode: ModeAnew})
		s.Apply(Entry{Kind: KindResult, Node: &Node{ID: "0"}})
	}
	if n := len(s.Attempts()); n != maxStateAttempts {
		t.Errorf("%d attempts", n)
	}
	if len(s.nodes) > maxStateNodes || len(s.order) > 2*maxStateNodes {
		t.Errorf("%d nodes, %d in order", len(s.nodes), len(s.order))
	}
}
