package wire

import (
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/topology"
	eventv1 "offhook.dev/proto/gen/offhook/event/v1"
)

// InventoryWant asks for the extensions of a phone system to be listed anew: something is
// about to be planned by what they are. A listing that began at WantedAt (broker time) or
// later answers it, which System.ListedAt tells.
type InventoryWant struct {
	System   identity.System
	WantedAt time.Time
}

// InventoryWantSubject is the subject of the want for a listing.
func InventoryWantSubject(s identity.System) string {
	return "pbx.want.inventory." + topology.Token(string(s))
}

// Encode implements Message.
func (w InventoryWant) Encode() (string, []byte) {
	return InventoryWantSubject(w.System), marshal(&eventv1.InventoryWant{System: string(w.System), WantedAt: stamp(w.WantedAt)})
}

// DecodeInventoryWant is the inverse of InventoryWant.Encode.
func DecodeInventoryWant(data []byte) (InventoryWant, error) {
	var m eventv1.InventoryWant
	if err := unmarshal(data, &m); err != nil {
		return InventoryWant{}, err
	}
	id, err := identity.ParseSystem(m.System)
	if err != nil {
		return InventoryWant{}, fault.New(fault.Invalid, "wire: inventory want", err)
	}
	return InventoryWant{System: id, WantedAt: moment(m.WantedAt)}, nil
}
