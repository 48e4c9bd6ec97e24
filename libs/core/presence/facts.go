package presence

import (
	"time"

	"offhook.dev/libs/core/calendar"
	"offhook.dev/libs/core/identity"
)

// Fact is something observed, or the passing of time: one of TeamsReading,
// CalendarReading, StatusReading, CallReading, TeamsWritten, Sweep, LinksChanged, Chosen
// and Tick.
type Fact interface{ fact() }

// Source is the way on which a Teams reading came.
type Source string

// The sources.
const (
	Poll         Source = "poll"         // read by us; SeenAt is the start of the request
	Notification Source = "notification" // sent by Graph; SeenAt is when it arrived
)

// TeamsReading is what Teams showed for the person. Availability and Activity
// are open sets and compared without case (https://learn.microsoft.com/graph/api/resources/presence).
type TeamsReading struct {
	Availability string
	Activity     string
	SeenAt       time.Time
	Source       Source
	Sequence     string // presence.sequenceNumber, sorts as a string; "" where the cloud or the notification lacks it
}

// CalendarReading is what the person's calendar held from SeenAt on: when it was
// read, and the intervals known then. What they say counts from SeenAt until the
// next reading, for at most 24 hours.
type CalendarReading struct {
	SeenAt    time.Time // the start of the request
	Intervals []calendar.Interval
	// Problem says that there is no calendar to read (no mailbox, no permission): it
	// has no opinion, and nobody waits for it.
	Problem bool
}

// Origin is the writer's word on who caused what a phone system shows (docs/design.md, invariant 4).
type Origin string

// The origins.
const (
	Ours   Origin = "ours"   // the effect of a want
	Person Origin = "person" // somebody chose it on the phone system
	Revert Origin = "revert" // our previous effect, come back with a restart of the phone system
)

// Choice is a status that a person chose on the phone system.
type Choice struct {
	Status      Status
	Observation int64     // the observation that showed it first
	At          time.Time // when that observation was made
}

// StatusReading is what a phone system showed for a line.
type StatusReading struct {
	Line        identity.Line
	Status      Status
	Origin      Origin
	SeenAt      time.Time
	Observation int64 // numbers the observations of a line, from 1
	// LastPerson is the last choice that the writer knows of, or nil. It outlives
	// the conflation of facts. Where its status is the one read, it is the choice
	// that the reading shows; without it a reading of origin Person is a choice.
	LastPerson *Choice
}

// CallReading is in how many calls a line is, by the word of a live watch.
type CallReading struct {
	Line   identity.Line
	Calls  int       // a phone that rings is in none yet
	Since  time.Time // when the first of them was seen, or when the last one had ended
	SeenAt time.Time // when the watch confirmed it; without another word a call is taken for ended ten minutes later
}

// TeamsWritten is the writer's word on what of ours Teams may show after the newest want
// was carried out. Word on an older want is not handed in: it may be out of date.
type TeamsWritten struct {
	Session   string    // "availability/activity"; "": none
	Preferred string    // "": nothing of ours
	At        time.Time // when Graph had answered the last request
}

// Sweep says that the Teams source was read for this person from Began to Ended,
// whether or not anything had changed, or (OK false) that the read failed.
type Sweep struct {
	Began, Ended time.Time
	OK           bool
	// Denied says why the read failed: nobody may read Teams here, because the
	// permission is missing or was withdrawn. It holds until a later read succeeds.
	Denied bool
}

// Link pairs the person with a line.
type Link struct {
	Line     identity.Line
	Revision uint64 // of this link; a want carries it, and a writer refuses an older one
	Powers   Powers
}

// LinksChanged lists all links of the person. A list of an older Revision than
// the one known is ignored. A line no longer listed is released once.
type LinksChanged struct {
	Revision uint64 // of the list, from 1
	Links    []Link
}

// Chosen is a status that somebody chose in Offhook: a manual claim on Line, or
// on all lines where Line is zero. Status Unset ends the claim instead.
type Chosen struct {
	Line   identity.Line
	Status Status
	At     time.Time
	Until  time.Time // zero: like a choice on the phone. With a time the claim holds until then whatever shows without it
	By     string    // who, for the explanation
}

// Tick says that time has passed, or that options changed.
type Tick struct{}

func (TeamsReading) fact()    {}
func (CalendarReading) fact() {}
func (StatusReading) fact()   {}
func (CallReading) fact()     {}
func (TeamsWritten) fact()    {}
func (Sweep) fact()           {}
func (LinksChanged) fact()    {}
func (Chosen) fact()          {}
func (Tick) fact()            {}
