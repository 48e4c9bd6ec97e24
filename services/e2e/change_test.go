package e2e

import (
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/presence"
	"offhook.dev/services/e2e/world"
)

func TestATeamsChangeReachesThePhoneBySweep(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.Options{})
	w.Start()
	w.Set("anna", "Busy", "InAMeeting")
	w.Shows(world.Extension(0), presence.DND, 30*time.Second)
	w.Set("anna", "Available", "Available")
	w.Shows(world.Extension(0), presence.Available, 10*time.Second)
}

// The sweep is made so slow that only a notification can be in time.
func TestATeamsChangeReachesThePhoneByNotification(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.Options{Webhook: true, Sweep: time.Hour})
	w.Start()
	w.Eventually(30*time.Second, func() string {
		for _, s := range w.Tenant.Subscriptions() {
			if strings.Contains(s.Resource, "presences") {
				return ""
			}
		}
		return "no presence subscription"
	})
	w.Set("ben", "Busy", "InAMeeting")
	began := time.Now()
	w.Shows(world.Extension(1), presence.DND, 30*time.Second)
	t.Logf("from Graph's change to the phone system: %v", time.Since(began))
}
