package coverage_test

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"offhook.dev/libs/core/coverage"
	"offhook.dev/libs/core/identity"
)

func TestActivityIsThatOfTheLastWholeDayInPowersOfTwo(t *testing.T) {
	a := coverage.NewActivity(24 * time.Hour)
	start := time.Date(2026, 10, 1, 9, 0, 0, 0, time.UTC)
	flip := func(user identity.User, times int, from time.Time) {
		for i := range times + 1 { // the first sight of a value is no change
			a.Saw(user, fmt.Sprint(from, i), from.Add(time.Duration(i)*time.Second))
		}
	}
	flip("ann", 50, start)
	flip("bob", 1, start)
	for range 100 {
		if a.Saw("cid", "Busy/InACall", start) { // the sweep and the notification tell of the same
			t.Fatal("the same value is a change")
		}
	}
	if a.Of("ann") != 0 {
		t.Error("something is said before the first day is over")
	}
	next := start.Add(25 * time.Hour)
	a.Saw("bob", "x", next)
	for user, want := range map[identity.User]uint32{"ann": 32, "bob": 1, "cid": 0, "nobody": 0} {
		if got := a.Of(user); got != want {
			t.Errorf("%s: %d, want %d", user, got, want)
		}
	}
	flip("bob", 99, next.Add(time.Hour))
	if a.Of("bob") != 1 || a.Of("ann") != 32 {
		t.Error("it changes within a day")
	}
	if !a.Saw("cid", "Away/Away", next.Add(25*time.Hour)) {
		t.Error("another value is no change")
	}
	if a.Of("bob") != 64 || a.Of("ann") != 0 {
		t.Errorf("the next day: bob %d, ann %d", a.Of("bob"), a.Of("ann"))
	}
	a.Saw("cid", "Available/Available", next.Add(30*24*time.Hour))
	if a.Of("bob") != 0 || a.Of("cid") != 0 {
		t.Error("what was a month ago counts as yesterday")
	}
}

// A tenant of three kinds of people lives for weeks; each day each of them changes about
// as often as they do, give or take a third. Once everybody has found their place nobody
// changes it, and those who change most are on the lanes.
func TestDaysThatDifferALittleMoveNobody(t *testing.T) {
	r := rand.New(rand.NewPCG(seed(t), 0))
	usual := map[identity.User]int{}
	var all []identity.User
	for i := range 40 {
		user := identity.User(fmt.Sprintf("u%02d", i))
		all = append(all, user)
		usual[user] = []int{6, 40, 300}[i%3]
	}
	lanes := []coverage.Lane{{ID: "A", Capacity: 7, Usable: true}, {ID: "B", Capacity: 6, Usable: true}} // thirteen of those who change most
	a := coverage.NewActivity(24 * time.Hour)
	now := time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)
	var current coverage.Assignment
	for day := range 28 {
		for _, user := range all {
			n := usual[user] * (67 + r.IntN(67)) / 100
			for i := range n {
				a.Saw(user, fmt.Sprint(day, i), now.Add(time.Duration(i)*time.Second))
			}
		}
		now = now.Add(24 * time.Hour)
		a.Saw("", "", now) // the day is over
		var users []coverage.User
		for _, user := range all {
			users = append(users, coverage.User{ID: user, Activity: a.Of(user)})
		}
		next, err := coverage.Plan(current, lanes, users)
		if err != nil {
			t.Fatal(err)
		}
		// The first day says nothing of anybody, the second puts them in their places.
		if changed := current.Changed(next); day > 1 && len(changed) > 0 {
			t.Errorf("day %d: %v changed", day, changed)
		}
		current = next
	}
	for id, users := range current.Lanes {
		for _, user := range users {
			if usual[user] < 300 {
				t.Errorf("%s, who changes %d times a day, is on lane %s", user, usual[user], id)
			}
		}
	}
}
