package writer

import (
	"context"
	"slices"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/wire"
)

// changeBook carries out a series of changes of one phonebook, in order, and says what
// came of each. An error means: try the series again, which does nothing twice, since it
// then looks at the book first and finds its own by their source.
func (s *system) changeBook(ctx context.Context, w wire.ContactsWant, delivered uint64) error {
	outcome := wire.ContactsOutcome{ID: w.ID, Mailbox: w.Mailbox, Book: w.Book, Chunk: w.Chunk, Plan: w.Plan}
	why, detail := s.refusesBook(w)
	if why == "" {
		book, err := s.openBook(ctx, w, delivered)
		if err == nil {
			outcome.Results, err = book.carryOut(ctx, w.Changes, delivered)
		}
		if err != nil {
			result, again := settled(err, delivered)
			if again != nil {
				return again
			}
			why, detail = result, "the phonebook cannot be changed: "+fault.KindOf(err).String()
		}
	}
	for _, c := range w.Changes[len(outcome.Results):] {
		outcome.Results = append(outcome.Results, wire.ContactResult{Op: c.Op, Source: c.Contact.Source, ID: c.Contact.ID, Result: why, Detail: detail})
	}
	for _, r := range outcome.Results {
		s.w.metrics.changed(ctx, s.id, "contact", r.Result)
	}
	outcome.At = s.w.bus.Now()
	return s.w.publish(ctx, outcome, "")
}

func (s *system) refusesBook(w wire.ContactsWant) (why wire.ChangeResult, detail string) {
	switch {
	case !s.tenants[w.Mailbox.Tenant]:
		return wire.ChangeRefused, "the phone system does not serve this tenant"
	case s.kept.Load().Books():
		return wire.ChangeRefused, "the phone system's own Microsoft 365 sync keeps its phonebooks: switch that off, or set options.ignore_native_sync"
	case !s.pbx.Capabilities().Phonebook.Has(w.Book.Owner):
		return wire.ChangeRefused, "the phone system has no such phonebook"
	}
	return "", ""
}

// book is a phonebook in the course of a series of changes.
type book struct {
	s     *system
	owner identity.Extension
	// known are the ids of our entries by their source; nil: nobody looked.
	known map[string]string
}

// openBook looks at the book first where the series may have been begun before.
func (s *system) openBook(ctx context.Context, w wire.ContactsWant, delivered uint64) (*book, error) {
	b := &book{s: s, owner: w.Book.Owner}
	unknown := slices.ContainsFunc(w.Changes, func(c wire.ContactChange) bool { return c.Op != wire.OpDelete || c.Contact.ID == "" })
	if !unknown || !w.Again && delivered <= 1 {
		return b, nil
	}
	b.known = map[string]string{}
	return b, s.pbx.Contacts(ctx, b.owner, func(c directory.Contact) error {
		if c.Source != "" {
			b.known[c.Source] = c.ID
		}
		return nil
	})
}

// carryOut stops at the first error that is to be tried again, or that everything else
// would meet as well. Removals go together, at the end of each run of them.
func (b *book) carryOut(ctx context.Context, changes []wire.ContactChange, delivered uint64) (results []wire.ContactResult, err error) {
	for len(changes) > 0 {
		if n := removals(changes); n > 0 {
			some, err := b.remove(ctx, changes[:n], delivered)
			if err != nil {
				return results, err
			}
			results, changes = append(results, some...), changes[n:]
			continue
		}
		c := changes[0]
		id, err := b.put(ctx, c)
		result, again := settled(err, delivered)
		if again != nil {
			return results, again
		}
		r := wire.ContactResult{Op: c.Op, Source: c.Contact.Source, ID: id, Result: result}
		if err != nil { // what the phone system says may quote the entry, which is nobody's to read
			r.Detail = "the phone system does not take the entry: " + fault.KindOf(err).String()
		}
		results, changes = append(results, r), changes[1:]
	}
	return results, nil
}

// removals counts those at the beginning.
func removals(changes []wire.ContactChange) int {
	n := slices.IndexFunc(changes, func(c wire.ContactChange) bool { return c.Op != wire.OpDelete })
	if n < 0 {
		return len(changes)
	}
	return n
}

// put makes an entry what it should be and returns its id.
func (b *book) put(ctx context.Context, c wire.ContactChange) (id string, err error) {
	contact := c.Contact
	if known := b.known[contact.Source]; known != "" {
		contact.ID = known
	}
	if contact.ID != "" {
		err := b.s.pbx.UpdateContact(ctx, b.owner, contact)
		if fault.KindOf(err) != fault.NotFound {
			return contact.ID, err
		}
		contact.ID = "" // somebody removed it by hand: it comes back
	}
	id, err = b.s.pbx.CreateContact(ctx, b.owner, contact)
	if err == nil && b.known != nil {
		b.known[contact.Source] = id
	}
	return id, err
}

func (b *book) remove(ctx context.Context, changes []wire.ContactChange, delivered uint64) (results []wire.ContactResult, err error) {
	var ids []string
	changes = slices.Clone(changes)
	for i := range changes {
		c := &changes[i].Contact
		if c.ID == "" {
			c.ID = b.known[c.Source]
		}
		if c.ID != "" { // else nothing was made of it
			ids = append(ids, c.ID)
		}
	}
	failed, err := b.s.pbx.DeleteContacts(ctx, b.owner, ids)
	if err != nil && len(failed) == 0 {
		return nil, err
	}
	for _, c := range changes {
		r := wire.ContactResult{Op: c.Op, Source: c.Contact.Source, ID: c.Contact.ID, Result: wire.ChangeDone}
		if c.Contact.ID == "" {
			r.Result = wire.ChangeAlready
			results = append(results, r)
			continue
		}
		switch why := failed[c.Contact.ID]; fault.KindOf(why) {
		case fault.NotFound, fault.Gone:
			r.Result = wire.ChangeAlready
		default:
			result, again := settled(why, delivered)
			if again != nil {
				return nil, again
			}
			if r.Result = result; why != nil {
				r.Detail = "the phone system does not remove the entry: " + fault.KindOf(why).String()
			}
		}
		results = append(results, r)
	}
	return results, nil
}
