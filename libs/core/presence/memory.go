package presence

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"offhook.dev/libs/core/identity"
)

// Bounds of a memory. logged and logSpan are the guarantee of the package doc,
// logMost is where a storm of facts gives way to a bounded size.
const (
	logged   = 4
	logSpan  = 2 * time.Minute
	logMost  = 32
	spansMax = 4
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
	// OwnTeams is what Offhook itself made Teams show, and when. A reading equal to
	// it says nothing about the person.
	OwnTeams []OwnTeams `json:"own_teams,omitempty"`
	Past     state      `json:"past,omitzero"` // where everything older than Log left the person
	Log      []event    `json:"log,omitempty"` // in the order of event.compare
	Gone     []Want     `json:"gone,omitempty"`
}

// OwnTeams is a status that Offhook made Teams show, after mapping.
type OwnTeams struct {
	Status Status    `json:"status"`
	From   time.Time `json:"from"`
	Until  time.Time `json:"until,omitzero"` // zero: still live
}

// line is what is remembered of a line outside the log.
type line struct {
	Line      identity.Line `json:"line"`
	Linked    bool          `json:"linked,omitempty"`
	Revision  uint64        `json:"revision,omitempty"`
	Powers    Powers        `json:"powers"`
	First     time.Time     `json:"first,omitzero"` // the first reading since linking
	Shown     shown         `json:"shown,omitzero"` // the newest reading
	DecidedOn int64         `json:"decided_on,omitempty"`
	Want      Want          `json:"want,omitzero"`
}

type shown struct {
	Status      Status    `json:"status"`
	Origin      Origin    `json:"origin"`
	SeenAt      time.Time `json:"seen_at"`
	Observation int64     `json:"observation"`
}

// span is a time of reads; the last began at To.
type span struct {
	From time.Time `json:"from"`
	To   time.Time `json:"to"`
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

func (e event) isPoll() bool {
	return e.Kind == teamsRead && e.Source != Notification && e.Sequence != ""
}

func compareLines(a, b identity.Line) int {
	return cmp.Or(strings.Compare(string(a.System), string(b.System)), strings.Compare(string(a.Extension), string(b.Extension)))
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
		slices.Equal(m.OwnTeams, o.OwnTeams) && m.Past.equal(o.Past) && slices.Equal(m.Log, o.Log) && slices.Equal(m.Gone, o.Gone)
}

func (m Memory) clone() Memory {
	m.Lines, m.Reads, m.OwnTeams = slices.Clone(m.Lines), slices.Clone(m.Reads), slices.Clone(m.OwnTeams)
	m.Past, m.Log, m.Gone = m.Past.clone(), slices.Clone(m.Log), slices.Clone(m.Gone)
	return m
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
