package wire

import (
	"strings"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/topology"
	eventv1 "offhook.dev/proto/gen/offhook/event/v1"
)

// Presence is what Microsoft 365 shows for a person.
type Presence struct {
	Person  identity.Person
	Reading presence.TeamsReading
}

// Encode implements Message.
func (p Presence) Encode() (string, []byte) {
	return PresenceSubject(p.Person), marshal(&eventv1.PresenceFact{
		Tenant: string(p.Person.Tenant), User: string(p.Person.User),
		Availability: clean(p.Reading.Availability), Activity: clean(p.Reading.Activity), Sequence: clean(p.Reading.Sequence),
		Source: sourceOut(p.Reading.Source), SeenAt: stamp(p.Reading.SeenAt),
	})
}

// PresenceSubject is the subject of a person's presence.
func PresenceSubject(p identity.Person) string { return "m365.fact.presence." + PersonKey(p) }

// DecodePresence is the inverse of Presence.Encode.
func DecodePresence(data []byte) (Presence, error) {
	var m eventv1.PresenceFact
	if err := unmarshal(data, &m); err != nil {
		return Presence{}, err
	}
	who, err := person("wire: presence", m.Tenant, m.User)
	if err != nil {
		return Presence{}, err
	}
	return Presence{who, presence.TeamsReading{
		Availability: m.Availability, Activity: m.Activity, Sequence: m.Sequence,
		Source: sourceIn(m.Source), SeenAt: moment(m.SeenAt),
	}}, nil
}

func sourceOut(s presence.Source) eventv1.Source {
	if s == presence.Notification {
		return eventv1.Source_SOURCE_NOTIFICATION
	}
	return eventv1.Source_SOURCE_POLL
}

func sourceIn(s eventv1.Source) presence.Source {
	if s == eventv1.Source_SOURCE_NOTIFICATION {
		return presence.Notification
	}
	return presence.Poll
}

// Sweep is what one round of polling covered.
type Sweep struct {
	Tenant       identity.Tenant
	Shard        string
	Began, Ended time.Time
	Users        int
	Failed       []identity.User // read in vain
	OK           bool            // false: the whole round failed
	Denied       bool            // it failed because Graph refuses it: the permission is missing
}

// Encode implements Message.
func (s Sweep) Encode() (string, []byte) {
	m := &eventv1.SweepFact{Tenant: string(s.Tenant), Shard: s.Shard, Began: stamp(s.Began), Ended: stamp(s.Ended), Users: uint32(s.Users), Ok: s.OK, Denied: s.Denied}
	for _, u := range s.Failed {
		m.Failed = append(m.Failed, string(u))
	}
	return "m365.fact.sweep." + topology.Join(string(s.Tenant), s.Shard), marshal(m)
}

// DecodeSweep is the inverse of Sweep.Encode.
func DecodeSweep(data []byte) (Sweep, error) {
	var m eventv1.SweepFact
	if err := unmarshal(data, &m); err != nil {
		return Sweep{}, err
	}
	tenant, err := identity.ParseTenant(m.Tenant)
	if err != nil {
		return Sweep{}, fault.New(fault.Invalid, "wire: sweep", err)
	}
	s := Sweep{Tenant: tenant, Shard: m.Shard, Began: moment(m.Began), Ended: moment(m.Ended), Users: int(m.Users), OK: m.Ok, Denied: m.Denied}
	for _, u := range m.Failed {
		s.Failed = append(s.Failed, identity.User(u))
	}
	return s, nil
}

// ShardAll is the shard of a tenant that is swept as a whole.
const ShardAll = "all"

// InShard says whether a user belongs to a shard: ShardAll, or the first
// hexadecimal digits of the object ids in it.
func InShard(user identity.User, shard string) bool {
	return shard == ShardAll || strings.HasPrefix(string(user), shard)
}

var origins = map[presence.Origin]eventv1.Origin{
	presence.Ours:   eventv1.Origin_ORIGIN_OURS,
	presence.Person: eventv1.Origin_ORIGIN_PERSON,
	presence.Revert: eventv1.Origin_ORIGIN_REVERT,
}

func originIn(o eventv1.Origin) presence.Origin {
	for ours, theirs := range origins {
		if theirs == o {
			return ours
		}
	}
	return ""
}

// Status is what an extension shows, in the writer's words about its origin.
type Status struct{ Reading presence.StatusReading }

// Encode implements Message.
func (s Status) Encode() (string, []byte) {
	r := s.Reading
	m := &eventv1.StatusFact{
		System: string(r.Line.System), Extension: string(r.Line.Extension), Status: statusOut(r.Status),
		Origin: origins[r.Origin], Observation: r.Observation, SeenAt: stamp(r.SeenAt),
	}
	if c := r.LastPerson; c != nil {
		m.LastPerson = &eventv1.Choice{Status: statusOut(c.Status), Observation: c.Observation, At: stamp(c.At)}
	}
	return StatusSubject(r.Line), marshal(m)
}

// StatusSubject is the subject of what a line shows.
func StatusSubject(l identity.Line) string { return "pbx.fact.status." + LineKey(l) }

// DecodeStatus is the inverse of Status.Encode.
func DecodeStatus(data []byte) (Status, error) {
	var m eventv1.StatusFact
	if err := unmarshal(data, &m); err != nil {
		return Status{}, err
	}
	l, err := line("wire: status", m.System, m.Extension)
	if err != nil {
		return Status{}, err
	}
	r := presence.StatusReading{Line: l, Status: statusIn(m.Status), Origin: originIn(m.Origin), Observation: m.Observation, SeenAt: moment(m.SeenAt)}
	if c := m.LastPerson; c != nil {
		r.LastPerson = &presence.Choice{Status: statusIn(c.Status), Observation: c.Observation, At: moment(c.At)}
	}
	return Status{r}, nil
}
