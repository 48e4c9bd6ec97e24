package usersync

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"fmt"
	"time"

	"offhook.dev/libs/plans"
	"offhook.dev/libs/wire"
)

// applying is a plan that is being applied, and who is to be told.
type applying struct {
	head plans.Head
	out  wire.SyncOutcome
}

// begin has a plan followed until all that it wants has had its outcome.
func (a *active) begin(head plans.Head, out wire.SyncOutcome) {
	a.mu.Lock()
	defer a.mu.Unlock()
	a.applying[head.ID] = &applying{head: head, out: out}
}

func (a *active) all() (all []*applying) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for _, one := range a.applying {
		all = append(all, one)
	}
	return all
}

// follows says whether somebody is to be told of a plan's end.
func (a *active) follows(id string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.applying[id] != nil
}

func (a *active) end(id string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	delete(a.applying, id)
}

// resume follows the plans that were being applied when this service ended, and those whose
// end was noted by then and not told. Whose changes were not all sent waits for its order,
// which comes again.
func (s *Sync) resume(ctx context.Context) error {
	if err := plans.Forget(ctx, s.plans, s.deps.Bus.Now()); err != nil {
		return err
	}
	heads, err := plans.Heads(ctx, s.plans)
	if err != nil {
		return err
	}
	for _, head := range heads {
		follow, err := s.waited(ctx, head)
		if err != nil {
			return err
		}
		if follow {
			s.active.begin(head, wire.SyncOutcome{ID: head.Order, Tenant: head.Tenant, Kind: head.Kind, Op: head.Op, Plan: head.ID})
		}
	}
	return nil
}

// waited says whether who ordered a plan waits for its end, and no order comes again.
func (s *Sync) waited(ctx context.Context, head plans.Head) (bool, error) {
	if !head.Sent {
		return false, nil
	}
	if head.State == wire.SyncApplying {
		return true, nil
	}
	over, err := plans.Ended(ctx, s.deps.Bus, wire.SyncOrder{ID: head.Order, Tenant: head.Tenant, Kind: head.Kind, Op: head.Op})
	return !over, err
}

// telling is how often the progress of a plan is told.
const telling = 500 * time.Millisecond

// follow tells how far plans are, and when they are applied.
func (s *Sync) follow(ctx context.Context) {
	tick := time.NewTicker(telling)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		for _, one := range s.active.all() {
			if err := s.told(ctx, one); err != nil && ctx.Err() == nil {
				s.deps.Log.Warn("progress of a plan", "plan", one.head.ID, "error", err)
			}
		}
	}
}

func (s *Sync) told(ctx context.Context, one *applying) error {
	underway, failed := s.sent.underway(one.head.ID), s.attempts.failed(one.head.ID)
	done := max(0, one.head.Total-underway)
	if underway > 0 && done == one.head.Done && failed == one.head.Failed {
		return nil
	}
	one.head.Done, one.head.Failed = done, failed
	if underway == 0 {
		one.head.State = wire.SyncDone
		if one.head.Brake.Held > 0 {
			one.head.State = wire.SyncBraked
		}
	}
	if err := s.note(ctx, one.head); err != nil {
		return err
	}
	if one.out.ID != "" {
		out := one.out
		out.State, out.Total, out.Done, out.Failed = one.head.State, one.head.Total, done, failed
		switch {
		case out.State == wire.SyncBraked:
			out.Detail = fmt.Sprintf("%d changes are held back by the brake: look at them in a new plan, and apply that with --force", one.head.Brake.Held)
		case underway == 0 && failed > 0:
			out.Detail = fmt.Sprintf("%d changes failed: offhook plan %s says which and why", failed, one.head.ID)
		}
		if err := s.say(ctx, out); err != nil {
			return err
		}
	}
	if underway == 0 {
		s.active.end(one.head.ID)
	}
	return nil
}

func newID() string {
	random := make([]byte, 8)
	_, _ = rand.Read(random) // never fails
	return hex.EncodeToString(random)
}
