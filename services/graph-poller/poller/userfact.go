package poller

import (
	"context"
	"slices"
	"strings"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// storedUser is a user fact as the stream has it.
type storedUser struct {
	fact     wire.User
	sequence uint64 // 0: there is none
}

func (t *tenant) person(id identity.User) identity.Person {
	return identity.Person{Tenant: t.conf.ID, User: id}
}

func (t *tenant) storedUser(ctx context.Context, id identity.User) (storedUser, error) {
	m, err := t.p.bus.Last(ctx, topology.Directory, "m365.fact.user."+wire.PersonKey(t.person(id)))
	if fault.KindOf(err) == fault.NotFound {
		return storedUser{}, nil
	}
	if err != nil {
		return storedUser{}, err
	}
	fact, err := wire.DecodeUser(m.Data)
	if err != nil {
		return storedUser{sequence: m.Sequence}, nil // to be written over
	}
	return storedUser{fact, m.Sequence}, nil
}

// eachUser calls do for every user of whom something is stored.
func (t *tenant) eachUser(ctx context.Context, do func(wire.User)) error {
	filter := topology.Wildcard("m365.fact.user." + topology.Token(string(t.conf.ID)) + ".<user>")
	return t.p.bus.Each(ctx, topology.Directory, filter, func(m bus.Message) error {
		if fact, err := wire.DecodeUser(m.Data); err == nil {
			do(fact)
		}
		return nil
	})
}

// knownUsers lists of whom something is stored, be it that they are gone.
func (t *tenant) knownUsers(ctx context.Context) (map[identity.User]bool, error) {
	known := map[identity.User]bool{}
	err := t.eachUser(ctx, func(fact wire.User) { known[fact.Person.User] = false })
	return known, err
}

// changeUser publishes what change makes of the stored fact about a user, if that says
// something new. fresh says that nothing is stored; it is no promise. Several parts of
// the service know something of a user, each its own.
func (t *tenant) changeUser(ctx context.Context, id identity.User, fresh bool, change func(old wire.User) wire.User) error {
	for {
		var old storedUser
		var err error
		if !fresh {
			if old, err = t.storedUser(ctx, id); err != nil {
				return err
			}
		}
		fact := change(old.fact)
		same := old.fact
		same.SeenAt = fact.SeenAt
		if old.sequence > 0 && same == fact || old.sequence == 0 && fact.Gone {
			return nil
		}
		if _, err = t.p.publishOver(ctx, fact, old.sequence); fault.KindOf(err) != fault.Conflict {
			return err
		}
		fresh = false
	}
}

// removeUser lets a user be gone.
func (t *tenant) removeUser(ctx context.Context, id identity.User, fresh bool, seen time.Time) error {
	return t.changeUser(ctx, id, fresh, func(wire.User) wire.User { return wire.User{Person: t.person(id), Gone: true, SeenAt: seen} })
}

// userFact is what is to be said of an account. What is not read with it stays as it
// was.
func (t *tenant) userFact(u graph.User, old wire.User, learned map[identity.User]string, seen time.Time) wire.User {
	if u.Guest && !t.conf.Guests { // out of scope is as good as not there
		return wire.User{Person: t.person(u.ID), Gone: true, SeenAt: seen}
	}
	fact := wire.User{
		Person: t.person(u.ID), UPN: u.UPN, Mail: u.Mail, DisplayName: u.Name, GivenName: u.GivenName, Surname: u.Surname,
		Mobile: u.Mobile, Department: u.Department, Language: u.Language, Photo: old.Photo, Type: "Member", Enabled: u.Enabled, SeenAt: seen,
	}
	if u.Guest {
		fact.Type = "Guest"
	}
	if len(u.Phones) > 0 {
		fact.OfficePhone = u.Phones[0]
	}
	if t.asksPurpose(u) {
		fact.Purpose = old.Purpose
		if purpose, ok := learned[u.ID]; ok {
			fact.Purpose = purpose
		}
	}
	return fact
}

// asksPurpose says whether it is asked what an account's mailbox is for: the mailboxes
// of rooms and those that several people share have accounts that nobody signs in to.
func (t *tenant) asksPurpose(u graph.User) bool {
	return !(u.Guest && !t.conf.Guests) && (!u.Enabled || t.isShared(u.ID, u.UPN))
}

// isShared says whether the configuration names a mailbox whose contacts are
// everybody's.
func (t *tenant) isShared(id identity.User, upn string) bool {
	return slices.ContainsFunc(t.conf.Shared, func(name string) bool {
		return strings.EqualFold(name, string(id)) || strings.EqualFold(name, upn)
	})
}
