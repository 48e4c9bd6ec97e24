package e2e

import (
	"testing"
	"time"

	"offhook.dev/libs/core/presence"
	"offhook.dev/services/e2e/world"
)

// Microsoft adds values now and then. One that nobody has seen changes nothing while
// the last one is not ten minutes old, and the next known one counts again.
func TestAPresenceNeverSeenBeforeLeavesThePhoneAsItIs(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.Options{})
	w.Start()
	w.Settled(2)
	w.Set("anna", "Busy", "InAMeeting")
	w.Shows(world.Extension(0), presence.DND, 30*time.Second)
	for _, never := range []struct{ availability, activity string }{
		{"Hibernating", "Hibernating"}, {"hibernating", "Dreaming"}, {"休暇中", "?"}, {"Presence Of Mind", ""},
	} {
		w.Set("anna", never.availability, never.activity)
		w.Heard("anna", never.availability, 30*time.Second)
		if shown, _ := w.PBX.Shown(world.Extension(0)); shown.Status != presence.DND {
			t.Errorf("%s/%s made the phone show %s", never.availability, never.activity, shown.Status)
		}
	}
	w.Set("ben", "Busy", "InACall") // nobody else is kept waiting
	w.Shows(world.Extension(1), presence.DND, 30*time.Second)
	// A known activity says what an unknown availability does not.
	w.Set("anna", "Available", "Available")
	w.Shows(world.Extension(0), presence.Available, 30*time.Second)
	w.Set("anna", "Hibernating", "InAMeeting")
	w.Shows(world.Extension(0), presence.DND, 30*time.Second)
}
