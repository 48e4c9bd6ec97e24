package graphwriter

import (
	"context"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

func TestACallIsShownAndEnds(t *testing.T) {
	s := newStage(t)
	s.run("a")
	w := s.publish(s.calling(0))
	o := s.ends(w, wire.Applied)
	if o.Person != w.Person || o.Reason != w.Reason || o.BeganAt.IsZero() || o.EndedAt.Before(o.BeganAt) || o.Session != call || !o.SessionUntil.Equal(w.SessionUntil) || o.Preferred != "" {
		t.Errorf("outcome %+v", o)
	}
	s.shows(0, "Busy/InACall")
	if e, _ := s.pins(0); e.Session == nil || e.Session.Show != call || !e.Session.Until.Equal(w.SessionUntil) || e.Session.SetAt.IsZero() || e.Intent != nil || e.Revision != w.Revision || e.Fence == 0 {
		t.Errorf("pins %+v", e)
	}
	s.ends(s.publish(s.want(0)), wire.Applied)
	s.shows(0, "Available/Available")
	s.ends(s.publish(s.want(0)), wire.Already)
	s.wrote(0, "session "+call, "no session")
}

// One want after another for one person, and what each of them does.
func TestEachWantDoesWhatItNeedsAndNoMore(t *testing.T) {
	type after struct {
		name   string
		person func(*seat) // does something in Teams first
		want   func(*stage, *wire.TeamsWant)
		ends   wire.Result
		writes []string // of this want
		reads  int
	}
	call10 := func(s *stage, w *wire.TeamsWant) { w.Session, w.SessionUntil = call, s.bus.Now().Add(10*time.Minute) }
	choose := func(show string) func(*stage, *wire.TeamsWant) {
		return func(s *stage, w *wire.TeamsWant) { w.Preferred, w.PreferredUntil = show, s.bus.Now().Add(2*time.Hour) }
	}
	nothing := func(*stage, *wire.TeamsWant) {}
	says := func(show string) func(*seat) { return func(p *seat) { p.client = show } }
	chooses := func(show string) func(*seat) {
		return func(p *seat) { p.preferred = life{show, time.Now().Add(time.Hour)} }
	}
	for _, c := range []struct {
		name  string
		wants []after
	}{
		{"a call that goes on", []after{
			{"begins", nil, call10, wire.Applied, []string{"session " + call}, 0},
			{"a second time", nil, call10, wire.Already, nil, 0},
			{"is refreshed", nil, func(s *stage, w *wire.TeamsWant) { w.Session, w.SessionUntil = call, s.bus.Now().Add(15*time.Minute) }, wire.Applied, []string{"session " + call}, 0},
			{"becomes a conference", nil, func(s *stage, w *wire.TeamsWant) { w.Session, w.SessionUntil = meet, s.bus.Now().Add(15*time.Minute) }, wire.Applied, []string{"session " + meet}, 0},
			{"ends", nil, nothing, wire.Applied, []string{"no session"}, 0},
			{"and has ended", nil, nothing, wire.Already, nil, 0},
		}},
		{"a choice that ends", []after{
			{"dnd", nil, choose(dnd), wire.Applied, []string{"preferred " + dnd}, 0},
			{"a second time", nil, choose(dnd), wire.Already, nil, 0},
			{"away", nil, choose(pinned), wire.Applied, []string{"preferred " + pinned}, 0},
			{"available", nil, nothing, wire.Applied, []string{"no preferred"}, 1},
		}},
		{"a person resets Teams before the choice ends", []after{
			{"dnd", nil, choose(dnd), wire.Applied, []string{"preferred " + dnd}, 0},
			{"available", chooses("Available/Available"), nothing, wire.RefusedPerson, nil, 1},
			{"and it stays forgotten", nil, nothing, wire.Already, nil, 0},
		}},
		{"a person chooses the same in Teams", []after{
			{"dnd", nil, choose(dnd), wire.Applied, []string{"preferred " + dnd}, 0},
			{"for longer", chooses(dnd), nothing, wire.Applied, []string{"no preferred"}, 1},
		}},
		{"what a person took over is forgotten without a request", []after{
			{"dnd", nil, choose(dnd), wire.Applied, []string{"preferred " + dnd}, 0},
			{"disowned", chooses("Away/Away"), func(_ *stage, w *wire.TeamsWant) { w.Disowned = true }, wire.Already, nil, 0},
			{"a release afterwards", nil, func(_ *stage, w *wire.TeamsWant) { w.Release = true }, wire.Already, nil, 0},
		}},
		{"not visible: the person's Teams is closed", []after{
			{"dnd", says(""), choose(dnd), wire.Applied, []string{"preferred " + dnd}, 0},
			{"nobody writes again", nil, choose(dnd), wire.Already, nil, 0},
			{"available", nil, nothing, wire.Applied, []string{"no preferred"}, 1},
		}},
		{"both at once", []after{
			{"a call and dnd", nil, func(s *stage, w *wire.TeamsWant) { call10(s, w); choose(dnd)(s, w) }, wire.Applied, []string{"session " + call, "preferred " + dnd}, 0},
			{"the call ends", nil, choose(dnd), wire.Applied, []string{"no session"}, 0},
			{"the choice ends", nil, nothing, wire.Applied, []string{"no preferred"}, 1},
		}},
		{"a release clears what is ours once", []after{
			{"a call and dnd", nil, func(s *stage, w *wire.TeamsWant) { call10(s, w); choose(dnd)(s, w) }, wire.Applied, []string{"session " + call, "preferred " + dnd}, 0},
			{"released", nil, func(_ *stage, w *wire.TeamsWant) { w.Release = true }, wire.Applied, []string{"no session", "no preferred"}, 1},
			{"silence", nil, func(_ *stage, w *wire.TeamsWant) { w.Release = true }, wire.Already, nil, 0},
		}},
		{"a release leaves a person's choice", []after{
			{"a call and dnd", nil, func(s *stage, w *wire.TeamsWant) { call10(s, w); choose(dnd)(s, w) }, wire.Applied, []string{"session " + call, "preferred " + dnd}, 0},
			{"released", chooses("BeRightBack/BeRightBack"), func(_ *stage, w *wire.TeamsWant) { w.Release = true }, wire.RefusedPerson, []string{"no session"}, 1},
		}},
		{"what Graph cannot express", []after{
			{"Busy/Busy as a session", nil, func(s *stage, w *wire.TeamsWant) { w.Session, w.SessionUntil = "Busy/Busy", s.bus.Now().Add(time.Hour) }, wire.Unsupported, nil, 0},
			{"lunch, and a call with it", nil, func(s *stage, w *wire.TeamsWant) { call10(s, w); choose("Away/Lunch")(s, w) }, wire.Unsupported, []string{"session " + call}, 0},
		}},
		{"a want that came too late", []after{
			{"asks for nothing", nil, func(s *stage, w *wire.TeamsWant) { w.Session, w.SessionUntil = call, s.bus.Now().Add(-time.Second) }, wire.Already, nil, 0},
			{"or for little", nil, func(s *stage, w *wire.TeamsWant) { w.Session, w.SessionUntil = call, s.bus.Now().Add(time.Minute) }, wire.Applied, []string{"session " + call}, 0},
			{"once", nil, func(s *stage, w *wire.TeamsWant) { w.Session, w.SessionUntil = call, s.bus.Now().Add(2*time.Minute) }, wire.Already, nil, 0},
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			s.run("a")
			var writes []string
			reads := 0
			for _, each := range c.wants {
				if each.person != nil {
					s.teams.with(0, each.person)
				}
				w := s.want(0)
				each.want(s, &w)
				o := s.ends(s.publish(w), each.ends)
				if (each.ends == wire.RefusedPerson || each.ends == wire.Unsupported) && o.Detail == "" {
					t.Errorf("%s: no detail", each.name)
				}
				writes, reads = append(writes, each.writes...), reads+each.reads
				s.settled()
				s.wrote(0, writes...)
				s.teams.with(0, func(p *seat) {
					if p.reads != reads {
						t.Errorf("%s: read %d times, want %d", each.name, p.reads, reads)
					}
				})
			}
		})
	}
}

func TestLivesAreWhatGraphTakes(t *testing.T) {
	s := newStage(t)
	s.run("a")
	for i, c := range []struct{ left, least, most time.Duration }{
		{time.Minute, 5 * time.Minute, 5 * time.Minute},
		{24 * time.Hour, 4 * time.Hour, 4 * time.Hour},
		{30 * time.Minute, 30*time.Minute - patience, 30 * time.Minute},
	} {
		w := s.calling(i)
		w.SessionUntil = s.bus.Now().Add(c.left)
		s.ends(s.publish(w), wire.Applied)
		s.teams.with(i, func(p *seat) {
			if got := p.lives[0]; got < c.least || got > c.most {
				t.Errorf("%v left: set for %v", c.left, got)
			}
		})
	}
}

func TestAReleaseRemovesTheEntry(t *testing.T) {
	s := newStage(t)
	s.run("a")
	s.ends(s.publish(s.calling(0)), wire.Applied)
	w := s.want(0)
	w.Release = true
	s.ends(s.publish(w), wire.Applied)
	s.eventually(func() string {
		if e, there := s.pins(0); there {
			return "there is still an entry"
		} else if e.Session != nil {
			return "which holds something"
		}
		return ""
	})
	// And the person may come back.
	s.ends(s.publish(s.calling(0)), wire.Applied)
	s.shows(0, "Busy/InACall")
}

func TestAnOlderWantIsRefused(t *testing.T) {
	s := newStage(t)
	s.put(0, entry{Revision: wire.Revision{Epoch: 2, Sequence: 7}, Session: &pin{Show: call, SetAt: s.bus.Now(), Until: s.bus.Now().Add(time.Hour)}})
	s.run("a")
	for _, r := range []wire.Revision{{Epoch: 2, Sequence: 6}, {Epoch: 1, Sequence: 1000}} {
		w := s.want(0)
		w.Revision = r
		if o := s.ends(s.publish(w), wire.Stale); o.Detail == "" {
			t.Error("no detail")
		}
	}
	s.wrote(0)
	// The same revision again is the same want.
	w := s.want(0)
	w.Revision = wire.Revision{Epoch: 2, Sequence: 7}
	s.ends(s.publish(w), wire.Applied)
	s.wrote(0, "no session")
	w = s.calling(0)
	w.Revision = wire.Revision{Epoch: 2, Sequence: 8}
	s.ends(s.publish(w), wire.Applied)
	w.Revision.Sequence = 7
	s.publish(w)
	s.ends(w, wire.Applied) // of the first with this revision; the late one adds a stale
	s.settled()
	s.wrote(0, "no session", "session "+call)
	// Nor may one that is older than a want for which there was nothing to do.
	idle := s.calling(0)
	idle.Revision = wire.Revision{Epoch: 3, Sequence: 9}
	s.ends(s.publish(idle), wire.Already)
	late := s.want(0)
	late.Revision = wire.Revision{Epoch: 3, Sequence: 8}
	s.ends(s.publish(late), wire.Stale)
	s.wrote(0, "no session", "session "+call)
}

func TestWhatCannotBeAWantIsParked(t *testing.T) {
	s := newStage(t)
	s.run("a")
	endless := s.want(0)
	endless.Session = call
	subject, data := endless.Encode()
	foreign := s.calling(1)
	foreign.Person.Tenant = fabrikam
	_, strange := foreign.Encode()
	for i, m := range []bus.Message{
		{Subject: subject, Data: data},
		{Subject: wire.TeamsWantSubject(somebody(1)), Data: strange},
		{Subject: wire.TeamsWantSubject(somebody(2)), Data: []byte("no message")},
	} {
		if _, err := s.bus.Publish(t.Context(), m); err != nil {
			t.Fatal(err)
		}
		s.eventually(func() string {
			stream, err := s.bus.JetStream().Stream(t.Context(), string(topology.ParkedMsg))
			if err != nil {
				return err.Error()
			}
			if n := stream.CachedInfo().State.Msgs; n != uint64(i+1) {
				return strings.Repeat("I", int(n)) + " parked"
			}
			return ""
		})
	}
	s.ends(s.publish(s.calling(3)), wire.Applied)
	if n := s.teams.requests(); n != 1 {
		t.Errorf("%d requests, want the one that can be made", n)
	}
}

func TestAChangeCostsTwoWritesOfPins(t *testing.T) {
	s := newStage(t)
	s.run("a")
	written := func() uint64 { return bustest.Written(t, s.bus, topology.Pins) }
	both := s.calling(0)
	both.Preferred, both.PreferredUntil = dnd, s.bus.Now().Add(time.Hour)
	same := both
	for _, c := range []struct {
		name string
		want wire.TeamsWant
		cost uint64
	}{{"both targets", both, 2}, {"the same again", same, 0}, {"neither", s.want(0), 2}} {
		before := written()
		s.sequence++
		c.want.Revision.Sequence = s.sequence
		s.publish(c.want)
		s.eventually(func() string {
			all := s.outcomes(somebody(0))
			if len(all) == 0 || all[len(all)-1].Revision != c.want.Revision {
				return "no outcome"
			}
			return ""
		})
		if cost := written() - before; cost != c.cost {
			t.Errorf("%s: %d writes of pins, want %d", c.name, cost, c.cost)
		}
	}
}

func TestAServiceWithoutTenantsRuns(t *testing.T) {
	s := newStage(t)
	ctx, stop := context.WithCancel(t.Context())
	defer stop()
	var early atomic.Bool
	ended := make(chan error, 1)
	b := bustest.Connect(t, s.broker, "graph-writer")
	before := b.Conn().Stats().OutMsgs
	go func() {
		err := Run(ctx, s.deps(b, "a"), Options{})
		early.Store(ctx.Err() == nil)
		ended <- err
	}()
	s.eventually(func() string { // both buckets are open, and the broker has answered ten times since
		if b.Conn().Stats().OutMsgs < before+2 {
			return "it does not start"
		}
		return ""
	})
	for range 10 {
		s.pins(0)
	}
	stop()
	if err := <-ended; err != nil && !strings.Contains(err.Error(), "canceled") || early.Load() {
		t.Errorf("it ended by itself: %v, %v", early.Load(), err)
	}
}

func TestAClientIsMadeOnlyWhereItIsNeeded(t *testing.T) {
	s := newStage(t)
	made := 0
	s.opts.Tenants[0].Writes = false
	s.opts.Tenants[0].Client = func() (Client, error) { made++; return s.teams, nil }
	s.run("a")
	s.ends(s.publish(s.want(0)), wire.Already)
	if made != 0 {
		t.Error("a client without anything to write")
	}
	// A user may have a mode that writes where the tenant's does not.
	s.ends(s.publish(s.calling(0)), wire.Applied)
	s.ends(s.publish(s.want(0)), wire.Applied)
	if made != 1 {
		t.Errorf("%d clients", made)
	}
}

func TestATenantThatCannotBeReachedByConfigurationIsNamedAtTheStart(t *testing.T) {
	s := newStage(t)
	s.opts.Tenants[0].Client = func() (Client, error) { return nil, fault.New(fault.Denied, "no certificate", nil) }
	err := Run(t.Context(), s.deps(s.bus, "a"), s.opts)
	if err == nil || !strings.Contains(err.Error(), "tenant contoso") || !strings.Contains(err.Error(), "no certificate") {
		t.Errorf("%v", err)
	}
}
