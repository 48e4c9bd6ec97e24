package coverage_test

import (
	"cmp"
	"fmt"
	"slices"

	"offhook.dev/libs/core/coverage"
	"offhook.dev/libs/core/identity"
)

// The laws of the package doc, written apart from the plan. They judge any
// assignment, so that the worst of them can be shown to fail.

// byRight is the order of users' right to a place, the id apart.
func byRight(a, b coverage.User) int {
	return cmp.Or(cmp.Compare(b.Priority, a.Priority), cmp.Compare(b.Activity, a.Activity))
}

// mayTake says whether a user who is left out has to get the place of one who is not.
func mayTake(out, in coverage.User) bool {
	return out.Priority > in.Priority || out.Priority == in.Priority && int(out.Activity) > 2*int(in.Activity)+10
}

// kept is where users have a place that they keep a right to: who is on one of the
// lanes, among the strongest that the lane can have. current lists nobody twice.
func kept(current coverage.Assignment, lanes []coverage.Lane, users []coverage.User) map[identity.User]coverage.LaneID {
	all := map[identity.User]coverage.LaneID{}
	for _, l := range lanes {
		var there []coverage.User
		for _, u := range users {
			if slices.Contains(current.Lanes[l.ID], u.ID) {
				there = append(there, u)
			}
		}
		slices.SortFunc(there, func(a, b coverage.User) int { return cmp.Or(byRight(a, b), cmp.Compare(a.ID, b.ID)) })
		for _, u := range there[:min(len(there), l.Capacity)] {
			all[u.ID] = l.ID
		}
	}
	return all
}

// broken lists the laws that next breaks as a plan after current.
func broken(current coverage.Assignment, lanes []coverage.Lane, users []coverage.User, next coverage.Assignment) []string {
	var found []string
	fail := func(format string, args ...any) { found = append(found, fmt.Sprintf(format, args...)) }
	usable, at := map[coverage.LaneID]bool{}, map[identity.User]coverage.LaneID{}
	times := map[identity.User]int{}
	free := false
	for _, l := range lanes {
		there, listed := next.Lanes[l.ID]
		usable[l.ID] = l.Usable
		switch {
		case !listed:
			fail("lane %s is missing", l.ID)
		case len(there) > min(l.Capacity, 650):
			fail("lane %s has %d users", l.ID, len(there))
		case !slices.IsSorted(there):
			fail("lane %s is not sorted", l.ID)
		}
		free = free || l.Usable && len(there) < l.Capacity
		for _, u := range there {
			at[u] = l.ID
			times[u]++
		}
	}
	for _, u := range next.LeftOut {
		times[u]++
	}
	if len(next.Lanes) > len(lanes) {
		fail("there are lanes that do not exist")
	}
	if !slices.IsSorted(next.LeftOut) {
		fail("those left out are not sorted")
	}
	if free && len(next.LeftOut) > 0 {
		fail("somebody is left out though there is room")
	}
	if len(times) > len(users) {
		fail("somebody has a place who does not exist")
	}
	before := kept(current, lanes, users)
	var stay, came, gone, out, in []coverage.User // out: before and now; in: all on lanes that work
	for _, u := range users {
		if times[u.ID] != 1 {
			fail("%s is listed %d times", u.ID, times[u.ID])
		}
		was, had := before[u.ID]
		is, has := at[u.ID]
		if has && usable[is] {
			in = append(in, u)
		}
		switch {
		case had && has && was != is:
			fail("%s moved from %s to %s", u.ID, was, is)
		case had && !has && !usable[was]:
			fail("%s lost a place on the failing lane %s", u.ID, was)
		case had && has && usable[is]:
			stay = append(stay, u)
		case had && !has:
			gone = append(gone, u)
		case !had && has && !usable[is]:
			fail("%s was put on the failing lane %s", u.ID, is)
		case !had && has:
			came = append(came, u)
		case !had && !has:
			out = append(out, u)
		}
	}
	each := func(as, bs []coverage.User, wrong func(a, b coverage.User) bool, what string) {
		for _, a := range as {
			for _, b := range bs {
				if wrong(a, b) {
					fail(what, a.ID, b.ID)
				}
			}
		}
	}
	each(slices.Concat(out, gone), in, mayTake, "%s is left out for %s")
	each(gone, stay, func(a, b coverage.User) bool { return byRight(a, b) < 0 }, "%s had to go before the weaker %s")
	each(out, came, func(a, b coverage.User) bool { return byRight(a, b) < 0 }, "%s waits while the weaker %s came in")
	return found
}

// cost is what a plan changes: places that change hands, then lanes.
type cost struct{ displaced, lanes int }

func costOf(current coverage.Assignment, lanes []coverage.Lane, users []coverage.User, next coverage.Assignment) cost {
	var c cost
	for u := range kept(current, lanes, users) {
		if slices.Contains(next.LeftOut, u) {
			c.displaced++
		}
	}
	for _, l := range lanes {
		if !slices.Equal(current.Lanes[l.ID], next.Lanes[l.ID]) {
			c.lanes++
		}
	}
	return c
}

// cheapest tries every assignment and returns the least that one without a broken
// law costs.
func cheapest(current coverage.Assignment, lanes []coverage.Lane, users []coverage.User) (best cost, found bool) {
	users = slices.Clone(users)
	slices.SortFunc(users, func(a, b coverage.User) int { return cmp.Compare(a.ID, b.ID) })
	var try func(n int, next coverage.Assignment)
	try = func(n int, next coverage.Assignment) {
		if n == len(users) {
			c := costOf(current, lanes, users, next)
			if less := !found || cmp.Or(cmp.Compare(c.displaced, best.displaced), cmp.Compare(c.lanes, best.lanes)) < 0; less && len(broken(current, lanes, users, next)) == 0 {
				best, found = c, true
			}
			return
		}
		for _, l := range lanes {
			if there := next.Lanes[l.ID]; len(there) < l.Capacity {
				next.Lanes[l.ID] = append(slices.Clone(there), users[n].ID)
				try(n+1, next)
				next.Lanes[l.ID] = there
			}
		}
		next.LeftOut = append(slices.Clone(next.LeftOut), users[n].ID)
		try(n+1, next)
	}
	start := coverage.Assignment{Lanes: map[coverage.LaneID][]identity.User{}}
	for _, l := range lanes {
		start.Lanes[l.ID] = nil
	}
	try(0, start)
	return best, found
}
