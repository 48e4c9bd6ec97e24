package pbxsim

import (
	"slices"
	"testing"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
)

func TestAnOlderStatusAfterANewerOneIsFound(t *testing.T) {
	order := []presence.Status{presence.DND, presence.Away}
	write := func(ext identity.Extension, s presence.Status) Write { return Write{Extension: ext, Status: s} }
	right := []Write{write("100", presence.DND), write("101", presence.Away), write("100", presence.Away), write("100", presence.Away)}
	if found := Late(right, order); len(found) != 0 {
		t.Errorf("found %v in a ledger that is right", found)
	}
	for _, wrong := range []Write{write("100", presence.DND), write("101", presence.DND), write("101", presence.Lunch)} {
		if found := Late(append(slices.Clone(right), wrong), order); len(found) != 1 {
			t.Errorf("%+v after the newer status is not found", wrong)
		}
	}
}
