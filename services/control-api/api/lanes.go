package api

import (
	"cmp"
	"slices"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/wire"
)

// Lane is an account that hears of the presence of up to 650 users, and how it does.
type Lane struct {
	Tenant  string `json:"tenant"`
	Account string `json:"account"`
	User    string `json:"user"` // object id of the account, "" until it is known
	From    string `json:"from"` // "configuration" or "authorised"
	// State is "starting", "listening", "idle", "silent", "failing" or "leaving".
	State    string     `json:"state"`
	Since    *time.Time `json:"since"`
	Detail   string     `json:"detail"`   // why, for people
	Users    int        `json:"users"`    // how many are on its subscription
	Expires  *time.Time `json:"expires"`  // of the subscription, unless it is renewed
	HeardAt  *time.Time `json:"heard_at"` // when it last told of a change
	Silences int        `json:"silences"` // how often it was found silent
}

// laneKey names a lane.
type laneKey struct {
	tenant  identity.Tenant
	account string
}

func (m *model) foldLane(msg bus.Message) {
	lane, err := wire.DecodeLane(msg.Data)
	if err != nil {
		m.skip(msg, err)
		return
	}
	m.mu.Lock()
	defer m.mu.Unlock()
	key := laneKey{lane.Tenant, lane.Account}
	if lane.Gone {
		delete(m.laneFacts, key)
		return
	}
	m.laneFacts[key] = lane
}

// listLanes lists the lanes of the configured tenants, or of one.
func (m *model) listLanes(tenant string) ([]Lane, error) {
	if tenant != "" {
		if _, err := (orders{model: m}).tenant(tenant); err != nil {
			return nil, err
		}
	}
	m.mu.RLock()
	defer m.mu.RUnlock()
	list := []Lane{}
	for _, l := range m.laneFacts {
		if _, configured := m.tenants[l.Tenant]; !configured || tenant != "" && string(l.Tenant) != tenant {
			continue
		}
		from := "authorised"
		if l.Configured {
			from = "configuration"
		}
		list = append(list, Lane{Tenant: string(l.Tenant), Account: l.Account, User: string(l.User), From: from, State: string(l.State), Since: moment(l.Since),
			Detail: l.Detail, Users: l.Users, Expires: moment(l.Expires), HeardAt: moment(l.HeardAt), Silences: l.Silences})
	}
	slices.SortFunc(list, func(a, b Lane) int { return cmp.Or(cmp.Compare(a.Tenant, b.Tenant), cmp.Compare(a.Account, b.Account)) })
	return list, nil
}
