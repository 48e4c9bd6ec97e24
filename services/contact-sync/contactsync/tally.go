package contactsync

import (
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
)

// tally is what the brake counts beside one book: of all others that the tenant has on the
// same phone system. Many mailboxes that lose little each are a mass deletion, too.
type tally struct {
	removed int // deleted within a day, or to be deleted
	linked  int // that the phone system has of ours, and had a day ago
}

// balance adds up the books of a phone system.
type balance struct {
	entries, pending int
	removed          map[time.Time]int // by the hour
}

func (x *balance) add(b brief, sign int) {
	x.entries += sign * b.Entries
	x.pending += sign * b.pending
	for _, r := range b.removed {
		if x.removed[r.hour] += sign * r.count; x.removed[r.hour] == 0 {
			delete(x.removed, r.hour)
		}
	}
}

// less returns what the brake counts of all books but one.
func (x *balance) less(b brief, now time.Time) tally {
	recent := -recently(b.removed, now)
	for hour, count := range x.removed {
		recent += removal{hour, count}.recently(now)
	}
	return tally{removed: recent + x.pending - b.pending, linked: recent + x.entries - b.Entries}
}

// recently counts what was deleted within a day.
func recently(removed []removal, now time.Time) (n int) {
	for _, r := range removed {
		n += r.recently(now)
	}
	return n
}

// recently is the count, or 0 where that was more than a day ago.
func (r removal) recently(now time.Time) int {
	if now.Sub(r.hour) < plan.Window {
		return r.count
	}
	return 0
}

// braked returns rules with what the brake counts beside a mailbox's book; t.mu is held.
func (t *tenant) braked(r rules, user identity.User, where directory.Book, now time.Time) rules {
	r.others = tally{}
	if x := t.balances[where.System]; x != nil {
		var own brief
		if m := t.mailboxes[user]; m != nil {
			own = m.books[where]
		}
		r.others = x.less(own, now)
	}
	return r
}
