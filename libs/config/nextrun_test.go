package config

import (
	"testing"
	"time"
)

func TestTheNextRun(t *testing.T) {
	for _, c := range []struct{ claim, at, zone, after, want string }{
		{"later on the same day", "0 2 * * *", "UTC", "2026-11-24T01:59:59Z", "2026-11-24T02:00:00Z"},
		{"a run is not next to itself", "0 2 * * *", "UTC", "2026-11-24T02:00:00Z", "2026-11-25T02:00:00Z"},
		{"by the clocks of the zone", "0 2 * * *", "Europe/Berlin", "2026-11-24T00:30:00Z", "2026-11-24T01:00:00Z"},
		{"the zone's date counts, not that of UTC", "30 0 25 * *", "Asia/Tokyo", "2026-11-24T15:00:00Z", "2026-11-24T15:30:00Z"},
		{"a skipped time is when clocks are put forward", "30 2 * * *", "Europe/Berlin", "2027-03-27T12:00:00Z", "2027-03-28T01:00:00Z"},
		{"and the day after it is itself again", "30 2 * * *", "Europe/Berlin", "2027-03-28T01:00:00Z", "2027-03-29T00:30:00Z"},
		{"of a time that is shown twice the first counts", "30 2 * * *", "Europe/Berlin", "2026-10-24T12:00:00Z", "2026-10-25T00:30:00Z"},
		{"and not the second", "30 2 * * *", "Europe/Berlin", "2026-10-25T00:30:00Z", "2026-10-26T01:30:00Z"},
		{"west of Greenwich as well", "30 1 * * *", "America/New_York", "2026-10-31T12:00:00Z", "2026-11-01T05:30:00Z"},
		{"a skipped time west of Greenwich", "30 2 * * *", "America/New_York", "2027-03-13T12:00:00Z", "2027-03-14T07:00:00Z"},
		{"both words for Sunday", "0 0 * * 7", "UTC", "2026-11-24T00:00:00Z", "2026-11-29T00:00:00Z"},
		{"either a day or a weekday", "0 0 30 * mon", "UTC", "2026-11-24T00:00:00Z", "2026-11-30T00:00:00Z"},
		{"weekdays alone", "0 6 * * mon-fri", "UTC", "2026-11-27T07:00:00Z", "2026-11-30T06:00:00Z"},
		{"a leap day that is eight years away", "0 0 29 2 *", "UTC", "2096-03-01T00:00:00Z", "2104-02-29T00:00:00Z"},
		{"steps", "*/15 * * * *", "UTC", "2026-11-24T10:46:00Z", "2026-11-24T11:00:00Z"},
	} {
		after, err := time.Parse(time.RFC3339, c.after)
		must(t, err)
		if got := (Users{At: c.at, Zone: c.zone}).NextRun(after).UTC().Format(time.RFC3339); got != c.want {
			t.Errorf("%s: %s after %s is %s, want %s", c.claim, c.at, c.after, got, c.want)
		}
	}
	for _, u := range []Users{{At: "", Zone: "UTC"}, {At: "0 2 * * *", Zone: "Nowhere/Land"}} {
		if got := u.NextRun(time.Now()); !got.IsZero() {
			t.Errorf("%+v runs at %v", u, got)
		}
	}
}
