package poller

import (
	"context"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// usersLoop reads the directory's changes at the start and every quarter of an hour.
func (t *tenant) usersLoop(ctx context.Context) error {
	for wait := time.Second; ; {
		err := t.users(ctx)
		next := t.conf.Users
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			t.log.Warn("read users", "kind", fault.KindOf(err), "error", err)
			next = max(wait, fault.RetryAfter(err))
			wait = min(2*wait, t.conf.Users)
		} else {
			wait = time.Second
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(next):
		}
	}
}

// storedUser is a user fact as the stream has it.
type storedUser struct {
	fact     wire.User
	sequence uint64
}

// users reads one round of changes. The cursor is saved after every change of the
// round is stored, so that a kill repeats the round and loses nothing.
func (t *tenant) users(ctx context.Context) error {
	key := topology.Join(string(t.conf.ID), "users")
	saved, err := t.p.cursors.Get(ctx, key)
	if err != nil && fault.KindOf(err) != fault.NotFound {
		return err
	}
	stored, err := t.storedUsers(ctx)
	if err != nil {
		return err
	}
	next, reset, err := t.round(ctx, graph.Cursor(saved.Value), stored)
	if err != nil {
		return err
	}
	if reset {
		t.log.Info("directory cursor expired: reading everything again")
		if next, _, err = t.round(ctx, "", stored); err != nil {
			return err
		}
	}
	_, err = t.p.cursors.Put(ctx, key, []byte(next))
	return err
}

func (t *tenant) storedUsers(ctx context.Context) (map[identity.User]storedUser, error) {
	stored := map[identity.User]storedUser{}
	filter := topology.Wildcard("m365.fact.user." + topology.Token(string(t.conf.ID)) + ".<user>")
	err := t.p.bus.Each(ctx, topology.Directory, filter, func(m bus.Message) error {
		if fact, err := wire.DecodeUser(m.Data); err == nil {
			stored[fact.Person.User] = storedUser{fact, m.Sequence}
		}
		return nil
	})
	return stored, err
}

// round follows the pages from a cursor to the end. A full round (from the zero
// cursor) also finds, by mark and sweep, who left while nobody was looking:
// removals older than the round are not reported.
func (t *tenant) round(ctx context.Context, at graph.Cursor, stored map[identity.User]storedUser) (end graph.Cursor, reset bool, err error) {
	full := at == ""
	seen := map[identity.User]bool{}
	for {
		began := t.p.bus.Now()
		page, err := t.client.Users(ctx, at)
		if err != nil && at != "" && fault.KindOf(err) == fault.Invalid {
			// A cursor of another Graph host, or one that it cannot read: as good as expired.
			return "", true, nil
		}
		if err != nil {
			return "", false, err
		}
		if page.Reset {
			return "", true, nil
		}
		for _, user := range page.Users {
			seen[user.ID] = true
			if err := t.storeUser(ctx, t.fact(user, began), stored); err != nil {
				return "", false, err
			}
		}
		for _, gone := range page.Removed {
			seen[gone.ID] = true
			if err := t.gone(ctx, gone.ID, began, stored); err != nil {
				return "", false, err
			}
		}
		if page.Next == "" {
			end = page.Delta
			break
		}
		at = page.Next
	}
	if full {
		for user := range stored {
			if !seen[user] {
				if err := t.gone(ctx, user, t.p.bus.Now(), stored); err != nil {
					return "", false, err
				}
			}
		}
	}
	return end, false, nil
}

func (t *tenant) fact(u graph.User, seen time.Time) wire.User {
	fact := wire.User{
		Person: identity.Person{Tenant: t.conf.ID, User: u.ID}, UPN: u.UPN, Mail: u.Mail, DisplayName: u.Name,
		GivenName: u.GivenName, Surname: u.Surname, Type: "Member", Enabled: u.Enabled, SeenAt: seen,
	}
	if u.Guest {
		fact.Type = "Guest"
		fact.Gone = !t.conf.Guests // out of scope is as good as not there
	}
	return fact
}

func (t *tenant) gone(ctx context.Context, id identity.User, seen time.Time, stored map[identity.User]storedUser) error {
	return t.storeUser(ctx, wire.User{Person: identity.Person{Tenant: t.conf.ID, User: id}, Gone: true, SeenAt: seen}, stored)
}

// storeUser publishes a user fact if it says something new.
func (t *tenant) storeUser(ctx context.Context, fact wire.User, stored map[identity.User]storedUser) error {
	old := stored[fact.Person.User]
	same := old.fact
	same.SeenAt = fact.SeenAt
	if old.sequence > 0 && same == fact || old.sequence == 0 && fact.Gone {
		return nil
	}
	sequence, err := t.p.publishOver(ctx, fact, old.sequence)
	if err != nil {
		return err
	}
	stored[fact.Person.User] = storedUser{fact, sequence}
	return nil
}
