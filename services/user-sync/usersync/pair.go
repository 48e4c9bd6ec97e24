package usersync

import (
	"context"
	"iter"
	"maps"
	"slices"
	"strings"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/links"
)

// pair compares the pairs that should be with those in the bucket and writes the
// difference. What a line loses is written before what another gains, so that a line that
// moves from one person to another never has two owners.
func (s *Sync) pair(ctx context.Context) error {
	m := match(s.view())
	s.conflicts(m.conflicts)
	now := s.deps.Bus.Now()
	floors := m.floors()
	for _, losses := range []bool{true, false} {
		if err := s.write(ctx, m, losses, func(h holder, pairs []Pair) links.Record {
			lines := make([]links.Line, 0, len(pairs))
			for _, p := range pairs {
				lines = append(lines, s.link(h, p, floors[p.Line], now))
			}
			return ended(links.Record{Lines: lines, Owned: h.record.Owned}, h.record, now)
		}); err != nil {
			return err
		}
	}
	return nil
}

// write stores the records that differ, a portion after the other: those that lose a
// line, or the others.
func (s *Sync) write(ctx context.Context, m *matched, losses bool, should func(holder, []Pair) links.Record) (err error) {
	next := s.records.changing()
	m.people(func(h holder, pairs []Pair) {
		if err != nil || losses != (len(pairs) < len(h.record.Lines)) {
			return
		}
		if record := should(h, pairs).Normal(); h.broken || !slices.Equal(record.Lines, h.record.Lines) {
			next.put(h.person, record)
		}
		if len(next.changed) == portion {
			err = s.records.store(ctx, "link", next.changed)
			clear(next.changed)
		}
	})
	if err != nil {
		return err
	}
	return s.records.store(ctx, "link", next.changed)
}

// link is a pair as the bucket has it: the one that there is, or a new one, above floor.
func (s *Sync) link(h holder, p Pair, floor uint64, now time.Time) links.Line {
	line := links.Line{Line: p.Line, Revision: max(uint64(now.UnixMicro()), floor), Since: now.UTC()}
	if i := slices.IndexFunc(h.record.Lines, func(l links.Line) bool { return l.Line == p.Line }); i >= 0 {
		line = h.record.Lines[i]
	}
	line.How = p.How
	if packed, known := s.facts.line(p.Line); known {
		line.Powers = packed.unpack(p.Line.System, s.facts.words).Powers
	}
	return line
}

// floors are the least revisions of links that are new: a clock that was set back must not
// make them older than what there was.
func (m *matched) floors() map[identity.Line]uint64 {
	floors := map[identity.Line]uint64{}
	m.people(func(h holder, pairs []Pair) {
		for _, p := range pairs {
			if !slices.ContainsFunc(h.record.Lines, func(l links.Line) bool { return l.Line == p.Line }) {
				floors[p.Line] = 0
			}
		}
	})
	if len(floors) == 0 {
		return floors
	}
	m.each(func(h holder, _ owner) {
		for _, line := range h.record.Lines {
			if floor, fresh := floors[line.Line]; fresh {
				floors[line.Line] = max(floor, line.Revision+1)
			}
		}
	})
	return floors
}

// view is what match decides on.
func (s *Sync) view() view {
	return view{users: s.facts.named, lines: s.facts.numbered, serves: s.opts.Serves, explicit: s.opts.Explicit, holders: s.records.holders(),
		user: func(who identity.Person) (matchUser, bool) {
			packed, known := s.facts.user(who)
			return matchUser{Person: who, gone: known && packed.gone()}, known
		},
		line: func(l identity.Line) (matchLine, bool) {
			packed, known := s.facts.line(l)
			return matchLine{Line: l, gone: known && packed.gone()}, known
		}}
}

// named lists the users; f is locked meanwhile.
func (f *facts) named(yield func(matchUser) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for tenant, users := range f.users {
		for packed := range users.all() {
			u := packed.unpack(tenant, f.words)
			if !yield(matchUser{u.Person, u.UPN, u.Mail, u.Gone}) {
				return
			}
		}
	}
}

// numbered lists the extensions; f is locked meanwhile.
func (f *facts) numbered(yield func(matchLine) bool) {
	f.mu.Lock()
	defer f.mu.Unlock()
	for system, lines := range f.lines {
		for packed := range lines.all() {
			l := packed.unpack(system, f.words)
			if !yield(matchLine{l.Line, l.Mail, l.Enabled, l.Gone}) {
				return
			}
		}
	}
}

// holders lists who is known now, in order. The slices of one are those of the next.
func (r *records) holders() iter.Seq[holder] {
	var list recordList
	for _, tenant := range slices.Sorted(maps.Keys(r.known)) {
		sorted := r.known[tenant].list()
		list.tenants.add(tenant, len(sorted))
		list.records = append(list.records, sorted...)
	}
	return func(yield func(holder) bool) {
		var k kept
		for i, packed := range list.records {
			packed.unpackInto(list.at(i), r.words, &k)
			if !yield(holder{identity.Person{Tenant: list.at(i), User: identity.User(key(packed))}, k.Record, k.broken}) {
				return
			}
		}
	}
}

// whose are the people who have extensions of Offhook's, among some.
func (r *records) whose(some map[identity.Line]sending) map[identity.Line]identity.Person {
	whose := map[identity.Line]identity.Person{}
	for h := range r.holders() {
		for i := range h.record.Owned {
			line := h.record.Owned[i].Line
			if _, asked := some[line]; asked {
				whose[line] = identity.Person{Tenant: h.person.Tenant, User: identity.User(strings.Clone(string(h.person.User)))} // see packer
			}
		}
	}
	return whose
}

func (s *Sync) conflicts(conflicts []Conflict) {
	for _, c := range conflicts {
		if s.active.first(c) {
			s.deps.Log.Warn("not linked: conflict", "tenant", c.Person.Tenant, "user", c.Person.User, "system", c.System, "why", c.Why)
		}
	}
}
