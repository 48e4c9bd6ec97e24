package options

import (
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"maps"
	"slices"
	"strings"
	"time"

	"offhook.dev/libs/config"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
)

// Record is the value of one key in the bucket. What is left out says nothing.
type Record struct {
	Mode       string            `json:"mode,omitempty"`
	Base       string            `json:"base,omitempty"` // a status
	Combine    string            `json:"combine,omitempty"`
	Manual     Manual            `json:"manual,omitzero"`
	Damping    *Duration         `json:"damping,omitempty"`
	StaleAfter *Duration         `json:"stale_after,omitempty"`
	Teams      map[string]string `json:"teams,omitempty"`    // as presence.ParseMapping
	Calendar   map[string]string `json:"calendar,omitempty"` // as presence.ParseCalendarMapping
	PBX        map[string]string `json:"pbx,omitempty"`      // as presence.ParsePBXMapping
	// Rank orders the groups of one user, the lower wins. Of groups only.
	Rank int `json:"rank,omitempty"`
	// Chosen is the status that somebody set in Offhook. Of users only.
	Chosen *Chosen `json:"chosen,omitempty"`
	// PausedUntil is when a pause ends; Forever for one that is ended by hand.
	PausedUntil time.Time `json:"paused_until,omitzero"`
	By          string    `json:"by,omitempty"` // who changed it last
	At          time.Time `json:"at,omitzero"`  // when, broker time
}

// Forever is the end of a pause that has none of its own.
var Forever = time.Date(9999, 1, 1, 0, 0, 0, 0, time.UTC)

// Manual is how persons' choices are treated.
type Manual struct {
	Policy string `json:"policy,omitempty"`
	Max    string `json:"max,omitempty"` // a local time, "04:00"
	Scope  string `json:"scope,omitempty"`
}

// Chosen is a status set in Offhook; Status "" withdraws it. The withdrawal is kept:
// the mapper remembers the choice and has to be told that it is over.
type Chosen struct {
	System    identity.System    `json:"system,omitempty"` // with Extension: that line alone
	Extension identity.Extension `json:"extension,omitempty"`
	Status    string             `json:"status"`
	Until     time.Time          `json:"until,omitzero"`
	By        string             `json:"by,omitempty"`
	At        time.Time          `json:"at"` // broker time
}

// Same says whether both ask for the same, whoever did and whenever.
func (c Chosen) Same(other Chosen) bool {
	return c.System == other.System && c.Extension == other.Extension && c.Status == other.Status && c.Until.Equal(other.Until)
}

// Greatest values: what is beyond is a slip, and would look like a defect for days.
const (
	rankMost       = 1_000_000
	dampingMost    = time.Hour
	staleAfterMost = 24 * time.Hour
)

// Duration is a time.Duration that is text in JSON: "5s".
type Duration time.Duration

// MarshalText implements encoding.TextMarshaler.
func (d Duration) MarshalText() ([]byte, error) { return []byte(d.String()), nil }

// String is the duration without the units that are zero: "15m", not "15m0s".
func (d Duration) String() string {
	text := time.Duration(d).String()
	if strings.HasSuffix(text, "m0s") {
		text = strings.TrimSuffix(text, "0s")
	}
	if strings.HasSuffix(text, "h0m") {
		text = strings.TrimSuffix(text, "0m")
	}
	return text
}

// UnmarshalText implements encoding.TextUnmarshaler.
func (d *Duration) UnmarshalText(text []byte) error {
	parsed, err := time.ParseDuration(string(text))
	if err != nil || parsed < 0 {
		return fmt.Errorf("%q is not a duration such as 5s or 15m", text)
	}
	*d = Duration(parsed)
	return nil
}

// Encode is the value as the bucket has it.
func (r Record) Encode() []byte {
	data, err := json.Marshal(r)
	if err != nil {
		panic(fmt.Sprintf("options: %v", err)) // texts, numbers and times of four-digit years cannot fail
	}
	return data
}

// Decode is the inverse of Encode. Unknown members are an error: an option that is
// not understood must not look as if it were in force.
func Decode(data []byte) (Record, error) {
	var r Record
	d := json.NewDecoder(strings.NewReader(string(data)))
	d.DisallowUnknownFields()
	if err := d.Decode(&r); err != nil {
		return Record{}, fault.New(fault.Invalid, "options", err)
	}
	if _, err := d.Token(); !errors.Is(err, io.EOF) {
		return Record{}, fault.Errorf(fault.Invalid, "options", "there is something after the record")
	}
	return r, nil
}

// Check returns every problem of a record for a layer, joined, or nil.
func (r Record) Check(layer Layer) error {
	_, problems := r.over(presence.DefaultOptions())
	var all []error
	for _, p := range problems {
		all = append(all, p)
	}
	say := func(format string, args ...any) { all = append(all, fmt.Errorf(format, args...)) }
	for _, key := range slices.Sorted(maps.Keys(r.Teams)) {
		for _, s := range config.TeamsSlips(key) {
			say("teams: mapping %q: %q names nothing; did you mean %s?", key, s.Name, s.Meant)
		}
	}
	if r.Damping != nil && time.Duration(*r.Damping) > dampingMost {
		say("damping: %s is longer than %s", *r.Damping, Duration(dampingMost))
	}
	if s := r.StaleAfter; s != nil && (*s == 0 || time.Duration(*s) > staleAfterMost) {
		say("stale_after: %s is not more than nothing and at most %s", *s, Duration(staleAfterMost))
	}
	if r.Rank != 0 && layer != Group {
		say("rank: only groups have one")
	}
	if r.Rank < -rankMost || r.Rank > rankMost {
		say("rank: %d is beyond %d", r.Rank, rankMost)
	}
	if r.Chosen != nil {
		if layer != User {
			say("chosen: a status is set for a user")
		}
		all = append(all, r.Chosen.check()...)
	}
	if year := r.PausedUntil.Year(); year > Forever.Year() {
		say("paused_until: the year %d does not come", year)
	}
	return errors.Join(all...)
}

// check lists what is wrong with a choice, whenever it is made.
func (c Chosen) check() []error {
	var problems []error
	if _, err := presence.ParseStatus(c.Status); err != nil {
		problems = append(problems, fmt.Errorf("chosen: %w", err))
	}
	if c.Status == "" && !c.Until.IsZero() {
		problems = append(problems, errors.New("chosen: what is withdrawn has no end of its own"))
	}
	if (c.System == "") != (c.Extension == "") {
		problems = append(problems, errors.New("chosen: name system and extension, or neither"))
	} else if c.System != "" {
		_, badSystem := identity.ParseSystem(string(c.System))
		_, badExtension := identity.ParseExtension(string(c.Extension))
		if err := errors.Join(badSystem, badExtension); err != nil {
			problems = append(problems, fmt.Errorf("chosen: %w", err))
		}
	}
	return problems
}
