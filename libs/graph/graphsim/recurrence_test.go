package graphsim_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"offhook.dev/libs/graph/graphsim"
)

const dateForm = "2006-01-02"

// walked computes a series without the arithmetic of the simulator: it walks over
// UTC minute by minute and reads the clock on the wall of the zone.
type walked struct {
	zone     *time.Location
	first    time.Time // on the wall, as if UTC
	minutes  int       // from midnight
	every    string
	interval int
	days     []time.Weekday
	until    string
	count    int
}

// starts lists the starts up to an instant.
func (w walked) starts(to time.Time) []time.Time {
	var found []time.Time
	wallOf := func(at time.Time) (date string, minutes int, day time.Weekday) {
		local := at.In(w.zone)
		return local.Format(dateForm), local.Hour()*60 + local.Minute(), local.Weekday()
	}
	done := "" // the newest date on which the time has come
	day, week, lastDate := -1, 0, ""
	firstDate := w.first.Format(dateForm)
	matches := false
	for at := w.first.Add(-26 * time.Hour).Truncate(time.Minute); at.Before(to.Add(time.Minute)); at = at.Add(time.Minute) {
		date, minutes, weekday := wallOf(at)
		if date < firstDate {
			continue
		}
		if date != lastDate {
			lastDate = date
			if day++; weekday == time.Sunday && day > 0 {
				week++
			}
			matches = w.every == "day" && day%w.interval == 0 || w.every == "week" && week%w.interval == 0 && slices.Contains(w.days, weekday)
		}
		if w.until != "" && date > w.until || w.count > 0 && len(found) == w.count {
			break
		}
		if !matches || done == date || minutes < w.minutes {
			continue
		}
		// The first minute at or after the wanted one. Where the clock jumped over it,
		// the old clock would have shown it so much later.
		before, previous, _ := wallOf(at.Add(-time.Minute))
		late := 0
		if minutes > w.minutes && before == date {
			late = w.minutes - previous - 1
		}
		done = date
		if start := at.Add(time.Duration(late) * time.Minute); start.Before(to) {
			found = append(found, start)
		}
	}
	return found
}

func TestASeriesIsWhereTheClockOnTheWallPutsIt(t *testing.T) {
	const seed = 20261126
	random := rand.New(rand.NewPCG(seed, 1))
	t.Logf("seed %d", seed)
	s := start(t, func(c *graphsim.Config) { c.Tenants[0].Users = 50 })
	zones := []struct{ name, iana string }{
		{"W. Europe Standard Time", "Europe/Berlin"}, {"Pacific Standard Time", "America/Los_Angeles"}, {"GMT Standard Time", "Europe/London"},
		{"Lord Howe Standard Time", "Australia/Lord_Howe"}, {"Cen. Australia Standard Time", "Australia/Adelaide"},
		{"Newfoundland Standard Time", "America/St_Johns"}, {"India Standard Time", "Asia/Kolkata"}, {"Pacific SA Standard Time", "America/Santiago"},
	}
	springs := []time.Time{time.Date(2026, 3, 26, 0, 0, 0, 0, time.UTC), time.Date(2026, 10, 22, 0, 0, 0, 0, time.UTC),
		time.Date(2026, 3, 5, 0, 0, 0, 0, time.UTC), time.Date(2026, 10, 29, 0, 0, 0, 0, time.UTC), time.Date(2026, 4, 2, 0, 0, 0, 0, time.UTC), time.Date(2026, 10, 1, 0, 0, 0, 0, time.UTC)}
	compared, odd := 0, 0
	for n := range 120 {
		zone := zones[n%len(zones)]
		location, err := time.LoadLocation(zone.iana)
		check(t, err)
		w := walked{zone: location, every: []string{"day", "week"}[random.IntN(2)], interval: 1 + random.IntN(2),
			first: springs[random.IntN(len(springs))].AddDate(0, 0, random.IntN(5)), minutes: 15 * random.IntN(96)}
		if random.IntN(2) == 0 {
			w.minutes = 60 + 15*random.IntN(10) // when clocks change
		}
		length := time.Duration(15+15*random.IntN(8)) * time.Minute
		first := time.Date(w.first.Year(), w.first.Month(), w.first.Day(), 0, w.minutes, 0, 0, location)
		if local := first.In(location); local.Hour()*60+local.Minute() != w.minutes {
			continue // a series cannot begin at a time that there is not
		}
		repeat := &graphsim.Recurrence{Every: w.every, Interval: w.interval}
		if w.every == "week" {
			w.days = []time.Weekday{first.Weekday()}
			for day := range 7 {
				if random.IntN(3) == 0 && !slices.Contains(w.days, time.Weekday(day)) {
					w.days = append(w.days, time.Weekday(day))
				}
			}
			repeat.Days = w.days
		}
		switch random.IntN(3) {
		case 0:
			w.until = w.first.AddDate(0, 0, 5+random.IntN(10)).Format(dateForm)
			repeat.Until = w.until
		case 1:
			w.count = 1 + random.IntN(9)
			repeat.Count = w.count
		}
		to := w.first.AddDate(0, 0, 16)
		user := s.contoso().UserIDs()[n%50]
		id, err := s.contoso().AddMeeting(user, graphsim.Meeting{Start: first, End: first.Add(length), Zone: zone.name, Repeat: repeat})
		check(t, err)
		all, err := s.contoso().Calendar(user, w.first.AddDate(0, 0, -3), to)
		check(t, err)
		var got []string
		for _, o := range all {
			got = append(got, o.Start.Format(time.RFC3339))
		}
		var want []string
		for _, at := range w.starts(to) {
			want = append(want, at.UTC().Format(time.RFC3339))
			if local := at.In(location); local.Hour()*60+local.Minute() != w.minutes {
				odd++
			}
		}
		compared += len(want)
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%d: %s %+v from %s:\n got %v\nwant %v", n, zone.name, *repeat, first.Format(time.RFC3339), got, want)
		}
		check(t, s.contoso().DeleteMeeting(user, id))
	}
	if compared < 400 || odd == 0 {
		t.Errorf("%d occurrences compared, %d of them at a time that clocks skip: that proves little", compared, odd)
	}
	t.Logf("%d occurrences, %d of them at a time that clocks skip", compared, odd)
}
