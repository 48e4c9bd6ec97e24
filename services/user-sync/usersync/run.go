package usersync

import (
	"context"
	"encoding/json"
	"iter"
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
	// due are those for whom it is a run by the clock, or asked for: what failed before is
	// tried again.
	due []identity.Tenant
}

func (d demand) isDue(tenant identity.Tenant) bool { return slices.Contains(d.due, tenant) }

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
	lists := directory.Lists{Users: s.facts.usersOf(s.opts.Serves[system]), Extensions: s.facts.linesOf(system), Records: s.records.owned(system)}
	v := directory.View{System: system, Now: s.deps.Bus.Now(), Taken: s.sent.takenOf(system), Rules: map[identity.Tenant]*directory.Rules{}, Writes: info.Fields, Force: d.force}
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
	if s.sent.isFull(system, lists.Extensions.Len()) {
		v.Free = new(int)
	}
	if v.Removed, err = s.removals(ctx, system); err != nil {
		return p, "", err
	}
	p = planned{system: system, removed: v.Removed}
	p.result, err = directory.PlanLists(v, lists)
	return p, "", err
}

// portion is how many notes, steps or records are dealt with at a time: what is made of
// them to be stored and sent is in memory only meanwhile.
const portion = 500

// carryOut stores what was decided, and then sends it, a portion after the other: a number
// that was chosen stays chosen wherever this is cut off. Removals are remembered before
// the first is asked for.
func (s *Sync) carryOut(ctx context.Context, p planned, d demand) error {
	for notes := range slices.Chunk(p.result.Notes, portion) {
		if err := s.change(ctx, "note", notes, func(r links.Record, n directory.Note) links.Record { return r.Put(n.Record()) }); err != nil {
			return err
		}
	}
	if err := s.remember(ctx, p); err != nil {
		return err
	}
	s.sent.settle(p.system, p.wanted(d), d.tenant == "")
	if slices.ContainsFunc(s.opts.Serves[p.system], d.isDue) {
		s.sent.room(p.system)
	}
	for first := 0; first < len(p.result.Steps); first += portion {
		if err := s.step(ctx, p.result.Steps[first:min(first+portion, len(p.result.Steps))], d); err != nil {
			return err
		}
	}
	if err := s.missing(ctx, p, d); err != nil {
		return err
	}
	for notes := range slices.Chunk(p.result.Forgets, portion) {
		if err := s.change(ctx, "forget", notes, func(r links.Record, n directory.Note) links.Record { return r.Without(n.Record().Line) }); err != nil {
			return err
		}
	}
	return nil
}

// done says whether anything of a step is done now.
func done(step *directory.Step) bool { return step.Op.Acts() && !step.Held }

// wanted are the extensions that the phone system is asked to change, and whether what
// failed there before is tried again.
func (p *planned) wanted(d demand) iter.Seq2[identity.Extension, bool] {
	return func(yield func(identity.Extension, bool) bool) {
		for i := range p.result.Steps {
			if step := &p.result.Steps[i]; done(step) && step.Writes() && !yield(step.Line.Extension, d.isDue(step.Person.Tenant)) {
				return
			}
		}
	}
}

// change stores what notes make of records.
func (s *Sync) change(ctx context.Context, name string, notes []directory.Note, by func(links.Record, directory.Note) links.Record) error {
	next := s.records.changing()
	for _, note := range notes {
		who := note.Record().Person
		next.put(who, by(next.of(who), note))
	}
	return s.records.store(ctx, name, next.changed)
}

// step stores what some steps say, sends what they want, and then stores that it is sent.
func (s *Sync) step(ctx context.Context, steps []directory.Step, d demand) error {
	next := s.records.changing()
	var wants []wire.ExtensionWant
	for i := range steps {
		step := &steps[i]
		if !done(step) {
			continue
		}
		if record, ok := step.Record(); ok {
			next.put(step.Person, next.of(step.Person).Put(record))
		}
		if step.Writes() {
			wants = append(wants, wire.ExtensionWant{Person: step.Person, Line: step.Line, Op: wire.ChangeOp(step.Op), Update: step.Update(), Plan: d.plan, WantedAt: s.deps.Bus.Now()})
		}
	}
	if err := s.records.store(ctx, "record", next.changed); err != nil {
		return err
	}
	if err := s.send(ctx, wants); err != nil {
		return err
	}
	then := s.records.changing()
	for i := range steps {
		if record, ok := steps[i].Sent(); ok && done(&steps[i]) {
			then.put(steps[i].Person, then.of(steps[i].Person).Put(record))
		}
	}
	return s.records.store(ctx, "sent", then.changed)
}

// remembered is how many removals are remembered at most; with more, which somebody
// forced, the brake is beyond its limit whatever is forgotten.
const remembered = 8000

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
			err := s.opts.effects.Around("want", func() error { return s.publish(ctx, subject, data) })
			if err != nil {
				s.sent.failed(w)
			}
			return err
		})
	}
	return g.Wait()
}

func (s *Sync) publish(ctx context.Context, subject string, data []byte) error {
	_, err := s.deps.Bus.Publish(ctx, bus.Message{Subject: subject, Data: data})
	return err
}

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

// remember stores the removals of a plan before they are asked for, so that a kill does
// not make the brake forget them.
func (s *Sync) remember(ctx context.Context, p planned) error {
	known := map[string]bool{}
	for _, r := range p.removed {
		known[r.Key] = true
	}
	removed := p.removed
	for i := range p.result.Steps {
		step := &p.result.Steps[i]
		if !done(step) || !step.Op.Removes() || !step.Writes() {
			continue
		}
		if key := step.Change().Key(); !known[key] {
			known[key] = true
			removed = append(removed, plan.Removal{Key: key, At: s.deps.Bus.Now()})
		}
	}
	if len(removed) == len(p.removed) {
		return nil
	}
	value, err := json.Marshal(removed[max(0, len(removed)-remembered):])
	if err != nil {
		return err
	}
	return s.opts.effects.Around("removal", func() error {
		_, err := s.plans.Put(ctx, removalsKey(p.system), value)
		return err
	})
}
