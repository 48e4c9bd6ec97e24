package e2e

import (
	"testing"
	"time"

	"offhook.dev/libs/core/presence"
	"offhook.dev/services/e2e/world"
)

// Offhook dies while it has pinned somebody in Teams and shows somebody else's call. Nobody
// clears either: both end by themselves in Microsoft's Teams, the pin after two hours at
// most. The simulator's hours are five seconds long.
func TestWhatOffhookMadeTeamsShowEndsByItselfWhenOffhookDies(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.Options{Mode: presence.Both, TimeScale: 720})
	w.Start()
	w.Settled(2)
	if !w.PBX.SetStatus(world.Extension(0), presence.DND) {
		t.Fatal("there is no such extension")
	}
	if _, err := w.PBX.StartCall(world.Extension(1), ""); err != nil {
		t.Fatal(err)
	}
	wrote(t, w, "setUserPreferredPresence")
	wrote(t, w, "setPresence")
	for _, part := range world.Parts() {
		w.Stop(string(part.Name))
	}
	w.InTeams("ben", "Available/Available", 120*time.Second)
	w.InTeams("anna", "Available/Available", 180*time.Second)
	for _, write := range w.Tenant.PresenceWrites().Last {
		switch write.Call {
		case "clearPresence", "clearUserPreferredPresence":
			t.Errorf("somebody cleared: %+v", write)
		case "setUserPreferredPresence":
			if write.Seconds <= 0 || write.Seconds > (2*time.Hour).Seconds() {
				t.Errorf("a pin of %v seconds", write.Seconds)
			}
		}
	}
}
