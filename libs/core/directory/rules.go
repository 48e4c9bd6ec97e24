package directory

import (
	"errors"
	"fmt"
	"maps"
	"slices"
	"strings"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
)

// Rules is what one tenant wants on one phone system. It is not changed while a Result
// that was made with it is in use.
type Rules struct {
	Scope Scope
	// Unsure is why what is known of the tenant's users or groups may be incomplete; ""
	// where it is not. Until then nobody leaves by the choice of users, and nobody new comes.
	Unsure string
	// Start is the first number that Offhook chooses, all digits; its width is kept. "":
	// the first free number that is as long as the phone system's others.
	Start identity.Extension
	// Ranges are where the numbers of some users come from; the first that fits counts,
	// and users whom none fits have theirs from Start.
	Ranges []Range
	// Hold is how long an extension stays, disabled, after its user left.
	Hold   time.Duration
	Policy plan.Policy

	// Which fields beside names, addresses and the mobile number are kept the same.
	CallerID, Photo, Department, Language, SignIn bool
	// Group is the department of users who have none, or of all where Department is off;
	// "" leaves the department of these as it is.
	Group string
	// Limits is how many characters the phone system takes of a field; 0 is as many as there are.
	Limits map[Field]int
}

// Scope is the choice of users.
type Scope struct {
	Include Include
	// People are those left out by AllBut, those chosen by Only and the members by Groups.
	People map[identity.User]bool
	// Except are left out, whatever the rest says.
	Except map[identity.User]bool
	Guests bool // guests may be chosen as well
	// Unknown are the names in the configuration's choice that no user of the tenant has: a
	// slip, perhaps, which gives somebody an extension who was to have none.
	Unknown []string
}

// Include is a way to choose. The zero Include is All.
type Include string

// The ways.
const (
	All    Include = "all"
	AllBut Include = "all-but"
	Only   Include = "only"
	Groups Include = "groups"
)

// chosen says whether a user is; guests are somebody else's matter.
func (s *Scope) chosen(id identity.User) bool {
	if s.Except[id] {
		return false
	}
	switch s.Include {
	case AllBut:
		return !s.People[id]
	case Only, Groups:
		return s.People[id]
	}
	return true
}

// Range is a range of numbers for the users of some departments or groups; of all, where
// it names neither.
type Range struct {
	Departments []string // compared without case
	Members     map[identity.User]bool
	// From and To are the first and the last number, digits of the same width.
	From, To identity.Extension
}

func (r *Range) fits(u *User) bool {
	if len(r.Departments) == 0 && r.Members == nil {
		return true
	}
	department := tidy(u.Department)
	return r.Members[u.User] || department != "" && slices.ContainsFunc(r.Departments, func(d string) bool { return strings.EqualFold(tidy(d), department) })
}

// Check returns everything that is wrong with the rules. An error is fault.Invalid.
func (r *Rules) Check() error {
	var problems []error
	if _, err := plan.ParsePolicy(string(r.Policy)); err != nil {
		problems = append(problems, err)
	}
	if !slices.Contains([]Include{"", All, AllBut, Only, Groups}, r.Scope.Include) {
		problems = append(problems, fmt.Errorf("include %q is not all, all-but, only or groups", r.Scope.Include))
	}
	if _, ok := parseNumber(r.Start); !ok && r.Start != "" {
		problems = append(problems, fmt.Errorf("the starting number %q is not 1 to %d digits", r.Start, maxDigits))
	}
	for i, g := range r.Ranges {
		from, ok1 := parseNumber(g.From)
		to, ok2 := parseNumber(g.To)
		if !ok1 || !ok2 || from.digits != to.digits || from.value > to.value {
			problems = append(problems, fmt.Errorf("range %d, %q to %q, is not from a number of 1 to %d digits to a higher one of the same length", i+1, g.From, g.To, maxDigits))
		}
	}
	if r.Hold < 0 {
		problems = append(problems, fmt.Errorf("the hold %s is negative", r.Hold))
	}
	for _, f := range slices.Sorted(maps.Keys(r.Limits)) {
		if r.Limits[f] < 0 || !slices.Contains(textFields, f) {
			problems = append(problems, fmt.Errorf("the limit %d of field %q is negative, or that is no field of text", r.Limits[f], f))
		}
	}
	if len(problems) == 0 {
		return nil
	}
	return fault.New(fault.Invalid, "directory: rules", errors.Join(problems...))
}
