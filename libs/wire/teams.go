package wire

import (
	"hash/maphash"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	eventv1 "offhook.dev/proto/gen/offhook/event/v1"
)

// TeamsWant is what Offhook wants Teams to show for a person: a session, which
// stands for a call on the phone, and a preferred presence, which stands for a
// choice made there. Both are "availability/activity" as Graph has them.
type TeamsWant struct {
	Person         identity.Person
	Session        string // "": none
	SessionUntil   time.Time
	Preferred      string // "": nothing of ours
	PreferredUntil time.Time
	// Disowned says that what was preferred is a person's now: the writer forgets it
	// and does not clear it.
	Disowned  bool
	Reason    string
	Revision  Revision
	Decision  string
	SeenAt    time.Time // when the change that led here was seen
	DecidedAt time.Time
	// Release marks the last want before silence: what is ours is cleared once.
	Release bool
}

// TeamsWantSubject is the subject of the want for a person.
func TeamsWantSubject(p identity.Person) string { return "m365.want.presence." + PersonKey(p) }

// Same says whether two wants ask for the same thing, whenever they were decided.
func (w TeamsWant) Same(other TeamsWant) bool { return w.asks() == other.asks() }

// Print stands for what Same compares, within this process: for who would keep many wants.
func (w TeamsWant) Print() uint64 { return maphash.Comparable(prints, w.asks()) }

// teamsAsks is what a TeamsWant asks for. Moments are compared wherever they were read.
type teamsAsks struct {
	person                       identity.Person
	session, preferred           string
	sessionUntil, preferredUntil [2]int64
	disowned, release            bool
	epoch                        uint64
}

func (w TeamsWant) asks() teamsAsks {
	instant := func(t time.Time) [2]int64 { return [2]int64{t.Unix(), int64(t.Nanosecond())} }
	return teamsAsks{w.Person, w.Session, w.Preferred, instant(w.SessionUntil), instant(w.PreferredUntil), w.Disowned, w.Release, w.Revision.Epoch}
}

func (w TeamsWant) proto() *eventv1.PresenceWant {
	return &eventv1.PresenceWant{
		Tenant: string(w.Person.Tenant), User: string(w.Person.User), Session: w.Session, SessionUntil: stamp(w.SessionUntil),
		Preferred: w.Preferred, PreferredUntil: stamp(w.PreferredUntil), Disowned: w.Disowned, Reason: w.Reason,
		Revision: &eventv1.Revision{Epoch: w.Revision.Epoch, Sequence: w.Revision.Sequence},
		Decision: w.Decision, SeenAt: stamp(w.SeenAt), DecidedAt: stamp(w.DecidedAt), Release: w.Release,
	}
}

func teamsWantIn(m *eventv1.PresenceWant) (TeamsWant, error) {
	who, err := person("wire: teams want", m.Tenant, m.User)
	if err != nil {
		return TeamsWant{}, err
	}
	return TeamsWant{
		Person: who, Session: m.Session, SessionUntil: moment(m.SessionUntil), Preferred: m.Preferred, PreferredUntil: moment(m.PreferredUntil),
		Disowned: m.Disowned, Reason: m.Reason, Revision: revisionIn(m.Revision), Decision: m.Decision,
		SeenAt: moment(m.SeenAt), DecidedAt: moment(m.DecidedAt), Release: m.Release,
	}, nil
}

// Encode implements Message.
func (w TeamsWant) Encode() (string, []byte) { return TeamsWantSubject(w.Person), marshal(w.proto()) }

// DecodeTeamsWant is the inverse of TeamsWant.Encode.
func DecodeTeamsWant(data []byte) (TeamsWant, error) {
	var m eventv1.PresenceWant
	if err := unmarshal(data, &m); err != nil {
		return TeamsWant{}, err
	}
	return teamsWantIn(&m)
}

// TeamsOutcome is what graph-writer did with a want, and why.
type TeamsOutcome struct {
	ID             string
	Person         identity.Person
	Result         Result
	Detail         string
	Session        string // what our session shows afterwards, "": none
	SessionUntil   time.Time
	Preferred      string // what is preferred and ours afterwards, "": nothing
	PreferredUntil time.Time
	Reason         string // of the want
	Revision       Revision
	Decision       string
	SeenAt         time.Time // when the change was seen
	ReceivedAt     time.Time // when the writer got the want
	BeganAt        time.Time // when Graph was asked, or zero
	EndedAt        time.Time // when it had answered
	Trace          string
}

// TeamsOutcomeSubject is the subject of a person's outcomes.
func TeamsOutcomeSubject(p identity.Person) string { return "outcome.presence." + PersonKey(p) }

// Encode implements Message.
func (o TeamsOutcome) Encode() (string, []byte) {
	return TeamsOutcomeSubject(o.Person), marshal(&eventv1.PresenceOutcome{
		Id: o.ID, Tenant: string(o.Person.Tenant), User: string(o.Person.User), Result: eventv1.Result(o.Result), Detail: clean(o.Detail),
		Session: o.Session, SessionUntil: stamp(o.SessionUntil), Preferred: o.Preferred, PreferredUntil: stamp(o.PreferredUntil),
		Revision: &eventv1.Revision{Epoch: o.Revision.Epoch, Sequence: o.Revision.Sequence}, Decision: o.Decision, Reason: o.Reason,
		SeenAt: stamp(o.SeenAt), ReceivedAt: stamp(o.ReceivedAt), BeganAt: stamp(o.BeganAt), EndedAt: stamp(o.EndedAt), Trace: o.Trace,
	})
}

// DecodeTeamsOutcome is the inverse of TeamsOutcome.Encode.
func DecodeTeamsOutcome(data []byte) (TeamsOutcome, error) {
	var m eventv1.PresenceOutcome
	if err := unmarshal(data, &m); err != nil {
		return TeamsOutcome{}, err
	}
	who, err := person("wire: teams outcome", m.Tenant, m.User)
	if err != nil {
		return TeamsOutcome{}, err
	}
	if m.Id == "" {
		return TeamsOutcome{}, fault.Errorf(fault.Invalid, "wire: teams outcome", "no id")
	}
	return TeamsOutcome{
		ID: m.Id, Person: who, Result: resultIn(m.Result), Detail: m.Detail, Session: m.Session, SessionUntil: moment(m.SessionUntil),
		Preferred: m.Preferred, PreferredUntil: moment(m.PreferredUntil), Reason: m.Reason, Revision: revisionIn(m.Revision), Decision: m.Decision,
		SeenAt: moment(m.SeenAt), ReceivedAt: moment(m.ReceivedAt), BeganAt: moment(m.BeganAt), EndedAt: moment(m.EndedAt), Trace: m.Trace,
	}, nil
}
