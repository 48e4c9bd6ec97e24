package directory

import (
	"cmp"
	"errors"
	"fmt"
	"maps"
	"slices"
	"sort"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
)

// PlanExtensions returns what makes a phone system's extensions as its tenants' users
// need them:
//
//	                     extension there                     not there
//	no record  stays     adopted, if exactly one fits both   created, with a number of its own
//	                     ways; a conflict where several do
//	           leaves    (it is not ours)                    skipped, with the reason
//	record     stays     updated, where it differs           created again, under its number
//	           leaves    disabled                            its number is kept
//	           is back   enabled and updated                 created again, under its number
//	           hold over deleted                             the number is free
//
// Extensions that have no record and fit nobody are strangers: they are in no step. A
// record says Reserved until the extension is known to be Offhook's; see resume.
//
// An error is fault.Invalid: rules that say nothing, or something that is listed twice.
// Everything else that is wrong is a step or a problem, and the rest goes on.
func PlanExtensions(v View) (Result, error) { return PlanLists(v, v.lists()) }

// PlanLists is PlanExtensions with lists of its own instead of those of the View.
func PlanLists(v View, lists Lists) (Result, error) {
	p, err := begin(&v, &lists)
	if err != nil {
		return Result{}, err
	}
	p.configured()
	p.strangers()
	p.owners()
	fresh := p.known()
	fresh = p.adopt(fresh)
	p.create(fresh)
	p.finish()
	return p.result, nil
}

// planner is a plan in the making.
type planner struct {
	*View
	*Lists
	rules map[identity.Tenant]*wants
	taken map[identity.Extension]struct{} // of Taken
	// explicit is what the configuration says of numbers, refused of whom it says
	// something that cannot be.
	explicit map[identity.Extension]identity.Person
	pairs    map[identity.Person][]identity.Extension
	refused  map[identity.Person]bool
	places   map[identity.Extension]taker // everything that has a number, by it
	lost     map[place]bool               // records given up: their person is new
	settled  []place                      // users who have an extension, or get one that is known
	linked   int                          // extensions that are Offhook's
	free     int                          // seats of the licence, if Free says
	result   Result
	about    identity.Person // of whose values note tells
	called   string          // what people call them
	note     func(Field, Reason, string)
}

// taker is what has a number: the extension, and the record that keeps it.
type taker struct{ is, owner place }

// someone is a user of the lists.
type someone struct {
	place
	User
}

func (p *planner) someone(at place) someone { return someone{at, p.user(at)} }

// at is the extension of a number, owner the record that keeps it.
func (p *planner) at(number identity.Extension) place    { return p.places[number].is }
func (p *planner) owner(number identity.Extension) place { return p.places[number].owner }

// own makes a record the one that keeps its number, or nobody's with none.
func (p *planner) own(number identity.Extension, record place) {
	at := p.places[number]
	at.owner = record
	p.places[number] = at
}

func begin(v *View, lists *Lists) (*planner, error) {
	p := &planner{View: v, Lists: lists, rules: make(map[identity.Tenant]*wants, len(v.Rules))}
	var problems []error
	for _, tenant := range slices.Sorted(maps.Keys(v.Rules)) {
		if err := v.Rules[tenant].Check(); err != nil {
			problems = append(problems, fmt.Errorf("tenant %s: %w", tenant, err))
		}
		if v.Rules[tenant].Policy != plan.Off {
			p.rules[tenant] = newWants(v.Rules[tenant], v.Writes, v.Now, lists)
		}
	}
	p.places = make(map[identity.Extension]taker, max(lists.Extensions.Len(), lists.Records.Len()))
	problems = append(problems, p.read()...)
	if len(problems) > 0 {
		return nil, fault.New(fault.Invalid, "directory: plan of "+string(v.System), errors.Join(problems...))
	}
	p.note = p.problem
	p.taken = make(map[identity.Extension]struct{}, len(v.Taken))
	for _, t := range v.Taken {
		p.taken[t] = struct{}{}
	}
	if v.Free != nil {
		p.free = *v.Free
	}
	return p, nil
}

// read finds the extensions by their numbers, and what is wrong with the lists.
func (p *planner) read() (problems []error) {
	var who identity.Person
	for i := range p.Lists.Users.Len() {
		u := p.Lists.Users.At(i)
		if compared := comparePeople(who, u.Person); i > 0 && compared >= 0 {
			problems = append(problems, unordered(compared, "user "+u.Person.String()))
		}
		who = u.Person
	}
	var before Record
	for i := range p.Lists.Records.Len() {
		r := p.Lists.Records.At(i)
		if compared := compareRecords(&before, &r); i > 0 && compared >= 0 {
			problems = append(problems, unordered(compared, fmt.Sprintf("the record of %s at %s", r.Person, r.Line)))
		}
		if r.Line.System != p.System {
			problems = append(problems, fmt.Errorf("the record of %s is of another phone system, %s", r.Person, r.Line))
		}
		before = r
	}
	var number identity.Extension
	for i := range p.Lists.Extensions.Len() {
		e := p.Lists.Extensions.At(i)
		if compared := cmp.Compare(number, e.Number); i > 0 && compared >= 0 {
			problems = append(problems, unordered(compared, "extension "+string(e.Number)))
		}
		number = e.Number
		p.places[number] = taker{is: place(i + 1)}
	}
	return problems
}

// unordered is what is wrong with something that is not behind what is listed before it.
func unordered(compared int, what string) error {
	if compared == 0 {
		return errors.New(what + " is listed twice")
	}
	return errors.New(what + " is listed out of order")
}

func (p *planner) line(number identity.Extension) identity.Line {
	return identity.Line{System: p.System, Extension: number}
}

// step adds a step, as the policy of its tenant allows it.
func (p *planner) step(s Step) {
	if s.wants != nil && s.Op.Acts() {
		if !s.wants.Policy.Allows(s.Op) {
			s.Detail, s.Op, s.Reason = fmt.Sprintf("%s is not done under %s", s.Op, s.wants.Policy), plan.Skip, plan.ByPolicy
		} else if s.is != 0 { // what is made anew gets everything
			s.changed = s.wants.allowed(s.Op, s.changed)
		}
	}
	p.result.Steps = append(p.result.Steps, s)
}

// store keeps a record that changed.
func (p *planner) store(r Record, why Reason) {
	p.result.Notes = append(p.result.Notes, NewNote(r, why))
}

// forget removes a record.
func (p *planner) forget(r Record, why Reason) {
	p.result.Forgets = append(p.result.Forgets, NewNote(r, why))
}

// fields returns what a user's extension should have, and reports what cannot be.
func (p *planner) fields(w *wants, u *User) Fields {
	p.about, p.called = u.Person, u.label()
	return w.fields(u, p.note)
}

func (p *planner) problem(f Field, why Reason, detail string) {
	p.result.Problems = append(p.result.Problems, Problem{Object: p.about.String(), Field: string(f), Reason: why, Detail: detail, person: p.about, name: p.called})
}

// finish sorts what was found and lets the brake look at it.
func (p *planner) finish() {
	r := &p.result
	sort.Sort(byPerson(r.Steps))
	slices.SortStableFunc(r.Problems, func(a, b Problem) int { return comparePeople(a.person, b.person) })
	for _, notes := range [][]Note{r.Notes, r.Forgets} {
		slices.SortFunc(notes, func(a, b Note) int {
			one, other := a.Record(), b.Record()
			return compareRecords(&one, &other)
		})
	}
	var planned []string
	for i := range r.Steps {
		if s := &r.Steps[i]; s.counts() {
			planned = append(planned, s.key())
		}
	}
	var held func(string) bool
	r.Brake, held = p.Brake.Check(planned, plan.Recent(p.Removed, p.Now), p.linked, p.Force)
	for i := range r.Steps {
		s := &r.Steps[i]
		s.Held = s.counts() && held(s.key())
	}
}

// byPerson sorts steps where they are, since they are large.
type byPerson []Step

func (s byPerson) Len() int      { return len(s) }
func (s byPerson) Swap(i, j int) { s[i], s[j] = s[j], s[i] }
func (s byPerson) Less(i, j int) bool {
	a, b := &s[i], &s[j]
	return cmp.Or(comparePeople(a.Person, b.Person), cmp.Compare(a.Line.Extension, b.Line.Extension), cmp.Compare(a.Detail, b.Detail)) < 0
}

// counts says whether the brake counts the step: what was only reserved is no loss.
func (s *Step) counts() bool { return s.Op.Removes() && s.before().How != Reserved }
