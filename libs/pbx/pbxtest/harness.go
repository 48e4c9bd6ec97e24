package pbxtest

import (
	"context"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
)

// T is what a case needs of *testing.T.
type T interface {
	Helper()
	Context() context.Context
	Errorf(format string, args ...any)
	Fatalf(format string, args ...any)
}

// Harness is a phone system with a driver attached, seen from behind.
type Harness interface {
	// Driver is the driver under test, connected to this phone system.
	Driver() pbx.Driver

	// Extensions lists extensions that exist, at least four.
	Extensions() []identity.Extension

	// Absent is a well-formed number that no extension has.
	Absent() identity.Extension

	// Shown is what the phone system itself says an extension shows.
	Shown(identity.Extension) presence.Status

	// Choose sets a status as a person at the phone would.
	Choose(identity.Extension, presence.Status)

	// Requests counts what reached the phone system since it was started, apart
	// from signing in.
	Requests() int

	// Inject makes the phone system answer every request from now on with the
	// fault, until another is injected; None ends it. Requests that hang are let
	// go when the fault changes.
	Inject(Fault)

	// Close ends the phone system, after the driver.
	Close()
}

// Watchable is what a Harness does besides for a driver that watches.
type Watchable interface {
	// StartCall puts an extension in a call; EndCall ends it.
	StartCall(identity.Extension)
	EndCall(identity.Extension)

	// Cut breaks the connections of those who watch, without a word.
	Cut()
}

// People is what a Harness does besides for a driver that writes extensions. Its
// phone system has more of them than a listing takes in one page.
type People interface {
	// Free returns n well-formed numbers that nothing on the phone system has. They
	// stay free until a test uses them.
	Free(n int) []identity.Extension

	// Listed is what the phone system itself has under a number, with the marker where
	// it keeps one; false if there is no extension.
	Listed(identity.Extension) (directory.Extension, bool)

	// Edit changes an extension, and Remove deletes it, as an administrator does.
	Edit(identity.Extension, func(*directory.Extension))
	Remove(identity.Extension)

	// Keep makes the phone system refuse to delete an extension.
	Keep(identity.Extension)

	// Room gives it a licence for n extensions more than it has.
	Room(n int)
}

// Books is what a Harness does besides for a driver that writes phonebooks; "" is the
// company as an owner.
type Books interface {
	// Book is what the phone system itself has in a book.
	Book(owner identity.Extension) []directory.Contact

	// Enter adds an entry as a person does, without a Source, and returns its id.
	Enter(owner identity.Extension, c directory.Contact) string
}

// Pictures is what a Harness does besides for a driver that sets photos.
type Pictures interface {
	// Photo is the extension's picture; nil if there is none.
	Photo(identity.Extension) []byte
}

// Costs is what a Harness says besides for a driver some of whose calls about extensions,
// entries, photos, dialling or its own sync are more than one request: because it has to read what it changes, or
// because what is one thing to us is several there. What it does not name is one. The calls
// are bare: an extension without department and marker, one field of one, one deletion.
type Costs interface {
	Costs() map[Call]int
}

// Call is one kind of call.
type Call string

// The calls.
const (
	ReadExtension   Call = "read an extension"
	MakeExtension   Call = "make an extension"
	ChangeExtension Call = "change an extension"
	DeleteExtension Call = "delete an extension"
	ListEntries     Call = "list a book"
	MakeEntry       Call = "make an entry"
	ChangeEntry     Call = "change an entry"
	DeleteEntry     Call = "delete an entry"
	SetPhoto        Call = "set a photo"
	DialNumber      Call = "dial a number"
	ListStatuses    Call = "list the statuses" // a page of them
	ReadSync        Call = "read the phone system's own sync"

	// These are counted otherwise.
	readStatus     Call = "read a status"
	writeStatus    Call = "write a status"
	readSeveral    Call = "read statuses of several"
	listExtensions Call = "list the extensions" // as many as there are pages
)

// Dialling is what a Harness does besides for a driver that dials.
type Dialling interface {
	// Dialled are the numbers that the phone system was made to call for an extension, in
	// order.
	Dialled(identity.Extension) []string
}

// Fault is a way for a phone system to misbehave.
type Fault string

// The faults. How each looks on the wire is the harness's matter.
const (
	None       Fault = ""
	Throttle   Fault = "throttle"    // too fast: come back after ThrottleDelay; nothing is done
	Deny       Fault = "deny"        // the credentials are good, the right is missing
	Down       Fault = "down"        // turned away: nothing is done
	Garbage    Fault = "garbage"     // the answer to a read makes no sense
	Hang       Fault = "hang"        // no answer, nothing is done
	LostAnswer Fault = "lost-answer" // done, but the answer never arrives
)

// ThrottleDelay is what the fault Throttle asks for.
const ThrottleDelay = 7 * time.Second
