package usersync

import (
	"context"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/links"
	"offhook.dev/libs/wire"
)

// pair compares the pairs that should be with those in the bucket and writes the
// difference. What a line loses is written before what another gains, so that a line that
// moves from one person to another never has two owners.
func (s *Sync) pair(ctx context.Context) error {
	v, lines := s.view()
	pairs, conflicts := match(v)
	s.conflicts(conflicts)

	desired := map[identity.Person][]links.Line{}
	former := map[identity.Line][]links.Line{}
	since := map[identity.Line]map[identity.Person]links.Line{}
	for person, k := range s.records.known {
		for _, line := range k.Lines {
			if since[line.Line] == nil {
				since[line.Line] = map[identity.Person]links.Line{}
			}
			since[line.Line][person] = line
			former[line.Line] = append(former[line.Line], line)
		}
	}
	now := s.deps.Bus.Now()
	for _, p := range pairs {
		line, kept := since[p.Line][p.Person]
		if !kept {
			line = links.Line{Line: p.Line, Revision: uint64(now.UnixMicro()), Since: now.UTC()}
			for _, f := range former[p.Line] { // a clock that was set back must not make it older
				line.Revision = max(line.Revision, f.Revision+1)
			}
		}
		line.How = p.How
		if known, ok := lines[p.Line]; ok {
			line.Powers = known.Powers
		}
		desired[p.Person] = append(desired[p.Person], line)
	}
	losses, all := map[identity.Person]links.Record{}, map[identity.Person]links.Record{}
	for person, k := range s.records.known {
		record := ended(links.Record{Lines: desired[person], Owned: k.Owned}, k.Record, now)
		if len(record.Lines) < len(k.Lines) {
			losses[person] = record
		}
		all[person] = record
	}
	for person, lines := range desired {
		if _, known := all[person]; !known {
			all[person] = links.Record{Lines: lines}
		}
	}
	if err := s.records.store(ctx, losses); err != nil {
		return err
	}
	return s.records.store(ctx, all)
}

// view is what match decides on.
func (s *Sync) view() (view, map[identity.Line]wire.Inventory) {
	v := view{serves: s.opts.Serves, explicit: s.opts.Explicit, existing: map[identity.Line]identity.Person{}, owned: map[identity.Line]Pair{}, closed: map[identity.Line]bool{}}
	for person, k := range s.records.known {
		for _, line := range k.Lines {
			v.existing[line.Line] = person
		}
		for i := range k.Owned {
			if o := &k.Owned[i]; o.Active() {
				v.owned[o.Line] = Pair{person, o.Line, string(o.How)}
			} else {
				v.closed[o.Line] = true
			}
		}
	}
	s.facts.mu.Lock()
	defer s.facts.mu.Unlock()
	lines := make(map[identity.Line]wire.Inventory, len(s.facts.lines))
	for _, user := range s.facts.users {
		v.users = append(v.users, user)
	}
	for id, line := range s.facts.lines {
		v.lines = append(v.lines, line)
		lines[id] = line
	}
	return v, lines
}

func (s *Sync) conflicts(conflicts []Conflict) {
	for _, c := range conflicts {
		if s.active.first(c) {
			s.deps.Log.Warn("not linked: conflict", "tenant", c.Person.Tenant, "user", c.Person.User, "system", c.System, "why", c.Why)
		}
	}
}
