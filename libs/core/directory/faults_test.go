package directory_test

import (
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/directorytest"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
)

// seeing is PlanExtensions that sees something else than there is: a planner with a fault.
func seeing(change func(*directory.View)) planner {
	return func(v directory.View) (directory.Result, error) {
		c := (&directorytest.World{View: v}).Clone().View
		c.Taken, c.Free = v.Taken, v.Free
		change(&c)
		return directory.PlanExtensions(c)
	}
}

// rules is seeing with other rules.
func rules(change func(*directory.Rules)) planner {
	return seeing(func(v *directory.View) {
		for _, r := range v.Rules {
			change(r)
		}
	})
}

// doing is PlanExtensions whose result is spoilt.
func doing(change func(*directory.Result)) planner {
	return func(v directory.View) (directory.Result, error) {
		r, err := directory.PlanExtensions(v)
		change(&r)
		return r, err
	}
}

// effectsFirst does what is to be done before it stores what it is about.
func effectsFirst(r *directory.Result) []action {
	all := actions(r)
	slices.Reverse(all)
	return all
}

// forgetsFirst forgets records before the steps.
func forgetsFirst(r *directory.Result) []action {
	forgets := directory.Result{Forgets: r.Forgets}
	rest := directory.Result{Notes: r.Notes, Steps: r.Steps}
	return append(actions(&forgets), actions(&rest)...)
}

// addsUp is an action that is another one each time.
func addsUp(r *directory.Result) []action {
	all := actions(r)
	if len(all) > 0 {
		all = append(all, func(w *directorytest.World) {
			w.Extensions = append(w.Extensions, &directory.Extension{Number: identity.Extension(rune('A' + len(w.Extensions)))})
		})
	}
	return all
}

// Every check finds planners that have the fault that it is there to find.
func TestEachFaultIsFound(t *testing.T) {
	for _, c := range []struct {
		name  string
		check checker
		fault planner
	}{
		{"no memory", right, seeing(func(v *directory.View) { v.Records = nil })},
		{"no memory of reservations", right, seeing(func(v *directory.View) {
			v.Records = slices.DeleteFunc(v.Records, func(r *directory.Record) bool { return r.How == directory.Reserved })
		})},
		{"reservations are believed", meanwhile, seeing(func(v *directory.View) {
			for _, r := range v.Records {
				if r.How == directory.Reserved {
					r.How = directory.Created
				}
			}
		})},
		{"no hold", right, rules(func(r *directory.Rules) { r.Hold = 0 })},
		{"an endless hold", right, rules(func(r *directory.Rules) { r.Hold = 1000 * day })},
		{"the start is another", right, rules(func(r *directory.Rules) { r.Start = "300" })},
		{"no ranges", right, rules(func(r *directory.Rules) { r.Ranges = nil })},
		{"everybody is chosen", right, rules(func(r *directory.Rules) { r.Scope = directory.Scope{Guests: true} })},
		{"nobody is chosen", right, rules(func(r *directory.Rules) { r.Scope.Include = directory.Only })},
		{"nobody leaves", right, rules(func(r *directory.Rules) { r.Policy = plan.UpsertOnly })},
		{"nothing is updated", right, rules(func(r *directory.Rules) { r.Policy = plan.CreateOnly })},
		{"no caller ids", right, rules(func(r *directory.Rules) { r.CallerID = false })},
		{"no departments", right, rules(func(r *directory.Rules) { r.Department, r.Group = false, "" })},
		{"no limits", right, rules(func(r *directory.Rules) { r.Limits = nil })},
		{"blind to queues", right, seeing(func(v *directory.View) { v.Taken = nil })},
		{"blind to strangers", right, seeing(func(v *directory.View) {
			v.Extensions = slices.DeleteFunc(v.Extensions, func(e *directory.Extension) bool { return e.FirstName == "Some" })
		})},
		{"strangers' addresses are anybody's", right, seeing(func(v *directory.View) {
			for _, e := range v.Extensions {
				if e.Mail == "" && len(v.Users) > 0 {
					e.Mail = v.Users[0].Mail
				}
			}
		})},
		{"blind to markers", right, seeing(func(v *directory.View) {
			for _, e := range v.Extensions {
				e.Marker = ""
			}
		})},
		{"blind to shared addresses", right, seeing(func(v *directory.View) {
			seen := map[string]bool{}
			v.Users = slices.DeleteFunc(v.Users, func(u *directory.User) bool {
				double := u.Mail != "" && seen[u.Mail]
				seen[u.Mail] = true
				return double
			})
		})},
		{"blind to who was enabled", right, seeing(func(v *directory.View) {
			for _, r := range v.Records {
				r.WasEnabled = false
			}
		})},
		{"blind to resource mailboxes", right, seeing(func(v *directory.View) {
			for _, u := range v.Users {
				u.Purpose = ""
			}
		})},
		{"names for the nameless", right, seeing(func(v *directory.View) {
			for _, u := range v.Users {
				if u.GivenName+u.Surname == "" {
					u.Surname = "Nobody"
				}
			}
		})},
		{"the configuration is not read", right, seeing(func(v *directory.View) { v.Explicit = nil })},
		{"what is missing is believed to be there", right, seeing(func(v *directory.View) {
			for _, r := range v.Records {
				if !slices.ContainsFunc(v.Extensions, func(e *directory.Extension) bool { return e.Number == r.Line.Extension }) {
					v.Extensions = append(v.Extensions, &directory.Extension{Number: r.Line.Extension, Enabled: true, Fields: r.Last, Marker: r.Person.User})
				}
			}
		})},
		{"leavers are called back", right, seeing(func(v *directory.View) {
			for _, u := range v.Users {
				u.Enabled, u.Gone = true, false
			}
		})},
		{"steps are left out", right, doing(func(r *directory.Result) { r.Steps = r.Steps[:len(r.Steps)/2] })},
		{"deletions at once", right, doing(func(r *directory.Result) {
			for i := range r.Steps {
				if r.Steps[i].Op == plan.Disable {
					r.Steps[i].Op = plan.Delete
				}
			}
		})},
		{"one number for all", right, doing(func(r *directory.Result) {
			for i := range r.Steps {
				if r.Steps[i].Op == plan.Create {
					r.Steps[i].Line.Extension = "200"
				}
			}
		})},
		{"records are forgotten too early", right, doing(func(r *directory.Result) {
			for i := range r.Steps {
				if record, ok := r.Steps[i].Record(); ok && r.Steps[i].Op == plan.Disable {
					r.Forgets = append(r.Forgets, directory.NewNote(record, ""))
				}
			}
		})},
		{"the last in the list is left out", anyOrder, seeing(func(v *directory.View) { v.Users = v.Users[:max(0, len(v.Users)-1)] })},
		{"the view is changed", untouched, func(v directory.View) (directory.Result, error) {
			for _, u := range v.Users {
				u.Surname += "!"
			}
			return directory.PlanExtensions(v)
		}},
		{"what is done is stored afterwards", killed(effectsFirst), directory.PlanExtensions},
		{"what was perhaps not taken over is believed to be", killed(actions), seeing(func(v *directory.View) {
			for _, r := range v.Records {
				r.Unsent = false
			}
		})},
		{"what is needed is forgotten first", killed(forgetsFirst), directory.PlanExtensions},
		{"twice is not once", repeated(addsUp), directory.PlanExtensions},
		{"no brake", braked, seeing(func(v *directory.View) { v.Brake = plan.Brake{Count: 1000} })},
		{"a brake without memory", braked, seeing(func(v *directory.View) { v.Removed = nil })},
		{"a brake that forgets within the day", braked, seeing(func(v *directory.View) {
			for i := range v.Removed {
				v.Removed[i].At = v.Removed[i].At.Add(-24 * time.Hour)
			}
		})},
		{"what the brake holds is done", braked, doing(func(r *directory.Result) {
			for i := range r.Steps {
				r.Steps[i].Held = false
			}
		})},
		{"everything is held", braked, doing(func(r *directory.Result) {
			for i := range r.Steps {
				r.Steps[i].Held = true
			}
		})},
	} {
		t.Run(c.name, func(t *testing.T) {
			if live(rand.New(rand.NewPCG(1, 0)), c.fault, c.check, 1_000, 14) == "" {
				t.Error("nothing was found")
			}
		})
	}
}
