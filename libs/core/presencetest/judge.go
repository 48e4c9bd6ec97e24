package presencetest

import (
	"cmp"
	"fmt"
	"slices"
)

// Verdict is the judgement on what was seen of a life.
type Verdict struct {
	Wrong   string // what no world explains; "": everything is right
	Moments int    // quiet moments at which was compared
	Most    int    // writes to one target after one change
	Where   string // the change after which there were more than one
	Late    string // a write long after anything had changed; "": there was none
	Dull    bool   // what is right never changed
	Worlds  int    // that were tried
}

// mostWorlds bounds the search for a world that explains more of what was seen than those
// before it, for each event of the life.
const mostWorlds = 30

// Judge compares what was seen of a life with what the oracle allows, at every moment
// of which the last Bound ticks were quiet. Which of the events shortly before were
// seen first, and of two of one source whether the first was seen at all, is nobody's
// promise: the set of right answers has one for each world in which every event is
// seen within Bound. What was seen is right if there is one world that explains all of
// it, from the begin to the end.
func Judge(l Life, seen Seen) (v Verdict) {
	canonical := make([]int, len(l.Events))
	for i, skipped := range seen.Skipped {
		if skipped {
			canonical[i] = never
		}
	}
	found := search(l, seen, canonical, &v)
	if found.at < l.Ticks {
		v.Wrong = found.why + l.told(found.at)
		return v
	}
	best := l.play(found.late)
	v.Moments = len(l.quiet())
	v.Dull = best.dull()
	best.judgeWrites(seen, &v)
	return v
}

// told returns what happened before a moment, in as many words as are needed.
func (l Life) told(at int) string {
	var before []Event
	for _, e := range l.Events {
		if e.At <= at && e.At > at-2*reach {
			before = append(before, e)
		}
	}
	return fmt.Sprintf("; before that %+v; meetings %v; rules %+v", before, l.Meetings, l.Rules)
}

// candidate is a world and the first moment that it does not explain.
type candidate struct {
	late   []int
	at     int
	why    string
	lately string // what it has shortly before that moment
}

// way is one of two ways to search: among the worlds that differ from one already tried in
// what happened shortly before the moment that it does not explain, or in something long
// before. There are many more of these, and mostly the one before the moment is to blame, but
// sometimes two of those at once: so the two ways take turns by how many worlds each has tried.
type way struct {
	others func(from []int, at int, seen Seen) [][]int
	far    bool        // long before
	open   []candidate // whose others are not tried yet
	worlds int
}

// search goes from the canonical world to others, those that explain most first.
func search(l Life, seen Seen, canonical []int, v *Verdict) (best candidate) {
	try := func(lateness []int) candidate {
		v.Worlds++
		w := l.play(lateness)
		at, why := w.explains(seen)
		return candidate{lateness, at, why, w.lately(at)}
	}
	best = try(canonical)
	ways := []*way{{others: l.lately, open: []candidate{best}}, {others: l.longAgo, far: true, open: []candidate{best}}}
	tried := map[string]bool{}
	for progress := v.Worlds; best.at < l.Ticks && v.Worlds < progress+mostWorlds*len(l.Events); {
		slices.SortFunc(ways, func(a, b *way) int {
			return cmp.Or(cmp.Compare(min(len(b.open), 1), min(len(a.open), 1)), a.worlds-b.worlds)
		})
		if len(ways[0].open) == 0 {
			break
		}
		now := ways[0].next()
		for _, lateness := range ways[0].others(now.late, now.at, seen) {
			key := fmt.Sprint(lateness)
			if tried[key] {
				continue
			}
			tried[key] = true
			ways[0].worlds++
			next := try(lateness)
			if next.at > best.at {
				best, progress = next, v.Worlds
			}
			for _, w := range ways {
				// The other way has enough of those that explain as much, unless something long
				// ago has changed what is so lately.
				changed := ways[0].far && next.lately != now.lately
				if next.at > now.at || next.at == now.at && (w == ways[0] || changed) {
					w.open = append(w.open, next)
				}
			}
			if best.at >= l.Ticks {
				break
			}
		}
	}
	return best
}

// lately tells what is so shortly before a moment.
func (w *world) lately(at int) string {
	from, to := max(at-reach, 0), min(at+1, w.l.Ticks)
	all := [][]string{w.opinions[from:to], w.shown[from:to]}
	for _, line := range w.lines {
		all = append(all, line[from:to])
	}
	return fmt.Sprint(all)
}

// next takes the one that explains most.
func (w *way) next() candidate {
	slices.SortStableFunc(w.open, func(a, b candidate) int { return b.at - a.at })
	now := w.open[0]
	w.open = w.open[1:]
	return now
}

// reach is how many ticks back any event may decide about a moment: a mask outlives
// what it belongs to by 18. What is believed of two that happened at the same time may
// decide for longer: a choice lives on, and an opinion behind a mask.
const reach = 40

// lately are the worlds that differ from one in one of the events shortly before a moment,
// the latest first.
func (l Life) lately(from []int, at int, seen Seen) [][]int {
	return l.others(from, seen, func(i int) bool { return l.Events[i].At <= at && l.Events[i].At >= at-reach })
}

// longAgo are those that differ in one of the events before that which may still decide.
func (l Life) longAgo(from []int, at int, seen Seen) [][]int {
	return l.others(from, seen, func(i int) bool { return l.Events[i].At < at-reach && (l.crowded(i) || l.unmasks(i) || l.reopens(i)) })
}

// others goes through the events in turns, so that the likeliest of each come first.
func (l Life) others(from []int, seen Seen, may func(i int) bool) (all [][]int) {
	var how [][]int // of each event that may differ, the latest first
	var of []int
	for i := len(l.Events) - 1; i >= 0; i-- {
		if from[i] != never && may(i) {
			how, of = append(how, l.seenAs(i, seen)), append(of, i)
		}
	}
	for turn, more := 0, true; more; turn++ {
		more = false
		for at, i := range of {
			if turn >= len(how[at]) {
				continue
			}
			more = true
			if lateness := how[at][turn]; lateness != from[i] {
				next := slices.Clone(from)
				next[i] = lateness
				all = append(all, next)
			}
		}
	}
	return all
}

// seenAs lists how an event can have been seen, the likeliest first.
func (l Life) seenAs(i int, seen Seen) (how []int) {
	e, crowded, unmasks := l.Events[i], l.crowded(i), l.unmasks(i)
	with := func(lateness int) { how = append(how, lateness) }
	if e.Kind == Chooses && (crowded || unmasks) {
		with(earlier)
	}
	for lateness := 1; lateness <= late && e.Kind != Boundary; lateness++ {
		with(lateness)
	}
	if (e.Kind == Talks || e.Kind == Chooses) && (crowded || unmasks) || e.writesAgain() && crowded {
		with(swift)
	}
	if e.writesAgain() && crowded || e.Kind == Chooses && unmasks {
		with(ahead)
	}
	if l.unpins(i) {
		with(reveals)
	}
	if l.unread(i, seen) {
		with(never)
	}
	for lateness := 1; lateness <= late; lateness++ {
		with(blind + lateness)
	}
	if e.Kind != Boundary {
		with(0)
	}
	for lateness := 0; lateness <= late && crowded && (e.Kind == Shows || e.Kind == Prefers); lateness++ {
		with(first + lateness)
		for unread := 1; unread <= late; unread++ {
			with(told + 10*lateness + unread)
		}
	}
	for lateness := 1; lateness <= Bound; lateness++ {
		// A tick later what was wanted in between is shown, and another one it is seen.
		if slices.ContainsFunc(seen.Stale, func(tick int) bool { return tick <= e.At+lateness && e.At+lateness <= tick+2 }) {
			with(again + lateness)
		}
	}
	return how
}

// unread says whether nobody may ever have known of a choice. Of other events it is
// enough that a later one of the same source hides them.
func (l Life) unread(i int, seen Seen) bool {
	if seen.Missed == nil {
		return l.Events[i].Kind == Chooses && l.crowded(i)
	}
	return seen.Missed[i]
}

// unpins says whether a choice may end what Offhook preferred in Teams for the one before it.
func (l Life) unpins(i int) bool {
	if l.Events[i].Kind != Chooses || l.Rules.Mode != "both" {
		return false
	}
	for _, e := range slices.Backward(l.Events[:i]) {
		if e.Kind == Chooses {
			before := preferredFor[e.Says]
			return before != "" && before != "clear" && before != preferredFor[l.Events[i].Says]
		}
	}
	return false
}

// crowded says whether something else happens so shortly after an event that what
// showed between them may be seen by nobody, or before it, so that a write which was
// under way then covers it.
func (l Life) crowded(i int) bool {
	return i+1 < len(l.Events) && l.Events[i+1].At-l.Events[i].At < Bound || i > 0 && l.Events[i].At-l.Events[i-1].At < Bound
}

// reopens says whether Teams can be read again when Graph writes again: what happened in Teams
// while it could not is read for the first time in the tick in which what is wanted is
// written, and may be hidden by that for as long as it shows.
func (l Life) reopens(i int) bool {
	e := l.Events[i]
	return e.writesAgain() && slices.ContainsFunc(l.Hidden, func(s Span) bool { return s.To == e.At })
}

// unmasks says whether a mask may end when something else happens: that of this event,
// or another's at this one.
func (l Life) unmasks(i int) bool {
	return slices.ContainsFunc(l.Events, func(e Event) bool {
		apart := max(e.At-l.Events[i].At, l.Events[i].At-e.At)
		return e.Kind != Boundary && apart > l.Rules.Mask-Bound && apart < l.Rules.Mask+Bound
	})
}

// quiet lists the moments before which nothing happened for Bound ticks.
func (l Life) quiet() (moments []int) {
	last, next := 0, 0
	for t := settled - 1; t < l.Ticks; t++ {
		for ; next < len(l.Events) && l.Events[next].At <= t; next++ {
			last = l.Events[next].At
		}
		if t >= last+Bound {
			moments = append(moments, t)
		}
	}
	return moments
}

// explains returns the first quiet moment at which was seen what this world does not
// have, or the end of the life. What follows from the passing of time alone may be
// seen two ticks late.
func (w *world) explains(seen Seen) (at int, why string) {
	since := 0 // the last event as this world has it
	next := 0
	times := make([]int, 0, len(w.l.Events))
	early := map[int]bool{} // ticks at which this world has what happens at the next one
	for i, e := range w.l.Events {
		if w.late[i] != never {
			times = append(times, when(e.At, w.late[i]))
		}
		early[e.At-1] = early[e.At-1] || isEarly(w.late[i])
	}
	slices.Sort(times)
	repeats := slices.ContainsFunc(w.late, func(lateness int) bool { return lateness >= again && lateness < first })
	unmasked := w.unmasked()
	for _, t := range w.l.quiet() {
		for ; next < len(times) && times[next] <= t; next++ {
			since = times[next]
		}
		from, to := max(t-2, min(since, t)), t
		if early[t] {
			from = max(min(from, t-1), 0)
		}
		switch {
		case repeats: // which this world has a little later
			to = min(t+2, w.l.Ticks-1)
		case slices.Contains(unmasked, t+1): // here what is own ends at the tick after that in which it ended
			to = min(t+1, w.l.Ticks-1)
		}
		if w.l.Rules.Mode != "pbx-to-teams" {
			for i := range w.lines {
				if !slices.Contains(w.lines[i][from:to+1], seen.Lines[i][t]) {
					return t, fmt.Sprintf("at tick %d line %d shows %q, want one of %q; Teams shows %q", t, i, seen.Lines[i][t], slices.Compact(slices.Clone(w.lines[i][from:to+1])), seen.Teams[t])
				}
			}
		}
		if w.writesTeams() && !slices.Contains(w.shown[from:to+1], seen.Teams[t]) {
			return t, fmt.Sprintf("at tick %d Teams shows %q, want one of %q", t, seen.Teams[t], slices.Compact(slices.Clone(w.shown[from:to+1])))
		}
	}
	return w.l.Ticks, ""
}

func (w *world) writesTeams() bool {
	return w.l.Rules.Mode == "both" || w.l.Rules.Mode == "pbx-to-teams"
}

// dull says whether the truth never changes.
func (w *world) dull() bool {
	same := func(row []string) bool { return len(slices.Compact(slices.Clone(row[min(len(row), settled):]))) < 2 }
	for _, row := range w.lines {
		if !same(row) {
			return false
		}
	}
	return same(w.shown)
}

// due lists for each target when something had to be written.
func (w *world) due(seen Seen) map[string][]int {
	due := map[string][]int{}
	for i, row := range w.lines {
		if w.l.Rules.Mode == "pbx-to-teams" {
			break
		}
		target, shows, next := fmt.Sprintf("line %d", i), "available", 0
		for t, want := range row {
			for ; next < len(w.l.Events) && w.l.Events[next].At <= t; next++ {
				if e := w.l.Events[next]; e.Kind == Chooses && e.Line == i && !seen.Skipped[next] {
					shows = e.Says
				}
			}
			if want != "" && want != shows {
				due[target] = append(due[target], t)
				shows = want
			}
		}
	}
	var was Teams
	for t, is := range w.teams {
		if is.Session != was.Session {
			due["session"] = append(due["session"], t)
		}
		if is.Preferred != was.Preferred {
			due["preferred"] = append(due["preferred"], t)
		}
		was = is
	}
	return due
}

// judgeWrites counts the writes after each change, or all of those at about the same
// time, beside those of what follows by itself, and finds those that came when nothing
// had changed for a while. PRODUCT 2.5: at most one write per target per user change.
func (w *world) judgeWrites(seen Seen, v *Verdict) {
	due := w.due(seen)
	within := func(ticks []int, from, to int) (n int) {
		for _, t := range ticks {
			if t >= from && t < to {
				n++
			}
		}
		return n
	}
	ended := w.ended()
	unmasked := w.unmasked()
	written := map[string][]int{}
	for _, write := range seen.Writes {
		written[write.Target] = append(written[write.Target], write.At)
	}
	for target, ticks := range written {
		for i := 0; i < len(w.l.Events); {
			from, n, timers, readings := w.l.Events[i].At, 0, 0, 0
			for i < len(w.l.Events) && (n == 0 || w.l.Events[i].At-w.l.Events[i-1].At < Bound) {
				switch w.l.Events[i].Kind {
				case Boundary:
					timers++
				case Shows, Prefers, Talks: // a call shows what somebody preferred who is nowhere signed in
					readings++
				}
				i, n = i+1, n+1
			}
			to := w.l.Ticks
			if i < len(w.l.Events) {
				to = w.l.Events[i].At
			}
			// Each change of a user and each end of a mask has its write; there are more
			// where more had to be written, because something followed by itself. What is
			// own hides what a user had changed in Teams until it ends: that comes out too,
			// even if a change right after it keeps it from being due.
			changes := n + within(unmasked, from-2, to+2)
			// The end of a mask waits for no reading of Teams, any more than a timer does: see below.
			changes += min(within(unmasked, from-2, from+Bound), readings)
			if n > 1 {
				// A timer waits for no reading: what it leads to is put right when a reading of Teams
				// comes that was under way, and then follows what that had put off.
				changes += within(ended, from, to+1) + min(timers, readings)
			}
			most := max(changes, within(due[target], from-late, to+1)) - 1
			most += 2 * within(seen.Stale, from, to)
			if writes := within(ticks, from, to) - most; writes > v.Most {
				if v.Most = writes; writes > 1 {
					v.Where = fmt.Sprintf("%d writes to %s after tick %d", writes, target, from)
				}
			}
		}
		for _, t := range ticks {
			if v.Late == "" && t >= settled && t < w.l.Ticks && within(due[target], t-Bound, t+Bound)+within(unmasked, t-Bound, t+Bound) == 0 && !w.l.near(t) {
				v.Late = fmt.Sprintf("%s was written at tick %d", target, t)
			}
		}
	}
}

// ended lists the ticks at which something own ends.
func (w *world) ended() (ticks []int) {
	var was Teams
	for t, is := range w.teams {
		if was.Session != "" && is.Session == "" || was.Preferred != "" && is.Preferred != was.Preferred {
			ticks = append(ticks, t)
		}
		was = is
	}
	return ticks
}

// unmasked lists the ticks at which a mask ends: what it has hidden comes out then. It
// begins when Graph has cleared what is own.
func (w *world) unmasked() (ticks []int) {
	for _, t := range w.ended() {
		ticks = append(ticks, w.l.RefusedUntil(t)+w.l.Rules.Mask)
	}
	return ticks
}

// near says whether something happened in the Bound ticks before t.
func (l Life) near(t int) bool {
	return slices.ContainsFunc(l.Events, func(e Event) bool { return e.At <= t && t-e.At <= Bound })
}
