package coverage_test

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"

	"offhook.dev/libs/core/coverage"
	"offhook.dev/libs/core/identity"
)

// BenchmarkPlan plans 100,000 users onto 10 full lanes: from nothing, with nothing to
// do, and after 1 % of the users have changed.
func BenchmarkPlan(b *testing.B) {
	r := rand.New(rand.NewPCG(1, 0))
	var l []coverage.Lane
	for n := range 10 {
		l = append(l, coverage.Lane{ID: coverage.LaneID(fmt.Sprint(n)), Capacity: coverage.MaxUsers, Usable: true})
	}
	u := make([]coverage.User, 100_000)
	for n := range u {
		u[n] = coverage.User{ID: identity.User(fmt.Sprintf("%08x-0000-4000-8000-%012x", r.Uint32(), n)), Priority: r.IntN(50) / 49, Activity: r.Uint32N(200)}
	}
	full, err := coverage.Plan(coverage.Assignment{}, l, u)
	if err != nil {
		b.Fatal(err)
	}
	changed := slices.Clone(u)
	for range 1_000 {
		changed[r.IntN(len(u))].Activity = r.Uint32N(200)
	}
	sorted := slices.Clone(u)
	slices.SortFunc(sorted, func(a, b coverage.User) int { return cmp.Compare(a.ID, b.ID) })
	for _, c := range []struct {
		name    string
		current coverage.Assignment
		users   []coverage.User
	}{{"from nothing", coverage.Assignment{}, u}, {"from nothing, sorted", coverage.Assignment{}, sorted},
		{"nothing to do", full, u}, {"nothing to do, sorted", full, sorted}, {"1 % changed", full, changed}} {
		b.Run(c.name, func(b *testing.B) {
			var next coverage.Assignment
			for b.Loop() {
				next, _ = coverage.Plan(c.current, l, c.users)
			}
			b.ReportMetric(float64(len(c.current.Changed(next))), "lanes-changed")
		})
	}
}
