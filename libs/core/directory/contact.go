package directory

import (
	"slices"

	"offhook.dev/libs/core/identity"
)

// Book names a phonebook of a phone system: the company's, or one extension's own.
type Book struct {
	System identity.System `json:"system"`
	// Owner is whose book it is; "" is the company's.
	Owner identity.Extension `json:"owner,omitempty"`
}

// Company says whether it is everybody's book.
func (b Book) Company() bool { return b.Owner == "" }

// String is "hq" for a company's book and "hq/204" for a person's.
func (b Book) String() string {
	if b.Company() {
		return string(b.System)
	}
	return string(b.System) + "/" + string(b.Owner)
}

// Contact is an entry of a phonebook.
type Contact struct {
	// ID is the phone system's; "" before it is there.
	ID string `json:"id,omitempty"`
	// Source tells Offhook's own entries: the key of the Microsoft contact that it was
	// made of, at most 32 characters of a-z, 0-9 and '-'. "" is somebody else's entry.
	Source string `json:"source,omitempty"`

	FirstName  string   `json:"first_name,omitempty"`
	LastName   string   `json:"last_name,omitempty"`
	Company    string   `json:"company,omitempty"`
	Title      string   `json:"title,omitempty"` // job title
	Department string   `json:"department,omitempty"`
	Mail       string   `json:"mail,omitempty"`
	Numbers    []Number `json:"numbers,omitempty"`
}

// Number is a phone number as it was written.
type Number struct {
	Kind NumberKind `json:"kind"`
	Text string     `json:"text"`
}

// NumberKind says what a number is for. An entry has at most one of a kind; only what was
// read of Outlook and not fitted yet can have several others.
type NumberKind string

// The kinds, in the order of precedence in which a phone system with fewer places
// takes them.
const (
	MobileNumber    NumberKind = "mobile"
	BusinessNumber  NumberKind = "business"
	Business2Number NumberKind = "business2"
	HomeNumber      NumberKind = "home"
	Home2Number     NumberKind = "home2"
	Mobile2Number   NumberKind = "mobile2"
	OtherNumber     NumberKind = "other"
	PagerNumber     NumberKind = "pager"
	FaxNumber       NumberKind = "fax"
)

var numberKinds = []NumberKind{MobileNumber, BusinessNumber, Business2Number, HomeNumber, Home2Number, Mobile2Number, OtherNumber, PagerNumber, FaxNumber}

// NumberKinds lists the kinds by precedence.
func NumberKinds() []NumberKind { return slices.Clone(numberKinds) }
