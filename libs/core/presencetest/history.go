package presencetest

// History is everything that truly happened to a person.
type History struct {
	Ticks     int
	Readings  []Reading  // what Teams showed, from each At on; at most one per tick, in order
	Blind     []bool     // per tick: Teams could not be read
	Denied    []bool     // per tick: nor was it allowed; nil: it always was
	Refused   []bool     // per tick: nothing could be written in Teams; nil: it always could
	Told      []bool     // per tick: what Teams showed was told by notifications, and not read; nil: never
	Calendars []Calendar // what the calendar held, from each At on; at most one per tick, in order
	Calls     []Call     // the words of a watch; at most one per line and tick, in order
	Choices   []Choice   // in order; at most one per tick
	Lines     []Line
	Rules     Rules
}

// Reading is what Teams showed from a tick on.
type Reading struct {
	At                     int
	Availability, Activity string
}

// Calendar is a reading of the calendar.
type Calendar struct {
	At      int
	Problem bool // there is none
	Spans   []Span
}

// Span is a stretch of ticks of a class of the calendar; To does not belong to it.
type Span struct {
	From, To int
	Class    string
}

// Call is in how many calls a line was.
type Call struct{ At, Line, Calls int }

// Choice is what a person chose: on the phone of Line, or in Offhook.
type Choice struct {
	At      int
	Line    int // -1: all lines (in Offhook only)
	Status  string
	Offhook bool
	Until   int  // 0: no time given
	Before  bool // what was wanted under it was decided a tick before
	After   bool // or a tick after: what it lets come out in Teams counts as there before it
}

// Line is an extension of the person.
type Line struct {
	First       int    // the tick of its first reading
	FirstStatus string // what it showed then, by a person's hand
	Rings       []string
	Writes      []string
}

// Rules is what an administrator has chosen, and the constants of docs/presence.md in
// ticks.
type Rules struct {
	Mode                 string // teams-to-pbx, also where empty; both, calendar, pbx-to-teams
	Strongest            bool   // the stronger of Teams and the calendar shows
	Absent               bool   // there is no Teams presence
	PausedFrom, PausedTo int    // Offhook is paused from one tick until before the other
	Policy               string // auto, until-cleared, ignore
	WholeUser            bool   // a choice counts on all lines
	Base                 string
	MaxAt                int // the tick at which manual_max comes round; later than Ticks: not in this history
	Damping, Keep, Stale int
	AwayDelay            int // Away counts only after as many ticks
	Wait                 int // for how long somebody of whom Teams has no opinion waits for the calendar
	CalendarFor          int // how long a reading of the calendar is believed; 0: for ever
	// The rest is about what Teams shows: how long it may echo, a call lasts without a
	// word, a preferred presence lives, and may take to show.
	Mask, CallFor, PreferredFor, VisibleIn int
}

// Teams is what must be wanted in Teams at a moment. The zero Teams is nothing, ever.
type Teams struct {
	Session, Preferred           string
	SessionUntil, PreferredUntil int
	Disowned, Released           bool
	Ever                         bool // something was wanted there
}
