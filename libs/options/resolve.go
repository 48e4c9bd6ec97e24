package options

import (
	"fmt"
	"time"

	"offhook.dev/libs/core/presence"
)

// keyed is a problem with one key of a record.
type keyed struct {
	key string // of a mapping: its name
	err error
}

func (k keyed) Error() string { return fmt.Sprintf("%s: %v", k.key, k.err) }
func (k keyed) Unwrap() error { return k.err }

// over returns base with what the record says over it, and every problem with it.
// What has a problem stays as it was.
func (r Record) over(base presence.Options) (presence.Options, []keyed) {
	o := base
	var problems []keyed
	problem := func(key string, err error) bool {
		if err != nil {
			problems = append(problems, keyed{key, err})
		}
		return err == nil
	}
	word(r.Mode, "mode", presence.ParseMode, &o.Mode, problem)
	word(r.Base, "base", presence.ParseStatus, &o.Base, problem)
	word(r.Combine, "combine", presence.ParseCombine, &o.Combine, problem)
	word(r.Manual.Policy, "manual.policy", presence.ParsePolicy, &o.Manual.Policy, problem)
	word(r.Manual.Max, "manual.max", presence.ParseClock, &o.Manual.Max, problem)
	word(r.Manual.Scope, "manual.scope", presence.ParseScope, &o.Manual.Scope, problem)
	if r.Damping != nil {
		o.Damping = time.Duration(*r.Damping)
	}
	if r.StaleAfter != nil {
		o.StaleAfter = time.Duration(*r.StaleAfter)
	}
	if m, err := o.Teams.With(r.Teams); problem("teams", err) {
		o.Teams = m
	}
	if m, err := o.Calendar.With(r.Calendar); problem("calendar", err) {
		o.Calendar = m
	}
	if m, err := o.PBX.With(r.PBX); problem("pbx", err) {
		o.PBX = m
	}
	if r.PausedUntil.After(o.PausedUntil) {
		o.PausedUntil = r.PausedUntil
	}
	return o, problems
}

// word reads one word of a record, if it is there.
func word[T any](text, key string, parse func(string) (T, error), into *T, problem func(string, error) bool) {
	if text == "" {
		return
	}
	if value, err := parse(text); problem(key, err) {
		*into = value
	}
}
