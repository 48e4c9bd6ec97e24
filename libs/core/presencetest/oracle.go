package presencetest

import (
	"slices"
	"strings"
)

// Expected returns, for each line and tick, the status that must be wanted; "" is
// nothing.
func Expected(h History) [][]string {
	lines, _ := Everything(h)
	return lines
}

// Held returns, for each tick, whether what is wanted is what was wanted before:
// nothing can be decided yet, or Offhook is paused. What that was depends on what was
// known in time.
func Held(h History) []bool {
	t := &table{History: h, meant: map[[2]string]string{}}
	held := make([]bool, h.Ticks)
	for now := range h.Ticks {
		t.listen(now)
		held[now] = t.undecided(now) || t.paused(now)
	}
	return held
}

// Everything returns what Expected does, and what must be wanted in Teams at each tick.
func Everything(h History) (lines [][]string, teams []Teams) {
	t := newTable(h)
	for now := range h.Ticks {
		t.fill(now)
	}
	return t.wanted, t.shown
}

func newTable(h History) *table {
	return &table{History: h, meant: map[[2]string]string{}, u: make([][]string, len(h.Lines)), wanted: make([][]string, len(h.Lines)),
		ringing: make([]int, len(h.Lines)), lost: make(map[int]int)}
}

// meaning is docs/presence.md: a status, "release" or "keep".
func meaning(r Reading) string {
	availability, activity := strings.ToLower(r.Availability), strings.ToLower(r.Activity)
	newer := []string{"inacall", "inaconferencecall", "inameeting", "presenting", "focusing", "urgentinterruptionsonly"}
	switch {
	case availability == "available" && activity == "outofoffice", availability == "offline", availability == "offwork":
		return "release"
	case availability == "available", availability == "availableidle":
		return "available"
	case slices.Contains([]string{"busy", "busyidle", "donotdisturb"}, availability), slices.Contains(newer, availability):
		return "dnd"
	case availability == "away", availability == "berightback":
		return "away"
	case slices.Contains(newer, activity):
		return "dnd"
	}
	return "keep"
}

// meaning is meaning of a reading, looked up once.
func (t *table) meaning(r Reading) string {
	key := [2]string{r.Availability, r.Activity}
	says, known := t.meant[key]
	if !known {
		says = meaning(r)
		t.meant[key] = says
	}
	return says
}

// table is filled from left to right, a tick at a time.
type table struct {
	History
	meant   map[[2]string]string
	opinion []string   // of Teams, readable or not; "": none
	masked  []bool     // Teams shows what Offhook wrote
	u       [][]string // U of docs/presence.md per line: damped and projected; "" before anything could be decided
	ringing []int      // per line: for how many ticks in a row ringing was wanted
	wanted  [][]string
	lost    map[int]int // the tick of a choice -> the tick at which the person replaced in Teams what it had caused
	owns    []own
	shown   []Teams
}

func (t *table) mode() string {
	if t.Rules.Mode == "" {
		return "teams-to-pbx"
	}
	return t.Rules.Mode
}

func (t *table) paused(now int) bool { return t.Rules.PausedFrom <= now && now < t.Rules.PausedTo }

// fill decides one tick.
func (t *table) fill(now int) {
	t.pinned(now)
	t.listen(now)
	for i, line := range t.Lines {
		t.u[i] = append(t.u[i], t.sources(i, line, now))
	}
	for i, line := range t.Lines {
		t.wanted[i] = append(t.wanted[i], t.want(i, line, now))
	}
	t.shown = append(t.shown, t.show(now))
	t.written(now)
}

// reading returns the newest reading, and its place.
func (t *table) reading(now int) (Reading, int) {
	n := countUntil(t.Readings, now)
	if n == 0 {
		return Reading{}, -1
	}
	return t.Readings[n-1], n - 1
}

// listen takes down Teams' opinion.
func (t *table) listen(now int) {
	last, n := t.reading(now)
	opinion := ""
	if now > 0 {
		opinion = t.opinion[now-1]
	}
	masked := false
	if n >= 0 {
		says := t.meaning(last)
		began := n // the reading with which Teams began to mean this
		for began > 0 && t.meaning(t.Readings[began-1]) == says {
			began--
		}
		stood := now - t.Readings[began].At
		masked = t.echoes(last, now, nil)
		switch {
		case masked, says == "keep" && stood < t.Rules.Keep, says == "away" && stood < t.Rules.AwayDelay:
		case says == "keep", says == "release":
			opinion = ""
		default:
			opinion = says
		}
	}
	t.opinion, t.masked = append(t.opinion, opinion), append(t.masked, masked)
}

func pair(s string) Reading {
	availability, activity, _ := strings.Cut(s, "/")
	return Reading{Availability: availability, Activity: activity}
}

// heard returns what Teams wants at a tick, where it is a source and can be read.
func (t *table) heard(now int) string {
	last, n := t.reading(now)
	if n < 0 || t.calendarOnly() || t.standsIn(now) || !t.readable(now, last.At) {
		return ""
	}
	return t.opinion[now]
}

func (t *table) calendarOnly() bool { return t.mode() == "calendar" }

// denied says whether the newest attempt to read Teams was refused.
func (t *table) denied(now int) bool {
	for ; t.Denied != nil && now >= 0; now-- {
		if t.Denied[now] {
			return true
		}
		if !t.Blind[now] {
			return false
		}
	}
	return false
}

// standsIn says whether the calendar stands in for Teams.
func (t *table) standsIn(now int) bool { return !t.calendarOnly() && (t.Rules.Absent || t.denied(now)) }

// noted returns what the calendar wants, and whether it was ever read.
func (t *table) noted(now int) (says string, read bool) {
	var newest Calendar
	for _, c := range t.Calendars {
		if c.At <= now {
			newest, read = c, true
		}
	}
	if !read || newest.Problem || t.Rules.CalendarFor > 0 && now >= newest.At+t.Rules.CalendarFor {
		return "", read
	}
	for _, s := range newest.Spans {
		if s.From <= now && now < s.To {
			switch s.Class {
			case "oof":
				return "away", true
			case "busy", "workingElsewhere":
				says = "dnd"
			}
		}
	}
	return says, true
}

// undecided says whether a source must be read first.
func (t *table) undecided(now int) bool {
	_, noted := t.noted(now)
	since := 0
	switch {
	case t.calendarOnly():
		return !noted
	case t.standsIn(now):
		first := t.Ticks
		for _, l := range t.Lines {
			first = min(first, l.First)
		}
		if since = first; t.denied(now) && !t.Rules.Absent {
			began := now
			for began > 0 && t.denied(began-1) {
				began--
			}
			since = max(since, began)
		}
	case countUntil(t.Readings, now) == 0:
		return true
	case t.heard(now) != "":
		return false
	default:
		since = t.Readings[0].At
	}
	return !noted && now < since+t.Rules.Wait
}

// raw is what the sources want on a line, before damping.
func (t *table) raw(line Line, now int) string {
	teams := t.heard(now)
	noted, _ := t.noted(now)
	strong := []string{"", "available", "lunch", "business-trip", "away", "dnd"}
	switch {
	case teams == "" && noted == "":
		return line.possible(t.Rules.Base)
	case teams == "",
		noted != "" && t.masked[now] && line.rings(line.possible(teams)),
		noted != "" && t.Rules.Strongest && slices.Index(strong, noted) > slices.Index(strong, teams):
		return line.possible(noted)
	}
	return line.possible(teams)
}

// sources returns U with damping: a status that rings replaces one that does not only
// when something that rings has been wanted for Damping ticks. While nothing can be
// decided U stays.
func (t *table) sources(index int, line Line, now int) string {
	if t.mode() == "pbx-to-teams" {
		return "available"
	}
	before := ""
	if now > 0 {
		before = t.u[index][now-1]
		// What was wanted under a choice that ends in Teams is as old as the choice.
		if p, chosen := t.lastChoice(index, now-1); chosen && t.lost[p.At] == now {
			if _, lives, _ := t.holds(line, p, now-1, t.u[index]); lives {
				before = ""
			}
		}
	}
	if t.undecided(now) {
		t.ringing[index] = 0
		return before
	}
	u := t.raw(line, now)
	rings, stood := line.rings(u), t.ringing[index]
	if t.ringing[index]++; !rings {
		t.ringing[index] = 0
	}
	if before != "" && rings && !line.rings(before) && stood < t.Rules.Damping {
		return before
	}
	return u
}

// heldBack says whether U shows only because something that rings has not been wanted
// for long enough.
func (t *table) heldBack(line Line, now int, u string) bool {
	return !t.undecided(now) && !line.rings(u) && line.rings(t.raw(line, now))
}

// want returns what a line must show.
func (t *table) want(index int, line Line, now int) string {
	before := ""
	if now > 0 {
		before = t.wanted[index][now-1]
	}
	p, chosen := t.lastChoice(index, now)
	switch {
	case t.mode() == "pbx-to-teams":
		return ""
	case t.paused(now):
		return t.release(index, line, now, before)
	case now < line.First:
		return ""
	case t.undecided(now):
		return before
	}
	if chosen {
		if status, lives, shows := t.holds(line, p, now, t.u[index]); lives && shows {
			return status
		}
	}
	return t.u[index][now]
}

// release is what is wanted in a pause: what remains without Offhook, decided as it
// begins; nothing where nothing was wanted, or what a person chose and sees.
func (t *table) release(index int, line Line, now int, before string) string {
	if now > t.Rules.PausedFrom || before == "" {
		return before
	}
	showing := line.FirstStatus
	for _, c := range t.Choices {
		if c.Line == index && !c.Offhook && c.At <= now && c.At > line.First {
			showing = c.Status
		}
	}
	if showing == before {
		return ""
	}
	if p, chosen := t.lastChoice(index, now); chosen {
		if status, lives, _ := t.holds(line, p, now, t.u[index]); lives {
			return line.possible(status)
		}
	}
	return line.possible(t.Rules.Base)
}

// readable says whether Teams was read in the Stale ticks up to now. It is read at
// every tick that is not blind, and when it sent the last reading.
func (t *table) readable(now, last int) bool {
	for back := now; back > now-t.Rules.Stale && back >= 0; back-- {
		if !t.Blind[back] && back >= t.Readings[0].At || back == last {
			return true
		}
	}
	return false
}

func countUntil(readings []Reading, t int) int {
	n := 0
	for n < len(readings) && readings[n].At <= t {
		n++
	}
	return n
}

func (l Line) rings(status string) bool { return slices.Contains(l.Rings, status) }

// possible is the projection of docs/presence.md.
func (l Line) possible(status string) string {
	if slices.Contains(l.Writes, status) {
		return status
	}
	return "available"
}

// choice is a Choice as one line has it.
type choice struct {
	Choice
	first bool // what showed when the line was linked
	own   bool // on this line's phone
}

// lastChoice returns what a person last chose that counts for the line at t.
func (h *table) lastChoice(index, t int) (last choice, found bool) {
	line := h.Lines[index]
	ignored := h.Rules.Policy == "ignore"
	for i := len(h.Choices) - 1; i >= 0; i-- { // the newest first
		c := &h.Choices[i]
		own := c.Line == index
		counts := own || c.Line == -1 || h.Rules.WholeUser
		if c.At > t || !counts || ignored && !c.Offhook || !c.Offhook && c.At < h.Lines[c.Line].First {
			continue
		}
		last, found = choice{*c, false, own && !c.Offhook}, true
		break
	}
	if (!found || last.At < line.First) && t >= line.First && line.FirstStatus != "available" && !ignored {
		return choice{Choice{At: line.First, Line: index, Status: line.FirstStatus}, true, true}, true
	}
	return last, found
}

// holds applies the three rules: which status the choice p is on a line, whether it
// lives and, if it does, whether it shows.
func (t *table) holds(line Line, p choice, now int, u []string) (status string, lives, shows bool) {
	if status = p.Status; !p.own { // what the phone itself shows is a person's and not touched
		status = line.possible(status)
	}
	chosen := p.At
	switch {
	case p.Before:
		chosen--
	case p.After && now > chosen:
		chosen++
	}
	under := u[chosen]
	if under == "" {
		under = line.possible(t.Rules.Base)
	}
	if p.Status == "" || status == under && p.Until == 0 && !p.first && !t.heldBack(line, chosen, under) {
		return "", false, false // chose what shows anyway, or cleared it
	}
	if p.Until > 0 && now >= p.Until {
		return "", false, false
	}
	if lost, ok := t.lost[p.At]; ok && now >= lost {
		return "", false, false
	}
	overrides := line.rings(status) && !line.rings(under) && !p.first
	if t.Rules.Policy != "until-cleared" {
		if overrides {
			for _, later := range u[max(chosen, p.At) : now+1] {
				if later != under && later != "" {
					return "", false, false
				}
			}
		} else if p.Until == 0 && t.Rules.Policy == "auto" && p.At < t.Rules.MaxAt && now >= t.Rules.MaxAt {
			return "", false, false
		}
	}
	yields := line.rings(status) && line.rings(under) && !p.first
	return status, true, !(yields && u[now] == "dnd") // it returns afterwards
}
