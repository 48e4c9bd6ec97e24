package coverage

import (
	"hash/fnv"
	"math/bits"
	"time"

	"offhook.dev/libs/core/identity"
)

// Activity counts how often users change, for User.Activity. What it says stays the same
// for a whole day, and comes in powers of two: together with what counts as clearly
// more (beats) nobody is moved because a day was a little livelier. Before the first
// whole day nothing is said of anybody.
type Activity struct {
	day   time.Duration
	began time.Time // of the day that is counted, or zero
	users map[identity.User]*changes
}

// changes are those of one user.
type changes struct {
	value uint64 // hash of the newest
	known bool   // value is one that was seen, not the zero
	today uint32 // in the day that is counted
	last  uint32 // in the one before
}

// NewActivity returns an Activity whose days are so long.
func NewActivity(day time.Duration) Activity {
	return Activity{day: day, users: map[identity.User]*changes{}}
}

// Saw notes what was seen of a user, and says whether it is a change. The same value
// again is none: a sweep and a notification tell of the same. Nor is the first value.
func (a *Activity) Saw(user identity.User, value string, at time.Time) (changed bool) {
	a.turn(at)
	h := fnv.New64a()
	_, _ = h.Write([]byte(value)) // documented never to fail
	c := a.users[user]
	if c == nil {
		c = &changes{}
		a.users[user] = c
	}
	if changed = c.known && c.value != h.Sum64(); changed {
		c.today++
	}
	c.value, c.known = h.Sum64(), true
	return changed
}

// turn begins a new day when it is time.
func (a *Activity) turn(now time.Time) {
	switch {
	case a.began.IsZero():
		a.began = now
		return
	case now.Before(a.began.Add(a.day)):
		return
	}
	quiet := now.Sub(a.began) >= 2*a.day // nothing at all was seen for a day
	a.began = now
	for user, c := range a.users {
		if c.last, c.today = c.today, 0; quiet {
			c.last = 0
		}
		if c.last == 0 && quiet {
			delete(a.users, user)
		}
	}
}

// Of returns how often a user changed in the last whole day, down to a power of two.
func (a *Activity) Of(user identity.User) uint32 {
	c := a.users[user]
	if c == nil || c.last == 0 {
		return 0
	}
	return 1 << (bits.Len32(c.last) - 1)
}
