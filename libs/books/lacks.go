package books

import (
	"context"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
)

// A mailbox lacks something when no page that is on its way brings what its phonebooks
// should have: an extension was linked, a phone system was away for too long, a plan is
// applied. A key of the bucket `books` says so for as long as it is true. Who reads
// mailboxes makes one full reading of all folders that begins after the time which the
// value says; one that began later already is as good. The key is taken away by
// contact-sync, when the pages have arrived.

// LacksFilter is for store.Bucket.Watch: it matches the keys of all mailboxes that have
// to be read whole, and no others of the bucket.
const LacksFilter = lacks + ".*.*"

const lacks = "lacks"

// LacksKey is the key of a mailbox.
func LacksKey(mailbox identity.Person) string {
	return topology.Join(lacks, string(mailbox.Tenant), string(mailbox.User))
}

// LacksOf is LacksFilter for one tenant.
func LacksOf(tenant identity.Tenant) string { return topology.Join(lacks, string(tenant)) + ".*" }

// EncodeLacks returns the value that asks for a reading begun after a time.
func EncodeLacks(after time.Time) []byte { return []byte(after.UTC().Format(time.RFC3339Nano)) }

// DecodeLacks returns which mailbox is to be read by a reading begun after which time;
// the zero time where the key was taken away.
func DecodeLacks(e store.Entry) (mailbox identity.Person, after time.Time, err error) {
	const op = "books: lacks"
	ids, err := topology.Split(e.Key)
	if err != nil || len(ids) != 3 || ids[0] != lacks {
		return identity.Person{}, time.Time{}, fault.Errorf(fault.Invalid, op, "%q is not %s.tenant.mailbox", e.Key, lacks)
	}
	tenant, err := identity.ParseTenant(ids[1])
	if err != nil {
		return identity.Person{}, time.Time{}, fault.New(fault.Invalid, op, err)
	}
	user, err := identity.ParseUser(ids[2])
	if err != nil {
		return identity.Person{}, time.Time{}, fault.New(fault.Invalid, op, err)
	}
	if !e.Deleted {
		if after, err = time.Parse(time.RFC3339Nano, string(e.Value)); err != nil {
			return identity.Person{}, time.Time{}, fault.New(fault.Invalid, op, err)
		}
	}
	return identity.Person{Tenant: tenant, User: user}, after, nil
}

// Watch calls changed for each mailbox that has to be read whole, current once all that
// were there are told, and changed for each that is added or (with the zero time) done
// with, until ctx ends.
func Watch(ctx context.Context, b *store.Bucket, changed func(mailbox identity.Person, after time.Time), current func()) error {
	return b.Watch(ctx, LacksFilter, func(e store.Entry) error {
		if mailbox, after, err := DecodeLacks(e); err == nil { // else a later version's
			changed(mailbox, after)
		}
		return nil
	}, current)
}
