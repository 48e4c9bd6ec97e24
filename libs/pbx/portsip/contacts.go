package portsip

import (
	"context"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
)

// contact is an entry of a phonebook. All its members are always sent, those that are
// empty too, so that what was there before disappears whether or not the phone system
// keeps what is not named. What else there is (an address, a home fax) is nobody's of
// ours.
type contact struct {
	ID           string `json:"id,omitempty"`
	Name         string `json:"name"`
	Email        string `json:"email"`
	Company      string `json:"company"`
	Title        string `json:"title"`
	Business     string `json:"business"`
	Business2    string `json:"business2"`
	MobilePhone  string `json:"mobile_phone"`
	MobilePhone2 string `json:"mobile_phone2"`
	HomePhone    string `json:"home_phone"`
	HomePhone2   string `json:"home_phone2"`
	Other        string `json:"other"`
	BusinessFax  string `json:"business_fax"`
	Notes        string `json:"notes"`
}

func (c contact) key() string { return c.ID }

// numberKinds are the kinds that have a place: all but pagers.
var numberKinds = []directory.NumberKind{directory.MobileNumber, directory.BusinessNumber, directory.Business2Number, directory.HomeNumber,
	directory.Home2Number, directory.Mobile2Number, directory.OtherNumber, directory.FaxNumber}

// bookLimits are how many characters of an entry are taken. First and last name share a
// name of 64, with a space between them; the department shares the notes, whose 1,024 it
// leaves to what a person writes there.
var bookLimits = map[directory.Field]int{directory.FirstName: 31, directory.LastName: 32, directory.Company: 128, directory.Title: 128,
	directory.Department: 255, directory.Mail: 128, directory.PhoneText: 128}

// place is where a number of a kind is kept; nil where none is.
func (c *contact) place(kind directory.NumberKind) *string {
	switch kind {
	case directory.MobileNumber:
		return &c.MobilePhone
	case directory.Mobile2Number:
		return &c.MobilePhone2
	case directory.BusinessNumber:
		return &c.Business
	case directory.Business2Number:
		return &c.Business2
	case directory.HomeNumber:
		return &c.HomePhone
	case directory.Home2Number:
		return &c.HomePhone2
	case directory.OtherNumber:
		return &c.Other
	case directory.FaxNumber:
		return &c.BusinessFax
	}
	return nil
}

// newContact is an entry in the vendor's words; Invalid if a text does not fit.
func newContact(op string, c directory.Contact) (contact, error) {
	told := contact{Email: c.Mail, Company: c.Company, Title: c.Title}
	told.Name, told.Notes = written(c)
	for _, n := range c.Numbers {
		*told.place(n.Kind) = n.Text
	}
	for _, t := range []struct {
		member, text string
		most         int
	}{{"name", told.Name, 64}, {"email", c.Mail, 128}, {"company", c.Company, 128}, {"title", c.Title, 128}, {"notes (with the department)", told.Notes, 1024}} {
		if err := fits(op, t.member, t.text, t.most); err != nil {
			return contact{}, err
		}
	}
	for _, n := range c.Numbers {
		if err := fits(op, string(n.Kind), n.Text, 128); err != nil {
			return contact{}, err
		}
	}
	return told, nil
}

// contact is an entry in our words.
func (c contact) contact() directory.Contact {
	told := read(c.Name, c.Notes)
	told.ID, told.Company, told.Title, told.Mail = c.ID, c.Company, c.Title, c.Email
	for _, kind := range numberKinds {
		if text := *c.place(kind); text != "" {
			told.Numbers = append(told.Numbers, directory.Number{Kind: kind, Text: text})
		}
	}
	return told
}

// book is where a phonebook is, and as whom. It says why there is none.
func (d *Driver) book(ctx context.Context, op string, owner identity.Extension, c directory.Contact) (path string, as *session, err error) {
	if err := d.Capabilities().Phonebook.Check(op, owner, c); err != nil {
		return "", nil, err
	}
	if owner == "" {
		return "/contacts", d.admin, nil
	}
	as, err = d.as(ctx, op, owner)
	return "/user/contacts", as, err
}

// Contacts lists a phonebook, 100 entries a request.
func (d *Driver) Contacts(ctx context.Context, owner identity.Extension, yield func(directory.Contact) error) error {
	const op = "portsip: contacts"
	path, as, err := d.book(ctx, op, owner, directory.Contact{})
	if err != nil {
		return err
	}
	return list(ctx, d.wire, op, as, path, nil, func(c contact) error { return yield(c.contact()) })
}

// CreateContact adds an entry to the company's book or, as its owner, to a person's.
func (d *Driver) CreateContact(ctx context.Context, owner identity.Extension, c directory.Contact) (string, error) {
	const op = "portsip: create contact"
	path, as, err := d.book(ctx, op, owner, c)
	if err != nil {
		return "", err
	}
	order, err := newContact(op, c)
	if err != nil {
		return "", err
	}
	var made struct{ ID string }
	if err := d.wire.post(ctx, op, as, path, order, &made); err != nil {
		return "", err
	}
	if made.ID == "" {
		return "", fault.Errorf(fault.Timeout, op, "%w: the entry may have been made, and its id is not told", errSenseless)
	}
	return made.ID, nil
}

// UpdateContact sends all members of an entry.
func (d *Driver) UpdateContact(ctx context.Context, owner identity.Extension, c directory.Contact) error {
	const op = "portsip: update contact"
	path, as, err := d.book(ctx, op, owner, c)
	if err != nil {
		return err
	}
	order, err := newContact(op, c)
	if err != nil {
		return err
	}
	at := path + "/" + segment(c.ID)
	return d.orGone(ctx, op, as, at, d.wire.post(ctx, op, as, at, order, nil))
}

// orGone is why something could not be done to what is at a path: with which status an
// id of nothing is refused is not documented, so it is asked whether there is anything.
func (d *Driver) orGone(ctx context.Context, op string, as *session, at string, err error) error {
	if err == nil || fault.KindOf(err) != fault.Invalid && fault.KindOf(err) != fault.Conflict {
		return err
	}
	var there struct{ ID string }
	if askErr := d.wire.get(ctx, op, as, at, nil, &there); askErr != nil && refused(askErr) && fault.KindOf(askErr) != fault.Denied {
		return fault.Errorf(fault.NotFound, op, "there is no such entry: %w", err)
	}
	return err
}

// DeleteContacts deletes entries one by one.
func (d *Driver) DeleteContacts(ctx context.Context, owner identity.Extension, ids []string) (map[string]error, error) {
	const op = "portsip: delete contacts"
	if !d.Capabilities().Phonebook.Has(owner) {
		_, _, err := d.book(ctx, op, owner, directory.Contact{})
		return nil, err
	}
	if len(ids) > deletionBatch {
		return nil, fault.Errorf(fault.Invalid, op, "%d entries at once: %d are the most", len(ids), deletionBatch)
	}
	path, as, err := d.book(ctx, op, owner, directory.Contact{})
	if err != nil {
		return nil, err
	}
	return singly(op, ids, func(id string) error {
		at := path + "/" + segment(id)
		return d.orGone(ctx, op, as, at, d.wire.post(ctx, op, as, at+"/destroy", nil, nil))
	})
}
