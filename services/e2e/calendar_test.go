package e2e

import (
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/services/e2e/world"
)

// soon is a whole second shortly after now: timers of the broker know no others.
func soon(in time.Duration) time.Time {
	return time.Now().Add(in).Truncate(time.Second).Add(time.Second)
}

func meeting(t *testing.T, w *world.World, user string, from, to time.Time) string {
	t.Helper()
	id, err := w.Tenant.AddMeeting(user, graphsim.Meeting{Start: from, End: to})
	if err != nil {
		t.Fatal(err)
	}
	return id
}

// Somebody who uses a desk phone and never opens Teams. The calendar is read every
// 15 minutes, so that only a notification can be in time.
func TestAMeetingReachesThePhoneByNotificationAndEndsThere(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.Options{Webhook: true})
	w.Set("anna", "Offline", "Offline")
	w.Start()
	w.Settled(1)
	w.Eventually(30*time.Second, func() string {
		for _, s := range w.Tenant.Subscriptions() {
			if strings.Contains(s.Resource, "/events") {
				return ""
			}
		}
		return "no subscription to events"
	})
	from := soon(3 * time.Second)
	meeting(t, w, "anna", from, from.Add(3*time.Second))
	w.Shows(world.Extension(0), presence.DND, 30*time.Second)
	if now := time.Now(); now.Before(from) {
		t.Errorf("dnd %v before the meeting", from.Sub(now))
	}
	w.Shows(world.Extension(0), presence.Available, 30*time.Second)
	if v := w.Tenant.Violations(); len(v) > 0 {
		t.Errorf("Graph's rules were broken: %v", v)
	}
}

func TestACancelledMeetingLeavesThePhoneAlone(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.Options{Webhook: true, Mode: presence.Calendar})
	w.Start()
	w.Settled(1)
	now := time.Now()
	id := meeting(t, w, "anna", now.Add(-time.Minute), now.Add(time.Hour))
	w.Shows(world.Extension(0), presence.DND, 30*time.Second)
	if err := w.Tenant.CancelMeeting("anna", id); err != nil {
		t.Fatal(err)
	}
	w.Shows(world.Extension(0), presence.Available, 30*time.Second)
}

func TestWhereTeamsMayNotBeReadTheCalendarDecides(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.Options{Webhook: true})
	if err := w.Tenant.Revoke(world.App, "Presence.Read.All"); err != nil {
		t.Fatal(err)
	}
	if err := w.Tenant.Revoke(world.App, "Presence.ReadWrite.All"); err != nil { // which permits reading too
		t.Fatal(err)
	}
	now := time.Now()
	meeting(t, w, "anna", now.Add(-time.Minute), now.Add(time.Hour))
	w.Start()
	w.Shows(world.Extension(0), presence.DND, 60*time.Second)
}
