package contactsync

import (
	"fmt"
	"log/slog"
	"slices"
	"testing"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/store"
)

// crowd is a tenant of which places mailboxes have a series on its way to a phone system,
// and others a page that leads to one.
func crowd(places int, mailboxes ...identity.User) *tenant {
	t := newTenant(&service{log: slog.New(slog.DiscardHandler), opts: Options{InFlight: places}.withDefaults()}, store.Lease{}, Tenant{ID: "contoso"})
	for _, user := range mailboxes {
		m := t.mailbox(user)
		m.pages = []waiting{{sequence: 1, at: noon}}
		t.put(m, bookFor(user), brief{at: 1, open: true})
	}
	return t
}

func bookFor(user identity.User) directory.Book {
	return directory.Book{System: hq, Owner: identity.Extension(user)}
}

// flies says that a mailbox has a series on its way, or none any more.
func (t *tenant) flies(user identity.User, does bool) {
	b := t.mailboxes[user].books[bookFor(user)]
	if b.flight = ""; does {
		b.flight = "x"
	}
	t.put(t.mailboxes[user], bookFor(user), b)
}

// places asks for one for each, and takes those that there are.
func (t *tenant) places(users ...identity.User) (got []identity.User) {
	for _, user := range users {
		if t.place(waiter{user, bookFor(user)}) {
			t.flies(user, true)
			got = append(got, user)
		}
	}
	return got
}

// worked returns who is worked on now, in order.
func (t *tenant) worked() (users []identity.User) {
	for {
		user, ok := t.pop()
		if !ok {
			return users
		}
		users = append(users, user)
	}
}

func TestWhoStandsInLineIsCalledWhenThereIsAPlace(t *testing.T) {
	c := crowd(2, "a", "b", "c", "d", "e")
	if got := c.places("a", "b", "c", "d", "e"); !slices.Equal(got, []identity.User{"a", "b"}) {
		t.Fatalf("%v have a place of two", got)
	}
	c.places("c") // looked at again, it stands in line once
	c.free("c")
	if got := c.worked(); got != nil {
		t.Errorf("%v are called though no place is free", got)
	}
	c.flies("a", false)
	c.free("a")
	c.free("b") // somebody else's visit ends before c is looked at
	if got := c.worked(); !slices.Equal(got, []identity.User{"c"}) {
		t.Errorf("%v are called for one place", got)
	}
	if got := c.places("e", "c"); !slices.Equal(got, []identity.User{"c"}) {
		t.Errorf("%v took the place that c was called for", got)
	}
	c.mailboxes["c"].busy = false
	c.free("c")
	c.flies("b", false)
	c.flies("c", false)
	c.free("b")
	if got := c.worked(); !slices.Equal(got, []identity.User{"d", "e"}) {
		t.Errorf("%v are called for two places", got)
	}
}

func TestWhoStandsInLineIsNotLookedAtInBetween(t *testing.T) {
	for _, row := range []struct {
		that  string
		alter func(*tenant)
		at    time.Time
		want  bool
	}{
		{"waits for a place", func(*tenant) {}, noon.Add(time.Minute), false},
		{"has a page that waits for too long", func(*tenant) {}, noon.Add(7 * time.Hour), true},
		{"has to be read whole besides", func(c *tenant) { c.mailboxes["b"].asked = noon }, noon.Add(time.Minute), true},
		{"has a page and stands in no line", func(c *tenant) { c.lines = map[identity.System]*line{} }, noon.Add(time.Minute), true},
	} {
		t.Run(row.that, func(t *testing.T) {
			c := crowd(1, "a", "b")
			c.places("a", "b")
			c.mailboxes["a"].pages = nil
			row.alter(c)
			c.wakeRestless(row.at)
			if got := slices.Contains(c.worked(), "b"); got != row.want {
				t.Errorf("looked at: %t", got)
			}
		})
	}
}

// Thousands of mailboxes of which nobody knows what follows from them do not hold up the
// few that a phone system waits for, nor these the thousands.
func TestWhomAPhoneSystemWaitsForTakesTurnsWithTheRest(t *testing.T) {
	c := crowd(1)
	for i := range 4 {
		c.push(identity.User(fmt.Sprint("new", i)))
	}
	c.push("both")
	for _, user := range []identity.User{"landed1", "both", "landed2"} {
		c.hurry(user)
	}
	want := []identity.User{"landed1", "new0", "both", "new1", "landed2", "new2", "new3"}
	if got := c.worked(); !slices.Equal(got, want) {
		t.Errorf("worked on in the order %v, want %v", got, want)
	}
}

func TestAPageThatWaitsForAPlaceIsNoReasonToLook(t *testing.T) {
	bus := newStage(t).bus
	for _, row := range []struct {
		that  string
		alter func(*stepping)
		want  bool
	}{
		{"the page leads to a series for which there is no place", func(*stepping) {}, false},
		{"the phone system is not the tenant's any more", func(s *stepping) { s.stands.served = false }, true},
		{"the phonebook is to be left", func(s *stepping) { s.stands.wanted, s.stands.served = false, false }, true},
		{"nobody knows yet what the page leads to", func(s *stepping) { s.t.lines = map[identity.System]*line{} }, true},
		{"the series is on its way", func(s *stepping) { s.t.flies("b", true) }, true},
	} {
		t.Run(row.that, func(t *testing.T) {
			c := crowd(1, "a", "b")
			c.s.bus = bus
			c.mailboxes["b"].pages[0].at = bus.Now()
			c.places("a", "b")
			s := &stepping{visit: &visit{t: c, who: identity.Person{Tenant: "contoso", User: "b"}, m: c.mailboxes["b"]}, where: bookFor("b"),
				stands: standing{served: true, wanted: true}}
			row.alter(s)
			if got := s.due(); got != row.want {
				t.Errorf("looked at: %t", got)
			}
		})
	}
}
