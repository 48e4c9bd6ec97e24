package pbx

import (
	"context"
	"slices"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
)

// Phonebook is the power to keep phonebooks. An owner of "" means the company's book,
// another the book of that extension. A book that the phone system does not have
// (PhonebookPowers) is Unsupported; one of an extension that there is not, NotFound.
//
// Texts arrive as they were given, or the write is Invalid and changes nothing: they
// are never cut. directory.Contact.Source is kept with the entry and told again:
// that is how Offhook knows its own. The phone system gives the ids.
type Phonebook interface {
	// Contacts calls yield once for each entry of a book, those of others (Source "")
	// included, under the rules of Driver.Statuses.
	Contacts(ctx context.Context, owner identity.Extension, yield func(directory.Contact) error) error

	// CreateContact adds an entry and returns its id; c.ID means nothing. Twice is two
	// entries: after Timeout the caller lists before it asks again, and finds its
	// entry by its Source. A number of a kind outside PhonebookPowers.Numbers is
	// Unsupported and never sent.
	CreateContact(ctx context.Context, owner identity.Extension, c directory.Contact) (id string, err error)

	// UpdateContact makes the entry with c.ID what c says, whole: a number that is not
	// in c disappears. Twice is once. NotFound: there is no such entry.
	UpdateContact(ctx context.Context, owner identity.Extension, c directory.Contact) error

	// DeleteContacts deletes up to PhonebookPowers.Batch entries; more are Invalid.
	// failed says why one was not deleted. One that was not there is NotFound in it,
	// or not in it at all where the phone system does not tell: it is gone either way.
	// With an error failed is nil, and the error's kind is true of each of them.
	DeleteContacts(ctx context.Context, owner identity.Extension, ids []string) (failed map[string]error, err error)
}

// PhonebookPowers is what a driver's Phonebook can do; the zero value where it is
// none.
type PhonebookPowers struct {
	Company  bool `json:"company"`  // the company's book
	Personal bool `json:"personal"` // the extensions' own
	// Numbers are the kinds that an entry has a place for, one each.
	Numbers []directory.NumberKind `json:"numbers,omitempty"`
	// Limits is how many characters are taken of a field of an entry, of
	// directory.PhoneText for a number; as WriterPowers.Limits.
	Limits map[directory.Field]int `json:"limits,omitempty"`
	// Batch is how many entries DeleteContacts takes at a time.
	Batch int `json:"batch,omitempty"`
}

// Any says whether there is a Phonebook.
func (p PhonebookPowers) Any() bool { return p.Company || p.Personal }

// Has says whether there is a book for an owner: "" is the company.
func (p PhonebookPowers) Has(owner identity.Extension) bool {
	if owner == "" {
		return p.Company
	}
	return p.Personal
}

// Check says why an entry could not be written for want of powers: Unsupported.
func (p PhonebookPowers) Check(op string, owner identity.Extension, c directory.Contact) error {
	if !p.Has(owner) {
		return p.missing(op, owner)
	}
	for _, n := range c.Numbers {
		if !slices.Contains(p.Numbers, n.Kind) {
			return fault.Errorf(fault.Unsupported, op, "there is no place for a number of the kind %q (only %v)", n.Kind, p.Numbers)
		}
	}
	return nil
}

func (p PhonebookPowers) missing(op string, owner identity.Extension) error {
	if owner == "" {
		return fault.Errorf(fault.Unsupported, op, "this phone system has no company phonebook that could be written")
	}
	return fault.Errorf(fault.Unsupported, op, "this phone system has no personal phonebooks that could be written")
}

// Contacts is Phonebook.Contacts; Unsupported without that power.
func (s *System) Contacts(ctx context.Context, owner identity.Extension, yield func(directory.Contact) error) error {
	const op = "contacts"
	if !s.powers.Phonebook.Has(owner) {
		return s.powers.Phonebook.missing(s.named(op), owner)
	}
	return s.list(ctx, op, bulk, func(ctx context.Context, item func(func() error) error) error {
		return s.phonebook.Contacts(ctx, owner, func(c directory.Contact) error {
			return item(func() error { return yield(c) })
		})
	})
}

// CreateContact is Phonebook.CreateContact; Unsupported without that power. A
// creation that ended in Timeout is not repeated here: list first.
func (s *System) CreateContact(ctx context.Context, owner identity.Extension, c directory.Contact) (id string, err error) {
	const op = "create-contact"
	if err := s.powers.Phonebook.Check(s.named(op), owner, c); err != nil {
		return "", err
	}
	err = s.do(ctx, call{op: op, ext: owner, lane: bulk, write: true}, func(ctx context.Context) error {
		id, err = s.phonebook.CreateContact(ctx, owner, c)
		return err
	})
	return id, err
}

// UpdateContact is Phonebook.UpdateContact; Unsupported without that power.
func (s *System) UpdateContact(ctx context.Context, owner identity.Extension, c directory.Contact) error {
	const op = "update-contact"
	if err := s.powers.Phonebook.Check(s.named(op), owner, c); err != nil {
		return err
	}
	return s.do(ctx, call{op: op, ext: owner, lane: bulk, write: true}, func(ctx context.Context) error {
		return s.phonebook.UpdateContact(ctx, owner, c)
	})
}

// DeleteContacts is Phonebook.DeleteContacts for any number of entries, batch after
// batch; Unsupported without that power. Here failed is complete also with an error,
// which ended the work: those that it left undone are in failed too.
func (s *System) DeleteContacts(ctx context.Context, owner identity.Extension, ids []string) (failed map[string]error, err error) {
	const op = "delete-contacts"
	return inBatches(ids, s.powers.Phonebook.Batch, func(some []string) (failed map[string]error, err error) {
		if !s.powers.Phonebook.Has(owner) {
			return nil, s.powers.Phonebook.missing(s.named(op), owner)
		}
		err = s.do(ctx, call{op: op, ext: owner, lane: bulk, write: true, batch: true}, func(ctx context.Context) error {
			failed, err = s.phonebook.DeleteContacts(ctx, owner, some)
			return err
		})
		return failed, err
	})
}
