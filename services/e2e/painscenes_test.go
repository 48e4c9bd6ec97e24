package e2e

import (
	"fmt"
	"testing"
	"time"

	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/run"
	"offhook.dev/services/e2e/world"
)

// While nobody answers Graph's calls, it tries again for hours; the calendar is swept
// every 15 minutes only.
func TestWhatHappensWhileNobodyAnswersGraphIsToldAfterwards(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.Options{Webhook: true, TimeScale: 100}) // the first repetition after 0.3 s
	w.Start()
	w.Settled(1)
	hearsOf(w, w.Tenant.UserIDs()[0])
	w.Stop("webhook-receiver")
	now := time.Now()
	meeting(t, w, "anna", now.Add(-time.Minute), now.Add(time.Hour))
	w.Set("anna", "Offline", "Offline")
	w.Eventually(30*time.Second, func() string {
		if l := w.Tenant.Ledger().Total; l.Other < 2 || l.Pending == 0 {
			return fmt.Sprintf("nobody was called in vain: %+v", l)
		}
		return ""
	})
	w.Run(part("webhook-receiver"))
	w.Shows(world.Extension(0), presence.DND, 60*time.Second)
}

func part(name string) run.Part {
	for _, p := range world.Parts() {
		if string(p.Name) == name {
			return p
		}
	}
	panic("no service is called " + name)
}

// Graph tells two or three times of one change; the phone system is written to once.
func TestManyNotificationsOfOneChangeAreOneWrite(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.Options{Webhook: true})
	if _, err := w.Tenant.Fault(graphsim.Fault{Kind: graphsim.FaultDouble}); err != nil {
		t.Fatal(err)
	}
	w.Start()
	w.Settled(2)
	subscribedTo(w)
	wanted := 0
	for _, busy := range []bool{true, false, true, false} {
		if wanted++; busy {
			w.Set("anna", "Busy", "InAMeeting")
			w.Shows(world.Extension(0), presence.DND, 30*time.Second)
			continue
		}
		w.Set("anna", "Available", "Available")
		w.Shows(world.Extension(0), presence.Available, 30*time.Second)
	}
	w.Set("ben", "Busy", "InAMeeting") // when this shows, whatever else was under way has ended
	w.Shows(world.Extension(1), presence.DND, 30*time.Second)
	written := 0
	for _, write := range w.PBX.Writes() {
		if write.Extension == world.Extension(0) {
			written++
		}
	}
	if l := w.Tenant.Ledger().Total; l.Doubled == 0 || written != wanted {
		t.Errorf("%d changes, %d writes, %d notifications came twice", wanted, written, l.Doubled)
	}
}

// A call on the phone in the middle of a meeting must not leave Teams busy when both
// are over.
func TestACallInsideOfAMeetingLeavesTeamsAsTheMeetingHasIt(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.Options{Webhook: true, Mode: presence.Both})
	w.Start()
	w.Settled(1)
	w.Set("anna", "Busy", "InAMeeting")
	w.Shows(world.Extension(0), presence.DND, 30*time.Second)
	if _, err := w.PBX.StartCall(world.Extension(0), ""); err != nil {
		t.Fatal(err)
	}
	wrote(t, w, "setPresence")
	w.PBX.EndCalls(world.Extension(0))
	wrote(t, w, "clearPresence")
	w.InTeams("anna", "Busy/InAMeeting", 30*time.Second)
	if shown, _ := w.PBX.Shown(world.Extension(0)); shown.Status != presence.DND {
		t.Errorf("in the meeting the phone shows %s", shown.Status)
	}
	w.Set("anna", "Available", "Available")
	w.InTeams("anna", "Available/Available", 30*time.Second)
	w.Shows(world.Extension(0), presence.Available, 30*time.Second)
	lawful(t, w)
}

// A call on the phone is a session of the application in Teams and nothing that is preferred:
// others see that the person is in a call, and Teams rings all the same. Offhook does not
// silence Teams for a call (docs/presence.md).
func TestACallOnThePhoneIsShownAndSilencesNothingInTeams(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.Options{Mode: presence.Both})
	w.Start()
	w.Settled(1)
	if _, err := w.PBX.StartCall(world.Extension(0), ""); err != nil {
		t.Fatal(err)
	}
	w.InTeams("anna", "Busy/InACall", 30*time.Second)
	w.PBX.EndCalls(world.Extension(0))
	w.InTeams("anna", "Available/Available", 30*time.Second)
	for _, write := range w.Tenant.PresenceWrites().Last {
		if write.Call != "setPresence" && write.Call != "clearPresence" || write.Call == "setPresence" && write.Availability != "Busy" {
			t.Errorf("for a call Graph was asked for %+v", write)
		}
	}
}

// wrote waits until Graph was asked to write in a certain way.
func wrote(t *testing.T, w *world.World, call string) {
	t.Helper()
	w.Eventually(30*time.Second, func() string {
		for _, each := range w.Tenant.PresenceWrites().Last {
			if each.Call == call {
				return ""
			}
		}
		return "Graph was not asked for " + call
	})
}

// What a person has pinned in Teams stays pinned through calls, until the person says
// otherwise: Offhook clears its own pins only.
func TestWhatAPersonPinnedInTeamsIsLeftAlone(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.Options{Webhook: true, Mode: presence.Both})
	w.Start()
	w.Settled(1)
	if err := w.Tenant.PreferPresence("anna", "Busy", "Busy", time.Hour); err != nil {
		t.Fatal(err)
	}
	w.Shows(world.Extension(0), presence.DND, 30*time.Second)
	if _, err := w.PBX.StartCall(world.Extension(0), ""); err != nil {
		t.Fatal(err)
	}
	wrote(t, w, "setPresence")
	w.PBX.EndCalls(world.Extension(0))
	wrote(t, w, "clearPresence")
	w.InTeams("anna", "Busy/Busy", 30*time.Second)
	w.Shows(world.Extension(0), presence.DND, 30*time.Second)
	for _, write := range w.Tenant.PresenceWrites().Last {
		if write.Call != "setPresence" && write.Call != "clearPresence" {
			t.Errorf("Offhook touched the person's pin: %+v", write)
		}
	}
}
