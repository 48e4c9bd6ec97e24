package directory

import (
	"cmp"
	"slices"
	"strings"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
)

// adopt takes over extensions that are there already and fit exactly one new user who
// fits no other, and returns the users whom none fits. Several that fit are listed.
func (p *planner) adopt(fresh []*User) (rest []*User) {
	if len(fresh) == 0 {
		return nil
	}
	if p.Cut != "" {
		for _, u := range fresh {
			p.step(Step{Op: plan.Skip, Reason: ListingCut, Detail: p.Cut, Person: u.Person, Line: p.line(""), user: u, wants: p.rules[u.Tenant]})
		}
		return nil
	}
	marked, addressed := p.unowned()
	byMarker, byAddress := map[*Extension][]*User{}, map[*Extension][]*User{}
	if len(marked) > 0 {
		for _, u := range fresh {
			for _, e := range marked[u.User] {
				byMarker[e] = append(byMarker[e], u)
			}
		}
	}
	if len(addressed) > 0 {
		for _, u := range append(slices.Clone(fresh), p.settled...) { // who has one also contends
			for _, e := range fitting(addressed, u) {
				if !slices.Contains(byAddress[e], u) { // who has two extensions is listed twice
					byAddress[e] = append(byAddress[e], u)
				}
			}
		}
	}
	doubles := p.doubles(fresh)
	for _, u := range fresh {
		fits, contenders, why := marked[u.User], byMarker, ByMarker
		if len(fits) == 0 {
			fits, contenders, why = fitting(addressed, u), byAddress, ByAddress
		}
		same := doubles[folded(u.Address())]
		switch {
		case len(fits) > 1:
			p.conflict(u, SeveralExtensions, p.line(""), "extensions "+numbers(fits)+" fit")
		case len(fits) == 1 && len(contenders[fits[0]]) > 1:
			p.conflict(u, SeveralUsers, p.line(fits[0].Number), "extension "+string(fits[0].Number)+" fits "+people(contenders[fits[0]]))
		case len(fits) == 1:
			p.take(u, fits[0], why)
		case len(same) > 1:
			p.conflict(u, SeveralUsers, p.line(""), people(same)+" have the address "+u.Address())
		default:
			rest = append(rest, u)
		}
	}
	return rest
}

// unowned finds the extensions that are nobody's yet, by their marker, else by their
// address. The marker of somebody else settles that it is not about the address.
func (p *planner) unowned() (marked map[identity.User][]*Extension, addressed map[string][]*Extension) {
	marked, addressed = map[identity.User][]*Extension{}, map[string][]*Extension{}
	for _, e := range p.extensions {
		if p.owned[e.Number] != nil {
			continue
		}
		if _, ok := p.explicit[e.Number]; ok {
			continue
		}
		if e.Marker != "" {
			marked[e.Marker] = append(marked[e.Marker], e)
		} else if mail := folded(e.Mail); mail != "" {
			addressed[mail] = append(addressed[mail], e)
		}
	}
	return marked, addressed
}

// fitting returns the extensions that have one of the user's addresses.
func fitting(addressed map[string][]*Extension, u *User) []*Extension {
	first, second := u.addresses()
	fits := addressed[first]
	if second != "" && len(addressed[second]) > 0 {
		fits = append(slices.Clone(fits), addressed[second]...)
	}
	return fits
}

// doubles finds the new users whose extension would get the address that another has,
// new or not, by that address.
func (p *planner) doubles(fresh []*User) map[string][]*User {
	seen := make(map[string]*User, len(fresh))
	var doubles map[string][]*User
	see := func(u *User, known bool) {
		a := folded(u.Address())
		other, ok := seen[a]
		switch {
		case a == "" || known && !ok:
		case !ok:
			seen[a] = u
		default:
			if doubles == nil {
				doubles = map[string][]*User{}
			}
			if doubles[a] == nil {
				doubles[a] = []*User{other}
			}
			doubles[a] = append(doubles[a], u)
		}
	}
	for _, u := range fresh {
		see(u, false)
	}
	for _, u := range p.settled {
		see(u, true)
	}
	return doubles
}

func (p *planner) conflict(u *User, why Reason, at identity.Line, detail string) {
	p.step(Step{Op: plan.Conflict, Reason: why, Person: u.Person, Line: at, Detail: detail, user: u, wants: p.rules[u.Tenant]})
}

// take adopts an extension.
func (p *planner) take(u *User, e *Extension, why Reason) {
	w := p.rules[u.Tenant]
	s := Step{Op: plan.Adopt, Reason: why, Person: u.Person, Line: p.line(e.Number), user: u, wants: w, is: e}
	s.changed = s.differs(w.on)
	p.problems(w, u)
	p.step(s)
}

// people names users in their order.
func people(users []*User) string {
	var all []identity.Person
	for _, u := range users {
		all = append(all, u.Person)
	}
	slices.SortFunc(all, comparePeople)
	return list(slices.Compact(all))
}

// numbers names extensions in their order.
func numbers(extensions []*Extension) string {
	var all []string
	for _, e := range extensions {
		all = append(all, string(e.Number))
	}
	slices.SortFunc(all, func(a, b string) int { return cmp.Or(cmp.Compare(len(a), len(b)), cmp.Compare(a, b)) })
	return strings.Join(all, ", ")
}

// create makes extensions for users who have none, in the order of persons: so the same
// users get the same numbers, wherever a run before was cut off.
func (p *planner) create(fresh []*User) {
	if len(fresh) == 0 {
		return
	}
	a := newAllocator(p.View)
	for _, u := range fresh {
		w := p.rules[u.Tenant]
		s := Step{Op: plan.Skip, Person: u.Person, Line: p.line(""), user: u, wants: w}
		if p.Free != nil && p.free <= 0 {
			s.Reason = LicenceFull
			p.step(s)
			continue
		}
		number, where, ok := a.give(u, w.Rules)
		if !ok {
			s.Reason, s.Detail = NumbersFull, "no number is free "+where
			p.step(s)
			continue
		}
		p.problems(w, u)
		s.Op, s.Reason, s.Line = plan.Create, New, p.line(number)
		p.make(s, true)
	}
}
