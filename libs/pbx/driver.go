package pbx

import (
	"context"
	"errors"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
)

// Driver speaks to one phone system. All methods may be called at the same time.
//
// Every error is classified (fault.KindOf), and its kind is a promise:
//
//	Unavailable  nothing was changed: the request never arrived or was turned away
//	Throttled    nothing was changed; fault.RetryAfter if the phone system said when
//	Timeout      no usable answer: a write may or may not have happened
//	NotFound     the phone system answered, and there is no such extension (or contact)
//	Conflict     the number is taken
//	Unsupported  never sent: beyond the declared powers
//	Denied       a person must act: credentials, rights, licence, certificate
//	Invalid      the phone system understood and refused the request as wrong
//	Cancelled    the context was cancelled
//
// A call sends one request, or as many as it has pages; a driver may add what the
// protocol needs to get there (sign in, look up an id) but never repeats itself in
// the hope of a better answer.
type Driver interface {
	// Capabilities says what this phone system can do. The answer is settled when
	// the driver is made and never changes.
	Capabilities() Capabilities

	// Status reads what an extension shows: presence.Unset if that is none of the
	// five statuses, NotFound if there is no such extension.
	Status(ctx context.Context, ext identity.Extension) (presence.Status, error)

	// Statuses calls yield once for each extension, page by page, in no promised
	// order. No request is in flight while yield runs. An error from yield ends
	// the listing and is returned as it is. An extension that is created or deleted
	// during the listing may be missing or present; its absence proves nothing.
	Statuses(ctx context.Context, yield func(identity.Extension, presence.Status) error) error

	// SetStatus makes an extension show s. Twice is once. A status outside
	// Capabilities().Powers.Write is Unsupported and never sent. Writes to one
	// extension at the same time have no order: its caller sends one after another.
	SetStatus(ctx context.Context, ext identity.Extension, s presence.Status) error

	// Close ends connections and goroutines. Twice is once; calls after it fail.
	Close() error
}

// Capabilities is what one phone system can do, found out once, when its driver
// is made. The flags say which optional interfaces the driver implements; the
// suite holds both to each other.
type Capabilities struct {
	Powers     presence.Powers `json:"powers"`
	Version    string          `json:"version,omitempty"`  // the vendor's, "" if unknown
	Extensions bool            `json:"extensions"`         // implements Extensions
	Writer     WriterPowers    `json:"writer"`             // implements ExtensionWriter if any
	Phonebook  PhonebookPowers `json:"phonebook"`          // implements Phonebook if any
	Photo      PhotoPowers     `json:"photo"`              // implements Photos if any
	NativeSync bool            `json:"native_sync"`        // implements NativeSync
	Dial       bool            `json:"dial"`               // implements Dialer
	Several    int             `json:"several"`            // implements Several, for so many extensions at a time; 0: it does not
	Watch      WatchPowers     `json:"watch"`              // implements Watcher if any
	NoWatch    string          `json:"no_watch,omitempty"` // why it does not, where this kind of phone system could
	// Volatile: an extension shows nothing (Unset) until a status is published for
	// it, and again once that is forgotten. Elsewhere Unset is a status of the phone
	// system's own, which only a person sets.
	Volatile bool `json:"volatile"`
	// Parts: a status is kept in several places, of which a reading tells some (the lamps
	// of an Asterisk). A write without an answer may have been done by half also where it
	// shows, so it has to be made again.
	Parts bool `json:"parts"`
}

// NativeSync is the power to see whether the phone system synchronises with
// Microsoft 365 by itself. Two masters would fight, so Offhook does not write what
// such a system writes too unless the administrator says so: SyncState.Statuses,
// Extensions and Books say which writes that concerns. Duty of the caller: ask before
// the first write of each.
type NativeSync interface {
	NativeSync(ctx context.Context) (SyncState, error)
}

// SyncState says which parts of the vendor's own Microsoft 365 sync are on.
type SyncState struct {
	Users     bool `json:"users"`     // creates and updates extensions
	Contacts  bool `json:"contacts"`  // personal contacts
	Mailboxes bool `json:"mailboxes"` // contacts of shared mailboxes
	Photos    bool `json:"photos"`
	Calendar  bool `json:"calendar"` // sets statuses from calendars
	Presence  bool `json:"presence"` // sets statuses from Teams, or Teams from statuses
}

// Statuses says whether the vendor's sync sets statuses, as Offhook would.
func (s SyncState) Statuses() bool { return s.Calendar || s.Presence }

// Extensions says whether the vendor's sync makes and changes extensions, as Offhook
// would.
func (s SyncState) Extensions() bool { return s.Users }

// Books says whether the vendor's sync fills phonebooks, personal ones or the
// company's, as Offhook would.
func (s SyncState) Books() bool { return s.Contacts || s.Mailboxes }

// Any says whether any part is on.
func (s SyncState) Any() bool { return s != SyncState{} }

// Causes that drivers add to an error (errors.Is) where a person who reads it
// needs to know more than its kind.
var (
	// ErrLicence: the phone system's licence does not include its interface.
	ErrLicence = errors.New("the licence of the phone system does not allow this")
	// ErrLicenceFull: as many extensions as the licence allows exist already. It is
	// Denied: no other extension can be made either until a person acts.
	ErrLicenceFull = errors.New("the licence of the phone system allows no more extensions")
	// ErrRefused: the connection was refused or cut before any answer. The phone
	// system is down, or its firewall or block list has our address.
	ErrRefused = errors.New("the phone system refuses connections: it is down, or it blocks this address")
)
