package poller

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/subscription"
)

// subscribed is a tenant that reads diaries and subscribes to events, looking often.
func (s *stage) subscribed(b *diaries) TenantConfig {
	s.t.Helper()
	conf := s.calendars(b)
	conf.PublicURL, conf.Subscribe = s.endpoint(nil).URL, true
	conf.Events = KeepEvents{Look: 10 * time.Millisecond, List: never, Gap: never, Retry: 10 * time.Millisecond}
	return conf
}

// everyone waits until each of the users, and nobody else, has one subscription to
// events with one record that names it, and returns both.
func (s *stage) everyone(users ...identity.User) (map[identity.User]graphsim.Subscription, map[identity.User]subscription.Record) {
	s.t.Helper()
	var there map[identity.User]graphsim.Subscription
	var records map[identity.User]subscription.Record
	s.eventually(fmt.Sprintf("not one subscription and one record for each of %d users", len(users)), func() bool {
		there, records = map[identity.User]graphsim.Subscription{}, map[identity.User]subscription.Record{}
		all := s.tenant().Subscriptions()
		for _, is := range all {
			if user, ok := graph.EventUser(is.Resource); ok {
				there[user] = is
			}
		}
		kept := s.eventRecords()
		for _, record := range kept {
			if len(record.Users) == 1 {
				records[record.Users[0]] = record
			}
		}
		if len(all) != len(users) || len(there) != len(users) || len(kept) != len(users) {
			return false
		}
		for _, user := range users {
			if there[user].ID == "" || records[user].ID != there[user].ID {
				return false
			}
		}
		return true
	})
	return there, records
}

func (s *stage) eventRecords() []subscription.Record {
	return slices.DeleteFunc(s.records(), func(r subscription.Record) bool { return r.Resource != subscription.ResourceEvent })
}

// sent counts requests about subscriptions, of a method; the list is "LIST".
func (s *stage) sent(method string) int {
	seen := s.graph.Requests()
	switch method {
	case "LIST":
		return seen.Of("GET", "/v1.0/subscriptions", 0)
	case "POST":
		return seen.Of("POST", "/v1.0/subscriptions", 0)
	}
	return seen.Of(method, "/v1.0/subscriptions/{subscription}", 0)
}

func keyIn(is graphsim.Subscription) string {
	return subscription.KeyOf(strings.Split(is.NotificationURL, "/")[4])
}
