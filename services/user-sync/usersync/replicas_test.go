package usersync

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/plans"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// gate has the phone system stand still at the n-th want that it is given, until open is
// called. reached is closed when it does.
func (p *phones) gate(n int) (reached chan struct{}, open func()) {
	reached, opened := make(chan struct{}), make(chan struct{})
	seen := 0
	p.answer = func(wire.ExtensionWant) (wire.ChangeResult, error) {
		if seen++; seen == n {
			close(reached)
			<-opened
		}
		return wire.ChangeDone, nil
	}
	return reached, func() { close(opened) }
}

// everybodyOnce waits until the first users, as many as are said, have extensions, and
// fails if one of them has two, or a number was ever given twice.
func (p *phones) everybodyOnce(users int) {
	p.s.t.Helper()
	bustest.Eventually(p.s.t, 60*time.Second, func() string {
		p.mu.Lock()
		defer p.mu.Unlock()
		if len(p.has) < users {
			return fmt.Sprintf("%d extensions for %d users", len(p.has), users)
		}
		return ""
	})
	p.s.nothingToDo()
	p.mu.Lock()
	defer p.mu.Unlock()
	owners := map[identity.User]identity.Extension{}
	for number, e := range p.has {
		if other, twice := owners[e.Marker]; twice {
			p.s.t.Errorf("%s and %s are both of %s", other, number, e.Marker)
		}
		owners[e.Marker] = number
	}
	if len(owners) != users || len(p.done) != users {
		p.s.t.Errorf("%d users have an extension, want %d: %s", len(owners), users, strings.Join(p.done, "; "))
	}
}

// crowd publishes users, from a number up to another one.
func (s *stage) crowd(from, to int) {
	s.t.Helper()
	for i := from; i <= to; i++ {
		s.publish(named(i, fmt.Sprintf("U%02d", i)))
	}
}

// Two instances run. The one that works ends in the middle of a first run, and the
// directory grows meanwhile.
func TestOfTwoInstancesOneWorksAndTheOtherGoesOn(t *testing.T) {
	const before, after = 20, 30
	s := newStage(t)
	p := s.phones()
	reached, open := p.gate(7)
	p.listed()
	s.crowd(1, before)
	first := s.live("a", synchronising("sync"))
	s.holds("a")
	s.live("b", synchronising("sync"))
	<-reached
	s.crowd(before+1, after)
	first()
	open()
	s.holds("b")
	p.everybodyOnce(after)
}

func TestAPlanIsCarriedOutOnceThoughItsInstanceEnds(t *testing.T) {
	const users = 20
	s := newStage(t)
	p := s.phones()
	reached, open := p.gate(7)
	p.listed()
	s.crowd(1, users)
	first := s.live("a", synchronising("off"))
	s.holds("a")
	s.live("b", synchronising("off"))
	planned := s.eventually(wire.SyncOrder{Op: wire.SyncPlan}, func(o wire.SyncOutcome) bool { return o.Total == users })
	s.publish(wire.SyncOrder{ID: "apply", Tenant: "contoso", Kind: wire.SyncUsers, Op: wire.SyncApply, Plan: planned.Plan})
	<-reached
	first()
	open()
	s.holds("b")
	p.everybodyOnce(users)
	bustest.Eventually(t, 20*time.Second, func() string {
		head, err := plans.Read(t.Context(), s.open(topology.Plans), planned.Plan)
		if err != nil || head.State != wire.SyncDone {
			return fmt.Sprintf("%+v, %v", head, err)
		}
		return ""
	})
	if out := s.ordered(wire.SyncOrder{ID: "again", Op: wire.SyncApply, Plan: planned.Plan}); out.State != wire.SyncRefused && out.State != wire.SyncStale {
		t.Errorf("applied again: %+v", out)
	}
	p.everybodyOnce(users)
}

// What is stored and sent in several portions is what is planned.
func TestMoreUsersThanAPortionGetAnExtensionEach(t *testing.T) {
	const users = portion + portion/10
	s := newStage(t)
	p := s.phones()
	p.listed()
	s.crowd(1, users)
	s.live("a", synchronising("sync"))
	p.everybodyOnce(users)
	p.mu.Lock()
	defer p.mu.Unlock()
	for i := 1; i <= users; i++ {
		if number := identity.Extension(fmt.Sprint(199 + i)); p.has[number].Marker != person(i).User {
			t.Errorf("%s is of %q, and not of the %d. user", number, p.has[number].Marker, i)
		}
	}
}

// holds waits until an instance has the lease of the work.
func (s *stage) holds(instance string) {
	s.t.Helper()
	leases := s.open(topology.Leases)
	bustest.Eventually(s.t, 60*time.Second, func() string {
		e, err := leases.Get(s.t.Context(), topology.Join("user-sync"))
		if err != nil || !strings.Contains(string(e.Value), "user-sync/"+instance) {
			return fmt.Sprintf("the lease is %q, %v", e.Value, err)
		}
		return ""
	})
}
