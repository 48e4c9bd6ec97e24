package graphwriter

import (
	"context"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// A want that the consumer has behind it and that was not carried out, as after a
// kill of the broker, is carried out by the pass: at the start, and every minute.
func TestTheMinutePassCarriesOutWhatWasLost(t *testing.T) {
	s := newStage(t)
	w := s.publish(s.calling(0))
	s.consumed()
	s.run("a")
	s.ends(w, wire.Applied)
	s.shows(0, "Busy/InACall")
}

func TestThePassMakesNoRequestWhereNothingIsOpen(t *testing.T) {
	s := newStage(t)
	s.opts.MinutePass = 20 * time.Millisecond
	now := s.bus.Now()
	// Living pins without any want: nothing is done without one.
	s.put(5, entry{Session: &pin{Show: call, SetAt: now, Until: now.Add(time.Hour)}, Preferred: &pin{Show: dnd, SetAt: now, Until: now.Add(time.Hour)}})
	s.run("a")
	s.ends(s.publish(s.calling(0)), wire.Applied)
	s.ends(s.publish(s.choosing(1, dnd)), wire.Applied)
	disowned := s.want(1)
	disowned.Disowned = true
	s.ends(s.publish(disowned), wire.Already)
	asked := s.teams.requests()
	s.passes()
	if n := s.teams.requests() - asked - 4; n != 0 { // the witness's four
		t.Errorf("%d requests by passes", n)
	}
	if e, there := s.pins(5); !there || e.Session == nil || e.Preferred == nil {
		t.Errorf("pins without a want: %+v, %v", e, there)
	}
}

func TestExpiredEntriesAreDropped(t *testing.T) {
	s := newStage(t)
	s.opts.MinutePass = 20 * time.Millisecond
	now := s.bus.Now()
	gone := &pin{Show: call, SetAt: now.Add(-2 * time.Hour), Until: now.Add(-time.Hour)}
	s.put(0, entry{Session: gone})
	s.put(1, entry{Preferred: gone})
	s.put(2, entry{}.intend(session, gone))
	s.put(3, entry{Preferred: &pin{Show: dnd, SetAt: now.Add(-2 * time.Hour), Until: now.Add(time.Hour)}})
	s.put(4, entry{}.intend(preferred, &pin{Show: dnd, SetAt: now, Until: now.Add(time.Hour)}))
	s.run("a")
	s.passes()
	for i, stays := range []bool{false, false, false, true, true} {
		if _, there := s.pins(i); there != stays {
			t.Errorf("entry %d is there: %v, want %v", i, there, stays)
		}
	}
	if n := s.teams.requests(); n != 4 { // the witness's
		t.Errorf("%d requests for what had expired", n-4)
	}
}

// A call that outlasts what Graph grants at a time is set again when that is over:
// here it was granted before the writer started.
func TestThePassSetsAgainWhatIsStillWanted(t *testing.T) {
	s := newStage(t)
	now := s.bus.Now()
	w := s.want(0)
	w.Session, w.SessionUntil = call, now.Add(time.Hour)
	s.put(0, entry{Revision: w.Revision, Result: wire.Applied, Session: &pin{Show: call, SetAt: now.Add(-4*time.Hour - time.Minute), Until: w.SessionUntil}})
	s.publish(w)
	s.consumed()
	s.run("a")
	s.shows(0, "Busy/InACall")
	s.wrote(0, "session "+call)
}

// consumed takes the one want that there is off the consumer's hands before the writer starts.
func (s *stage) consumed() {
	s.t.Helper()
	ctx, stop := context.WithCancel(s.t.Context())
	ended, taken := make(chan error, 1), make(chan struct{}, 8)
	go func() {
		ended <- s.bus.Consume(ctx, bus.Consumer{Stream: topology.Wants, Durable: "graph-writer-contoso-presence", Filters: []string{(&tenant{conf: s.opts.Tenants[0]}).filter()}},
			func(context.Context, bus.Message) error { taken <- struct{}{}; return nil })
	}()
	<-taken
	s.settled()
	stop()
	if err := <-ended; err != nil {
		s.t.Fatal(err)
	}
}

// Wants come while a pass goes over those that it has read.
func TestWhetherAnEntryIsOver(t *testing.T) {
	revision := func(n uint64) wire.Revision { return wire.Revision{Epoch: 1, Sequence: n} }
	for _, tt := range []struct {
		name   string
		newest wire.Revision // that was looked at
		told   wire.Revision
		wanted uint64 // by the pass's reading; 0: nothing
		want   bool
	}{
		{"its outcome is told", revision(2), revision(2), 2, true},
		{"its outcome is not told", revision(2), revision(1), 2, false},
		{"something newer is wanted", revision(3), revision(1), 3, true},
		{"it came after an older one was read", revision(2), revision(1), 1, false},
		{"it came after nothing was read", revision(2), wire.Revision{}, 0, false},
		{"a former owner wrote it, and nothing is wanted", wire.Revision{}, wire.Revision{}, 0, true},
	} {
		p := &person{id: somebody(1), newest: tt.newest, told: tt.told, pins: entry{Revision: revision(2)}}
		wanted := map[identity.User]wire.Revision{}
		if tt.wanted > 0 {
			wanted[p.id.User] = revision(tt.wanted)
		}
		if got := p.over(wanted); got != tt.want {
			t.Errorf("%s: over is %v", tt.name, got)
		}
	}
}
