package directory

import (
	"cmp"
	"fmt"
	"slices"
	"strings"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
)

// configured finds whom and what the configuration pairs, where it is clear and there.
// Who is named in a pair that cannot be gets nothing by guessing.
func (p *planner) configured() {
	p.explicit = map[identity.Extension]identity.Person{}
	p.pairs = map[identity.Person][]identity.Extension{}
	p.refused = map[identity.Person]bool{}
	if len(p.Explicit) == 0 {
		return
	}
	named := p.named()
	kept := map[identity.Extension]bool{}
	for i := range p.Lists.Records.Len() {
		kept[p.Lists.Records.At(i).Line.Extension] = true
	}
	owners := map[identity.Extension][]identity.Person{}
	for _, e := range p.Explicit {
		people := named[address{e.Tenant, folded(e.User)}]
		switch {
		case p.Rules[e.Tenant] == nil:
			p.refuse(e, nil, ConfiguredNotHere, fmt.Sprintf("%s does not serve the tenant %s", p.System, e.Tenant))
		case p.rules[e.Tenant] == nil: // off
		case len(people) != 1:
			p.refuse(e, people, ConfiguredUnknown, fmt.Sprintf("%q is %d users of the tenant", e.User, len(people)))
		case p.at(e.Number) == 0 && !kept[e.Number]: // no record has it, anybody's
			p.refuse(e, people, ConfiguredMissing, fmt.Sprintf("extension %s is not on %s", e.Number, p.System))
		case !slices.Contains(owners[e.Number], people[0]):
			owners[e.Number] = append(owners[e.Number], people[0])
		}
	}
	for number, people := range owners {
		slices.SortFunc(people, comparePeople)
		if len(people) > 1 {
			for _, who := range people {
				p.refuse(Explicit{who.Tenant, string(who.User), number}, []identity.Person{who}, ConfiguredTwice, "extension "+string(number)+" is configured for "+list(people))
			}
			continue
		}
		p.explicit[number] = people[0]
		p.pairs[people[0]] = append(p.pairs[people[0]], number)
	}
	for _, numbers := range p.pairs {
		slices.Sort(numbers)
	}
}

// strangers lists whom a choice of users names and nobody is. Where not everybody is known
// it may be somebody after all.
func (p *planner) strangers() {
	for tenant, wants := range p.rules {
		if wants == nil || wants.Unsure != "" {
			continue
		}
		for _, name := range wants.Scope.Unknown {
			p.step(Step{Op: plan.Conflict, Reason: ConfiguredUnknown, Person: identity.Person{Tenant: tenant, User: identity.User(name)}, Line: p.line(""),
				Detail: fmt.Sprintf("the choice of users names %q, and no user of the tenant is called so", name)})
		}
	}
}

// address is what a user of a tenant is called in the configuration.
type address struct {
	tenant identity.Tenant
	name   string
}

// named finds the people whom the configuration calls by name.
func (p *planner) named() map[address][]identity.Person {
	wanted := make(map[address][]identity.Person, len(p.Explicit))
	for _, e := range p.Explicit {
		wanted[address{e.Tenant, folded(e.User)}] = nil
	}
	for i := range p.Lists.Users.Len() {
		u := p.Lists.Users.At(i)
		if u.Gone {
			continue
		}
		first, second := u.addresses()
		for _, name := range []string{string(u.User), first, second} {
			key := address{u.Tenant, name}
			if people, ok := wanted[key]; ok && name != "" && !slices.Contains(people, u.Person) {
				wanted[key] = append(people, u.Person)
			}
		}
	}
	return wanted
}

// refuse lists a pair that cannot be.
func (p *planner) refuse(e Explicit, people []identity.Person, why Reason, detail string) {
	s := Step{Op: plan.Conflict, Reason: why, Person: identity.Person{Tenant: e.Tenant, User: identity.User(e.User)}, Line: p.line(e.Number), Detail: detail}
	if len(people) == 1 {
		s.Person = people[0]
	}
	for _, who := range people {
		p.refused[who] = true
	}
	p.step(s)
}

// list names people, the first few of many.
func list[T fmt.Stringer](all []T) string {
	const most = 5
	var names []string
	for _, one := range all[:min(len(all), most)] {
		names = append(names, one.String())
	}
	if len(all) > most {
		names = append(names, fmt.Sprintf("%d more", len(all)-most))
	}
	return strings.Join(names, ", ")
}

// claim is a record of the lists.
type claim struct {
	place
	Record
}

// owners decides whose a number is that several claim. What the configuration says wins;
// then the marker of the extension, then who did more than reserve it, then who was first.
func (p *planner) owners() {
	p.lost = map[place]bool{}
	var twice map[identity.Extension][]claim
	reserved := 0
	for i := range p.Lists.Records.Len() {
		r := claim{place(i + 1), p.Lists.Records.At(i)}
		if r.How != Reserved {
			p.linked++
		} else {
			reserved++
		}
		number := r.Line.Extension
		if who, ok := p.explicit[number]; ok && who != r.Person {
			p.lose(r, ByConfiguration)
			continue
		}
		if other := p.owner(number); other != 0 {
			if twice == nil {
				twice = map[identity.Extension][]claim{}
			}
			if twice[number] == nil {
				twice[number] = []claim{{other, p.record(other)}}
			}
			twice[number] = append(twice[number], r)
			continue
		}
		p.own(number, r.place)
	}
	p.result.Steps = slices.Grow(p.result.Steps, reserved) // most of these are asked for again
	for number, claims := range twice {
		p.settle(number, claims)
	}
}

func (p *planner) settle(number identity.Extension, claims []claim) {
	var marker identity.User
	if e := p.at(number); e != 0 {
		marker = p.extension(e).Marker
	}
	marked := func(r claim) bool { return marker != "" && marker == r.Person.User }
	slices.SortFunc(claims, func(a, b claim) int {
		return cmp.Or(first(marked(a), marked(b)), first(a.How != Reserved, b.How != Reserved), a.Since.Compare(b.Since), comparePeople(a.Person, b.Person))
	})
	p.own(number, claims[0].place)
	for _, r := range claims[1:] {
		if r.How == Reserved {
			p.lose(r, NumberOwnedTwice)
			continue
		}
		p.step(Step{Op: plan.Conflict, Reason: NumberOwnedTwice, Person: r.Person, Line: r.Line, Detail: "it is " + claims[0].Person.String() + "'s as well"})
	}
}

// lose gives up a record, so that its person is new.
func (p *planner) lose(r claim, why Reason) {
	p.lost[r.place] = true
	p.forget(r.Record, why)
}

// first orders what is so before what is not.
func first(a, b bool) int {
	switch {
	case a == b:
		return 0
	case a:
		return -1
	}
	return 1
}
