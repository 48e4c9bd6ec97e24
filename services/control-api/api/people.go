package api

import (
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/wire"
)

// aboutPerson is what is known of one person. What few ask for is kept as the message that it
// came in: decoded it takes several times as much, and there may be a hundred thousand.
type aboutPerson struct {
	listed   bool // in the directory
	user     user
	teams    presence.TeamsReading // zero: never read
	decision []byte                // the newest wire.Decision; nil: none
	toTeams  []byte                // the newest wire.TeamsOutcome; nil: none
}

// user is what is kept of the directory: names to find people by.
type user struct{ upn, mail, name string }

// aboutLine is what is known of one line: what was read, and what was written, last.
type aboutLine struct {
	read, written     presence.Status
	readAt, writtenAt time.Time
	observation       int64 // of the reading
}

// person returns what is known of somebody, to be changed. m.mu is held.
func (m *model) person(who identity.Person) *aboutPerson {
	p := m.byPerson[who]
	if p == nil {
		who.Tenant = identity.Shared(who.Tenant)
		p = &aboutPerson{}
		m.byPerson[who] = p
	}
	return p
}

// see takes in what was read of a line, and returns what was read before. m.mu is held.
func (m *model) see(r presence.StatusReading) (before presence.StatusReading) {
	r.Line.System = identity.Shared(r.Line.System)
	l := m.byLine[r.Line]
	before = presence.StatusReading{Line: r.Line, Status: l.read, SeenAt: l.readAt, Observation: l.observation}
	l.read, l.readAt, l.observation = r.Status, r.SeenAt, r.Observation
	m.byLine[r.Line] = l
	return before
}

// wrote takes in that a line shows what was wanted, if that is what came of it. m.mu is
// held.
func (m *model) wrote(o wire.Outcome) {
	if o.Result == wire.Applied || o.Result == wire.Already {
		o.Line.System = identity.Shared(o.Line.System)
		l := m.byLine[o.Line]
		l.written, l.writtenAt = o.Status, o.EndedAt
		m.byLine[o.Line] = l
	}
}

// leave forgets what Microsoft 365 told of who has left; what was decided stays. m.mu is
// held.
func (m *model) leave(who identity.Person) {
	if p := m.byPerson[who]; p != nil {
		if *p = (aboutPerson{decision: p.decision}); p.decision == nil {
			delete(m.byPerson, who)
		}
	}
}

// user returns the names of a person. m.mu is held.
func (m *model) user(who identity.Person) (u user) {
	if p := m.byPerson[who]; p != nil {
		u = p.user
	}
	return u
}

// reading returns what Teams shows of a person. m.mu is held.
func (m *model) reading(who identity.Person) (r presence.TeamsReading, known bool) {
	if p := m.byPerson[who]; p != nil {
		r = p.teams
	}
	return r, r != presence.TeamsReading{}
}

// decided returns a person's newest decision. m.mu is held.
func (m *model) decided(who identity.Person) (d wire.Decision, ok bool) {
	if p := m.byPerson[who]; p != nil && p.decision != nil {
		d, ok = unpacked(p.decision, wire.DecodeDecision)
	}
	return d, ok
}

// toTeamsOutcome returns what was written to Teams for a person last. m.mu is held.
func (m *model) toTeamsOutcome(who identity.Person) (o wire.TeamsOutcome, ok bool) {
	if p := m.byPerson[who]; p != nil && p.toTeams != nil {
		o, ok = unpacked(p.toTeams, wire.DecodeTeamsOutcome)
	}
	return o, ok
}

// shownNow is the newer of what was read and what was written. m.mu is held.
func (m *model) shownNow(line identity.Line) (presence.Status, time.Time) {
	l := m.byLine[line]
	if l.writtenAt.After(l.readAt) {
		return l.written, l.writtenAt
	}
	return l.read, l.readAt
}

// unpacked is a kept message, which could be decoded when it came.
func unpacked[V any](data []byte, decode func([]byte) (V, error)) (V, bool) {
	v, err := decode(data)
	return v, err == nil
}
