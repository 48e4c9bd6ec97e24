package usersync

import (
	"cmp"
	"fmt"
	"maps"
	"math/rand/v2"
	"reflect"
	"slices"
	"testing"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/links"
	"offhook.dev/libs/wire"
)

func person(i int) identity.Person { return of("contoso", i) }

func of(tenant identity.Tenant, i int) identity.Person {
	return identity.Person{Tenant: tenant, User: identity.User(fmt.Sprintf("00000000-0000-0000-0000-%012d", i))}
}

func lineOf(ext identity.Extension) identity.Line { return identity.Line{System: "hq", Extension: ext} }

func user(who identity.Person, mail string) wire.User {
	return wire.User{Person: who, Mail: mail, UPN: "upn-" + mail, Enabled: true}
}

func extension(ext identity.Extension, mail string) wire.Inventory {
	return wire.Inventory{Line: lineOf(ext), Fields: directory.Fields{Mail: mail}, Enabled: true}
}

// sides are what match decides on, in lists that can be changed.
type sides struct {
	users    []wire.User
	lines    []wire.Inventory
	serves   map[identity.System][]identity.Tenant
	explicit []Explicit
	existing map[identity.Line]identity.Person
	owned    map[identity.Person][]directory.Record
}

// match returns the pairs that should be, in order.
func (v sides) match() (pairs []Pair, conflicts []Conflict) {
	m := match(v.view())
	m.people(func(_ holder, some []Pair) { pairs = append(pairs, some...) })
	slices.SortFunc(pairs, func(a, b Pair) int { return cmp.Compare(a.Line.String(), b.Line.String()) })
	return pairs, m.conflicts
}

func (v sides) view() view {
	users, lines, kept := map[identity.Person]matchUser{}, map[identity.Line]matchLine{}, map[identity.Person]links.Record{}
	for _, u := range v.users {
		users[u.Person] = matchUser{u.Person, u.UPN, u.Mail, u.Gone}
	}
	for _, l := range v.lines {
		lines[l.Line] = matchLine{l.Line, l.Mail, l.Enabled, l.Gone}
	}
	for line, who := range v.existing {
		kept[who] = links.Record{Lines: append(kept[who].Lines, links.Line{Line: line})}
	}
	for who, owned := range v.owned {
		kept[who] = links.Record{Lines: kept[who].Lines, Owned: owned}
	}
	return view{users: maps.Values(users), lines: maps.Values(lines), serves: v.serves, explicit: v.explicit,
		user: func(who identity.Person) (matchUser, bool) { u, known := users[who]; return u, known },
		line: func(l identity.Line) (matchLine, bool) { is, known := lines[l]; return is, known },
		holders: func(yield func(holder) bool) {
			for _, who := range slices.SortedFunc(maps.Keys(kept), func(a, b identity.Person) int { return cmp.Compare(a.String(), b.String()) }) {
				if !yield(holder{person: who, record: kept[who].Normal()}) {
					return
				}
			}
		}}
}

// ours is the record of an extension that Offhook made, of a user who left then, or did not.
func ours(who identity.Person, ext identity.Extension, left time.Time) map[identity.Person][]directory.Record {
	return map[identity.Person][]directory.Record{who: {{Person: who, Line: lineOf(ext), How: directory.Created, Left: left}}}
}

// small is two users and two extensions that fit.
func small() sides {
	return sides{
		users:    []wire.User{user(person(1), "anna@x"), user(person(2), "ben@x")},
		lines:    []wire.Inventory{extension("101", "anna@x"), extension("102", "ben@x")},
		serves:   map[identity.System][]identity.Tenant{"hq": {"contoso"}},
		existing: map[identity.Line]identity.Person{},
	}
}

func TestMatch(t *testing.T) {
	anna, ben := person(1), person(2)
	byMail := func(who identity.Person, ext identity.Extension) Pair { return Pair{who, lineOf(ext), "mail"} }
	configured := func(who identity.Person, ext identity.Extension) Pair { return Pair{who, lineOf(ext), "configured"} }
	for _, c := range []struct {
		name      string
		change    func(*sides)
		pairs     []Pair
		conflicts int
	}{
		{"mail pairs", func(*sides) {}, []Pair{byMail(anna, "101"), byMail(ben, "102")}, 0},
		{"mail is compared without case", func(v *sides) { v.lines[0].Mail = "ANNA@X" }, []Pair{byMail(anna, "101"), byMail(ben, "102")}, 0},
		{"the UPN pairs as well", func(v *sides) { v.lines[0].Mail = "upn-anna@x" }, []Pair{byMail(anna, "101"), byMail(ben, "102")}, 0},
		{"no address, no pair", func(v *sides) { v.lines[0].Mail, v.users[0].Mail, v.users[0].UPN = "", "", "" }, []Pair{byMail(ben, "102")}, 0},
		{"a disabled extension is not paired", func(v *sides) { v.lines[0].Enabled = false }, []Pair{byMail(ben, "102")}, 0},
		{"an extension that is gone is not paired", func(v *sides) { v.lines[0].Gone = true }, []Pair{byMail(ben, "102")}, 0},
		{"a user who is gone is not paired", func(v *sides) { v.users[0].Gone = true }, []Pair{byMail(ben, "102")}, 0},
		{"a system that does not serve the tenant has nobody", func(v *sides) { v.serves = nil }, nil, 0},
		{"two extensions of one address are a conflict", func(v *sides) { v.lines[1].Mail = "anna@x" }, nil, 1},
		{"two users of one address are a conflict of both", func(v *sides) { v.users[1].Mail = "anna@x" }, nil, 2},
		{"one user's UPN is another's mail", func(v *sides) { v.users[1].UPN = "anna@x" }, nil, 2},
		{"users of two tenants with one address are a conflict", func(v *sides) {
			v.users, v.serves = []wire.User{user(anna, "anna@x"), user(of("fabrikam", 1), "anna@x")}, map[identity.System][]identity.Tenant{"hq": {"contoso", "fabrikam"}}
		}, nil, 2},
		{"a second extension of who is paired does not go to whoever shares the address", func(v *sides) {
			v.existing[lineOf("101")], v.users[1].Mail, v.lines[1].Mail = anna, "anna@x", "anna@x"
		}, []Pair{byMail(anna, "101")}, 1},
		{"the configuration wins over mail", func(v *sides) {
			v.explicit = []Explicit{{"contoso", "ben@x", lineOf("101")}}
		}, []Pair{configured(ben, "101")}, 0},
		{"the configuration names by object id", func(v *sides) {
			v.explicit = []Explicit{{"contoso", string(anna.User), lineOf("102")}}
		}, []Pair{configured(anna, "102")}, 0},
		{"the configuration may give a user two extensions", func(v *sides) {
			v.explicit = []Explicit{{"contoso", "anna@x", lineOf("101")}, {"contoso", "anna@x", lineOf("102")}}
		}, []Pair{configured(anna, "101"), configured(anna, "102")}, 0},
		{"the configuration wins over an existing pair", func(v *sides) {
			v.existing[lineOf("101")] = anna
			v.explicit = []Explicit{{"contoso", "ben@x", lineOf("101")}}
		}, []Pair{configured(ben, "101")}, 0},
		{"an extension configured twice is a conflict of both", func(v *sides) {
			v.lines, v.explicit = v.lines[:1], []Explicit{{"contoso", "ben@x", lineOf("101")}, {"contoso", "anna@x", lineOf("101")}}
			v.lines[0].Mail = ""
		}, nil, 2},
		{"a configured user that nobody knows is a conflict", func(v *sides) {
			v.explicit = []Explicit{{"contoso", "carl@x", lineOf("101")}}
		}, []Pair{byMail(anna, "101"), byMail(ben, "102")}, 1},
		{"a configured extension that is not there is a conflict", func(v *sides) {
			v.explicit = []Explicit{{"contoso", "anna@x", lineOf("109")}}
		}, []Pair{byMail(anna, "101"), byMail(ben, "102")}, 1},
		{"a configured pair of a foreign tenant is a conflict", func(v *sides) {
			v.users = append(v.users, user(of("fabrikam", 3), "carl@y"))
			v.explicit = []Explicit{{"fabrikam", "carl@y", lineOf("101")}}
		}, []Pair{byMail(anna, "101"), byMail(ben, "102")}, 1},
		{"a pair stays when the mail changes on either side", func(v *sides) {
			v.existing[lineOf("101")] = anna
			v.users[0].Mail, v.lines[0].Mail = "married@x", "old@x"
		}, []Pair{byMail(anna, "101"), byMail(ben, "102")}, 0},
		{"a pair stays when the extension is disabled", func(v *sides) {
			v.existing[lineOf("101")], v.lines[0].Enabled = anna, false
		}, []Pair{byMail(anna, "101"), byMail(ben, "102")}, 0},
		{"a pair stays when nothing is known of its sides", func(v *sides) {
			v.existing[lineOf("101")], v.users, v.lines = anna, nil, nil
		}, []Pair{byMail(anna, "101")}, 0},
		{"a pair ends when its user is gone", func(v *sides) {
			v.existing[lineOf("101")], v.users[0].Gone = anna, true
		}, []Pair{byMail(ben, "102")}, 0},
		{"a pair ends when its extension is gone", func(v *sides) {
			v.existing[lineOf("101")], v.lines[0].Gone = anna, true
		}, []Pair{byMail(ben, "102")}, 0},
		{"a pair ends when the system no longer serves the tenant", func(v *sides) {
			v.existing[lineOf("101")], v.serves = anna, nil
		}, nil, 0},
		{"an extension of Offhook's is its user's, whatever its address", func(v *sides) {
			v.owned, v.lines[0].Mail = ours(ben, "101", time.Time{}), "anna@x"
		}, []Pair{{ben, lineOf("101"), "created"}}, 0},
		{"it wins over a pair that there is", func(v *sides) {
			v.existing[lineOf("101")], v.owned = anna, ours(ben, "101", time.Time{})
		}, []Pair{{ben, lineOf("101"), "created"}}, 0},
		{"the configuration wins over it", func(v *sides) {
			v.owned, v.explicit = ours(ben, "101", time.Time{}), []Explicit{{"contoso", "anna@x", lineOf("101")}}
		}, []Pair{configured(anna, "101"), byMail(ben, "102")}, 0},
		{"that of a user who left is nobody's", func(v *sides) {
			v.existing[lineOf("101")], v.owned = anna, ours(anna, "101", time.Unix(1, 0))
		}, []Pair{byMail(ben, "102")}, 0},
		{"unless it is somebody else's now", func(v *sides) {
			v.owned = ours(anna, "101", time.Unix(1, 0))
			v.owned[ben] = ours(ben, "101", time.Time{})[ben]
		}, []Pair{{ben, lineOf("101"), "created"}}, 0},
		{"and of two who have it by their records the first has it", func(v *sides) {
			v.owned = ours(anna, "101", time.Time{})
			v.owned[ben] = ours(ben, "101", time.Time{})[ben]
		}, []Pair{{anna, lineOf("101"), "created"}, byMail(ben, "102")}, 0},
		{"both pairs of a user stay when the configuration no longer names them", func(v *sides) {
			v.existing[lineOf("101")], v.existing[lineOf("102")] = anna, anna
		}, []Pair{byMail(anna, "101"), byMail(anna, "102")}, 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			v := small()
			c.change(&v)
			pairs, conflicts := v.match()
			if !slices.Equal(pairs, c.pairs) {
				t.Errorf("pairs %v\nwant  %v", pairs, c.pairs)
			}
			if len(conflicts) != c.conflicts {
				t.Errorf("conflicts %+v, want %d", conflicts, c.conflicts)
			}
			for _, conflict := range conflicts {
				if conflict.Why == "" || conflict.Person.Tenant == "" {
					t.Errorf("a conflict that says nothing: %+v", conflict)
				}
			}
		})
	}
}

// random is a small world in which everything collides with everything.
func random(r *rand.Rand) sides {
	v := sides{serves: map[identity.System][]identity.Tenant{"hq": {"contoso", "fabrikam"}, "branch": {"contoso"}}, existing: map[identity.Line]identity.Person{}, owned: map[identity.Person][]directory.Record{}}
	mail := func() string { return []string{"", "a@x", "A@x", "b@x", "c@x", "d@x"}[r.IntN(6)] }
	tenants, systems := []identity.Tenant{"contoso", "fabrikam", "gone"}, []identity.System{"hq", "branch", "closed"}
	for i := range 2 + r.IntN(5) {
		u := user(of(tenants[r.IntN(3)], i), mail())
		u.UPN, u.Gone = mail(), r.IntN(5) == 0
		v.users = append(v.users, u)
	}
	for i := range 2 + r.IntN(5) {
		line := identity.Line{System: systems[r.IntN(3)], Extension: identity.Extension(fmt.Sprint(100 + i))}
		v.lines = append(v.lines, wire.Inventory{Line: line, Fields: directory.Fields{Mail: mail()}, Enabled: r.IntN(4) > 0, Gone: r.IntN(5) == 0})
		if r.IntN(3) == 0 {
			v.existing[line] = v.users[r.IntN(len(v.users))].Person
		}
		if u := v.users[r.IntN(len(v.users))]; r.IntN(3) == 0 {
			v.explicit = append(v.explicit, Explicit{u.Person.Tenant, []string{u.Mail, u.UPN, string(u.Person.User)}[r.IntN(3)], line})
		}
		if u := v.users[r.IntN(len(v.users))]; r.IntN(4) == 0 {
			how, left := []directory.How{directory.Created, directory.Adopted, directory.Reserved}[r.IntN(3)], []time.Time{{}, time.Unix(1, 0)}[r.IntN(2)]
			v.owned[u.Person] = append(v.owned[u.Person], directory.Record{Person: u.Person, Line: line, How: how, Left: left})
		}
	}
	return v
}

func shuffled[T any](r *rand.Rand, all []T) []T {
	all = slices.Clone(all)
	r.Shuffle(len(all), func(i, j int) { all[i], all[j] = all[j], all[i] })
	return all
}

func TestTheOrderOfUsersExtensionsAndConfigurationDoesNotMatter(t *testing.T) {
	for seed := range uint64(3000) {
		r := rand.New(rand.NewPCG(seed, 0))
		v := random(r)
		pairs, conflicts := v.match()
		for range 4 {
			w := v
			w.users, w.lines, w.explicit = shuffled(r, v.users), shuffled(r, v.lines), shuffled(r, v.explicit)
			again, clashes := w.match()
			if !slices.Equal(pairs, again) || !slices.Equal(conflicts, clashes) {
				t.Fatalf("seed %d: %+v\n%v %v\n%v %v", seed, v, pairs, conflicts, again, clashes)
			}
		}
	}
}

func TestWhatIsPairedOnceStaysAndALineHasOneOwner(t *testing.T) {
	for seed := range uint64(3000) {
		v := random(rand.New(rand.NewPCG(seed, 0)))
		pairs, _ := v.match()
		owners := map[identity.Line]identity.Person{}
		for _, p := range pairs {
			if _, twice := owners[p.Line]; twice {
				t.Fatalf("seed %d: %s has two owners", seed, p.Line)
			}
			if !slices.Contains(v.serves[p.Line.System], p.Person.Tenant) {
				t.Fatalf("seed %d: %s is paired with a foreign %s", seed, p.Line, p.Person)
			}
			owners[p.Line] = p.Person
		}
		v.existing = owners
		if again, _ := v.match(); !reflect.DeepEqual(again, pairs) {
			t.Fatalf("seed %d: %v, then %v", seed, pairs, again)
		}
	}
}
