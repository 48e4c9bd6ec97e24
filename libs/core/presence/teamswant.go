package presence

import "time"

// TeamsWant is what Teams should show for the person because of the phone: a session
// of the application, which stands for a call, and a preferred presence, which stands
// for a choice. Both are pairs of Graph, "availability/activity". Like a Want it is a
// state: repeating it does no harm.
type TeamsWant struct {
	Session        string    `json:"session,omitempty"` // "": none; the writer clears its session
	SessionUntil   time.Time `json:"session_until,omitzero"`
	Preferred      string    `json:"preferred,omitempty"` // "": nothing of ours; the writer clears what is ours and has not run out
	PreferredUntil time.Time `json:"preferred_until,omitzero"`
	// Disowned says that what was preferred is ours no more: the writer forgets it and
	// does not clear it.
	Disowned bool      `json:"disowned,omitempty"`
	Reason   Reason    `json:"reason"`
	Since    time.Time `json:"since"` // when what is shown was decided, refreshes apart
	// Released says that this is the last want: clear once what is ours.
	Released bool `json:"released,omitempty"`
}

// TeamsWant returns what is wanted in Teams, from memory alone: what the stream of
// wants should hold. It is false where nothing was ever wanted there.
func (m Memory) TeamsWant() (TeamsWant, bool) { return m.Teams, m.Teams != TeamsWant{} }
