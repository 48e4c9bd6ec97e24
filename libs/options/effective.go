package options

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
)

// Effective is one option that is in force for a person, and where it comes from.
type Effective struct {
	Setting
	From Layer
	ID   string // of the group, where From is Group
}

// Effective lists what is in force for a person: every option that is one value, in
// the order of Keys, then the entries of mappings that a record changes, then the end
// of a pause ("paused_until"), if there is one. Entries of the configuration's
// mappings are not listed.
func (m *Mirror) Effective(who identity.Person) []Effective {
	o, configured := m.below(who)
	from := map[string]Effective{} // by key, in lower case
	var layers []layered
	if configured {
		m.mu.RLock()
		layers = m.layers(who)
		m.mu.RUnlock()
	}
	paused := o.PausedUntil
	for _, l := range layers {
		var problems []keyed
		o, problems = l.record.over(o)
		for _, s := range l.record.Settings() {
			table, _, _ := strings.Cut(s.Key, ".")
			if !slices.ContainsFunc(problems, func(p keyed) bool { return p.key == s.Key || p.key == table }) {
				from[strings.ToLower(s.Key)] = l.says(s)
			}
		}
		if o.PausedUntil.After(paused) {
			paused = o.PausedUntil
			from["paused_until"] = l.says(Setting{"paused_until", paused.Format(time.RFC3339)})
		}
	}
	delete(from, "rank") // of the group, not of the person
	var all []Effective
	for _, s := range values(o) {
		e := Effective{Setting: s, From: Configuration}
		if set, ok := from[s.Key]; ok {
			e.From, e.ID = set.From, set.ID
			delete(from, s.Key)
		}
		all = append(all, e)
	}
	var rest []Effective
	for _, e := range from {
		rest = append(rest, e)
	}
	slices.SortFunc(rest, func(a, b Effective) int {
		return cmp.Or(cmp.Compare(order(a.Key), order(b.Key)), strings.Compare(strings.ToLower(a.Key), strings.ToLower(b.Key)))
	})
	return append(all, rest...)
}

func (l layered) says(s Setting) Effective {
	e := Effective{Setting: s, From: l.key.Layer}
	if e.From == Group {
		e.ID = l.key.ID
	}
	return e
}

// order is where a key of a mapping, or the pause, stands among the others.
func order(key string) int {
	return slices.IndexFunc([]string{"teams.", "calendar.", "pbx.", ""}, func(table string) bool { return strings.HasPrefix(key, table) })
}

// values words the options that are one value each.
func values(o presence.Options) []Setting {
	return []Setting{
		{"mode", string(o.Mode)}, {"base", o.Base.String()}, {"combine", string(o.Combine)},
		{"manual.policy", string(o.Manual.Policy)}, {"manual.max", o.Manual.Max.String()}, {"manual.scope", string(o.Manual.Scope)},
		{"damping", Duration(o.Damping).String()}, {"stale_after", Duration(o.StaleAfter).String()},
	}
}
