package graphsim

import (
	"cmp"
	"encoding/json"
	"fmt"
	"slices"
	"strconv"
	"strings"
)

// Contact is a contact in a mailbox. Texts and lists that are empty are so on the wire.
type Contact struct {
	ID             string   `json:"id,omitempty"`     // the immutable one; given by AddContact
	Number         int      `json:"number,omitempty"` // of the mailbox's contacts, from 1; given by AddContact
	Folder         string   `json:"folder,omitempty"` // name or id of its folder; "" is the default one
	GivenName      string   `json:"givenName,omitempty"`
	Surname        string   `json:"surname,omitempty"`
	DisplayName    string   `json:"displayName,omitempty"` // "" is made of the two, or of the company
	CompanyName    string   `json:"companyName,omitempty"`
	JobTitle       string   `json:"jobTitle,omitempty"`
	Department     string   `json:"department,omitempty"`
	BusinessPhones []string `json:"businessPhones,omitempty"`
	HomePhones     []string `json:"homePhones,omitempty"`
	MobilePhone    string   `json:"mobilePhone,omitempty"`
	Mails          []string `json:"mails,omitempty"`
	// PersonalNotes is what nobody is to read; "" is made up, with Marker in it.
	PersonalNotes string `json:"personalNotes,omitempty"`
}

// storedContact is a Contact at work. There may be a million: what one says is made up
// of its number until somebody changes it. All of it is guarded by Tenant.mu.
type storedContact struct {
	number  int
	folder  *contactFolder
	stamp   uint64 // version
	edited  *Contact
	spoiled map[string]json.RawMessage
}

// contacts are those of one mailbox.
type contacts struct {
	folders []*contactFolder // the first is the default one
	all     []*storedContact // by number
	numbers int              // given so far
	made    int              // folders so far
	forms   map[string]idForms
}

// idForms are the forms of ids that an app has asked for.
type idForms struct{ immutable, mutable, told bool }

// contactsOf returns the contacts of p's mailbox, made when they are first needed.
// t.mu is held for writing.
func (p *person) contactsOf() *contacts {
	box := p.mail()
	if box.contacts == nil {
		box.contacts = &contacts{forms: make(map[string]idForms)}
		box.contacts.addFolder(p, "Contacts", nil)
	}
	return box.contacts
}

// contactID is the id of a contact of p: the immutable one, or the one that it has in
// its folder.
func contactID(p *person, c *storedContact, immutable bool) string {
	return contactKey(p, c.number, c.folder, immutable)
}

func contactKey(p *person, number int, folder *contactFolder, immutable bool) string {
	if immutable {
		return "AAkALg" + outlookKey(fmt.Sprintf("contact %s %d", p.id, number))
	}
	return "AAMkAD" + outlookKey(fmt.Sprintf("contact %s %d in %s", p.id, number, folder.id))
}

// AddContact puts a contact into a mailbox and returns it with its id. A Contact that
// says nothing but its folder is made up.
func (t *Tenant) AddContact(user string, c Contact) (Contact, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.lookup(user)
	if p == nil {
		return Contact{}, t.noUser(user)
	}
	all := p.contactsOf()
	folder := all.folder(c.Folder)
	if folder == nil {
		return Contact{}, fmt.Errorf("contacts of %q: folder %q: %w", user, c.Folder, ErrNotFound)
	}
	s := all.add(folder)
	if given := c; given.says() {
		s.edited = &given
	}
	t.touchContact(s)
	return t.renderContact(p, s), nil
}

// says whether there is anything in it.
func (c Contact) says() bool {
	return c.GivenName+c.Surname+c.DisplayName+c.CompanyName+c.JobTitle+c.Department+c.MobilePhone+c.PersonalNotes != "" ||
		len(c.BusinessPhones)+len(c.HomePhones)+len(c.Mails) > 0
}

func (a *contacts) add(folder *contactFolder) *storedContact {
	a.numbers++
	s := &storedContact{number: a.numbers, folder: folder}
	a.all = append(a.all, s)
	return s
}

// FillContacts makes up so many contacts in the default folder of a mailbox.
func (t *Tenant) FillContacts(user string, count int) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.lookup(user)
	if p == nil {
		return t.noUser(user)
	}
	all := p.contactsOf()
	for range count {
		t.touchContact(all.add(all.folders[0]))
	}
	return nil
}

// EditContact changes a contact where it is.
func (t *Tenant) EditContact(user, ref string, edit func(*Contact)) error {
	return t.changeContact(user, ref, func(p *person, s *storedContact) error {
		c := t.renderContact(p, s)
		edit(&c)
		s.edited = &c
		return nil
	})
}

// MoveContact puts a contact into another folder, where it has the same immutable id and
// another one otherwise.
func (t *Tenant) MoveContact(user, ref, folder string) error {
	return t.changeContact(user, ref, func(p *person, s *storedContact) error {
		to := p.mailbox.contacts.folder(folder)
		if to == nil {
			return fmt.Errorf("folder %q: %w", folder, ErrNotFound)
		}
		if to != s.folder {
			t.removeContact(s)
			s.folder = to
		}
		return nil
	})
}

// SpoilContact replaces properties of a contact on the wire by what no Exchange should
// send: JSON by name, null included. nil ends it.
func (t *Tenant) SpoilContact(user, ref string, properties map[string]json.RawMessage) error {
	return t.changeContact(user, ref, func(_ *person, s *storedContact) error {
		s.spoiled = properties
		return nil
	})
}

func (t *Tenant) changeContact(user, ref string, change func(*person, *storedContact) error) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, s, err := t.contact(user, ref)
	if err != nil {
		return err
	}
	if err := change(p, s); err != nil {
		return fmt.Errorf("contacts of %q: %w", user, err)
	}
	t.touchContact(s)
	return nil
}

// DeleteContact removes a contact.
func (t *Tenant) DeleteContact(user, ref string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p, s, err := t.contact(user, ref)
	if err != nil {
		return err
	}
	t.dropContact(p.mailbox.contacts, s)
	return nil
}

// dropContact removes a contact from its folder and the mailbox. t.mu is held.
func (t *Tenant) dropContact(all *contacts, s *storedContact) {
	t.removeContact(s)
	all.all = slices.DeleteFunc(all.all, func(each *storedContact) bool { return each == s })
}

// contact finds a contact by number, by any of its ids, or by name. t.mu is held.
func (t *Tenant) contact(user, ref string) (*person, *storedContact, error) {
	p := t.lookup(user)
	if p == nil {
		return nil, nil, t.noUser(user)
	}
	number, _ := strconv.Atoi(ref) // 0 is nobody's
	for _, s := range p.contactsOf().all {
		if s.number == number || ref == contactID(p, s, true) || ref == contactID(p, s, false) || strings.EqualFold(ref, t.renderContact(p, s).DisplayName) {
			return p, s, nil
		}
	}
	return nil, nil, fmt.Errorf("contact %q of %s: %w (give a number, an id or a name)", ref, p.local, ErrNotFound)
}

// Contacts is the truth about the contacts of a mailbox, by number.
func (t *Tenant) Contacts(user string) ([]Contact, error) {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.lookup(user)
	if p == nil {
		return nil, t.noUser(user)
	}
	list := []Contact{}
	for _, s := range p.contactsOf().all {
		list = append(list, t.renderContact(p, s))
	}
	return list, nil
}

// renderContact is what a contact says. t.mu is held.
func (t *Tenant) renderContact(p *person, s *storedContact) Contact {
	var c Contact
	if s.edited != nil {
		c = *s.edited
	} else {
		c = t.inventContact(p, s.number)
	}
	c.ID, c.Number, c.Folder = contactID(p, s, true), s.number, s.folder.name
	c.DisplayName = cmp.Or(c.DisplayName, strings.TrimSpace(c.GivenName+" "+c.Surname), c.CompanyName)
	c.PersonalNotes = cmp.Or(c.PersonalNotes, "met in Lisbon, "+Marker)
	return c
}

// inventContact makes up what a contact says. The numbers are kept free for fiction.
func (t *Tenant) inventContact(p *person, number int) Contact {
	roll := dice(t.seed, p.index*100_003+number)
	given, family := givenNames[roll%uint64(len(givenNames))], familyNames[roll>>8%uint64(len(familyNames))]
	c := Contact{GivenName: given, Surname: family, CompanyName: familyNames[roll>>16%uint64(len(familyNames))] + " GmbH",
		JobTitle: jobTitles[roll>>24%uint64(len(jobTitles))], Mails: []string{strings.ToLower(given+"."+family) + "@partner.example"},
		BusinessPhones: []string{fmt.Sprintf("+49 30 23125 %03d", roll>>32%1000)}}
	if roll>>42%2 == 0 {
		c.MobilePhone = fmt.Sprintf("0171 39200%02d", roll>>43%100)
	}
	return c
}
