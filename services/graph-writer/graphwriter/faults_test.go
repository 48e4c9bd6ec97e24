package graphwriter

import (
	"context"
	"errors"
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
