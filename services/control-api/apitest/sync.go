package apitest

import (
	"context"
	"encoding/json"
	"testing"

	"offhook.dev/libs/books"
	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/plans"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// Synchronises carries out orders about users and contacts, as graph-poller, user-sync and
// contact-sync do: it publishes what answer returns for each, in order, with the order's
// own words filled in. It ends with the test.
func (s *Stage) Synchronises(t testing.TB, answer func(wire.SyncOrder) []wire.SyncOutcome) {
	t.Helper()
	ctx, stop := context.WithCancel(context.WithoutCancel(t.Context()))
	ended := make(chan error, 1)
	go func() {
		ended <- s.Bus.Consume(ctx, bus.Consumer{
			Stream: topology.Orders, Durable: "synchronises", Workers: 1,
			Filters: []string{"order.read.*.*", "order.users.*.*", "order.contacts.*.*"},
		}, func(ctx context.Context, m bus.Message) error {
			order, err := wire.DecodeSyncOrder(m.Data)
			if err != nil {
				return err
			}
			for _, o := range answer(order) {
				o.ID, o.Tenant, o.Kind, o.Op, o.At = order.ID, order.Tenant, order.Kind, order.Op, s.Bus.Now()
				subject, data := o.Encode()
				if _, err := s.Bus.Publish(ctx, bus.Message{Subject: subject, Data: data}); err != nil {
					return err
				}
			}
			return nil
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil && fault.KindOf(err) != fault.Cancelled {
			t.Error(err)
		}
	})
}

// Planned stores a plan for extensions as user-sync does. What the head leaves open is
// as of a plan that was made now.
func (s *Stage) Planned(t testing.TB, h plans.Head) plans.Head {
	t.Helper()
	if h.State == "" {
		h.State = wire.SyncPlanned
	}
	if h.Made.IsZero() {
		h.Made = s.Bus.Now()
	}
	if h.Expires.IsZero() {
		h.Expires = h.Made.Add(plans.Life)
	}
	for _, c := range h.Changes {
		if c.Op.Acts() && !c.Held && h.State == wire.SyncPlanned {
			h.Total++
		}
	}
	s.keep(t, topology.Plans, func(b *store.Bucket) error { return plans.Save(t.Context(), b, h) })
	return h
}

// PlannedBooks stores a plan for phonebooks as contact-sync does. It was made now.
func (s *Stage) PlannedBooks(t testing.TB, tenant identity.Tenant, id string, changes ...plan.Change) plans.Head {
	t.Helper()
	now := s.Bus.Now()
	p := plans.Head{Plan: plan.Plan{ID: id, Expires: now.Add(plans.Life), Basis: map[string]uint64{"books": 7}}, Tenant: tenant, Kind: wire.SyncContacts, Made: now, State: wire.SyncPlanned}
	for _, c := range changes {
		if c.Held {
			p.Brake.Held++
			p.Brake.Tripped = true
		}
		p.Add(c, 10_000)
	}
	s.keep(t, topology.BookPlans, func(b *store.Bucket) error { return plans.Save(t.Context(), b, p) })
	return p
}

// Ended notes how the order ended that a plan for phonebooks was applied by, as
// contact-sync does.
func (s *Stage) Ended(t testing.TB, id string, state wire.SyncState, total, done, failed int) {
	t.Helper()
	s.keep(t, topology.BookPlans, func(b *store.Bucket) error {
		h, err := plans.Read(t.Context(), b, id)
		if err != nil {
			return err
		}
		h.State, h.Total, h.Done, h.Failed = state, total, done, failed
		return plans.Note(t.Context(), b, h)
	})
}

// Stand stores how phonebooks stand as contact-sync does.
func (s *Stage) Stand(t testing.TB, state books.State) {
	t.Helper()
	value, err := json.Marshal(state)
	if err != nil {
		t.Fatal(err)
	}
	s.keep(t, topology.BookPlans, func(b *store.Bucket) error {
		_, err := b.Put(t.Context(), books.StateKey(state.Tenant), value)
		return err
	})
}

func (s *Stage) keep(t testing.TB, name topology.Bucket, save func(*store.Bucket) error) {
	t.Helper()
	bucket, err := store.Open(t.Context(), s.Bus.JetStream(), name)
	if err == nil {
		err = save(bucket)
	}
	if err != nil {
		t.Fatal(err)
	}
}

// APlan is a plan with one change of each kind, of which the brake holds two back.
func APlan(id string) plans.Head {
	who := func(n int) string { return Person("contoso", n).String() }
	changes := []plan.Change{
		{Op: plan.Create, Object: who(11), Line: "hq/201", Name: "emil@contoso.example", Reason: "new",
			Fields: []plan.FieldChange{{Name: "first_name", To: "Emil"}, {Name: "last_name", To: "Ekström"}, {Name: "mail", To: "emil@contoso.example"}}},
		{Op: plan.Update, Object: who(12), Line: "hq/103", Name: "fiona@contoso.example", Reason: "differs",
			Fields: []plan.FieldChange{{Name: "mobile", From: "+49 170 1", To: "+49 170 2"}, {Name: "department", From: "Sales", To: ""}}},
		{Op: plan.Adopt, Object: who(13), Line: "hq/104", Name: "gerd@contoso.example", Reason: "address"},
		{Op: plan.Return, Object: who(14), Line: "hq/105", Name: "hanna@contoso.example", Reason: "back", Fields: []plan.FieldChange{{Name: "enabled", From: "false", To: "true"}}},
		{Op: plan.Disable, Object: who(15), Line: "hq/106", Name: "ivo@contoso.example", Reason: "account-disabled", Held: true, Fields: []plan.FieldChange{{Name: "enabled", From: "true", To: "false"}}},
		{Op: plan.Delete, Object: who(16), Line: "hq/107", Reason: "hold-over", Held: true},
		{Op: plan.Conflict, Object: who(17), Name: "jana@contoso.example", Reason: "several-extensions", Detail: "hq/108, hq/109"},
	}
	for n := range 7 {
		changes = append(changes, plan.Change{Op: plan.Skip, Object: who(20 + n), Name: "guest" + string(rune('0'+n)) + "@contoso.example", Reason: "guest"})
	}
	changes = append(changes, plan.Change{Op: plan.Skip, Object: who(30), Name: "scanner@contoso.example", Reason: "no-name"})
	return plans.Head{Tenant: identity.Tenant("contoso"), Kind: wire.SyncUsers, Plan: plan.Plan{ID: id, Basis: map[string]uint64{"users": 15, "extensions hq": 8},
		Changes: changes, Brake: plan.State{Tripped: true, Removed: 5, Linked: 40, Held: 2}}}
}
