package coverage

import (
	"cmp"
	"errors"
	"fmt"
	"slices"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
)

// Plan returns who should be on which lane, where current is who is. Users and lanes
// of current that are not among the arguments are dropped from it; of a lane that has
// more users than it can the weakest are. An error is fault.Invalid: a lane or a user
// that is listed twice or has no name, or a capacity out of range; it names each.
func Plan(current Assignment, lanes []Lane, users []User) (Assignment, error) {
	p, err := begin(lanes, users)
	if err != nil {
		return Assignment{}, fault.New(fault.Invalid, "coverage: plan", err)
	}
	p.keep(current)
	waiting := p.waiting()
	waiting = waiting[p.fill(waiting):]
	p.displace(waiting)
	return p.assignment(), nil
}

// plan is a plan in the making.
type plan struct {
	lanes []lane // sorted by id
	users []User // sorted by id
	at    []int  // of each user, the index of their lane, or nowhere
}

const nowhere = -1

// lane is a lane with its users, as indices.
type lane struct {
	Lane
	users   []int
	changed bool // it has other users than in the plan in force
}

// free is how many can still be put there.
func (l *lane) free() int {
	if !l.Usable {
		return 0
	}
	return l.Capacity - len(l.users)
}

// begin checks and sorts the arguments.
func begin(lanes []Lane, users []User) (*plan, error) {
	p := &plan{users: slices.Clone(users), at: make([]int, len(users))}
	for _, l := range lanes {
		p.lanes = append(p.lanes, lane{Lane: l})
	}
	slices.SortFunc(p.lanes, func(a, b lane) int { return cmp.Compare(a.ID, b.ID) })
	slices.SortFunc(p.users, func(a, b User) int { return cmp.Compare(a.ID, b.ID) })
	var problems []error
	for i, l := range p.lanes {
		if l.ID == "" {
			problems = append(problems, errors.New("a lane has no id"))
		}
		if l.Capacity < 0 || l.Capacity > MaxUsers {
			problems = append(problems, fmt.Errorf("lane %q: capacity %d is not 0 to %d", l.ID, l.Capacity, MaxUsers))
		}
		if i > 0 && l.ID == p.lanes[i-1].ID {
			problems = append(problems, fmt.Errorf("lane %q is listed twice", l.ID))
		}
	}
	for i, u := range p.users {
		p.at[i] = nowhere
		if u.ID == "" {
			problems = append(problems, errors.New("a user has no id"))
		}
		if i > 0 && u.ID == p.users[i-1].ID {
			problems = append(problems, fmt.Errorf("user %q is listed twice", u.ID))
		}
	}
	return p, errors.Join(problems...)
}

// keep gives everybody the place they have. Who is on two lanes stays on the one that
// works.
func (p *plan) keep(current Assignment) {
	for _, usable := range []bool{true, false} {
		for i := range p.lanes {
			if l := &p.lanes[i]; l.Usable == usable {
				p.keepLane(i, current.Lanes[l.ID])
			}
		}
	}
}

func (p *plan) keepLane(i int, users []identity.User) {
	l := &p.lanes[i]
	for _, id := range users {
		u, known := slices.BinarySearchFunc(p.users, id, func(u User, id identity.User) int { return cmp.Compare(u.ID, id) })
		if !known || p.at[u] != nowhere {
			l.changed = true
			continue
		}
		p.put(u, i)
	}
	if len(l.users) <= l.Capacity {
		return
	}
	slices.SortFunc(l.users, p.compare)
	for _, u := range l.users[l.Capacity:] {
		p.at[u] = nowhere
	}
	l.users, l.changed = l.users[:l.Capacity], true
}

func (p *plan) put(u, lane int) {
	p.lanes[lane].users = append(p.lanes[lane].users, u)
	p.at[u] = lane
}

// compare orders users, given as indices, by their right to a place, the stronger
// first and those of equal right by their ids, which the indices are in the order of.
func (p *plan) compare(a, b int) int {
	if c := strength(p.users[a], p.users[b]); c != 0 {
		return c
	}
	return a - b
}

// waiting returns who is on no lane, the strongest first: as many as could get a place.
func (p *plan) waiting() []int {
	places := 0
	for _, l := range p.lanes {
		if l.Usable {
			places += l.Capacity
		}
	}
	best := strongest{n: places, compare: p.compare}
	for u, lane := range p.at {
		if lane == nowhere {
			best.add(u)
		}
	}
	slices.SortFunc(best.heap, p.compare)
	return best.heap
}

// fill puts those who wait on free places, first on lanes that have changed anyway and
// then on those with most room, so that the fewest lanes change. It returns how many
// found a place.
func (p *plan) fill(waiting []int) (placed int) {
	var order []int
	for i := range p.lanes {
		if p.lanes[i].free() > 0 {
			order = append(order, i)
		}
	}
	slices.SortStableFunc(order, func(a, b int) int {
		x, y := &p.lanes[a], &p.lanes[b]
		return cmp.Or(first(x.changed, y.changed), cmp.Compare(y.free(), x.free()))
	})
	for _, i := range order {
		l := &p.lanes[i]
		for l.free() > 0 && placed < len(waiting) {
			p.put(waiting[placed], i)
			l.changed = true
			placed++
		}
	}
	return placed
}

// displace lets those who wait take the places of those whom they beat. fill has left
// somebody waiting, so no lane that works has a free place.
func (p *plan) displace(waiting []int) {
	if len(waiting) == 0 {
		return
	}
	var placed []int
	for i := range p.lanes {
		if p.lanes[i].Usable {
			placed = append(placed, p.lanes[i].users...)
		}
	}
	slices.SortFunc(placed, func(a, b int) int { return p.compare(b, a) })
	n := 0
	for n < min(len(placed), len(waiting)) && beats(p.users[waiting[n]], p.users[placed[n]]) {
		n++
	}
	for i, u := range p.victims(placed, n) {
		l := &p.lanes[p.at[u]]
		l.users[slices.Index(l.users, u)], l.changed = waiting[i], true
		p.at[waiting[i]], p.at[u] = p.at[u], nowhere
	}
}

// victims chooses the n weakest of placed, which is sorted, the weakest first. Among
// those of equal right it prefers those of lanes that change anyway, and then those of
// the lane that has most of them.
func (p *plan) victims(placed []int, n int) []int {
	if n == 0 {
		return nil
	}
	last := p.users[placed[n-1]]
	equal := func(u int) bool { return strength(p.users[u], last) == 0 }
	from := slices.IndexFunc(placed, equal)
	to := from
	for to < len(placed) && equal(placed[to]) {
		to++
	}
	for _, u := range placed[:from] {
		p.lanes[p.at[u]].changed = true
	}
	many := map[int]int{}
	for _, u := range placed[from:to] {
		many[p.at[u]]++
	}
	slices.SortFunc(placed[from:to], func(a, b int) int {
		x, y := p.at[a], p.at[b]
		return cmp.Or(first(p.lanes[x].changed, p.lanes[y].changed), cmp.Compare(many[y], many[x]), cmp.Compare(x, y), cmp.Compare(a, b))
	})
	return placed[:n]
}

// first orders what is so before what is not.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}

// assignment returns the plan by names.
func (p *plan) assignment() Assignment {
	a := Assignment{Lanes: make(map[LaneID][]identity.User, len(p.lanes))}
	for _, l := range p.lanes {
		slices.Sort(l.users) // indices are in the order of ids
		names := make([]identity.User, 0, len(l.users))
		for _, u := range l.users {
			names = append(names, p.users[u].ID)
		}
		a.Lanes[l.ID] = names
	}
	for u, lane := range p.at {
		if lane == nowhere {
			a.LeftOut = append(a.LeftOut, p.users[u].ID)
		}
	}
	return a
}
