package usersync

import (
	"cmp"
	"iter"
	"slices"
	"strings"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/links"
)

// Pair is a user with one of their extensions.
type Pair struct {
	Person identity.Person
	Line   identity.Line
	How    string // "configured" or "mail"; of an extension that is Offhook's, how it became that
}

// Conflict is a pairing that would have been a guess.
type Conflict struct {
	Person identity.Person
	System identity.System
	Why    string
}

// Explicit is a pair from the configuration; User is an object id, UPN or mail address.
type Explicit struct {
	Tenant identity.Tenant
	User   string
	Line   identity.Line
}

// view is what match decides on. Its lists may be read several times; in what order they
// are does not matter, but for holders.
type view struct {
	users iter.Seq[matchUser]
	lines iter.Seq[matchLine]
	// user and line are what is known of one of them.
	user     func(identity.Person) (matchUser, bool)
	line     func(identity.Line) (matchLine, bool)
	serves   map[identity.System][]identity.Tenant
	explicit []Explicit
	// holders are those of whom something is kept, in order. Their pairs are kept while both
	// sides exist.
	holders iter.Seq[holder]
}

// matchUser is a user, as far as it matters here.
type matchUser struct {
	identity.Person
	upn, mail string
	gone      bool
}

// matchLine is an extension, as far as it matters here.
type matchLine struct {
	identity.Line
	mail          string
	enabled, gone bool
}

// holder is what is kept of a person: their pairs, and the extensions that are Offhook's.
type holder struct {
	person identity.Person
	record links.Record
	broken bool // it could not be read
}

// matched are the pairs that should be. Those of a hundred thousand people are never
// listed: people tells of one after the other.
type matched struct {
	view
	configured map[identity.Person][]Pair
	byMail     map[identity.Person][]Pair
	// owners are who has a line, as long as it is not free; nobody has what is closed.
	owners    map[identity.System]map[identity.Extension]owner
	conflicts []Conflict
}

// owner is a holder by their place, from 1, or one of these.
type owner int32

const (
	closed          owner = -1 - iota // nobody: an extension of Offhook's that is nobody's now
	byConfiguration                   // whom the configuration says
)

// match pairs users with lines. It is pure; the order of its input does not matter.
func match(v view) *matched {
	m := &matched{view: v, owners: map[identity.System]map[identity.Extension]owner{}}
	m.configure()
	m.each(func(h holder, o owner) {
		for i := range h.record.Owned {
			if r := &h.record.Owned[i]; !r.Active() {
				m.take(r.Line, closed)
			} else if m.stays(r.Line, h.person) {
				m.reopen(r.Line)
				m.take(r.Line, o)
			}
		}
	})
	// A pair stays until it is known that one side is gone; that nothing is known of
	// it, because a stream was lost or is still being filled, proves nothing.
	m.each(func(h holder, o owner) {
		settled := m.settled(h, o)
		for _, line := range h.record.Lines {
			if !onSystem(settled, line.System) && m.stays(line.Line, h.person) {
				m.take(line.Line, o)
			}
		}
	})
	m.matchMail()
	slices.SortFunc(m.conflicts, func(a, b Conflict) int {
		return cmp.Or(cmp.Compare(a.Person.String(), b.Person.String()), cmp.Compare(a.System, b.System), cmp.Compare(a.Why, b.Why))
	})
	m.conflicts = slices.Compact(m.conflicts)
	return m
}

// each calls do for everybody of whom something is kept.
func (m *matched) each(do func(holder, owner)) {
	place := owner(0)
	for h := range m.holders {
		place++
		do(h, place)
	}
}

// take gives a line to somebody, unless it is taken.
func (m *matched) take(l identity.Line, by owner) {
	if m.owners[l.System] == nil {
		m.owners[l.System] = map[identity.Extension]owner{}
	}
	if m.owner(l) == 0 {
		m.owners[l.System][l.Extension] = by
	}
}

// reopen has a line that is nobody's by one record be somebody's by another.
func (m *matched) reopen(l identity.Line) {
	if m.owner(l) == closed {
		delete(m.owners[l.System], l.Extension)
	}
}

func (m *matched) owner(l identity.Line) owner { return m.owners[l.System][l.Extension] }

// stays says whether a pair can be kept.
func (m *matched) stays(l identity.Line, person identity.Person) bool {
	line, lineKnown := m.line(l)
	user, userKnown := m.user(person)
	return !(lineKnown && line.gone) && !(userKnown && user.gone) && m.served(l.System, person.Tenant)
}

func (m *matched) served(system identity.System, tenant identity.Tenant) bool {
	return slices.Contains(m.serves[system], tenant)
}

// settled are the pairs of a holder that nobody guesses: by configuration, and of
// extensions that are Offhook's.
func (m *matched) settled(h holder, o owner) []Pair {
	pairs := slices.Clone(m.configured[h.person])
	for i := range h.record.Owned {
		if r := &h.record.Owned[i]; r.Active() && m.owner(r.Line) == o {
			pairs = append(pairs, Pair{h.person, r.Line, string(r.How)})
		}
	}
	return pairs
}

// kept are the pairs that a holder has, settled ones first.
func (m *matched) kept(h holder, o owner) []Pair {
	pairs := m.settled(h, o)
	settled := pairs
	for i := range h.record.Lines {
		line := h.record.Lines[i].Line
		if m.owner(line) == o && !onSystem(settled, line.System) {
			pairs = append(pairs, Pair{h.person, line, "mail"})
		}
	}
	return pairs
}

func onSystem(pairs []Pair, system identity.System) bool {
	return slices.ContainsFunc(pairs, func(p Pair) bool { return p.Line.System == system })
}

// people calls do for everybody of whom something is kept, and then for those who get
// their first pair, each with the pairs that they should have.
func (m *matched) people(do func(holder, []Pair)) {
	newcomers := map[identity.Person]bool{}
	for _, pairs := range []map[identity.Person][]Pair{m.configured, m.byMail} {
		for person := range pairs {
			newcomers[person] = true
		}
	}
	m.each(func(h holder, o owner) {
		delete(newcomers, h.person)
		do(h, append(m.kept(h, o), m.byMail[h.person]...))
	})
	for person := range newcomers {
		do(holder{person: person}, append(slices.Clone(m.configured[person]), m.byMail[person]...))
	}
}

// configure pairs what the configuration names, where it is clear whom and what it means.
func (m *matched) configure() {
	m.configured = map[identity.Person][]Pair{}
	if len(m.explicit) == 0 {
		return
	}
	names := map[string]bool{}
	for _, e := range m.explicit {
		names[strings.ToLower(e.User)] = true
	}
	people := index(m.users, names)
	owners := map[identity.Line][]identity.Person{}
	for _, e := range m.explicit {
		candidates := people[e.Tenant][strings.ToLower(e.User)]
		line, known := m.line(e.Line)
		switch {
		case !known || line.gone:
			m.clash(identity.Person{Tenant: e.Tenant}, e.Line.System, "configured extension "+string(e.Line.Extension)+" is not on the phone system")
		case len(candidates) != 1:
			m.clash(identity.Person{Tenant: e.Tenant}, e.Line.System, "configured user "+e.User+" is not exactly one user of the directory")
		case !m.served(e.Line.System, e.Tenant):
			m.clash(candidates[0], e.Line.System, "the phone system does not serve this tenant")
		case !slices.Contains(owners[e.Line], candidates[0]):
			owners[e.Line] = append(owners[e.Line], candidates[0])
		}
	}
	for line, people := range owners {
		if len(people) == 1 {
			m.take(line, byConfiguration)
			m.configured[people[0]] = append(m.configured[people[0]], Pair{people[0], line, "configured"})
			continue
		}
		for _, person := range people {
			m.clash(person, line.System, "extension "+string(line.Extension)+" is configured for several users")
		}
	}
}

func (m *matched) clash(person identity.Person, system identity.System, why string) {
	m.conflicts = append(m.conflicts, Conflict{person, system, why})
}

// matchMail pairs what is left where exactly one user and one extension of a system
// share an address.
func (m *matched) matchMail() {
	m.byMail = map[identity.Person][]Pair{}
	var free []matchLine
	mails := map[string]bool{}
	for line := range m.lines {
		if !line.gone && line.enabled && line.mail != "" && m.owner(line.Line) == 0 {
			free = append(free, line)
			mails[strings.ToLower(line.mail)] = true
		}
	}
	if len(free) == 0 {
		return
	}
	people := index(m.users, mails)
	paired := m.paired(people)
	// An address can be a UPN of one user and the mail of another; a person can be
	// reached by two addresses of two lines. Both are conflicts.
	candidates := map[identity.System]map[identity.Person][]identity.Line{}
	contested := map[identity.Line]int{}
	for _, line := range free {
		for _, tenant := range m.serves[line.System] {
			for _, person := range people[tenant][strings.ToLower(line.mail)] {
				contested[line.Line]++ // also by who has a line
				if slices.Contains(paired[person], line.System) {
					continue
				}
				if candidates[line.System] == nil {
					candidates[line.System] = map[identity.Person][]identity.Line{}
				}
				candidates[line.System][person] = append(candidates[line.System][person], line.Line)
			}
		}
	}
	for system, people := range candidates {
		for person, ids := range people {
			switch {
			case len(ids) > 1:
				m.clash(person, system, "several extensions have this user's address: "+list(ids))
			case contested[ids[0]] > 1:
				m.clash(person, system, "several users have the address of extension "+string(ids[0].Extension))
			default:
				m.byMail[person] = append(m.byMail[person], Pair{person, ids[0], "mail"})
			}
		}
	}
}

// paired are the systems on which people have a pair already.
func (m *matched) paired(people people) map[identity.Person][]identity.System {
	paired := map[identity.Person][]identity.System{}
	for _, names := range people {
		for _, all := range names {
			for _, person := range all {
				paired[person] = nil
			}
		}
	}
	add := func(person identity.Person, pairs []Pair) {
		for _, p := range pairs {
			paired[person] = append(paired[person], p.Line.System)
		}
	}
	for person, pairs := range m.configured {
		add(person, pairs)
	}
	m.each(func(h holder, o owner) {
		if _, asked := paired[h.person]; asked {
			add(h.person, m.kept(h, o))
		}
	})
	return paired
}

// people finds people of a tenant by object id, UPN or mail address in lower case.
type people map[identity.Tenant]map[string][]identity.Person

// index finds who has one of the names.
func index(users iter.Seq[matchUser], wanted map[string]bool) people {
	d := people{}
	for u := range users {
		if u.gone {
			continue
		}
		names := []string{string(u.User), strings.ToLower(u.upn), strings.ToLower(u.mail)}
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			if name == "" || !wanted[name] {
				continue
			}
			if d[u.Tenant] == nil {
				d[u.Tenant] = map[string][]identity.Person{}
			}
			d[u.Tenant][name] = append(d[u.Tenant][name], u.Person)
		}
	}
	return d
}

func list(ids []identity.Line) string {
	numbers := make([]string, len(ids))
	for i, id := range ids {
		numbers[i] = string(id.Extension)
	}
	slices.Sort(numbers)
	return strings.Join(numbers, ", ")
}
