package poller

import (
	"testing"

	"offhook.dev/libs/core/presence"
)

func TestTheModeDecidesWhatIsReadOfAPerson(t *testing.T) {
	for _, c := range []struct {
		mode            presence.Mode
		teams, calendar bool
	}{
		{presence.TeamsToPBX, true, true},
		{presence.Both, true, true},
		{presence.Calendar, false, true},
		{presence.PBXToTeams, true, false}, // what was shown there has to be seen
		{presence.Disabled, false, false},
		{"", false, false},
	} {
		if readsTeams(c.mode) != c.teams || readsCalendars(c.mode) != c.calendar {
			t.Errorf("%q reads Teams: %v, calendars: %v", c.mode, readsTeams(c.mode), readsCalendars(c.mode))
		}
	}
}
