package presencetest

import (
	"math/rand/v2"
	"slices"
	"strings"
	"time"
)

// Tick is what a tick of a Life is.
const Tick = 5 * time.Second

// Bound is how many ticks after a person did something everything must be right: one
// sweep of 10 s, and 10 s.
const Bound = 4

// late is by how many ticks what a person did may be seen late: what is left of Bound
// when a phone has waited out the damping.
const late = Bound - 1

// Kind says what happened.
type Kind uint8

// The kinds of events.
const (
	Shows    Kind = iota + 1 // the person's own Teams shows Says by itself; "": it is closed
	Prefers                  // the person prefers Says in Teams; "": nothing any more
	Chooses                  // the person chooses Says on the phone of Line
	Talks                    // the phone of Line is in Calls calls
	Boundary                 // a meeting begins or ends, manual_max comes round, or Graph writes again
)

// Event is something that happens in a Life.
type Event struct {
	At    int
	Kind  Kind
	Line  int
	Says  string
	Calls int
}

// source is what tells of an event. What it tells is what holds, so its events are seen
// in the order in which they happen: one that is late hides those before it.
func (e Event) source() Event {
	if e.Kind == Shows || e.Kind == Prefers {
		return Event{Kind: e.Kind}
	}
	return Event{Kind: e.Kind, Line: e.Line}
}

// Life is what truly happens to somebody whose Teams and phones act on each other
// through Offhook. It begins quietly: Teams and phones show available.
type Life struct {
	Ticks    int
	Rules    Rules
	Lines    []Line
	Meetings []Span
	Refused  []Span  // Graph refuses to write what is wanted then
	Hidden   []Span  // nobody gets to read what Teams shows then
	Events   []Event // in order
}

// settled is how long a Life is quiet at its begin and its end.
const settled = 8

// RandomLife is a life of a number of events, in a mode, with lines of the powers
// given. Events come one after the other, seldom two within seconds, and now and then
// after a pause in which whatever is masked comes out.
func RandomLife(r *rand.Rand, events int, mode string, lines ...Line) Life {
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	l := Life{Lines: lines, Rules: Rules{
		Mode: mode, Strongest: r.IntN(4) == 0, Policy: pick("auto", "auto", "auto", "until-cleared", "ignore"), WholeUser: r.IntN(4) == 0,
		Base: "available", Damping: 1, Keep: 120, Stale: 180, Wait: 24, CalendarFor: 17_280,
		Mask: 18, CallFor: 120, PreferredFor: 1_440, VisibleIn: 24,
	}}
	night := -1
	if r.IntN(3) == 0 {
		night = r.IntN(events)
	}
	at, burst := settled, false
	for n := range events {
		e := l.event(r)
		if n == night {
			e, l.Rules.MaxAt = Event{Kind: Boundary, Says: "manual_max"}, at
		}
		if e.At = at; e.Kind == Boundary && n != night {
			l.boundary(r, at)
		}
		l.Events = append(l.Events, e)
		switch next := r.IntN(100); {
		case next < 15 && !burst:
			at += 1 + r.IntN(2)
			burst = true
			continue
		case next < 23:
			at += 20 + r.IntN(15)
		default:
			at += Bound + 1 + r.IntN(6)
		}
		burst = false
	}
	l.Ticks = at + settled
	for i := range l.Meetings {
		if l.Meetings[i].To == 0 {
			l.Meetings[i].To = l.Ticks + 1
		}
	}
	if night < 0 {
		l.Rules.MaxAt = l.Ticks + 1
	}
	return l
}

// event is a random one of those that matter in the life's mode.
func (l *Life) event(r *rand.Rand) Event {
	pick := func(of ...string) string { return of[r.IntN(len(of))] }
	shares := map[string][5]int{ // of Shows, Prefers, Chooses, Talks, the rest is Boundary
		"teams-to-pbx": {50, 0, 30, 0}, "both": {30, 10, 25, 20}, "calendar": {0, 0, 50, 0}, "pbx-to-teams": {15, 10, 35, 40},
	}[l.Rules.Mode]
	e := Event{Line: r.IntN(len(l.Lines))}
	dice := r.IntN(100)
	for i, share := range shares {
		if dice -= share; dice < 0 {
			e.Kind = Shows + Kind(i)
			break
		}
	}
	switch e.Kind {
	case Shows:
		e.Says = pick("Available/Available", "Busy/InAMeeting", "Busy/InACall", "Away/Away", "DoNotDisturb/Presenting", "")
	case Prefers:
		e.Says = pick("", "Available/Available", "Busy/Busy", "Away/Away")
	case Chooses:
		writes := l.Lines[0].Writes
		for _, line := range l.Lines {
			if len(line.Writes) < len(writes) {
				writes = line.Writes
			}
		}
		e.Says = pick(append([]string{"available", "available"}, writes...)...)
	case Talks:
		e.Calls = r.IntN(3)
	default:
		e.Kind = Boundary
	}
	return e
}

// boundary begins a meeting or ends one.
func (l *Life) boundary(r *rand.Rand, at int) {
	open := slices.IndexFunc(l.Meetings, func(s Span) bool { return s.To == 0 })
	if open >= 0 && r.IntN(3) > 0 {
		l.Meetings[open].To = at
		return
	}
	class := []string{"busy", "busy", "oof", "workingElsewhere", "tentative"}[r.IntN(5)]
	l.Meetings = append(l.Meetings, Span{From: at, Class: class})
}

// Refuse lets Graph refuse to write for a while, up to n times. What was shown in Teams
// before does not run out meanwhile: there is time between two refusals to write it again.
func (l *Life) Refuse(r *rand.Rand, n int) {
	for range r.IntN(n + 1) {
		s := Span{From: r.IntN(l.Ticks)}
		s.To = min(s.From+12+r.IntN(48), l.Ticks)
		if slices.ContainsFunc(l.Refused, func(o Span) bool { return s.From < o.To+settled && o.From < s.To+settled }) {
			continue
		}
		l.Refused = append(l.Refused, s)
		l.Events = append(l.Events, Event{At: s.To, Kind: Boundary, Says: writesAgain})
	}
	slices.SortStableFunc(l.Events, func(a, b Event) int { return a.At - b.At })
}

// writesAgain is what a boundary says at which Graph refuses no longer.
const writesAgain = "Graph"

func (e Event) writesAgain() bool { return e.Kind == Boundary && e.Says == writesAgain }

// RefusedUntil returns when Graph writes again what is wanted at a tick: then, if it
// does not refuse.
func (l *Life) RefusedUntil(tick int) int {
	for _, s := range l.Refused {
		if s.From <= tick && tick < s.To {
			return l.RefusedUntil(s.To)
		}
	}
	return tick
}

// Seen is what was seen of a life from outside: at the end of each tick what each
// phone and Teams showed, and every write.
type Seen struct {
	Lines [][]string
	Teams []string
	// Skipped says of events that they did not happen: nobody chooses what shows.
	Skipped []bool
	// Missed says of choices that no reading has shown them to be a person's: another
	// status came over them before they were read, or they undid a write whose end was
	// not known. Nil: that is not known, and may be of any choice near to another event.
	Missed []bool
	Writes []Write
	// Stale are the ticks at which a notification was believed that told what was over:
	// Graph had delivered two in the wrong order. The next sweep finds out.
	Stale []int
}

// Write is a request that changed what a target showed, refreshes apart.
type Write struct {
	At     int
	Target string // "line 0", "session", "preferred"
}

// NewSeen is a Seen of a life of which nothing is noted yet.
func NewSeen(l Life) Seen {
	s := Seen{Lines: make([][]string, len(l.Lines)), Teams: make([]string, l.Ticks), Skipped: make([]bool, len(l.Events))}
	for i := range s.Lines {
		s.Lines[i] = make([]string, l.Ticks)
	}
	return s
}

// world is one way in which a life can have been seen: of each event, how many ticks
// late, or never; or blind and for how many ticks, in which nobody sees what Teams
// shows; or again and how many ticks later what it made Teams show is believed once
// more; or first and how many ticks late, and what it makes Teams show is read before
// what is wanted there is written; or swift, so that what it leads to in Teams is written
// and read before the tick is over. That is as if it had been seen a tick early. Or ahead:
// it comes before a mask that ends in the same tick, and what it leads to in Teams is
// written and read as late as else. That Graph writes again can be swift or ahead, too: then
// what was wanted all the while is written before whatever else happens in that tick, and read
// before it or after it. Or told: a notification told of it, and it was read some ticks later,
// if it still showed then. Or earlier: somebody chose before what was read in the same tick,
// or before a mask ended in it, and what that leads to in Teams is written after it. Or it
// reveals: the choice ends what Offhook preferred, and what comes out is read by a request
// that began before the choice, so that it counts as there before it, as it was.
type world struct {
	l        Life
	late     []int
	lines    [][]string
	teams    []Teams
	opinions []string
	shown    []string
}

const (
	never   = -1
	blind   = 10
	again   = 20
	first   = 30
	swift   = 40
	ahead   = 41
	earlier = 42
	reveals = 43
	told    = 50 // and 10 for each tick that the notification was late
)

// isEarly says whether an event is seen as if that had been a tick before.
func isEarly(lateness int) bool { return lateness == swift || lateness == ahead }

// when returns when an event is seen that happened at a tick and is as late as that.
func when(tick, lateness int) int {
	switch {
	case lateness >= told:
		return tick + (lateness-told)/10
	case isEarly(lateness):
		return max(tick-1, 0)
	case lateness == earlier, lateness == reveals:
		return tick
	}
	for _, kind := range []int{first, again, blind} {
		if lateness >= kind {
			return tick + lateness - kind
		}
	}
	return tick + lateness
}

// play lets the oracle fill its table for a world.
func (l Life) play(lateness []int) world {
	w := world{l: l, late: lateness}
	type seen struct {
		Event
		first   bool // it is read before what is wanted is written
		earlier bool
		reveals bool
	}
	var events []seen
	sees := 0 // the tick from which on Teams is seen again
	blinded := slices.Clone(l.Hidden)
	repeated := map[int]int{} // the tick whose reading is believed again, by when
	h := History{Ticks: l.Ticks, Blind: make([]bool, l.Ticks), Told: make([]bool, l.Ticks), Lines: l.Lines, Rules: l.Rules, Calendars: []Calendar{{At: 0, Spans: l.Meetings}}}
	newest := map[Event]int{} // when the newest event of a source is seen
	for i, e := range l.Events {
		switch how := lateness[i]; {
		case how == never:
			continue
		case how == ahead && e.writesAgain():
			blinded = append(blinded, Span{From: e.At, To: e.At + 1})
		case how >= told:
			e.At = when(e.At, how)
			for tick := e.At; tick < min(e.At+(how-told)%10, l.Ticks); tick++ {
				h.Told[tick] = true
			}
		case how >= first, how < blind:
			e.At = when(e.At, how)
		case how >= again:
			repeated[when(e.At, how)] = e.At
		default:
			blinded = append(blinded, Span{From: e.At, To: when(e.At, how)})
		}
		if e.Kind != Boundary {
			e.At = max(e.At, newest[e.source()])
			newest[e.source()] = e.At
			events = append(events, seen{e, lateness[i] >= first && lateness[i] < swift, lateness[i] == earlier, lateness[i] == reveals})
		}
	}
	slices.SortStableFunc(events, func(a, b seen) int { return a.At - b.At })
	slices.SortStableFunc(blinded, func(a, b Span) int { return a.From - b.From })
	talking := make([]int, len(l.Lines)) // the place of each line's last word
	for i := range talking {
		talking[i] = -1
	}
	confirm := func(line, until int) {
		if last := talking[line]; last >= 0 && h.Calls[last].Calls > 0 {
			for at := h.Calls[last].At + 48; at < until; at += 48 {
				h.Calls = append(h.Calls, Call{At: at, Line: line, Calls: h.Calls[last].Calls})
			}
		}
	}
	for _, e := range events {
		switch e.Kind {
		case Chooses:
			h.Choices = append(h.Choices, Choice{At: e.At, Line: e.Line, Status: e.Says, Before: e.earlier, After: e.reveals})
		case Talks:
			confirm(e.Line, e.At)
			talking[e.Line] = len(h.Calls)
			h.Calls = append(h.Calls, Call{At: e.At, Line: e.Line, Calls: e.Calls})
		}
	}
	for line := range l.Lines {
		confirm(line, l.Ticks)
	}
	h.Refused = l.refused(lateness)
	slices.SortStableFunc(h.Calls, func(a, b Call) int { return a.At - b.At })
	side := Side{Client: "Available/Available"}
	reading := pair(side.Client)
	w.lines, w.teams, w.opinions = Closed(h, func(now int, wanted Teams) Reading {
		before := ""
		for len(events) > 0 && events[0].At <= now && events[0].first {
			side.Do(events[0].Event)
			events, before = events[1:], side.Shows()
		}
		if side.runOut(now); now > 0 && !h.Refused[now-1] {
			side.write(wanted)
		}
		for len(events) > 0 && events[0].At <= now {
			side.Do(events[0].Event)
			events = events[1:]
		}
		w.shown = append(w.shown, side.Shows())
		if before != "" {
			return pair(before)
		}
		for len(blinded) > 0 && blinded[0].From <= now {
			sees = max(sees, blinded[0].To)
			blinded = blinded[1:]
		}
		if now >= sees {
			reading = pair(side.Shows())
		}
		if then, ok := repeated[now]; ok {
			return pair(w.shown[then])
		}
		return reading
	})
	return w
}

// refused says at which ticks nothing is written in Teams.
func (l Life) refused(lateness []int) []bool {
	refused := make([]bool, l.Ticks)
	for tick := range refused {
		refused[tick] = l.RefusedUntil(tick) > tick
	}
	for i, e := range l.Events {
		switch {
		case isEarly(lateness[i]) && e.writesAgain():
			refused[when(e.At, swift)] = false
		case lateness[i] == ahead:
			refused[when(e.At, ahead)] = true
		}
	}
	return refused
}

// Side is what makes Teams show what it does.
type Side struct {
	Client    string // the person's own Teams; "": closed
	Preferred string // by whomever
	Session   string // of the application
	until     int    // of an own preferred presence
	asked     Teams  // what is own and not disowned
}

// Do lets a person do something in Teams.
func (s *Side) Do(e Event) {
	switch e.Kind {
	case Shows:
		s.Client = e.Says
	case Prefers:
		s.Preferred, s.until = e.Says, 0
	}
}

// Shows is Graph's precedence: what is preferred, and else the busiest session.
// Nothing is preferred where there is no session.
func (s *Side) Shows() string {
	switch {
	case s.Client == "" && s.Session == "":
		return "Offline/Offline"
	case s.Preferred != "":
		return s.Preferred
	case rank(s.Session) > rank(s.Client):
		return s.Session
	}
	return s.Client
}

// Explains says whether what shows leaves room for an own preferred presence: it is of
// the same availability, or the own session, or nobody is signed in. Anything else is
// the person's, and not cleared.
func (s *Side) Explains(ours string) bool {
	shows := s.Shows()
	return strings.EqualFold(pair(ours).Availability, pair(shows).Availability) || s.Session != "" && shows == s.Session || shows == "Offline/Offline"
}

func rank(show string) int {
	availability, _, _ := strings.Cut(show, "/")
	return slices.Index([]string{"Away", "Available", "Busy", "DoNotDisturb"}, availability)
}

// runOut ends what has run out by itself.
func (s *Side) runOut(now int) {
	if s.until > 0 && now >= s.until {
		s.Preferred, s.until = "", 0
	}
}

// write does what is wanted.
func (s *Side) write(w Teams) {
	s.Session = w.Session
	switch {
	case w.Disowned:
		s.asked = Teams{}
	case w.Preferred == "" && s.asked.Preferred != "":
		if s.Explains(s.asked.Preferred) {
			s.Preferred, s.until = "", 0
		}
		s.asked = Teams{}
	case w.Preferred != "" && (s.asked.Preferred != w.Preferred || s.asked.PreferredUntil != w.PreferredUntil):
		s.Preferred, s.until, s.asked = w.Preferred, w.PreferredUntil, w
	}
}
