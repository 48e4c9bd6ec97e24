package e2e

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/services/e2e/world"
	"offhook.dev/services/pbx-writer/writer"
)

// company is the company's phonebook.
const company identity.Extension = ""

// A day of contacts, seen from the phonebooks of the phone system.
func TestContactsAreInTheirPhonebooks(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.Options{Users: 4, Extensions: 2, Mailboxes: 300 * time.Millisecond,
		Contacts: `{region: DE, shared_mailboxes: [clara@contoso.example], folders: [Customers]}`})
	anna, ben, sales := w.Tenant.Users("", 3)[0].UserPrincipalName, w.Tenant.Users("", 3)[1].UserPrincipalName, "clara@contoso.example"
	has := func(owner identity.Extension, want ...string) {
		t.Helper()
		w.Eventually(90*time.Second, func() string {
			if got := entries(w, owner); !slices.Equal(got, want) {
				return fmt.Sprintf("the phonebook of %q has\n %s, want\n %s", owner, strings.Join(got, "\n "), strings.Join(want, "\n "))
			}
			return ""
		})
	}
	add := func(mailbox, folder, first string, numbers ...string) graphsim.Contact {
		t.Helper()
		c, err := w.Tenant.AddContact(mailbox, graphsim.Contact{Folder: folder, GivenName: first, Surname: "Ext", BusinessPhones: numbers})
		must(t, err)
		return c
	}
	must(t, w.Tenant.EditMailbox(sales, func(m *graphsim.Mailbox) { m.Purpose = "shared" }))
	_, err := w.Tenant.AddContactFolder(anna, "Customers", "")
	must(t, err)
	w.PBX.Enter(company, directory.Contact{FirstName: "Taxi", Numbers: []directory.Number{{Kind: directory.BusinessNumber, Text: "030 1"}}})
	w.PBX.Enter("100", directory.Contact{FirstName: "Mum", Numbers: []directory.Number{{Kind: directory.MobileNumber, Text: "0171 1"}}})

	oslo := add(anna, "", "Oslo", "+47 22 00 00 00", "030 901820", "+49 (0)30 901820")
	rome := add(anna, "Customers", "Rome", "+39 06 1")
	add(ben, "", "Sofia 🎧", "ext. 12")
	fair := add(sales, "", "Fair", "0800 1")
	add(sales, "", strings.Repeat("Ü", 300), "0800 3") // longer than the phone system takes
	w.Start()

	// Each where it belongs; who was there before stays; a number is there once, and what is
	// no number is left out.
	has("100", "Mum:0171 1", "Oslo:+47 22 00 00 00,030 901820", "Rome:+39 06 1")
	has("101", "Sofia 🎧:")
	has(company, "Fair:0800 1", "Taxi:030 1", strings.Repeat("Ü", 255)+":0800 3")

	// A number goes, one is added, a contact moves to another folder, a new one comes.
	must(t, w.Tenant.EditContact(anna, oslo.ID, func(c *graphsim.Contact) { c.BusinessPhones = []string{"+47 22 99"} }))
	must(t, w.Tenant.MoveContact(anna, rome.ID, ""))
	add(sales, "", "Hall 7", "0800 7")
	has("100", "Mum:0171 1", "Oslo:+47 22 99", "Rome:+39 06 1")
	has(company, "Fair:0800 1", "Hall 7:0800 7", "Taxi:030 1", strings.Repeat("Ü", 255)+":0800 3")

	// Everything is read anew: nothing is there twice. Then one is deleted.
	w.Tenant.ExpireDeltas()
	must(t, w.Tenant.DeleteContact(sales, fair.ID))
	has(company, "Hall 7:0800 7", "Taxi:030 1", strings.Repeat("Ü", 255)+":0800 3")
	has("100", "Mum:0171 1", "Oslo:+47 22 99", "Rome:+39 06 1")

	// A mailbox that cannot be read any more costs nobody an entry, nor does a restart.
	must(t, w.Tenant.EditMailbox(anna, func(m *graphsim.Mailbox) { m.Denied = true }))
	must(t, w.Tenant.EditMailbox(sales, func(m *graphsim.Mailbox) { m.Missing = true }))
	w.Stop("contact-sync")
	w.Stop("pbx-writer")
	w.Run(writer.Part())
	w.Run(world.Contacts())
	add(ben, "", "Late", "0171 9")
	has("101", "Late:0171 9", "Sofia 🎧:")
	has("100", "Mum:0171 1", "Oslo:+47 22 99", "Rome:+39 06 1")
	has(company, "Hall 7:0800 7", "Taxi:030 1", strings.Repeat("Ü", 255)+":0800 3")
}

// entries are the entries of a phonebook in the order of their names, with their numbers.
func entries(w *world.World, owner identity.Extension) []string {
	var all []string
	for _, c := range w.PBX.Book(owner) {
		var numbers []string
		for _, n := range c.Numbers {
			numbers = append(numbers, n.Text)
		}
		all = append(all, c.FirstName+":"+strings.Join(numbers, ","))
	}
	slices.Sort(all)
	return all
}
