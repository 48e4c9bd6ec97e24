package usersync

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/plans"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// orders does what people ask for. The phone systems of several are waited for side by
// side, so that one that does not answer delays nobody else's; then orders are begun one
// after the other, between two runs. One that is cut off comes again.
func (s *Sync) orders(ctx context.Context) error {
	return s.deps.Bus.Consume(ctx, bus.Consumer{
		Stream: topology.Orders, Durable: "user-sync-orders", Workers: ordersAtOnce, InFlight: ordersAtOnce, Patience: 10 * time.Minute,
		Filters: []string{topology.Wildcard("order.users.<tenant>.<id>")},
	}, func(ctx context.Context, m bus.Message) error {
		order, err := wire.DecodeSyncOrder(m.Data)
		if err != nil {
			return err
		}
		taken, late := s.deps.Bus.Now(), ""
		// A plan that is applied was made by what phone systems had, and changes nothing else.
		if order.Op != wire.SyncApply && !expired(order, taken) {
			if late, err = s.listAnew(ctx, order.Tenant, taken); err != nil {
				return err
			}
		}
		return s.between(ctx, func(ctx context.Context) error { return s.order(ctx, order, taken, late) })
	})
}

// ordersAtOnce is how many orders are in hand.
const ordersAtOnce = 64

// expired says whether an order that was taken at a moment came too late.
func expired(o wire.SyncOrder, taken time.Time) bool {
	return !o.Expires.IsZero() && !taken.Before(o.Expires)
}

// between has something done between two runs, and waits for it.
func (s *Sync) between(ctx context.Context, do func(context.Context) error) error {
	r := request{do: do, done: make(chan error, 1)}
	select {
	case <-ctx.Done():
		return fault.New(fault.Cancelled, "user-sync", context.Cause(ctx))
	case s.requests <- r:
	}
	select {
	case <-ctx.Done():
		return fault.New(fault.Cancelled, "user-sync", context.Cause(ctx))
	case err := <-r.done:
		return err
	}
}

// order carries out one order that was taken at a moment and says what came of it, and what
// was known too late for it. An error means: try again.
func (s *Sync) order(ctx context.Context, o wire.SyncOrder, taken time.Time, late string) error {
	out := wire.SyncOutcome{ID: o.ID, Tenant: o.Tenant, Kind: wire.SyncUsers, Op: o.Op}
	if over, err := plans.Ended(ctx, s.deps.Bus, o); over || err != nil {
		return err
	}
	if begun, err := s.begun(ctx, o); err != nil {
		return err
	} else if begun != nil {
		return s.apply(ctx, *begun, o, out)
	}
	if expired(o, taken) {
		out.State, out.Detail = wire.SyncExpired, "nobody took the order in time"
		return s.say(ctx, out)
	}
	switch o.Op {
	case wire.SyncPlan, wire.SyncNow:
		head, counts, err := s.make(ctx, o)
		if fault.KindOf(err) == fault.Invalid {
			out.State, out.Detail = wire.SyncFailed, err.Error()
			return s.say(ctx, out)
		}
		if err != nil {
			return err
		}
		out.State, out.Plan, out.Total, out.Detail = wire.SyncPlanned, head.ID, head.Total, summary(head, counts, late)
		if err := s.say(ctx, out); err != nil || o.Op == wire.SyncPlan {
			return err
		}
		return s.apply(ctx, head, o, out)
	case wire.SyncApply:
		head, err := plans.Read(ctx, s.plans, o.Plan)
		if fault.KindOf(err) == fault.NotFound || err == nil && head.Tenant != o.Tenant {
			out.State, out.Detail = wire.SyncRefused, fmt.Sprintf("there is no plan %q: make one with offhook plan users", o.Plan)
			return s.say(ctx, out)
		}
		if err != nil {
			return err
		}
		return s.apply(ctx, head, o, out)
	}
	out.State, out.Detail = wire.SyncRefused, "this version does not know how to "+string(o.Op)
	return s.say(ctx, out)
}

// begun returns the plan that an order was being applied with when it was cut off, or nil.
func (s *Sync) begun(ctx context.Context, o wire.SyncOrder) (*plans.Head, error) {
	id := o.Plan
	switch o.Op {
	case wire.SyncNow:
		id = plans.IDOf(o.Tenant, wire.SyncUsers, o.ID)
	case wire.SyncApply:
	default:
		return nil, nil
	}
	head, err := plans.Read(ctx, s.plans, id)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return nil, err
	}
	if err != nil || head.State != wire.SyncApplying || head.Order != o.ID || head.Tenant != o.Tenant {
		return nil, nil
	}
	return &head, nil
}

// make plans for an order and stores the plan, which has the same name if the order comes
// again, and returns how many changes of each kind it has. Its error is Invalid where
// nothing can be planned.
func (s *Sync) make(ctx context.Context, o wire.SyncOrder) (head plans.Head, counts map[plan.Op]int, err error) {
	now := s.deps.Bus.Now()
	head = plans.Head{Tenant: o.Tenant, Kind: wire.SyncUsers, Made: now, State: wire.SyncPlanned,
		Plan: plan.Plan{ID: plans.IDOf(o.Tenant, wire.SyncUsers, o.ID), Expires: now.Add(plans.Life)}}
	all, err := s.planAll(ctx, demand{tenant: o.Tenant})
	if err != nil {
		return head, nil, err
	}
	if err := plans.Forget(ctx, s.plans, now); err != nil {
		return head, nil, err
	}
	head.Basis, head.Digest, counts = s.basis(o.Tenant, all), digest(all), map[plan.Op]int{}
	for _, p := range all {
		head.Brake = worse(head.Brake, p.result.Brake)
		for c, step := range p.result.Shown() {
			if step != nil && step.Op.Acts() && step.Writes() {
				c.Tried = s.attempts.of(step.Line, step.Person)
			}
			counts[c.Op]++
			if head.Add(c, 0); len(head.Changes) == portion {
				if err := s.part(ctx, &head); err != nil {
					return head, nil, err
				}
			}
		}
	}
	if err := s.part(ctx, &head); err != nil {
		return head, nil, err
	}
	return head, counts, s.note(ctx, head)
}

// part stores the changes of a plan that its head holds, and note how far it has got.
func (s *Sync) part(ctx context.Context, head *plans.Head) error {
	return s.opts.effects.Around("part", func() error { return head.Part(ctx, s.plans) })
}

func (s *Sync) note(ctx context.Context, head plans.Head) error {
	return s.opts.effects.Around("plan", func() error { return plans.Note(ctx, s.plans, head) })
}

// planAll plans for all phone systems of a tenant, as far as that can be.
func (s *Sync) planAll(ctx context.Context, d demand) (all []planned, err error) {
	var cannot []string
	for _, system := range slices.Sorted(maps.Keys(s.opts.Serves)) {
		if !slices.Contains(s.opts.Serves[system], d.tenant) {
			continue
		}
		p, why, err := s.plan(ctx, system, d)
		switch {
		case err != nil:
			return nil, err
		case why != "":
			cannot = append(cannot, why)
		default:
			all = append(all, p)
		}
	}
	if len(all) == 0 {
		if len(cannot) == 0 {
			cannot = append(cannot, "no phone system serves tenant "+string(d.tenant))
		}
		return nil, fault.Errorf(fault.Invalid, "plan", "%s", strings.Join(cannot, "; "))
	}
	return all, nil
}

// basis is the revision of everything that a plan was made of: two plans with the same
// were made of the same. What follows from it is Digest's matter.
func (s *Sync) basis(tenant identity.Tenant, all []planned) map[string]uint64 {
	basis := map[string]uint64{"rules": s.rulesRevision(tenant), "links": s.records.revision()}
	s.facts.mu.Lock()
	defer s.facts.mu.Unlock()
	basis["users"], basis["groups"] = s.facts.seen["users "+string(tenant)], s.facts.seen["groups "+string(tenant)]
	for _, p := range all {
		for _, of := range []string{"extensions ", "system "} {
			basis[of+string(p.system)] = s.facts.seen[of+string(p.system)]
		}
	}
	return basis
}

// rulesRevision stands for what the configuration says of a tenant's users. Programs read
// it from JSON, so it has no more bits than their numbers.
func (s *Sync) rulesRevision(tenant identity.Tenant) uint64 {
	sum := sha256.New()
	fmt.Fprintf(sum, "%#v", s.opts.Rules[tenant])
	for _, e := range s.opts.Explicit {
		if e.Tenant == tenant {
			fmt.Fprintf(sum, "%#v", e)
		}
	}
	return binary.BigEndian.Uint64(sum.Sum(nil)) >> 12
}

// worse is what is shown of the brakes of several phone systems.
func worse(a, b plan.State) plan.State {
	return plan.State{Tripped: a.Tripped || b.Tripped, Removed: a.Removed + b.Removed, Linked: a.Linked + b.Linked, Held: a.Held + b.Held, Forced: a.Forced || b.Forced}
}

// apply does what a plan says, unless something else would be done now. A plan that was
// being applied when something broke goes on: by then part of it is done.
func (s *Sync) apply(ctx context.Context, head plans.Head, o wire.SyncOrder, out wire.SyncOutcome) error {
	out.Plan = head.ID
	d := demand{tenant: head.Tenant, plan: head.ID, due: []identity.Tenant{head.Tenant}}
	all, err := s.planAll(ctx, d)
	if fault.KindOf(err) == fault.Invalid && err != nil {
		out.State, out.Detail = wire.SyncFailed, err.Error()
		return s.say(ctx, out)
	}
	if err != nil {
		return err
	}
	if head.State == wire.SyncPlanned {
		// Who orders what is due now was shown nothing: what came in since belongs to it.
		if err := head.Check(s.deps.Bus.Now(), digest(all)); err != nil && o.Op != wire.SyncNow {
			out.State, out.Detail = wire.SyncStale, err.Error()
			return s.say(ctx, out)
		}
	} else if head.State != wire.SyncApplying {
		out.State, out.Detail = wire.SyncRefused, "the plan is applied already"
		return s.say(ctx, out)
	} else if head.Order != o.ID && s.active.follows(head.ID) {
		out.State, out.Detail = wire.SyncRefused, "the plan is being applied by the order "+head.Order
		return s.say(ctx, out)
	}
	if d.force = o.Force; o.Force {
		if all, err = s.planAll(ctx, d); err != nil {
			return err
		}
	}
	head.Brake.Held = 0
	for _, p := range all {
		head.Brake.Held += p.result.Brake.Held
	}
	if head.State == wire.SyncPlanned { // else it was counted before some of it was done
		head.Total = writes(all)
	}
	head.State, head.Changes, head.Order, head.Op = wire.SyncApplying, nil, o.ID, o.Op
	if err := s.note(ctx, head); err != nil {
		return err
	}
	for _, p := range all {
		if err := s.carryOut(ctx, p, d); err != nil {
			return err
		}
	}
	head.Sent = true
	if err := s.note(ctx, head); err != nil {
		return err
	}
	s.active.begin(head, out)
	return nil
}

// writes counts the changes that phone systems are asked for.
func writes(all []planned) (n int) {
	for _, p := range all {
		for i := range p.result.Steps {
			if step := &p.result.Steps[i]; step.Op.Acts() && !step.Held && step.Writes() {
				n++
			}
		}
	}
	return n
}

func digest(all []planned) string {
	return plan.Digest(func(yield func(plan.Change) bool) {
		for _, p := range all {
			for i := range p.result.Steps {
				if !yield(p.result.Steps[i].Change()) {
					return
				}
			}
		}
	})
}

// summary is a plan in a line.
func summary(h plans.Head, counts map[plan.Op]int, late string) string {
	var words []string
	for _, op := range []plan.Op{plan.Create, plan.Update, plan.Adopt, plan.Return, plan.Disable, plan.Delete, plan.Skip, plan.Conflict} {
		if counts[op] > 0 {
			words = append(words, fmt.Sprintf("%d %s", counts[op], op))
		}
	}
	if h.Brake.Tripped {
		words = append(words, fmt.Sprintf("%d held back by the brake", h.Brake.Held))
	}
	if len(words) == 0 {
		words = append(words, "nothing to do")
	}
	if late != "" {
		return strings.Join(words, ", ") + " (" + late + ")"
	}
	return strings.Join(words, ", ")
}

func (s *Sync) say(ctx context.Context, o wire.SyncOutcome) error {
	o.At = s.deps.Bus.Now()
	subject, data := o.Encode()
	return s.opts.effects.Around("tell", func() error { return s.publish(ctx, subject, data) })
}
