package usersync

import (
	"cmp"
	"slices"
	"strings"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/wire"
)

// Pair is a user with one of their extensions.
type Pair struct {
	Person identity.Person
	Line   identity.Line
	How    string // "configured" or "mail"
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

// view is what match decides on.
type view struct {
	users    []wire.User
	lines    []wire.Inventory
	serves   map[identity.System][]identity.Tenant
	explicit []Explicit
	// existing pairs are kept while both sides exist.
	existing map[identity.Line]identity.Person
	// owned pairs are those of extensions that Offhook made or adopted; closed are its
	// extensions that are nobody's now.
	owned  map[identity.Line]Pair
	closed map[identity.Line]bool
}

// match pairs users with lines. It is pure; the order of its input does not matter.
func match(v view) (pairs []Pair, conflicts []Conflict) {
	people := index(v.users)
	lines := map[identity.Line]wire.Inventory{}
	goneLines := map[identity.Line]bool{}
	for _, line := range v.lines {
		if goneLines[line.Line] = line.Gone; !line.Gone {
			lines[line.Line] = line
		}
	}
	gonePeople := map[identity.Person]bool{}
	for _, user := range v.users {
		gonePeople[user.Person] = user.Gone
	}
	taken := map[identity.Line]bool{}
	// paired holds who already has a line on a system.
	paired := map[identity.System]map[identity.Person]bool{}
	add := func(all ...Pair) {
		for _, p := range all {
			taken[p.Line] = true
			if paired[p.Line.System] == nil {
				paired[p.Line.System] = map[identity.Person]bool{}
			}
			paired[p.Line.System][p.Person] = true
		}
		pairs = append(pairs, all...)
	}
	configured, clashes := byConfiguration(v, people, lines)
	add(configured...)
	conflicts = append(conflicts, clashes...)
	var ours []Pair
	for line, p := range v.owned {
		if !goneLines[line] && !gonePeople[p.Person] && !taken[line] && serves(v, line.System, p.Person.Tenant) {
			ours = append(ours, p)
		}
	}
	add(ours...)
	for line := range v.closed {
		taken[line] = true
	}
	// A pair stays until it is known that one side is gone; that nothing is known of
	// it, because a stream was lost or is still being filled, proves nothing.
	var kept []Pair
	for line, person := range v.existing {
		if !goneLines[line] && !gonePeople[person] && !taken[line] && !paired[line.System][person] && serves(v, line.System, person.Tenant) {
			kept = append(kept, Pair{person, line, "mail"})
		}
	}
	add(kept...)
	matched, clashes := byMail(v, people, lines, taken, paired)
	add(matched...)
	conflicts = append(conflicts, clashes...)
	slices.SortFunc(pairs, func(a, b Pair) int { return cmp.Compare(a.Line.String(), b.Line.String()) })
	slices.SortFunc(conflicts, func(a, b Conflict) int {
		return cmp.Or(cmp.Compare(a.Person.String(), b.Person.String()), cmp.Compare(a.System, b.System), cmp.Compare(a.Why, b.Why))
	})
	return pairs, slices.Compact(conflicts)
}

// byConfiguration pairs what the configuration names, where it is clear whom and
// what it means.
func byConfiguration(v view, people people, lines map[identity.Line]wire.Inventory) (pairs []Pair, conflicts []Conflict) {
	owners := map[identity.Line][]identity.Person{}
	for _, e := range v.explicit {
		candidates := people[e.Tenant][strings.ToLower(e.User)]
		_, exists := lines[e.Line]
		switch {
		case !exists:
			conflicts = append(conflicts, Conflict{identity.Person{Tenant: e.Tenant}, e.Line.System, "configured extension " + string(e.Line.Extension) + " is not on the phone system"})
		case len(candidates) != 1:
			conflicts = append(conflicts, Conflict{identity.Person{Tenant: e.Tenant}, e.Line.System, "configured user " + e.User + " is not exactly one user of the directory"})
		case !serves(v, e.Line.System, e.Tenant):
			conflicts = append(conflicts, Conflict{candidates[0], e.Line.System, "the phone system does not serve this tenant"})
		case !slices.Contains(owners[e.Line], candidates[0]):
			owners[e.Line] = append(owners[e.Line], candidates[0])
		}
	}
	for line, people := range owners {
		if len(people) == 1 {
			pairs = append(pairs, Pair{people[0], line, "configured"})
			continue
		}
		for _, person := range people {
			conflicts = append(conflicts, Conflict{person, line.System, "extension " + string(line.Extension) + " is configured for several users"})
		}
	}
	return pairs, conflicts
}

// byMail pairs what is left where exactly one user and one extension of a system
// share an address.
func byMail(v view, people people, lines map[identity.Line]wire.Inventory, taken map[identity.Line]bool, paired map[identity.System]map[identity.Person]bool) (pairs []Pair, conflicts []Conflict) {
	// An address can be a UPN of one user and the mail of another; a person can be
	// reached by two addresses of two lines. Both are conflicts.
	candidates := map[identity.System]map[identity.Person][]identity.Line{}
	contested := map[identity.Line][]identity.Person{}
	for id, line := range lines {
		if taken[id] || line.Mail == "" || !line.Enabled {
			continue
		}
		for _, tenant := range v.serves[id.System] {
			for _, person := range people[tenant][strings.ToLower(line.Mail)] {
				contested[id] = append(contested[id], person) // also by who has a line
				if paired[id.System][person] {
					continue
				}
				if candidates[id.System] == nil {
					candidates[id.System] = map[identity.Person][]identity.Line{}
				}
				candidates[id.System][person] = append(candidates[id.System][person], id)
			}
		}
	}
	for system, people := range candidates {
		for person, ids := range people {
			switch {
			case len(ids) > 1:
				conflicts = append(conflicts, Conflict{person, system, "several extensions have this user's address: " + list(ids)})
			case len(contested[ids[0]]) > 1:
				conflicts = append(conflicts, Conflict{person, system, "several users have the address of extension " + string(ids[0].Extension)})
			default:
				pairs = append(pairs, Pair{person, ids[0], "mail"})
			}
		}
	}
	return pairs, conflicts
}

// people finds people of a tenant by object id, UPN or mail address in lower case.
type people map[identity.Tenant]map[string][]identity.Person

func index(users []wire.User) people {
	d := people{}
	for _, u := range users {
		if u.Gone {
			continue
		}
		if d[u.Person.Tenant] == nil {
			d[u.Person.Tenant] = map[string][]identity.Person{}
		}
		names := []string{string(u.Person.User), strings.ToLower(u.UPN), strings.ToLower(u.Mail)}
		slices.Sort(names)
		for _, name := range slices.Compact(names) {
			if name != "" {
				d[u.Person.Tenant][name] = append(d[u.Person.Tenant][name], u.Person)
			}
		}
	}
	return d
}

func serves(v view, system identity.System, tenant identity.Tenant) bool {
	return slices.Contains(v.serves[system], tenant)
}

func list(ids []identity.Line) string {
	numbers := make([]string, len(ids))
	for i, id := range ids {
		numbers[i] = string(id.Extension)
	}
	slices.Sort(numbers)
	return strings.Join(numbers, ", ")
}
