package presence

import (
	"slices"
	"time"
)

// Lives of what is shown in Teams (docs/presence.md).
const (
	callFor      = 10 * time.Minute // of a call after it was last confirmed, and of the session that stands for it
	preferredFor = 2 * time.Hour    // of a preferred presence; it is refreshed at half of it
	visibleIn    = 2 * time.Minute  // a preferred presence that Teams does not show by then is let run out
)

// pin returns the newest presence that was preferred in Teams, or nil.
func (m *Memory) pin() *OwnTeams {
	for i := len(m.OwnTeams) - 1; i >= 0; i-- {
		if w := &m.OwnTeams[i]; w.Preferred {
			return w
		}
	}
	return nil
}

// pinAt returns the presence that was preferred at t, its last moment included, or
// nil, and makes r.Pin tell of it.
func (r *replay) pinAt(t time.Time) *OwnTeams {
	for i := len(r.memory.OwnTeams) - 1; i >= 0; i-- {
		w := &r.memory.OwnTeams[i]
		if !w.Preferred || !w.From.Before(t) {
			continue
		}
		if r.Pin.From != w.From {
			r.Pin = pin{From: w.From}
		}
		if t.After(w.Until) || r.Pin.Lost {
			return nil
		}
		return w
	}
	return nil
}

// readPin lets a new reading of Teams tell of the preferred presence: that it shows,
// or, if it is a poll that was begun after that was set, that the person has replaced it.
// A notification proves nothing: it may be late, and tell what showed before; the next
// sweep confirms it. In the mode both what replaces it is a new choice, and ends the one
// on the phone that caused it.
func (r *replay) readPin(e event) {
	w := r.pinAt(e.At)
	if w == nil {
		return
	}
	shown := isShown(w.Shows, e.Availability, e.Activity)
	switch {
	case !r.Pin.Seen.IsZero():
	case isShown(w.Shows, r.Teams.Availability, r.Teams.Activity):
		r.Pin.Seen = w.From // it showed already when it was wanted
	case shown:
		r.Pin.Seen = e.At
	}
	// Else it shows what was there before, or what is there since Offhook cleared it.
	proves := e.Source != Notification && !w.Set.IsZero() && e.At.After(w.Set) && !e.latest().After(w.Until)
	if shown || !proves || r.Pin.Seen.IsZero() || isSignedOut(e.Availability, e.Activity) || r.explains(w, e) {
		return
	}
	r.Pin.Lost = true
	for i := range r.Lines {
		if l := &r.Lines[i]; r.o.Mode == Both && l.Manual != (claim{}) && l.Manual.Since.Equal(w.Choice) {
			// What the sources wanted under the choice is as old as the choice: no damping.
			l.Manual, l.Expired, l.Sources, l.Rising = claim{}, false, Unset, time.Time{}
		}
	}
}

// seePin notes that Teams shows the preferred presence though no reading told of it:
// it showed already when it was wanted, and Teams was read since.
func (r *replay) seePin() {
	w := r.pinAt(r.At)
	if w == nil || !r.Pin.Seen.IsZero() || !isShown(w.Shows, r.Teams.Availability, r.Teams.Activity) {
		return
	}
	for _, s := range r.memory.Reads {
		if s.To.After(w.From) {
			if r.Pin.Seen = w.From; s.From.After(w.From) {
				r.Pin.Seen = s.From
			}
			return
		}
	}
}

// explains says whether a reading tells nothing about the preferred presence w:
// because its value is not known, or because it is another that Offhook preferred. A
// session does not show as long as something is preferred
// (https://learn.microsoft.com/graph/cloud-communications-manage-presence-state).
func (r *replay) explains(w *OwnTeams, e event) bool {
	means := r.o.Teams.of(e.Availability, e.Activity)
	if means.Keep {
		return true
	}
	for i := range r.memory.OwnTeams {
		other := &r.memory.OwnTeams[i]
		if other != w && other.Preferred && other.From.Before(e.latest()) && e.At.Before(other.maskedUntil()) && r.mayBe(other, e.Availability, e.Activity, means) {
			return true
		}
	}
	return false
}

// shows says whether anything may be shown in Teams for the person.
func (r *replay) shows() bool {
	return r.o.Mode.WritesTeams() && !r.o.isPaused(r.At) && r.isLinked() && !r.o.TeamsAbsent && !r.fallsBack()
}

// show sets what is wanted in Teams. In the mode both it waits for the first reading.
func (r *replay) show(now time.Time) {
	m := r.memory
	if !r.shows() {
		r.hide(now)
		return
	}
	if r.o.Mode.ReadsTeams() && r.Teams.SeenAt.IsZero() {
		return
	}
	w := m.Teams
	w.Session, w.SessionUntil = r.session(now)
	m.showSession(w.Session, w.SessionUntil, now)
	r.showPreferred(&w, now)
	if w.Session == "" && w.Preferred == "" && (m.Teams == (TeamsWant{}) || m.Teams.Released) {
		return // nothing was wanted, and nothing is
	}
	w.Released, w.Reason = false, r.shownReason(w, now)
	if old := m.Teams; old.Released || w.Session != old.Session || w.Preferred != old.Preferred || w.Disowned != old.Disowned || old.Since.IsZero() {
		w.Since = now
	}
	m.Teams = w
}

// shownReason tells why w is what it is; what is preferred shows above a session.
func (r *replay) shownReason(w TeamsWant, now time.Time) Reason {
	own := r.memory.pin()
	switch {
	case w.Preferred != "" && !r.told(own).isVisible() && !now.Before(own.From.Add(visibleIn)):
		return AcceptedNotVisible
	case w.Preferred != "":
		return ByPerson
	case w.Session != "":
		return ByCall
	case w.Disowned:
		return Disowned
	}
	return NothingToShow
}

// told returns what Teams told of something preferred.
func (r *replay) told(own *OwnTeams) pin {
	if own == nil || r.Pin.From != own.From {
		return pin{}
	}
	return r.Pin
}

// isVisible says whether Teams showed it in time.
func (p pin) isVisible() bool { return !p.Seen.IsZero() && !p.Seen.After(p.From.Add(visibleIn)) }

// session returns what the application's session should show, and until when.
func (r *replay) session(now time.Time) (shows string, until time.Time) {
	for i := range r.memory.Lines {
		l := &r.memory.Lines[i]
		if end := l.Call.SeenAt.Add(callFor); l.Linked && l.Call.Calls > 0 && now.Before(end) && end.After(until) {
			shows, until = InACall, end
		}
	}
	return shows, until
}

// showSession remembers the session as own. One that follows another while that may
// still echo is the same: Teams may show one Busy from the one to the other.
func (m *Memory) showSession(shows string, until, now time.Time) {
	last := slices.IndexFunc(m.OwnTeams, func(w OwnTeams) bool { return !w.Preferred && now.Before(w.maskedUntil()) })
	switch {
	case shows == "" && last >= 0:
		m.OwnTeams[last].clear(now)
	case shows != "" && last < 0:
		m.OwnTeams = append(m.OwnTeams, OwnTeams{Shows: shows, From: now, Until: until})
	case shows != "" && until.After(m.OwnTeams[last].Until):
		m.OwnTeams[last].Until, m.OwnTeams[last].Lasts = until, time.Time{}
	}
}

// showPreferred sets what is preferred: the newest choice on the phone, once. What
// was replaced by the person or has run out is not wanted again for the same choice.
func (r *replay) showPreferred(w *TeamsWant, now time.Time) {
	m := r.memory
	choice, pair := r.preference()
	if w.Preferred != "" {
		own := m.pin()
		switch {
		case own == nil || r.isLost(own) || !now.Before(own.Until):
			w.Disowned = true
			own.end(now)
		case choice == own.Choice && pair == own.Shows:
			if r.refreshes(own, now) {
				own.Until = now.Add(preferredFor)
			}
			w.PreferredUntil = own.Until
			return
		default:
			m.Pinned = own.Choice.Add(-1) // it may be wanted again: mapped otherwise, or should it turn out to live
			own.clear(now)
		}
		w.Preferred, w.PreferredUntil = "", time.Time{}
	}
	if pair == "" || !choice.After(m.Pinned) {
		return
	}
	m.Pinned = choice
	w.Preferred, w.PreferredUntil, w.Disowned = pair, now.Add(preferredFor), false
	m.OwnTeams = append(m.OwnTeams, OwnTeams{Shows: pair, Preferred: true, From: now, Until: w.PreferredUntil, Choice: choice})
	r.Pin = pin{From: now}
}

// isLost says whether the person has replaced what was preferred.
func (r *replay) isLost(own *OwnTeams) bool {
	r.pinAt(r.At)
	return r.told(own).Lost
}

// end makes something own, if there is any, end now unless it has ended: Teams shows
// something else.
func (w *OwnTeams) end(now time.Time) {
	if w != nil && now.Before(w.Until) {
		w.Until = now
	}
}

// clear makes something own end now unless it has ended. That it is wanted no more does
// not make Teams show it no more: Graph may refuse to clear it.
func (w *OwnTeams) clear(now time.Time) {
	if now.Before(w.Until) {
		w.Until, w.Lasts = now, w.Until
	}
}

// preference returns the newest living choice of a person that means something for
// Teams, unless a newer one ended that, and what Teams should show for it.
func (r *replay) preference() (choice time.Time, pair string) {
	for i := range r.Lines {
		c := &r.Lines[i].Manual
		shows := r.o.PBX.of(c.Status)
		if c.Status == Unset || shows == "" || shows == clears || !c.Since.After(r.Cleared) || !c.Since.After(choice) {
			continue
		}
		if known := r.memory.line(r.Lines[i].Line); known != nil && known.Linked {
			choice, pair = c.Since, shows
		}
	}
	return choice, pair
}

// refreshes says whether the preferred presence may live on: half of its life is
// over, and Teams still shows it.
func (r *replay) refreshes(own *OwnTeams, now time.Time) bool {
	return r.told(own).isVisible() && !now.Before(own.Until.Add(-preferredFor/2)) && r.fresh() && isShown(own.Shows, r.Teams.Availability, r.Teams.Activity)
}

// hide releases what is shown in Teams, once.
func (r *replay) hide(now time.Time) {
	m := r.memory
	if m.Teams == (TeamsWant{}) || m.Teams.Released {
		return
	}
	w := TeamsWant{Disowned: m.Teams.Disowned, Reason: Released, Since: now, Released: true}
	if own := m.pin(); m.Teams.Preferred != "" && own != nil {
		if w.Disowned = r.isLost(own) || !now.Before(own.Until); w.Disowned {
			own.end(now)
		} else {
			m.Pinned = own.Choice.Add(-1) // it may be wanted again
		}
	}
	for i := range m.OwnTeams {
		m.OwnTeams[i].clear(now)
	}
	m.Teams = w
}

// considerShown tells of the moments at which what is shown in Teams changes.
func (r *replay) considerShown(consider func(time.Time)) {
	for i := range r.memory.Lines {
		if l := &r.memory.Lines[i]; l.Linked && l.Call.Calls > 0 {
			consider(l.Call.SeenAt.Add(callFor))
		}
	}
	if own := r.memory.pin(); own != nil && r.memory.Teams.Preferred != "" {
		consider(own.Until)
		if r.told(own).isVisible() {
			consider(own.Until.Add(-preferredFor / 2))
		} else {
			consider(own.From.Add(visibleIn))
		}
	}
}
