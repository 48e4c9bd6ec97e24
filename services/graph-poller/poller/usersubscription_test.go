package poller

import (
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/graph/notification"
	"offhook.dev/libs/store"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/topology"
)

// hearing is a tenant that subscribes to the directory and to nothing else.
func (s *stage) hearing() TenantConfig {
	s.t.Helper()
	conf, _ := s.usersConfig(never)
	conf.PublicURL, conf.SubscribeUsers = s.endpoint(nil).URL, true
	conf.Events = KeepEvents{Look: 10 * time.Millisecond, List: never, Gap: never, Retry: 10 * time.Millisecond}
	return conf
}

// ear waits until the directory has one subscription with one record that names it,
// other than the one with the id before.
func (s *stage) ear(before string) (is graphsim.Subscription, record subscription.Record) {
	s.t.Helper()
	s.eventually("not one subscription to users with one record", func() bool {
		all, records := s.tenant().Subscriptions(), s.records()
		if len(all) != 1 || len(records) != 1 {
			return false
		}
		is, record = all[0], records[0]
		return is.ID != before && record.ID == is.ID
	})
	return is, record
}

func TestGraphIsAskedToTellOfUsersWhereItCan(t *testing.T) {
	s := newStage(t, 3, nil)
	conf := s.hearing()
	stop := s.run(conf)
	is, record := s.ear("")
	if is.Resource != graph.UsersResource || is.Rich || !strings.HasPrefix(is.NotificationURL, conf.PublicURL+"/graph/") {
		t.Errorf("%+v", is)
	}
	if record.Resource != subscription.ResourceUsers || record.Tenant != contoso || record.Directory != directories[contoso] || record.App != app || len(record.Users) != 0 {
		t.Errorf("%+v", record)
	}
	stop()
	// A restart goes on with it.
	s.run(conf)
	s.eventually("it is not looked at", func() bool { return s.metric("offhook_users_subscribed", "") == 1 })
	if again, _ := s.ear(""); again.ID != is.ID || s.sent("POST") != 1 {
		t.Errorf("%d were made", s.sent("POST"))
	}
	// Removed, as Graph says: another one, and what it would have told is read.
	must(t, s.tenant().EditUser(string(s.users()[0]), func(u *graphsim.User) { u.Department = "Moved" }))
	must(t, s.tenant().RemoveSubscription(is.ID))
	s.hint(subscription.HintEventSubscription, s.keyOf(record), string(notification.SubscriptionRemoved))
	s.ear(is.ID)
	s.eventually("the directory is not read", func() bool { return s.directory()[s.users()[0]].fact.Department == "Moved" })
}

// keyOf is the key of a record in the bucket.
func (s *stage) keyOf(record subscription.Record) (key string) {
	s.t.Helper()
	must(s.t, s.bucket(topology.Subscriptions).Each(s.t.Context(), ">", func(e store.Entry) error {
		if r, err := subscription.Decode(e.Value); err == nil && r.ID == record.ID {
			key = e.Key
		}
		return nil
	}))
	return key
}

func TestASubscriptionToUsersEndsWithTheWishForIt(t *testing.T) {
	s := newStage(t, 3, nil)
	conf := s.hearing()
	stop := s.run(conf)
	s.ear("")
	stop()
	conf.SubscribeUsers = false
	s.run(conf)
	s.eventually("the subscription or its record is left", func() bool { return len(s.tenant().Subscriptions()) == 0 && len(s.records()) == 0 })
}

func TestAStraySubscriptionToUsersIsEnded(t *testing.T) {
	s := newStage(t, 3, nil)
	conf := s.hearing()
	stop := s.run(conf)
	is, record := s.ear("")
	stop()
	// Its record is lost, so that Graph calls an address that nobody knows.
	key := s.keyOf(record)
	e, err := s.bucket(topology.Subscriptions).Get(t.Context(), key)
	must(t, err)
	must(t, s.bucket(topology.Subscriptions).Delete(t.Context(), key, e.Revision))
	conf.Events.List = 20 * time.Millisecond
	s.run(conf)
	s.ear(is.ID)
}
