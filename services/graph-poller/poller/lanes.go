package poller

import (
	"context"
	"encoding/json"
	"errors"
	"strings"
	"time"

	"offhook.dev/libs/core/coverage"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/store"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/wire"
)

// planLanes keeps the plan of who is on which lane, in the bucket `lanes`: one
// instance plans for the whole tenant, and the keepers of the lanes, wherever they
// run, follow it. It plans anew when links, options, accounts or the directory have
// changed.
func (t *tenant) planLanes(ctx context.Context) error {
	for {
		relinked, accounts := t.p.relinked.next(), t.roster.changed.next()
		pause := t.conf.Keep.Look
		if err := t.plan(ctx); err != nil && ctx.Err() == nil {
			t.log.Warn("plan of lanes", "error", err)
			pause = t.conf.Keep.Retry
		}
		select {
		case <-ctx.Done():
			return nil
		case <-relinked:
		case <-accounts:
		case <-time.After(pause):
		}
	}
}

// plan plans once and stores the lanes that change.
func (t *tenant) plan(ctx context.Context) error {
	current := coverage.Assignment{Lanes: map[coverage.LaneID][]identity.User{}}
	stored := map[coverage.LaneID]store.Entry{}
	err := t.p.lanes.Each(ctx, subscription.LaneKey(t.conf.ID, "*"), func(e store.Entry) error {
		_, account, err := subscription.ParseLaneKey(e.Key)
		if err != nil {
			return nil // a later version keeps something else here
		}
		var lane subscription.Lane
		if err := json.Unmarshal(e.Value, &lane); err != nil {
			return nil // planned anew
		}
		id := coverage.LaneID(account)
		current.Lanes[id], stored[id] = lane.Users, e
		return nil
	})
	if err != nil {
		return err
	}
	users, err := t.toCover(ctx)
	if err != nil {
		return err
	}
	// A lane that fails keeps its users: it recovers by itself, and meanwhile the sweep
	// reads them like everybody. So all lanes count as working here; but one that is
	// given up is none any more.
	var lanes []coverage.Lane
	for _, m := range t.roster.all() {
		if m.record.Leaving == nil {
			lanes = append(lanes, coverage.Lane{ID: coverage.LaneID(m.Name), Capacity: coverage.MaxUsers, Usable: true})
		}
	}
	next, err := coverage.Plan(current, lanes, users)
	if err != nil {
		return err
	}
	for _, id := range current.Changed(next) {
		if err := t.storeLane(ctx, id, next, stored[id]); err != nil {
			return err
		}
	}
	t.p.metrics.covered(ctx, t.conf.ID, len(users)-len(next.LeftOut), len(next.LeftOut))
	return nil
}

// storeLane stores one lane of a plan, or removes one that is not in it any more.
func (t *tenant) storeLane(ctx context.Context, id coverage.LaneID, next coverage.Assignment, was store.Entry) error {
	users, there := next.Lanes[id]
	if !there {
		return t.p.lanes.Delete(ctx, was.Key, was.Revision)
	}
	value, err := json.Marshal(subscription.Lane{Users: users})
	if err != nil {
		return fault.New(fault.Invalid, "plan of lanes", err)
	}
	_, err = t.p.lanes.Set(ctx, subscription.LaneKey(t.conf.ID, string(id)), value, was.Revision)
	return err
}

// toCover lists whose presence is read, with the priority that is configured and how
// often they change.
func (t *tenant) toCover(ctx context.Context) ([]coverage.User, error) {
	first, err := t.priorities(ctx)
	if err != nil {
		return nil, err
	}
	var users []coverage.User
	for _, user := range t.whose(wire.ShardAll, readsTeams) {
		u := coverage.User{ID: user, Activity: t.ears.activity(user)}
		if first[user] {
			u.Priority = 1
		}
		users = append(users, u)
	}
	return users, nil
}

// priorities are the users that get lanes first. Names are looked up in the directory as
// it was read, and those of no user among groups.
func (t *tenant) priorities(ctx context.Context) (map[identity.User]bool, error) {
	first, names := map[identity.User]bool{}, map[string]bool{} // by name in lower case: whether it is a user's
	for _, who := range t.conf.Priority {
		if user, err := identity.ParseUser(who); err == nil {
			first[user] = true
		} else {
			names[strings.ToLower(who)] = false
		}
	}
	if len(names) > 0 {
		err := t.eachUser(ctx, func(u wire.User) {
			if _, named := names[strings.ToLower(u.UPN)]; named && u.UPN != "" {
				first[u.Person.User], names[strings.ToLower(u.UPN)] = true, true
			}
		})
		if err != nil {
			return nil, err
		}
	}
	for _, who := range t.conf.Priority {
		if names[strings.ToLower(who)] {
			continue
		}
		members, err := t.membersOf(ctx, who)
		if err != nil {
			return nil, err
		}
		for _, member := range members {
			first[member] = true
		}
	}
	return first, nil
}

var errNoLanes = errors.New("two accounts of one name: each lane needs its own")

// checkAccounts refuses accounts that cannot be told apart.
func checkAccounts(accounts []Account) error {
	seen := map[string]bool{}
	for _, a := range accounts {
		if seen[a.Name] {
			return fault.New(fault.Invalid, "account "+a.Name, errNoLanes)
		}
		seen[a.Name] = true
	}
	return nil
}
