package msgraph

import (
	"encoding/json"

	"offhook.dev/libs/graph"
)

// contactItem is what is read of a contact. It has no member for notes, addresses or
// birthdays, so that nothing of them can get further.
type contactItem struct {
	ID          string        `json:"id"`
	ChangeKey   string        `json:"changeKey"`
	GivenName   string        `json:"givenName"`
	Surname     string        `json:"surname"`
	DisplayName string        `json:"displayName"`
	Company     string        `json:"companyName"`
	Title       string        `json:"jobTitle"`
	Department  string        `json:"department"`
	Mobile      string        `json:"mobilePhone"`
	Business    []string      `json:"businessPhones"`
	Home        []string      `json:"homePhones"`
	Mails       []contactMail `json:"emailAddresses"`
	Removed     any           `json:"@removed"`
}

type contactMail struct {
	Address string `json:"address"`
}

// addContact adds an item to a page. Of one with members of other types than they should
// have the others count; one without an id is nobody.
func addContact(page *graph.ContactPage, raw json.RawMessage) {
	var item contactItem
	if json.Unmarshal(raw, &item) != nil {
		item = salvage(raw)
	}
	switch {
	case item.ID == "":
		page.Dropped++
	case item.Removed != nil:
		page.Removed = append(page.Removed, item.ID)
	default:
		page.Contacts = append(page.Contacts, item.contact())
	}
}

// salvage reads what can be read of an item, member by member.
func salvage(raw json.RawMessage) (item contactItem) {
	var members map[string]json.RawMessage
	if json.Unmarshal(raw, &members) != nil {
		return item
	}
	for name, value := range members {
		one, err := json.Marshal(map[string]json.RawMessage{name: value})
		if err != nil {
			continue
		}
		next := item
		if json.Unmarshal(one, &next) == nil {
			item = next
		}
	}
	return item
}

func (i contactItem) contact() graph.Contact {
	c := graph.Contact{ID: i.ID, ChangeKey: i.ChangeKey, GivenName: i.GivenName, Surname: i.Surname, DisplayName: i.DisplayName,
		Company: i.Company, Title: i.Title, Department: i.Department, Mobile: i.Mobile, Business: i.Business, Home: i.Home}
	for _, mail := range i.Mails {
		if mail.Address != "" {
			c.Mail = mail.Address
			break
		}
	}
	return c
}
