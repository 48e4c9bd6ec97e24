package presence

import "fmt"

// Reason says why a status is wanted, or why nothing is. The list is closed:
// logs, metrics, the stored decision and the tests use these words.
type Reason uint8

// The reasons. Each is explained by Reason.Explanation. That a status is not the
// one decided because the phone system cannot show that is no reason of its own:
// Want.ProjectedFrom says it next to the reason.
const (
	NoReason Reason = iota
	ByTeams
	ByTeamsKept
	ByTeamsDelayed
	TeamsStale
	Masked
	ByPerson
	PersonExpired
	ByBase
	Damped
	Released
	ModeDisabled
	ModeObserves
	NotLinked
	NotReadYet
	ByCalendar
	CalendarStale
	CalendarFallback
	Paused
	ByCall
	AcceptedNotVisible
	Disowned
	NothingToShow
)

var reasons = [...]struct{ word, explanation string }{
	NoReason:       {"", ""},
	ByTeams:        {"teams", "Teams shows it."},
	ByTeamsKept:    {"teams-kept", "Teams shows nothing that is known, so its last opinion stands for up to ten minutes."},
	ByTeamsDelayed: {"teams-delayed", "What Teams shows counts only after a delay, so its last opinion stands until then."},
	TeamsStale:     {"teams-stale", "Teams could not be read for so long that its opinion has ended."},
	Masked:         {"masked", "Teams shows what Offhook itself wrote there, so it says nothing about the person."},
	ByPerson:       {"manual", "A person chose it."},
	PersonExpired:  {"manual-expired", "The time of a person's choice is over, so what shows without it has returned."},
	ByBase:         {"base", "No source has an opinion, so the base status shows."},
	Damped:         {"damped", "The phone is about to ring again; that waits for a few seconds in case it does not last."},
	Released:       {"released", "Offhook has stopped deciding here and left what remains without it."},
	ModeDisabled:   {"mode-disabled", "Presence is switched off for this person."},
	ModeObserves:   {"mode-observes", "In this mode Offhook reads the phone system and writes nothing to it."},
	NotLinked:      {"not-linked", "The person has no extension."},
	NotReadYet:     {"not-read-yet", "Nothing is decided before Teams or the calendar, and the extension, have been read once."},

	ByCalendar:       {"calendar", "The calendar shows it."},
	CalendarStale:    {"calendar-stale", "The calendar could not be read for a day, so what it said has ended."},
	CalendarFallback: {"calendar-fallback", "Teams presence may not be read or does not exist here, so the calendar decides, or the base status where it is silent."},
	Paused:           {"paused", "Offhook is paused for this person."},

	ByCall:             {"call", "The person is in a call on the phone."},
	AcceptedNotVisible: {"accepted-not-visible", "Microsoft accepted the preferred presence and Teams does not show it, as when nobody is signed in there; it ends by itself."},
	Disowned:           {"disowned", "What Offhook made Teams show has been replaced by the person or has run out, so nothing is cleared and nothing fought for."},
	NothingToShow:      {"nothing-to-show", "Neither a call nor a choice on the phone is to be shown in Teams."},
}

// Reasons lists all reasons, without NoReason.
func Reasons() []Reason {
	all := make([]Reason, 0, len(reasons)-1)
	for r := NoReason + 1; int(r) < len(reasons); r++ {
		all = append(all, r)
	}
	return all
}

// String returns the reason's word.
func (r Reason) String() string {
	if int(r) < len(reasons) {
		return reasons[r].word
	}
	return fmt.Sprintf("reason(%d)", uint8(r))
}

// Explanation returns one sentence for people.
func (r Reason) Explanation() string {
	if int(r) < len(reasons) {
		return reasons[r].explanation
	}
	return ""
}

// ParseReason accepts the words, and "" for NoReason.
func ParseReason(word string) (Reason, error) {
	for i, r := range reasons {
		if r.word == word {
			return Reason(i), nil
		}
	}
	return NoReason, fmt.Errorf("reason %q is unknown", word)
}

// MarshalText makes a Reason its word in JSON.
func (r Reason) MarshalText() ([]byte, error) { return []byte(r.String()), nil }

// UnmarshalText is ParseReason.
func (r *Reason) UnmarshalText(text []byte) error {
	parsed, err := ParseReason(string(text))
	if err == nil {
		*r = parsed
	}
	return err
}
