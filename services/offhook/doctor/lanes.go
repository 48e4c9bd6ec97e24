package doctor

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"offhook.dev/libs/config"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/wire"
	"offhook.dev/services/control-api/api"
)

// tooLong is for how long a subscription may be in the making.
const tooLong = 5 * time.Minute

// lanes checks how the accounts do that hear of presences. Only who keeps them knows, so
// the installation that runs is asked.
func (d *run) lanes(ctx context.Context, c config.Config) {
	expected := false // somebody counts on lanes
	possible := map[string]bool{}
	for _, t := range c.Tenants {
		no, err := api.WhyNoLanes(c, t)
		possible[t.ID] = err == nil && no == api.NoLanes{}
		expected = expected || possible[t.ID]
		if accounts, first := len(t.Microsoft365.Accounts), len(t.Presence.Priority); err == nil && !possible[t.ID] && accounts+first > 0 {
			d.warn("Lanes "+t.ID, "OH-LANE-001", "lanes are possible",
				fmt.Sprintf("%s (%s); microsoft365.accounts (%d) and presence.priority (%d) of tenant %s are of no effect", no.What, no.Where, accounts, first, t.ID), no.Fix)
		}
	}
	if !expected || d.o.Lanes == nil {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, timeout)
	defer cancel()
	all, err := d.o.Lanes(ctx)
	if err != nil {
		d.warn("Lanes", "OH-LANE-002", "Offhook says how its lanes do", err.Error(), "start Offhook, or name the address of its control API with --api")
		return
	}
	for _, t := range c.Tenants {
		if possible[t.ID] {
			d.lanesOf(t, slices.DeleteFunc(slices.Clone(all), func(l api.Lane) bool { return l.Tenant != t.ID }))
		}
	}
}

// lanesOf checks the lanes of one tenant.
func (d *run) lanesOf(t config.Tenant, lanes []api.Lane) {
	group := "Lanes " + t.ID
	for _, l := range lanes {
		d.lane(group, l)
	}
	for _, a := range t.Microsoft365.Accounts {
		if !slices.ContainsFunc(lanes, func(l api.Lane) bool { return l.Account == a.Name }) {
			d.problem(group, "OH-LANE-003", "account "+a.Name, errors.New("the account is in the configuration and nobody keeps its lane"),
				"see that graph-poller runs, and that it has read this configuration")
		}
	}
	kept := slices.ContainsFunc(lanes, func(l api.Lane) bool { return l.State != string(wire.LaneLeaving) })
	if first := len(t.Presence.Priority); first > 0 && !kept && len(t.Microsoft365.Accounts) == 0 {
		d.warn(group, "OH-LANE-004", "a lane for presence.priority",
			fmt.Sprintf("presence.priority of tenant %s names %d users or groups, and no account is signed in: they are swept like everybody, up to %v late", t.ID, first, t.Presence.Sweep.Presence),
			authorize(t.ID, "")+", or leave presence.priority empty")
	}
}

// lane checks one.
func (d *run) lane(group string, l api.Lane) {
	const code = "OH-LANE-003"
	check := "account " + l.Account
	since := ""
	if l.Since != nil {
		since = " since " + l.Since.UTC().Format("2006-01-02 15:04 UTC")
	}
	switch wire.LaneState(l.State) {
	case wire.LaneFailing:
		fix := "it is tried again by itself; mend what is said here, and look again with `offhook lanes --tenant " + l.Tenant + "`"
		if strings.Contains(l.Detail, graph.Authorize) {
			fix = authorize(l.Tenant, l.Account)
		}
		d.problem(group, code, check, fmt.Errorf("failing%s: %s; its %d users are swept meanwhile", since, l.Detail, l.Users), fix)
	case wire.LaneSilent:
		d.warn(group, code, check, fmt.Sprintf("silent%s: %s; its %d users are swept meanwhile", since, l.Detail, l.Users),
			"it is made anew by itself; if that does not help, see that Microsoft reaches webhook.public_url, and what offhook_notifications_total counts")
	case wire.LaneStarting:
		if l.Since == nil || d.o.Now.Sub(*l.Since) < tooLong {
			d.ok(group, code, check+" (starting)")
			return
		}
		d.warn(group, code, check, "starting"+since+": its subscription is still not made", "see what graph-poller logs about presence subscriptions, and that Microsoft reaches webhook.public_url")
	default:
		d.ok(group, code, fmt.Sprintf("%s (%s, %d users)", check, l.State, l.Users))
	}
}

// authorize says how an account, or with "" any, is signed in.
func authorize(tenant, account string) string {
	as := "an account that nobody works with"
	if account != "" {
		as = "the account " + account
	}
	return fmt.Sprintf("run `%s --tenant %s` and sign in as %s", graph.Authorize, tenant, as)
}

// directory is what is asked of a tenant about names.
type directory interface {
	User(context.Context, identity.User) (graph.User, error)
	GroupsCalled(context.Context, string) ([]graph.Group, error)
}

// priority checks that each name in presence.priority means one user or one group.
func (d *run) priority(ctx context.Context, group string, t config.Tenant, client directory) {
	const code = "OH-LANE-005"
	means := map[string]int{}
	for _, name := range t.Presence.Priority {
		what, cause, fix := meaning(ctx, client, name)
		if fix != "" {
			d.warn(group, code, fmt.Sprintf("presence.priority: %q", name), cause, fix)
			continue
		}
		means[what]++
	}
	if n := means["user"] + means["group"]; n > 0 {
		d.ok(group, code, fmt.Sprintf("presence.priority: %d users and %d groups are found", means["user"], means["group"]))
	}
}

// meaning says what a name means, or what is wrong with it and how to put it right.
func meaning(ctx context.Context, client directory, name string) (what, cause, fix string) {
	const nobody = "it gives nobody a place on a lane before others"
	if _, err := identity.ParseUser(name); err == nil || strings.Contains(name, "@") {
		switch _, err := client.User(ctx, identity.User(name)); {
		case err == nil:
			return "user", "", ""
		case fault.KindOf(err) != fault.NotFound:
			return "", "it cannot be looked up: " + err.Error(), "try again; if that does not help, grant User.Read.All"
		}
	}
	groups, err := client.GroupsCalled(ctx, name)
	switch {
	case fault.KindOf(err) == fault.Denied && err != nil:
		return "", "it is no user, and groups may not be looked up: " + nobody, "add the application permission GroupMember.Read.All to the app and grant admin consent"
	case err != nil:
		return "", "it cannot be looked up: " + err.Error(), "try again"
	case len(groups) == 0:
		return "", "there is neither a user of this object id or principal name nor a group of this object id, display name or mail address: " + nobody,
			"correct it, or write the object id as the Entra admin centre shows it"
	case len(groups) > 1:
		var ids []string
		for _, g := range groups {
			ids = append(ids, fmt.Sprintf("%s (%s %s)", g.ID, g.Name, g.Mail))
		}
		return "", fmt.Sprintf("%d groups have this name: %s", len(groups), nobody), "write the object id of the one that is meant: " + strings.Join(ids, ", ")
	}
	return "group", "", ""
}
