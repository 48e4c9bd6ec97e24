package coverage_test

import (
	"fmt"
	"reflect"
	"slices"
	"testing"

	"offhook.dev/libs/core/coverage"
	"offhook.dev/libs/core/identity"
)

// FuzzPlan reads bytes as lanes, users and any assignment at all, and checks every
// law on what is planned after the first plan, which has put the assignment in order.
func FuzzPlan(f *testing.F) {
	f.Add([]byte{})
	f.Add([]byte{2, 3, 1, 2, 0, 4, 9, 1, 8, 2, 7, 0, 6, 1, 0, 0, 1, 1, 0, 1, 2})
	f.Add([]byte{1, 0, 1, 3, 250, 250, 1, 1, 0, 0, 0, 0, 0, 0, 0, 1, 0, 2, 0, 3})
	f.Fuzz(func(t *testing.T, data []byte) {
		next := func() int {
			if len(data) == 0 {
				return 0
			}
			b := data[0]
			data = data[1:]
			return int(b)
		}
		var l []coverage.Lane
		for n := range next() % 6 {
			l = append(l, coverage.Lane{ID: coverage.LaneID(fmt.Sprint(n)), Capacity: next() % 8, Usable: next()%4 > 0})
		}
		var u []coverage.User
		for n := range next() % 40 {
			u = append(u, coverage.User{ID: identity.User(fmt.Sprint(n)), Priority: next()%5 - 2, Activity: uint32(next())})
		}
		current := coverage.Assignment{Lanes: map[coverage.LaneID][]identity.User{}}
		for len(data) > 0 {
			id := coverage.LaneID(fmt.Sprint(next() % 8))
			current.Lanes[id] = append(current.Lanes[id], identity.User(fmt.Sprint(next()%50)))
		}
		first, err := coverage.Plan(current, l, u)
		if err != nil {
			t.Fatal(err)
		}
		if found := broken(first, l, u, first); len(found) > 0 {
			t.Fatalf("%v", found)
		}
		if again, err := coverage.Plan(first, l, u); err != nil || !reflect.DeepEqual(again, first) {
			t.Fatalf("%s, and again %s, %v", words(first), words(again), err)
		}
		if len(u) == 0 {
			return
		}
		u = slices.Delete(u, 0, 1)
		second, err := coverage.Plan(first, l, u)
		if err != nil {
			t.Fatal(err)
		}
		if found := broken(first, l, u, second); len(found) > 0 || len(first.Changed(second)) > 1 {
			t.Fatalf("%s after a user left: %s\n%v", words(first), words(second), found)
		}
	})
}
