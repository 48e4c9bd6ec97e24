package subscription

import (
	"context"
	"encoding/json"
	"slices"
	"sync"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
)

// Lane is the value of a key of the bucket `lanes`: who is to be on the presence
// subscription of a delegated account. graph-poller plans it (libs/core/coverage).
type Lane struct {
	Users []identity.User `json:"users"` // sorted, at most graph.MaxPresences
}

// LaneKey is the key of an account's lane; account "*" is a filter for all of a
// tenant.
func LaneKey(tenant identity.Tenant, account string) string {
	if account == "*" {
		return topology.Token(string(tenant)) + ".*"
	}
	return topology.Join(string(tenant), account)
}

// ParseLaneKey is the inverse of LaneKey.
func ParseLaneKey(key string) (identity.Tenant, string, error) {
	ids, err := topology.Split(key)
	if err != nil || len(ids) != 2 {
		return "", "", fault.Errorf(fault.Invalid, "lane", "%q is not tenant.account", key)
	}
	return identity.Tenant(ids[0]), ids[1], nil
}

// Lanes mirrors the bucket `lanes`. The zero value is empty; Run fills it.
type Lanes struct {
	mu    sync.RWMutex // guards what follows
	users map[string][]identity.User
	on    map[identity.Person]string // account
}

// Run keeps the mirror current until ctx ends.
func (l *Lanes) Run(ctx context.Context, b *store.Bucket) error {
	return b.Watch(ctx, ">", func(e store.Entry) error {
		tenant, account, err := ParseLaneKey(e.Key)
		if err != nil {
			return nil // a later version keeps something else here
		}
		var lane Lane
		if !e.Deleted && json.Unmarshal(e.Value, &lane) != nil {
			return nil // the planner writes it again
		}
		l.set(tenant, account, lane.Users)
		return nil
	}, func() {})
}

func (l *Lanes) set(tenant identity.Tenant, account string, users []identity.User) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.users == nil {
		l.users, l.on = map[string][]identity.User{}, map[identity.Person]string{}
	}
	key := LaneKey(tenant, account)
	for _, user := range l.users[key] {
		// A user who moves is on both for a moment, in whichever order the two are heard of.
		if who := (identity.Person{Tenant: tenant, User: user}); l.on[who] == account {
			delete(l.on, who)
		}
	}
	l.users[key] = slices.Clone(users)
	for _, user := range users {
		l.on[identity.Person{Tenant: tenant, User: user}] = account
	}
}

// Of returns who is on an account's lane. The slice is not to be changed.
func (l *Lanes) Of(tenant identity.Tenant, account string) []identity.User {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.users[LaneKey(tenant, account)]
}

// On returns the account on whose lane a person is, "" where they are swept only.
func (l *Lanes) On(who identity.Person) string {
	l.mu.RLock()
	defer l.mu.RUnlock()
	return l.on[who]
}
