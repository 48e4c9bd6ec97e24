package graph

import (
	"context"

	"offhook.dev/libs/core/identity"
)

// MaxContactFolders is how many folders of contacts a mailbox may have to be read.
const MaxContactFolders = 500

// ContactFolder is a folder of contacts below a mailbox's default one. Its id never
// changes.
type ContactFolder struct {
	ID, Parent string // Parent is the id of the folder that it is in
	Name       string
}

// Contact is a contact, reduced to what a phone shows. What else Outlook has of it,
// such as notes, addresses and birthdays, is not asked for.
type Contact struct {
	// ID is immutable: the same wherever in its mailbox the contact is moved. Its letter
	// case counts.
	ID          string
	ChangeKey   string // of lists alone; another one after every change
	GivenName   string
	Surname     string
	DisplayName string
	Company     string
	Title       string
	Department  string
	Mail        string // the first address
	Business    []string
	Home        []string
	Mobile      string
}

// ContactPage is one page of a folder's contacts, or of their changes. Of changes the
// order means nothing, and one may come again in a later round.
// https://learn.microsoft.com/graph/delta-query-overview
type ContactPage struct {
	Contacts []Contact
	Removed  []string // ids of those that left the folder: deleted, or moved elsewhere
	// Dropped is how many items of the page could not be read. They are not in Contacts,
	// and that says nothing about whether they are there.
	Dropped int
	// Next continues and is set on every page but the last; Delta starts the next round of
	// changes and is set on the last page of one alone.
	Next, Delta Cursor
	// Reset says that Graph no longer knows the cursor. The page is empty otherwise:
	// start again from the zero Cursor and compare with the full list. A reset by itself
	// deletes nothing.
	Reset bool
}

// ContactReader reads the contacts of mailboxes. All ids are immutable ones. One
// mailbox's error or pause costs that mailbox alone; the errors are those of
// CalendarAnswer. No error quotes anything that a person wrote.
type ContactReader interface {
	// DefaultContacts returns the id of a mailbox's default folder, "" where that cannot be
	// told because nothing is in it: Graph lists all folders but this one.
	DefaultContacts(ctx context.Context, user identity.User) (folder string, err error)
	// ContactFolders lists all folders of a mailbox that are below its default one. More
	// than MaxContactFolders are fault.Unsupported.
	ContactFolders(ctx context.Context, user identity.User) ([]ContactFolder, error)
	// ContactChanges reads the page of changes of a folder at a cursor. A folder that is
	// not there any more is fault.NotFound, as a mailbox is. A cursor that does not lead
	// to the tenant's own Graph host is fault.Invalid without a request. In a cloud that
	// lacks FeatureContactDelta it is fault.Unsupported.
	ContactChanges(ctx context.Context, user identity.User, folder string, at Cursor) (ContactPage, error)
	// ContactList reads the page at a cursor of all contacts in a folder, and ContactKeys
	// the same with nothing but id and ChangeKey.
	ContactList(ctx context.Context, user identity.User, folder string, at Cursor) (ContactPage, error)
	ContactKeys(ctx context.Context, user identity.User, folder string, at Cursor) (ContactPage, error)
}
