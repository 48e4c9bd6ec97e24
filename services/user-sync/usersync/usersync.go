package usersync

import (
	"context"
	"errors"
	"maps"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/run"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// Options of the service.
type Options struct {
	// Serves lists the tenants of each phone system.
	Serves   map[identity.System][]identity.Tenant
	Rules    map[identity.Tenant]Rules // of a tenant that is not in it, nothing is synchronised by itself
	Explicit []Explicit
	// Settle is how long to wait for more changes before planning; 0: 200 ms.
	Settle time.Duration
	// Quiet is for how long nothing may have been heard before the first plan, which
	// otherwise would be one for a part of the users; 0: 3 s.
	Quiet time.Duration
	// Minute is how often what failed is tried again; 0: a minute.
	Minute time.Duration
	// Listing is how long a run waits for phone systems to list their extensions anew; 0: two
	// minutes.
	Listing time.Duration

	effects run.Effects // tests let it die at them
}

// Sync is the service.
type Sync struct {
	deps    run.Deps
	opts    Options
	plans   *store.Bucket
	records *records
	facts   *facts
	sent    *sent
	// attempts are what was tried in vain.
	attempts *attempts
	metrics  *metrics
	// requests are done by the goroutine that plans, between two runs.
	requests chan request
	active   *active
	// ran is up to when the clock was looked at, by the goroutine that plans: what becomes due
	// while it does something else is due as soon as it is done with that.
	ran time.Time
	// due tells of tenants whose time has come, when their phone systems are listed for it.
	due      chan identity.Tenant
	listings sync.WaitGroup // that are waited for before
}

// request is something that somebody waits for.
type request struct {
	do   func(context.Context) error
	done chan error
}

// Run runs the service until ctx ends or something breaks. One replica at a time
// plans; the others wait for its lease.
func Run(ctx context.Context, deps run.Deps, opts Options) error {
	opts = opts.withDefaults()
	metrics, err := newMetrics(deps.Meter)
	if err != nil {
		return err
	}
	var linked, plans, leases *store.Bucket
	for name, into := range map[topology.Bucket]**store.Bucket{topology.Links: &linked, topology.Plans: &plans, topology.Leases: &leases} {
		if *into, err = store.Open(ctx, deps.Bus.JetStream(), name); err != nil {
			return run.Ended(ctx, err)
		}
	}
	holder := store.Leases{Bucket: leases, Holder: string(topology.UserSync) + "/" + deps.Instance, Log: deps.Log}
	return holder.Hold(ctx, topology.Join("user-sync"), func(ctx context.Context, _ store.Lease) error {
		s := &Sync{deps: deps, opts: opts, plans: plans, facts: newFacts(), sent: newSent(), attempts: newAttempts(), metrics: metrics, requests: make(chan request), due: make(chan identity.Tenant), active: newActive()}
		s.records = &records{words: newWords(), bucket: linked, effects: opts.effects}
		return s.own(ctx)
	})
}

// own is the work under the lease.
func (s *Sync) own(outer context.Context) error {
	if err := s.begin(outer); err != nil {
		return run.Ended(outer, err)
	}
	g, ctx := errgroup.WithContext(outer)
	current := make(chan struct{})
	g.Go(func() error {
		return run.Ended(ctx, s.deps.Bus.Follow(ctx, topology.Directory, subjects(), s.facts.fold, func() { close(current) }))
	})
	g.Go(func() error {
		return run.Ended(ctx, s.deps.Bus.Tail(ctx, topology.Outcomes, []string{topology.Wildcard("outcome.extension.<system>.<ext>")},
			func(m bus.Message) error {
				if o, err := wire.DecodeExtensionOutcome(m.Data); err == nil {
					s.outcome(ctx, o)
				}
				return nil
			}))
	})
	// Whatever nobody heard is read again: of pictures nothing else says what became of them.
	g.Go(func() error {
		return run.Ended(ctx, s.deps.Bus.Follow(ctx, topology.Outcomes, []string{topology.Wildcard("outcome.photo.<system>.<ext>")},
			func(m bus.Message) error {
				if o, err := wire.DecodeExtensionOutcome(m.Data); err == nil {
					s.sent.photo(o)
				}
				return nil
			}, func() {}))
	})
	g.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case <-current:
			return run.Ended(ctx, s.keep(ctx))
		}
	})
	g.Go(func() error { return s.orders(ctx) })
	g.Go(func() error { return s.photos(ctx) })
	g.Go(func() error { s.follow(ctx); return nil })
	return g.Wait()
}

// begin reads what this service left: links and records, what is on its way to the phone
// systems and what was tried in vain, and plans that are being applied.
func (s *Sync) begin(ctx context.Context) error {
	err := s.records.load(ctx, func(person identity.Person, err error) {
		s.deps.Log.Error("links cannot be read; they are made anew", "tenant", person.Tenant, "user", person.User, "error", err)
	})
	if err != nil {
		return err
	}
	if err := s.underway(ctx, s.sent.sending); err != nil {
		return err
	}
	if err := s.recall(ctx); err != nil {
		return err
	}
	return s.resume(ctx)
}

// underway lists what is on its way to the phone systems.
func (s *Sync) underway(ctx context.Context, do func(wire.ExtensionWant)) error {
	subjects, err := s.deps.Bus.Subjects(ctx, topology.Changes, topology.Wildcard("pbx.want.extension.<system>.<ext>"))
	if err != nil {
		return err
	}
	for _, subject := range subjects {
		m, err := s.deps.Bus.Last(ctx, topology.Changes, subject)
		if fault.KindOf(err) == fault.NotFound && err != nil {
			continue // done meanwhile
		}
		if err != nil {
			return err
		}
		if want, err := wire.DecodeExtensionWant(m.Data); err == nil {
			do(want)
		}
	}
	return nil
}

// seeking is how many wants are looked for at a time. With more that wait the others are
// looked for later: to list all that is in the queue would take as much memory as they.
const seeking = 1000

// found looks for what is thought to be on its way. What came of what is not may have been
// told while nobody heard it.
func (s *Sync) found(ctx context.Context) error {
	lost := map[identity.Line]sending{}
	for line, is := range s.sent.overdue(s.opts.Minute, seeking) {
		_, err := s.deps.Bus.Last(ctx, topology.Changes, wire.ExtensionWantSubject(line))
		if err == nil {
			continue
		}
		if fault.KindOf(err) != fault.NotFound {
			return err
		}
		m, err := s.deps.Bus.Last(ctx, topology.Outcomes, wire.ExtensionOutcomeSubject(line))
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return err
		}
		if told, unread := wire.DecodeExtensionOutcome(m.Data); err == nil && unread == nil && hash([]byte(told.ID)) == is.id {
			s.outcome(ctx, told)
			continue
		}
		lost[line] = is
	}
	s.lost(lost)
	return nil
}

// lost notes what nobody has told the outcome of.
func (s *Sync) lost(lines map[identity.Line]sending) {
	if len(lines) == 0 {
		return
	}
	whose := s.records.whose(lines)
	for line, is := range lines {
		s.attempts.note(wire.ExtensionOutcome{Person: whose[line], Line: line, Plan: is.plan, Result: wire.ChangeLost, At: s.deps.Bus.Now(),
			Detail: "it left the queue, and nobody has told what came of it: look for it with offhook parked list"})
		s.sent.forget(line, is)
		s.deps.Log.Warn("nobody knows what came of a change of an extension", "system", line.System, "extension", line.Extension)
	}
}

// outcome takes in what came of a want.
func (s *Sync) outcome(ctx context.Context, o wire.ExtensionOutcome) {
	extensions := 0
	if o.Result == wire.ChangeFull {
		extensions = s.facts.extensionsOf(o.Line.System)
	}
	// Who counts what a plan has on its way must not see it gone and not yet failed.
	s.attempts.note(o)
	if plan := s.sent.outcome(o, extensions); plan != o.Plan {
		o.Plan = plan
		s.attempts.note(o)
	}
	s.metrics.outcome(ctx, o)
	poke(s.facts.changed)
	if !o.Result.Well() {
		s.deps.Log.Warn("extension not as it should be", "system", o.Line.System, "extension", o.Line.Extension, "op", o.Op, "result", o.Result, "detail", o.Detail)
	}
}

// keep plans whenever something changed and has been quiet for a moment, and when the
// clock says so.
func (s *Sync) keep(ctx context.Context) error {
	defer s.listings.Wait()
	d := demand{due: slices.Collect(maps.Keys(s.opts.Rules))}
	s.ran = s.deps.Bus.Now()
	for {
		began := time.Now()
		if err := s.pass(ctx, d); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			s.deps.Log.Warn("synchronise", "error", err)
		}
		// A large directory is not planned for a single change as often as a small one.
		settle := max(s.opts.Settle, 4*time.Since(began))
		var err error
		if d, err = s.wait(ctx, settle); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			s.deps.Log.Warn("synchronise", "error", err)
		}
	}
}

// wait returns when it is time to plan again, and why.
func (s *Sync) wait(ctx context.Context, settle time.Duration) (demand, error) {
	next, clock := s.clock()
	minute := time.NewTimer(s.opts.Minute) // the repair of what failed
	defer minute.Stop()
	var settled <-chan time.Time
	changed := s.facts.changed
	for {
		select {
		case <-ctx.Done():
			return demand{}, context.Cause(ctx)
		case r := <-s.requests:
			r.done <- r.do(ctx)
		case <-changed:
			changed, settled = nil, time.After(settle)
		case <-settled:
			return demand{}, nil
		case <-minute.C:
			return demand{}, s.found(ctx)
		case <-clock:
			since := s.ran
			if s.ran = s.deps.Bus.Now(); s.ran.Before(next) { // a clock that is behind must not have it due twice
				s.ran = next
			}
			due := s.dueSince(since)
			s.deps.Log.Info("synchronise: it is time", "tenants", due)
			s.list(ctx, due)
			next, clock = s.clock()
		case tenant := <-s.due:
			return demand{due: s.allDue(tenant)}, nil
		}
	}
}

// list has the phone systems of tenants list their extensions, and each tenant due when its
// own have: one that does not answer is waited for by those alone whom it serves.
func (s *Sync) list(ctx context.Context, tenants []identity.Tenant) {
	at := s.deps.Bus.Now()
	for _, tenant := range tenants {
		s.listings.Go(func() {
			if _, err := s.listAnew(ctx, tenant, at); err != nil && ctx.Err() == nil {
				s.deps.Log.Warn("synchronise", "tenant", tenant, "error", err)
			}
			select {
			case s.due <- tenant:
			case <-ctx.Done():
			}
		})
	}
}

// allDue is a tenant that is due, and whoever is by now: one run does for all.
func (s *Sync) allDue(tenant identity.Tenant) []identity.Tenant {
	due := []identity.Tenant{tenant}
	for {
		select {
		case another := <-s.due:
			due = append(due, another)
		default:
			return due
		}
	}
}

// dueSince lists the tenants whose time by the clock came after a moment, up to when the
// clock was looked at last.
func (s *Sync) dueSince(since time.Time) (due []identity.Tenant) {
	for tenant, rules := range s.opts.Rules {
		if at := rules.NextRun(since); rules.on() && !at.IsZero() && !at.After(s.ran) {
			due = append(due, tenant)
		}
	}
	return due
}

// clock is the next time at which some tenant is synchronised by the clock, and tells when
// it has come, at once if it has; nil: never.
func (s *Sync) clock() (next time.Time, come <-chan time.Time) {
	for _, rules := range s.opts.Rules {
		if at := rules.NextRun(s.ran); rules.on() && !at.IsZero() && (next.IsZero() || at.Before(next)) {
			next = at
		}
	}
	if next.IsZero() {
		return next, nil
	}
	return next, time.After(next.Sub(s.deps.Bus.Now()))
}

// pass makes every phone system and every pair what it should be.
func (s *Sync) pass(ctx context.Context, d demand) error {
	errs := []error{s.notePhotos(ctx)}
	if !s.active.ready(s.facts, s.opts.Quiet) {
		time.AfterFunc(s.opts.Quiet, func() { poke(s.facts.changed) })
		return errors.Join(append(errs, s.pair(ctx))...)
	}
	for system := range s.opts.Serves {
		p, why, err := s.plan(ctx, system, d)
		if err == nil && why == "" {
			s.report(ctx, p)
			err = s.carryOut(ctx, p, d)
		}
		errs = append(errs, err)
	}
	return errors.Join(append(errs, s.pair(ctx))...)
}

// report says what a plan for a phone system is, where that is news.
func (s *Sync) report(ctx context.Context, p planned) {
	counts := map[plan.Op]int{}
	for i := range p.result.Steps {
		counts[p.result.Steps[i].Op]++
	}
	s.metrics.planned(ctx, p.system, counts, p.result.Brake.Held)
	var words []string
	if p.result.Brake.Tripped {
		words = append(words, "held back by the brake")
	}
	if s.active.news(p.system, p.result.Brake, counts) {
		s.deps.Log.Info("plan", "system", p.system, "steps", counts, "problems", len(p.result.Problems), "held", p.result.Brake.Held, "note", strings.Join(words, ""))
	}
}

func (o Options) withDefaults() Options {
	if o.Settle == 0 {
		o.Settle = 200 * time.Millisecond
	}
	if o.Quiet == 0 {
		o.Quiet = 3 * time.Second
	}
	if o.Minute == 0 {
		o.Minute = time.Minute
	}
	if o.Listing == 0 {
		o.Listing = 2 * time.Minute
	}
	return o
}
