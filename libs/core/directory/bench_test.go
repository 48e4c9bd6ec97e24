package directory_test

import (
	"fmt"
	"math/rand/v2"
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
