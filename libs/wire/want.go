package wire

import (
	"cmp"
	"hash/maphash"
	"strings"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	eventv1 "offhook.dev/proto/gen/offhook/event/v1"
)

// clean makes text from outside fit for protobuf, which takes UTF-8 only.
func clean(s string) string { return strings.ToValidUTF8(s, "\uFFFD") }

// Revision orders wants. The epoch is raised when memory is restored from a backup,
// so that what is decided afterwards is newer than all that was decided before.
type Revision struct {
	Epoch    uint64 `json:"epoch"`
	Sequence uint64 `json:"sequence"`
}

// Compare is negative if r is older than other, 0 if they are the same.
func (r Revision) Compare(other Revision) int {
	return cmp.Or(cmp.Compare(r.Epoch, other.Epoch), cmp.Compare(r.Sequence, other.Sequence))
}

// Want is the status that a line should show.
type Want struct {
	Person        identity.Person
	Line          identity.Line
	Status        presence.Status
	ProjectedFrom presence.Status // what it would be if the system could show it, or Unset
	Reason        string
	// DecidedOn is the observation of the last person's choice that was taken into
	// account; the writer overwrites a person only if this covers it.
	DecidedOn    int64
	LinkRevision uint64
	Revision     Revision
	Decision     string    // id of the decision
	SeenAt       time.Time // when the change that led here was seen
	DecidedAt    time.Time
	// Release marks the last want before silence: the link or the mode is gone. It is
	// carried out only over a status that is ours.
	Release bool
}

// WantSubject is the subject of the want for a line.
func WantSubject(l identity.Line) string { return "pbx.want.status." + LineKey(l) }

// Same says whether two wants ask for the same thing on the same grounds, whenever
// they were decided.
func (w Want) Same(other Want) bool { return w.asks() == other.asks() }

// Print stands for what Same compares, within this process: for who would keep many wants.
func (w Want) Print() uint64 { return maphash.Comparable(prints, w.asks()) }

var prints = maphash.MakeSeed()

// wantAsks is what a want asks for.
type wantAsks struct {
	person    identity.Person
	line      identity.Line
	status    presence.Status
	decidedOn int64
	release   bool
	link      uint64
	epoch     uint64
}

func (w Want) asks() wantAsks {
	return wantAsks{w.Person, w.Line, w.Status, w.DecidedOn, w.Release, w.LinkRevision, w.Revision.Epoch}
}

func (w Want) proto() *eventv1.StatusWant {
	return &eventv1.StatusWant{
		Tenant: string(w.Person.Tenant), User: string(w.Person.User), System: string(w.Line.System), Extension: string(w.Line.Extension),
		Status: statusOut(w.Status), ProjectedFrom: statusOut(w.ProjectedFrom), Reason: w.Reason, DecidedOn: w.DecidedOn, LinkRevision: w.LinkRevision,
		Revision: &eventv1.Revision{Epoch: w.Revision.Epoch, Sequence: w.Revision.Sequence},
		Decision: w.Decision, SeenAt: stamp(w.SeenAt), DecidedAt: stamp(w.DecidedAt), Release: w.Release,
	}
}

func wantIn(m *eventv1.StatusWant) (Want, error) {
	who, err := person("wire: want", m.Tenant, m.User)
	if err != nil {
		return Want{}, err
	}
	l, err := line("wire: want", m.System, m.Extension)
	if err != nil {
		return Want{}, err
	}
	return Want{
		Person: who, Line: l, Status: statusIn(m.Status), ProjectedFrom: statusIn(m.ProjectedFrom), Reason: m.Reason,
		DecidedOn: m.DecidedOn, LinkRevision: m.LinkRevision, Revision: revisionIn(m.Revision),
		Decision: m.Decision, SeenAt: moment(m.SeenAt), DecidedAt: moment(m.DecidedAt), Release: m.Release,
	}, nil
}

func revisionIn(r *eventv1.Revision) Revision {
	return Revision{Epoch: r.GetEpoch(), Sequence: r.GetSequence()}
}

// Encode implements Message.
func (w Want) Encode() (string, []byte) { return WantSubject(w.Line), marshal(w.proto()) }

// DecodeWant is the inverse of Want.Encode.
func DecodeWant(data []byte) (Want, error) {
	var m eventv1.StatusWant
	if err := unmarshal(data, &m); err != nil {
		return Want{}, err
	}
	return wantIn(&m)
}
