package presence

import (
	"fmt"
	"slices"
	"time"
)

// Mode says which way presence flows (docs/presence.md).
type Mode string

// The modes. In TeamsToPBX and Both the calendar shows where Teams has no opinion.
const (
	Disabled   Mode = "disabled"
	TeamsToPBX Mode = "teams-to-pbx"
	PBXToTeams Mode = "pbx-to-teams"
	Both       Mode = "both"
	Calendar   Mode = "calendar"
)

// Writes says whether the mode writes to phone systems.
func (m Mode) Writes() bool { return m == TeamsToPBX || m == Both || m == Calendar }

// WritesTeams says whether calls and choices on the phone are shown in Teams in
// this mode.
func (m Mode) WritesTeams() bool { return m == PBXToTeams || m == Both }

// ReadsTeams says whether Teams presence is a source of claims in this mode.
func (m Mode) ReadsTeams() bool { return m == TeamsToPBX || m == Both }

// Combine says which of the sources shows where both have an opinion.
type Combine string

// The ways to combine. Statuses are strong in this order: dnd, away, business-trip,
// lunch, available.
const (
	TeamsFirst Combine = "teams-first" // Teams; the calendar where Teams has no opinion
	Strongest  Combine = "strongest"   // the stronger of both
)

// Policy says what a person's choice does.
type Policy string

// The policies (docs/presence.md).
const (
	Auto         Policy = "auto"          // the three rules
	UntilCleared Policy = "until-cleared" // only its own time, Offhook or choosing what would show ends it
	Ignore       Policy = "ignore"        // a choice on the phone is no claim; one made in Offhook is
)

// Scope says where a choice on one extension counts.
type Scope string

// The scopes.
const (
	OnExtension Scope = "extension"
	OnUser      Scope = "user"
)

// Manual is how persons' choices are treated.
type Manual struct {
	Policy Policy
	Max    Clock          // ends a choice without a time of its own; not one that overrode a silent status, which ends with that
	Zone   *time.Location // of Max; nil is UTC
	Scope  Scope
}

// Options is everything about a decision that an administrator can choose.
type Options struct {
	Mode       Mode
	Teams      Mapping
	Calendar   CalendarMapping
	PBX        PBXMapping
	Base       Status // what shows where no source has an opinion
	Combine    Combine
	Manual     Manual
	Damping    time.Duration // how long a status that rings must stand before it replaces one that does not
	StaleAfter time.Duration // how long an opinion of Teams survives without a successful read
	// TeamsAbsent says that there is no Teams presence to read or write: the cloud has
	// none, or it is not authorised. TeamsToPBX and Both are then like Calendar.
	TeamsAbsent bool
	// PausedUntil is when Offhook takes care of the person again, which it does not
	// before; zero: not paused.
	PausedUntil time.Time
}

// DefaultOptions returns the defaults of the configuration.
func DefaultOptions() Options {
	return Options{
		Mode:       TeamsToPBX,
		Teams:      DefaultMapping(),
		Calendar:   DefaultCalendarMapping(),
		PBX:        DefaultPBXMapping(),
		Base:       Available,
		Combine:    TeamsFirst,
		Manual:     Manual{Policy: Auto, Max: 4 * 60, Zone: time.UTC, Scope: OnExtension},
		Damping:    5 * time.Second,
		StaleAfter: 15 * time.Minute,
	}
}

// ParseMode accepts the words of the configuration.
func ParseMode(word string) (Mode, error) {
	return oneOf("mode", Mode(word), Disabled, TeamsToPBX, PBXToTeams, Both, Calendar)
}

// ParseCombine accepts the words of the configuration.
func ParseCombine(word string) (Combine, error) {
	return oneOf("combine", Combine(word), TeamsFirst, Strongest)
}

// ParsePolicy accepts the words of the configuration.
func ParsePolicy(word string) (Policy, error) {
	return oneOf("policy", Policy(word), Auto, UntilCleared, Ignore)
}

// ParseScope accepts the words of the configuration.
func ParseScope(word string) (Scope, error) {
	return oneOf("scope", Scope(word), OnExtension, OnUser)
}

func oneOf[T ~string](what string, word T, words ...T) (T, error) {
	if !slices.Contains(words, word) {
		return "", fmt.Errorf("%s %q is none of %q", what, word, words)
	}
	return word, nil
}
