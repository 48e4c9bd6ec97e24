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
	day      int    // of the month
	index    string // which of days in the month
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
	day, week, month, lastDate := -1, 0, 0, ""
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
			if date[8:] == "01" && day > 0 {
				month++
			}
			matches = w.every == "day" && day%w.interval == 0 || w.every == "week" && week%w.interval == 0 && slices.Contains(w.days, weekday) ||
				w.every == "month" && month%w.interval == 0 && w.inMonth(date)
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

// inMonth says whether a date is its month's: it lists the month's dates that come
// into question and takes the one that counts.
func (w walked) inMonth(date string) bool {
	at, err := time.Parse(dateForm, date)
	if err != nil {
		return false
	}
	var all []string
	for each := at.AddDate(0, 0, 1-at.Day()); each.Month() == at.Month(); each = each.AddDate(0, 0, 1) {
		if w.day > 0 && each.Day() <= w.day || w.day == 0 && slices.Contains(w.days, each.Weekday()) {
			all = append(all, each.Format(dateForm))
		}
	}
	if w.day > 0 || w.index == "last" {
		return all[len(all)-1] == date
	}
	return all[map[string]int{"first": 0, "second": 1, "third": 2, "fourth": 3}[w.index]] == date
}

// byMonth makes up which day of the month it is, such that the first one is one.
func (w *walked) byMonth(random *rand.Rand, repeat *graphsim.Recurrence) {
	if w.every != "month" {
		return
	}
	if random.IntN(2) == 0 {
		if w.day = w.first.Day(); random.IntN(2) == 0 {
			repeat.Day = w.day // 0 means the same
		}
		return
	}
	w.index = []string{"first", "second", "third", "fourth", "last"}[random.IntN(5)]
	w.days = []time.Weekday{w.first.Weekday()}
	for day := range time.Saturday {
		if random.IntN(3) == 0 && day != w.first.Weekday() {
			w.days = append(w.days, day)
		}
	}
	repeat.Index, repeat.Days = w.index, w.days
}

// stretch is how many times as long a series of this kind is looked at.
func (w walked) stretch() int {
	if w.every == "month" {
		return 20
	}
	return 1
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
	compared, odd, monthly := 0, 0, 0
	for n := range 170 {
		zone := zones[n%len(zones)]
		location, err := time.LoadLocation(zone.iana)
		check(t, err)
		w := walked{zone: location, every: []string{"day", "week"}[random.IntN(2)], interval: 1 + random.IntN(2),
			first: springs[random.IntN(len(springs))].AddDate(0, 0, random.IntN(5)), minutes: 15 * random.IntN(96)}
		if n >= 120 {
			w.every = "month"
		}
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
		w.byMonth(random, repeat)
		switch random.IntN(3) {
		case 0:
			w.until = w.first.AddDate(0, 0, (5+random.IntN(10))*w.stretch()).Format(dateForm)
			repeat.Until = w.until
		case 1:
			w.count = 1 + random.IntN(9)
			repeat.Count = w.count
		}
		to := w.first.AddDate(0, 0, 16*w.stretch())
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
		if compared += len(want); w.every == "month" {
			monthly += len(want)
		}
		if fmt.Sprint(got) != fmt.Sprint(want) {
			t.Errorf("%d: %s %+v from %s:\n got %v\nwant %v", n, zone.name, *repeat, first.Format(time.RFC3339), got, want)
		}
		check(t, s.contoso().DeleteMeeting(user, id))
	}
	if compared < 500 || odd == 0 || monthly < 100 {
		t.Errorf("%d occurrences compared, %d of them monthly, %d at a time that clocks skip: that proves little", compared, monthly, odd)
	}
	t.Logf("%d occurrences, %d of them monthly, %d at a time that clocks skip", compared, monthly, odd)
}

// Whoever meets on the 31st meets on the last day of a shorter month.
func TestAMonthThatIsShorterHasItsLastDay(t *testing.T) {
	s := start(t, nil)
	first := time.Date(2027, 1, 31, 9, 0, 0, 0, time.UTC)
	for _, c := range []struct {
		repeat graphsim.Recurrence
		want   string
	}{
		{graphsim.Recurrence{Every: "month", Count: 4}, "[01-31 09 02-28 09 03-31 08 04-30 08]"},
		{graphsim.Recurrence{Every: "month", Interval: 2, Count: 3}, "[01-31 09 03-31 08 05-31 08]"},
		{graphsim.Recurrence{Every: "month", Index: "last", Count: 3}, "[01-31 09 02-28 09 03-28 08]"},
		{graphsim.Recurrence{Every: "month", Index: "first", Days: []time.Weekday{1, 2, 3, 4, 5}, Count: 3}, "[02-01 09 03-01 09 04-01 08]"},
	} {
		id, err := s.contoso().AddMeeting("anna", graphsim.Meeting{Start: first, End: first.Add(time.Hour), Zone: "Europe/Berlin", Repeat: &c.repeat})
		check(t, err)
		all, err := s.contoso().Calendar("anna", first.AddDate(0, 0, -1), first.AddDate(1, 0, 0))
		check(t, err)
		var got []string
		for _, o := range all {
			got = append(got, o.Start.Format("01-02 15"))
		}
		if fmt.Sprint(got) != c.want {
			t.Errorf("%+v: %v, want %s", c.repeat, got, c.want)
		}
		check(t, s.contoso().DeleteMeeting("anna", id))
	}
}
