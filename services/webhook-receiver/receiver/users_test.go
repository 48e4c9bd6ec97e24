package receiver

import (
	"maps"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// users stores the record of a subscription to the directory.
func (s *stage) users() lane {
	s.t.Helper()
	return s.subscribe(func(r *subscription.Record) {
		r.Resource, r.Account, r.Users = subscription.ResourceUsers, "", nil
	})
}

// changed is a notification of a user.
func (l lane) changed(user string, changes map[string]any) map[string]any {
	is := map[string]any{"changeType": "updated", "resource": "Users/" + user,
		"resourceData": map[string]any{"@odata.type": "#Microsoft.Graph.User", "id": user}}
	maps.Copy(is, changes)
	return l.change(user, is)
}

// Who changed says the delta, which is read for one hint, however many there are.
func TestWhatAPostAboutUsersBecomes(t *testing.T) {
	const read, lost = "notification of users", "notifications of users were lost"
	s := newStage(t)
	r := s.replica(s.options("vault"))
	for _, test := range []struct {
		name      string
		lifecycle bool
		items     func(l lane) []any
		results   map[string]int
		hint      string // about the directory
		about     string // about the subscription
	}{
		{name: "changes are one hint", results: map[string]int{"user": 2}, hint: read,
			items: func(l lane) []any {
				return []any{l.changed(anna, nil), l.changed(ben, map[string]any{"changeType": "deleted"})}
			}},
		{name: "an event on the path of users is nothing", results: map[string]int{"not-user": 1},
			items: func(l lane) []any { return []any{l.change(anna, nil)} }},
		{name: "another tenant's user is nothing and costs the next one nothing", results: map[string]int{"foreign-tenant": 1, "user": 1}, hint: read,
			items: func(l lane) []any {
				return []any{l.changed(anna, map[string]any{"tenantId": elsewhere}), l.changed(ben, nil)}
			}},
		{name: "subscriptionRemoved: made anew, and the directory is read", lifecycle: true, results: map[string]int{"lifecycle": 1}, hint: lost, about: "subscriptionRemoved",
			items: func(l lane) []any { return []any{l.says("subscriptionRemoved")} }},
		{name: "reauthorizationRequired: renewed", lifecycle: true, results: map[string]int{"lifecycle": 1}, about: "reauthorizationRequired",
			items: func(l lane) []any { return []any{l.says("reauthorizationRequired")} }},
	} {
		t.Run(test.name, func(t *testing.T) {
			must(t, s.purge())
			l := s.users()
			in := wire.Ingress{Tenant: contoso, Resource: subscription.ResourceUsers, Subscription: subscription.KeyOf(l.key), Lifecycle: test.lifecycle}
			decoded, err := wire.DecodeIngress(l.ingress(t, nil, test.items(l)...))
			must(t, err)
			in.Items = decoded.Items
			before := map[string]int{}
			for result := range test.results {
				before[result] = r.found(t, result)
			}
			_, data := in.Encode()
			must(t, r.open(t.Context(), bus.Message{Data: data, Time: time.Now()}))
			if got := s.hint(subscription.HintUsers, everybody); got != test.hint {
				t.Errorf("the hint about users is %q, want %q", got, test.hint)
			}
			if got := s.hint(subscription.HintEventSubscription, subscription.KeyOf(l.key)); got != test.about {
				t.Errorf("the hint about the subscription is %q, want %q", got, test.about)
			}
			for result, want := range test.results {
				if n := r.found(t, result) - before[result]; n != want {
					t.Errorf("counted %d as %s, want %d", n, result, want)
				}
			}
			if n := s.held(topology.ParkedMsg); n != 0 || s.hint(subscription.HintEvent, anna) != "" {
				t.Errorf("%d parked, or a hint about a calendar", n)
			}
		})
	}
}
