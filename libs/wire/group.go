package wire

import (
	"encoding/hex"
	"errors"
	"slices"
	"strings"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/topology"
	eventv1 "offhook.dev/proto/gen/offhook/event/v1"
)

// Problems of a Group.
const (
	GroupGone     = "gone"      // there is no such group any more: nobody is in it
	GroupDenied   = "denied"    // Graph refuses to tell: who was in it last counts
	GroupTooLarge = "too-large" // it has more users than can be read: who was in it last counts
	GroupUnnamed  = "unnamed"   // nothing names it any more, so nobody reads it: nobody is in it
)

// Group is who is in a group of the directory, all of them.
type Group struct {
	Tenant  identity.Tenant
	ID      identity.Group
	Name    string          // as people call it; "" where that is not known
	Members []identity.User // also those of groups in it; sorted, each once
	// Problem is why these may not be the members of now; "" where they are.
	Problem string
	SeenAt  time.Time
}

// Encode implements Message.
func (g Group) Encode() (string, []byte) {
	return GroupSubject(g.Tenant, g.ID), marshal(&eventv1.GroupFact{
		Tenant: string(g.Tenant), Group: string(g.ID), Name: clean(g.Name), Members: packed(g.Members), Problem: clean(g.Problem), SeenAt: stamp(g.SeenAt),
	})
}

// GroupSubject is the subject of a group.
func GroupSubject(t identity.Tenant, id identity.Group) string {
	return "m365.fact.group." + topology.Join(string(t), string(id))
}

// DecodeGroup is the inverse of Group.Encode.
func DecodeGroup(data []byte) (Group, error) {
	const op = "wire: group"
	var m eventv1.GroupFact
	if err := unmarshal(data, &m); err != nil {
		return Group{}, err
	}
	tenant, err := identity.ParseTenant(m.Tenant)
	if err != nil {
		return Group{}, fault.New(fault.Invalid, op, err)
	}
	id, err := identity.ParseGroup(m.Group)
	if err != nil {
		return Group{}, fault.New(fault.Invalid, op, err)
	}
	members, err := unpacked(m.Members)
	if err != nil {
		return Group{}, fault.New(fault.Invalid, op, err)
	}
	return Group{Tenant: tenant, ID: id, Name: m.Name, Members: members, Problem: m.Problem, SeenAt: moment(m.SeenAt)}, nil
}

// idSize is how many bytes an object id has.
const idSize = 16

// packed writes object ids as their bytes: a group of 20,000 takes 320 KB, and the
// most that fit into a message of the broker are graph.MaxGroupMembers. What is no
// object id is left out: identity.ParseUser lets nothing else through.
func packed(users []identity.User) []byte {
	if len(users) == 0 {
		return nil
	}
	data := make([]byte, 0, idSize*len(users))
	for _, user := range users {
		if id, err := hex.DecodeString(strings.ReplaceAll(string(user), "-", "")); err == nil && len(id) == idSize {
			data = append(data, id...)
		}
	}
	return data
}

// unpacked is the inverse of packed. Order and repetition are put right.
func unpacked(data []byte) ([]identity.User, error) {
	if len(data)%idSize != 0 {
		return nil, errors.New("members: not a whole number of object ids")
	}
	if len(data) == 0 {
		return nil, nil
	}
	users := make([]identity.User, 0, len(data)/idSize)
	for id := range slices.Chunk(data, idSize) {
		t := hex.EncodeToString(id)
		users = append(users, identity.User(t[:8]+"-"+t[8:12]+"-"+t[12:16]+"-"+t[16:20]+"-"+t[20:]))
	}
	slices.Sort(users)
	return slices.Compact(users), nil
}
