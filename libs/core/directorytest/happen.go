package directorytest

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
)

const day = 24 * time.Hour

// Begin returns a world of two tenants with a few people and strangers, before Offhook.
func Begin(r *rand.Rand) *World {
	w := &World{Markers: r.IntN(3) > 0}
	w.System, w.Now = "hq", time.Date(2026, 3, 2, 12, 0, 0, 0, time.UTC)
	w.Brake = plan.Brake{Count: 1_000, Percent: 100}
	w.Rules = map[identity.Tenant]*directory.Rules{}
	for _, tenant := range []identity.Tenant{"contoso", "fabrikam"} {
		rules := &directory.Rules{Hold: time.Duration(r.IntN(4)) * 10 * day, Scope: directory.Scope{Guests: r.IntN(2) > 0, Except: map[identity.User]bool{}},
			Start: identity.Extension(fmt.Sprint(200 + r.IntN(8))), CallerID: r.IntN(2) > 0, Department: r.IntN(2) > 0}
		if r.IntN(2) > 0 {
			rules.Group = "M365"
		}
		if r.IntN(2) > 0 {
			from := 205 + r.IntN(10)
			rules.Ranges = []directory.Range{{Departments: []string{"Sales"}, From: identity.Extension(fmt.Sprint(from)), To: identity.Extension(fmt.Sprint(from + r.IntN(6)))}}
		}
		if r.IntN(3) == 0 {
			rules.Limits = map[directory.Field]int{directory.FirstName: 4, directory.LastName: 6}
		}
		w.Rules[tenant] = rules
	}
	for range r.IntN(8) {
		w.join(r)
	}
	for range r.IntN(5) {
		w.stranger(r)
	}
	if r.IntN(6) == 0 {
		w.Seats = len(w.Extensions) + r.IntN(6)
	}
	return w
}

// addresses are few, so that people share them now and then.
func address(r *rand.Rand) string {
	return string(rune('a'+r.IntN(14))) + "@x"
}

func (w *World) join(r *rand.Rand) {
	u := &directory.User{Person: identity.Person{Tenant: "contoso", User: identity.User(fmt.Sprintf("u%06d", r.IntN(1_000_000)))}, Enabled: r.IntN(8) > 0,
		Mail: address(r), GivenName: one(r, "Anna", "Ben", "Cidonia", "\u05d0\u05d1\u05d2\u05d3\u05d4", ""), Surname: one(r, "Berg", "Tal", "Maximilian", "\U0001f600"), Department: one(r, "Sales", "Lab", ""),
		Mobile: one(r, "", "0171 1")}
	u.UPN = string(u.User) + "@x"
	if r.IntN(5) == 0 {
		u.Tenant = "fabrikam"
	}
	if r.IntN(4) == 0 {
		u.UPN = address(r)
	}
	if r.IntN(10) == 0 {
		u.Mail = ""
	}
	if r.IntN(2) == 0 {
		u.Phones = []string{fmt.Sprintf("+49 (0)30 %d", r.IntN(5))}
	}
	if r.IntN(12) == 0 {
		u.Guest = true
	}
	if r.IntN(12) == 0 {
		u.Purpose = directory.RoomMailbox
	}
	if w.User(u.Person) == nil {
		w.Users = append(w.Users, u)
	}
}

func one[T any](r *rand.Rand, all ...T) T { return all[r.IntN(len(all))] }

func some[T any](r *rand.Rand, all []T) (t T, ok bool) {
	if len(all) == 0 {
		return t, false
	}
	return all[r.IntN(len(all))], true
}

// stranger is an extension that somebody makes by hand, now and then for a user of the
// directory, and now and then with the marker of one.
func (w *World) stranger(r *rand.Rand) {
	e := &directory.Extension{Number: identity.Extension(fmt.Sprint(200 + r.IntN(20))), Enabled: r.IntN(4) > 0, Fields: directory.Fields{FirstName: "Some", LastName: "Body"}}
	if r.IntN(3) > 0 {
		e.Mail = address(r)
	}
	if u, ok := some(r, w.Users); ok && r.IntN(4) == 0 { // as Microsoft has them, perhaps
		e.Enabled, e.Fields = true, directory.Fields{FirstName: u.GivenName, LastName: u.Surname, Mail: u.Mail, Mobile: u.Mobile, Department: w.Rules[u.Tenant].Group}
	}
	if u, ok := some(r, w.Users); ok && w.Markers && r.IntN(6) == 0 {
		e.Marker = u.User
	}
	if w.At(e.Number) == nil && !slices.Contains(w.Queues, e.Number) {
		w.Extensions = append(w.Extensions, e)
	}
}

// Happen lets one thing happen and says what.
func (w *World) Happen(r *rand.Rand) string {
	u, people := some(r, w.Users)
	e, extensions := some(r, w.Extensions)
	switch n := r.IntN(22); {
	case n < 3 || !people:
		w.join(r)
		return "somebody joins"
	case n == 3:
		w.stranger(r)
		return "an extension is made by hand"
	case n == 4:
		*u = directory.User{Person: u.Person, Gone: true}
		return "somebody is deleted"
	case n == 5 && u.Gone:
		u.Gone, u.Enabled, u.GivenName, u.Mail, u.UPN = false, true, "Anna", address(r), string(u.User)+"@x"
		return "somebody is restored"
	case n < 8 && !u.Gone:
		u.Enabled = !u.Enabled
		return "an account is enabled or disabled"
	case n == 8 && !u.Gone:
		u.Surname, u.GivenName = one(r, "Berg", "Tal", ""), one(r, "Anna", "Dora", "")
		return "a name changes"
	case n == 9 && !u.Gone:
		u.Mail = address(r)
		return "an address changes"
	case n == 10 && !u.Gone:
		u.Department = one(r, "Sales", "Lab", "")
		return "a department changes"
	case n == 11 && !u.Gone:
		u.Guest = !u.Guest
		return "a guest is one no more, or somebody becomes one"
	case n == 12:
		u.Purpose = one(r, directory.SharedMailbox, directory.PersonalMailbox, "")
		return "the purpose of a mailbox changes"
	case n == 13:
		except := w.Rules[u.Tenant].Scope.Except
		except[u.User] = !except[u.User]
		return "the choice of users changes"
	case n == 14 && extensions:
		w.Extensions = slices.DeleteFunc(w.Extensions, func(o *directory.Extension) bool { return o == e })
		return "an extension is deleted by hand"
	case n == 15 && extensions:
		e.FirstName, e.Mobile = one(r, "Some", "Body"), one(r, "", "030 9")
		return "an extension is changed by hand"
	case n == 16 && extensions:
		e.Enabled = !e.Enabled
		return "an extension is enabled or disabled by hand"
	case n == 17:
		if q := identity.Extension(fmt.Sprint(200 + r.IntN(20))); w.At(q) == nil {
			w.Queues = append(w.Queues, q)
		}
		return "a queue is made"
	case n == 18 && extensions && r.IntN(3) == 0:
		w.Explicit = append(w.Explicit, directory.Explicit{Tenant: u.Tenant, User: string(u.User), Number: e.Number})
		return "a pair is configured"
	case n == 19:
		w.Explicit = nil
		return "no pair is configured"
	}
	w.Now = w.Now.Add(time.Duration(1+r.IntN(20)) * day)
	return "days go by"
}
