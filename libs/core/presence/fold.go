package presence

import (
	"cmp"
	"slices"
	"time"

	"offhook.dev/libs/core/calendar"
	"offhook.dev/libs/core/identity"
)

// fold puts the fact where it belongs. What came before, or came already, changes
// nothing.
func (m *Memory) fold(f Fact, o *Options, now time.Time) {
	switch f := f.(type) {
	case TeamsReading:
		m.foldTeams(f, now)
		m.foldRead(f.SeenAt, o, now)
	case CalendarReading:
		m.foldCalendar(f, now)
	case Sweep:
		if f.OK {
			m.foldRead(f.Began, o, now)
		} else if f.Denied {
			m.foldDenied(f.Began, now)
		}
	case StatusReading:
		m.foldStatus(f, now)
	case CallReading:
		m.foldCall(f, now)
	case TeamsWritten:
		m.foldWritten(f, now)
	case Chosen:
		m.insert(event{Kind: orderChoice, At: f.At, Line: f.Line, Status: f.Status, Until: instant(f.Until), By: f.By}, now)
	case LinksChanged:
		m.foldLinks(f, o, now)
	}
	m.shorten(o, now)
}

// pollTakes is how long a request that reads Teams may be under way.
const pollTakes = 30 * time.Second

// foldTeams logs a reading. Polls order among themselves by their sequence where
// both have one: of two polls that disagree with their times, the one of the
// lower sequence was answered from an older copy and is dropped.
func (m *Memory) foldTeams(f TeamsReading, now time.Time) {
	if f.SeenAt.IsZero() {
		return
	}
	e := event{Kind: teamsRead, At: notAfter(f.SeenAt, now), Availability: f.Availability, Activity: f.Activity,
		Source: f.Source, Sequence: f.Sequence}
	if answered := notAfter(e.At.Add(pollTakes), now); f.Source == Poll && answered.After(e.At) {
		e.Latest = answered
	}
	if slices.ContainsFunc(m.Log, e.isKnown) {
		return
	}
	e = m.afterChoice(e)
	if m.TeamsFirst.IsZero() || e.At.Before(m.TeamsFirst) {
		m.TeamsFirst = e.At
	}
	if past := m.Past.Teams; !past.SeenAt.IsZero() && !e.At.After(past.SeenAt) || e.isPoll() && e.Sequence < past.Sequence {
		return
	}
	if e.isPoll() {
		outdates := func(newer, older event) bool {
			return newer.isPoll() && older.isPoll() && newer.Sequence > older.Sequence && !newer.At.After(older.At)
		}
		if slices.ContainsFunc(m.Log, func(known event) bool { return outdates(known, e) }) {
			return
		}
		m.Log = slices.DeleteFunc(m.Log, func(known event) bool { return outdates(e, known) })
	}
	m.insert(e, now)
}

// isKnown says whether a reading of the log is e.
func (e event) isKnown(known event) bool {
	return known.Kind == teamsRead && (known.At.Equal(e.At) || known.Began.Equal(e.At)) && known.Source == e.Source &&
		known.Sequence == e.Sequence && known.Availability == e.Availability && known.Activity == e.Activity
}

// afterChoice lets a poll count as made after a choice if it was under way then, and
// Offhook changed Teams because of it: what the poll shows may be the consequence of
// the choice, and must not be what the choice is judged by. A reading that is newer
// than the begin of such a poll is newer than the poll.
func (m *Memory) afterChoice(e event) event {
	m.Log = slices.DeleteFunc(m.Log, func(known event) bool {
		return !known.Began.IsZero() && e.At.After(known.Began) && !e.At.After(known.At)
	})
	within := func(t, from time.Time) bool { return !t.Before(from) && !t.After(e.Latest) }
	began := e.At
	for _, choice := range m.Log {
		changed := func(w OwnTeams) bool { return within(w.From, choice.At) || within(w.Until, choice.At) }
		if choice.Kind != teamsRead && choice.At.After(began) && within(choice.At, began) && slices.ContainsFunc(m.OwnTeams, changed) {
			e.Began, e.At = began, choice.At.Add(1)
		}
	}
	return e
}

// foldRead notes that Teams was read at a time. A sweep tells of itself and not of those
// before it, so the time since the last read that is known was without reads only if it
// was noticed as such when it had lasted for StaleAfter.
func (m *Memory) foldRead(at time.Time, o *Options, now time.Time) {
	if at = notAfter(at, now); at.IsZero() {
		return
	}
	if n := len(m.Reads); n > 0 && !m.Reads[n-1].Noticed && at.After(m.Reads[n-1].To) {
		m.Reads[n-1].To = at
	}
	spans := append(m.Reads, span{From: at, To: at})
	slices.SortFunc(spans, func(a, b span) int { return a.From.Compare(b.From) })
	joined := spans[:1]
	for _, next := range spans[1:] {
		last := &joined[len(joined)-1]
		if next.From.After(last.To.Add(o.StaleAfter)) {
			joined = append(joined, next)
		} else if next.To.After(last.To) {
			last.To, last.Noticed = next.To, next.Noticed
		}
	}
	m.Reads = joined
	if n := len(m.Denials); n > 0 && !at.Before(m.Denials[n-1].Last) && (m.Denials[n-1].To.IsZero() || at.Before(m.Denials[n-1].To)) {
		m.Denials[n-1].To = at
	}
}

// foldDenied notes that Teams may not be read. A refusal older than a successful
// read, or than a refusal known, says nothing.
func (m *Memory) foldDenied(at time.Time, now time.Time) {
	if at = notAfter(at, now); at.IsZero() || len(m.Reads) > 0 && !at.After(m.Reads[len(m.Reads)-1].To) {
		return
	}
	if n := len(m.Denials); n == 0 || !m.Denials[n-1].To.IsZero() {
		m.Denials = append(m.Denials, denial{From: at, Last: at})
	} else if at.After(m.Denials[n-1].Last) {
		m.Denials[n-1].Last = at
	}
}

// foldCalendar puts a reading of the calendar into its place and drops from each
// reading what cannot count: intervals over before it was made, or not begun when
// the next one replaced it.
func (m *Memory) foldCalendar(f CalendarReading, now time.Time) {
	read := calendarRead{SeenAt: notAfter(f.SeenAt, now), Problem: f.Problem}
	if read.SeenAt.IsZero() || len(m.Calendars) > 0 && read.SeenAt.Before(m.Calendars[0].SeenAt) && !m.Calendars[0].SeenAt.After(m.Past.At) {
		return
	}
	for _, i := range f.Intervals {
		i.From, i.To = instant(i.From), instant(i.To)
		if i.Class = calendarClasses[classIndex(i.Class)]; !f.Problem && i.To.After(i.From) && i.To.After(read.SeenAt) {
			read.Intervals = append(read.Intervals, i)
		}
	}
	slices.SortFunc(read.Intervals, func(a, b calendar.Interval) int { return cmp.Or(a.To.Compare(b.To), compareIntervals(a, b)) })
	read.Intervals = read.Intervals[:min(len(read.Intervals), intervalsMost)]
	slices.SortFunc(read.Intervals, compareIntervals)
	read.Intervals = slices.Compact(read.Intervals)

	at, known := slices.BinarySearchFunc(m.Calendars, read.SeenAt, func(c calendarRead, t time.Time) int { return c.SeenAt.Compare(t) })
	if at+1 < len(m.Calendars) && known {
		read = read.upTo(m.Calendars[at+1].SeenAt)
	} else if at < len(m.Calendars) && !known {
		read = read.upTo(m.Calendars[at].SeenAt)
	}
	switch {
	case !known:
		m.Calendars = slices.Insert(m.Calendars, at, read)
	case m.Calendars[at].compare(read) < 0:
		m.Calendars[at] = read
	}
	if at > 0 {
		m.Calendars[at-1] = m.Calendars[at-1].upTo(read.SeenAt)
	}
}

// upTo returns c without what begins at or after end.
func (c calendarRead) upTo(end time.Time) calendarRead {
	if !slices.ContainsFunc(c.Intervals, func(i calendar.Interval) bool { return !i.From.Before(end) }) {
		return c
	}
	c.Intervals = slices.DeleteFunc(slices.Clone(c.Intervals), func(i calendar.Interval) bool { return !i.From.Before(end) })
	if len(c.Intervals) == 0 {
		c.Intervals = nil
	}
	return c
}

// foldCall keeps the newest word of a watch. Of two of one moment the one with more
// calls counts: a phone in a call is not shown as free.
func (m *Memory) foldCall(f CallReading, now time.Time) {
	if f.SeenAt.IsZero() || m.Links > 0 && m.line(f.Line) == nil {
		return
	}
	l, c := m.addLine(f.Line), call{max(0, f.Calls), instant(f.Since), notAfter(f.SeenAt, now)}
	if cmp.Or(c.SeenAt.Compare(l.Call.SeenAt), cmp.Compare(c.Calls, l.Call.Calls), c.Since.Compare(l.Call.Since)) > 0 {
		l.Call = c
	}
}

// foldWritten lets what was to end, and shows no more by the word of the writer, have
// lasted until then, and notes that what is preferred is set.
func (m *Memory) foldWritten(f TeamsWritten, now time.Time) {
	at := notAfter(f.At, now)
	for i := range m.OwnTeams {
		w := &m.OwnTeams[i]
		switch shows := w.Shows == w.of(f.Session, f.Preferred); {
		case shows && w.Preferred && w.Set.IsZero() && at.Before(w.Until):
			w.Set = at
		case !shows && !at.Before(w.Until) && at.Before(w.Lasts):
			w.Lasts = at
		}
	}
}

// foldStatus keeps the newest reading of a line and logs the choices it tells of.
func (m *Memory) foldStatus(f StatusReading, now time.Time) {
	if f.SeenAt.IsZero() || m.Links > 0 && m.line(f.Line) == nil {
		return
	}
	l := m.addLine(f.Line)
	seen := notAfter(f.SeenAt, now)
	if l.First.IsZero() || seen.Before(l.First) {
		l.First = seen
	}
	// Unset is a reading too: nothing is shown there, which is nobody's choice.
	if newest := l.Shown.SeenAt.Compare(seen); f.Status != Unset && (newest < 0 || newest == 0 && l.Shown.Observation < f.Observation) {
		l.Shown = shown{f.Status, f.Origin, seen, f.Observation}
	}
	if last := f.LastPerson; last != nil {
		shows := f.Origin == Person && f.Status == last.Status
		m.foldChoice(l, *last, shows, now)
		if shows {
			return
		}
	}
	if f.Origin == Person && f.Status != Unset {
		m.foldChoice(l, Choice{f.Status, f.Observation, seen}, true, now)
	}
}

// foldChoice logs a choice, once. shows says that it is what the reading showed.
func (m *Memory) foldChoice(l *line, c Choice, shows bool, now time.Time) {
	l.DecidedOn = max(l.DecidedOn, c.Observation)
	if past := m.Past.line(l.Line); past != nil && c.Observation <= past.Observation {
		return
	}
	e := event{Kind: phoneChoice, At: notAfter(c.At, now), Line: l.Line, Status: c.Status, Observation: c.Observation, Shows: shows}
	same := func(known event) bool {
		return known.Kind == phoneChoice && known.Line == e.Line && known.Observation == e.Observation
	}
	if i := slices.IndexFunc(m.Log, same); i >= 0 {
		known := m.Log[i]
		if e.Shows = e.Shows || known.Shows; known.At.Before(e.At) {
			e.At = known.At
		}
		m.Log = slices.Delete(m.Log, i, i+1)
	}
	m.insert(e, now)
}

// foldLinks makes f the list of links. What is no longer in it is released.
func (m *Memory) foldLinks(f LinksChanged, o *Options, now time.Time) {
	if f.Revision < m.Links {
		return
	}
	listed := func(id identity.Line) bool {
		return slices.ContainsFunc(f.Links, func(k Link) bool { return k.Line == id })
	}
	m.Gone = slices.DeleteFunc(m.Gone, func(w Want) bool { return listed(w.Line) })
	if slices.ContainsFunc(m.Lines, func(l line) bool { return !listed(l.Line) }) {
		run := m.replay(o, now)
		for i := range m.Lines {
			if l := &m.Lines[i]; !listed(l.Line) {
				if run.release(l, now); l.Want != (Want{}) {
					m.Gone = append(m.Gone, l.Want)
				}
				m.forget(l.Line)
			}
		}
		m.Lines = slices.DeleteFunc(m.Lines, func(l line) bool { return !listed(l.Line) })
	}
	m.Links = f.Revision
	for _, k := range f.Links {
		if l := m.addLine(k.Line); !l.Linked || k.Revision >= l.Revision {
			l.Linked, l.Revision, l.Powers = true, k.Revision, k.Powers
		}
	}
}

// forget drops what the log and the past hold of one line.
func (m *Memory) forget(id identity.Line) {
	m.Log = slices.DeleteFunc(m.Log, func(e event) bool { return e.Line == id })
	m.Past.Lines = slices.DeleteFunc(m.Past.Lines, func(l lineState) bool { return l.Line == id })
}

// insert puts an event into the log unless it is there.
func (m *Memory) insert(e event, now time.Time) {
	e.At = notAfter(e.At, now)
	if e.Kind == orderChoice && !e.At.After(m.Past.Ordered) {
		return
	}
	if i, found := slices.BinarySearchFunc(m.Log, e, event.compare); !found {
		m.Log = slices.Insert(m.Log, i, e)
	}
}

// shorten moves the oldest events from the log into the past, and forgets what only
// they needed: calendars that were replaced, times of reads and refusals, and what
// Offhook no longer shows.
func (m *Memory) shorten(o *Options, now time.Time) {
	n := 0
	for rest := m.Log; len(rest) > logMost || len(rest) > logged && rest[0].At.Before(rest[len(rest)-1].At.Add(-logSpan)); rest = m.Log[n:] {
		n++
	}
	past := m.cut(o, now)
	for n < len(m.Log) && !m.Log[n].At.After(past) {
		n++
	}
	if n > 0 || past.After(m.Past.At) {
		run := m.begin(o)
		for _, e := range m.Log[:n] {
			run.apply(e)
		}
		run.pass(past)
		m.Past, m.Log = run.state, slices.Delete(m.Log, 0, n)
	}
	m.Reads, m.Denials = m.Reads[max(0, len(m.Reads)-spansMax):], m.Denials[max(0, len(m.Denials)-spansMax):]
	for len(m.OwnTeams) > logMost { // what is still wanted, which is two at most, stays: it would be new to the next decision
		first := slices.IndexFunc(m.OwnTeams, func(w OwnTeams) bool { return !now.Before(w.Until) })
		m.OwnTeams = slices.Delete(m.OwnTeams, max(0, first), max(0, first)+1)
	}
	begin := m.Past.At
	if begin.IsZero() {
		return
	}
	for len(m.Calendars) > 1 && !m.Calendars[1].SeenAt.After(begin) {
		m.Calendars = slices.Delete(m.Calendars, 0, 1)
	}
	if t := m.Past.Teams; t.Waiting == masked { // what follows on what the reading may be an echo of may be as well
		begin = notAfter(begin, t.SeenAt)
	}
	m.OwnTeams = slices.DeleteFunc(m.OwnTeams, func(w OwnTeams) bool { return !w.maskedUntil().After(begin) })
}

// cut returns the moment up to which the past must reach, so that what is beyond its
// bound can be forgotten: readings of the calendar, times of reads and of refusals,
// own doings. Zero: nothing is.
func (m *Memory) cut(o *Options, now time.Time) (past time.Time) {
	reach := func(t time.Time) {
		if t.After(past) && !t.After(now) {
			past = t
		}
	}
	for rest := m.Calendars; len(rest) > logMost || len(rest) > logged && rest[1].SeenAt.Before(rest[len(rest)-1].SeenAt.Add(-logSpan)); rest = rest[1:] {
		reach(rest[1].SeenAt)
	}
	for rest := m.Reads; len(rest) > spansMax; rest = rest[1:] {
		reach(rest[0].To.Add(o.StaleAfter))
	}
	for rest := m.Denials; len(rest) > spansMax; rest = rest[1:] {
		reach(rest[0].To)
	}
	if n := len(m.OwnTeams) - ownMost; n > 0 {
		reach(m.masks()[n-1])
	}
	return past
}

// notAfter returns t, or now where t is later.
func notAfter(t, now time.Time) time.Time {
	if t = instant(t); t.After(now) {
		return now
	}
	return t
}

// instant strips zone and monotonic reading, so that == and JSON agree.
func instant(t time.Time) time.Time {
	if t.IsZero() {
		return time.Time{}
	}
	return t.Round(0).UTC()
}
