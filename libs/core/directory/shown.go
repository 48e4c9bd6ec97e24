package directory

import (
	"iter"
	"slices"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
)

// Changes is Shown without the steps.
func (r *Result) Changes() iter.Seq[plan.Change] {
	return func(yield func(plan.Change) bool) {
		for c := range r.Shown() {
			if !yield(c) {
				return
			}
		}
	}
}

// Shown are the steps as plans show them, one at a time, in the order of persons. The
// first of a person has what is to be told of their values. Who has no step, and of whom
// something is to be told, is a skip for the reason Same, without a step.
func (r *Result) Shown() iter.Seq2[plan.Change, *Step] {
	return func(yield func(plan.Change, *Step) bool) {
		left := r.Problems
		// of takes the problems of a person.
		of := func(who identity.Person) (remarks []plan.Remark) {
			for len(left) > 0 && left[0].person == who {
				remark := plan.Remark{Field: left[0].Field, Reason: string(left[0].Reason), Detail: left[0].Detail}
				if !slices.Contains(remarks, remark) { // somebody has two extensions
					remarks = append(remarks, remark)
				}
				left = left[1:]
			}
			return remarks
		}
		same := func() bool {
			about := left[0]
			return yield(plan.Change{Op: plan.Skip, Object: about.person.String(), Name: about.name, Reason: string(Same), Remarks: of(about.person)}, nil)
		}
		for i := range r.Steps {
			s := &r.Steps[i]
			for len(left) > 0 && comparePeople(left[0].person, s.Person) < 0 {
				if !same() {
					return
				}
			}
			c := s.Change()
			if len(left) > 0 && left[0].person == s.Person {
				c.Remarks = of(s.Person)
			}
			if !yield(c, s) {
				return
			}
		}
		for len(left) > 0 {
			if !same() {
				return
			}
		}
	}
}
