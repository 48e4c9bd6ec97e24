package directory

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
)

// adopt takes over extensions that are there already and fit exactly one new user who
// fits no other, and returns the users whom none fits. Several that fit are listed.
func (p *planner) adopt(fresh []place) (rest []place) {
	if len(fresh) == 0 {
		return nil
	}
	p.result.Steps = slices.Grow(p.result.Steps, len(fresh))
	marked, addressed := p.unowned()
	contenders := p.contenders(fresh, marked, addressed)
	doubles := p.doubles(fresh)
	for _, at := range fresh {
		u := p.someone(at)
		fits, why := marked[u.Person.User], ByMarker
		if len(fits) == 0 {
			fits, why = fitting(addressed, &u.User), ByAddress
		}
		same := doubles[folded(u.Address())]
		switch {
		case len(fits) > 1:
			p.conflict(&u, SeveralExtensions, p.line(""), "extensions "+p.numbers(fits)+" fit")
		case len(fits) == 1 && contenders[fits[0]].several():
			number := p.extension(fits[0]).Number
			p.conflict(&u, SeveralUsers, p.line(number), "extension "+string(number)+" fits "+contenders[fits[0]].String())
		case len(fits) == 1:
			p.take(&u, fits[0], why)
		case same.several():
			p.conflict(&u, SeveralUsers, p.line(""), same.String()+" have the address "+u.Address())
		default:
			rest = append(rest, at)
		}
	}
	return rest
}

// crowd are the users who share something. Of many it knows the first and how many.
type crowd struct {
	first []identity.Person // sorted
	more  int
}

// join adds a user who is not the one that joined before. People join in their order,
// but those who are new before the others.
func (c *crowd) join(who identity.Person) {
	const most = 5
	at, _ := slices.BinarySearchFunc(c.first, who, comparePeople)
	if c.first = slices.Insert(c.first, at, who); len(c.first) > most {
		c.first = c.first[:most]
		c.more++
	}
}

func (c *crowd) several() bool { return c != nil && len(c.first) > 1 }

func (c *crowd) String() string {
	names := make([]string, 0, len(c.first)+1)
	for _, who := range c.first {
		names = append(names, who.String())
	}
	if c.more > 0 {
		names = append(names, strconv.Itoa(c.more)+" more")
	}
	return strings.Join(names, ", ")
}

// contenders finds for extensions that might be adopted whom they fit. One whose address
// another extension has as well is nobody's anyway.
func (p *planner) contenders(fresh []place, marked map[identity.User][]place, addressed map[string][]place) map[place]*crowd {
	crowds := map[place]*crowd{}
	join := func(fits []place, u *User) {
		if len(fits) != 1 {
			return
		}
		if crowds[fits[0]] == nil {
			crowds[fits[0]] = &crowd{}
		}
		crowds[fits[0]].join(u.Person)
	}
	if len(marked) > 0 {
		for _, at := range fresh {
			u := p.user(at)
			join(marked[u.Person.User], &u)
		}
	}
	if len(addressed) == 0 {
		return crowds
	}
	for _, users := range [][]place{fresh, p.settled} { // who has one also contends
		for i, at := range users {
			if i > 0 && at == users[i-1] { // who has two extensions is listed twice
				continue
			}
			u := p.user(at)
			first, second := u.addresses()
			join(addressed[first], &u)
			if second != "" {
				join(addressed[second], &u)
			}
		}
	}
	return crowds
}

// unowned finds the extensions that are nobody's yet, by their marker, else by their
// address. The marker of somebody else settles that it is not about the address.
func (p *planner) unowned() (marked map[identity.User][]place, addressed map[string][]place) {
	marked, addressed = map[identity.User][]place{}, map[string][]place{}
	for i := range p.Lists.Extensions.Len() {
		e, at := p.Lists.Extensions.At(i), place(i+1)
		if p.owner(e.Number) != 0 {
			continue
		}
		if _, ok := p.explicit[e.Number]; ok {
			continue
		}
		if e.Marker != "" {
			marked[e.Marker] = append(marked[e.Marker], at)
		} else if mail := folded(e.Mail); mail != "" {
			addressed[mail] = append(addressed[mail], at)
		}
	}
	return marked, addressed
}

// fitting returns the extensions that have one of the user's addresses.
func fitting(addressed map[string][]place, u *User) []place {
	first, second := u.addresses()
	fits := addressed[first]
	if second != "" && len(addressed[second]) > 0 {
		fits = append(slices.Clone(fits), addressed[second]...)
	}
	return fits
}

// doubles finds the new users whose extension would get the address that another has,
// new or not, by that address.
func (p *planner) doubles(fresh []place) map[string]*crowd {
	firsts := make(map[string]place, len(fresh))
	doubles := map[string]*crowd{}
	see := func(at place, known bool) {
		u := p.user(at)
		a := folded(u.Address())
		other, ok := firsts[a]
		switch {
		case a == "" || known && !ok:
		case !ok:
			firsts[a] = at
		default:
			if doubles[a] == nil {
				doubles[a] = &crowd{}
				doubles[a].join(p.user(other).Person)
			}
			doubles[a].join(u.Person)
		}
	}
	for _, at := range fresh {
		see(at, false)
	}
	for i, at := range p.settled {
		if i == 0 || at != p.settled[i-1] {
			see(at, true)
		}
	}
	return doubles
}

func (p *planner) conflict(u *someone, why Reason, at identity.Line, detail string) {
	p.step(Step{Op: plan.Conflict, Reason: why, Person: u.Person, Line: at, Detail: detail, user: u.place, wants: p.rules[u.Tenant]})
}

// take adopts an extension.
func (p *planner) take(u *someone, e place, why Reason) {
	w := p.rules[u.Tenant]
	m := p.matter(u, w, p.extension(e).Number)
	m.Op, m.Reason, m.changed = plan.Adopt, why, m.has.differs(p.fields(w, &u.User), w.on)
	p.step(m.Step)
}

// numbers names extensions, the first few of many.
func (p *planner) numbers(extensions []place) string {
	const most = 5
	var all []string
	for _, at := range extensions[:min(len(extensions), most)] {
		all = append(all, string(p.extension(at).Number))
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	if more := len(extensions) - most; more > 0 {
		all = append(all, strconv.Itoa(more)+" more")
	}
	return strings.Join(all, ", ")
}

// create makes extensions for users who have none, in the order of persons: so the same
// users get the same numbers, wherever a run before was cut off.
func (p *planner) create(fresh []place) {
	if len(fresh) == 0 {
		return
	}
	a := newAllocator(p.View, p.Lists, len(fresh))
	for _, at := range fresh {
		u := p.user(at)
		w := p.rules[u.Tenant]
		s := Step{Op: plan.Skip, Person: u.Person, Line: p.line(""), user: at, wants: w}
		if p.Free != nil && p.free <= 0 {
			s.Reason = LicenceFull
			p.step(s)
			continue
		}
		number, where, ok := a.give(&u, w.Rules)
		if !ok {
			s.Reason, s.Detail = NumbersFull, "no number is free "+where
			p.step(s)
			continue
		}
		p.fields(w, &u)
		s.Op, s.Reason, s.Line = plan.Create, New, p.line(number)
		p.make(s, true)
	}
}
