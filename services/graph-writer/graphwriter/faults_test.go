package graphwriter

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"offhook.dev/libs/core/breaker"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

var errLost = fault.New(fault.Timeout, "test", errors.New("the answer is lost"))

func TestAFailingGraphGetsTheWantAsSoonAsItCan(t *testing.T) {
	for _, c := range []struct {
		name   string
		fails  func(request func() error) error
		times  int32
		writes []string
	}{
		{"an answer that is lost after the write: it is set again", func(r func() error) error { _ = r(); return errLost }, 1, []string{"session " + call, "session " + call}},
		{"an answer that is lost before the write", func(func() error) error { return errLost }, 1, []string{"session " + call}},
		{"too many requests, come back in a moment", func(func() error) error {
			return fault.After(fault.Throttled, "test", 300*time.Millisecond, nil)
		}, 2, []string{"session " + call}},
		{"a storm of 503", func(func() error) error { return fault.New(fault.Unavailable, "test", nil) }, 4, []string{"session " + call}},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			s.run("a")
			var failed atomic.Int32
			s.teams.stand(func(_ context.Context, _ string, _ identity.User, request func() error) error {
				if failed.Add(1) <= c.times {
					return c.fails(request)
				}
				return request()
			})
			s.ends(s.publish(s.calling(0)), wire.Applied)
			s.shows(0, "Busy/InACall")
			s.wrote(0, c.writes...)
			if e, _ := s.pins(0); e.Intent != nil {
				t.Errorf("pins %+v", e)
			}
		})
	}
}

func TestWhatGraphRefusesIsToldAndNotTriedAgain(t *testing.T) {
	for _, c := range []struct {
		name string
		err  error
		ends wire.Result
	}{
		{"a user that is not there", fault.New(fault.NotFound, "test", nil), wire.Failed},
		{"a permission that is missing", fault.New(fault.Denied, "test", nil), wire.Failed},
		{"a pair that Graph does not know", fault.New(fault.Invalid, "test", nil), wire.Unsupported},
		{"a cloud without presence", fault.New(fault.Unsupported, "test", nil), wire.Unsupported},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			s.opts.MinutePass = 20 * time.Millisecond
			s.run("a")
			s.teams.stand(func(_ context.Context, _ string, user identity.User, request func() error) error {
				if user == somebody(0).User {
					return c.err
				}
				return request()
			})
			asked := 0
			for range 2 { // the second is a new want: it has a try of its own
				if o := s.ends(s.publish(s.choosing(0, dnd)), c.ends); o.Detail == "" || o.Preferred != "" {
					t.Errorf("outcome %+v", o)
				}
				asked++
			}
			s.passes()
			if got := s.teams.requests() - 4; got != asked { // the witness's four
				t.Errorf("asked %d times, want once for each want", got)
			}
			s.settled()
			if e, _ := s.pins(0); e.Intent != nil || e.Preferred != nil {
				t.Errorf("pins %+v: what was refused never showed", e)
			}
			s.teams.stand(nil)
			s.ends(s.publish(s.choosing(0, dnd)), wire.Applied)
		})
	}
}

// One target that Graph refuses does not cost the other, nor is it asked for again
// while the other is tried again.
func TestOneTargetDoesNotCostTheOther(t *testing.T) {
	s := newStage(t)
	s.run("a")
	var sessions, choices atomic.Int32
	s.teams.stand(func(_ context.Context, op string, _ identity.User, request func() error) error {
		if op == "set-session" {
			sessions.Add(1)
			return fault.New(fault.Denied, "test", nil)
		}
		if choices.Add(1) <= 3 {
			return fault.New(fault.Unavailable, "test", nil)
		}
		return request()
	})
	w := s.calling(0)
	w.Preferred, w.PreferredUntil = dnd, s.bus.Now().Add(time.Hour)
	o := s.ends(s.publish(w), wire.Failed)
	if o.Preferred != dnd || o.Session != "" {
		t.Errorf("outcome %+v", o)
	}
	s.wrote(0, "preferred "+dnd)
	if sessions.Load() != 1 {
		t.Errorf("the session was asked for %d times", sessions.Load())
	}
}

func TestGraphThatWasDownGetsTheNewestOfEachPersonOnce(t *testing.T) {
	const people, changes = 5, 200
	s := newStage(t)
	s.run("a")
	s.teams.fails(fault.New(fault.Unavailable, "test", nil))
	last := make([]wire.TeamsWant, people)
	for n := range changes {
		for i := range people {
			w := s.want(i)
			if n%2 == 1 { // the last of an even number is a call
				w.Session, w.SessionUntil = call, s.bus.Now().Add(10*time.Minute)
			}
			w.Preferred, w.PreferredUntil = []string{dnd, pinned}[n%2], s.bus.Now().Add(2*time.Hour)
			last[i] = s.publish(w)
		}
	}
	for i, w := range last {
		s.eventually(func() string {
			if e, _ := s.pins(i); e.Revision != w.Revision {
				return "the newest was not tried"
			}
			return ""
		})
	}
	s.teams.stand(nil)
	for i, w := range last {
		s.ends(w, wire.Applied)
		s.teams.with(i, func(p *seat) { slices.Sort(p.writes) }) // Graph may have come back between the two
		s.wrote(i, "preferred "+pinned, "session "+call)
	}
	s.settled()
	if info, err := s.bus.JetStream().Stream(t.Context(), string(topology.ParkedMsg)); err != nil || info.CachedInfo().State.Msgs != 0 {
		t.Errorf("%d wants parked, %v", info.CachedInfo().State.Msgs, err)
	}
}

// Nobody of a tenant is asked for before Retry-After is over, even where a pass finds
// everything open; other tenants are.
func TestAThrottledTenantIsLeftAloneAndSlowsNobodyElse(t *testing.T) {
	s := newStage(t)
	s.opts.MinutePass = 20 * time.Millisecond
	other := newTeams()
	s.opts.Tenants = append(s.opts.Tenants, TenantConfig{ID: fabrikam, App: app, Writes: true, Client: func() (Client, error) { return other, nil }})
	s.run("a")
	s.teams.fails(fault.After(fault.Throttled, "test", time.Hour, nil))
	first := s.publish(s.calling(0))
	tried := func(i int, w wire.TeamsWant) {
		t.Helper()
		s.eventually(func() string {
			if e, _ := s.pins(i); e.Revision != w.Revision {
				return "not tried yet"
			}
			return ""
		})
	}
	tried(0, first)
	s.eventually(func() string {
		if s.teams.requests() == 0 {
			return "not asked yet"
		}
		return ""
	})
	for i := range 5 {
		tried(i+1, s.publish(s.choosing(i+1, dnd)))
	}
	for range 20 {
		theirs := s.calling(7)
		theirs.Person.Tenant = fabrikam
		theirs.SessionUntil = theirs.SessionUntil.Add(time.Duration(s.sequence) * time.Minute)
		s.ends(s.publish(theirs), wire.Applied)
	}
	if n := s.teams.requests(); n != 1 {
		t.Errorf("%d requests although the first was told to come back in an hour", n)
	}
}

func TestAfterRetryAfterEverybodyIsServed(t *testing.T) {
	s := newStage(t)
	s.opts.MinutePass = 20 * time.Millisecond
	s.run("a")
	const after = time.Second
	var mu sync.Mutex // guards what follows
	var closed time.Time
	early := 0
	s.teams.stand(func(_ context.Context, _ string, _ identity.User, request func() error) error {
		mu.Lock()
		defer mu.Unlock()
		now := time.Now()
		if closed.IsZero() {
			closed = now.Add(after)
			return fault.After(fault.Throttled, "test", after, nil)
		}
		if now.Before(closed) {
			early++
		}
		return request()
	})
	first := s.publish(s.calling(0))
	s.eventually(func() string {
		mu.Lock()
		defer mu.Unlock()
		if closed.IsZero() {
			return "not asked yet"
		}
		return ""
	})
	wants := []wire.TeamsWant{first}
	for i := range 5 {
		wants = append(wants, s.publish(s.choosing(i+1, dnd)))
	}
	for i, w := range wants {
		s.ends(w, wire.Applied)
		s.wrote(i, map[bool]string{true: "session " + call, false: "preferred " + dnd}[i == 0])
	}
	mu.Lock()
	defer mu.Unlock()
	if early > 1 { // one may have been on its way before the answer was read
		t.Errorf("%d requests before Retry-After was over", early)
	}
}

func TestTheBreakerStopsSaysSoAndTriesAgain(t *testing.T) {
	s := newStage(t)
	s.opts.MinutePass, s.opts.Pause = 50*time.Millisecond, 2*time.Second
	s.run("a")
	// A refresh is no write of a fight.
	s.ends(s.publish(s.choosing(1, dnd)), wire.Applied)
	for i := range 2 * breaker.Most {
		w := s.choosing(1, dnd)
		w.PreferredUntil = w.PreferredUntil.Add(time.Duration(i+1) * time.Minute)
		s.ends(s.publish(w), wire.Applied)
	}
	for i := range breaker.Most {
		s.ends(s.publish(s.choosing(0, []string{dnd, pinned}[i%2])), wire.Applied)
	}
	// Ten writes took less than a minute, unless the machine is very slow indeed.
	w := s.publish(s.choosing(0, dnd))
	if o := s.ends(w, wire.Failed); o.Detail != "breaker" || o.Preferred != pinned {
		t.Fatalf("outcome %+v", o)
	}
	s.eventually(func() string { // the want stays, and is carried out after the pause
		all := s.outcomes(somebody(0))
		if o := all[len(all)-1]; o.Revision != w.Revision || o.Result != wire.Applied {
			return "not tried again"
		}
		return ""
	})
	s.shows(0, dnd)
	s.teams.with(0, func(p *seat) {
		if len(p.writes) != breaker.Most+1 {
			t.Errorf("%d writes", len(p.writes))
		}
	})
	s.ends(s.publish(s.calling(2)), wire.Applied) // nobody else minds
}

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

// A person whose requests hang does not hold up the others.
func TestAHangingRequestHoldsUpNobodyElse(t *testing.T) {
	s := newStage(t)
	s.run("a")
	release := make(chan struct{})
	t.Cleanup(func() { close(release) })
	s.teams.stand(func(ctx context.Context, _ string, user identity.User, request func() error) error {
		if user == somebody(0).User {
			select {
			case <-ctx.Done():
				return ctx.Err()
			case <-release:
				return errLost
			}
		}
		return request()
	})
	s.publish(s.calling(0))
	for i := range 32 {
		s.ends(s.publish(s.calling(i+1)), wire.Applied)
	}
}

// A want that comes again after its ack was lost, however late: the stream's own
// memory of ids is short, so the ids alone are not what makes one outcome of two.
func TestAWantThatComesAgainHasOneOutcome(t *testing.T) {
	s := newStage(t)
	s.run("a")
	call1, ended, call2, release := s.calling(0), s.want(0), s.calling(0), s.want(0)
	release.Release = true
	for _, w := range []wire.TeamsWant{call1, ended, call2, release} {
		s.ends(s.publish(w), wire.Applied)
		s.settled()
		s.publish(w)
		s.settled()
	}
	if all := s.outcomes(somebody(0)); len(all) != 4 {
		t.Errorf("%d outcomes of four wants: %+v", len(all), all)
	}
	s.wrote(0, "session "+call, "no session", "session "+call, "no session")
}
