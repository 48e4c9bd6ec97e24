package directory_test

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"syscall"
	"testing"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
)

// perSecond reports how many objects were compared in a second, of the clock and of a
// processor that does nothing else: on a busy machine the second is the figure.
func perSecond(b *testing.B, objects int, cpu time.Duration) {
	all := float64(objects) * float64(b.N)
	b.ReportMetric(all/b.Elapsed().Seconds(), "objects/s")
	b.ReportMetric(all/cpu.Seconds(), "objects/cpu-s")
}

// processor is how long this process has been computing.
func processor(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// large is a view with n users in no order, none of whom has an extension.
func large(n int) directory.View {
	r := rand.New(rand.NewPCG(1, 0))
	v := directory.View{System: "hq", Now: noon, Brake: plan.Brake{Count: 3, Percent: 5},
		Rules: map[identity.Tenant]*directory.Rules{"contoso": {Start: "1000000", Hold: 30 * day, CallerID: true, Department: true, Group: "Microsoft 365",
			Limits: map[directory.Field]int{directory.FirstName: 64, directory.LastName: 64}}}}
	for i := range n {
		v.Users = append(v.Users, &directory.User{
			Person: identity.Person{Tenant: "contoso", User: identity.User(fmt.Sprintf("%08x-0000-4000-8000-%012x", r.Uint32(), i))},
			UPN:    fmt.Sprintf("user%d@contoso.com", i), Mail: fmt.Sprintf("user%d@contoso.com", i), GivenName: "Anna", Surname: fmt.Sprintf("Berg %d", i),
			Mobile: fmt.Sprintf("+49 171 %07d", i), Phones: []string{fmt.Sprintf("+49 (0)30 %07d", i)}, Department: "Sales", Enabled: true})
	}
	return v
}

// settle does what is planned: the phone system has it, and the records say so.
func settle(b testing.TB, v *directory.View) {
	b.Helper()
	r, err := directory.PlanExtensions(*v)
	if err != nil {
		b.Fatal(err)
	}
	for i := range r.Steps {
		record, _ := r.Steps[i].Record()
		record.How = directory.Created
		e := r.Steps[i].Extension()
		v.Records, v.Extensions = append(v.Records, &record), append(v.Extensions, &e)
	}
}

// BenchmarkPlanExtensions plans for 1,000, 10,000 and 100,000 users: a first run, one that
// adopts the extensions of all, one with nothing to do, one after 1 % of the users have
// changed, and one in which all have the same address and nobody gets anything. The
// objects of which it says how many are compared in a second are users.
func BenchmarkPlanExtensions(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		fresh := large(n)
		same := large(n)
		settle(b, &same)
		changed := same
		changed.Users = nil
		for i, u := range same.Users {
			if i%100 == 0 {
				c := *u
				c.Surname = "Tal"
				u = &c
			}
			changed.Users = append(changed.Users, u)
		}
		there := large(n)
		for _, e := range same.Extensions {
			c := *e
			c.Marker = ""
			there.Extensions = append(there.Extensions, &c)
		}
		alike := large(n)
		for i, u := range alike.Users {
			u.Mail = "info@contoso.com"
			alike.Extensions = append(alike.Extensions, &directory.Extension{Number: identity.Extension(fmt.Sprint(2_000_000 + i)), Fields: directory.Fields{Mail: u.Mail}})
		}
		for _, c := range []struct {
			name  string
			view  directory.View
			steps int
		}{{"first run", fresh, n}, {"all adopted", there, n}, {"all alike", alike, n}, {"nothing to do", same, 0}, {"1 % changed", changed, n / 100}} {
			b.Run(fmt.Sprintf("%s/%d", c.name, n), func(b *testing.B) {
				b.ReportAllocs()
				began := processor(b)
				for b.Loop() {
					r, err := directory.PlanExtensions(c.view)
					if err != nil || len(r.Steps) != c.steps {
						b.Fatalf("%d steps, %v", len(r.Steps), err)
					}
				}
				perSecond(b, n, processor(b)-began)
			})
		}
	}
}

// contacts are n contacts of one folder, in pages of 100.
func contacts(n int) (pages []directory.Page) {
	for i := range n {
		if i%100 == 0 {
			pages = append(pages, directory.Page{Feed: "in", Index: i / 100, Last: i+100 >= n})
		}
		p := &pages[len(pages)-1]
		p.Contacts = append(p.Contacts, directory.Contact{Source: directory.SourceKey(fmt.Sprint(i)), FirstName: "Anna", LastName: fmt.Sprintf("Berg %d", i),
			Company: "Contoso", Mail: fmt.Sprintf("user%d@contoso.com", i), Numbers: directory.NumbersOf("+49 171 1", []string{"+49 30 1", "+49 30 2"}, nil)})
	}
	return pages
}

// readAll plans for a reading of the whole, so many pages at once, and settles each.
func readAll(b *testing.B, record directory.BookRecord, round uint32, pages []directory.Page, atOnce int) (_ directory.BookRecord, steps int) {
	b.Helper()
	for i := range pages {
		pages[i].Round = round
	}
	for some := range slices.Chunk(pages, atOnce) {
		r, err := directory.PlanBook(directory.BookView{Book: directory.Book{System: "hq"}, Now: noon, Record: record, Pages: some})
		if err != nil {
			b.Fatal(err)
		}
		var outcomes []directory.ContactOutcome
		for _, s := range r.Steps {
			outcomes = append(outcomes, directory.ContactOutcome{Op: s.Op, Source: s.Source, ID: s.Source, Print: s.Print})
		}
		record, steps = r.Record.Settle(outcomes, noon), steps+len(r.Steps)
	}
	return record, steps
}

// BenchmarkPlanBook plans for folders of 100 to 100,000 contacts, read for the first time
// and with nothing to do: page by page, which a personal book is small enough for, and a
// hundred pages at once.
func BenchmarkPlanBook(b *testing.B) {
	for _, n := range []int{100, 1_000, 10_000, 100_000} {
		pages := contacts(n)
		whole, _ := readAll(b, directory.BookRecord{}, 1, pages, len(pages))
		for _, atOnce := range []int{1, 100} {
			if atOnce == 1 && n > 10_000 {
				continue
			}
			for _, c := range []struct {
				name   string
				record directory.BookRecord
				steps  int
			}{{"first run", directory.BookRecord{}, n}, {"nothing to do", whole, 0}} {
				b.Run(fmt.Sprintf("%s, %d pages at once/%d", c.name, atOnce, n), func(b *testing.B) {
					b.ReportAllocs()
					began := processor(b)
					for b.Loop() {
						if _, steps := readAll(b, c.record, 2, pages, atOnce); steps != c.steps {
							b.Fatalf("%d steps", steps)
						}
					}
					perSecond(b, n, processor(b)-began)
				})
			}
		}
	}
}
