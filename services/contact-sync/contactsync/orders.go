package contactsync

import (
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"time"

	"offhook.dev/libs/books"
	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/plans"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// job is an order to apply or to synchronise that is under way. It is at rest in the
// bucket `bookplans` for as long, so that whoever holds the lease goes on with it.
type job struct {
	Order wire.SyncOrder `json:"order"`
	Plan  string         `json:"plan"`
	Total int            `json:"total"` // changes that are to be done
	Held  int            `json:"held"`  // deletions that are not, because of the brake
	// Trouble is how many changes went wrong before and are not tried again.
	Trouble int       `json:"trouble"`
	Began   time.Time `json:"began"`

	revision uint64
	counted  bool      // what is left was counted by the rules of an order
	done     int       // at the last look
	moved    time.Time // when done last changed
	// details are what phone systems said to changes that went wrong; of tenant.mu.
	details map[string]string
	told    bool // its end was told, or is about to be; of tenant.mu
}

func (t *tenant) jobKey() string { return topology.Join(string(t.conf.ID), "order") }

// rules are what limits changes now. Whoever applies a plan overrules a policy of off,
// and no other.
func (t *tenant) rules() rules {
	t.mu.Lock()
	defer t.mu.Unlock()
	return t.rulesNow()
}

// rulesNow is rules; t.mu is held.
func (t *tenant) rulesNow() rules { return t.rulesFor(t.job != nil) }

func (t *tenant) rulesFor(ordered bool) rules {
	r := rules{policy: t.conf.Policy, brake: t.conf.Brake}
	if ordered && r.policy == plan.Off {
		r.policy = plan.Sync
	}
	return r
}

// planID is the plan that changes are of now, or "".
func (t *tenant) planID() string {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.job == nil {
		return ""
	}
	return t.job.Plan
}

// resume goes on with a job that was under way.
func (t *tenant) resume(ctx context.Context) error {
	e, err := t.s.plans.Get(ctx, t.jobKey())
	switch {
	case err != nil && fault.KindOf(err) == fault.NotFound:
		return nil
	case err != nil:
		return err
	}
	var j job
	if err := json.Unmarshal(e.Value, &j); err != nil {
		t.log.Error("an order that was under way cannot be read; it is given up", "error", err)
		return t.s.plans.Delete(ctx, e.Key, e.Revision)
	}
	j.revision, j.moved = e.Revision, t.s.bus.Now()
	t.job = &j
	return nil
}

// consumeOrders takes what is ordered, one at a time.
func (t *tenant) consumeOrders(ctx context.Context) error {
	return t.s.bus.Consume(ctx, bus.Consumer{
		Stream: topology.Orders, Durable: topology.Token(string(topology.ContactSync) + "-" + string(t.conf.ID) + "-orders"),
		Filters: []string{topology.Wildcard("order.contacts." + topology.Token(string(t.conf.ID)) + ".<id>")}, InFlight: 1, Workers: 1,
		Patience: 2*t.s.opts.Settle + 5*time.Minute,
	}, t.order)
}

// order begins what is ordered. A repetition of what is under way, or has ended, is
// nothing new.
func (t *tenant) order(ctx context.Context, m bus.Message) error {
	o, err := wire.DecodeSyncOrder(m.Data)
	if err != nil {
		return err
	}
	if o.Tenant != t.conf.ID || o.Kind != wire.SyncContacts {
		return fault.Errorf(fault.Invalid, "contacts order", "it is of another tenant or kind than its subject says")
	}
	if known, err := t.known(ctx, o); known || err != nil {
		return err
	}
	if !o.Expires.IsZero() && !t.s.bus.Now().Before(o.Expires) {
		return t.tell(ctx, wire.SyncOutcome{State: wire.SyncExpired, Detail: "the order is too old"}, o)
	}
	switch o.Op {
	case wire.SyncPlan:
		_, err := t.makePlan(ctx, o)
		return err
	case wire.SyncApply, wire.SyncNow:
		return t.begin(ctx, o)
	}
	return t.tell(ctx, wire.SyncOutcome{State: wire.SyncRefused, Detail: fmt.Sprintf("contact-sync does not %q", o.Op)}, o)
}

// known says whether an order is under way or has ended.
func (t *tenant) known(ctx context.Context, o wire.SyncOrder) (bool, error) {
	t.mu.Lock()
	under := t.job != nil && t.job.Order.ID == o.ID
	t.mu.Unlock()
	if under {
		return true, nil
	}
	return plans.Ended(ctx, t.s.bus, o)
}

// tell publishes how far an order is.
func (t *tenant) tell(ctx context.Context, out wire.SyncOutcome, o wire.SyncOrder) error {
	out.ID, out.Tenant, out.Kind, out.Op, out.At = o.ID, o.Tenant, o.Kind, o.Op, t.s.bus.Now()
	if out.State.Ended(o.Op) {
		t.log.Info("order about contacts", "order", o.ID, "op", string(o.Op), "state", string(out.State), "plan", out.Plan,
			"total", out.Total, "done", out.Done, "failed", out.Failed, "detail", out.Detail)
	}
	subject, data := out.Encode()
	return t.s.opts.effects.Around("tell", func() error {
		_, err := t.s.bus.Publish(ctx, bus.Message{Subject: subject, Data: data})
		return err
	})
}

// begin starts to apply a plan, or to synchronise.
func (t *tenant) begin(ctx context.Context, o wire.SyncOrder) error {
	t.mu.Lock()
	other := t.job
	over := other != nil && other.told
	t.mu.Unlock()
	if over { // whoever heard of its end may order the next before it is put away
		return fault.Errorf(fault.Unavailable, "contacts order", "the order %s is being put away", other.Order.ID)
	}
	if other != nil {
		return t.tell(ctx, wire.SyncOutcome{State: wire.SyncRefused, Detail: "the order " + other.Order.ID + " is under way"}, o)
	}
	shown, refusal, err := t.shown(ctx, o)
	if err != nil {
		return err
	}
	if refusal.State != "" {
		return t.tell(ctx, refusal, o)
	}
	trouble, err := t.prepare(ctx, o.Force)
	if err != nil {
		return err
	}
	if o.Force {
		shown.Total, shown.Brake.Held = shown.Total+shown.Brake.Held, 0
	}
	now := t.s.bus.Now()
	j := &job{Order: o, Plan: shown.ID, Total: shown.Total, Held: shown.Brake.Held, Trouble: trouble, Began: now, moved: now}
	value, err := json.Marshal(j)
	if err != nil {
		return fault.New(fault.Invalid, "contacts order", err)
	}
	if j.revision, err = t.s.plans.Put(ctx, t.jobKey(), value); err != nil {
		return err
	}
	if err := t.s.opts.effects.Around("note", func() error { return t.applying(ctx, j) }); err != nil {
		return err
	}
	t.mu.Lock()
	t.job = j
	t.mu.Unlock()
	return t.tell(ctx, wire.SyncOutcome{State: wire.SyncApplying, Plan: j.Plan, Total: j.Total}, o)
}

// shown returns the plan that an order is about; one that must not be applied any more is
// refused. To synchronise is to make a plan and apply it at once.
func (t *tenant) shown(ctx context.Context, o wire.SyncOrder) (plans.Head, wire.SyncOutcome, error) {
	if o.Op == wire.SyncNow {
		p, err := t.makePlan(ctx, o)
		return p, wire.SyncOutcome{}, err
	}
	p, err := plans.Read(ctx, t.s.plans, o.Plan)
	switch {
	case err != nil && fault.KindOf(err) == fault.NotFound, err == nil && (p.Tenant != o.Tenant || p.Kind != o.Kind):
		return p, wire.SyncOutcome{State: wire.SyncRefused, Plan: o.Plan, Detail: "there is no such plan"}, nil
	case err != nil:
		return p, wire.SyncOutcome{}, err
	case p.State == wire.SyncApplying && p.Order == o.ID: // it was cut off when it began
		return p, wire.SyncOutcome{}, nil
	case p.State != wire.SyncPlanned:
		return p, wire.SyncOutcome{State: wire.SyncRefused, Plan: p.ID, Detail: "the plan is applied already"}, nil
	case !t.s.bus.Now().Before(p.Expires):
		return p, wire.SyncOutcome{State: wire.SyncExpired, Plan: p.ID, Detail: "the plan expired: make a new one"}, nil
	}
	current, err := t.plan(ctx)
	if err != nil {
		return p, wire.SyncOutcome{}, err
	}
	if err := cmp.Or(t.stillOn(p), p.Check(t.s.bus.Now(), current.Digest)); err != nil {
		return p, wire.SyncOutcome{State: wire.SyncStale, Plan: p.ID, Detail: err.Error()}, nil
	}
	return p, wire.SyncOutcome{}, nil
}

// supervise tells how far a job is until it ends.
func (t *tenant) supervise(ctx context.Context) {
	every := time.NewTicker(t.s.opts.Progress)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		if err := t.look(ctx); err != nil && ctx.Err() == nil {
			t.log.Warn("an order is looked at again", "error", err)
		}
	}
}

// look compares a job with how the phonebooks stand.
func (t *tenant) look(ctx context.Context) error {
	t.mu.Lock()
	j := t.job
	t.mu.Unlock()
	if j == nil {
		return nil
	}
	if !j.counted {
		if err := t.recount(ctx); err != nil {
			return err
		}
		j.counted = true
		t.wakeAll() // those that have something to do now
	}
	now, sum := t.s.bus.Now(), t.sum()
	left := sum.Creates + sum.Updates + sum.Deletes - sum.Held
	failed := max(0, sum.Trouble-j.Trouble)
	done := min(max(0, j.Total-left), j.Total)
	if done != j.done {
		j.done, j.moved = done, now
		if left > 0 {
			return t.tell(ctx, wire.SyncOutcome{State: wire.SyncApplying, Plan: j.Plan, Total: j.Total, Done: done, Failed: failed}, j.Order)
		}
	}
	out := wire.SyncOutcome{Plan: j.Plan, Total: j.Total, Done: done, Failed: failed}
	switch {
	case left > 0 && now.Sub(j.moved) < t.s.opts.Patience:
		return nil
	case left > 0:
		out.State, out.Detail = wire.SyncFailed, fmt.Sprintf("%d changes wait for a phone system or for a mailbox to be read", left)
	case sum.Held > 0:
		out.State, out.Detail = wire.SyncBraked, fmt.Sprintf("%d deletions are held back: --force does them", sum.Held)
	default:
		out.State = wire.SyncDone
	}
	if err := t.s.opts.effects.Around("over", func() error { return t.over(ctx, j, out, sum.Held) }); err != nil {
		return err
	}
	t.mu.Lock()
	j.told = true
	t.mu.Unlock()
	if err := t.tell(ctx, out, j.Order); err != nil {
		return err
	}
	if err := t.s.plans.Delete(ctx, t.jobKey(), j.revision); err != nil {
		return err
	}
	t.mu.Lock()
	t.job = nil
	t.mu.Unlock()
	return t.recount(ctx)
}

// sum adds up how all books stand.
func (t *tenant) sum() books.Counts {
	t.mu.Lock()
	defer t.mu.Unlock()
	var sum books.Counts
	for _, m := range t.mailboxes {
		for _, b := range m.books {
			sum.Add(b.Counts)
		}
	}
	return sum
}

// recount counts anew what is to be done, after the rules changed.
func (t *tenant) recount(ctx context.Context) error {
	return t.everyBook(ctx, func(v stored) error {
		t.mu.Lock()
		defer t.mu.Unlock()
		if m := t.mailboxes[v.who.User]; m != nil && m.books[v.where].revision == v.revision {
			t.put(m, v.where, t.briefOf(v, t.rulesNow()))
		}
		return nil
	})
}

// prepare has an order try again what went wrong before, and counts what is not tried again:
// by the very change that lets the rest be, since that can go wrong again at once. It is the
// books that are asked, since what is known of a mailbox that is just being read may be less.
// With force also everything is deleted that the brake holds back now, and what stays in books
// that the configuration does not ask for any more.
func (t *tenant) prepare(ctx context.Context, force bool) (trouble int, err error) {
	err = t.everyBook(ctx, func(v stored) error {
		stands, r, left := t.standing(v), t.rulesFor(true), 0
		leaves := force && !stands.wanted && stands.leave == stay
		err := t.change(ctx, v, func(b *book) (changed bool) {
			if leaves && b.flight == "" {
				b.leave()
				changed = true
			}
			if s := b.brake(r, t.s.bus.Now()); force && s.due+s.refused > 0 {
				b.lift()
				changed = true
			}
			forgiven := stands.served && b.forgive(r) != nil
			counts, _ := b.count(r, t.s.bus.Now())
			left = counts.Trouble
			return forgiven || changed
		})
		trouble += left
		return err
	})
	return trouble, err
}

// standing is what a book that is at rest is to its mailbox.
func (t *tenant) standing(v stored) standing {
	t.mu.Lock()
	m := t.mailbox(v.who.User)
	t.mu.Unlock()
	return t.standings(v.who, m)[v.where]
}

// change changes one value, where do says that there is something to change; whoever works
// on the book meanwhile starts again.
func (t *tenant) change(ctx context.Context, v stored, do func(*book) bool) error {
	for do(v.book) {
		err := t.s.opts.effects.Around("lift", func() (err error) {
			v.revision, err = t.s.books.Set(ctx, bookKey(v.who, v.where), v.book.encode(), v.revision)
			return err
		})
		if err == nil {
			t.mu.Lock()
			defer t.mu.Unlock()
			if m := t.mailboxes[v.who.User]; m != nil {
				t.put(m, v.where, t.briefOf(v, t.rulesFor(true)))
			}
			return nil
		}
		if fault.KindOf(err) != fault.Conflict {
			return err
		}
		e, err := t.s.books.Get(ctx, bookKey(v.who, v.where))
		if err != nil {
			if fault.KindOf(err) == fault.NotFound {
				return nil
			}
			return err
		}
		if v.book, err = decodeBook(e.Value); err != nil {
			return err
		}
		v.revision = e.Revision
	}
	return nil
}

// stored is a book as it is at rest.
type stored struct {
	who      identity.Person
	where    directory.Book
	book     *book
	revision uint64
}

// briefOf tells how a book stands at rest; t.mu is held.
func (t *tenant) briefOf(v stored, r rules) brief {
	now := t.s.bus.Now()
	return v.book.brief(v.revision, t.braked(r, v.who.User, v.where, now), now)
}

// everyBook calls do for every book of the tenant, one at a time.
func (t *tenant) everyBook(ctx context.Context, do func(stored) error) error {
	return t.s.books.Each(ctx, topology.Token(string(t.conf.ID))+".*.*.*", func(e store.Entry) error {
		who, where, err := parseBookKey(e.Key)
		if err != nil {
			return nil
		}
		b, err := decodeBook(e.Value)
		if err != nil {
			return nil // it is made anew when its mailbox is worked on
		}
		return do(stored{who, where, b, e.Revision})
	})
}
