package e2e

import (
	"testing"
	"time"

	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/services/e2e/world"
)

func TestACallOnThePhoneShowsInTeamsWhileItLasts(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.Options{Webhook: true, Mode: presence.Both})
	w.Start()
	w.Settled(1)
	if _, err := w.PBX.StartCall(world.Extension(0), ""); err != nil {
		t.Fatal(err)
	}
	w.InTeams("anna", "Busy/InACall", 30*time.Second)
	if w.PBX.EndCalls(world.Extension(0)) == 0 {
		t.Fatal("there was no call to end")
	}
	w.InTeams("anna", "Available/Available", 30*time.Second)
	// Our own session came back as a presence, and changed nothing on the phone.
	if shown, _ := w.PBX.Shown(world.Extension(0)); shown.Status != presence.Available {
		t.Errorf("the phone shows %q after its own call", shown.Status)
	}
	writes := w.Tenant.PresenceWrites().Users
	if len(writes) != 1 {
		t.Errorf("written for %d people", len(writes))
	}
	for user, tally := range writes {
		if tally != (graphsim.PresenceTally{Changed: 2}) {
			t.Errorf("%s: %+v, want one session set and cleared", user, tally)
		}
	}
}

// The person pins Teams by choosing dnd on the phone, and frees both by choosing
// available in Teams. What they pinned there is not fought for.
func TestAChoiceOnThePhoneShowsInTeamsUntilThePersonSaysOtherwise(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.Options{Webhook: true, Mode: presence.Both})
	w.Start()
	w.Settled(1)
	if !w.PBX.SetStatus(world.Extension(0), presence.DND) {
		t.Fatal("there is no such extension")
	}
	w.InTeams("anna", "DoNotDisturb/DoNotDisturb", 30*time.Second)
	// What was over before Offhook heard of it cannot be told from a pin that never showed.
	w.Heard("anna", "DoNotDisturb", 30*time.Second)
	if err := w.Tenant.PreferPresence("anna", "Available", "Available", time.Hour); err != nil {
		t.Fatal(err)
	}
	w.Shows(world.Extension(0), presence.Available, 30*time.Second)
	w.InTeams("anna", "Available/Available", 30*time.Second)
}

func TestAPhoneThatOffhookMadeSilentDoesNotPinTeams(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.Options{Webhook: true, Mode: presence.Both})
	w.Start()
	w.Settled(1)
	for range 3 {
		w.Set("anna", "Busy", "InAMeeting")
		w.Shows(world.Extension(0), presence.DND, 30*time.Second)
		w.Set("anna", "Available", "Available")
		w.Shows(world.Extension(0), presence.Available, 30*time.Second)
	}
	if writes := w.Tenant.PresenceWrites().Users; len(writes) != 0 {
		t.Errorf("Offhook wrote to Teams what it had made the phone show: %+v", writes)
	}
}
