package config

import (
	"fmt"
	"maps"
	"slices"
	"strings"

	"offhook.dev/libs/core/presence"
)

// What the two sides of the mapping tables may name. Microsoft adds values to the
// Teams sets without notice, so a Teams name that is not listed is accepted
// unless it looks like a slip of the pen.
// https://learn.microsoft.com/graph/api/resources/presence (availability, activity)
var (
	teamsNames = []string{
		"Available", "AvailableIdle", "Away", "BeRightBack", "Busy", "BusyIdle", "DoNotDisturb", "Offline", "PresenceUnknown",
		"InACall", "InAConferenceCall", "InAMeeting", "Inactive", "OffWork", "OutOfOffice", "Presenting", "Focusing",
		"UrgentInterruptionsOnly",
	}
	// https://learn.microsoft.com/graph/api/resources/event (showAs)
	calendarNames = []string{"free", "tentative", "busy", "oof", "workingElsewhere", "unknown"}
	// https://learn.microsoft.com/graph/api/presence-setuserpreferredpresence
	preferredNames = []string{"Available", "Busy", "DoNotDisturb", "BeRightBack", "Away", "Offline", "clear", "nothing"}
)

func statusNames() []string {
	var names []string
	for _, s := range presence.Statuses() {
		names = append(names, s.String())
	}
	return names
}

// validateMapping reports entries that name nothing.
func (d *decoder) validateMapping(path string, m Mapping) {
	statuses := statusNames()
	d.validateTable(join(path, "teams"), m.Teams, d.teamsEntry)
	d.validateTable(join(path, "calendar"), m.Calendar, d.wordEntry(calendarNames, append(statuses, "release", "none")))
	d.validateTable(join(path, "pbx"), m.PBX, d.wordEntry(statuses, preferredNames))
}

// validateTable calls judge for each entry whose name stands there once.
func (d *decoder) validateTable(path string, table map[string]string, judge func(path, from, to string)) {
	seen := make(map[string]string)
	for _, from := range slices.Sorted(maps.Keys(table)) {
		entry := join(path, showKey(from))
		if d.bad[entry] {
			continue
		}
		if twin, twice := seen[strings.ToLower(from)]; twice {
			d.report(entry, "the name stands here twice, as "+showKey(twin)+" too", "keep one of them; capitals do not matter")
			continue
		}
		seen[strings.ToLower(from)] = from
		judge(entry, from, table[from])
	}
}

// wordEntry judges entries whose both sides are closed sets.
func (d *decoder) wordEntry(names, words []string) func(path, from, to string) {
	return func(path, from, to string) {
		if !contains(names, from) {
			fix := "write one of " + strings.Join(names, ", ")
			if meant := nearest(from, names); meant != "" {
				fix = "did you mean " + meant + "?"
			}
			d.report(path, show(from)+" names nothing", fix)
			return
		}
		d.oneOf(path, to, words)
	}
}

// teamsEntry judges an entry as the core will read it, and finds slips in names
// that the core, for which the set is open, accepts.
func (d *decoder) teamsEntry(path, from, to string) {
	if _, err := presence.ParseMapping(map[string]string{from: to}); err != nil {
		what := strings.TrimPrefix(oneLine(err), fmt.Sprintf("mapping %q: ", from))
		d.report(path, what, "write it as in Away: release, Available/OutOfOffice: away, or Away: away after 10m")
		return
	}
	for _, s := range TeamsSlips(from) {
		d.report(path, show(s.Name)+" names nothing", "did you mean "+s.Meant+"?")
	}
}

// Slip is a name that looks like a slip of the pen, and what was probably meant.
type Slip struct{ Name, Meant string }

// TeamsSlips returns the names in a key of the Teams table, such as "Away" or
// "*/Presenting", that are nearly one that is known. The core takes every name,
// because the set is open; whoever saves a table asks this as well, for an entry
// that names nothing is never seen to do nothing.
func TeamsSlips(key string) []Slip {
	var slips []Slip
	for name := range strings.SplitSeq(key, "/") {
		if name == "*" || name == "?" || contains(teamsNames, name) {
			continue
		}
		if meant := nearest(name, teamsNames); meant != "" {
			slips = append(slips, Slip{name, meant})
		}
	}
	return slips
}

func contains(names []string, name string) bool {
	return slices.ContainsFunc(names, func(n string) bool { return strings.EqualFold(n, name) })
}
