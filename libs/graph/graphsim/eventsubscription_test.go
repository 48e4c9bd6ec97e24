package graphsim_test

import (
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/graph/graphsim"
)

func eventSub(url, user string) map[string]any {
	return map[string]any{"changeType": "created,updated,deleted", "resource": "users/" + user + "/events", "notificationUrl": url + "/notifications",
		"lifecycleNotificationUrl": url + "/lifecycle", "clientState": "state", "expirationDateTime": time.Now().Add(10079 * time.Minute).UTC().Format(time.RFC3339)}
}

func TestASubscriptionToEventsIsToldOfEveryChange(t *testing.T) {
	s := start(t, nil)
	r := listen(t, s.Authority())
	token, anna := s.appToken(contoso), s.id("anna")
	sub := s.subscribe(token, eventSub(r.URL, "anna@contoso.example"))
	if asked := fmt.Sprint(r.asked); asked != "[/notifications /lifecycle]" {
		t.Errorf("handshakes at %s, want one at each URL", asked)
	}
	id := s.meet("anna", 60, 90, nil)
	check(t, s.contoso().MoveMeeting("anna", "1", monday, monday.Add(time.Hour)))
	check(t, s.contoso().CancelMeeting("anna", "1"))
	check(t, s.contoso().DeleteMeeting("anna", "1"))
	s.meet("ben", 60, 90, nil)
	var changes []string
	for _, p := range r.wait(4) {
		item := p.items[0]
		data := item["resourceData"].(map[string]any)
		if data["id"] == id || item["subscriptionId"] != sub || item["clientState"] != "state" || item["tenantId"] != contoso ||
			data["@odata.type"] != "#Microsoft.Graph.Event" || !strings.HasPrefix(fmt.Sprint(data["@odata.etag"]), `W/"`) ||
			item["resource"] != "Users/"+anna+"/Events/"+fmt.Sprint(data["id"]) || data["@odata.id"] != item["resource"] || item["encryptedContent"] != nil {
			t.Errorf("%v", item)
		}
		if strings.Contains(fmt.Sprint(p.body), graphsim.Marker) {
			t.Errorf("a notification says what the meeting is about: %v", p.body)
		}
		changes = append(changes, fmt.Sprint(item["changeType"]))
	}
	slices.Sort(changes)
	if fmt.Sprint(changes) != "[created deleted updated updated]" || s.contoso().Ledger().Total.Due != 4 {
		t.Errorf("%v, %d due", changes, s.contoso().Ledger().Total.Due)
	}
}

func TestSubscriptionsToEventsThatAreRefused(t *testing.T) {
	s := start(t, nil)
	r := listen(t, s.Authority())
	token, anna := s.appToken(contoso), s.id("anna")
	check(t, s.contoso().EditMailbox("ben", func(m *graphsim.Mailbox) { m.Missing = true }))
	check(t, s.contoso().EditMailbox("clara", func(m *graphsim.Mailbox) { m.Denied = true }))
	with := func(name string, value any) map[string]any {
		body := eventSub(r.URL, anna)
		body[name] = value
		return body
	}
	for name, c := range map[string]struct {
		body   map[string]any
		status int
	}{
		"longer than seven days":           {with("expirationDateTime", time.Now().Add(10081*time.Minute)), 400},
		"nobody listens for the lifecycle": {with("lifecycleNotificationUrl", "https://127.0.0.1:1/"), 400},
		"resource data":                    {with("includeResourceData", true), 400},
		"moved":                            {with("changeType", "moved"), 400},
		"nobody":                           {eventSub(r.URL, contoso), 404},
		"no mailbox":                       {eventSub(r.URL, s.id("ben")), 404},
		"a mailbox that is closed":         {eventSub(r.URL, s.id("clara")), 403},
	} {
		if got := s.graph("POST", "/subscriptions", token, c.body); got.status != c.status {
			t.Errorf("%s: %d %s, want %d", name, got.status, got.message(), c.status)
		}
	}
	s.subscribe(token, eventSub(r.URL, anna))
	if got := s.graph("POST", "/subscriptions", token, eventSub(r.URL, anna)); got.status != http.StatusConflict || !strings.Contains(got.message(), "already exists for the requested combination") {
		t.Errorf("a second one: %d %s", got.status, got.message())
	}
	check(t, s.contoso().Revoke(appID, "Calendars.Read"))
	if got := s.graph("POST", "/subscriptions", token, eventSub(r.URL, s.id("david"))); got.status != http.StatusForbidden {
		t.Errorf("without the permission: %d", got.status)
	}
}

func TestAThousandSubscriptionsToAMailbox(t *testing.T) {
	s := start(t, nil)
	r := listen(t, s.Authority())
	token, anna := s.appToken(contoso), s.id("anna")
	body := eventSub(r.URL, anna)
	delete(body, "lifecycleNotificationUrl")
	for i := range 1000 {
		body["resource"] = fmt.Sprintf("users/%s/events?$filter=x eq %d", anna, i)
		s.subscribe(token, body)
	}
	body["resource"] = "users/" + anna + "/events"
	if got := s.graph("POST", "/subscriptions", token, body); got.status != http.StatusForbidden || got.code() != "ExtensionError" {
		t.Errorf("one more: %d %s", got.status, got.code())
	}
	s.subscribe(token, eventSub(r.URL, s.id("ben")))
}

func TestTheLifecycleOfASubscriptionToEvents(t *testing.T) {
	s := start(t, nil)
	r := listen(t, s.Authority())
	token := s.appToken(contoso)
	for kind, want := range map[graphsim.FaultKind]string{
		graphsim.FaultReauthorize: "[created reauthorizationRequired]", graphsim.FaultMiss: "[missed]", graphsim.FaultRemove: "[subscriptionRemoved]",
	} {
		r.set(func(r *receiver) { r.posts = nil })
		sub := s.subscribe(token, eventSub(r.URL, s.id("anna")))
		due := s.contoso().Ledger().Total.Due
		_, err := s.contoso().Fault(graphsim.Fault{Kind: kind, User: "anna", Resource: "event", Count: 1})
		check(t, err)
		s.meet("anna", 0, 5, nil)
		if got := s.contoso().Ledger().Total.Due - due; got != 2 {
			t.Errorf("%s: %d due, want a notification and a lifecycle event", kind, got)
		}
		var got []string
		for _, p := range r.wait(strings.Count(want, " ") + 1) {
			item := p.items[0]
			if event, lifecycle := item["lifecycleEvent"]; lifecycle {
				got = append(got, fmt.Sprint(event))
				if p.path != "/lifecycle" || item["subscriptionId"] != sub || item["resource"] != nil {
					t.Errorf("%s: %v", p.path, item)
				}
				continue
			}
			got = append(got, fmt.Sprint(item["changeType"]))
		}
		slices.Sort(got)
		if fmt.Sprint(got) != want {
			t.Errorf("%s: %v, want %s", kind, got, want)
		}
		status := s.graph("GET", "/subscriptions/"+sub, token, nil).status
		if gone := kind == graphsim.FaultRemove; gone != (status == http.StatusNotFound) {
			t.Errorf("%s: the subscription answers %d", kind, status)
		}
		if status == http.StatusOK {
			s.graph("DELETE", "/subscriptions/"+sub, token, nil)
		}
	}
	sub := s.subscribe(token, eventSub(r.URL, s.id("anna")))
	if err := s.contoso().NotifyLifecycle(sub, "retired"); err == nil {
		t.Error("an event that there is not was sent")
	}
	check(t, s.contoso().NotifyLifecycle(sub, "subscriptionRemoved"))
	if n := len(s.contoso().Subscriptions()); n != 0 {
		t.Errorf("%d subscriptions are left: removed ones end", n)
	}
}

func TestCalendarNotificationsGoWrongApartFromOthers(t *testing.T) {
	s := start(t, nil)
	r := listen(t, s.Authority())
	s.subscribe(s.appToken(contoso), eventSub(r.URL, s.id("anna")))
	s.subscribe(s.appToken(contoso), eventSub(r.URL, s.id("ben")))
	s.subscribe(s.userToken("zoe"), presenceSub(r.URL, s.id("anna")))
	_, err := s.contoso().Fault(graphsim.Fault{Kind: graphsim.FaultLose, Resource: "event", User: "anna", Count: 1})
	check(t, err)
	_, err = s.contoso().Fault(graphsim.Fault{Kind: graphsim.FaultDouble, Resource: "event", Count: 1})
	check(t, err)
	check(t, s.contoso().SetPresence("anna", "Busy", ""))
	s.meet("anna", 0, 5, nil) // lost
	s.meet("ben", 0, 5, nil)  // doubled
	s.meet("anna", 5, 9, nil)
	eventually(t, "all delivered", func() bool { return s.contoso().Ledger().Total.Pending == 0 })
	if got := s.contoso().Ledger().Total; got.Due != 4 || got.Lost != 1 || got.Doubled != 1 || got.Accepted != 4 {
		t.Errorf("%+v", got)
	}
	for _, bad := range []graphsim.Fault{{Kind: graphsim.FaultLose, Resource: "mail"}, {Kind: graphsim.FaultLose, User: "nobody"}} {
		if _, err := s.contoso().Fault(bad); err == nil {
			t.Errorf("%+v was taken", bad)
		}
	}
}

func TestRenewingAndReauthorizingWithinTenMinutesIsAViolation(t *testing.T) {
	clock := newClock()
	s := start(t, func(c *graphsim.Config) { c.Now, c.TokenLife = clock.now, 10*time.Hour })
	r := listen(t, s.Authority())
	token := s.appToken(contoso)
	sub := "/subscriptions/" + s.subscribe(token, eventSub(r.URL, s.id("anna")))
	renew := func() {
		s.graph("PATCH", sub, token, map[string]any{"expirationDateTime": clock.now().Add(time.Hour).UTC().Format(time.RFC3339)})
	}
	renew()
	renew()
	clock.add(10 * time.Minute)
	s.graph("POST", sub+"/reauthorize", token, nil)
	if v := s.contoso().Violations(); len(v) != 0 {
		t.Fatalf("ten minutes apart: %v", v)
	}
	clock.add(10*time.Minute - time.Second)
	renew()
	if v := s.contoso().Violations(); len(v) != 1 || v[0].Kind != "renew-and-reauthorize" {
		t.Errorf("a second too early: %v", v)
	}
}
