package graphwriter

import (
	"context"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/trace"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// apply carries one want out, or says why not. An error means: try again.
func (t *tenant) apply(ctx context.Context, want wire.TeamsWant, received time.Time) error {
	p := t.person(want.Person)
	p.mu.Lock()
	defer p.mu.Unlock()
	return t.carryOut(ctx, p, want, received)
}

// work is the carrying out of one want.
type work struct {
	want    wire.TeamsWant
	outcome wire.TeamsOutcome
	next    entry // the pins as they will be saved
	changed bool  // next differs from what is saved
	results map[target]wire.Result
	written []target // asked for and answered
	retry   error    // of a request that is worth another try
}

// carryOut is apply for who holds p.mu.
func (t *tenant) carryOut(ctx context.Context, p *person, want wire.TeamsWant, received time.Time) error {
	w := &work{want: want, results: map[target]wire.Result{}, outcome: wire.TeamsOutcome{
		Person: want.Person, Reason: want.Reason, Revision: want.Revision, Decision: want.Decision, SeenAt: want.SeenAt,
		ReceivedAt: received, Trace: trace.SpanContextFromContext(ctx).TraceID().String(),
	}}
	if want.Revision.Compare(p.newest) < 0 || want.Revision.Compare(p.pins.Revision) < 0 {
		w.outcome.Result, w.outcome.Detail = wire.Stale, "a newer want was carried out already"
		return t.report(ctx, p, w)
	}
	p.newest = want.Revision
	w.next = p.pins.at(want.Revision)
	steps := t.prepare(ctx, p, w)
	if err := t.write(ctx, p, w, steps); err != nil {
		return err
	}
	if w.retry != nil {
		return w.retry
	}
	if told, err := t.conclude(ctx, p, w); err != nil || told {
		return err
	}
	if err := t.report(ctx, p, w); err != nil {
		return err
	}
	if want.Release && p.pins.empty(t.w.bus.Now()) {
		return t.drop(ctx, p)
	}
	return nil
}

// prepare finds what is to be asked for, and settles what is not: what shows as it
// should, what was refused before, what is a person's now, and whoever is fought over.
func (t *tenant) prepare(ctx context.Context, p *person, w *work) map[target]step {
	now := t.w.bus.Now()
	steps := map[target]step{}
	for _, each := range targets {
		do := w.next.step(each, w.want, now)
		if r := p.refused[each]; do.asks() && r.result != wire.ResultUnknown && r.revision == w.want.Revision {
			w.settle(each, r.result, r.detail)
			continue
		}
		if do == set && !each.can(w.want) {
			t.refuse(p, w, each, wire.Unsupported, fmt.Sprintf("%s cannot show %q", each, each.asked(w.want).Show))
			continue
		}
		if do.asks() && t.fought(ctx, p, do, len(steps), now) {
			w.settle(each, wire.Failed, "breaker")
			continue
		}
		if do == remove && each == preferred {
			do = t.look(ctx, p, w)
		}
		switch do {
		case none:
		case keep:
			w.settle(each, wire.Already, "")
		case forget:
			w.next, w.changed = w.next.happened(each, nil), true
			if w.results[each] == wire.ResultUnknown {
				w.settle(each, wire.Already, "")
			}
		default:
			steps[each] = do
		}
	}
	return steps
}

// fought says whether the breaker keeps a step from being made: more writes than it
// allows for one person come about only if something else writes there too.
func (t *tenant) fought(ctx context.Context, p *person, do step, planned int, now time.Time) bool {
	if do == refresh || p.breaker.Stopped(now) {
		return p.breaker.Stopped(now)
	}
	if p.breaker.Allows(now, planned, t.w.opts.Pause) {
		return false
	}
	t.w.metrics.fought(ctx, t.conf.ID)
	t.log.Warn("breaker: something else keeps writing for a user; left alone for a while", "user", p.id.User, "until", p.breaker.Until())
	return true
}

// settle notes what came of a target.
func (w *work) settle(t target, r wire.Result, detail string) {
	w.results[t] = r
	switch {
	case detail == "":
	case w.outcome.Detail == "":
		w.outcome.Detail = detail
	case w.outcome.Detail != detail:
		w.outcome.Detail += "; " + detail
	}
}

// refuse settles a target for good: this want is not tried again for it.
func (t *tenant) refuse(p *person, w *work, each target, result wire.Result, detail string) {
	p.refused[each] = refusal{w.want.Revision, result, detail}
	w.settle(each, result, detail)
}

// write makes the requests: intent before, effect after.
func (t *tenant) write(ctx context.Context, p *person, w *work, steps map[target]step) error {
	if len(steps) > 0 {
		now := t.w.bus.Now()
		if w.outcome.BeganAt.IsZero() {
			w.outcome.BeganAt = now
		}
		for each, do := range steps {
			ask := &pin{SetAt: now}
			if do != remove {
				*ask = each.asked(w.want)
				ask.SetAt = now
			}
			w.next = w.next.intend(each, ask)
		}
		if err := t.save(ctx, p, w.next); err != nil {
			return err
		}
		w.changed = false
		for _, each := range targets {
			if do, asked := steps[each]; asked {
				t.ask(ctx, p, w, each, do)
			}
		}
		w.outcome.EndedAt = t.w.bus.Now()
	}
	if !w.changed {
		return nil
	}
	for _, each := range targets {
		if r := w.results[each]; r == wire.Applied || r == wire.RefusedPerson {
			w.next.Result = worse(w.next.Result, r)
		}
	}
	return t.save(ctx, p, w.next)
}

// ask makes one request and notes in w what came of it.
func (t *tenant) ask(ctx context.Context, p *person, w *work, each target, do step) {
	now := t.w.bus.Now()
	ask := w.next.doubt(each)
	err := t.request(ctx, func(ctx context.Context, client Client) error {
		switch {
		case each == session && do == remove:
			return client.ClearPresence(ctx, p.id.User, t.conf.App)
		case each == session:
			return client.SetPresence(ctx, p.id.User, t.conf.App, graphSession(ask.Show), each.life(ask.Until, now))
		case do == remove:
			return client.ClearPreferredPresence(ctx, p.id.User)
		}
		return client.SetPreferredPresence(ctx, p.id.User, graphPreferred(ask.Show), each.life(ask.Until, now))
	})
	if do != refresh && (err == nil || !changedNothing(err)) {
		p.breaker.Count(now)
	}
	if err != nil {
		if changedNothing(err) {
			w.next, w.changed = w.next.intend(each, nil), true // else what a person sets would be taken for ours
		}
		t.give(ctx, p, w, each, err)
		return
	}
	w.next, w.changed = w.next.happened(each, ask), true
	w.written = append(w.written, each)
	w.settle(each, wire.Applied, "")
}

// request makes one request of Graph, within the lease, unless Graph asked to be left
// alone. Each has one try here: the client's own are its affair, the next is the bus's.
func (t *tenant) request(ctx context.Context, do func(context.Context, Client) error) error {
	if wait := t.wait(t.w.bus.Now()); wait > 0 {
		return fault.After(fault.Throttled, "microsoft graph", wait, nil)
	}
	client, err := t.conf.Client()
	if err != nil {
		return fault.New(fault.Denied, "microsoft graph", err)
	}
	bounded, cancel := t.lease.Deadline(ctx)
	defer cancel()
	err = do(bounded, client)
	if after := fault.RetryAfter(err); err != nil && after > 0 {
		t.close(t.w.bus.Now().Add(after))
	}
	return err
}

// changedNothing says whether the error of a request promises that Teams shows what
// it did before.
func changedNothing(err error) bool {
	switch fault.KindOf(err) {
	case fault.Unavailable, fault.Throttled, fault.NotFound, fault.Unsupported, fault.Denied, fault.Invalid:
		return true
	}
	return false
}

// give decides whether an error of Graph is worth another try.
func (t *tenant) give(ctx context.Context, p *person, w *work, each target, err error) {
	switch fault.KindOf(err) {
	case fault.Unsupported, fault.Invalid:
		t.refuse(p, w, each, wire.Unsupported, err.Error())
	case fault.NotFound, fault.Denied:
		t.refuse(p, w, each, wire.Failed, err.Error())
	default:
		t.w.metrics.wrote(ctx, t.conf.ID, each, fault.KindOf(err).String())
		if w.retry == nil {
			w.retry = err
		}
	}
}

// severity orders results: of two targets the outcome tells the worse.
var severity = map[wire.Result]int{wire.Already: 1, wire.Applied: 2, wire.RefusedPerson: 3, wire.Unsupported: 4, wire.Failed: 5}

func worse(a, b wire.Result) wire.Result {
	if severity[a] > severity[b] {
		return a
	}
	return b
}

// conclude gives the outcome its result. told says that the same want has one
// already: it came again after its ack was lost, and there was nothing left to do.
func (t *tenant) conclude(ctx context.Context, p *person, w *work) (told bool, err error) {
	result := wire.Already
	for _, r := range w.results {
		result = worse(result, r)
	}
	if result == wire.Already {
		subject, _ := w.outcome.Encode()
		m, err := t.w.bus.Last(ctx, topology.Outcomes, subject)
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return false, err
		}
		if err == nil {
			if last, err := wire.DecodeTeamsOutcome(m.Data); err == nil && last.Revision == w.want.Revision {
				p.told = w.want.Revision
				return true, nil
			}
		}
	}
	if p.pins.Revision == w.want.Revision {
		result = worse(result, p.pins.Result) // of an earlier try
	}
	w.outcome.Result = result
	return false, nil
}

// report publishes the outcome. The id makes a repetition for the same revision
// and result the same outcome.
func (t *tenant) report(ctx context.Context, p *person, w *work) error {
	o := &w.outcome
	now := t.w.bus.Now()
	if o.EndedAt.IsZero() {
		o.EndedAt = now
	}
	if pin := p.pins.shown(session, now); pin != nil {
		o.Session, o.SessionUntil = pin.Show, pin.Until
	}
	if pin := p.pins.shown(preferred, now); pin != nil {
		o.Preferred, o.PreferredUntil = pin.Show, pin.Until
	}
	o.ID = fmt.Sprintf("%s-%d.%d-%s", wire.PersonKey(o.Person), o.Revision.Epoch, o.Revision.Sequence, o.Result)
	for each, r := range w.results {
		t.w.metrics.wrote(ctx, t.conf.ID, each, r.String())
	}
	for _, each := range w.written {
		if !o.SeenAt.IsZero() {
			t.w.metrics.latency(ctx, each, o.EndedAt.Sub(o.SeenAt))
		}
	}
	t.log.Info("want settled", "user", p.id.User, "result", o.Result.String(), "reason", o.Reason, "decision", o.Decision)
	if err := t.w.publish(ctx, o); err != nil {
		return err
	}
	if o.Result != wire.Stale {
		p.told = w.want.Revision
	}
	return nil
}
