package api

import (
	"context"
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/options"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

const (
	// by stands beside every change: there is no sign-in yet, and what a caller says of
	// itself is not worth recording.
	by = "local"
	// farthest is how long a choice or pause with an end may last. One for longer has
	// none, or is a slip.
	farthest = 366 * 24 * time.Hour
	// attempts bounds how often a change is tried again that others were faster than.
	attempts = 20
)

// OptionsEntry is what is set for a tenant, a group or a user.
type OptionsEntry struct {
	Tenant string `json:"tenant"`
	Group  string `json:"group,omitempty"` // object id
	User   string `json:"user,omitempty"`  // object id
	UPN    string `json:"upn,omitempty"`
	Name   string `json:"name,omitempty"` // of the user, or of the group where it was read
	// Members is what is known of who is in the group; nil before it was read.
	Members *Members `json:"members,omitempty"`
	// Revision grows with every change; 0: nothing was ever set. It is the ETag as well.
	Revision uint64 `json:"revision"`
	// Concerns is how many linked people it is about. Of a group these are the members
	// that are known.
	Concerns int `json:"concerns"`
	// Undecided is how many of those have not been decided under the mode that is in
	// force for them, if that was asked for.
	Undecided *int           `json:"undecided,omitempty"`
	Options   options.Record `json:"options"`
	// Effective is what is in force for a user, whatever set it.
	Effective []EffectiveOption `json:"effective,omitempty"`
}

// EffectiveOption is one option that is in force for a user, and where it comes from.
type EffectiveOption struct {
	Key   string `json:"key"` // "manual.max", "teams.Away"
	Value string `json:"value"`
	From  string `json:"from"`           // "configuration", "tenant", "group" or "user"
	ID    string `json:"id,omitempty"`   // of the group
	Name  string `json:"name,omitempty"` // of the group, where it was read
}

// Members is what is known of who is in a group.
type Members struct {
	Users int `json:"users"` // linked or not
	// Problem is why they may not be those of now: "denied" or "too-large" (those that were
	// known stay), or "gone" (nobody is in it).
	Problem string     `json:"problem,omitempty"`
	SeenAt  *time.Time `json:"seen_at,omitempty"` // when it was read to be so for the first time
}

// keeper keeps the bucket `options`; nobody else writes it.
type keeper struct {
	model  *model
	bucket *store.Bucket
	memory *store.Bucket    // of presence-mapper
	now    func() time.Time // broker time
}

// configured refuses tenants that the configuration does not name.
func (k keeper) configured(tenant identity.Tenant) error {
	if _, ok := k.model.tenants[tenant]; ok {
		return nil
	}
	return problem(fault.NotFound, CodeTenantUnknown, fmt.Sprintf("no tenant is called %q", tenant), "tenant",
		"give the id of a tenant as in the configuration")
}

// user returns the key of the one user that a name means; tenant "" is any.
func (k keeper) user(tenant, name string) (options.Key, error) {
	of, err := inTenant(tenant)
	if err != nil {
		return options.Key{}, err
	}
	who, err := k.model.one(of, name)
	if err != nil {
		return options.Key{}, err
	}
	return options.UserKey(who), k.configured(who.Tenant)
}

// linked is user, of those who have an extension.
func (k keeper) linked(tenant, name string) (options.Key, error) {
	people, err := k.model.find(tenant, name)
	if err != nil {
		return options.Key{}, err
	}
	return options.UserKey(people[0]), k.configured(people[0].Tenant)
}

// of returns the key of a tenant's options, of those of a group of it, or of a user.
func (k keeper) of(tenant, group, user string) (options.Key, error) {
	of, err := inTenant(tenant)
	if err == nil {
		err = k.configured(of)
	}
	if err != nil {
		return options.Key{}, err
	}
	switch {
	case group != "" && user != "":
		return options.Key{}, problem(fault.Invalid, CodeRequest, "a group and a user are named", "group, user", "name one of them")
	case user != "":
		return k.user(tenant, user)
	case group != "":
		id, err := k.group(of, group)
		return options.GroupKey(of, id), err
	}
	return options.Key{Layer: options.Tenant, Tenant: of}, nil
}

// group returns the one group that a name means: an object id, or what people call a
// group that was read. Of others nothing is known, so the first options of a group are
// set by its id.
func (k keeper) group(of identity.Tenant, name string) (identity.Group, error) {
	if id, err := identity.ParseGroup(name); err == nil {
		return id, nil
	}
	found := k.model.options.Called(of, name)
	switch len(found) {
	case 0:
		return "", problem(fault.Invalid, CodeRequest, fmt.Sprintf("%q is neither an object id (a GUID) nor the name of a group that was read", name), "group",
			"give the object id that the group has in Microsoft Entra; its name does once it has options")
	case 1:
		return found[0], nil
	}
	return "", problem(fault.Conflict, CodeRequest, fmt.Sprintf("%d groups are called %q: %v", len(found), name, found), "group", "give the object id of one of them")
}

// get returns what is set, and if counted how many wait for being decided.
func (k keeper) get(ctx context.Context, key options.Key, counted bool) (OptionsEntry, error) {
	record, revision, err := k.read(ctx, key)
	if err != nil {
		return OptionsEntry{}, err
	}
	e := k.entry(key, record, revision)
	if counted {
		n, err := k.undecided(ctx, key)
		if err != nil {
			return OptionsEntry{}, err
		}
		e.Undecided = &n
	}
	return e, nil
}

// undecided counts the linked people concerned by key who were last decided under
// other options than those that are in force for them, or not yet. presence-mapper
// remembers a fingerprint of everyone's, and the mode, disabled for the time of a pause.
func (k keeper) undecided(ctx context.Context, key options.Key) (int, error) {
	type under struct {
		Memory struct{ Mode presence.Mode }
		Under  string
	}
	decided := map[identity.Person]under{}
	filter := topology.Join(string(key.Tenant)) + ".*"
	if key.Layer == options.User {
		filter = wire.PersonKey(identity.Person{Tenant: key.Tenant, User: identity.User(key.ID)})
	}
	err := k.memory.Each(ctx, filter, func(e store.Entry) error {
		var record under
		if who, err := wire.ParsePersonKey(e.Key); err == nil && json.Unmarshal(e.Value, &record) == nil {
			decided[who] = record
		}
		return nil
	})
	n := 0
	for _, who := range k.concerned(key) {
		o, _ := k.model.options.Of(who)
		mode := o.Mode
		if k.now().Before(o.PausedUntil) {
			mode = presence.Disabled
		}
		if last, known := decided[who]; !known || last.Memory.Mode != mode || last.Under != o.Fingerprint() {
			n++
		}
	}
	return n, err
}

// concerned lists the linked people whom a record is about.
func (k keeper) concerned(key options.Key) []identity.Person {
	return slices.DeleteFunc(k.model.links.People(key.Tenant), func(who identity.Person) bool { return !k.model.options.Concerns(key, who) })
}

func (k keeper) read(ctx context.Context, key options.Key) (options.Record, uint64, error) {
	stored, err := k.bucket.Get(ctx, key.String())
	if fault.KindOf(err) == fault.NotFound {
		return options.Record{}, 0, nil
	}
	if err != nil {
		return options.Record{}, 0, err
	}
	record, err := options.Decode(stored.Value)
	if err != nil {
		return options.Record{}, 0, problem(fault.Conflict, CodeOptions, "the options are of a newer version of Offhook: "+err.Error(), k.where(key),
			"use that version to change them")
	}
	return record, stored.Revision, nil
}

// change replaces what is set by what edit makes of it, if it still has the expected
// revision (nil: any), and waits until the mirror has it. Nothing is written where
// nothing changes, so that a repetition makes nobody be decided again.
func (k keeper) change(ctx context.Context, key options.Key, expected *uint64, edit func(options.Record) (options.Record, error)) (OptionsEntry, error) {
	for range attempts {
		before, revision, err := k.read(ctx, key)
		if err != nil {
			return OptionsEntry{}, err
		}
		if expected != nil && *expected != revision {
			return OptionsEntry{}, changed(k.where(key), fmt.Sprintf("the options have revision %d, not %d", revision, *expected))
		}
		next, err := edit(before)
		if err != nil {
			return OptionsEntry{}, err
		}
		next.By, next.At = before.By, before.At
		if string(next.Encode()) == string(before.Encode()) {
			return k.entry(key, before, revision), nil
		}
		next.By, next.At = by, k.now().UTC()
		written, err := k.bucket.Set(ctx, key.String(), next.Encode(), revision)
		if fault.KindOf(err) == fault.Conflict {
			continue
		}
		if err != nil {
			return OptionsEntry{}, err
		}
		k.model.log.Info("options changed", "key", key.String(), "revision", written)
		if err := k.model.options.Until(ctx, written); err != nil {
			return OptionsEntry{}, err
		}
		return k.entry(key, next, written), nil
	}
	return OptionsEntry{}, changed(k.where(key), "somebody else keeps changing the options")
}

func changed(where, what string) error {
	return problem(fault.Conflict, CodeChanged, what, where, "read them again, look whether the change is still right, and send it with the new revision")
}

// put replaces the settings. A user's choice and pause stay unless they are given.
func (k keeper) put(ctx context.Context, key options.Key, expected *uint64, given options.Record) (OptionsEntry, error) {
	return k.change(ctx, key, expected, func(before options.Record) (options.Record, error) {
		next := given
		if key.Layer == options.User {
			if next.Chosen == nil || before.Chosen != nil && next.Chosen.Same(*before.Chosen) {
				next.Chosen = before.Chosen
			}
			if next.PausedUntil.IsZero() {
				next.PausedUntil = before.PausedUntil
			}
		}
		return k.checked(key, before, next)
	})
}

// remove takes the settings away. A user's choice and pause stay.
func (k keeper) remove(ctx context.Context, key options.Key, expected *uint64) (OptionsEntry, error) {
	return k.put(ctx, key, expected, options.Record{})
}

// checked dates a new choice, and refuses a record with problems: all of them at once.
func (k keeper) checked(key options.Key, before, next options.Record) (options.Record, error) {
	now := k.now().UTC()
	var problems []string
	if next.Chosen != nil && next.Chosen != before.Chosen {
		dated := *next.Chosen
		dated.By, dated.At = by, now
		if old := before.Chosen; old != nil && !now.After(old.At) {
			dated.At = old.At.Add(time.Millisecond) // the later choice counts, whatever clocks say
		}
		next.Chosen = &dated
		at, err := k.line(key, dated)
		if err != nil {
			problems = append(problems, err.Error())
		}
		dated.System, dated.Extension = at.System, at.Extension
		problems = append(problems, ends("chosen", dated.Until, now)...)
	}
	if !next.PausedUntil.Equal(before.PausedUntil) && !next.PausedUntil.Equal(options.Forever) {
		problems = append(problems, ends("paused_until", next.PausedUntil, now)...)
	}
	if sweep := k.model.tenants[key.Tenant].sweep(); next.StaleAfter != nil && time.Duration(*next.StaleAfter) <= sweep {
		problems = append(problems, fmt.Sprintf("stale_after: every reading would be stale before the next sweep, after %v", sweep))
	}
	if err := next.Check(key.Layer); err != nil {
		problems = append(problems, strings.Split(err.Error(), "\n")...)
	}
	if len(problems) > 0 {
		return next, problem(fault.Invalid, CodeOptions, strings.Join(problems, "; "), k.where(key), "correct all of it; nothing was changed")
	}
	return next, nil
}

// ends lists what is wrong with an end that is to come.
func ends(what string, until, now time.Time) []string {
	switch {
	case until.IsZero():
		return nil
	case !until.After(now):
		return []string{what + ": " + until.Format(time.RFC3339) + " is over"}
	case until.Sub(now) > farthest:
		return []string{what + ": " + until.Format(time.RFC3339) + " is more than a year ahead; leave the end out for one that is ended by hand"}
	}
	return nil
}

// line completes the line of a choice: an extension needs its system only where
// several of the user's systems have it.
func (k keeper) line(key options.Key, c options.Chosen) (identity.Line, error) {
	if c.System == "" && c.Extension == "" || key.Layer != options.User {
		return identity.Line{System: c.System, Extension: c.Extension}, nil
	}
	var found []identity.Line
	var all []string
	for _, each := range k.model.links.Of(identity.Person{Tenant: key.Tenant, User: identity.User(key.ID)}) {
		all = append(all, string(each.Extension)+"@"+string(each.System))
		if (c.System == "" || each.System == c.System) && (c.Extension == "" || each.Extension == c.Extension) {
			found = append(found, each.Line)
		}
	}
	if len(found) == 1 {
		return found[0], nil
	}
	asked := strings.Trim(string(c.Extension)+"@"+string(c.System), "@")
	if len(found) == 0 {
		return identity.Line{}, fmt.Errorf("chosen: the user has no extension %s; there are %s", asked, strings.Join(all, ", "))
	}
	return identity.Line{}, fmt.Errorf("chosen: %s may mean several of %s", asked, strings.Join(all, ", "))
}

// choose sets a status for a user, as if they had chosen it on the phone now.
func (k keeper) choose(ctx context.Context, key options.Key, c options.Chosen) (OptionsEntry, error) {
	if c.Status == "" {
		return OptionsEntry{}, problem(fault.Invalid, CodeOptions, "no status is given", "status", "give one of available, away, dnd, lunch, business-trip; DELETE withdraws a choice")
	}
	return k.choice(ctx, key, c)
}

// withdraw ends what was chosen for a user, here or on the phone; of one line only, if
// one is named.
func (k keeper) withdraw(ctx context.Context, key options.Key, system identity.System, extension identity.Extension) (OptionsEntry, error) {
	return k.choice(ctx, key, options.Chosen{System: system, Extension: extension})
}

func (k keeper) choice(ctx context.Context, key options.Key, c options.Chosen) (OptionsEntry, error) {
	return k.change(ctx, key, nil, func(before options.Record) (options.Record, error) {
		next := before
		next.Chosen = &c
		return k.checked(key, before, next)
	})
}

// pause makes Offhook leave a user alone until a time, zero: until resume.
func (k keeper) pause(ctx context.Context, key options.Key, until time.Time) (OptionsEntry, error) {
	if until.IsZero() {
		until = options.Forever
	}
	return k.paused(ctx, key, until)
}

// resume ends a user's own pause, not one of their tenant or group.
func (k keeper) resume(ctx context.Context, key options.Key) (OptionsEntry, error) {
	return k.paused(ctx, key, time.Time{})
}

func (k keeper) paused(ctx context.Context, key options.Key, until time.Time) (OptionsEntry, error) {
	return k.change(ctx, key, nil, func(before options.Record) (options.Record, error) {
		next := before
		next.PausedUntil = until
		return k.checked(key, before, next)
	})
}

// entry describes what is set.
func (k keeper) entry(key options.Key, record options.Record, revision uint64) OptionsEntry {
	e := OptionsEntry{Tenant: string(key.Tenant), Revision: revision, Options: record, Concerns: len(k.concerned(key))}
	switch key.Layer {
	case options.Group:
		e.Group = key.ID
		if known, ok := k.model.options.Membership(key.Tenant, identity.Group(key.ID)); ok && known.Problem != wire.GroupUnnamed {
			e.Name, e.Members = known.Name, &Members{Users: known.Members, Problem: known.Problem, SeenAt: moment(known.SeenAt)}
		}
	case options.User:
		who := identity.Person{Tenant: key.Tenant, User: identity.User(key.ID)}
		e.User = key.ID
		k.model.mu.RLock()
		u := k.model.user(who)
		k.model.mu.RUnlock()
		e.UPN, e.Name = u.upn, u.name
		for _, o := range k.model.options.Effective(who) {
			named, _ := k.model.options.Membership(key.Tenant, identity.Group(o.ID))
			e.Effective = append(e.Effective, EffectiveOption{Key: o.Key, Value: o.Value, From: string(o.From), ID: o.ID, Name: named.Name})
		}
	}
	return e
}

// where names whose options an error is about.
func (k keeper) where(key options.Key) string {
	switch key.Layer {
	case options.Group:
		return fmt.Sprintf("options of group %s (tenant %s)", key.ID, key.Tenant)
	case options.User:
		return "options of " + k.model.describe([]identity.Person{{Tenant: key.Tenant, User: identity.User(key.ID)}})
	}
	return "options of tenant " + string(key.Tenant)
}
