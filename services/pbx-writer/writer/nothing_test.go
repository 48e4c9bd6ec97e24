package writer

import (
	"testing"

	"offhook.dev/libs/core/presence"
)

func TestALineThatShowsNothingIsNobodysChoice(t *testing.T) {
	wrote := entry{Effect: effectOf(presence.DND, 10, 12)}
	asking := wrote
	asking.Intent = intentOf(presence.Away, presence.DND, 20)
	for _, c := range []struct {
		name   string
		ledger entry
		origin presence.Origin
	}{
		{"before anything was written", entry{}, presence.Ours},
		{"after our write: it was forgotten", wrote, presence.Revert},
		{"after a write whose end is unknown: it did not happen, or was forgotten too", asking, presence.Revert},
	} {
		t.Run(c.name, func(t *testing.T) {
			next, origin, used := c.ledger.observe(reading{status: presence.Unset, began: at(30)})
			if !used || origin != c.origin || next.Person != nil || next.Intent != nil {
				t.Errorf("got %v, used %v, %+v", origin, used, next)
			}
		})
	}
}
