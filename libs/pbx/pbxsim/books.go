package pbxsim

import (
	"cmp"
	"slices"
	"strconv"
	"strings"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
)

// entryFields are the texts of an entry of a phonebook, in the order in which entry
// holds them.
var entryFields = [...]string{"FirstName", "LastName", "CompanyName", "Title", "Department", "Email", "PhoneNumber", "Mobile2",
	"Home", "Business", "Business2", "BusinessFax", "Other", "Pager", "Tag"}

// entry is an entry of a phonebook.
type entry struct {
	id    int32
	owner identity.Extension // "" is the company
	texts [len(entryFields)]string
}

func (e *entry) text(name string) *string { return &e.texts[slices.Index(entryFields[:], name)] }

// books are all phonebooks.
type books struct {
	byID   map[int32]*entry
	of     map[identity.Extension][]*entry // by id
	nextID int32
}

func newBooks() books {
	return books{byID: make(map[int32]*entry), of: make(map[identity.Extension][]*entry), nextID: 1001}
}

// add gives an entry its id.
func (b *books) add(e *entry) {
	e.id = b.nextID
	b.nextID++
	b.byID[e.id] = e
	b.of[e.owner] = append(b.of[e.owner], e)
}

func (b *books) remove(e *entry) {
	delete(b.byID, e.id)
	of := b.of[e.owner]
	at, _ := slices.BinarySearchFunc(of, e.id, func(other *entry, id int32) int { return cmp.Compare(other.id, id) })
	b.of[e.owner] = slices.Delete(of, at, at+1)
}

// burn deletes a whole book.
func (b *books) burn(owner identity.Extension) {
	for _, e := range b.of[owner] {
		delete(b.byID, e.id)
	}
	delete(b.of, owner)
}

// places are the fields that hold numbers.
var places = []struct {
	field string
	kind  directory.NumberKind
}{
	{"PhoneNumber", directory.MobileNumber}, {"Mobile2", directory.Mobile2Number}, {"Home", directory.HomeNumber},
	{"Business", directory.BusinessNumber}, {"Business2", directory.Business2Number}, {"BusinessFax", directory.FaxNumber},
	{"Other", directory.OtherNumber}, {"Pager", directory.PagerNumber},
}

// ourTag is how Offhook marks its entries in the field Tag.
const ourTag = "offhook:"

// Book returns a phonebook, "" being the company's. What is tagged as Offhook's has
// its source.
func (s *Sim) Book(owner identity.Extension) []directory.Contact {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	all := make([]directory.Contact, 0, len(s.world.books.of[owner]))
	for _, e := range s.world.books.of[owner] {
		c := directory.Contact{ID: strconv.Itoa(int(e.id)), FirstName: *e.text("FirstName"), LastName: *e.text("LastName"),
			Company: *e.text("CompanyName"), Title: *e.text("Title"), Department: *e.text("Department"), Mail: *e.text("Email")}
		if source, ok := strings.CutPrefix(*e.text("Tag"), ourTag); ok {
			c.Source = source
		}
		for _, place := range places {
			if number := *e.text(place.field); number != "" {
				c.Numbers = append(c.Numbers, directory.Number{Kind: place.kind, Text: number})
			}
		}
		all = append(all, c)
	}
	return all
}

// Enter adds an entry to a phonebook as a person does, and returns its id. It has a
// tag of the person's own.
func (s *Sim) Enter(owner identity.Extension, c directory.Contact) string {
	s.world.mu.Lock()
	defer s.world.mu.Unlock()
	e := &entry{owner: owner}
	for name, text := range map[string]string{"FirstName": c.FirstName, "LastName": c.LastName, "CompanyName": c.Company,
		"Title": c.Title, "Department": c.Department, "Email": c.Mail, "Tag": "VIP"} {
		*e.text(name) = text
	}
	for _, place := range places {
		for _, number := range c.Numbers {
			if number.Kind == place.kind {
				*e.text(place.field) = number.Text
			}
		}
	}
	s.world.books.add(e)
	return strconv.Itoa(int(e.id))
}
