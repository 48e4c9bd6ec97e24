package directory

import "offhook.dev/libs/core/identity"

// Reason is why a step is taken, or none. The list is closed: it is what logs, metrics
// and plans say.
type Reason string

// Why an extension is made, changed or taken over.
const (
	New             Reason = "new"              // the user has none
	Resumed         Reason = "resumed"          // to make it or to take it over was begun before; whether it was done is not known
	DeletedThere    Reason = "deleted-there"    // by hand, on the phone system
	Differs         Reason = "differs"          // from Microsoft's values
	ByMarker        Reason = "marker"           // the extension has the user's object id
	ByAddress       Reason = "address"          // the extension has the user's mail address or UPN
	ByConfiguration Reason = "configured"       // the configuration pairs them
	Back            Reason = "back"             // the user was away and is back
	HoldOver        Reason = "hold-over"        // nobody came back
	PutBack         Reason = "put-back"         // somebody enabled what is to be disabled
	Confirmed       Reason = "confirmed"        // what was reserved or seen is noted
	ReservationOver Reason = "reservation-over" // nothing was made of it
)

// Why a user gets no extension or loses it.
const (
	Gone            Reason = "gone"             // the account was deleted
	AccountDisabled Reason = "account-disabled" // and is nobody's who works here
	OutOfScope      Reason = "out-of-scope"     // not among those chosen
	Guest           Reason = "guest"
	Resource        Reason = "resource-mailbox" // a room, equipment or a shared mailbox
	NoName          Reason = "no-name"          // neither a first nor a last name
	Unsure          Reason = "unsure"           // what is known of the choice may be incomplete
	NumbersFull     Reason = "numbers-full"     // the range has no free number
	LicenceFull     Reason = "licence-full"     // the phone system takes no more extensions
	Same            Reason = "same"             // all is as it should be, and there is something to be told
)

// What would be a guess.
const (
	SeveralExtensions Reason = "several-extensions"  // fit the user
	SeveralUsers      Reason = "several-users"       // fit the extension, or have the same address
	OthersMarker      Reason = "others-marker"       // the extension has another user's object id
	NumberTaken       Reason = "number-taken"        // by something else, while the extension was away
	NumberOwnedTwice  Reason = "number-owned-twice"  // two records have it
	ConfiguredUnknown Reason = "configured-unknown"  // whom the configuration names is not exactly one user
	ConfiguredMissing Reason = "configured-missing"  // the configured extension is not there
	ConfiguredTwice   Reason = "configured-twice"    // the extension is configured for several users
	ConfiguredNotHere Reason = "configured-not-here" // the phone system does not serve the tenant
)

// What is wrong with a value.
const (
	Shortened       Reason = "shortened"         // longer than the phone system takes
	TooLong         Reason = "too-long"          // and of no use when it is cut, so left out
	NoDigits        Reason = "no-digits"         // a phone number without a digit
	OnlyAnExtension Reason = "only-an-extension" // "ext. 12": nothing to dial from outside
	NotANumber      Reason = "not-a-number"      // it has letters
	ExtensionCut    Reason = "extension-cut"     // "...;ext=12" as a caller id is the number before it
)

// What is wrong with a contact, or a number of one.
const (
	Shared   Reason = "shared"    // another contact has the number as well
	Blank    Reason = "blank"     // neither a name nor a number
	NoSource Reason = "no-source" // without a key it could not be found again
	Doubled  Reason = "doubled"   // it is there twice
	Twice    Reason = "twice"     // another contact says all the same
	NoPlace  Reason = "no-place"  // the phone system has none for it
)

// Problem is something about an object that a person should know; everything else goes on.
type Problem struct {
	Object string // as in plan.Change
	Field  string // "" where it is about the whole
	Reason Reason
	Detail string

	person identity.Person // whose value it is
	name   string          // what people call them
}
