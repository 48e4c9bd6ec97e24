package memory

import (
	"context"
	"slices"
	"strconv"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
)

// Contacts is an optional power, with the three below. The phone system gives ids in
// order, so that the last one seen says where to go on.
func (d *driver) Contacts(ctx context.Context, owner identity.Extension, yield func(directory.Contact) error) error {
	const op = "memory: contacts"
	last := 0
	request := func(ctx context.Context, handle func() error) error {
		return d.request(ctx, func() error {
			if !d.system.owns(owner) {
				return Refusal{Code: "no such extension"}
			}
			return handle()
		})
	}
	return pages(ctx, op, request, func() (page []directory.Contact) {
		all := d.system.books[owner]
		from, _ := d.system.from(owner, last+1)
		for _, c := range all[from:min(from+pageSize, len(all))] {
			page = append(page, copied(c))
			last, _ = strconv.Atoi(c.ID)
		}
		return page
	}, yield)
}

// CreateContact takes a second entry of the same source as another entry: whose it is,
// and whether there is one, is the caller's matter.
func (d *driver) CreateContact(ctx context.Context, owner identity.Extension, c directory.Contact) (string, error) {
	const op = "memory: create contact"
	if err := d.Capabilities().Phonebook.Check(op, owner, c); err != nil {
		return "", err
	}
	var id string
	err := d.request(ctx, func() error {
		if !d.system.owns(owner) {
			return Refusal{Code: "no such extension"}
		}
		if err := roomForEntry(c); err != nil {
			return err
		}
		id = d.system.enter(owner, c)
		return nil
	})
	return id, written(op, err)
}

// UpdateContact replaces an entry by another with the same id.
func (d *driver) UpdateContact(ctx context.Context, owner identity.Extension, c directory.Contact) error {
	const op = "memory: update contact"
	if err := d.Capabilities().Phonebook.Check(op, owner, c); err != nil {
		return err
	}
	return written(op, d.request(ctx, func() error {
		at := d.system.entry(owner, c.ID)
		if at < 0 {
			return Refusal{Code: "no such contact"}
		}
		if err := roomForEntry(c); err != nil {
			return err
		}
		d.system.books[owner][at] = copied(c)
		return nil
	}))
}

// DeleteContacts is one request, in which each entry succeeds or fails by itself.
func (d *driver) DeleteContacts(ctx context.Context, owner identity.Extension, ids []string) (map[string]error, error) {
	const op = "memory: delete contacts"
	if len(ids) > batch {
		return nil, fault.Errorf(fault.Invalid, op, "%d contacts at once: %d are the most", len(ids), batch)
	}
	failed := make(map[string]error)
	err := d.request(ctx, func() error {
		for _, id := range ids {
			at := d.system.entry(owner, id)
			if at < 0 {
				failed[id] = classify(op, Refusal{Code: "no such contact"})
				continue
			}
			d.system.books[owner] = slices.Delete(d.system.books[owner], at, at+1)
		}
		return nil
	})
	if err != nil {
		return nil, written(op, err)
	}
	return failed, nil
}

// copied is c with numbers of its own.
func copied(c directory.Contact) directory.Contact {
	c.Numbers = slices.Clone(c.Numbers)
	return c
}
