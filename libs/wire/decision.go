package wire

import (
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	eventv1 "offhook.dev/proto/gen/offhook/event/v1"
)

// Decision is why a person's lines should show what they should.
type Decision struct {
	ID       string
	Person   identity.Person
	At       time.Time
	Reason   string
	Trigger  string // the kind of fact that led to it
	Revision Revision
	Claims   []Claim
	Evidence []Evidence
	Wants    []Want
	Teams    *TeamsWant // nil where Offhook writes nothing to Teams
	Wake     time.Time  // when it will be looked at again by itself, or zero
}

// Claim is one source's hold on a status.
type Claim struct {
	Source       string // "manual", "teams", "base"
	Status       presence.Status
	Since, Until time.Time
	Detail       string
}

// Evidence is one fact that a decision used.
type Evidence struct {
	Kind     string // "m365.fact.presence", ...
	Value    string // "Busy/InAMeeting"
	Origin   string // "poll", "notification", "person"
	SeenAt   time.Time
	Sequence uint64 // in its stream
}

// DecisionSubject is the subject of a person's decisions.
func DecisionSubject(p identity.Person) string { return "decision." + PersonKey(p) }

// Encode implements Message.
func (d Decision) Encode() (string, []byte) {
	m := &eventv1.Decision{
		Id: d.ID, Tenant: string(d.Person.Tenant), User: string(d.Person.User), At: stamp(d.At), Reason: d.Reason, Trigger: d.Trigger,
		Revision: &eventv1.Revision{Epoch: d.Revision.Epoch, Sequence: d.Revision.Sequence}, Wake: stamp(d.Wake),
	}
	for _, c := range d.Claims {
		m.Claims = append(m.Claims, &eventv1.Claim{Source: c.Source, Status: statusOut(c.Status), Since: stamp(c.Since), Until: stamp(c.Until), Detail: clean(c.Detail)})
	}
	for _, e := range d.Evidence {
		m.Evidence = append(m.Evidence, &eventv1.Evidence{Kind: e.Kind, Value: clean(e.Value), Origin: e.Origin, SeenAt: stamp(e.SeenAt), StreamSequence: e.Sequence})
	}
	for _, w := range d.Wants {
		m.Wants = append(m.Wants, w.proto())
	}
	if d.Teams != nil {
		m.Teams = d.Teams.proto()
	}
	return DecisionSubject(d.Person), marshal(m)
}

// DecodeDecision is the inverse of Decision.Encode.
func DecodeDecision(data []byte) (Decision, error) {
	var m eventv1.Decision
	if err := unmarshal(data, &m); err != nil {
		return Decision{}, err
	}
	who, err := person("wire: decision", m.Tenant, m.User)
	if err != nil {
		return Decision{}, err
	}
	d := Decision{ID: m.Id, Person: who, At: moment(m.At), Reason: m.Reason, Trigger: m.Trigger, Revision: revisionIn(m.Revision), Wake: moment(m.Wake)}
	for _, c := range m.Claims {
		d.Claims = append(d.Claims, Claim{Source: c.Source, Status: statusIn(c.Status), Since: moment(c.Since), Until: moment(c.Until), Detail: c.Detail})
	}
	for _, e := range m.Evidence {
		d.Evidence = append(d.Evidence, Evidence{Kind: e.Kind, Value: e.Value, Origin: e.Origin, SeenAt: moment(e.SeenAt), Sequence: e.StreamSequence})
	}
	for _, w := range m.Wants {
		want, err := wantIn(w)
		if err != nil {
			return Decision{}, err
		}
		d.Wants = append(d.Wants, want)
	}
	if m.Teams != nil {
		teams, err := teamsWantIn(m.Teams)
		if err != nil {
			return Decision{}, err
		}
		d.Teams = &teams
	}
	return d, nil
}

// Result is what a writer did with a want.
type Result uint8

// The results. The numbers are the wire's.
const (
	ResultUnknown Result = iota
	Applied              // written
	Already              // shown already, nothing to write
	RefusedPerson        // a person chose something the want does not know of
	RefusedLink          // decided for an older link
	RefusedTenant        // the system does not serve that tenant
	Stale                // older than what the ledger has
	Unsupported          // the system cannot show it
	Failed               // the phone system refused; Detail says how
)

var resultNames = [...]string{"unknown", "applied", "already", "refused-person", "refused-link", "refused-tenant", "stale", "unsupported", "failed"}

// String returns the word used in JSON and metrics.
func (r Result) String() string {
	if int(r) < len(resultNames) {
		return resultNames[r]
	}
	return resultNames[0]
}

// resultIn reads what is newer than this build as unknown.
func resultIn(r eventv1.Result) Result {
	if _, known := eventv1.Result_name[int32(r)]; !known {
		return ResultUnknown
	}
	return Result(r)
}

// Outcome is what a writer did with a want, and why.
type Outcome struct {
	ID         string
	Person     identity.Person
	Line       identity.Line
	Result     Result
	Detail     string
	Status     presence.Status // wanted
	Before     presence.Status // shown before, or Unset
	Reason     string          // of the want
	Revision   Revision
	Decision   string
	SeenAt     time.Time // when the change was seen
	ReceivedAt time.Time // when the writer got the want
	BeganAt    time.Time // when the phone system was asked, or zero
	EndedAt    time.Time // when it had answered
	Trace      string
}

// Encode implements Message.
func (o Outcome) Encode() (string, []byte) {
	return "outcome." + LineKey(o.Line), marshal(&eventv1.Outcome{
		Id: o.ID, Tenant: string(o.Person.Tenant), User: string(o.Person.User), System: string(o.Line.System), Extension: string(o.Line.Extension),
		Result: eventv1.Result(o.Result), Detail: clean(o.Detail), Status: statusOut(o.Status), Before: statusOut(o.Before), Reason: o.Reason,
		Revision: &eventv1.Revision{Epoch: o.Revision.Epoch, Sequence: o.Revision.Sequence}, Decision: o.Decision,
		SeenAt: stamp(o.SeenAt), ReceivedAt: stamp(o.ReceivedAt), BeganAt: stamp(o.BeganAt), EndedAt: stamp(o.EndedAt), Trace: o.Trace,
	})
}

// DecodeOutcome is the inverse of Outcome.Encode.
func DecodeOutcome(data []byte) (Outcome, error) {
	var m eventv1.Outcome
	if err := unmarshal(data, &m); err != nil {
		return Outcome{}, err
	}
	who, err := person("wire: outcome", m.Tenant, m.User)
	if err != nil {
		return Outcome{}, err
	}
	l, err := line("wire: outcome", m.System, m.Extension)
	if err != nil {
		return Outcome{}, err
	}
	if m.Id == "" {
		return Outcome{}, fault.Errorf(fault.Invalid, "wire: outcome", "no id")
	}
	return Outcome{
		ID: m.Id, Person: who, Line: l, Result: resultIn(m.Result), Detail: m.Detail, Status: statusIn(m.Status), Before: statusIn(m.Before), Reason: m.Reason,
		Revision: revisionIn(m.Revision), Decision: m.Decision, SeenAt: moment(m.SeenAt), ReceivedAt: moment(m.ReceivedAt),
		BeganAt: moment(m.BeganAt), EndedAt: moment(m.EndedAt), Trace: m.Trace,
	}, nil
}
