package usersync

import (
	"context"
	"encoding/json"
	"slices"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/links"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// demand is why extensions are planned.
type demand struct {
	tenant identity.Tenant // only this one; "": all that are synchronised by themselves
	plan   string          // which the wants are of
	force  bool            // the brake is lifted
	due    bool            // a run by the clock, or asked for: what failed before is tried again
}

// planned is the plan of one phone system.
type planned struct {
	system  identity.System
	result  directory.Result
	removed []plan.Removal
}

// plan compares what should be with what is. ok is false where nothing can be said yet,
// or the phone system takes no extensions; why says so to people.
func (s *Sync) plan(ctx context.Context, system identity.System, d demand) (p planned, why string, err error) {
	info, known := s.facts.system(system)
	switch {
	case !known:
		return p, "the extensions of phone system " + string(system) + " have not been listed yet", nil
	case len(info.Fields) == 0:
		return p, "the extensions of phone system " + string(system) + " cannot be written", nil
	case info.ExtensionsKept:
		return p, "phone system " + string(system) + " keeps its extensions itself: its own Microsoft 365 sync is on", nil
	}
	v := directory.View{System: system, Now: s.deps.Bus.Now(), Users: s.facts.usersOf(s.opts.Serves[system]), Extensions: s.facts.extensionsOf(system),
		Records: s.records.owned(system), Taken: s.sent.takenOf(system), Rules: map[identity.Tenant]*directory.Rules{}, Writes: info.Fields, Force: d.force}
	for _, tenant := range s.opts.Serves[system] {
		if rules := s.opts.Rules[tenant]; d.tenant == tenant || d.tenant == "" && rules.on() {
			v.Rules[tenant] = rules.of(tenant, s.facts, d.tenant == tenant, info.Limits)
			v.Brake = plan.Brake{Count: rules.Brake.Count, Percent: rules.Brake.Percent}
		}
	}
	if len(v.Rules) == 0 {
		return p, "no tenant of phone system " + string(system) + " is synchronised", nil
	}
	for tenant := range v.Rules {
		b := s.opts.Rules[tenant].Brake
		v.Brake = plan.Strictest(v.Brake, plan.Brake{Count: b.Count, Percent: b.Percent})
	}
	for _, e := range s.opts.Explicit {
		if e.Line.System == system {
			v.Explicit = append(v.Explicit, directory.Explicit{Tenant: e.Tenant, User: e.User, Number: e.Line.Extension})
		}
	}
	if s.sent.isFull(system, len(v.Extensions)) {
		v.Free = new(int)
	}
	if v.Removed, err = s.removals(ctx, system); err != nil {
		return p, "", err
	}
	p = planned{system: system, removed: v.Removed}
	p.result, err = directory.PlanExtensions(v)
	return p, "", err
}

// carryOut stores what was decided, and then sends it: a number that was chosen stays
// chosen wherever this is cut off.
func (s *Sync) carryOut(ctx context.Context, p planned, d demand) error {
	var all []wire.ExtensionWant
	wanted := map[identity.Line]bool{}
	next := map[identity.Person]links.Record{}
	of := func(person identity.Person) links.Record {
		if r, changed := next[person]; changed {
			return r
		}
		return s.records.known[person].Record
	}
	for _, note := range p.result.Notes {
		person := note.Record.Person
		next[person] = of(person).Put(note.Record)
	}
	removed := p.removed
	for i := range p.result.Steps {
		step := &p.result.Steps[i]
		if step.Held || !step.Op.Acts() {
			continue
		}
		if record, ok := step.Record(); ok {
			next[step.Person] = of(step.Person).Put(record)
		}
		if !step.Writes() {
			continue
		}
		want := wire.ExtensionWant{Person: step.Person, Line: step.Line, Op: wire.ChangeOp(step.Op), Update: step.Update(), Plan: d.plan, WantedAt: s.deps.Bus.Now()}
		wanted[want.Line] = true
		all = append(all, want)
		if key := step.Change().Key(); step.Op.Removes() && !slices.ContainsFunc(removed, func(r plan.Removal) bool { return r.Key == key }) {
			removed = append(removed, plan.Removal{Key: key, At: s.deps.Bus.Now()})
		}
	}
	if d.due {
		s.missing(p, of, next)
	}
	if err := s.records.store(ctx, next); err != nil {
		return err
	}
	if err := s.remember(ctx, p.system, removed, len(p.removed)); err != nil {
		return err
	}
	s.sent.settle(p.system, wanted, d.due)
	if err := s.send(ctx, all); err != nil {
		return err
	}
	return s.forget(ctx, p.result.Forgets)
}

// forget removes records, after all that was decided with them is on its way.
func (s *Sync) forget(ctx context.Context, notes []directory.Note) error {
	next := map[identity.Person]links.Record{}
	for _, note := range notes {
		person := note.Record.Person
		record, changed := next[person]
		if !changed {
			record = s.records.known[person].Record
		}
		next[person] = record.Without(note.Record.Line)
	}
	return s.records.store(ctx, next)
}

// send publishes the wants that are due, several side by side.
func (s *Sync) send(ctx context.Context, all []wire.ExtensionWant) error {
	g, ctx := errgroup.WithContext(bus.Begin(ctx))
	g.SetLimit(writing)
	for _, w := range all {
		if !s.sent.due(w) {
			continue
		}
		w.ID = newID()
		s.sent.sending(w)
		g.Go(func() error {
			subject, data := w.Encode()
			_, err := s.deps.Bus.Publish(ctx, bus.Message{Subject: subject, Data: data})
			if err != nil {
				s.sent.failed(w)
			}
			return err
		})
	}
	return g.Wait()
}

// remembered is how many removals are remembered at most; with more, which somebody
// forced, the brake is beyond its limit whatever is forgotten.
const remembered = 8000

// removals are those of a phone system within the window of the brake.
func (s *Sync) removals(ctx context.Context, system identity.System) (recent []plan.Removal, err error) {
	e, err := s.plans.Get(ctx, removalsKey(system))
	if fault.KindOf(err) == fault.NotFound && err != nil {
		return nil, nil
	}
	if err != nil {
		return nil, err
	}
	var all []plan.Removal
	if err := json.Unmarshal(e.Value, &all); err != nil {
		return nil, fault.New(fault.Invalid, "what was removed lately from "+string(system), err)
	}
	now := s.deps.Bus.Now()
	return slices.DeleteFunc(all, func(r plan.Removal) bool { return now.Sub(r.At) >= plan.Window }), nil
}

func removalsKey(system identity.System) string { return topology.Join("removed", string(system)) }

// remember stores removals before they are asked for, so that a kill does not make the
// brake forget them.
func (s *Sync) remember(ctx context.Context, system identity.System, removed []plan.Removal, before int) error {
	if len(removed) == before {
		return nil
	}
	value, err := json.Marshal(removed[max(0, len(removed)-remembered):])
	if err != nil {
		return err
	}
	_, err = s.plans.Put(ctx, removalsKey(system), value)
	return err
}
