package api

import (
	"time"

	"offhook.dev/libs/wire"
)

// toTeams is what Teams should show of a person's calls and choices, and what came of
// it; nil where nothing is, or was last, wanted there and nothing is left. d and o are
// the newest of both, or nil.
func toTeams(d *wire.Decision, o *wire.TeamsOutcome) *ToTeams {
	if d == nil || d.Teams == nil {
		if o == nil || nothing(o.Session, o.Preferred) && settled(o.Result) {
			return nil
		}
		return toTeamsAfter(*o)
	}
	w := d.Teams
	if o != nil && (o.Decision == w.Decision || o.Revision.Compare(w.Revision) >= 0 || fulfils(*o, *w)) {
		if nothing(w.Session, w.Preferred) && settled(o.Result) {
			return nil
		}
		t := toTeamsAfter(*o)
		if !settled(o.Result) {
			t.Session, t.Preferred, t.Until = w.Session, w.Preferred, lasts(w.Session, w.SessionUntil, w.Preferred, w.PreferredUntil)
		}
		return t
	}
	if nothing(w.Session, w.Preferred) && (o == nil || nothing(o.Session, o.Preferred)) {
		return nil
	}
	return &ToTeams{Session: w.Session, Preferred: w.Preferred, Until: lasts(w.Session, w.SessionUntil, w.Preferred, w.PreferredUntil)}
}

func nothing(session, preferred string) bool { return session == "" && preferred == "" }

// settled says whether what was wanted is so.
func settled(r wire.Result) bool { return r == wire.Applied || r == wire.Already }

// graphRounds is how much of what was asked for is no difference to graph-writer:
// lives are whole seconds, and a renewal of less than this is not worth a request.
const graphRounds = 30 * time.Second

// fulfils says whether an outcome of an older want is what a newer one asks for: a
// decision that leaves Teams as it is leads to no want and no outcome of its own.
func fulfils(o wire.TeamsOutcome, w wire.TeamsWant) bool {
	return settled(o.Result) && o.Session == w.Session && o.Preferred == w.Preferred &&
		!w.SessionUntil.After(o.SessionUntil.Add(graphRounds)) && !w.PreferredUntil.After(o.PreferredUntil.Add(graphRounds))
}

// toTeamsAfter is what Teams shows of ours after an outcome.
func toTeamsAfter(o wire.TeamsOutcome) *ToTeams {
	return &ToTeams{Session: o.Session, Preferred: o.Preferred, Until: lasts(o.Session, o.SessionUntil, o.Preferred, o.PreferredUntil),
		Result: o.Result.String(), Detail: o.Detail}
}

// lasts is the later end of those that there are.
func lasts(session string, sessionUntil time.Time, preferred string, preferredUntil time.Time) *time.Time {
	var last time.Time
	if session != "" {
		last = sessionUntil
	}
	if preferred != "" && preferredUntil.After(last) {
		last = preferredUntil
	}
	return moment(last)
}
