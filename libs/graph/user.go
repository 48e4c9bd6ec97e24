package graph

import (
	"context"

	"offhook.dev/libs/core/identity"
)

// User is an account of the directory. A property that Graph does not have is
// empty.
type User struct {
	ID         identity.User
	UPN        string // user principal name; changes, so never a key
	Name       string // display name
	GivenName  string
	Surname    string
	Mail       string
	Phones     []string // business phones
	Mobile     string
	Department string
	Language   string // BCP 47, as the person prefers it
	Enabled    bool
	Guest      bool
}

// Cursor is a place in the stream of changes: a whole nextLink or deltaLink,
// kept and replayed as it came. The zero Cursor starts from the beginning. Save
// one only after the effects of its page are durable.
type Cursor string

// Removed is a user that left the stream of changes.
type Removed struct {
	ID identity.User
	// Restorable says that the account was soft-deleted ("changed") and may come
	// back as if it were new; otherwise it is gone ("deleted").
	Restorable bool
}

// UserPage is one page of changes. Order means nothing within a round, the same
// user may come several times (the last counts), and a change may come again in
// a later round. https://learn.microsoft.com/graph/delta-query-overview
type UserPage struct {
	Users   []User
	Removed []Removed
	// Next continues the round and is set on every page but the last; Delta starts
	// the next round and is set on the last page alone.
	Next, Delta Cursor
	// Reset says that Graph no longer knows the cursor. The page is empty otherwise:
	// start again from the zero Cursor and compare with the full list. A reset by
	// itself deletes nothing.
	Reset bool
}

// UserReader reads the directory.
type UserReader interface {
	// Users reads the page at a cursor. A cursor that does not lead to the tenant's
	// own Graph host is fault.Invalid without a request.
	Users(ctx context.Context, at Cursor) (UserPage, error)
	// User reads one account; fault.NotFound where there is none.
	User(ctx context.Context, id identity.User) (User, error)
}
