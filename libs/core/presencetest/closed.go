package presencetest

// Closed is Everything for somebody whose Teams shows what it does partly because of
// what is wanted there: at each tick, shows is told what has been wanted since the one
// before and answers what Teams shows. The history's own readings are not used. opinions
// are what is believed of Teams.
func Closed(h History, shows func(now int, wanted Teams) Reading) (lines [][]string, teams []Teams, opinions []string) {
	h.Readings = nil
	t := newTable(h)
	var wanted Teams
	for now := range h.Ticks {
		is := shows(now, wanted)
		is.At = now
		if n := len(t.Readings); n == 0 || t.Readings[n-1].Availability != is.Availability || t.Readings[n-1].Activity != is.Activity {
			t.Readings = append(t.Readings, is)
		}
		t.fill(now)
		wanted = t.shown[now]
	}
	return t.wanted, t.shown, t.opinion
}
