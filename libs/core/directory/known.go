package directory

import (
	"slices"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
)

// known plans for everybody who has a record, or whom the configuration pairs, and
// returns those who have neither and should have an extension, in order.
func (p *planner) known() (fresh []place) {
	next, records := 0, p.Lists.Records.Len()
	var mine []claim
	for i := range p.Lists.Users.Len() {
		u := p.someone(place(i + 1))
		mine = mine[:0]
		for ; next < records; next++ {
			r := p.Lists.Records.At(next)
			compared := comparePeople(r.Person, u.Person)
			if compared > 0 {
				break
			}
			if compared == 0 { // else nothing is known of the person: everything stays
				mine = append(mine, claim{place(next + 1), r})
			}
		}
		if w := p.rules[u.Tenant]; w != nil && p.person(&u, w, mine) {
			fresh = append(fresh, u.place)
		}
	}
	return fresh
}

// person plans for a user's records and says whether they are new.
func (p *planner) person(u *someone, w *wants, records []claim) (fresh bool) {
	has := false
	for i := range records {
		r := &records[i]
		switch {
		case p.lost[r.place]:
		case p.owner(r.Line.Extension) != r.place: // a conflict that is listed
			has = true
		case p.keep(u, w, r, records):
			has = true
		}
	}
	for _, number := range p.pairs[u.Person] {
		if owner := p.owner(number); owner == 0 || p.record(owner).Person != u.Person {
			p.pair(u, w, number)
		}
		has = true
	}
	if has || p.refused[u.Person] {
		return false
	}
	switch s, why := w.stand(&u.User, nil, false); {
	case s == stays:
		return true
	case why != Gone:
		p.step(Step{Op: plan.Skip, Reason: why, Person: u.Person, Line: p.line(""), user: u.place, wants: w})
	}
	return false
}

// matter is a step in the making, beside what it is about.
type matter struct {
	Step
	has  Extension // if there is one
	kept Record    // if there is one, as its notes say
}

// matter is about an extension that a user has, or should have.
func (p *planner) matter(u *someone, w *wants, number identity.Extension) matter {
	m := matter{Step: Step{Person: u.Person, Line: p.line(number), user: u.place, wants: w, is: p.at(number)}}
	if m.is != 0 {
		m.has = p.extension(m.is)
	}
	return m
}

// pair takes over an extension because the configuration says so. One that is not there
// was, under a record that the configuration overrides, and is made again.
func (p *planner) pair(u *someone, w *wants, number identity.Extension) {
	if s, _ := w.stand(&u.User, nil, true); s != stays {
		return
	}
	p.settled = append(p.settled, u.place)
	fields := p.fields(w, &u.User)
	m := p.matter(u, w, number)
	m.Op, m.Reason = plan.Adopt, ByConfiguration
	_, taken := p.taken[number]
	switch {
	case m.is != 0:
		m.changed = m.has.differs(fields, w.on)
		p.step(m.Step)
	case taken:
		m.Op, m.Reason, m.Detail = plan.Conflict, NumberTaken, "something else has the number now"
		p.step(m.Step)
	default:
		m.Op = plan.Create
		if p.Free != nil && p.free <= 0 { // whoever had the number gives it up now
			p.store(Record{Person: u.Person, Line: m.Line, How: Reserved, Since: p.Now}, ByConfiguration)
		}
		p.make(m.Step, true)
	}
}

// keep plans for one record. It says false where the record was given up.
func (p *planner) keep(u *someone, w *wants, old *claim, all []claim) bool {
	number := old.Line.Extension
	var n noted
	if !old.WasEnabled && u.Enabled && !u.Gone && !u.Purpose.Resource() {
		n |= seen
	}
	pair := p.explicit[number] == u.Person
	if pair {
		n |= configured
	}
	if old.Unsent && p.marked(number) == u.Person.User {
		n |= sent
	}
	if n&(seen|sent) == 0 && old.How != Reserved && (old.How == Configured || !pair) {
		p.owns(u, w, old, 0, pair)
		return true
	}
	next := *old
	n.apply(&next.Record)
	if next.How == Reserved {
		switch p.resume(u, w, &next, n, all) {
		case givenUp:
			p.lose(*old, NumberTaken)
			p.own(number, 0)
			return false
		case waiting:
			if next.Record != old.Record {
				p.store(next.Record, Resumed)
			}
			return true
		}
		n |= made
		n.apply(&next.Record)
	}
	p.result.Notes = append(p.result.Notes, Note{Why: Confirmed, lists: p.Lists, place: old.place, noted: n})
	p.owns(u, w, &next, n, pair)
	return true
}

// marked is whose marker the extension of a number has; "" where there is none.
func (p *planner) marked(number identity.Extension) identity.User {
	if at := p.at(number); at != 0 {
		return p.extension(at).Marker
	}
	return ""
}

// resumption is what becomes of a reservation.
type resumption uint8

const (
	confirmed resumption = iota // the extension is there, and Offhook's
	waiting                     // it is asked for again, or nobody needs it for now
	givenUp                     // the number is somebody else's
)

// resume goes on with a number that was reserved: a run ended, perhaps, between the
// choice and the effect, or the effect is on its way.
//
//	extension of that number                      then
//	has the user's marker, or address and none    it is Offhook's
//	has another's marker, or address and none     given up
//	is there, and nothing tells whose it is       asked for again: whoever writes knows
//	the number is refused, or something else's    given up
//	is not there                                  asked for again
func (p *planner) resume(u *someone, w *wants, r *claim, n noted, all []claim) resumption {
	_, taken := p.taken[r.Line.Extension]
	m := p.matter(u, w, r.Line.Extension)
	there, e := m.is != 0, &m.has
	switch {
	case there && e.Marker == u.Person.User:
		return confirmed
	case there && e.Marker == "" && (u.has(e.Mail) || e.Mail != "" && folded(e.Mail) == folded(r.Last.Mail)) && !taken:
		return confirmed
	case there && (e.Marker != "" || e.Mail != "" && r.Last.Mail != "") || taken:
		return givenUp
	}
	s, _ := w.stand(&u.User, &r.Record, false)
	other := slices.ContainsFunc(all, func(o claim) bool { return o.How != Reserved && !p.lost[o.place] })
	switch {
	case s == stays && !other:
		p.fields(w, &u.User)
		p.settled = append(p.settled, u.place)
		m.Op, m.Reason, m.record, m.noted = plan.Create, Resumed, r.place, n
		m.is = 0 // nobody knows whose it is, if there is one
		p.make(m.Step, !there)
	case r.Left.IsZero():
		r.Left = p.Now
	case p.over(w, &r.Record):
		p.forget(r.Record, ReservationOver)
		r.Record = p.record(r.place) // the note says it all
	}
	return waiting
}

// make adds a step that makes an extension, if the licence has a seat for it.
func (p *planner) make(s Step, seat bool) {
	if seat && p.Free != nil {
		if p.free <= 0 {
			p.step(Step{Op: plan.Skip, Reason: LicenceFull, Person: s.Person, Line: s.Line, user: s.user, wants: s.wants})
			return
		}
		p.free--
	}
	s.changed = s.wants.on
	p.step(s)
}

// owns plans for an extension that is Offhook's. r is as its notes say; pair says that the
// configuration pairs them.
func (p *planner) owns(u *someone, w *wants, r *claim, n noted, pair bool) {
	m := p.matter(u, w, r.Line.Extension)
	m.kept, m.record, m.noted = r.Record, r.place, n
	is, why := w.stand(&u.User, &r.Record, pair)
	if is == stays {
		p.settled = append(p.settled, u.place)
	}
	switch {
	case m.has.Marker != "" && m.has.Marker != u.Person.User && !pair:
		m.Op, m.Reason, m.Detail = plan.Conflict, OthersMarker, "it is marked as user "+string(m.has.Marker)+"'s"
		p.step(m.Step)
	case is == leaves:
		p.gone(&m, why)
	case is == waits && (m.is == 0 || r.Left.IsZero() && (m.has.Enabled || w.on&enabledOnly == 0)):
		m.Op, m.Reason = plan.Skip, why
		p.step(m.Step)
	case is == waits: // here, but without a name: with the names it had
		p.here(&m, &u.User, enabledOnly)
	default:
		p.here(&m, &u.User, w.on)
	}
}

// here plans for somebody who should have the extension. mask is what of it is kept the same.
func (p *planner) here(m *matter, u *User, mask fieldSet) {
	fields := p.fields(m.wants, u)
	if !m.kept.Left.IsZero() {
		m.Op, m.Reason = plan.Return, Back
	}
	_, taken := p.taken[m.Line.Extension]
	switch {
	case m.is == 0 && taken:
		m.Op, m.Reason, m.Detail = plan.Conflict, NumberTaken, "something else has the number now"
		p.step(m.Step)
	case m.is == 0:
		if m.Op == "" {
			m.Op, m.Reason = plan.Create, DeletedThere
		}
		p.make(m.Step, true)
	default:
		p.same(m, u, fields, mask)
	}
}

// same keeps the fields of an extension the same, and the picture.
func (p *planner) same(m *matter, u *User, fields Fields, mask fieldSet) {
	m.changed = m.has.differs(fields, mask)
	m.marks = m.has.Marker != m.Person.User && m.has.Marker != ""
	switch {
	case m.Op == plan.Return:
		p.step(m.Step)
	case m.kept.Unsent:
		m.Op, m.Reason = plan.Adopt, Resumed
		p.step(m.Step)
	case m.changed != 0 || m.marks:
		m.Op, m.Reason = plan.Update, Differs
		p.step(m.Step)
	}
	if m.wants.Photo && u.Photo != m.kept.Photo && m.wants.Policy.Allows(plan.Update) {
		p.result.Photos = append(p.result.Photos, Photo{m.Person, m.Line, m.kept.Photo, u.Photo})
	}
}

// differs returns the fields of mask in which the extension is not as it should be.
func (e *Extension) differs(fields Fields, mask fieldSet) fieldSet {
	return differing(e, &Extension{Fields: fields, Enabled: true}, mask)
}

// gone plans for the extension of somebody who left.
func (p *planner) gone(m *matter, why Reason) {
	enabled := m.has.Enabled && m.wants.on&enabledOnly != 0
	if enabled {
		m.changed = enabledOnly
	}
	switch over := p.over(m.wants, &m.kept); {
	case m.kept.Left.IsZero():
		m.Op, m.Reason = plan.Disable, why
		p.step(m.Step)
	case enabled:
		m.Op, m.Reason = plan.Disable, PutBack
		p.step(m.Step)
	case m.is != 0 && over:
		m.Op, m.Reason = plan.Delete, HoldOver
		p.step(m.Step)
	case m.is == 0 && over:
		p.forget(m.kept, HoldOver)
	}
}

// over says whether the hold of somebody who left is.
func (p *planner) over(w *wants, r *Record) bool {
	return !r.Left.IsZero() && !p.Now.Before(r.Left.Add(w.Hold))
}
