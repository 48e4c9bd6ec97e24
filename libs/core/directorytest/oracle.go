package directorytest

import (
	"slices"
	"strings"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
)

// fate is what must become of a person's extension.
type fate string

const (
	untouched fate = "untouched" // whatever they have stays exactly as it is
	has       fate = "has"       // they have it, as Microsoft's values say
	enabledAs fate = "enabled"   // they have it as it was, enabled
	left      fate = "left"      // it is disabled, and deleted after the hold
	none      fate = "none"      // they have none
)

// expectation is a person's fate with one number.
type expectation struct {
	person identity.Person
	number identity.Extension // "": any that is free
	fate   fate
	why    string
}

// oracle looks at one world.
type oracle struct {
	*World
	pairs   map[identity.Extension]identity.Person // of the configuration, that hold
	refused map[identity.Person]bool               // named in a pair that does not
}

func newOracle(w *World) *oracle {
	o := &oracle{World: w, pairs: map[identity.Extension]identity.Person{}, refused: map[identity.Person]bool{}}
	for _, e := range w.Explicit {
		var who []identity.Person
		for _, u := range w.Users {
			if u.Tenant == e.Tenant && !u.Gone && (string(u.User) == strings.ToLower(e.User) || strings.EqualFold(u.Mail, e.User) || strings.EqualFold(u.UPN, e.User)) {
				who = append(who, u.Person)
			}
		}
		there := len(who) == 1 && o.known(e.Number)
		twice := slices.ContainsFunc(w.Explicit, func(other directory.Explicit) bool { return other.Number == e.Number && other != e && o.counts(other) })
		switch {
		case !o.served(e.Tenant):
		case there && !twice:
			o.pairs[e.Number] = who[0]
		default:
			for _, p := range who {
				o.refused[p] = true
			}
		}
	}
	return o
}

// known says whether an extension of the number is there, or was when Offhook last saw it.
func (o *oracle) known(number identity.Extension) bool {
	return o.At(number) != nil || holds(o.Records, number)
}

// counts says whether a pair names one user and something that is there.
func (o *oracle) counts(e directory.Explicit) bool {
	u := o.User(identity.Person{Tenant: e.Tenant, User: identity.User(e.User)})
	return o.served(e.Tenant) && u != nil && !u.Gone && o.known(e.Number)
}

func (o *oracle) served(t identity.Tenant) bool {
	return o.Rules[t] != nil && o.Rules[t].Policy != plan.Off
}

// belongs says whether somebody should have an extension, or keep one.
func (o *oracle) belongs(u *directory.User, keeps, wasEnabled, configured bool) bool {
	rules := o.Rules[u.Tenant]
	resource := u.Purpose == directory.RoomMailbox || u.Purpose == directory.SharedMailbox || u.Purpose == directory.EquipmentMailbox
	leftCompany := u.Gone || !u.Enabled && wasEnabled && !resource
	if leftCompany {
		return false
	}
	if configured || resource && keeps {
		return true
	}
	if resource || u.Guest && !rules.Scope.Guests || !u.Enabled && !keeps {
		return false
	}
	if !u.Enabled {
		return true
	}
	return !rules.Scope.Except[u.User]
}

func named(u *directory.User) bool { return u.GivenName != "" || u.Surname != "" }

// ours says whether the extension of a reserved number is the one that was made under it.
func ours(r *directory.Record, u *directory.User, e *directory.Extension) bool {
	if e.Marker != "" {
		return e.Marker == r.Person.User
	}
	return e.Mail != "" && (strings.EqualFold(e.Mail, u.Mail) || strings.EqualFold(e.Mail, u.UPN) || strings.EqualFold(e.Mail, r.Last.Mail))
}

// standing is what somebody has in the world: numbers that stay theirs, and numbers that
// were reserved and are still to be had.
func (o *oracle) standing(u *directory.User) (owned, reserved []*directory.Record) {
	for _, r := range o.Of(u.Person) {
		number := r.Line.Extension
		if who, ok := o.pairs[number]; ok && who != u.Person {
			continue // the configuration gives it to somebody else
		}
		e := o.At(number)
		refused := slices.Contains(o.Refused, number) || slices.Contains(o.Queues, number)
		switch {
		case r.How != directory.Reserved || o.pairs[number] == u.Person:
			owned = append(owned, r)
		case e != nil && e.Marker == u.User || e != nil && !refused && ours(r, u, e):
			owned = append(owned, r)
		case e == nil && !refused:
			reserved = append(reserved, r)
		}
	}
	return owned, reserved
}

func holds(records []*directory.Record, number identity.Extension) bool {
	return slices.ContainsFunc(records, func(r *directory.Record) bool { return r.Line.Extension == number })
}

// contends says whether somebody is one of those whom an address can mean.
func (o *oracle) contends(u *directory.User) bool {
	if !o.served(u.Tenant) {
		return false
	}
	owned, reserved := o.standing(u)
	for _, r := range owned {
		configured := o.pairs[r.Line.Extension] == u.Person
		if o.belongs(u, true, r.WasEnabled, configured) && (configured || named(u) || u.Purpose.Resource() || !u.Enabled) {
			return true
		}
	}
	for number, who := range o.pairs {
		if who == u.Person && !holds(owned, number) && o.belongs(u, false, false, true) {
			return true
		}
	}
	if len(owned) == 0 && len(reserved) > 0 {
		return slices.ContainsFunc(reserved, func(r *directory.Record) bool { return o.belongs(u, false, r.WasEnabled, false) }) && named(u)
	}
	return len(owned) == 0 && o.fresh(u)
}

// fresh says whether somebody has none and should have one.
func (o *oracle) fresh(u *directory.User) bool {
	owned, reserved := o.standing(u)
	for _, who := range o.pairs {
		if who == u.Person {
			return false
		}
	}
	return len(owned)+len(reserved) == 0 && !o.refused[u.Person] && o.belongs(u, false, false, false) && named(u)
}

// free lists the extensions that belong to nobody.
func (o *oracle) free() []*directory.Extension {
	var all []*directory.Extension
	for _, e := range o.Extensions {
		if _, paired := o.pairs[e.Number]; !paired && o.owner(e) == nil {
			all = append(all, e)
		}
	}
	return all
}

// owner returns the record that makes an extension somebody's, or nil.
func (o *oracle) owner(e *directory.Extension) *directory.Record {
	for _, r := range o.Records {
		if r.Line.Extension != e.Number {
			continue
		}
		u := o.User(r.Person)
		if u == nil || !o.served(u.Tenant) {
			return r
		}
		owned, _ := o.standing(u)
		if slices.Contains(owned, r) {
			return r
		}
	}
	return nil
}

func knownBy(u *directory.User, mail string) bool {
	return mail != "" && (strings.EqualFold(u.Mail, mail) || strings.EqualFold(u.UPN, mail))
}

// writes is the address that somebody's extension gets.
func writes(u *directory.User) string {
	if u.Mail != "" {
		return u.Mail
	}
	return u.UPN
}

// arrival is what becomes of somebody who is fresh.
func (o *oracle) arrival(u *directory.User) expectation {
	x := expectation{person: u.Person, fate: none, why: "a conflict"}
	var marked, fits []*directory.Extension
	for _, e := range o.free() {
		if e.Marker == u.User {
			marked = append(marked, e)
		} else if e.Marker == "" && knownBy(u, e.Mail) {
			fits = append(fits, e)
		}
	}
	others := func(same func(*directory.User) bool) bool {
		return slices.ContainsFunc(o.Users, func(other *directory.User) bool { return other != u && o.contends(other) && same(other) })
	}
	switch {
	case len(marked) == 1:
		return expectation{u.Person, marked[0].Number, has, "the marker"}
	case len(marked) > 1, len(fits) > 1:
		return x
	case len(fits) == 1 && others(func(other *directory.User) bool { return knownBy(other, fits[0].Mail) }):
		return x
	case len(fits) == 1:
		return expectation{u.Person, fits[0].Number, has, "the address"}
	case others(func(other *directory.User) bool { return strings.EqualFold(writes(other), writes(u)) }):
		return x
	}
	return expectation{u.Person, "", has, "new"}
}

// expect lists what must become of everybody.
func (o *oracle) expect() []expectation {
	var all []expectation
	for _, r := range o.Records {
		if u := o.User(r.Person); u == nil || !o.served(u.Tenant) {
			if who, ok := o.pairs[r.Line.Extension]; !ok || who == r.Person {
				all = append(all, expectation{r.Person, r.Line.Extension, untouched, "nothing is known of them"})
			}
		}
	}
	for _, u := range o.Users {
		if o.served(u.Tenant) {
			all = append(all, o.expectations(u)...)
		}
	}
	return all
}

func (o *oracle) expectations(u *directory.User) (all []expectation) {
	owned, reserved := o.standing(u)
	add := func(number identity.Extension, f fate, why string) {
		all = append(all, expectation{u.Person, number, f, why})
	}
	for _, r := range owned {
		number := r.Line.Extension
		e, configured := o.At(number), o.pairs[number] == u.Person
		gone := e == nil && (slices.Contains(o.Queues, number) || slices.Contains(o.Refused, number))
		switch {
		case e != nil && e.Marker != "" && e.Marker != u.User && !configured:
			add(number, untouched, "the marker of somebody else")
		case !o.belongs(u, true, r.WasEnabled, configured):
			add(number, left, "left")
		case gone:
			add(number, untouched, "something else has the number")
		case !named(u) && !configured && u.Enabled && !u.Purpose.Resource() && e == nil:
			add(number, untouched, "no name")
		case !named(u) && !configured && u.Enabled && !u.Purpose.Resource():
			add(number, enabledAs, "here without a name")
		default:
			add(number, has, "theirs")
		}
	}
	for number, who := range o.pairs {
		if who == u.Person && !holds(owned, number) && o.belongs(u, false, false, true) {
			if o.At(number) == nil && slices.Contains(o.Queues, number) {
				add(number, none, "something else has the configured number")
				continue
			}
			add(number, has, "configured")
		}
	}
	for _, r := range reserved {
		if len(owned) == 0 && o.belongs(u, false, r.WasEnabled, false) && named(u) {
			add(r.Line.Extension, has, "reserved")
		} else {
			add(r.Line.Extension, left, "reserved, and not needed")
		}
	}
	if len(all) == 0 {
		if o.fresh(u) {
			return []expectation{o.arrival(u)}
		}
		add("", none, "does not belong, or nobody is sure")
	}
	return all
}
