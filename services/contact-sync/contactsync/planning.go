package contactsync

import (
	"context"
	"strconv"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/plans"
	"offhook.dev/libs/wire"
)

// makePlan answers an order with a plan. Pages that are on their way are folded first,
// for as long as Options.Settle.
func (t *tenant) makePlan(ctx context.Context, o wire.SyncOrder) (plans.Head, error) {
	if err := t.tell(ctx, wire.SyncOutcome{State: wire.SyncReading}, o); err != nil {
		return plans.Head{}, err
	}
	left := t.settled(ctx)
	if ctx.Err() != nil {
		return plans.Head{}, fault.New(fault.Cancelled, "contacts plan", context.Cause(ctx))
	}
	p, err := t.plan(ctx)
	if err != nil {
		return p, err
	}
	p.ID, p.Expires = plans.IDOf(o.Tenant, o.Kind, o.ID), p.Made.Add(t.s.opts.PlanFor)
	switch {
	case left > 0:
		p.Incomplete = strconv.Itoa(left) + " pages of contacts are still on their way"
	case t.unread() > 0:
		p.Incomplete = strconv.Itoa(t.unread()) + " mailboxes wait for a full reading"
	}
	if err := plans.Forget(ctx, t.s.plans, t.s.bus.Now()); err != nil {
		return p, err
	}
	if err := t.s.opts.effects.Around("plan", func() error { return plans.Save(ctx, t.s.plans, p) }); err != nil {
		return p, err
	}
	return p, t.tell(ctx, wire.SyncOutcome{State: wire.SyncPlanned, Plan: p.ID, Total: p.Total, Detail: p.Incomplete}, o)
}

// settled waits until no page waits that could be folded now, and returns how many do.
func (t *tenant) settled(ctx context.Context) int {
	const often = 20 * time.Millisecond
	deadline := time.After(t.s.opts.Settle)
	for {
		left := t.waits()
		if left == 0 {
			return 0
		}
		select {
		case <-ctx.Done():
			return left
		case <-deadline:
			return left
		case <-time.After(often):
		}
	}
}

// waits counts the pages that wait.
func (t *tenant) waits() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for _, m := range t.mailboxes {
		n += len(m.pages)
	}
	return n
}

// unread counts the mailboxes that something is missing of.
func (t *tenant) unread() int {
	t.mu.Lock()
	defer t.mu.Unlock()
	n := 0
	for _, m := range t.mailboxes {
		if !m.asked.IsZero() || !m.lacking.IsZero() {
			n++
		}
	}
	return n
}

// mostRemarked bounds how many of the changes that a plan lists are contacts with nothing to
// do, of which something is to be told.
const mostRemarked = 1_000

// plan compares both sides of every book that is at rest.
func (t *tenant) plan(ctx context.Context) (plans.Head, error) {
	now := t.s.bus.Now().UTC()
	r := t.rulesFor(true)
	p := plans.Head{Tenant: t.conf.ID, Kind: wire.SyncContacts, Made: now, State: wire.SyncPlanned, Plan: plan.Plan{Basis: t.basis()}}
	var failed error
	remarked := 0
	p.Digest = plan.Digest(func(yield func(plan.Change) bool) {
		failed = t.everyBook(ctx, func(v stored) error {
			p.Basis[basisBooks] = max(p.Basis[basisBooks], v.revision)
			more := true
			tried, at := v.tried(t.standing(v), r)
			t.mu.Lock()
			r := t.braked(r, v.who.User, v.where, now)
			t.mu.Unlock()
			s := v.book.brake(r, now)
			p.Brake.Linked += s.linked
			p.Brake.Removed += s.recent + s.due
			v.book.each(v, r, now, func(c plan.Change) {
				if why, was := tried[c.Object]; was {
					c.Tried = &plan.Attempt{At: at, Result: why.String()}
				}
				more = more && yield(c)
				if c.Held {
					p.Brake.Held++
					p.Brake.Tripped = true
				}
				c.Fields = nil // fingerprints: for the digest, not for people
				if c.Reason == string(directory.Same) {
					if remarked++; remarked > mostRemarked {
						p.Remark(c)
						return
					}
				}
				p.Add(c, t.s.opts.listed)
			})
			return nil
		})
	})
	return p, failed
}

// tried returns what went wrong before, by the object of its change, and when; and has it
// be as whoever applies the plan has it, which is to try it again.
func (v stored) tried(stands standing, r rules) (tried map[string]trouble, at time.Time) {
	if !stands.served {
		return nil, at
	}
	at = v.book.troubleAt
	for source, why := range v.book.forgive(r) {
		if tried == nil {
			tried = map[string]trouble{}
		}
		tried[v.object(source)] = why
	}
	return tried, at
}

// object is what a plan calls a contact.
func (v stored) object(source string) string {
	return string(v.who.Tenant) + "/" + string(v.who.User) + "/" + source
}

// Reasons of changes in plans: a closed list, beside the troubles.
const (
	reasonNew     = "new"
	reasonChanged = "changed"
	reasonGone    = "gone"
)

var reasons = map[plan.Op]string{plan.Create: reasonNew, plan.Update: reasonChanged, plan.Delete: reasonGone}

// each calls do for every change that the book needs. What is not done, because of the
// policy or because it failed, is a skip; so is what is as it should be and has remarks.
func (b *book) each(v stored, r rules, now time.Time, do func(plan.Change)) {
	held := b.brake(r, now).held > 0
	twins := b.twins()
	for i := range b.entries {
		e := &b.entries[i]
		op, told := e.todo(), e.notes.remarks()
		if e.seen != 0 && twins[e.seen] > 1 {
			told = append(told, plan.Remark{Reason: string(directory.Twice)})
		}
		if op == "" && len(told) == 0 {
			continue
		}
		c := plan.Change{Op: op, Remarks: told, Object: v.object(e.source), Line: v.where.String(), Reason: reasons[op]}
		switch {
		case op == "":
			c.Op, c.Reason = plan.Skip, string(directory.Same)
		case e.trouble != noTrouble:
			c.Op, c.Reason, c.Detail = plan.Skip, e.trouble.String(), string(op)+" was tried"
		case !r.allows(op):
			c.Op, c.Reason, c.Detail = plan.Skip, plan.ByPolicy, string(op)+" is not done under "+string(r.policy)
		case op == plan.Delete:
			c.Held = held && !e.lifted
		default:
			c.Fields = []plan.FieldChange{{Name: "content", From: strconv.FormatUint(e.written, 36), To: strconv.FormatUint(e.seen, 36)}}
		}
		do(c)
	}
}
