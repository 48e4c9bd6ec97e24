package receiver

import (
	"fmt"
	"net/http"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// calendar stores the record of a subscription to anna's events.
func (s *stage) calendar(change func(*subscription.Record)) lane {
	s.t.Helper()
	return s.subscribe(func(r *subscription.Record) {
		r.Resource, r.Account, r.Users = subscription.ResourceEvent, "", []identity.User{anna}
		if change != nil {
			change(r)
		}
	})
}

// change is a notification of an event of a user's.
func (l lane) change(user string, changes map[string]any) map[string]any {
	item := l.item(user, nil, map[string]any{"changeType": "created", "resource": "Users/" + user + "/Events/AAMkAD-_=",
		"resourceData": map[string]any{"@odata.type": "#Microsoft.Graph.Event", "@odata.etag": `W/"x"`, "id": "AAMkAD-_="}})
	for name, value := range changes {
		if item[name] = value; value == nil {
			delete(item, name)
		}
	}
	return item
}

func (l lane) says(event string) map[string]any {
	return l.item("", nil, map[string]any{"changeType": nil, "resource": nil, "lifecycleEvent": event})
}

func TestWhatAPostAboutACalendarBecomes(t *testing.T) {
	const read, lost = "notification of a calendar", "notifications of a calendar were lost"
	tests := []struct {
		name      string
		lifecycle bool
		record    func(*subscription.Record)
		items     func(l lane) []any
		results   map[string]int
		hint      string // about anna's calendar
		about     string // about the subscription
	}{
		{name: "a change is a hint about its user", results: map[string]int{"event": 1}, hint: read,
			items: func(l lane) []any { return []any{l.change(anna, nil)} }},
		{name: "in the spelling of rich notifications too", results: map[string]int{"event": 1}, hint: read,
			items: func(l lane) []any {
				return []any{l.change(anna, map[string]any{"resource": "users('" + anna + "')/events('AA')"})}
			}},
		{name: "many changes are counted, and one hint", results: map[string]int{"event": 3}, hint: read,
			items: func(l lane) []any {
				return []any{l.change(anna, nil), l.change(anna, nil), l.change(anna, map[string]any{"changeType": "deleted"})}
			}},
		{name: "whose calendar it is says the record and not the item", results: map[string]int{"event": 1}, hint: read,
			items: func(l lane) []any { return []any{l.change(ben, nil)} }},
		{name: "a presence on a calendar's path is nothing", results: map[string]int{"not-event": 1},
			items: func(l lane) []any { return []any{l.item(anna, nil, nil)} }},
		{name: "an item of another tenant is nothing and costs the next one nothing", results: map[string]int{"foreign-tenant": 1, "event": 1}, hint: read,
			items: func(l lane) []any {
				return []any{l.change(anna, map[string]any{"tenantId": elsewhere}), l.change(anna, nil)}
			}},
		{name: "an item that cannot be read costs the next one nothing", results: map[string]int{"malformed": 1, "event": 1}, hint: read,
			items: func(l lane) []any { return []any{7, l.change(anna, nil)} }},
		{name: "a record that names nobody makes no hint", results: map[string]int{"no-user": 1},
			record: func(r *subscription.Record) { r.Users = nil },
			items:  func(l lane) []any { return []any{l.change(anna, nil)} }},
		{name: "missed: the calendar is read", lifecycle: true, results: map[string]int{"lifecycle": 1}, hint: lost,
			items: func(l lane) []any { return []any{l.says("missed")} }},
		{name: "subscriptionRemoved: made anew, and the calendar is read", lifecycle: true, results: map[string]int{"lifecycle": 1}, hint: lost, about: "subscriptionRemoved",
			items: func(l lane) []any { return []any{l.says("subscriptionRemoved")} }},
		{name: "reauthorizationRequired: renewed", lifecycle: true, results: map[string]int{"lifecycle": 1}, about: "reauthorizationRequired",
			items: func(l lane) []any { return []any{l.says("reauthorizationRequired")} }},
		{name: "of several a removal counts most", lifecycle: true, results: map[string]int{"lifecycle": 2}, hint: lost, about: "subscriptionRemoved",
			items: func(l lane) []any { return []any{l.says("subscriptionRemoved"), l.says("reauthorizationRequired")} }},
		{name: "an event that nobody knows is nothing", lifecycle: true, results: map[string]int{"unknown-lifecycle": 1},
			items: func(l lane) []any { return []any{l.says("subscriptionBored")} }},
		{name: "a lifecycle event of another tenant is nothing", lifecycle: true, results: map[string]int{"foreign-tenant": 1},
			items: func(l lane) []any {
				item := l.says("subscriptionRemoved")
				item["tenantId"] = elsewhere
				return []any{item}
			}},
	}
	s := newStage(t)
	r := s.replica(s.options("vault"))
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			must(t, s.purge())
			l := s.calendar(func(rec *subscription.Record) {
				rec.ID = fmt.Sprint("calendar-", i)
				if test.record != nil {
					test.record(rec)
				}
			})
			in := wire.Ingress{Tenant: contoso, Resource: "event", Subscription: subscription.KeyOf(l.key), Lifecycle: test.lifecycle}
			decoded, err := wire.DecodeIngress(l.ingress(t, nil, test.items(l)...))
			must(t, err)
			in.Items = decoded.Items
			before := map[string]int{}
			for result := range test.results {
				before[result] = r.found(t, result)
			}
			_, data := in.Encode()
			must(t, r.open(t.Context(), bus.Message{Data: data, Time: time.Now()}))
			if got := s.hint(subscription.HintEvent, anna); got != test.hint {
				t.Errorf("the hint about the calendar is %q, want %q", got, test.hint)
			}
			if got := s.hint(subscription.HintEventSubscription, subscription.KeyOf(l.key)); got != test.about {
				t.Errorf("the hint about the subscription is %q, want %q", got, test.about)
			}
			for result, want := range test.results {
				if n := r.found(t, result) - before[result]; n != want {
					t.Errorf("counted %d as %s, want %d", n, result, want)
				}
			}
			if n := s.held(topology.Hints); n > 2 || s.hint(subscription.HintEvent, ben) != "" || s.hint(subscription.HintPresence, anna) != "" {
				t.Errorf("%d hints, some about somebody else", n)
			}
			if n := s.held(topology.ParkedMsg); n != 0 {
				t.Errorf("%d parked", n)
			}
		})
	}
}

// Strangers get what everybody gets: 202 and nothing in it.
func TestStrangersToACalendarAreCountedAndDropped(t *testing.T) {
	s := newStage(t)
	r := s.replica(s.options("vault"))
	server := s.serve(r.Receiver.door())
	l := s.calendar(nil)
	with := func(changes map[string]any) []byte { return body(t, nil, l.change(anna, changes)) }
	event := l.says("subscriptionRemoved")
	event["subscriptionId"] = "sub-2"
	stranger := lane{key: subscription.NewKey(), state: l.state, record: l.record}
	for _, test := range []struct {
		name, target string
		body         []byte
		result       string
	}{
		{"a key that nobody has", "/graph/" + stranger.key + "/notifications", with(nil), unknownKey},
		{"another clientState", "/graph/" + l.key + "/notifications", with(map[string]any{"clientState": "guess"}), badState},
		{"another subscription's id", "/graph/" + l.key + "/notifications", with(map[string]any{"subscriptionId": "sub-2"}), foreign},
		{"a lifecycle event for an unknown id", "/graph/" + l.key + "/lifecycle", body(t, nil, event), foreign},
		{"a lifecycle event under a key that nobody has", "/graph/" + stranger.key + "/lifecycle", body(t, nil, l.says("missed")), unknownKey},
	} {
		t.Run(test.name, func(t *testing.T) {
			before := r.noted(t, test.result)
			if got := send(t, server, "POST", test.target, jsonType, test.body); got.status != http.StatusAccepted || got.body != "" {
				t.Errorf("answered %d %q", got.status, got.body)
			}
			if n := r.noted(t, test.result) - before; n != 1 {
				t.Errorf("counted %d as %s", n, test.result)
			}
		})
	}
	if n := s.held(topology.Ingress); n != 0 {
		t.Errorf("%d of them were stored", n)
	}
	// Control: from the door to the hint.
	if got := l.post(t, server, with(nil)); got.status != http.StatusAccepted {
		t.Fatalf("answered %d", got.status)
	}
	m, err := s.bus.Last(t.Context(), topology.Ingress, "in.contoso.event")
	must(t, err)
	must(t, r.open(t.Context(), m))
	if s.hint(subscription.HintEvent, anna) == "" {
		t.Error("control: no hint")
	}
}

func TestACalendarOfATenantThatIsNotServedAnyMoreIsForgotten(t *testing.T) {
	s := newStage(t)
	o := s.options("vault")
	o.Logins = map[identity.Tenant]Login{"other": s.loginOf()}
	r := s.replica(o)
	l := s.calendar(nil)
	bustest.Eventually(t, 15*time.Second, func() string {
		must(t, r.open(t.Context(), bus.Message{Data: l.ingress(t, nil, l.change(anna, nil)), Time: time.Now()}))
		if r.found(t, "forgotten-subscription") == 0 {
			return "not counted"
		}
		return ""
	})
	if n := s.held(topology.Hints); n != 0 {
		t.Errorf("%d hints", n)
	}
}
