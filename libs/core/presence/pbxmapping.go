package presence

import (
	"fmt"
	"strings"
)

// InACall is what a session of the application shows in Teams while the person is in
// a call on the phone (https://learn.microsoft.com/graph/api/presence-setpresence).
const InACall = "Busy/InACall"

// clears stands in a PBXMapping for a status that ends what was preferred.
const clears = "clear"

// preferable has what a person can be pinned to, by its name in lower case
// (https://learn.microsoft.com/graph/api/presence-setuserpreferredpresence).
var preferable = map[string]string{
	"available":    "Available/Available",
	"busy":         "Busy/Busy",
	"donotdisturb": "DoNotDisturb/DoNotDisturb",
	"berightback":  "BeRightBack/BeRightBack",
	"away":         "Away/Away",
	"offline":      "Offline/OffWork",
}

// unpreferable has words of Teams that a person cannot be pinned to, and why.
var unpreferable = map[string]string{
	"inacall":                 "Teams shows it in calls only",
	"inaconferencecall":       "Teams shows it in calls only",
	"inameeting":              "Teams shows it in meetings only",
	"presenting":              "Teams shows it while somebody presents only",
	"focusing":                "Teams takes it from the calendar",
	"urgentinterruptionsonly": "Teams derives it from do not disturb",
	"outofoffice":             "Teams takes it from the calendar and from automatic replies",
	"offwork":                 "it is an activity; its availability is Offline",
	"availableidle":           "Teams derives it from inactivity",
	"busyidle":                "Teams derives it from inactivity",
	"inactive":                "Teams derives it from inactivity",
	"presenceunknown":         "it says that nothing is known",
}

// PBXMapping says what a person's choice on the phone means for Teams: a presence
// to be preferred, the end of what was preferred, or nothing. It is immutable; in
// the zero PBXMapping no choice means anything, start from DefaultPBXMapping.
type PBXMapping struct {
	shows [len(statusNames)]string // a pair of Graph, clears, or "": nothing
}

// DefaultPBXMapping returns the table of docs/presence.md. Lunch and business-trip
// mean nothing: administrators rename them at will.
func DefaultPBXMapping() PBXMapping {
	var m PBXMapping
	m.shows[Available], m.shows[DND], m.shows[Away] = clears, preferable["donotdisturb"], preferable["away"]
	return m
}

// ParsePBXMapping returns the default table with overrides: for each status one of
// Available, Busy, DoNotDisturb, BeRightBack, Away and Offline, or "clear" or
// "nothing". The error joins every problem, each naming its key.
func ParsePBXMapping(overrides map[string]string) (PBXMapping, error) {
	return DefaultPBXMapping().With(overrides)
}

// With returns m with overrides, as ParsePBXMapping.
func (m PBXMapping) With(overrides map[string]string) (PBXMapping, error) {
	err := eachOverride(overrides, func(key, value string) error {
		status, err := ParseStatus(key)
		if err != nil || status == Unset {
			return fmt.Errorf("the key is none of the statuses available, away, dnd, lunch, business-trip")
		}
		switch why, never := unpreferable[value]; {
		case value == clears:
			m.shows[status] = clears
		case value == "nothing":
			m.shows[status] = ""
		case preferable[value] != "":
			m.shows[status] = preferable[value]
		case never:
			return fmt.Errorf("%q cannot be a preferred presence: %s. Write Available, Busy, DoNotDisturb, BeRightBack, Away, Offline, clear or nothing", value, why)
		default:
			return fmt.Errorf("%q is none of Available, Busy, DoNotDisturb, BeRightBack, Away, Offline, clear, nothing", value)
		}
		return nil
	})
	if err != nil {
		return PBXMapping{}, err
	}
	return m, nil
}

// of returns the pair that a choice of s asks Teams to show, clears, or "".
func (m *PBXMapping) of(s Status) string {
	if int(s) < len(m.shows) {
		return m.shows[s]
	}
	return ""
}

// isShown says whether a reading of Teams is the preferred pair. Only availabilities
// are compared, because Graph words activities as it likes; Offline needs both, since
// it shows for everybody who is not signed in.
func isShown(pair, availability, activity string) bool {
	wanted, doing, _ := strings.Cut(pair, "/")
	return strings.EqualFold(wanted, availability) && (!strings.EqualFold(wanted, "Offline") || strings.EqualFold(doing, activity))
}

// isSignedOut says whether a reading is what Graph shows for everybody without a
// session, whatever is preferred.
func isSignedOut(availability, activity string) bool {
	return strings.EqualFold(availability, "Offline") && !strings.EqualFold(activity, "OffWork")
}
