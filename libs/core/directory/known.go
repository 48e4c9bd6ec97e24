package directory

import (
	"slices"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
)

// known plans for everybody who has a record, or whom the configuration pairs, and
// returns those who have neither and should have an extension, in order.
func (p *planner) known() (fresh []*User) {
	records := p.records
	for _, u := range p.users {
		for len(records) > 0 && comparePeople(records[0].Person, u.Person) < 0 {
			records = records[1:] // nothing is known of the person: everything stays
		}
		mine := records
		for len(records) > 0 && records[0].Person == u.Person {
			records = records[1:]
		}
		mine = mine[:len(mine)-len(records)]
		if w := p.rules[u.Tenant]; w != nil && p.person(u, w, mine) {
			fresh = append(fresh, u)
		}
	}
	return fresh
}

// person plans for a user's records and says whether they are new.
func (p *planner) person(u *User, w *wants, records []*Record) (fresh bool) {
	has := false
	for _, r := range records {
		switch {
		case p.lost[r]:
		case p.owned[r.Line.Extension] != r: // a conflict that is listed
			has = true
		case p.record(u, w, r, records):
			has = true
		}
	}
	for _, number := range p.pairs[u.Person] {
		if owner := p.owned[number]; owner == nil || owner.Person != u.Person {
			p.pair(u, w, number)
		}
		has = true
	}
	if has || p.refused[u.Person] {
		return false
	}
	switch s, why := w.stand(u, nil, false); {
	case s == stays:
		return true
	case why != Gone:
		p.step(Step{Op: plan.Skip, Reason: why, Person: u.Person, Line: p.line(""), user: u, wants: w})
	}
	return false
}

// pair takes over an extension because the configuration says so.
func (p *planner) pair(u *User, w *wants, number identity.Extension) {
	if s, _ := w.stand(u, nil, true); s != stays {
		return
	}
	s := Step{Op: plan.Adopt, Reason: ByConfiguration, Person: u.Person, Line: p.line(number), user: u, wants: w, is: p.at(number)}
	s.changed = s.differs(w.on)
	p.settled = append(p.settled, u)
	p.problems(w, u)
	p.step(s)
}

// record plans for one record. It says false where the record was given up.
func (p *planner) record(u *User, w *wants, old *Record, all []*Record) bool {
	configured := p.explicit[old.Line.Extension] == u.Person
	next := *old
	next.WasEnabled = next.WasEnabled || u.Enabled && !u.Gone && !u.Purpose.Resource()
	if configured {
		next.How = Configured
	}
	e := p.at(old.Line.Extension)
	if next.How == Reserved {
		switch p.resume(u, w, &next, e, all) {
		case givenUp:
			p.lose(old, NumberTaken)
			delete(p.owned, old.Line.Extension)
			return false
		case waiting:
			if next != *old {
				p.note(next, false, Resumed)
			}
			return true
		}
		next.How = Created
	}
	if next != *old {
		p.note(next, false, Confirmed)
		p.own(u, w, &next, e, configured)
	} else {
		p.own(u, w, old, e, configured)
	}
	return true
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
//	has another's marker                          given up
//	is there, and nothing tells whose it is       asked for again: whoever writes knows
//	the number is refused, or something else's    given up
//	is not there                                  asked for again
func (p *planner) resume(u *User, w *wants, r *Record, e *Extension, all []*Record) resumption {
	_, taken := p.taken[r.Line.Extension]
	switch {
	case e != nil && e.Marker == u.User:
		return confirmed
	case e != nil && e.Marker == "" && (u.has(e.Mail) || e.Mail != "" && folded(e.Mail) == folded(r.Last.Mail)) && !taken:
		return confirmed
	case e != nil && e.Marker != "" || taken:
		return givenUp
	}
	s, _ := w.stand(u, r, false)
	other := slices.ContainsFunc(all, func(o *Record) bool { return o.How != Reserved && !p.lost[o] })
	switch {
	case s == stays && !other:
		p.problems(w, u)
		p.settled = append(p.settled, u)
		p.make(Step{Op: plan.Create, Reason: Resumed, Person: u.Person, Line: r.Line, user: u, wants: w, record: r}, e == nil)
	case r.Left.IsZero():
		r.Left = p.Now
	case p.Cut == "" && p.over(w, r):
		p.note(*r, true, ReservationOver)
		*r = *p.owned[r.Line.Extension] // the note says it all
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

// own plans for an extension that is Offhook's. r is as its notes say.
func (p *planner) own(u *User, w *wants, r *Record, e *Extension, configured bool) {
	s := Step{Person: u.Person, Line: r.Line, user: u, wants: w, is: e, record: r}
	if e != nil && e.Marker != "" && e.Marker != u.User && !configured {
		s.Op, s.Reason, s.Detail = plan.Conflict, OthersMarker, "it is marked as user "+string(e.Marker)+"'s"
		p.step(s)
		return
	}
	switch is, why := w.stand(u, r, configured); {
	case is == leaves:
		p.gone(s, why)
	case is == waits && r.Left.IsZero():
		s.Op, s.Reason = plan.Skip, why
		p.step(s)
	case is == waits: // back, but without a name: as it was, with the names it had
		p.here(s, setOf(Enabled))
	default:
		p.here(s, w.on)
	}
}

// here plans for somebody who should have the extension. mask is what of it is kept the same.
func (p *planner) here(s Step, mask fieldSet) {
	p.settled = append(p.settled, s.user)
	p.problems(s.wants, s.user)
	if !s.record.Left.IsZero() {
		s.Op, s.Reason = plan.Return, Back
	}
	_, taken := p.taken[s.Line.Extension]
	switch {
	case s.is == nil && p.Cut != "":
	case s.is == nil && taken:
		s.Op, s.Reason, s.Detail = plan.Conflict, NumberTaken, "something else has the number now"
		p.step(s)
	case s.is == nil:
		if s.Op == "" {
			s.Op, s.Reason = plan.Create, DeletedThere
		}
		p.make(s, true)
	default:
		p.same(s, mask)
	}
}

// same keeps the fields of an extension the same, and the picture.
func (p *planner) same(s Step, mask fieldSet) {
	if s.changed = s.differs(mask); s.changed != 0 || s.Op == plan.Return {
		if s.Op == "" {
			s.Op, s.Reason = plan.Update, Differs
		}
		p.step(s)
	}
	if s.wants.Photo && s.user.Photo != s.record.Photo && s.wants.Policy.Allows(plan.Update) {
		p.result.Photos = append(p.result.Photos, Photo{s.Person, s.Line, s.record.Photo, s.user.Photo})
	}
}

// differs returns the fields of mask in which the extension is not as it should be.
func (s *Step) differs(mask fieldSet) fieldSet {
	e := Extension{Fields: s.wants.fields(s.user, nil), Enabled: true}
	return differing(s.is, &e, mask)
}

// gone plans for the extension of somebody who left.
func (p *planner) gone(s Step, why Reason) {
	enabled := s.is != nil && s.is.Enabled && s.wants.on.has(Enabled)
	if enabled {
		s.changed = setOf(Enabled)
	}
	switch over := p.over(s.wants, s.record); {
	case s.record.Left.IsZero():
		s.Op, s.Reason = plan.Disable, why
		p.step(s)
	case enabled:
		s.Op, s.Reason = plan.Disable, PutBack
		p.step(s)
	case s.is != nil && over:
		s.Op, s.Reason = plan.Delete, HoldOver
		p.step(s)
	case s.is == nil && over && p.Cut == "":
		p.note(*s.record, true, HoldOver)
	}
}

// over says whether the hold of somebody who left is.
func (p *planner) over(w *wants, r *Record) bool {
	return !r.Left.IsZero() && !p.Now.Before(r.Left.Add(w.Hold))
}
