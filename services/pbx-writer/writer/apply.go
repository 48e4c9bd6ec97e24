package writer

import (
	"context"
	"errors"
	"fmt"
	"time"

	"go.opentelemetry.io/otel/trace"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// apply carries one want out, or says why not. An error means: try again. overtaken
// says whether a newer want of the line has come; nil: it does not matter.
func (s *system) apply(ctx context.Context, want wire.Want, received time.Time, overtaken func() bool) error {
	s.inHand.Add(1)
	defer s.inHand.Add(-1)
	l := s.line(want.Line)
	l.mu.Lock()
	defer l.mu.Unlock()
	return s.carryOut(ctx, l, want, received, overtaken)
}

// carryOut is apply for who holds l.mu.
func (s *system) carryOut(ctx context.Context, l *line, want wire.Want, received time.Time, overtaken func() bool) error {
	o := wire.Outcome{
		Person: want.Person, Line: want.Line, Status: want.Status, Reason: want.Reason, Revision: want.Revision, Decision: want.Decision,
		SeenAt: want.SeenAt, ReceivedAt: received, Trace: trace.SpanContextFromContext(ctx).TraceID().String(),
	}
	if result, why := s.refuses(l, want); result != wire.ResultUnknown {
		o.Result, o.Detail = result, why
		return s.report(ctx, l, o)
	}
	if want.Revision != l.newest {
		l.newest, l.settled = want.Revision, false
	}
	if now := s.w.bus.Now(); !l.knows(want, now) {
		if err := s.refresh(ctx, l, &o, now); err != nil {
			return s.give(ctx, l, o, err)
		}
	}
	o.Before = l.status
	switch {
	case o.Result != wire.ResultUnknown: // the reading has settled it
	case want.Release && l.ledger.personShows():
		o.Result, o.Detail = wire.RefusedPerson, "released: a person's choice stays"
	case s.done(l, want):
		o.Result = wire.Already
		// The same want again, after a crash or a lost ack: what it did then counts.
		if e := l.ledger.Effect; e != nil && e.Revision == want.Revision {
			o.Result, o.BeganAt, o.EndedAt = wire.Applied, e.Began, e.Ended
			if told, err := s.reported(ctx, o); err != nil || told {
				if told {
					s.unsettled.ended(o)
				}
				return err
			}
		}
	case !l.ledger.covers(want):
		o.Result = wire.RefusedPerson
		o.Detail = fmt.Sprintf("a person chose %s at %s, which the decision did not know of", l.ledger.Person.Status, l.ledger.Person.At.UTC().Format(time.RFC3339))
	case s.fought(ctx, l, s.w.bus.Now()):
		o.Result = wire.Failed
		o.Detail = "breaker: something else keeps changing this extension; nothing is written before " + l.rare.breaker.Until().UTC().Format(time.RFC3339)
	default:
		return s.write(ctx, l, want, o, overtaken)
	}
	return s.report(ctx, l, o)
}

// done says whether a line shows what is wanted, all of it. l.mu is held.
func (s *system) done(l *line, want wire.Want) bool {
	return l.status == want.Status && !(s.pbx.Capabilities().Parts && l.ledger.half(want))
}

// refuses checks what needs no look at the phone system.
func (s *system) refuses(l *line, want wire.Want) (wire.Result, string) {
	if !s.tenants[want.Person.Tenant] {
		return wire.RefusedTenant, fmt.Sprintf("system %s does not serve tenant %s", s.id, want.Person.Tenant)
	}
	owner, linked := s.w.links.Who(want.Line)
	switch {
	case linked && (owner.Person != want.Person || owner.Revision != want.LinkRevision):
		return wire.RefusedLink, "decided for an older link of this extension"
	case !linked && !want.Release:
		return wire.RefusedLink, "the extension is not linked any more"
	case want.Revision.Compare(l.ledger.revision()) < 0, want.Revision.Compare(l.newest) < 0:
		return wire.Stale, "a newer want was carried out already"
	case want.Revision == l.seldom().overtaken && want.Revision != (wire.Revision{}):
		return wire.Stale, "a newer want has come"
	}
	return 0, ""
}

// refresh reads what a line shows. What cannot be judged by the five statuses settles o.
func (s *system) refresh(ctx context.Context, l *line, o *wire.Outcome, now time.Time) error {
	o.BeganAt = now
	ctx, cancel := s.lease.Deadline(ctx)
	defer cancel()
	status, err := s.pbx.Status(ctx, l.id.Extension)
	if err != nil {
		return err
	}
	if status == presence.Unset && !s.pbx.Capabilities().Volatile { // something of the phone system's own, which only a person sets
		o.Result, o.Detail = wire.RefusedPerson, "it shows a status that is none of the five"
		return nil
	}
	used, err := s.see(ctx, l, status, now, s.pbx.Generation())
	if err == nil && !used {
		return fault.Errorf(fault.Conflict, "read "+l.id.String(), "the reading is not newer than our last write: a clock was set back")
	}
	return err
}

// write asks the phone system: intent before, effect after.
func (s *system) write(ctx context.Context, l *line, want wire.Want, o wire.Outcome, overtaken func() bool) error {
	bounded, cancel := s.lease.Deadline(ctx)
	defer cancel()
	began := s.w.bus.Now()
	if err := s.save(bounded, l, l.ledger.intend(want, l.status, began)); err != nil {
		return err
	}
	if o.BeganAt.IsZero() {
		o.BeganAt = began
	}
	err := s.pbx.SetStatusUnless(bounded, l.id.Extension, want.Status, overtaken)
	o.EndedAt = s.w.bus.Now()
	l.blind = o.EndedAt
	if l.disputed() && (err == nil || !changedNothing(err)) {
		l.noted().breaker.Count(o.EndedAt)
	}
	if err != nil {
		if changedNothing(err) {
			next := l.ledger
			next.Intent = nil // else a person who chooses the same later would be taken for us
			if err := s.save(ctx, l, next); err != nil {
				return err
			}
		}
		return s.give(ctx, l, o, err)
	}
	if err := s.save(ctx, l, l.ledger.happened(o.EndedAt)); err != nil {
		return err
	}
	_, l.origin = l.ledger.explained()
	l.status, l.began, l.unseen = want.Status, o.EndedAt, true
	o.Result = wire.Applied
	if err := s.tell(ctx, l); err != nil {
		return err
	}
	return s.report(ctx, l, o)
}

// changedNothing says whether the error of a write promises that the phone system
// is as it was (pbx.Driver).
func changedNothing(err error) bool {
	switch fault.KindOf(err) {
	case fault.Unavailable, fault.Throttled, fault.NotFound, fault.Unsupported, fault.Denied, fault.Invalid:
		return true
	}
	return false
}

// give decides whether an error of the phone system is worth another try.
func (s *system) give(ctx context.Context, l *line, o wire.Outcome, err error) error {
	if errors.Is(err, pbx.ErrOvertaken) {
		l.noted().overtaken = o.Revision
		o.Result, o.Detail = wire.Stale, "a newer want has come, and the phone system had not taken this one"
		return s.report(ctx, l, o)
	}
	switch fault.KindOf(err) {
	case fault.Unsupported:
		o.Result = wire.Unsupported
	case fault.NotFound, fault.Invalid:
		o.Result = wire.Failed
	default:
		s.w.metrics.wrote(ctx, s.id, fault.KindOf(err).String())
		return err
	}
	o.Detail, l.noted().refused = err.Error(), o.Revision
	return s.report(ctx, l, o)
}

// report publishes the outcome. The id makes a repetition for the same revision
// and result the same outcome.
func (s *system) report(ctx context.Context, l *line, o wire.Outcome) error {
	if o.EndedAt.IsZero() {
		o.EndedAt = s.w.bus.Now()
	}
	o.ID = outcomeID(o)
	s.w.metrics.wrote(ctx, s.id, o.Result.String())
	if o.Result == wire.Applied && !o.SeenAt.IsZero() {
		s.w.metrics.latency(ctx, o.EndedAt.Sub(o.SeenAt))
	}
	s.log.Info("want settled", "extension", l.id.Extension, "result", o.Result.String(), "status", o.Status.String(), "reason", o.Reason, "detail", o.Detail)
	if err := s.w.publish(ctx, o, o.ID); err != nil {
		l.settled = false
		return err
	}
	l.settled = o.Revision == l.newest
	s.unsettled.ended(o)
	return nil
}

// reported says whether the newest outcome of the line is o: a want that comes again
// after its ack was lost has one already, and the stream's own memory of ids is short.
func (s *system) reported(ctx context.Context, o wire.Outcome) (bool, error) {
	subject, _ := o.Encode()
	m, err := s.w.bus.Last(ctx, topology.Outcomes, subject)
	if err != nil {
		if fault.KindOf(err) == fault.NotFound {
			err = nil
		}
		return false, err
	}
	last, err := wire.DecodeOutcome(m.Data)
	return err == nil && last.ID == outcomeID(o), nil
}

func outcomeID(o wire.Outcome) string {
	return fmt.Sprintf("%s-%d.%d-%s", wire.LineKey(o.Line), o.Revision.Epoch, o.Revision.Sequence, o.Result)
}
