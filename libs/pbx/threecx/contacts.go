package threecx

import (
	"context"
	"net/http"
	"strconv"
	"strings"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx"
)

// contact is Pbx.Contact. It has no place for a second number at home.
type contact struct {
	ID          int32 `json:"Id,omitempty"`
	FirstName   string
	LastName    string
	CompanyName string
	Title       string
	Department  string
	Email       string
	PhoneNumber string // the mobile one
	Mobile2     string
	Home        string
	Business    string
	Business2   string
	BusinessFax string
	Other       string
	Pager       string
	Tag         *string `json:",omitempty"` // nil: as it is
}

func (c contact) key() int32 { return c.ID }

const contactFields = "Id,FirstName,LastName,CompanyName,Title,Department,Email,PhoneNumber,Mobile2,Home,Business,Business2,BusinessFax,Other,Pager,Tag"

// numberKinds are the kinds that have a place, and deletionsOfContacts how many entries
// are deleted at a time.
var numberKinds = []directory.NumberKind{directory.MobileNumber, directory.BusinessNumber, directory.Business2Number, directory.HomeNumber,
	directory.Mobile2Number, directory.OtherNumber, directory.PagerNumber, directory.FaxNumber}

const deletionsOfContacts = 100

// place is where a number of a kind is kept; nil where none is.
func (c *contact) place(kind directory.NumberKind) *string {
	switch kind {
	case directory.MobileNumber:
		return &c.PhoneNumber
	case directory.Mobile2Number:
		return &c.Mobile2
	case directory.HomeNumber:
		return &c.Home
	case directory.BusinessNumber:
		return &c.Business
	case directory.Business2Number:
		return &c.Business2
	case directory.FaxNumber:
		return &c.BusinessFax
	case directory.OtherNumber:
		return &c.Other
	case directory.PagerNumber:
		return &c.Pager
	}
	return nil
}

// ourTag begins the Tag of our entries; their source follows. Users see it.
const ourTag = "offhook:"

func (c contact) contact() directory.Contact {
	told := directory.Contact{ID: strconv.Itoa(int(c.ID)), FirstName: c.FirstName, LastName: c.LastName, Company: c.CompanyName,
		Title: c.Title, Department: c.Department, Mail: c.Email}
	if c.Tag != nil {
		if source, ours := strings.CutPrefix(*c.Tag, ourTag); ours {
			told.Source = source
		}
	}
	for _, kind := range numberKinds {
		if text := *c.place(kind); text != "" {
			told.Numbers = append(told.Numbers, directory.Number{Kind: kind, Text: text})
		}
	}
	return told
}

// newContact is an entry in 3CX's words. All its members are sent, those that are
// empty too, so that what was there before disappears.
func newContact(c directory.Contact) contact {
	told := contact{FirstName: c.FirstName, LastName: c.LastName, CompanyName: c.Company, Title: c.Title, Department: c.Department, Email: c.Mail}
	for _, n := range c.Numbers {
		*told.place(n.Kind) = n.Text
	}
	if c.Source != "" {
		tag := ourTag + c.Source
		told.Tag = &tag
	}
	return told
}

// phonebooks are what can be done with those of a phone system that has the actions.
func (a actions) phonebooks() pbx.PhonebookPowers {
	return pbx.PhonebookPowers{Company: true, Personal: a.personal, Numbers: numberKinds, Batch: deletionsOfContacts,
		Limits: limits(directory.FirstName, directory.LastName, directory.Company, directory.Title, directory.Department, directory.Mail, directory.PhoneText)}
}

// before says whether a version is older than another. One that is not understood is
// taken for the newest.
func before(version string, than ...int) bool {
	for i, part := range strings.SplitN(version, ".", len(than)+1) {
		n, err := strconv.Atoi(part)
		if err != nil || i == len(than) {
			return false
		}
		if n != than[i] {
			return n < than[i]
		}
	}
	return false
}

// Contacts lists a phonebook, 100 entries a request.
func (d *Driver) Contacts(ctx context.Context, owner identity.Extension, yield func(directory.Contact) error) error {
	const op = "threecx: contacts"
	if err := d.Capabilities().Phonebook.Check(op, owner, directory.Contact{}); err != nil {
		return err
	}
	path := "/Contacts"
	if owner != "" {
		path = personalList + "(number=" + quoted(string(owner)) + ")"
	}
	return list(ctx, d.wire, op, path, contactFields, func(c contact) error { return yield(c.contact()) })
}

// CreateContact is POST for the company's book, and since 20.0.9 an action for a
// person's.
func (d *Driver) CreateContact(ctx context.Context, owner identity.Extension, c directory.Contact) (string, error) {
	const op = "threecx: create contact"
	if err := d.Capabilities().Phonebook.Check(op, owner, c); err != nil {
		return "", err
	}
	var made *contact
	var err error
	if owner == "" {
		err = d.wire.post(ctx, op, "/Contacts", newContact(c), http.StatusCreated, &made)
	} else {
		order := struct {
			Number  identity.Extension `json:"number"`
			Contact contact            `json:"contact"`
		}{owner, newContact(c)}
		err = d.wire.post(ctx, op, personalCreate, order, http.StatusOK, &made)
	}
	if err != nil {
		return "", err
	}
	if made == nil || made.ID == 0 { // the vendor allows null
		return "", fault.Errorf(fault.Timeout, op, "%w: the entry may have been made, and its key is not told", errSenseless)
	}
	return strconv.Itoa(int(made.ID)), nil
}

// UpdateContact sends all members of an entry.
func (d *Driver) UpdateContact(ctx context.Context, owner identity.Extension, c directory.Contact) error {
	const op = "threecx: update contact"
	if err := d.Capabilities().Phonebook.Check(op, owner, c); err != nil {
		return err
	}
	path, err := contactPath(op, c.ID)
	if err != nil {
		return err
	}
	return d.wire.patch(ctx, op, path, newContact(c))
}

// contactPath is where an entry is. What is no key of this phone system is nowhere.
func contactPath(op, id string) (string, error) {
	key, err := strconv.ParseInt(id, 10, 32)
	if err != nil {
		return "", fault.Errorf(fault.NotFound, op, "%q is no key of an entry", id)
	}
	return "/Contacts(" + strconv.FormatInt(key, 10) + ")", nil
}

// DeleteContacts deletes entries together. Whether 3CX does so where one of them is
// gone already is not documented: if it refuses, they are deleted one by one, and also
// where there is no action for it.
func (d *Driver) DeleteContacts(ctx context.Context, owner identity.Extension, ids []string) (map[string]error, error) {
	const op = "threecx: delete contacts"
	if err := d.Capabilities().Phonebook.Check(op, owner, directory.Contact{}); err != nil {
		return nil, err
	}
	if len(ids) > deletionsOfContacts {
		return nil, fault.Errorf(fault.Invalid, op, "%d entries at once: %d are the most", len(ids), deletionsOfContacts)
	}
	failed := make(map[string]error)
	var order struct {
		IDs []int32 `json:"ids"`
	}
	for _, id := range ids {
		if key, err := strconv.ParseInt(id, 10, 32); err == nil {
			order.IDs = append(order.IDs, int32(key))
		} else {
			_, failed[id] = contactPath(op, id)
		}
	}
	if len(order.IDs) == 0 {
		return failed, nil
	}
	if d.actions.deletion == "" {
		d.deleteSingly(ctx, op, order.IDs, failed)
		return failed, nil
	}
	err := d.wire.post(ctx, op, d.actions.deletion, order, http.StatusNoContent, nil)
	if err == nil {
		return failed, nil
	}
	switch fault.KindOf(err) {
	case fault.NotFound, fault.Invalid, fault.Unsupported:
		d.deleteSingly(ctx, op, order.IDs, failed)
		return failed, nil
	}
	return nil, err
}

// deleteSingly deletes entries one by one, and notes in failed which it could not.
// After an error that concerns them all the rest is not tried.
func (d *Driver) deleteSingly(ctx context.Context, op string, keys []int32, failed map[string]error) {
	var ended error
	for _, key := range keys {
		id := strconv.Itoa(int(key))
		err := ended
		if err == nil {
			err = d.wire.remove(ctx, op, "/Contacts("+id+")")
		}
		if err == nil {
			continue
		}
		failed[id] = err
		switch fault.KindOf(err) {
		case fault.NotFound, fault.Invalid, fault.Conflict:
		default:
			ended = err
		}
	}
}
