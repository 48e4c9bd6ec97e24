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
func PlanExtensions(v View) (Result, error) {
	p, err := begin(&v)
	if err != nil {
		return Result{}, err
	}
	p.configured()
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
	users      []*User      // sorted by person
	records    []*Record    // sorted by person and number
	extensions []*Extension // sorted by number
	rules      map[identity.Tenant]*wants
	taken      map[identity.Extension]struct{} // of Taken
	// explicit is what the configuration says of numbers, refused of whom it says
	// something that cannot be.
	explicit map[identity.Extension]identity.Person
	pairs    map[identity.Person][]identity.Extension
	refused  map[identity.Person]bool
	places   map[identity.Extension]place // everything that has a number, by it
	lost     map[*Record]bool             // given up: their person is new
	settled  []*User                      // who has an extension, or gets one that is known
	linked   int                          // extensions that are Offhook's
	free     int                          // seats of the licence, if Free says
	result   Result
	about    *User // whose values note tells of
	note     func(Field, Reason, string)
}

// place is what is at a number: the extension, and the record that keeps it.
type place struct {
	is    *Extension
	owner *Record
}

func begin(v *View) (*planner, error) {
	p := &planner{View: v, rules: make(map[identity.Tenant]*wants, len(v.Rules)), users: slices.Clone(v.Users), records: slices.Clone(v.Records), extensions: slices.Clone(v.Extensions)}
	var problems []error
	for _, tenant := range slices.Sorted(maps.Keys(v.Rules)) {
		if err := v.Rules[tenant].Check(); err != nil {
			problems = append(problems, fmt.Errorf("tenant %s: %w", tenant, err))
		}
		if v.Rules[tenant].Policy != plan.Off {
			p.rules[tenant] = newWants(v.Rules[tenant], v.Writes, v.Now)
		}
	}
	slices.SortFunc(p.users, func(a, b *User) int { return comparePeople(a.Person, b.Person) })
	slices.SortFunc(p.records, compareRecords)
	slices.SortFunc(p.extensions, func(a, b *Extension) int { return cmp.Compare(a.Number, b.Number) })
	for i := 1; i < len(p.users); i++ {
		if p.users[i].Person == p.users[i-1].Person {
			problems = append(problems, fmt.Errorf("user %s is listed twice", p.users[i].Person))
		}
	}
	for i := 1; i < len(p.records); i++ {
		if compareRecords(p.records[i], p.records[i-1]) == 0 {
			problems = append(problems, fmt.Errorf("the record of %s at %s is listed twice", p.records[i].Person, p.records[i].Line))
		}
	}
	for i := 1; i < len(p.extensions); i++ {
		if p.extensions[i].Number == p.extensions[i-1].Number {
			problems = append(problems, fmt.Errorf("extension %s is listed twice", p.extensions[i].Number))
		}
	}
	for _, r := range p.records {
		if r.Line.System != v.System {
			problems = append(problems, fmt.Errorf("the record of %s is of another phone system, %s", r.Person, r.Line))
		}
	}
	if len(problems) > 0 {
		return nil, fault.New(fault.Invalid, "directory: plan of "+string(v.System), errors.Join(problems...))
	}
	p.note = p.problem
	p.places = make(map[identity.Extension]place, max(len(p.extensions), len(p.records)))
	for _, e := range p.extensions {
		p.places[e.Number] = place{is: e}
	}
	p.taken = make(map[identity.Extension]struct{}, len(v.Taken))
	for _, t := range v.Taken {
		p.taken[t] = struct{}{}
	}
	if v.Free != nil {
		p.free = *v.Free
	}
	return p, nil
}

func comparePeople(a, b identity.Person) int {
	return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.User, b.User))
}

func compareRecords(a, b *Record) int {
	return cmp.Or(comparePeople(a.Person, b.Person), cmp.Compare(a.Line.Extension, b.Line.Extension))
}

// at returns the extension of a number, or nil.
func (p *planner) at(number identity.Extension) *Extension { return p.places[number].is }

// owner returns the record that keeps a number, or nil.
func (p *planner) owner(number identity.Extension) *Record { return p.places[number].owner }

// own makes a record the one that keeps its number, or nobody's with nil.
func (p *planner) own(number identity.Extension, r *Record) {
	at := p.places[number]
	at.owner = r
	p.places[number] = at
}

func (p *planner) line(number identity.Extension) identity.Line {
	return identity.Line{System: p.System, Extension: number}
}

// step adds a step, as the policy of its tenant allows it.
func (p *planner) step(s Step) {
	if s.wants != nil && s.Op.Acts() {
		if !s.wants.Policy.Allows(s.Op) {
			s.Detail, s.Op, s.Reason = fmt.Sprintf("%s is not done under %s", s.Op, s.wants.Policy), plan.Skip, plan.ByPolicy
		} else if s.is != nil { // what is made anew gets everything
			s.changed = s.wants.allowed(s.Op, s.changed)
		}
	}
	p.result.Steps = append(p.result.Steps, s)
}

// store keeps a record that changed.
func (p *planner) store(r Record, why Reason) {
	p.result.Notes = append(p.result.Notes, Note{r, why})
}

// forget removes a record.
func (p *planner) forget(r Record, why Reason) {
	p.result.Forgets = append(p.result.Forgets, Note{r, why})
}

// fields returns what a user's extension should have, and reports what cannot be.
func (p *planner) fields(w *wants, u *User) Fields {
	p.about = u
	return w.fields(u, p.note)
}

func (p *planner) problem(f Field, why Reason, detail string) {
	p.result.Problems = append(p.result.Problems, Problem{Object: p.about.Person.String(), Field: string(f), Reason: why, Detail: detail, user: p.about})
}

// finish sorts what was found and lets the brake look at it.
func (p *planner) finish() {
	r := &p.result
	sort.Sort(byPerson(r.Steps))
	slices.SortStableFunc(r.Problems, func(a, b Problem) int { return comparePeople(a.user.Person, b.user.Person) })
	for _, notes := range [][]Note{r.Notes, r.Forgets} {
		slices.SortFunc(notes, func(a, b Note) int { return compareRecords(&a.Record, &b.Record) })
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
func (s *Step) counts() bool { return s.Op.Removes() && s.record.How != Reserved }
