package directory

import (
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
)

// View is everything that a plan for one phone system is made of. Nothing of it is
// changed, nor copied: it may not change while the Result is in use. The order of the
// lists means nothing.
type View struct {
	System identity.System
	Now    time.Time

	// Users of all tenants that the phone system serves, each once. That somebody is
	// missing proves nothing: who left is listed as Gone.
	Users []*User
	// Extensions of the phone system, everybody's, each once. One that is missing is not
	// there: who has seen a part of them plans nothing.
	Extensions []*Extension
	Records    []*Record // of this phone system, of all tenants
	// Taken are the numbers of everything else that the phone system has, such as queues,
	// and those that it refused as taken. Listed extensions need not be among them.
	Taken []identity.Extension
	// Rules by tenant. A tenant without has no steps, and its records keep their numbers.
	Rules    map[identity.Tenant]*Rules
	Explicit []Explicit

	// Writes are the fields that the phone system takes; nil: all.
	Writes []Field
	// Free is how many more extensions the phone system's licence allows; nil: nobody knows.
	Free *int

	Brake   plan.Brake
	Removed []plan.Removal // what was disabled and deleted on this phone system lately
	Force   bool           // a person confirmed what the brake holds back
}

// Explicit is a pair from the configuration, which wins over everything.
type Explicit struct {
	Tenant identity.Tenant
	User   string // an object id, UPN or mail address
	Number identity.Extension
}

// Result is what should be done.
type Result struct {
	// Notes are stored first; they change nothing on the phone system.
	Notes []Note
	// Steps in the order of persons and numbers, those that do nothing and say why as well.
	Steps []Step
	// Forgets are records to be removed when the steps are on their way, and not before:
	// a run that is cut off between them and the steps would not know what it was about.
	Forgets []Note
	// Photos to be set or removed, when there is time.
	Photos   []Photo
	Problems []Problem // in the order of persons
	Brake    plan.State
}

// SetPhoto is what was done, in outcomes, where a picture was to be set or removed.
const SetPhoto = "photo"

// Photo is a picture that is to be set, or removed where To is "".
type Photo struct {
	Person identity.Person
	Line   identity.Line
	From   string // ETag of what was last set
	To     string
}
