package usersync

import (
	"cmp"
	"strings"

	"offhook.dev/libs/config"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
)

// Rules is what a tenant's configuration says of its users.
type Rules struct{ config.Users }

// group is the department of those who have none, so that synchronised users are told
// from the phone system's own.
const group = "Microsoft 365"

// on says whether the tenant is synchronised by itself; on demand it always can be.
func (r Rules) on() bool { return r.Policy != string(plan.Off) }

// limited are the fields whose length a phone system may limit; a later version of the
// writer may know others.
var limited = []directory.Field{directory.FirstName, directory.LastName, directory.DisplayName, directory.Mail, directory.Mobile,
	directory.CallerID, directory.Department, directory.Language}

// of makes the rules that a plan goes by, of the configuration, of who is there and of how
// many characters the phone system takes. demanded: a person asked for it.
func (r Rules) of(tenant identity.Tenant, f *facts, demanded bool, limits map[directory.Field]int) *directory.Rules {
	rules := &directory.Rules{Start: identity.Extension(r.StartExtension), Hold: r.Hold, Policy: plan.Policy(r.Policy),
		CallerID: r.CallerID, Department: r.Department, Language: r.Language, Photo: r.Photos, SignIn: r.SignIn, Group: group,
		Limits: map[directory.Field]int{}}
	for _, field := range limited {
		if n := limits[field]; n > 0 {
			rules.Limits[field] = n
		}
	}
	if demanded && !r.on() {
		rules.Policy = plan.Sync
	}
	rules.Scope = directory.Scope{Include: directory.All, Guests: r.Guests}
	rules.Scope.Except, rules.Scope.Unknown = f.byName(tenant, r.Exclude)
	switch {
	case len(r.Groups) > 0:
		rules.Scope.Include = directory.Groups
		rules.Scope.People, rules.Unsure = f.members(tenant, groupIDs(r.Groups))
	case len(r.Include) > 0 && r.Include[0] != "all":
		people, unknown := f.byName(tenant, r.Include)
		rules.Scope.Include, rules.Scope.People, rules.Scope.Unknown = directory.Only, people, append(rules.Scope.Unknown, unknown...)
	}
	r.addRanges(rules, tenant, f)
	return rules
}

// addRanges says whose numbers come from where. While it is not certain who is in a group
// of a range nobody new comes: they would have a number of another range for good.
func (r Rules) addRanges(rules *directory.Rules, tenant identity.Tenant, f *facts) {
	for _, is := range r.Ranges {
		one := directory.Range{Departments: is.Departments, From: identity.Extension(is.From), To: identity.Extension(is.To)}
		if len(is.Groups) > 0 {
			var unsure string
			one.Members, unsure = f.members(tenant, groupIDs(is.Groups))
			rules.Unsure = cmp.Or(rules.Unsure, unsure)
		}
		rules.Ranges = append(rules.Ranges, one)
	}
}

// groupIDs are object ids as facts have them.
func groupIDs(names []string) []identity.Group {
	ids := make([]identity.Group, len(names))
	for i, name := range names {
		ids[i] = identity.Group(strings.ToLower(name))
	}
	return ids
}
