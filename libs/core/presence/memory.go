package presence

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"offhook.dev/libs/core/calendar"
	"offhook.dev/libs/core/identity"
)

// Bounds of a memory. logged and logSpan are the guarantee of the package doc,
// logMost is where a storm of facts gives way to a bounded size.
const (
	logged   = 4
	logSpan  = 2 * time.Minute
	logMost  = 32
	spansMax = 4
	// ownMost bounds what is remembered of Offhook's own doings in Teams, and
	// intervalsMost a calendar: those that end first stay.
	ownMost       = 16
	intervalsMost = 256
	// goneFor is how long the release of a removed link is still listed, so that a
	// minute pass can publish it if the first attempt was lost.
	goneFor = time.Hour
)

// Memory is what is remembered of one person. It is stored as JSON; members that
// are not known are ignored. The zero Memory knows nothing.
type Memory struct {
	Mode  Mode   `json:"mode,omitempty"`  // last decided under
	Links uint64 `json:"links,omitempty"` // revision of the list of links; 0: never told
	Lines []line `json:"lines,omitempty"` // sorted
	Reads []span `json:"reads,omitempty"` // when Teams was read without a gap of StaleAfter, in order
	// TeamsFirst is when Teams was seen first; zero: never.
	TeamsFirst time.Time `json:"teams_first,omitzero"`
	Denials    []denial  `json:"denials,omitempty"` // in order, apart
	// Calendars are the readings of the calendar, in order: the newest, and older ones
	// as far back as the log needs them.
	Calendars []calendarRead `json:"calendars,omitempty"`
	// OwnTeams is what Offhook itself made Teams show, in the order of From. A reading
	// equal to it says nothing about the person.
	OwnTeams []OwnTeams `json:"own_teams,omitempty"`
	Teams    TeamsWant  `json:"teams_want,omitzero"`
	Pinned   time.Time  `json:"pinned,omitzero"` // the choice that was last preferred in Teams: its claim.Since
	Past     state      `json:"past,omitzero"`   // where everything older than Log left the person
	Log      []event    `json:"log,omitempty"`   // in the order of event.compare
	Gone     []Want     `json:"gone,omitempty"`
}

// OwnTeams is something that Offhook wanted Teams to show.
type OwnTeams struct {
	Shows     string    `json:"shows"` // "availability/activity"
	Preferred bool      `json:"preferred,omitempty"`
	From      time.Time `json:"from"`
	Until     time.Time `json:"until"` // when it ended, or ends unless it is refreshed
	// Set is when the writer had set a preferred one; zero: that is not known.
	Set time.Time `json:"set,omitzero"`
	// Lasts is until when it may show although it was to end at Until: until it runs out,
	// or until the writer said that it was cleared. Zero: no longer than Until.
	Lasts  time.Time `json:"lasts,omitzero"`
	Choice time.Time `json:"choice,omitzero"` // of a preferred one: Since of the claim that caused it
}

// maskedUntil returns when a reading cannot be the echo of w any more.
func (w OwnTeams) maskedUntil() time.Time {
	if w.Lasts.After(w.Until) {
		return w.Lasts.Add(maskFor)
	}
	return w.Until.Add(maskFor)
}

// Unsure says whether the word of Teams' writer is missing: that what was to be cleared
// there was cleared, or that what is preferred was set.
func (m Memory) Unsure(now time.Time) bool {
	return slices.ContainsFunc(m.OwnTeams, func(w OwnTeams) bool {
		if w.Shows != w.of(m.Teams.Session, m.Teams.Preferred) {
			return now.Before(w.Lasts)
		}
		return w.Preferred && w.Set.IsZero() && now.Before(w.Until)
	})
}

// of returns of what is shown that which is of w's kind.
func (w OwnTeams) of(session, preferred string) string {
	if w.Preferred {
		return preferred
	}
	return session
}

// masks returns when each of what is own cannot echo any more, in order.
func (m *Memory) masks() []time.Time {
	ends := make([]time.Time, len(m.OwnTeams))
	for i := range m.OwnTeams {
		ends[i] = m.OwnTeams[i].maskedUntil()
	}
	slices.SortFunc(ends, time.Time.Compare)
	return ends
}

// denial is a time in which nobody could read Teams for want of permission.
type denial struct {
	From time.Time `json:"from"`
	Last time.Time `json:"last"`        // the newest refusal
	To   time.Time `json:"to,omitzero"` // the read that succeeded again; zero: none yet
}

// calendarRead is a reading of the calendar, without the intervals that cannot
// count any more.
type calendarRead struct {
	SeenAt    time.Time           `json:"seen_at"`
	Problem   bool                `json:"problem,omitempty"`
	Intervals []calendar.Interval `json:"intervals,omitempty"` // never changed in place
}

// line is what is remembered of a line outside the log.
type line struct {
	Line      identity.Line `json:"line"`
	Linked    bool          `json:"linked,omitempty"`
	Revision  uint64        `json:"revision,omitempty"`
	Powers    Powers        `json:"powers"`
	First     time.Time     `json:"first,omitzero"` // the first reading since linking
	Shown     shown         `json:"shown,omitzero"` // the newest reading
	Call      call          `json:"call,omitzero"`  // the newest word on calls
	DecidedOn int64         `json:"decided_on,omitempty"`
	Want      Want          `json:"want,omitzero"`
}

type shown struct {
	Status      Status    `json:"status"`
	Origin      Origin    `json:"origin"`
	SeenAt      time.Time `json:"seen_at"`
	Observation int64     `json:"observation"`
}

// call is what a watch said about a line.
type call struct {
	Calls  int       `json:"calls,omitempty"`
	Since  time.Time `json:"since,omitzero"`
	SeenAt time.Time `json:"seen_at"`
}

// span is a time of reads; the last began at To.
type span struct {
	From    time.Time `json:"from"`
	To      time.Time `json:"to"`
	Noticed bool      `json:"noticed,omitempty"` // that no read had followed for StaleAfter
}

// kind tells the events of the log apart. The order counts: at one instant a
// choice is judged by what Teams showed then.
type kind uint8

const (
	teamsRead   kind = iota + 1
	phoneChoice      // on the phone system
	orderChoice      // in Offhook
)

// event is one entry of the log.
type event struct {
	Kind         kind          `json:"kind"`
	At           time.Time     `json:"at"`
	Availability string        `json:"availability,omitempty"`
	Activity     string        `json:"activity,omitempty"`
	Source       Source        `json:"source,omitempty"`
	Sequence     string        `json:"sequence,omitempty"`
	Latest       time.Time     `json:"latest,omitzero"` // of a poll: no later than this it was answered; zero: At
	Began        time.Time     `json:"began,omitzero"`  // of a poll that counts as made later than it began
	Line         identity.Line `json:"line,omitzero"`
	Status       Status        `json:"status,omitempty"`
	Observation  int64         `json:"observation,omitempty"`
	Shows        bool          `json:"shows,omitempty"` // a choice that a reading showed, not only told of
	Until        time.Time     `json:"until,omitzero"`
	By           string        `json:"by,omitempty"`
}

// compare orders events by time; the rest makes the order total, so that it does
// not depend on arrival.
func (e event) compare(o event) int {
	return cmp.Or(
		e.At.Compare(o.At),
		cmp.Compare(e.Kind, o.Kind),
		strings.Compare(e.Sequence, o.Sequence),
		strings.Compare(string(e.Source), string(o.Source)),
		strings.Compare(e.Availability, o.Availability),
		strings.Compare(e.Activity, o.Activity),
		compareLines(e.Line, o.Line),
		cmp.Compare(e.Observation, o.Observation),
		cmp.Compare(e.Status, o.Status),
		e.Until.Compare(o.Until),
		strings.Compare(e.By, o.By),
	)
}

// latest returns the latest moment of which a reading can tell.
func (e event) latest() time.Time {
	if e.Latest.IsZero() {
		return e.At
	}
	return e.Latest
}

func (e event) isPoll() bool {
	return e.Kind == teamsRead && e.Source != Notification && e.Sequence != ""
}

func compareLines(a, b identity.Line) int {
	return cmp.Or(strings.Compare(string(a.System), string(b.System)), strings.Compare(string(a.Extension), string(b.Extension)))
}

// Lapsed says whether an opinion of Teams has ended because nobody had read it for
// StaleAfter, and when the last read that is known began.
func (m Memory) Lapsed() (last time.Time, lapsed bool) {
	if n := len(m.Reads); n > 0 {
		return m.Reads[n-1].To, m.Reads[n-1].Noticed
	}
	return time.Time{}, false
}

// Wants lists what is wanted for each line, from memory alone: what the stream of
// wants should hold. Wants of lines that have been unlinked are listed for an hour.
func (m Memory) Wants() []Want {
	var wants []Want
	for _, l := range m.Lines {
		if l.Want != (Want{}) {
			wants = append(wants, l.Want)
		}
	}
	return append(wants, m.Gone...)
}

// equal says whether both remember the same.
func (m Memory) equal(o Memory) bool {
	return m.Mode == o.Mode && m.Links == o.Links && slices.Equal(m.Lines, o.Lines) && slices.Equal(m.Reads, o.Reads) &&
		slices.Equal(m.OwnTeams, o.OwnTeams) && m.TeamsFirst == o.TeamsFirst && slices.Equal(m.Denials, o.Denials) &&
		m.Teams == o.Teams && m.Pinned == o.Pinned && slices.EqualFunc(m.Calendars, o.Calendars, calendarRead.equal) && m.Past.equal(o.Past) && slices.Equal(m.Log, o.Log) && slices.Equal(m.Gone, o.Gone)
}

func (m Memory) clone() Memory {
	m.Lines, m.Reads, m.OwnTeams = slices.Clone(m.Lines), slices.Clone(m.Reads), slices.Clone(m.OwnTeams)
	m.Denials, m.Calendars = slices.Clone(m.Denials), slices.Clone(m.Calendars)
	m.Past, m.Log, m.Gone = m.Past.clone(), slices.Clone(m.Log), slices.Clone(m.Gone)
	return m
}

func (c calendarRead) equal(o calendarRead) bool { return c.compare(o) == 0 }

// compare orders readings by time; the rest makes the order total.
func (c calendarRead) compare(o calendarRead) int {
	problem := func(c calendarRead) int {
		if c.Problem {
			return 1
		}
		return 0
	}
	return cmp.Or(c.SeenAt.Compare(o.SeenAt), cmp.Compare(problem(c), problem(o)), slices.CompareFunc(c.Intervals, o.Intervals, compareIntervals))
}

func compareIntervals(a, b calendar.Interval) int {
	return cmp.Or(a.From.Compare(b.From), cmp.Compare(classIndex(a.Class), classIndex(b.Class)), a.To.Compare(b.To))
}

// line returns the remembered line, or nil.
func (m *Memory) line(id identity.Line) *line {
	i, found := slices.BinarySearchFunc(m.Lines, id, func(l line, id identity.Line) int { return compareLines(l.Line, id) })
	if !found {
		return nil
	}
	return &m.Lines[i]
}

func (m *Memory) addLine(id identity.Line) *line {
	if l := m.line(id); l != nil {
		return l
	}
	m.Lines = append(m.Lines, line{Line: id})
	slices.SortFunc(m.Lines, func(a, b line) int { return compareLines(a.Line, b.Line) })
	return m.line(id)
}
