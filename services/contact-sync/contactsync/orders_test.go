package contactsync

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/plans"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// order asks for something.
func (s *stage) order(id string, op wire.SyncOp, change func(*wire.SyncOrder)) {
	s.t.Helper()
	o := wire.SyncOrder{ID: id, Tenant: contoso, Kind: wire.SyncContacts, Op: op, AskedAt: s.bus.Now(), Expires: s.bus.Now().Add(time.Hour)}
	if change != nil {
		change(&o)
	}
	s.publish(o)
}

// ended waits until an order has ended as it should.
func (s *stage) ended(id string, want wire.SyncState) (o wire.SyncOutcome) {
	s.t.Helper()
	s.eventually(func() string {
		m, err := s.bus.Last(s.t.Context(), topology.Outcomes, wire.SyncOutcomeSubject(contoso, id))
		if err != nil {
			return err.Error()
		}
		o, err = wire.DecodeSyncOutcome(m.Data)
		s.must(err)
		if o.State != want {
			return fmt.Sprintf("the order %s is %+v, want %s", id, o, want)
		}
		return ""
	})
	return o
}

// states lists what was told of an order.
func (s *stage) states(id string) (all []wire.SyncState) {
	s.t.Helper()
	s.must(s.bus.History(s.t.Context(), topology.Outcomes, wire.SyncOutcomeSubject(contoso, id), func(m bus.Message) error {
		o, err := wire.DecodeSyncOutcome(m.Data)
		s.must(err)
		if n := len(all); n == 0 || all[n-1] != o.State {
			all = append(all, o.State)
		}
		return nil
	}))
	return all
}

// shown makes a plan and returns it.
func (s *stage) shown(id string) plans.Head {
	s.t.Helper()
	s.order(id, wire.SyncPlan, nil)
	o := s.ended(id, wire.SyncPlanned)
	p, err := plans.Load(s.t.Context(), s.stores[topology.BookPlans], o.Plan)
	s.must(err)
	if o.Total != p.Total || !p.Expires.After(s.bus.Now()) {
		s.t.Errorf("outcome %+v of plan %+v", o, p)
	}
	return p
}

func counts(p plans.Head) string {
	of := map[plan.Op]int{}
	for _, c := range p.Changes {
		of[c.Op]++
	}
	return fmt.Sprintf("%d create, %d update, %d delete, %d skip; %d held", of[plan.Create], of[plan.Update], of[plan.Delete], of[plan.Skip], p.Brake.Held)
}

func TestWithThePolicyOffAPlanIsShownAndApplied(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.opts.Tenants[0].Policy = plan.Off
	p := s.system(hq, nil)
	s.link(person(1), lineOf(hq, "204"))
	o := s.mailbox(person(1), false)
	o.many("contacts", 0, 150, 1)
	s.start()
	o.full()
	s.stands(person(1), bookOf(hq, "204"), whyPolicy)
	first := s.shown("p1")
	if got := counts(first); got != "150 create, 0 update, 0 delete, 0 skip; 0 held" || len(first.Changes) != 150 || first.Incomplete != "" {
		t.Errorf("%s: %+v", got, first)
	}
	if c := first.Changes[0]; c.Op != plan.Create || c.Line != "hq/204" || c.Reason != reasonNew || c.Fields != nil {
		t.Errorf("%+v", c)
	}
	p.quiet(t, "planned", 0, 0, 0)

	s.order("a1", wire.SyncApply, func(o *wire.SyncOrder) { o.Plan = first.ID })
	if done := s.ended("a1", wire.SyncDone); done.Total != 150 || done.Done != 150 || done.Failed != 0 || done.Plan != first.ID {
		t.Errorf("%+v", done)
	}
	s.synced()
	p.quiet(t, "applied", 150, 0, 0)

	// Changes wait again, and a plan that was made before them is stale.
	empty := s.shown("p2")
	o.many("contacts", 0, 2, 2)
	o.remove("contacts", 7)
	o.delta()
	s.eventually(func() string {
		if got := counts(s.planOf(t)); got != "0 create, 2 update, 1 delete, 0 skip; 0 held" {
			return got
		}
		return ""
	})
	p.quiet(t, "off again", 150, 0, 0)
	s.order("a2", wire.SyncApply, func(o *wire.SyncOrder) { o.Plan = empty.ID })
	s.ended("a2", wire.SyncStale)
	s.order("now", wire.SyncNow, nil)
	s.ended("now", wire.SyncDone)
	s.synced()
	p.quiet(t, "synchronised", 150, 2, 1)
}

// planOf makes a plan under an id of its own.
func (s *stage) planOf(t *testing.T) plans.Head {
	t.Helper()
	s.serial++
	return s.shown(fmt.Sprint("look", s.serial))
}

func TestOrdersThatAreNotCarriedOut(t *testing.T) {
	s, _, p := one(t, 10)
	old := s.shown("p1")
	value := old
	value.Expires = s.bus.Now().Add(-time.Second)
	s.must(plans.Save(t.Context(), s.stores[topology.BookPlans], value))
	for _, c := range []struct {
		name   string
		op     wire.SyncOp
		change func(*wire.SyncOrder)
		want   wire.SyncState
	}{
		{"too old", wire.SyncNow, func(o *wire.SyncOrder) { o.Expires = s.bus.Now().Add(-time.Second) }, wire.SyncExpired},
		{"a plan that there is not", wire.SyncApply, func(o *wire.SyncOrder) { o.Plan = "other" }, wire.SyncRefused},
		{"a plan that expired", wire.SyncApply, func(o *wire.SyncOrder) { o.Plan = old.ID }, wire.SyncExpired},
		{"nothing of ours", "dance", nil, wire.SyncRefused},
	} {
		id := topology.Token(c.name)
		s.order(id, c.op, c.change)
		if o := s.ended(id, c.want); o.Detail == "" {
			t.Errorf("%s: %+v says nothing", c.name, o)
		}
	}
	p.quiet(t, "nothing of it", 10, 0, 0)
	// What names another tenant than its subject is parked.
	_, data := wire.SyncOrder{ID: "x", Tenant: "fabrikam", Kind: wire.SyncContacts, Op: wire.SyncNow}.Encode()
	_, err := s.bus.Publish(t.Context(), bus.Message{Subject: "order.contacts.contoso.x", Data: data})
	s.must(err)
	s.parked(1)
}

func TestDeletionsThatTheBrakeHoldsGoWhenSomebodySaysSo(t *testing.T) {
	t.Parallel()
	s, o, p := one(t, 60)
	for i := range 20 {
		o.remove("contacts", i)
	}
	o.delta()
	if stands := s.stands(person(1), bookOf(hq, "204"), whyHeld); stands.Held != 20 || stands.Deletes != 20 {
		t.Errorf("%+v", stands)
	}
	p.quiet(t, "held", 60, 0, 0)
	shown := s.shown("p1")
	if got := counts(shown); got != "0 create, 0 update, 20 delete, 0 skip; 20 held" || !shown.Changes[0].Held || !shown.Brake.Tripped || shown.Total != 0 {
		t.Errorf("%s: %+v", got, shown.Brake)
	}
	s.order("careful", wire.SyncNow, nil)
	if out := s.ended("careful", wire.SyncBraked); out.Detail == "" {
		t.Errorf("%+v", out)
	}
	p.quiet(t, "braked", 60, 0, 0)
	s.order("forced", wire.SyncApply, func(o *wire.SyncOrder) { o.Plan, o.Force = shown.ID, true })
	if out := s.ended("forced", wire.SyncDone); out.Total != 20 || out.Done != 20 {
		t.Errorf("%+v", out)
	}
	s.synced()
	p.quiet(t, "forced", 60, 0, 20)
	// What a person allowed is not held against what comes next.
	o.remove("contacts", 30)
	o.delta()
	s.synced()
}

func TestAnOrderGoesOnAfterARestart(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	s.opts.Tenants[0].Policy = plan.Off
	p := s.system(hq, nil)
	p.goAway(true)
	s.link(person(1), lineOf(hq, "204"))
	o := s.mailbox(person(1), false)
	o.many("contacts", 0, 250, 1)
	l := s.start()
	o.full()
	s.stands(person(1), bookOf(hq, "204"), whyPolicy)
	s.order("now", wire.SyncNow, nil)
	s.eventually(func() string {
		if s.waiting() == 0 {
			return "nothing is sent"
		}
		return ""
	})
	l.stop()
	s.start()
	p.goAway(false)
	if out := s.ended("now", wire.SyncDone); out.Total != 250 || out.Done != 250 {
		t.Errorf("%+v", out)
	}
	s.synced()
	if states := s.states("now"); slices.Index(states, wire.SyncApplying) < 0 || states[len(states)-1] != wire.SyncDone {
		t.Errorf("it was told: %v", states)
	}
	// The same order again is nothing new.
	s.order("now", wire.SyncNow, nil)
	s.order("later", wire.SyncNow, nil)
	s.ended("later", wire.SyncDone)
	p.quiet(t, "once", 250, 0, 0)
}

func TestASecondOrderIsRefusedWhileOneIsUnderWay(t *testing.T) {
	s := newStage(t)
	p := s.system(hq, nil)
	p.goAway(true)
	s.link(person(1), lineOf(hq, "204"))
	o := s.mailbox(person(1), false)
	o.many("contacts", 0, 5, 1)
	s.opts.Settle = 50 * time.Millisecond
	s.start()
	o.full()
	s.eventually(func() string {
		if s.waiting() == 0 {
			return "nothing is sent"
		}
		return ""
	})
	s.order("first", wire.SyncNow, nil)
	s.ended("first", wire.SyncApplying)
	s.order("second", wire.SyncNow, nil)
	s.ended("second", wire.SyncRefused)
	p.goAway(false)
	s.ended("first", wire.SyncDone)
}

func TestPolicies(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		policy plan.Policy
		change bool
		want   string
	}{
		{plan.UpsertOnly, true, "11 1 0"},
		{plan.CreateOnly, true, "11 0 0"},
		{plan.Sync, true, "11 1 1"},
	} {
		s := newStage(t)
		s.opts.Tenants[0].Policy = c.policy
		p := s.system(hq, nil)
		s.link(person(1), lineOf(hq, "204"))
		o := s.mailbox(person(1), false)
		o.many("contacts", 0, 10, 1)
		s.start()
		o.full()
		s.filledBy(hq, "204", 10)
		o.many("contacts", 1, 2, 2)
		o.remove("contacts", 5)
		o.many("contacts", 50, 51, 1)
		o.delta()
		s.eventually(func() string {
			creates, updates, deletes := p.written()
			if got := fmt.Sprint(creates, updates, deletes); got != c.want {
				return fmt.Sprintf("under %s: %s, want %s", c.policy, got, c.want)
			}
			if n := s.unfinished(); len(n) > 0 {
				return n[0]
			}
			return ""
		})
		if shown := s.shown("p"); c.policy != plan.Sync && strings.Contains(counts(shown), " 0 skip") {
			t.Errorf("under %s the plan does not say what is left out: %+v", c.policy, shown)
		}
	}
}

// parked waits until so many messages were put aside.
func (s *stage) parked(n uint64) {
	s.t.Helper()
	s.eventually(func() string {
		if got := s.messages(topology.ParkedMsg); got != n {
			return fmt.Sprintf("%d messages are parked, want %d", got, n)
		}
		return ""
	})
}

// messages counts what is in a stream.
func (s *stage) messages(name topology.Stream) uint64 {
	s.t.Helper()
	stream, err := s.bus.JetStream().Stream(s.t.Context(), string(name))
	s.must(err)
	info, err := stream.Info(s.t.Context())
	s.must(err)
	return info.State.Msgs
}

// waiting counts the series that wait for a phone system.
func (s *stage) waiting() int { return int(s.messages(topology.Changes)) }

// Whoever hears of an order's end may ask for the next thing at once, before the first is
// put away: that is no reason to refuse it.
func TestTheNextOrderWaitsForOneWhoseEndWasTold(t *testing.T) {
	over := &tenant{job: &job{Order: wire.SyncOrder{ID: "first"}, told: true}}
	if err := over.begin(t.Context(), wire.SyncOrder{ID: "next"}); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("%v, want one that is tried again", err)
	}
}

// A visit that had begun before an order came noted what is to be done by the rules from
// before it: under the policy off that is nothing, and the order was told done.
func TestAVisitThatBeganBeforeAnOrderNotesWhatTheOrderIsToDo(t *testing.T) {
	s := newStage(t)
	s.opts.Tenants[0].Policy = plan.Off
	tenant := newTenant(&service{bus: s.bus, log: s.log, opts: s.opts}, store.Lease{}, s.opts.Tenants[0])
	where := bookOf(hq, "204")
	visiting := &stepping{visit: &visit{t: tenant, who: person(1), m: tenant.mailbox(person(1).User)}, where: where, rules: tenant.rules(), revision: 1,
		book: &book{entries: []entry{{source: "a", seen: 7}, {source: "b", seen: 8, written: 9, id: "1"}}}}
	visiting.note()
	if sum := tenant.sum(); sum.Creates+sum.Updates != 0 {
		t.Errorf("under the policy off there is something to do: %+v", sum)
	}
	tenant.job = &job{Total: 2}
	visiting.note()
	if sum := tenant.sum(); sum.Creates != 1 || sum.Updates != 1 {
		t.Errorf("the order is to do one creation and one update: %+v", sum)
	}
}
