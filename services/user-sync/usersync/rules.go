package usersync

import (
	"offhook.dev/libs/config"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
)

// Rules is what a tenant's configuration says of its users.
type Rules struct {
	config.Users
	// Groups are those whose members are chosen.
	Groups []identity.Group
}

// group is the department of those who have none, so that synchronised users are told
// from the phone system's own.
const group = "Microsoft 365"

// on says whether the tenant is synchronised by itself; on demand it always can be.
func (r Rules) on() bool { return r.Policy != string(plan.Off) }

// of makes the rules that a plan goes by, of the configuration and of who is there.
// demanded: a person asked for it.
func (r Rules) of(tenant identity.Tenant, f *facts, demanded bool) *directory.Rules {
	rules := &directory.Rules{Start: identity.Extension(r.StartExtension), Hold: r.Hold, Policy: plan.Policy(r.Policy),
		CallerID: true, Department: true, Language: true, Photo: r.Photos, SignIn: true, Group: group}
	if demanded && !r.on() {
		rules.Policy = plan.Sync
	}
	rules.Scope = directory.Scope{Include: directory.All, Guests: r.Guests, Except: f.byName(tenant, r.Exclude)}
	switch {
	case len(r.Groups) > 0:
		rules.Scope.Include = directory.Groups
		rules.Scope.People, rules.Unsure = f.members(tenant, r.Groups)
	case len(r.Include) > 0 && r.Include[0] != "all":
		rules.Scope.Include, rules.Scope.People = directory.Only, f.byName(tenant, r.Include)
	}
	return rules
}
