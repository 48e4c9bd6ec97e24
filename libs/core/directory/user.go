package directory

import (
	"strings"

	"offhook.dev/libs/core/identity"
)

// User is what matters of a Microsoft user.
type User struct {
	identity.Person
	UPN         string `json:"upn,omitempty"`
	Mail        string `json:"mail,omitempty"`
	GivenName   string `json:"given_name,omitempty"`
	Surname     string `json:"surname,omitempty"`
	DisplayName string `json:"display_name,omitempty"`
	Mobile      string `json:"mobile,omitempty"`
	// Phones are the business phones; the first one is the office phone.
	Phones     []string `json:"phones,omitempty"`
	Department string   `json:"department,omitempty"`
	Language   string   `json:"language,omitempty"` // BCP 47
	Purpose    Purpose  `json:"purpose,omitempty"`
	// Photo is the ETag of the picture; "" where there is none.
	Photo   string `json:"photo,omitempty"`
	Enabled bool   `json:"enabled"`
	Guest   bool   `json:"guest,omitempty"`
	// Gone says that the account was deleted; of the rest only Person then counts.
	Gone bool `json:"gone,omitempty"`
}

// Purpose is what a user's mailbox is for, as Microsoft says it; "" where nobody knows
// or there is no mailbox. Words that are not listed here mean a person's mailbox.
type Purpose string

// The purposes.
const (
	PersonalMailbox  Purpose = "user"
	SharedMailbox    Purpose = "shared"
	RoomMailbox      Purpose = "room"
	EquipmentMailbox Purpose = "equipment"
)

// Resource says whether the mailbox belongs to nobody in particular. The account of
// such a mailbox is usually disabled.
func (p Purpose) Resource() bool {
	return p == SharedMailbox || p == RoomMailbox || p == EquipmentMailbox
}

// Address returns the mail address that an extension gets: the user's, else the UPN.
func (u *User) Address() string {
	if mail := strings.TrimSpace(u.Mail); mail != "" {
		return mail
	}
	return strings.TrimSpace(u.UPN)
}

// addresses returns what an extension of theirs can be known by, in lower case and
// without repetition; second may be "".
func (u *User) addresses() (first, second string) {
	first, second = folded(u.Mail), folded(u.UPN)
	if first == "" || first == second {
		return second, ""
	}
	return first, second
}

// has says whether the address is one of theirs.
func (u *User) has(address string) bool {
	address = folded(address)
	first, second := u.addresses()
	return address != "" && (address == first || address == second)
}

// named says whether they have a first or a last name.
func (u *User) named() bool { return tidy(u.GivenName) != "" || tidy(u.Surname) != "" }

// label is what people call them.
func (u *User) label() string {
	if a := u.Address(); a != "" {
		return a
	}
	return tidy(u.DisplayName)
}

// folded makes mail addresses comparable.
func folded(address string) string { return strings.ToLower(strings.TrimSpace(address)) }
