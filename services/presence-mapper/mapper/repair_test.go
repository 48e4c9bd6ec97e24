package mapper

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

func (s *stage) stream(name topology.Stream) jetstream.Stream {
	s.t.Helper()
	stream, err := s.bus.JetStream().Stream(s.t.Context(), string(name))
	if err != nil {
		s.t.Fatal(err)
	}
	return stream
}

func TestALostWantIsPublishedAgain(t *testing.T) {
	s := newStage(t)
	s.pass = 50 * time.Millisecond
	s.run("a")
	s.ready(0)
	s.wants(0, presence.Available)
	if err := s.stream(topology.Wants).Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.wants(0, presence.Available)
}

func TestATimerThatNeverFiresIsMadeUpForByTheMinutePass(t *testing.T) {
	for _, pass := range []time.Duration{50 * time.Millisecond, time.Hour} {
		t.Run(fmt.Sprint(pass), func(t *testing.T) {
			s := newStage(t)
			s.pass = pass
			s.afterAMeeting(700 * time.Millisecond)
			due := func() bool { r := s.record(0); return r.due(s.bus.Now()) }
			s.eventually(func() string {
				if err := s.stream(topology.Timers).Purge(t.Context()); err != nil {
					t.Fatal(err)
				}
				if w, _ := s.want(0); w.Status == presence.Available || due() {
					return ""
				}
				return "not due"
			})
			if pass == time.Hour { // the control: nobody looks
				s.idle()
				if w, _ := s.want(0); w.Status != presence.DND || !due() {
					t.Errorf("wanted %q without a timer or a pass", w.Status)
				}
				return
			}
			s.wants(0, presence.Available)
		})
	}
}

func TestATimerFires(t *testing.T) {
	s := newStage(t)
	s.afterAMeeting(300 * time.Millisecond)
	s.wants(0, presence.Available)
}

// A link, a calendar and two presences of one person at the same time: whoever loses the
// compare-and-set puts the timer right, and must not put it over that of a memory which
// has been set since.
func TestTheLastTimerBelongsToTheLastMemory(t *testing.T) {
	s := newStage(t)
	s.options.Damping = 300 * time.Millisecond
	s.run("a")
	const people = 60
	for i := range people {
		s.ready(i)
		s.teams(i, "Busy", s.bus.Now())
		s.wants(i, presence.DND)
		s.teams(i, "Available", s.bus.Now())
	}
	for i := range people {
		s.wants(i, presence.Available)
	}
}

// Somebody has been busy for longer than StaleAfter and was swept all the while. Who
// looks then, for whatever reason, knows that Teams is fresh.
func TestWhoeverLooksLateKnowsOfTheLastSweep(t *testing.T) {
	s := newStage(t)
	s.options.StaleAfter = time.Second
	stop := s.run("a")
	s.ready(0)
	s.teams(0, "Busy", s.bus.Now())
	s.wants(0, presence.DND)
	stop()
	s.eventually(func() string {
		if !s.record(0).due(s.bus.Now()) {
			return "not due"
		}
		return ""
	})
	// A sweep of the future counts as one of now, each time it is looked at.
	now := s.bus.Now()
	s.publish(wire.Sweep{Tenant: "contoso", Shard: wire.ShardAll, Began: now.Add(time.Hour), Ended: now.Add(time.Hour), Users: 1, OK: true})
	before := s.written()
	s.run("a")
	s.eventually(func() string {
		if s.written() == before {
			return "nobody has looked"
		}
		return ""
	})
	for _, d := range s.decisions(0) {
		if d.Reason == presence.TeamsStale.String() {
			t.Fatalf("Teams was taken for stale: %+v", d)
		}
	}
	if w, _ := s.want(0); w.Status != presence.DND {
		t.Errorf("wanted is %q", w.Status)
	}
}

// What Teams had said ends where nobody can read it. When it is read again and shows the
// same, no fact tells of it: the sweep does, or the minute pass where the sweep was missed.
func TestWhenTeamsIsReadAgainWhatItHadSaidCountsAgain(t *testing.T) {
	sweep := func(s *stage, shard string, ago time.Duration) {
		at := s.bus.Now().Add(-ago)
		s.publish(wire.Sweep{Tenant: "contoso", Shard: shard, Began: at, Ended: at, Users: 1, OK: true})
	}
	stale := func(t *testing.T, pass time.Duration) *stage {
		s := newStage(t)
		s.options.StaleAfter, s.pass = 500*time.Millisecond, pass
		s.run("a")
		s.ready(0)
		sweep(s, wire.ShardAll, 2*time.Minute)
		s.teams(0, "Busy", s.bus.Now())
		s.wants(0, presence.DND)
		s.wants(0, presence.Available)
		return s
	}
	// It may be over again before the want is seen.
	seen := func(s *stage) {
		s.eventually(func() string {
			if !slices.ContainsFunc(s.decisions(0), func(d wire.Decision) bool { return d.Trigger != presenceFact && d.Reason == presence.ByTeams.String() }) {
				return "what Teams says is forgotten"
			}
			return ""
		})
	}
	t.Run("by the sweep", func(t *testing.T) {
		s := stale(t, time.Hour)
		sweep(s, wire.ShardAll, 0)
		seen(s)
	})
	t.Run("by the minute pass", func(t *testing.T) {
		s := stale(t, 50*time.Millisecond)
		sweep(s, "0", 0) // of a shard of which nothing was known
		seen(s)
	})
}

// The control: without a sweep the opinion ends.
func TestWithoutASweepTeamsGoesStale(t *testing.T) {
	s := newStage(t)
	s.options.StaleAfter = 500 * time.Millisecond
	s.run("a")
	s.ready(0)
	s.teams(0, "Busy", s.bus.Now())
	s.wants(0, presence.DND)
	if w := s.wants(0, presence.Available); w.Reason != presence.TeamsStale.String() {
		t.Errorf("reason %q", w.Reason)
	}
}

func TestMemoryThatCannotBeReadCostsNobodyElseAnything(t *testing.T) {
	s := newStage(t)
	s.pass = 50 * time.Millisecond
	s.run("a")
	s.ready(0)
	s.ready(1)
	s.wants(0, presence.Available)
	s.wants(1, presence.Available)
	if _, err := s.memory.Put(t.Context(), wire.PersonKey(person(0)), []byte("{")); err != nil {
		t.Fatal(err)
	}
	s.teams(0, "Busy", s.bus.Now())
	s.eventually(func() string {
		if s.parked() == 0 {
			return "the fact is not parked"
		}
		return ""
	})
	if err := s.stream(topology.Wants).Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.wants(1, presence.Available) // by the minute pass
	s.teams(1, "Busy", s.bus.Now())
	s.wants(1, presence.DND)
	if e, err := s.memory.Get(t.Context(), wire.PersonKey(person(0))); err != nil || string(e.Value) != "{" {
		t.Errorf("what could not be read was thrown away: %q %v", e.Value, err)
	}
}

func TestADecisionThatCouldNotBeToldIsToldAndItsWantPublished(t *testing.T) {
	s := newStage(t)
	s.run("a")
	s.ready(0)
	s.wants(0, presence.Available)
	if err := s.bus.JetStream().DeleteStream(t.Context(), string(topology.Decisions)); err != nil {
		t.Fatal(err)
	}
	s.teams(0, "Busy", s.bus.Now())
	s.eventually(func() string {
		if w := s.record(0).Memory.Wants(); len(w) != 1 || w[0].Status != presence.DND {
			return "not decided"
		}
		return ""
	})
	s.eventually(func() string {
		c, err := s.bus.JetStream().Consumer(t.Context(), string(topology.Facts), "presence-mapper-facts")
		if err != nil || c.CachedInfo().NumRedelivered == 0 {
			return fmt.Sprint("the first attempt has not failed yet ", err)
		}
		return ""
	})
	s.make()
	s.wants(0, presence.DND)
	s.eventually(func() string {
		for _, d := range s.decisions(0) {
			if d.ID == s.record(0).Decision && len(d.Evidence) == 1 && d.Evidence[0].Value == "Busy/Busy" {
				return ""
			}
		}
		return "the decision was not told"
	})
}

// A fire that comes before its time must not be the last: the broker is told again.
func TestAFireThatComesTooEarlyIsNotTheLast(t *testing.T) {
	s := newStage(t)
	s.options.Damping = 1500 * time.Millisecond
	s.run("a")
	s.ready(0)
	s.teams(0, "Busy", s.bus.Now())
	s.wants(0, presence.DND)
	s.teams(0, "Available", s.bus.Now())
	s.eventually(func() string {
		if d := s.decisions(0); d[len(d)-1].Reason != presence.Damped.String() {
			return "not damped"
		}
		return ""
	})
	if err := s.stream(topology.Timers).Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	if _, err := s.bus.Publish(t.Context(), bus.Message{Subject: "fire." + wire.PersonKey(person(0))}); err != nil {
		t.Fatal(err)
	}
	s.wants(0, presence.Available)
}

// A replica goes over its own last want without a look. Somebody else's in between is
// looked at all the same: a newer one stays, an older one gives way.
func TestAWantOfSomebodyElseInBetweenIsLookedAt(t *testing.T) {
	for name, newer := range map[string]bool{"a newer one": true, "an older one": false} {
		t.Run(name, func(t *testing.T) {
			s := newStage(t)
			s.pass = time.Hour
			s.run("a")
			s.ready(0)
			s.wants(0, presence.Available)
			s.teams(0, "Busy", s.bus.Now()) // goes over its own
			s.wants(0, presence.DND)
			foreign, _ := s.want(0)
			foreign.Status = presence.Away
			if newer {
				foreign.Revision.Sequence += 1000
			} else {
				foreign.Revision.Sequence--
			}
			subject, data := foreign.Encode()
			if _, err := s.bus.Publish(t.Context(), bus.Message{Subject: subject, Data: data}); err != nil {
				t.Fatal(err)
			}
			s.teams(0, "DoNotDisturb", s.bus.Now())
			s.teams(0, "Available", s.bus.Now())
			s.idle()
			want := presence.Available
			if newer {
				want = presence.Away
			}
			if w, _ := s.want(0); w.Status != want {
				t.Errorf("%s is wanted, not %s", w.Status, want)
			}
		})
	}
}
