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
		case p.owner(r.Line.Extension) != r: // a conflict that is listed
			has = true
		case p.record(u, w, r, records):
			has = true
		}
	}
	for _, number := range p.pairs[u.Person] {
		if owner := p.owner(number); owner == nil || owner.Person != u.Person {
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

// pair takes over an extension because the configuration says so. One that is not there
// was, under a record that the configuration overrides, and is made again.
func (p *planner) pair(u *User, w *wants, number identity.Extension) {
	if s, _ := w.stand(u, nil, true); s != stays {
		return
	}
	p.settled = append(p.settled, u)
	fields := p.fields(w, u)
	s := Step{Op: plan.Adopt, Reason: ByConfiguration, Person: u.Person, Line: p.line(number), user: u, wants: w, is: p.at(number)}
	_, taken := p.taken[number]
	switch {
	case s.is != nil:
		s.changed = s.differs(fields, w.on)
		p.step(s)
	case taken:
		s.Op, s.Reason, s.Detail = plan.Conflict, NumberTaken, "something else has the number now"
		p.step(s)
	default:
		s.Op = plan.Create
		if p.Free != nil && p.free <= 0 { // whoever had the number gives it up now
			p.store(Record{Person: u.Person, Line: s.Line, How: Reserved, Since: p.Now}, ByConfiguration)
		}
		p.make(s, true)
	}
}

// record plans for one record. It says false where the record was given up.
func (p *planner) record(u *User, w *wants, old *Record, all []*Record) bool {
	number := old.Line.Extension
	configured := p.explicit[number] == u.Person
	seen := !old.WasEnabled && u.Enabled && !u.Gone && !u.Purpose.Resource()
	if !seen && old.How != Reserved && (old.How == Configured || !configured) {
		p.owns(u, w, old, p.at(number), configured)
		return true
	}
	next := new(Record)
	*next = *old
	next.WasEnabled = next.WasEnabled || seen
	if configured {
		next.How = Configured
	}
	if next.How == Reserved {
		switch p.resume(u, w, next, p.at(number), all) {
		case givenUp:
			p.lose(old, NumberTaken)
			p.own(number, nil)
			return false
		case waiting:
			if *next != *old {
				p.store(*next, Resumed)
			}
			return true
		}
		next.How = Created
	}
	p.store(*next, Confirmed)
	p.owns(u, w, next, p.at(number), configured)
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
//	has another's marker, or address and none     given up
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
	case e != nil && (e.Marker != "" || e.Mail != "" && r.Last.Mail != "") || taken:
		return givenUp
	}
	s, _ := w.stand(u, r, false)
	other := slices.ContainsFunc(all, func(o *Record) bool { return o.How != Reserved && !p.lost[o] })
	switch {
	case s == stays && !other:
		p.fields(w, u)
		p.settled = append(p.settled, u)
		p.make(Step{Op: plan.Create, Reason: Resumed, Person: u.Person, Line: r.Line, user: u, wants: w, record: r}, e == nil)
	case r.Left.IsZero():
		r.Left = p.Now
	case p.Cut == "" && p.over(w, r):
		p.forget(*r, ReservationOver)
		*r = *p.owner(r.Line.Extension) // the note says it all
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

// owns plans for an extension that is Offhook's. r is as its notes say.
func (p *planner) owns(u *User, w *wants, r *Record, e *Extension, configured bool) {
	s := Step{Person: u.Person, Line: r.Line, user: u, wants: w, is: e, record: r}
	is, why := w.stand(u, r, configured)
	if is == stays {
		p.settled = append(p.settled, u)
	}
	switch {
	case e != nil && e.Marker != "" && e.Marker != u.User && !configured:
		s.Op, s.Reason, s.Detail = plan.Conflict, OthersMarker, "it is marked as user "+string(e.Marker)+"'s"
		p.step(s)
	case is == leaves:
		p.gone(s, why)
	case is == waits && (e == nil || r.Left.IsZero() && (e.Enabled || w.on&enabledOnly == 0)):
		s.Op, s.Reason = plan.Skip, why
		p.step(s)
	case is == waits: // here, but without a name: with the names it had
		p.here(s, enabledOnly)
	default:
		p.here(s, w.on)
	}
}

// here plans for somebody who should have the extension. mask is what of it is kept the same.
func (p *planner) here(s Step, mask fieldSet) {
	fields := p.fields(s.wants, s.user)
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
		p.same(s, fields, mask)
	}
}

// same keeps the fields of an extension the same, and the picture.
func (p *planner) same(s Step, fields Fields, mask fieldSet) {
	s.changed = s.differs(fields, mask)
	s.marks = s.is.Marker != s.user.User && (p.Marked || s.is.Marker != "")
	if s.changed != 0 || s.marks || s.Op == plan.Return {
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
func (s *Step) differs(fields Fields, mask fieldSet) fieldSet {
	return differing(s.is, &Extension{Fields: fields, Enabled: true}, mask)
}

// gone plans for the extension of somebody who left.
func (p *planner) gone(s Step, why Reason) {
	enabled := s.is != nil && s.is.Enabled && s.wants.on&enabledOnly != 0
	if enabled {
		s.changed = enabledOnly
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
		p.forget(*s.record, HoldOver)
	}
}

// over says whether the hold of somebody who left is.
func (p *planner) over(w *wants, r *Record) bool {
	return !r.Left.IsZero() && !p.Now.Before(r.Left.Add(w.Hold))
}
