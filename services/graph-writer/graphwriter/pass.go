package graphwriter

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// atOnce is how many people are written for at a time; how many requests travel is
// the budget's affair.
const atOnce = 16

// minutes compares what is wanted with what was written and carries out the
// difference: the repair of whatever was lost on the way (docs/design.md, invariant
// 3). It does so at the start, every minute, and when the broker came back.
func (t *tenant) minutes(ctx context.Context) error {
	tick := time.NewTicker(t.w.opts.MinutePass)
	defer tick.Stop()
	for {
		if err := t.pass(ctx); err != nil && ctx.Err() == nil {
			t.log.Warn("minute pass", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-t.again:
		}
	}
}

// poke asks for a pass soon; any number of times is once.
func poke(again chan<- struct{}) {
	select {
	case again <- struct{}{}:
	default:
	}
}

// pass goes over wants, pins, and what Teams shows of calls once.
func (t *tenant) pass(ctx context.Context) error {
	wanted := map[identity.User]wire.Revision{}
	var open, calls []wire.TeamsWant
	err := t.w.bus.Each(ctx, topology.Wants, t.filter(), func(m bus.Message) error {
		want, err := decode(m)
		if err != nil {
			return nil // it is parked by consume
		}
		wanted[want.Person.User] = want.Revision
		if t.worthALook(want) {
			open = append(open, want)
		} else if want.Session != "" && t.toConfirm(want) {
			calls = append(calls, want)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var g errgroup.Group
	g.SetLimit(atOnce)
	for _, want := range open {
		g.Go(func() error {
			if err := t.repair(ctx, want); err != nil && ctx.Err() == nil {
				t.log.Warn("minute pass", "user", want.Person.User, "error", err)
			}
			return nil
		})
	}
	_ = g.Wait()
	if err := t.confirm(ctx, calls); err != nil && ctx.Err() == nil {
		t.log.Warn("minute pass: calls in Teams", "error", err)
	}
	return t.tidy(ctx, wanted)
}

// worthALook says whether a want may be open. A person who is being written for may
// be: whoever does it can be about to fail.
func (t *tenant) worthALook(want wire.TeamsWant) bool {
	p := t.person(want.Person)
	if !p.mu.TryLock() {
		return true
	}
	defer p.mu.Unlock()
	return t.open(p, want)
}

// repair carries a want out that should be and is not, once the person is free.
func (t *tenant) repair(ctx context.Context, want wire.TeamsWant) error {
	p := t.person(want.Person)
	p.mu.Lock()
	defer p.mu.Unlock()
	if !t.open(p, want) {
		return nil
	}
	t.w.metrics.repaired(ctx, t.conf.ID)
	return t.carryOut(ctx, p, want, t.w.bus.Now())
}

// open says whether something is left to do for a want, and may be done now. p.mu is
// held.
func (t *tenant) open(p *person, want wire.TeamsWant) bool {
	now := t.w.bus.Now()
	if want.Revision.Compare(p.newest) < 0 || want.Revision.Compare(p.pins.Revision) < 0 || p.breaker.Stopped(now) || t.wait(now) > 0 {
		return false
	}
	for _, each := range targets {
		switch do := p.pins.step(each, want, now); {
		case do == forget:
			return true
		case do.asks() && (p.refused[each].result == wire.ResultUnknown || p.refused[each].revision != want.Revision):
			return true
		}
	}
	return p.pins.Revision == want.Revision && p.told != want.Revision // its outcome may be lost
}

// tidy removes the entries of people for whom nothing of ours can show any more,
// unless the outcome of what was done last is still to be told.
func (t *tenant) tidy(ctx context.Context, wanted map[identity.User]wire.Revision) error {
	t.mu.Lock()
	people := make([]*person, 0, len(t.people))
	for _, p := range t.people {
		people = append(people, p)
	}
	t.mu.Unlock()
	for _, p := range people {
		if err := t.tidyOne(ctx, p, wanted); err != nil {
			return err
		}
	}
	return nil
}

func (t *tenant) tidyOne(ctx context.Context, p *person, wanted map[identity.User]wire.Revision) error {
	if !p.mu.TryLock() {
		return nil // there is a next pass
	}
	defer p.mu.Unlock()
	if p.revision == 0 || !p.over(wanted) || !p.pins.empty(t.w.bus.Now()) {
		return nil
	}
	return t.drop(ctx, p)
}

// over says whether nothing of a person's last want is left to be told: that was done,
// something newer is wanted, or nothing is any more. Of a want that came after wanted was
// read it says nothing. p.mu is held.
func (p *person) over(wanted map[identity.User]wire.Revision) bool {
	if p.told == p.pins.Revision {
		return true
	}
	now, there := wanted[p.id.User]
	if !there {
		return p.newest == wire.Revision{}
	}
	return now.Compare(p.pins.Revision) > 0
}
