package pbxsim

import (
	"slices"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
)

// Late returns the writes that put an older status over a newer one of the same
// extension. order is the truth, oldest first, without repetition.
func Late(all []Write, order []presence.Status) []Write {
	newest := map[identity.Extension]int{}
	var found []Write
	for _, w := range all {
		at := slices.Index(order, w.Status)
		if at < newest[w.Extension] {
			found = append(found, w)
		}
		newest[w.Extension] = max(newest[w.Extension], at)
	}
	return found
}
