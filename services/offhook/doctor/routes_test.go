package doctor_test

import (
	"slices"
	"testing"
	"time"

	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx/pbxsim"
	"offhook.dev/services/offhook/doctor"
)

// Offhook writes no texts of statuses, and whoever wonders which is shown is told.
func TestTheTextOfAStatusIsShownBesideWhereCallsGo(t *testing.T) {
	s := settings{authority: newAuthority(t, time.Now())}
	profiles := pbxsim.DefaultProfiles()
	profiles[3].CustomMessage = "At the canteen"
	sim, err := pbxsim.Start(pbxsim.Config{Authority: s.authority, System: "hq", Extensions: 3, Profiles: profiles})
	must(t, err)
	t.Cleanup(sim.Close)
	id, password := sim.Credentials()
	checks := examined(t, entry(t, s, "3cx", sim.URL(), id, password, nil), presence.TeamsToPBX, nil)
	const lunch = `calls of 200 (as an example) while it shows lunch: the phone rings, then voicemail; queues are kept; its text is "At the canteen"`
	if !slices.ContainsFunc(checks, func(c doctor.Check) bool { return c.Check == lunch && c.Level == "ok" }) {
		t.Errorf("%q is not among %+v", lunch, checks)
	}
}
