package bench

import (
	"context"
	"errors"
	"fmt"
	"maps"

	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/wire"
)

// perMailbox is how many contacts a mailbox has in the table contacts.
const perMailbox = 100

func contactsTable() Table {
	return Table{
		Name: "contacts",
		What: fmt.Sprintf("Everybody's contacts, %d in each mailbox, become phonebooks: graph-poller, contact-sync, pbx-writer and a broker that syncs, each a process of its own, between a simulated tenant and a simulated 3CX, two requests to the phone system at a time. First: from nothing, but the users are linked. Again: all services anew, nothing changed; every mailbox and every status is read. 1 %%: one contact of each mailbox changes.", perMailbox),
		Aim:  "1,000,000 contacts in 10,000 mailboxes; a second run writes nothing; 4 concurrent requests and 10,000 in ten minutes for a mailbox are never exceeded.",
		Run: func(ctx context.Context, b *Bench) (Report, error) {
			r := Report{Columns: syncColumns("contacts", contactParts)}
			for _, contacts := range b.Sizes.Contacts {
				if err := b.contacts(ctx, &r, max(1, contacts/perMailbox)); err != nil {
					return r, fmt.Errorf("%d contacts: %w", contacts, err)
				}
			}
			r.note(syncNote)
			return r, nil
		},
	}
}

func (b *Bench) contacts(ctx context.Context, r *Report, mailboxes int) (err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	p := &synced{ctx: ctx, bench: b, users: mailboxes, parts: directoryParts}
	defer func() { err = errors.Join(err, p.close()) }()
	if err := p.linked(); err != nil {
		return err
	}
	tenant, all := p.graph.Tenant("contoso"), mailboxes*perMailbox
	for _, id := range tenant.UserIDs() {
		if err := tenant.FillContacts(id, perMailbox); err != nil {
			return err
		}
	}
	p.parts = contactParts
	if _, err := p.measure(r, all, "first", p.start, func() string { return p.entered("create-contact", all) }); err != nil {
		return err
	}
	r.check(p.wrongBook() == "", "%s", p.wrongBook())
	writes, err := p.measure(r, all, "again", p.anew, p.readAll(func() string { return p.nothing(wire.SyncContacts, wire.SyncNow, wire.SyncDone) }))
	if err != nil {
		return err
	}
	r.check(writes == 0, "%d writes although nothing changed", writes)
	if _, err := p.measure(r, all, "1 %", func() error { return p.changeOneEach(tenant) }, func() string { return p.entered("update-contact", mailboxes) }); err != nil {
		return err
	}
	r.check(p.wrongBook() == "", "%s", p.wrongBook())
	for _, v := range tenant.Violations() {
		r.check(false, "the tenant was asked wrongly: %s: %s", v.Kind, v.What)
	}
	return nil
}

// linked makes an extension for everybody, without their contacts.
func (p *synced) linked() error {
	if err := errors.Join(p.open(), p.configure(false), p.start()); err != nil {
		return err
	}
	why, err := settle(p.ctx, longest, func() (string, error) { return p.has(), p.broken() })
	if why != "" {
		err = errors.Join(err, errors.New(why))
	}
	return errors.Join(err, p.halt(), p.configure(true))
}

// changeOneEach changes one contact of everybody and has all contacts read.
func (p *synced) changeOneEach(tenant *graphsim.Tenant) error {
	for _, id := range tenant.UserIDs() {
		if err := tenant.EditContact(id, "1", func(c *graphsim.Contact) { c.Surname = "Changed" }); err != nil {
			return err
		}
	}
	_, err := p.order(wire.SyncContacts, wire.SyncRead)
	return err
}

// entered says whether so many entries of phonebooks were made or changed.
func (p *synced) entered(change string, want int) string {
	if n := p.pbx.Stats().Changes[change]; n < want {
		return fmt.Sprintf("%s: %d of %d", change, n, want)
	}
	return ""
}

// wrongBook says which phonebook is not as its mailbox: each contact is in it once, under
// its name.
func (p *synced) wrongBook() string {
	tenant := p.graph.Tenant("contoso")
	for _, person := range p.links.People("contoso") {
		contacts, err := tenant.Contacts(string(person.User))
		if err != nil {
			return err.Error()
		}
		want, got := map[string]int{}, map[string]int{}
		for _, c := range contacts {
			want[c.GivenName+" "+c.Surname]++
		}
		ext := p.links.Of(person)[0].Extension
		for _, c := range p.pbx.Book(ext) {
			got[c.FirstName+" "+c.LastName]++
		}
		if !maps.Equal(got, want) {
			return fmt.Sprintf("%s has %d entries for %d contacts", ext, len(got), len(want))
		}
	}
	return ""
}
