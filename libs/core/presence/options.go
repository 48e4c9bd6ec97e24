package presence

import (
	"fmt"
	"slices"
	"time"
)

// Mode says which way presence flows (docs/presence.md).
type Mode string

// The modes. Only the claims manual, teams and base are decided so far: Calendar
// knows manual and base, Both is TeamsToPBX towards the phone system.
const (
	Disabled   Mode = "disabled"
	TeamsToPBX Mode = "teams-to-pbx"
	PBXToTeams Mode = "pbx-to-teams"
	Both       Mode = "both"
	Calendar   Mode = "calendar"
)

// Writes says whether the mode writes to phone systems.
func (m Mode) Writes() bool { return m == TeamsToPBX || m == Both || m == Calendar }

// ReadsTeams says whether Teams presence is a source of claims in this mode.
func (m Mode) ReadsTeams() bool { return m == TeamsToPBX || m == Both }

// Combine says which of the sources shows where both have an opinion.
type Combine string

// The ways to combine.
const (
	TeamsFirst Combine = "teams-first"
	Strongest  Combine = "strongest"
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
	Base       Status // what shows where no source has an opinion
	Combine    Combine
	Manual     Manual
	Damping    time.Duration // how long a status that rings must stand before it replaces one that does not
	StaleAfter time.Duration // how long an opinion survives without a successful read of its source
}

// DefaultOptions returns the defaults of the configuration.
func DefaultOptions() Options {
	return Options{
		Mode:       TeamsToPBX,
		Teams:      DefaultMapping(),
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
