package graph

import (
	"context"
	"iter"
	"time"

	"offhook.dev/libs/core/identity"
)

// MaxCalendarWindow is the longest stretch of time that a calendar view may cover.
const MaxCalendarWindow = 1825 * 24 * time.Hour

// CalendarRequest asks for what one user's primary calendar holds in [From, To).
type CalendarRequest struct {
	User     identity.User
	From, To time.Time
	// Zone is the mailbox's time zone, or nil for UTC. Only all-day events need it:
	// they are dates, which Graph shows as midnights of the zone it was asked for,
	// and which begin and end where the person lives. See MailboxZones.
	Zone *time.Location
	// Attendees asks for the people too, of whom the number alone is kept.
	Attendees bool
}

// CalendarEntry is one event or occurrence, reduced to what decides whether the
// phone may ring. What it is about, where, and with whom is not in it.
type CalendarEntry struct {
	Start, End  time.Time // UTC; Start is before End
	ShowAs      string    // "busy", "oof", ...: an open set, to be compared without case
	AllDay      bool
	Cancelled   bool
	Response    string // the person's own: "accepted", "declined", "organizer", ...
	Sensitivity string // "normal", "private", ...
	Attendees   int    // 0 if they were not asked for
}

// CalendarAnswer is what became of one CalendarRequest.
type CalendarAnswer struct {
	User    identity.User
	Entries []CalendarEntry // in no particular order
	// Dropped says, without contents, why events of the answer could not be read.
	// The others are in Entries.
	Dropped []error
	// Err is why there is no answer; Entries and Dropped are empty then.
	// fault.NotFound: the user or a mailbox for them does not exist. fault.Denied:
	// the app may not read this mailbox. fault.Throttled: later, see RetryAfter.
	Err error
}

// ZoneAnswer is one mailbox's time zone, or why it is not known: the errors are
// those of CalendarAnswer, and fault.Unsupported for a zone without a known name.
type ZoneAnswer struct {
	User identity.User
	Zone *time.Location
	Err  error
}

// CalendarReader reads calendars, many in one request.
type CalendarReader interface {
	// CalendarViews answers each request exactly once, in any order, as answers
	// arrive. One mailbox's error or pause costs that mailbox alone. Within a call
	// the users are distinct: a second request for one is fault.Invalid. Leaving the
	// loop ends what is under way; so does the end of ctx, after which the rest is
	// answered with its error.
	CalendarViews(ctx context.Context, requests []CalendarRequest) iter.Seq[CalendarAnswer]
	// MailboxZones answers for each user as CalendarViews does. It needs the
	// permission MailboxSettings.Read.
	MailboxZones(ctx context.Context, users []identity.User) iter.Seq[ZoneAnswer]
}
