package usersync

import (
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// Somebody renames Anna at the phone system, a moment after it was listed: a run does not
// wait for the next listing, which is up to a quarter of an hour away. (A run by the clock:
// services/e2e/virtual.)
func TestARunKnowsWhatSomebodyJustChangedAtThePhoneSystem(t *testing.T) {
	rename := func(e *directory.Extension) { e.FirstName = "Hanna" }
	begin := func(t *testing.T, opts Options) (*stage, *phones) {
		s := newStage(t)
		p := s.phones()
		p.listed()
		s.publish(named(1, "Anna"))
		s.start(opts)
		p.eventually("200 Anna")
		s.owned("200", person(1))
		return s, p
	}
	t.Run("synchronised by order", func(t *testing.T) {
		s, p := begin(t, synchronising("sync"))
		p.edit("200", rename)
		if out := s.ordered(wire.SyncOrder{ID: "1", Op: wire.SyncNow}); out.State != wire.SyncDone {
			t.Errorf("%+v", out)
		}
		p.eventually("200 Anna")
	})
	t.Run("planned", func(t *testing.T) {
		s, p := begin(t, synchronising("sync"))
		p.edit("200", rename)
		if out := s.ordered(wire.SyncOrder{ID: "1", Op: wire.SyncPlan}); out.Total != 1 && p.shows() != "200 Anna" {
			t.Errorf("%+v", out)
		}
	})
	t.Run("a phone system that does not answer holds nothing up, and it is said", func(t *testing.T) {
		opts := synchronising("sync")
		opts.Listing = 100 * time.Millisecond
		s, p := begin(t, opts)
		p.mu.Lock()
		p.away = true
		p.mu.Unlock()
		out := s.ordered(wire.SyncOrder{ID: "1", Op: wire.SyncPlan})
		if out.State != wire.SyncPlanned || !strings.Contains(out.Detail, "phone system hq did not list its extensions now: they are as of 20") {
			t.Errorf("%+v", out)
		}
	})
}

// The phone system of another tenant does not answer, and its orders wait for it.
func TestAnOrderDoesNotWaitForAnotherTenantsPhoneSystem(t *testing.T) {
	s := newStage(t)
	p := s.phones()
	p.listed()
	s.publish(wire.System{System: "branch", ListedAt: s.bus.Now(), Fields: []directory.Field{directory.FirstName}}, named(1, "Anna"))
	opts := synchronising("sync")
	opts.Serves["branch"], opts.Rules["fabrikam"] = []identity.Tenant{"fabrikam"}, opts.Rules["contoso"]
	s.start(opts)
	p.eventually("200 Anna")
	for _, id := range []string{"1", "2", "3"} {
		s.publish(wire.SyncOrder{ID: id, Tenant: "fabrikam", Kind: wire.SyncUsers, Op: wire.SyncPlan})
	}
	if out := s.ordered(wire.SyncOrder{ID: "1", Op: wire.SyncNow}); out.State != wire.SyncDone {
		t.Errorf("%+v", out)
	}
	if m, err := s.bus.Last(t.Context(), topology.Outcomes, wire.SyncOutcomeSubject("fabrikam", "1")); err == nil {
		t.Errorf("theirs has ended as well, so that nothing is shown: %s", m.Subject)
	}
}
