package graphwriter

import (
	"context"
	"fmt"
	"slices"
	"testing"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// What can be lost between a write and the end of its handling, and what must come
// of it: nothing is written twice, nothing lost, each want has one outcome.
func TestAWantWhoseEndWasLostEndsOnce(t *testing.T) {
	s := newStage(t)
	s.opts.MinutePass = 50 * time.Millisecond
	s.run("a")
	s.ends(s.publish(s.calling(0)), wire.Applied)
	for _, c := range []struct {
		name   string
		want   func() wire.TeamsWant
		shows  string
		writes []string
	}{
		{"a choice", func() wire.TeamsWant { return s.choosing(0, dnd) }, dnd, []string{"session " + call, "no session", "preferred " + dnd}},
		{"a release", func() wire.TeamsWant { w := s.want(0); w.Release = true; return w }, "Available/Available",
			[]string{"session " + call, "no session", "preferred " + dnd, "no preferred"}},
	} {
		if err := s.bus.JetStream().DeleteStream(t.Context(), string(topology.Outcomes)); err != nil {
			t.Fatal(err)
		}
		w := s.publish(c.want())
		s.shows(0, c.shows)
		s.make()
		s.ends(w, wire.Applied)
		s.settled()
		if all := s.outcomes(somebody(0)); len(all) != 1 {
			t.Errorf("%s: %d outcomes of one want: %+v", c.name, len(all), all)
		}
		s.wrote(0, c.writes...)
	}
}

func TestKilledAtAnySeamTheNextStartEndsTheWant(t *testing.T) {
	now := time.Now().Add(-time.Minute)
	until := now.Add(time.Hour)
	old, revision := wire.Revision{Epoch: 1, Sequence: 1}, wire.Revision{Epoch: 1, Sequence: 100}
	calls, choice := &pin{Show: call, SetAt: now, Until: until}, &pin{Show: dnd, SetAt: now, Until: until}
	cleared := &pin{SetAt: now}
	showing := func(session, preferred string) func(*seat) {
		return func(p *seat) {
			if session != "" {
				p.sessions[app] = life{session, until}
			}
			if preferred != "" {
				p.preferred = life{preferred, until}
			}
		}
	}
	for _, c := range []struct {
		name   string
		pins   entry
		shows  func(*seat)
		wanted bool // a call and dnd, else neither
		writes []string
	}{
		{"before the intent of a set", entry{}, showing("", ""), true, []string{"session " + call, "preferred " + dnd}},
		{"between intent and set", entry{Revision: revision}.intend(session, calls).intend(preferred, choice), showing("", ""), true, []string{"session " + call, "preferred " + dnd}},
		{"between the two sets", entry{Revision: revision}.intend(session, calls).intend(preferred, choice), showing(call, ""), true, []string{"session " + call, "preferred " + dnd}},
		{"between set and effect", entry{Revision: revision}.intend(session, calls).intend(preferred, choice), showing(call, dnd), true, []string{"session " + call, "preferred " + dnd}},
		{"between the effect of a set and the outcome", entry{Revision: revision, Result: wire.Applied, Session: calls, Preferred: choice}, showing(call, dnd), true, nil},
		{"before the intent of a clear", entry{Revision: old, Session: calls, Preferred: choice}, showing(call, dnd), false, []string{"no session", "no preferred"}},
		{"between intent and clear", entry{Revision: revision, Session: calls, Preferred: choice}.intend(session, cleared).intend(preferred, cleared), showing(call, dnd), false, []string{"no session", "no preferred"}},
		{"between the effect of a clear and the outcome", entry{Revision: revision, Result: wire.Applied}, showing("", ""), false, nil},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			s.put(0, c.pins)
			s.teams.with(0, c.shows)
			w := s.want(0)
			w.Revision = revision
			if c.wanted {
				w.Session, w.SessionUntil, w.Preferred, w.PreferredUntil = call, until, dnd, until
			}
			s.publish(w)
			s.run("a")
			s.ends(w, wire.Applied)
			s.settled()
			s.wrote(0, c.writes...)
			if all := s.outcomes(somebody(0)); len(all) != 1 {
				t.Errorf("%d outcomes of one want", len(all))
			}
			s.shows(0, map[bool]string{true: dnd, false: "Available/Available"}[c.wanted])
		})
	}
}

// The one seam at which a clear that was made is seen as a person's doing: the other
// way round a person would be overwritten.
func TestKilledAfterAClearAPersonsChoiceStays(t *testing.T) {
	s := newStage(t)
	until := time.Now().Add(time.Hour)
	choice := &pin{Show: dnd, SetAt: time.Now().Add(-time.Minute), Until: until}
	s.put(0, entry{Revision: wire.Revision{Epoch: 1, Sequence: 1}, Preferred: choice}.intend(preferred, &pin{SetAt: choice.SetAt}))
	s.teams.with(0, func(p *seat) { p.preferred = life{"BeRightBack/BeRightBack", until} })
	w := s.publish(s.want(0))
	s.run("a")
	s.ends(w, wire.RefusedPerson)
	s.wrote(0)
	s.shows(0, "BeRightBack/BeRightBack")
}

// A service that is stopped in the middle of a request, whether it happened or not,
// and started again.
func TestStoppedInTheMiddleOfARequestAndStartedAgain(t *testing.T) {
	for _, happens := range []bool{true, false} {
		t.Run(fmt.Sprintf("the request happened: %v", happens), func(t *testing.T) {
			s := newStage(t)
			stop := s.run("a")
			asked := make(chan struct{})
			s.teams.stand(func(ctx context.Context, _ string, _ identity.User, request func() error) error {
				if happens {
					_ = request()
				}
				close(asked)
				<-ctx.Done()
				return ctx.Err()
			})
			w := s.publish(s.calling(0))
			<-asked
			stop()
			s.teams.stand(nil)
			if e, _ := s.pins(0); e.Intent == nil || e.Intent.Session == nil || e.Session != nil {
				t.Fatalf("pins %+v, want the intent", e)
			}
			s.run("a")
			s.shows(0, "Busy/InACall")
			s.eventually(func() string {
				if e, _ := s.pins(0); e.Intent != nil || e.Session == nil || e.Revision != w.Revision {
					return "the pins do not know that it happened"
				}
				return ""
			})
		})
	}
}

func TestOfTwoWritersOneOwnsATenantAndTheOtherTakesOver(t *testing.T) {
	s := newStage(t)
	stop := s.run("a")
	s.ends(s.publish(s.calling(0)), wire.Applied)
	s.run("b")
	s.ends(s.publish(s.choosing(0, dnd)), wire.Applied)
	fence, _ := s.pins(0)
	stop()
	s.ends(s.publish(s.calling(0)), wire.Applied)
	s.wrote(0, "session "+call, "no session", "preferred "+dnd, "session "+call, "no preferred")
	if e, _ := s.pins(0); e.Fence <= fence.Fence {
		t.Errorf("fence %d after %d", e.Fence, fence.Fence)
	}
}

func TestThePinsOfANewerOwnerAreNotTouched(t *testing.T) {
	s := newStage(t)
	s.run("a")
	s.ends(s.publish(s.calling(0)), wire.Applied)
	newer, _ := s.pins(0)
	newer.Fence += 1000
	s.put(0, newer)
	w := s.publish(s.want(0))
	// Somebody else's want, handled after two tries of this one.
	s.eventually(func() string {
		c, err := s.bus.JetStream().Consumer(t.Context(), string(topology.Wants), "graph-writer-contoso-presence")
		if err != nil {
			return err.Error()
		}
		info, err := c.Info(t.Context())
		if err != nil || info.NumRedelivered == 0 {
			return "not tried twice"
		}
		return ""
	})
	s.wrote(0, "session "+call)
	if e, _ := s.pins(0); e.Fence != newer.Fence || slices.ContainsFunc(s.outcomes(somebody(0)), func(o wire.TeamsOutcome) bool { return o.Revision == w.Revision }) {
		t.Errorf("pins %+v", e)
	}
}

func TestPinsThatChangedUnderAnOlderFenceAreTakenOver(t *testing.T) {
	s := newStage(t)
	s.run("a")
	s.ends(s.publish(s.calling(0)), wire.Applied)
	older, _ := s.pins(0)
	s.put(0, older) // as a save whose ack was lost
	s.ends(s.publish(s.want(0)), wire.Applied)
	s.wrote(0, "session "+call, "no session")
}

func TestPinsThatCannotBeReadCostNobodyElse(t *testing.T) {
	s := newStage(t)
	if _, err := s.buckets[topology.Pins].Put(t.Context(), wire.PersonKey(somebody(0)), []byte("{")); err != nil {
		t.Fatal(err)
	}
	s.run("a")
	for i := range 2 {
		s.ends(s.publish(s.calling(i)), wire.Applied)
	}
}

// A lease that somebody else holds: this writer stops writing, and takes up its work
// when the lease is free again.
func TestAStolenLeaseEndsTheWorkUntilItIsFreeAgain(t *testing.T) {
	s := newStage(t)
	s.opts.MinutePass = 50 * time.Millisecond
	s.run("a")
	s.ends(s.publish(s.calling(0)), wire.Applied)
	key := topology.Join("graph", string(contoso), "writes")
	if _, err := s.buckets[topology.Leases].Put(t.Context(), key, []byte("somebody else")); err != nil {
		t.Fatal(err)
	}
	// Lost at the next renewal: from then on nobody takes wants.
	s.eventually(func() string {
		c, err := s.bus.JetStream().Consumer(t.Context(), string(topology.Wants), "graph-writer-contoso-presence")
		if err != nil {
			return err.Error()
		}
		info, err := c.Info(t.Context())
		if err != nil || info.NumWaiting > 0 {
			return "wants are still taken"
		}
		return ""
	})
	w := s.publish(s.want(0))
	stolen, err := s.buckets[topology.Leases].Get(t.Context(), key)
	if err != nil {
		t.Fatal(err)
	}
	s.wrote(0, "session "+call)
	if err := s.buckets[topology.Leases].Delete(t.Context(), key, stolen.Revision); err != nil {
		t.Fatal(err)
	}
	s.ends(w, wire.Applied)
	s.shows(0, "Available/Available")
}
