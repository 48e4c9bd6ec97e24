package options

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"

	"offhook.dev/libs/core/fault"
)

// Setting is one option as people write it: "manual.max" and "04:00".
type Setting struct{ Key, Value string }

// Keys lists what Set takes; those of the mappings stand for any name after the dot.
func Keys() []string {
	return []string{"mode", "base", "combine", "manual.policy", "manual.max", "manual.scope", "damping", "stale_after", "rank",
		"teams.KEY", "calendar.KEY", "pbx.KEY"}
}

// Settings lists what the record sets, in the order of Keys. A choice and a pause are
// no settings.
func (r Record) Settings() []Setting {
	var all []Setting
	for _, w := range r.words() {
		if *w.at != "" {
			all = append(all, Setting{w.key, *w.at})
		}
	}
	for _, d := range r.durations() {
		if *d.at != nil {
			all = append(all, Setting{d.key, (*d.at).String()})
		}
	}
	if r.Rank != 0 {
		all = append(all, Setting{"rank", strconv.Itoa(r.Rank)})
	}
	for _, t := range r.tables() {
		for _, name := range slices.Sorted(maps.Keys(*t.at)) {
			all = append(all, Setting{t.key + "." + name, (*t.at)[name]})
		}
	}
	return all
}

// Set sets one option by its key. It refuses keys that there are not and values that
// are no duration or number where one is due; what words mean is Check's matter.
func (r *Record) Set(key, value string) error {
	refused := func(err error) error { return fault.New(fault.Invalid, key, err) }
	if value == "" {
		return refused(fmt.Errorf("there is no value; take the option away instead"))
	}
	for _, w := range r.words() {
		if w.key == key {
			*w.at = value
			return nil
		}
	}
	for _, d := range r.durations() {
		if d.key == key {
			var parsed Duration
			if err := parsed.UnmarshalText([]byte(value)); err != nil {
				return refused(err)
			}
			*d.at = &parsed
			return nil
		}
	}
	if key == "rank" {
		rank, err := strconv.Atoi(value)
		if err != nil {
			return refused(fmt.Errorf("%q is not a whole number", value))
		}
		r.Rank = rank
		return nil
	}
	table, name := r.entry(key)
	if table == nil {
		return fault.Errorf(fault.Invalid, key, "there is no such option; there are %s", strings.Join(Keys(), ", "))
	}
	next := maps.Clone(*table)
	if next == nil {
		next = map[string]string{}
	}
	delete(next, sameName(next, name))
	next[name] = value
	*table = next
	return nil
}

// Unset takes one option away and says whether it was there. A key that there is not
// is an error.
func (r *Record) Unset(key string) (was bool, err error) {
	was = slices.ContainsFunc(r.Settings(), func(s Setting) bool { return strings.EqualFold(s.Key, key) })
	for _, w := range r.words() {
		if w.key == key {
			*w.at = ""
			return was, nil
		}
	}
	for _, d := range r.durations() {
		if d.key == key {
			*d.at = nil
			return was, nil
		}
	}
	if key == "rank" {
		r.Rank = 0
		return was, nil
	}
	table, name := r.entry(key)
	if table == nil {
		return false, fault.Errorf(fault.Invalid, key, "there is no such option; there are %s", strings.Join(Keys(), ", "))
	}
	next := maps.Clone(*table)
	delete(next, sameName(next, name))
	*table = next
	return was, nil
}

// at is where a record keeps what a key names.
type at[T any] struct {
	key string
	at  *T
}

func (r *Record) words() []at[string] {
	return []at[string]{{"mode", &r.Mode}, {"base", &r.Base}, {"combine", &r.Combine},
		{"manual.policy", &r.Manual.Policy}, {"manual.max", &r.Manual.Max}, {"manual.scope", &r.Manual.Scope}}
}

func (r *Record) durations() []at[*Duration] {
	return []at[*Duration]{{"damping", &r.Damping}, {"stale_after", &r.StaleAfter}}
}

func (r *Record) tables() []at[map[string]string] {
	return []at[map[string]string]{{"teams", &r.Teams}, {"calendar", &r.Calendar}, {"pbx", &r.PBX}}
}

// entry returns the table that a key such as "teams.Away" names, or nil.
func (r *Record) entry(key string) (table *map[string]string, name string) {
	of, name, ok := strings.Cut(key, ".")
	if ok && name != "" {
		for _, t := range r.tables() {
			if t.key == of {
				return t.at, name
			}
		}
	}
	return nil, ""
}

// sameName is how a table spells a name: capitals do not matter.
func sameName(table map[string]string, name string) string {
	for known := range table {
		if strings.EqualFold(known, name) {
			return known
		}
	}
	return name
}
