package mapper

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// look is one reason to look at a person: the newest facts, and where they came from.
type look struct {
	trigger  string // kind of message
	facts    []presence.Fact
	evidence []wire.Evidence
	seen     time.Time // when the change was seen; zero: the passing of time
	again    bool      // delivered before: what followed then may have been cut short
}

// handle decides for one person and makes the decision known.
func (m *Mapper) handle(ctx context.Context, who identity.Person, l look) error {
	for lost := false; ; lost = true {
		r, revision, err := m.load(ctx, who)
		if err != nil {
			return err
		}
		next, set, err := m.decide(ctx, who, r, revision, l, lost)
		if err == nil {
			if set == revision {
				ctx = bus.Begin(ctx) // what memory wanted before is no consequence of this message
			}
			return m.publishWants(ctx, who, next, set, r.Memory)
		}
		if fault.KindOf(err) != fault.Conflict {
			return err
		}
		m.metrics.conflict(ctx) // another replica was faster: decide again on its memory
	}
}

// decide folds the facts into memory and, in this order, schedules the timer, sets
// the memory, and tells why. lost says that the last attempt was lost to another
// replica, after it had set the timer to what is not in memory now.
func (m *Mapper) decide(ctx context.Context, who identity.Person, r record, revision uint64, l look, lost bool) (record, uint64, error) {
	now := m.bus.Now()
	if !r.news(l, now) {
		l.facts = nil
		if !r.due(now) && !lost {
			return r, revision, nil
		}
	}
	options, chosen := m.options.Of(who)
	var v presence.Verdict
	under := options.Fingerprint()
	memory, changed := r.Memory, revision == 0 || r.Under != under
	for _, fact := range slices.Concat(m.standing(who, r, l, chosen, now), l.facts, []presence.Fact{presence.Tick{}}) {
		v = presence.Decide(memory, fact, options, now)
		memory, changed = v.Memory, changed || v.Changed
	}
	// A timer is set by whoever sets the memory as well, and by nobody else: the one who
	// loses starts again, so that the last timer belongs to the last memory.
	early := l.trigger == fired && !r.Wake.IsZero() && !r.due(now) // once more
	if changed || lost || early || r.due(now) && !v.Wake.Equal(r.Wake) {
		return m.remember(ctx, who, r, revision, v, under, l, lost || early)
	}
	if l.again {
		return r, revision, m.tellAgain(ctx, who, r, revision, v, l)
	}
	return r, revision, nil
}

// remember stores what was decided, under which options, and says why. timer says that the timer is to be set
// even if the time to look again is the same.
func (m *Mapper) remember(ctx context.Context, who identity.Person, r record, revision uint64, v presence.Verdict, under string, l look, timer bool) (record, uint64, error) {
	now := m.bus.Now()
	next := record{Memory: v.Memory, Wake: v.Wake, Decision: r.Decision, Decided: r.Decided, Seen: r.Seen, Under: under, Shown: r.showing(l)}
	told := revision == 0 || !slices.Equal(r.Memory.Wants(), v.Wants) || !sameTeams(r.Memory, v.Memory)
	if told {
		next.Decision, next.Decided, next.Seen = fmt.Sprintf("%s-%d", wire.PersonKey(who), now.UnixMicro()), now, l.seen
		if next.Seen.IsZero() {
			next.Seen = now
		}
	}
	if timer || !next.Wake.Equal(r.Wake) {
		if err := m.schedule(ctx, who, next.Wake); err != nil {
			return r, 0, err
		}
	}
	value, err := json.Marshal(next)
	if err != nil {
		return r, 0, fault.New(fault.Invalid, "mapper: memory", err)
	}
	revision, err = m.memory.Set(ctx, wire.PersonKey(who), value, revision)
	if err != nil {
		return r, 0, err
	}
	switch {
	case told:
		err = m.tell(ctx, who, next, revision, v, l)
	case l.again:
		err = m.tellAgain(ctx, who, next, revision, v, l)
	}
	if err != nil {
		return r, 0, err
	}
	return next, revision, nil
}

// schedule makes the broker wake us at a time; zero: what was scheduled may come
// in vain. The broker knows whole seconds (nats.go formats them so) and must not
// come early: nothing would have ended then, and nobody would look again.
func (m *Mapper) schedule(ctx context.Context, who identity.Person, at time.Time) error {
	if at.IsZero() {
		return nil
	}
	at = at.Add(time.Second - 1).Truncate(time.Second)
	return m.bus.Schedule(ctx, "timer."+wire.PersonKey(who), bus.Message{Subject: "fire." + wire.PersonKey(who)}, at)
}

// tellAgain makes up for a decision that was stored and not told: the message that
// led to it has come again.
func (m *Mapper) tellAgain(ctx context.Context, who identity.Person, r record, revision uint64, v presence.Verdict, l look) error {
	last, err := m.bus.Last(ctx, topology.Decisions, wire.DecisionSubject(who))
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return err
	}
	if err == nil {
		if d, err := wire.DecodeDecision(last.Data); err == nil && d.ID == r.Decision {
			return nil
		}
	}
	return m.tell(ctx, who, r, revision, v, l)
}

// tell publishes the decision with its grounds.
func (m *Mapper) tell(ctx context.Context, who identity.Person, r record, revision uint64, v presence.Verdict, l look) error {
	d := wire.Decision{
		ID: r.Decision, Person: who, At: r.Decided, Reason: v.Reason.String(), Trigger: l.trigger,
		Revision: wire.Revision{Epoch: m.epoch, Sequence: revision}, Evidence: l.evidence, Wake: v.Wake, Wants: m.wants(who, r, revision),
	}
	if want, ok := m.teamsWant(who, r, revision); ok {
		d.Teams = &want
	}
	for _, c := range v.Claims {
		d.Claims = append(d.Claims, wire.Claim{Source: string(c.Source), Status: c.Status, Since: c.Since, Until: c.Until, Detail: detail(c)})
	}
	m.metrics.decided(ctx, v.Reason)
	m.log.Info("decided", "tenant", who.Tenant, "user", who.User, "reason", v.Reason.String(), "trigger", l.trigger, "decision", d.ID)
	subject, data := d.Encode()
	_, err := m.bus.Publish(ctx, bus.Message{Subject: subject, Data: data, ID: d.ID})
	return err
}

// detail names the line that a claim is about, if it is about one.
func detail(c presence.Claim) string {
	if c.Line == (identity.Line{}) {
		return ""
	}
	return c.Line.String()
}
