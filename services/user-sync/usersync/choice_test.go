package usersync

import (
	"slices"
	"testing"

	"offhook.dev/libs/config"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/wire"
)

const sales = identity.Group("aaaaaaaa-0000-4000-8000-000000000002")

// members are a group with the users of these numbers, by this and by groups in it.
func members(id identity.Group, of ...int) wire.Group {
	g := wire.Group{Tenant: "contoso", ID: id}
	for _, i := range of {
		g.Members = append(g.Members, person(i).User)
	}
	return g
}

// Anna, Ben, Carl and Dora are users 1 to 4, and Gero is a guest. Ben and Dora are in
// support, Carl and Dora in sales.
func TestWhoIsChosenHasAnExtension(t *testing.T) {
	const everybody = "200 Anna; 201 Ben; 202 Carl; 203 Dora"
	for _, c := range []struct {
		name string
		edit func(*config.Users)
		want string
		// then is what changes afterwards, and what is so then; nil: nothing.
		then []wire.Message
		so   string
	}{
		{"all", nil, everybody, []wire.Message{named(6, "Zoe")}, everybody + "; 204 Zoe"},
		{"guests are, where they are asked for", func(u *config.Users) { u.Guests = true }, everybody + "; 204 Gero", nil, ""},
		{"all but one by UPN, one by address and one by object id, however they are written", func(u *config.Users) {
			u.Exclude = []string{"UPN-anna@X", "Ben@x", string(person(3).User)}
		}, "200 Dora", nil, ""},
		{"all but nobody who is there", func(u *config.Users) { u.Exclude = []string{"zoe@x"} }, everybody, []wire.Message{named(6, "Zoe")}, everybody},
		{"only those who are named, by UPN, address and object id", func(u *config.Users) {
			u.Include = []string{"UPN-anna@X", "Ben@x", string(person(3).User)}
		}, "200 Anna; 201 Ben; 202 Carl", []wire.Message{named(6, "Zoe")}, "200 Anna; 201 Ben; 202 Carl"},
		{"who is named and comes later", func(u *config.Users) { u.Include = []string{"zoe@x", "anna@x"} }, "200 Anna", []wire.Message{named(6, "Zoe")}, "200 Anna; 201 Zoe"},
		{"a guest who is named is a guest all the same", func(u *config.Users) { u.Include = []string{"gero@x", "ben@x"} }, "200 Ben", nil, ""},
		{"who is named by object id stays chosen under another address", func(u *config.Users) { u.Include = []string{string(person(2).User)} }, "200 Ben",
			[]wire.Message{renamed(2, "Benno", "benno@x")}, "200 Benno"},
		{"the members of a group", func(u *config.Users) { u.Groups = []string{"AAAAAAAA-0000-4000-8000-000000000001"} }, "200 Ben; 201 Dora", nil, ""},
		{"of either of two groups", func(u *config.Users) { u.Groups = []string{string(support), string(sales)} }, "200 Ben; 201 Carl; 202 Dora", nil, ""},
		{"of a group, and not who is left out", func(u *config.Users) { u.Groups, u.Exclude = []string{string(support)}, []string{"dora@x"} }, "200 Ben", nil, ""},
		{"who leaves the group loses it, who joins gets one", func(u *config.Users) { u.Groups = []string{string(support)} }, "200 Ben; 201 Dora",
			[]wire.Message{members(support, 1, 2)}, "200 Ben; 201 Dora off; 202 Anna"},
		{"who is in the other group still keeps it", func(u *config.Users) { u.Groups = []string{string(support), string(sales)} }, "200 Ben; 201 Carl; 202 Dora",
			[]wire.Message{members(support)}, "200 Ben off; 201 Carl; 202 Dora"},
		{"while a group cannot be read nobody loses it and nobody gets one", func(u *config.Users) { u.Groups = []string{string(support)} }, "200 Ben; 201 Dora",
			[]wire.Message{wire.Group{Tenant: "contoso", ID: support, Members: []identity.User{person(1).User}, Problem: "denied"}}, "200 Ben; 201 Dora"},
		{"of a group of another tenant nobody is", func(u *config.Users) { u.Groups = []string{string(support)} }, "200 Ben; 201 Dora",
			[]wire.Message{wire.Group{Tenant: "fabrikam", ID: support, Members: []identity.User{person(1).User}}}, "200 Ben; 201 Dora"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			p := s.phones()
			p.listed()
			guest := named(5, "Gero")
			guest.Type = "Guest"
			s.publish(named(1, "Anna"), named(2, "Ben"), named(3, "Carl"), named(4, "Dora"), guest, members(support, 2, 4), members(sales, 3, 4))
			s.start(edited(func(u *config.Users) {
				if c.edit != nil {
					c.edit(u)
				}
			}))
			p.eventually(c.want)
			s.nothingToDo()
			if c.then != nil {
				s.publish(c.then...)
				s.heard()
				p.eventually(c.so)
				s.nothingToDo()
			}
			if got := p.shows(); c.then == nil && got != c.want || c.then != nil && got != c.so {
				t.Errorf("afterwards %q", got)
			}
		})
	}
}

// renamed is named with another address.
func renamed(i int, first, address string) wire.User {
	u := named(i, first)
	u.Mail, u.UPN = address, "upn-"+address
	return u
}

// A slip in a name gives somebody an extension who was to have none, or the other way round.
func TestANameInTheChoiceThatNobodyHasIsInThePlan(t *testing.T) {
	s := newStage(t)
	s.phones().listed()
	s.publish(named(1, "Anna"), named(2, "Ben"))
	s.start(edited(func(u *config.Users) {
		u.Include, u.Exclude, u.Policy = []string{"ANNA@x", "ben@x", "carl@x"}, []string{"Bne@x"}, "off"
	}))
	var told []string
	for _, c := range s.planned().Changes {
		if c.Reason == string(directory.ConfiguredUnknown) {
			told = append(told, string(c.Op)+": "+c.Detail)
		}
	}
	want := []string{`conflict: the choice of users names "Bne@x", and no user of the tenant is called so`, `conflict: the choice of users names "carl@x", and no user of the tenant is called so`}
	if slices.Sort(told); !slices.Equal(told, want) {
		t.Errorf("told %q, want %q", told, want)
	}
}

// nothingToDo waits until a plan would change nothing.
func (s *stage) nothingToDo() {
	s.t.Helper()
	s.eventually(wire.SyncOrder{Op: wire.SyncPlan}, func(o wire.SyncOutcome) bool { return o.State == wire.SyncPlanned && o.Total == 0 })
}

// heard waits until all that was published is known to the service: an extension that
// nobody is given is paired with whoever has its address as soon as both are known.
func (s *stage) heard() {
	s.t.Helper()
	sign := named(900, "Sign")
	sign.Enabled = false
	s.publish(sign, extension("900", "sign@x"))
	s.owned("900", person(900))
}
