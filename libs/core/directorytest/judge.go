package directorytest

import (
	"fmt"
	"slices"
	"strconv"
	"strings"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
)

// Judge says what is wrong with a world in which everything that was planned was done,
// until nothing more was to do, when it began as before. It needs policy Sync and a brake
// that did not trip.
func Judge(before, after *World) []string {
	j := &judge{o: newOracle(before), before: before, after: after}
	j.numbers()
	expected := j.o.expect()
	for _, x := range expected {
		j.person(x)
	}
	for _, e := range before.Extensions {
		if !slices.ContainsFunc(expected, func(x expectation) bool { return x.number == e.Number }) {
			j.stranger(e)
		}
	}
	for _, r := range after.Records {
		if !slices.ContainsFunc(expected, func(x expectation) bool {
			return x.person == r.Person && (x.number == r.Line.Extension || x.number == "" && x.fate == has)
		}) {
			j.wrong("%s has a record of %s for no reason", r.Person, r.Line)
		}
	}
	return j.found
}

type judge struct {
	o             *oracle
	before, after *World
	found         []string
}

func (j *judge) wrong(format string, args ...any) {
	j.found = append(j.found, fmt.Sprintf(format, args...))
}

// numbers: everything has a number of its own.
func (j *judge) numbers() {
	seen := map[identity.Extension]bool{}
	for _, e := range j.after.Extensions {
		if seen[e.Number] {
			j.wrong("extension %s is there twice", e.Number)
		}
		if slices.Contains(j.after.Queues, e.Number) && !slices.Contains(j.before.Queues, e.Number) {
			j.wrong("extension %s has the number of a queue", e.Number)
		}
		seen[e.Number] = true
	}
	owners := map[identity.Extension]identity.Person{}
	for _, r := range j.after.Records {
		if other, ok := owners[r.Line.Extension]; ok {
			j.wrong("%s and %s both have %s", other, r.Person, r.Line)
		}
		owners[r.Line.Extension] = r.Person
	}
}

// stranger: what is nobody's stays exactly as it was.
func (j *judge) stranger(e *directory.Extension) {
	if r := j.o.owner(e); r != nil {
		return // judged with its person
	}
	for _, r := range j.after.Records {
		if r.Line.Extension == e.Number {
			j.wrong("%s took the stranger's extension %s", r.Person, e.Number)
		}
	}
	if now := j.after.At(e.Number); now == nil || *now != *e {
		j.wrong("the stranger's extension %+v became %+v", e, now)
	}
}

func (j *judge) person(x expectation) {
	switch x.fate {
	case none:
		for _, r := range j.after.Of(x.person) {
			j.wrong("%s has %s, but should have none (%s)", x.person, r.Line, x.why)
		}
	case has, enabledAs:
		j.hasOne(x)
	case left:
		j.hasLeft(x)
	case untouched:
		was, now := j.before.At(x.number), j.after.At(x.number)
		if (was == nil) != (now == nil) || was != nil && *was != *now {
			j.wrong("%s's %s (%s) became %+v from %+v", x.person, x.number, x.why, now, was)
		}
		if j.after.Record(x.person, x.number) == nil {
			j.wrong("%s lost the number %s (%s)", x.person, x.number, x.why)
		}
	}
}

func (j *judge) hasOne(x expectation) {
	u, number := j.after.User(x.person), x.number
	if number == "" {
		all := j.after.Of(x.person)
		if len(all) != 1 {
			if !j.excused(u) {
				j.wrong("%s has %d extensions and should have a new one", x.person, len(all))
			}
			return
		}
		number = all[0].Line.Extension
		j.chosen(u, number)
	}
	r, e := j.after.Record(x.person, number), j.after.At(number)
	switch {
	case r == nil || !r.Active():
		if x.why == "reserved" && j.excused(u) || r != nil && j.full() {
			return
		}
		j.wrong("%s should have %s (%s), the record is %+v", x.person, number, x.why, r)
	case e == nil:
		if !j.full() {
			j.wrong("%s should have %s (%s), which is not there", x.person, number, x.why)
		}
	case x.fate == enabledAs:
		if was := j.before.At(number); was != nil {
			want := *was
			if want.Enabled, want.Marker = true, e.Marker; *e != want { // the marker may be new
				j.wrong("%s's %s should be as it was and enabled, but is %+v", x.person, number, e)
			}
		}
	default:
		j.fields(u, e)
	}
}

// full says whether the licence has no seat left.
func (j *judge) full() bool {
	return j.after.Seats > 0 && len(j.after.Extensions) >= j.after.Seats
}

// excused says whether there is a reason why somebody new has no extension.
func (j *judge) excused(u *directory.User) bool {
	from, to := j.pool(u)
	for n := from; n <= to; n++ {
		if number := identity.Extension(strconv.Itoa(n)); !j.used(number) {
			return j.full()
		}
	}
	return true
}

// pool is where somebody's number comes from.
func (j *judge) pool(u *directory.User) (from, to int) {
	rules := j.after.Rules[u.Tenant]
	from, to = atoi(rules.Start), 999
	for _, r := range slices.Backward(rules.Ranges) {
		if slices.Contains(r.Departments, u.Department) {
			from, to = atoi(r.From), atoi(r.To)
		}
	}
	return from, to
}

func atoi(e identity.Extension) int {
	n, _ := strconv.Atoi(string(e))
	return n
}

// used says whether a number has been anybody's or anything's.
func (j *judge) used(number identity.Extension) bool {
	if slices.ContainsFunc(j.before.Explicit, func(e directory.Explicit) bool { return e.Number == number }) {
		return true
	}
	for _, w := range []*World{j.before, j.after} {
		if w.At(number) != nil || slices.Contains(w.Queues, number) || slices.Contains(w.Refused, number) ||
			slices.ContainsFunc(w.Records, func(r *directory.Record) bool { return r.Line.Extension == number }) {
			return true
		}
	}
	return false
}

// chosen: a new number is the first free one of the pool, and was nobody's.
func (j *judge) chosen(u *directory.User, number identity.Extension) {
	from, to := j.pool(u)
	n := atoi(number)
	if n < from || n > to {
		j.wrong("%s has %s, which is not of %d to %d", u.Person, number, from, to)
	}
	for lower := from; lower < n; lower++ {
		if number := identity.Extension(strconv.Itoa(lower)); !j.used(number) {
			j.wrong("%s has %d, though %d is free", u.Person, n, lower)
		}
	}
	if j.freed(number) {
		return
	}
	if j.before.At(number) != nil || slices.Contains(j.before.Queues, number) {
		j.wrong("%s has %s, which was something else's", u.Person, number)
	}
	for _, r := range j.before.Records {
		if r.Line.Extension == number && r.Person != u.Person {
			j.wrong("%s has %s, which was %s's", u.Person, number, r.Person)
		}
	}
}

// freed says whether a number was somebody's whose hold is over.
func (j *judge) freed(number identity.Extension) bool {
	return j.after.At(number) != nil && slices.ContainsFunc(j.before.Records, func(r *directory.Record) bool {
		rules := j.before.Rules[r.Person.Tenant]
		over := rules.Hold == 0 || !r.Left.IsZero() && !j.after.Now.Before(r.Left.Add(rules.Hold))
		return r.Line.Extension == number && over && j.after.Record(r.Person, number) == nil
	})
}

// fields: the extension shows what Microsoft says.
func (j *judge) fields(u *directory.User, e *directory.Extension) {
	rules := j.after.Rules[u.Tenant]
	cut := func(f directory.Field, s string) string {
		if n, limited := rules.Limits[f]; limited && len([]rune(s)) > n {
			s = string([]rune(s)[:n])
		}
		return s
	}
	check := func(name, got, want string) {
		if got != want {
			j.wrong("%s's %s has %s %q instead of %q", u.Person, e.Number, name, got, want)
		}
	}
	check("first name", e.FirstName, cut(directory.FirstName, u.GivenName))
	check("last name", e.LastName, cut(directory.LastName, u.Surname))
	check("mail", strings.ToLower(e.Mail), strings.ToLower(writes(u)))
	check("mobile", e.Mobile, u.Mobile)
	check("enabled", fmt.Sprint(e.Enabled), "true")
	if rules.CallerID {
		want := ""
		if len(u.Phones) > 0 {
			want = strings.NewReplacer(" ", "", "(0)", "").Replace(u.Phones[0])
		}
		check("caller id", e.CallerID, want)
	}
	switch {
	case rules.Department && u.Department != "":
		check("department", e.Department, u.Department)
	case rules.Department || rules.Group != "":
		check("department", e.Department, rules.Group)
	}
	// What somebody made anew by hand under the user's number and address, right in every
	// field, is not written to for its marker alone: a listing need not tell markers.
	was := j.before.At(e.Number)
	unwritten := e.Marker == "" && was != nil && *was == *e
	if j.after.Markers && e.Marker != u.User && !unwritten {
		j.wrong("%s's %s is marked as %q's", u.Person, e.Number, e.Marker)
	}
}

// hasLeft: disabled at once, deleted after the hold and not before, the number kept as long.
func (j *judge) hasLeft(x expectation) {
	was, r, e := j.before.Record(x.person, x.number), j.after.Record(x.person, x.number), j.after.At(x.number)
	over := func(since time.Time) bool { return !j.after.Now.Before(since.Add(j.after.Rules[x.person.Tenant].Hold)) }
	since := was.Left
	if since.IsZero() {
		since = j.after.Now
	}
	switch {
	case over(since) && (r != nil || e != nil && !j.freed(x.number)):
		j.wrong("%s left, the hold is over, and there is %+v, %+v", x.person, r, e)
	case over(since):
	case r == nil:
		j.wrong("%s left, and lost the number %s within the hold", x.person, x.number)
	case r.Left != since:
		j.wrong("%s left at %s, the record says %s", x.person, since, r.Left)
	case e == nil && j.before.At(x.number) != nil:
		j.wrong("%s left, and %s was deleted within the hold", x.person, x.number)
	case e != nil && x.why == "left":
		want := *j.before.At(x.number)
		if want.Enabled = false; *e != want {
			j.wrong("%s left, and %s is %+v", x.person, x.number, e)
		}
	}
}

// Removed says how many extensions went from one world to another, or are disabled in it.
func Removed(before, after *World) (n int) {
	for _, e := range before.Extensions {
		if now := after.At(e.Number); now == nil || e.Enabled && !now.Enabled {
			n++
		}
	}
	return n
}

// Allowed is how many may within a day, of so many.
func Allowed(b plan.Brake, linked int) int {
	return max(b.Count, b.Percent*linked/100)
}
