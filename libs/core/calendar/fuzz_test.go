package calendar_test

import (
	"errors"
	"strings"
	"testing"
	"time"
	_ "time/tzdata" // the same zones everywhere

	"offhook.dev/libs/core/calendar"
)

const wall = "2006-01-02T15:04:05"

// shows is what a clock in a zone shows at a moment, as if it hung in UTC.
func shows(at time.Time, zone *time.Location) time.Time {
	local := at.In(zone)
	_, offset := local.Zone()
	return at.UTC().Add(time.Duration(offset) * time.Second)
}

// first fails unless at is the first moment at which clocks in a zone show what is
// written or more.
func first(t *testing.T, at time.Time, written string, zone *time.Location) {
	t.Helper()
	clock, err := time.Parse(wall, written)
	if err != nil {
		t.Fatalf("%q was taken for a time: %v", written, at)
	}
	if at.Location() != time.UTC {
		t.Errorf("%q in %s became a time in %s", written, zone, at.Location())
	}
	if now, before := shows(at, zone), shows(at.Add(-1), zone); now.Before(clock) || !before.Before(clock) {
		t.Errorf("%q in %s became %v, where clocks show %v, and %v just before", written, zone, at, now, before)
	}
	again, err := calendar.ParseTimeIn(shows(at, zone).Format(wall+".999999999"), zone)
	if err != nil || !again.Equal(at) {
		t.Errorf("%q in %s became %v, and what clocks show then %v, %v", written, zone, at, again, err)
	}
}

// refused fails unless an error is one of those that quote nothing, with no time beside it.
func refused(t *testing.T, at time.Time, err error) {
	t.Helper()
	if err != calendar.ErrNoZone && err != calendar.ErrUnknownZone && err != calendar.ErrNotATime || !at.IsZero() {
		t.Errorf("refused with %v, %v", at, err)
	}
}

// zoneNamed is what ParseTime takes a name for.
func zoneNamed(name string) *time.Location {
	if strings.EqualFold(name, "UTC") {
		return time.UTC
	}
	zone, err := time.LoadLocation(name)
	if err != nil || name == "" {
		return nil
	}
	return zone
}

func FuzzParseTime(f *testing.F) {
	f.Add("2026-03-29T02:30:00.0000000", "Europe/Berlin") // there is none
	f.Add("2026-10-25T02:30:00", "Europe/Berlin")         // there are two
	f.Add("2011-12-30T00:00:00", "Pacific/Apia")          // a day that there was not
	f.Add("0000-01-01T00:00:00", "Asia/Manila")
	f.Add("9999-12-31T23:59:59,9", "utc")
	f.Add("2026-06-02T09:30:00Z", "UTC")
	f.Add("2026-06-02T9:30:00", "Local")
	f.Add("2026-06-02T09:30:00."+strings.Repeat("0", 500), "W. Europe Standard Time")
	f.Fuzz(func(t *testing.T, written, zone string) {
		at, err := calendar.ParseTime(written, zone)
		if err != nil {
			refused(t, at, err)
			return
		}
		if strings.EqualFold(zone, "Local") || zoneNamed(zone) == nil {
			t.Fatalf("the zone %q is known", zone)
		}
		first(t, at, written, zoneNamed(zone))
	})
}

func FuzzParseDate(f *testing.F) {
	f.Add("2026-06-02T00:00:00.0000000", "UTC", "Europe/Berlin")
	f.Add("2018-11-04T00:00:00", "Eastern Standard Time", "America/Sao_Paulo") // which began at one
	f.Add("2011-12-30T00:00:00", "UTC", "Pacific/Apia")
	f.Add("2026-06-02T09:00:00", "Europe/Berlin", "America/New_York") // no date after all
	f.Add("2026-06-02T00:00:00.1", "UTC", "")
	f.Add("2026-06-02", "", "UTC")
	f.Fuzz(func(t *testing.T, written, zone, home string) {
		mailbox := zoneNamed(home)
		at, err := calendar.ParseDate(written, zone, mailbox)
		if err != nil {
			refused(t, at, err)
			return
		}
		if mailbox == nil {
			mailbox = time.UTC
		}
		if clock, err := time.Parse(wall, written); err != nil || !clock.Truncate(24*time.Hour).Equal(clock) {
			same, err := calendar.ParseTime(written, zone)
			if err != nil || !same.Equal(at) {
				t.Errorf("%q in %q is no midnight, and became %v instead of %v, %v", written, zone, at, same, err)
			}
			return
		}
		first(t, at, written, mailbox)
		if other, err := calendar.ParseDate(written, zone+"?", mailbox); err != nil || !other.Equal(at) {
			t.Errorf("%q became %v, and %v, %v beside another zone", written, at, other, err)
		}
		if _, err := calendar.ParseDate(written, "", mailbox); !errors.Is(err, calendar.ErrNoZone) {
			t.Errorf("%q without a zone: %v", written, err)
		}
	})
}
