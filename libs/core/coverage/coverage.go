package coverage

import (
	"cmp"
	"slices"

	"offhook.dev/libs/core/identity"
)

// MaxUsers is how many users a lane can have: what Graph allows in one subscription
// to the presence of several users (https://learn.microsoft.com/graph/api/resources/presence).
const MaxUsers = 650

// LaneID names a lane.
type LaneID string

// Lane is a subscription that there can be.
type Lane struct {
	ID       LaneID
	Capacity int  // how many users it can have, 0 to MaxUsers
	Usable   bool // it works; one that fails keeps its users and gets no new ones
}

// User is somebody to be covered.
type User struct {
	ID       identity.User
	Priority int    // as configured: the higher, the earlier; 0 where nothing is
	Activity uint32 // changes of presence in a day
}

// Assignment says who is on which lane. It is stored as JSON. The zero Assignment has
// no lanes.
type Assignment struct {
	Lanes   map[LaneID][]identity.User `json:"lanes,omitempty"`    // every lane with its users, sorted
	LeftOut []identity.User            `json:"left_out,omitempty"` // on no lane, sorted: swept only
}

// Changed lists, sorted, the lanes that have other users in next, and those that are
// in one assignment alone and have users there: what must be subscribed anew, or
// given up.
func (a Assignment) Changed(next Assignment) []LaneID {
	var changed []LaneID
	for id, users := range a.Lanes {
		if !slices.Equal(users, next.Lanes[id]) {
			changed = append(changed, id)
		}
	}
	for id, users := range next.Lanes {
		if _, known := a.Lanes[id]; !known && len(users) > 0 {
			changed = append(changed, id)
		}
	}
	slices.Sort(changed)
	return changed
}

// The difference in activity that is worth a change of lanes.
const (
	clearTimes = 2
	clearMore  = 10
)

// strength orders users by their right to a place, the stronger first; 0 where it is
// equal.
func strength(a, b User) int {
	if c := cmp.Compare(b.Priority, a.Priority); c != 0 {
		return c
	}
	return cmp.Compare(b.Activity, a.Activity)
}

// beats says whether a, who is left out, may take the place of b. It is monotone in
// strength: whoever is stronger than a beats b as well, and a beats whoever is weaker
// than b.
func beats(a, b User) bool {
	if a.Priority != b.Priority {
		return a.Priority > b.Priority
	}
	return uint64(a.Activity) > clearTimes*uint64(b.Activity)+clearMore
}
