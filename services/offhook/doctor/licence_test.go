package doctor_test

import (
	"testing"
	"time"

	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx/pbxsim"
)

// ward is a 3CX with its entry, whose licence can be changed.
func ward(t *testing.T) (*pbxsim.Sim, *patient) {
	t.Helper()
	s := settings{authority: newAuthority(t, time.Now())}
	sim, err := pbxsim.Start(pbxsim.Config{Authority: s.authority, System: "hq", Extensions: 3})
	must(t, err)
	t.Cleanup(sim.Close)
	id, password := sim.Credentials()
	return sim, &patient{entry: entry(t, s, "3cx", sim.URL(), id, password, nil)}
}

func TestALicenceIsExamined(t *testing.T) {
	now := time.Now()
	for name, c := range map[string]struct {
		active bool
		ends   time.Time
		want   want
	}{
		"it never ends":      {true, time.Time{}, want{"OH-PBX-013", "ok", "", ""}},
		"it lasts":           {true, now.AddDate(1, 0, 0), want{"OH-PBX-013", "ok", "", ""}},
		"it ends soon":       {true, now.AddDate(0, 0, 10), want{"OH-PBX-013", "warning", "ends in", "edition Enterprise"}},
		"it has ended":       {true, now.AddDate(0, 0, -1), want{"OH-PBX-013", "problem", "ended on", "edition Enterprise"}},
		"it is switched off": {false, time.Time{}, want{"OH-PBX-013", "problem", "not active", "edition Enterprise"}},
	} {
		t.Run(name, func(t *testing.T) {
			sim, p := ward(t)
			sim.License(c.active, c.ends)
			says(t, examined(t, p.entry, presence.TeamsToPBX, nil), c.want)
		})
	}
}

func TestAPhoneSystemWithoutALicenceForItsInterfaceIsNamed(t *testing.T) {
	sim, p := ward(t)
	sim.Inject(pbxsim.Fault{Kind: pbxsim.Unlicensed})
	says(t, examined(t, p.entry, presence.TeamsToPBX, nil), want{"OH-PBX-001", "problem", "licence of the phone system does not allow this", "edition Enterprise"})
}
