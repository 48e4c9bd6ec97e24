package presence

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"
)

// keepFor bounds how long the last opinion outlives what it was formed from
// (docs/presence.md).
const keepFor = 10 * time.Minute

// Mapping says what a Teams reading means for a phone. It is immutable; the zero
// Mapping knows no value at all, start from DefaultMapping.
//
// A key is an availability ("Busy"), an availability with an activity
// ("Available/OutOfOffice"), an activity under any availability ("*/Presenting")
// or under an availability that has no entry ("?/InACall"). The narrowest key
// wins, in the order Availability/Activity, */Activity, Availability, ?/Activity.
// What no key names is kept.
type Mapping struct{ meanings map[string]meaning }

// meaning is what one reading says: a status, nothing (Unset: release), or that
// the last opinion stands (keep).
type meaning struct {
	Status Status
	Keep   bool
	After  time.Duration // how long the reading must have stood
}

// same says whether both mean the same, delays apart.
func (m meaning) same(o meaning) bool { return m.Status == o.Status && m.Keep == o.Keep }

// DefaultMapping returns the table of docs/presence.md.
func DefaultMapping() Mapping {
	m := Mapping{make(map[string]meaning)}
	set := func(to meaning, keys ...string) {
		for _, key := range keys {
			m.meanings[key] = to
		}
	}
	set(meaning{Status: Available}, "available", "availableidle")
	set(meaning{Status: DND}, "busy", "busyidle", "donotdisturb")
	for _, newer := range []string{"inacall", "inaconferencecall", "inameeting", "presenting", "focusing", "urgentinterruptionsonly"} {
		set(meaning{Status: DND}, newer, "?/"+newer)
	}
	set(meaning{Status: Away}, "away", "berightback")
	set(meaning{}, "available/outofoffice", "offline", "offwork")
	return m
}

// ParseMapping returns the default table with overrides: a status, "release" or
// "keep" for each key, a status or release optionally with a delay ("away after
// 10m"). The error joins every problem, each naming its key.
func ParseMapping(overrides map[string]string) (Mapping, error) {
	return DefaultMapping().With(overrides)
}

// With returns m with overrides, as ParseMapping.
func (m Mapping) With(overrides map[string]string) (Mapping, error) {
	merged := maps.Clone(m.meanings)
	if merged == nil {
		merged = make(map[string]meaning)
	}
	var problems []error
	written := make(map[string]string)
	for _, key := range slices.Sorted(maps.Keys(overrides)) {
		folded := strings.ToLower(key)
		if first, twice := written[folded]; twice {
			problems = append(problems, fmt.Errorf("mapping %q: the same as %q, and only one can count", key, first))
			continue
		}
		written[folded] = key
		value, err := parseMeaning(overrides[key])
		if err = errors.Join(checkKey(folded), err); err != nil {
			problems = append(problems, fmt.Errorf("mapping %q: %w", key, err))
			continue
		}
		merged[folded] = value
	}
	if len(problems) > 0 {
		return Mapping{}, errors.Join(problems...)
	}
	return Mapping{merged}, nil
}

func checkKey(key string) error {
	availability, activity, refined := strings.Cut(key, "/")
	wildcard := availability == "*" || availability == "?"
	if !(isName(availability) || wildcard && refined) || refined && !isName(activity) {
		return errors.New("the key is not an availability, availability/activity, */activity or ?/activity")
	}
	return nil
}

// isName says whether s, in lower case, can be a presence value. Which values
// exist is not known: Microsoft adds some.
func isName(s string) bool {
	return s != "" && len(s) <= 64 && strings.Trim(s, "abcdefghijklmnopqrstuvwxyz0123456789") == ""
}

func parseMeaning(value string) (meaning, error) {
	words := strings.Fields(strings.ToLower(value))
	var delay time.Duration
	if len(words) == 3 && words[1] == "after" {
		var err error
		if delay, err = time.ParseDuration(words[2]); err != nil || delay <= 0 || delay > 24*time.Hour {
			return meaning{}, fmt.Errorf("the delay %q is not a duration of up to 24h, such as 10m", words[2])
		}
		words = words[:1]
	}
	if len(words) == 1 {
		switch word := words[0]; word {
		case "release":
			return meaning{After: delay}, nil
		case "keep":
			if delay == 0 {
				return meaning{Keep: true}, nil
			}
		default:
			if status, err := ParseStatus(word); err == nil {
				return meaning{Status: status, After: delay}, nil
			}
		}
	}
	return meaning{}, fmt.Errorf("%q is not a status, release or keep, with nothing or a delay (away after 10m) behind", value)
}

// of returns the meaning of a reading. It is asked several times per decision and
// does not allocate.
func (m Mapping) of(availability, activity string) meaning {
	var space [64]byte
	for _, key := range [...][3]string{{availability, "/", activity}, {"*", "/", activity}, {availability}, {"?", "/", activity}} {
		folded := space[:0]
		for _, part := range key {
			folded = appendLower(folded, part)
		}
		if found, ok := m.meanings[string(folded)]; ok {
			return found
		}
	}
	return meaning{Keep: true}
}

// appendLower appends s in lower case. Only ASCII has cases here: checkKey admits
// no other key.
func appendLower(b []byte, s string) []byte {
	for i := range len(s) {
		c := s[i]
		if 'A' <= c && c <= 'Z' {
			c += 'a' - 'A'
		}
		b = append(b, c)
	}
	return b
}
