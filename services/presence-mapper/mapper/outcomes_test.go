package mapper

import (
	"fmt"
	"testing"
	"time"

	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// calls says in how many calls a line is.
func (s *stage) calls(i, n int) {
	s.t.Helper()
	s.publish(wire.Call{Line: lineOf(i), Calls: n, SeenAt: s.bus.Now()})
}

// hungUp brings the i-th person to where the session that stood for a call is to be
// cleared, and returns the want that showed it and the one that clears it.
func (s *stage) hungUp(i int) (shows, clears wire.TeamsWant) {
	s.t.Helper()
	s.ready(i)
	s.wants(i, presence.Available)
	s.calls(i, 1)
	shows = s.teamsWant(i, presence.InACall, "")
	s.calls(i, 0)
	return shows, s.teamsWant(i, "", "")
}

// did says what graph-writer did with a want.
func (s *stage) did(want wire.TeamsWant, result wire.Result, session string) {
	s.t.Helper()
	s.publish(wire.TeamsOutcome{ID: fmt.Sprint(want.Revision.Sequence, result), Person: want.Person, Result: result, Session: session, Revision: want.Revision,
		Decision: want.Decision, EndedAt: s.bus.Now()})
}

func (s *stage) clearing(i int) bool { r := s.record(i); return r.Memory.Unsure(s.bus.Now()) }

// heard waits until every outcome has been dealt with.
func (s *stage) heard() {
	s.t.Helper()
	s.eventually(func() string {
		c, err := s.bus.JetStream().Consumer(s.t.Context(), string(topology.Outcomes), "presence-mapper-outcomes")
		if err != nil {
			return err.Error()
		}
		stream := s.stream(topology.Outcomes)
		if info := c.CachedInfo(); info.Delivered.Stream < stream.CachedInfo().State.LastSeq || info.NumAckPending > 0 || info.NumPending > 0 {
			return "outcomes are waiting"
		}
		return ""
	})
}

// What was to be cleared in Teams may echo until graph-writer says that it was.
func TestTheWordOfGraphWriterEndsAClear(t *testing.T) {
	s := newStage(t)
	s.options.Mode = presence.Both
	s.run("a")
	shows, clears := s.hungUp(0)
	if !s.clearing(0) {
		t.Fatal("nothing is being cleared")
	}
	s.did(shows, wire.Applied, "")
	s.heard()
	if !s.clearing(0) {
		t.Error("the word on an older want ended it")
	}
	s.did(clears, wire.Failed, presence.InACall)
	s.heard()
	if !s.clearing(0) {
		t.Error("what Graph has refused to clear counts as cleared")
	}
	written := s.written()
	s.did(clears, wire.Applied, "")
	s.heard()
	if s.clearing(0) {
		t.Error("the session was cleared and nobody knows")
	}
	s.did(clears, wire.Already, "")
	s.heard()
	if n := s.written() - written; n != 1 {
		t.Errorf("memory was written %d times for a clear, not once", n)
	}
	if wants := s.teamsWant(0, "", ""); wants.Revision != clears.Revision {
		t.Errorf("the word on a want led to another: %+v", wants)
	}
}

func TestALostWordOfGraphWriterIsMadeUpForByTheMinutePass(t *testing.T) {
	for _, pass := range []time.Duration{50 * time.Millisecond, time.Hour} {
		t.Run(fmt.Sprint(pass), func(t *testing.T) {
			s := newStage(t)
			s.options.Mode, s.pass = presence.Both, pass
			s.run("a")
			s.eventually(func() string {
				if _, err := s.stream(topology.Outcomes).PauseConsumer(t.Context(), "presence-mapper-outcomes", s.bus.Now().Add(time.Hour)); err != nil {
					return err.Error()
				}
				return ""
			})
			_, clears := s.hungUp(0)
			s.did(clears, wire.Applied, "")
			if pass == time.Hour { // the control: nobody looks
				s.calls(0, 0)
				s.idle()
				if !s.clearing(0) {
					t.Error("the word was not lost")
				}
				return
			}
			s.eventually(func() string {
				if s.clearing(0) {
					return "nobody knows that the session was cleared"
				}
				return ""
			})
		})
	}
}
