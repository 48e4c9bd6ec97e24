package wire

import (
	"fmt"
	"time"

	"google.golang.org/protobuf/proto"
	"google.golang.org/protobuf/types/known/timestamppb"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/topology"
	eventv1 "offhook.dev/proto/gen/offhook/event/v1"
)

// Message is anything that Encode turns into a subject and a payload.
type Message interface {
	Encode() (subject string, data []byte)
}

// marshal cannot fail for our messages: no required fields, and strings that are
// not UTF-8 are cleaned by text.
func marshal(m proto.Message) []byte {
	data, err := proto.MarshalOptions{Deterministic: true}.Marshal(m)
	if err != nil {
		panic(fmt.Sprintf("wire: %T: %v", m, err))
	}
	return data
}

func unmarshal(data []byte, m proto.Message) error {
	if err := proto.Unmarshal(data, m); err != nil {
		return fault.New(fault.Invalid, fmt.Sprintf("wire: decode %s", m.ProtoReflect().Descriptor().Name()), err)
	}
	return nil
}

// stamp keeps the zero time as "absent".
func stamp(t time.Time) *timestamppb.Timestamp {
	if t.IsZero() {
		return nil
	}
	return timestamppb.New(t)
}

func moment(t *timestamppb.Timestamp) time.Time {
	if t == nil {
		return time.Time{}
	}
	return t.AsTime()
}

// person checks the ids that a message must have.
func person(op, tenant, user string) (identity.Person, error) {
	t, err := identity.ParseTenant(tenant)
	if err != nil {
		return identity.Person{}, fault.New(fault.Invalid, op, err)
	}
	u, err := identity.ParseUser(user)
	if err != nil {
		return identity.Person{}, fault.New(fault.Invalid, op, err)
	}
	return identity.Person{Tenant: t, User: u}, nil
}

func line(op, system, ext string) (identity.Line, error) {
	s, err := identity.ParseSystem(system)
	if err != nil {
		return identity.Line{}, fault.New(fault.Invalid, op, err)
	}
	e, err := identity.ParseExtension(ext)
	if err != nil {
		return identity.Line{}, fault.New(fault.Invalid, op, err)
	}
	return identity.Line{System: s, Extension: e}, nil
}

// The enums of the wire and of the core have the same numbers; the tests hold
// them to it. What is newer than this build becomes "unspecified".

func statusOut(s presence.Status) eventv1.Status { return eventv1.Status(s) }

func statusIn(s eventv1.Status) presence.Status {
	if _, known := eventv1.Status_name[int32(s)]; !known {
		return presence.Unset
	}
	return presence.Status(s)
}

// PersonKey is the key of a person in subjects and buckets.
func PersonKey(p identity.Person) string { return topology.Join(string(p.Tenant), string(p.User)) }

// LineKey is the key of a line in subjects and buckets.
func LineKey(l identity.Line) string { return topology.Join(string(l.System), string(l.Extension)) }

// ParsePersonKey is the inverse of PersonKey.
func ParsePersonKey(key string) (identity.Person, error) {
	ids, err := topology.Split(key)
	if err != nil || len(ids) != 2 {
		return identity.Person{}, fault.Errorf(fault.Invalid, "wire: person key", "%q is not tenant.user", key)
	}
	return person("wire: person key", ids[0], ids[1])
}

// ParseLineKey is the inverse of LineKey.
func ParseLineKey(key string) (identity.Line, error) {
	ids, err := topology.Split(key)
	if err != nil || len(ids) != 2 {
		return identity.Line{}, fault.Errorf(fault.Invalid, "wire: line key", "%q is not system.extension", key)
	}
	return line("wire: line key", ids[0], ids[1])
}
