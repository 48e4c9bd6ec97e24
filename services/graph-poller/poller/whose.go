package poller

import (
	"slices"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/wire"
)

// readsTeams says whether Teams presence is read in a mode: it is a source of
// claims, or what Offhook shows there has to be seen.
func readsTeams(m presence.Mode) bool { return m.ReadsTeams() || m.WritesTeams() }

// readsCalendars says whether calendars are a source of claims in a mode: wherever
// something is written to phone systems (docs/presence.md).
func readsCalendars(m presence.Mode) bool { return m.Writes() }

// whose lists the linked users of a shard in whose mode something is read, in a
// fixed order, so that batches stay the same from sweep to sweep.
func (t *tenant) whose(shard string, reads func(presence.Mode) bool) []identity.User {
	prefix := shard
	if shard == wire.ShardAll {
		prefix = ""
	}
	people := t.p.links.Those(t.conf.ID, prefix, func(person identity.Person) bool { return reads(t.p.modeOf(person)) })
	users := make([]identity.User, len(people))
	for i, person := range people {
		users[i] = person.User
	}
	slices.Sort(users)
	return users
}

// reads says whether something is read of one user.
func (t *tenant) reads(user identity.User, reads func(presence.Mode) bool) bool {
	person := identity.Person{Tenant: t.conf.ID, User: user}
	return len(t.p.links.Of(person)) > 0 && reads(t.p.modeOf(person))
}

func (p *Poller) modeOf(person identity.Person) presence.Mode {
	o, _ := p.options.Of(person)
	return o.Mode
}
