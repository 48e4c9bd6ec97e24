package graphsim_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/graph/graphsim"
)

// post calls the gate without the headers that only the directory knows.
func (g guarded) step(body any, token string) map[string]map[string]any {
	g.t.Helper()
	return g.ask("POST", "/$batch", token, body, http.StatusOK).responses()
}

func TestCalendarsKeepTheContract(t *testing.T) {
	c := graphContract(t)
	if c == nil {
		return
	}
	for _, allDay := range []string{"dates", "instants"} {
		g := guard(t, c, func(c *graphsim.Config) {
			c.Tenants[0].Switches = graphsim.Switches{AllDay: allDay, GoneLocation: true}
		})
		token, anna := g.appToken(contoso), g.id("anna")
		for i, showAs := range []string{"unknown", "free", "tentative", "busy", "oof", "workingElsewhere"} {
			g.meet("anna", i, i+30, func(m *graphsim.Meeting) { m.ShowAs = showAs })
		}
		for i, response := range []string{"none", "organizer", "tentativelyAccepted", "accepted", "declined", "notResponded"} {
			g.meet("anna", i, i+30, func(m *graphsim.Meeting) {
				m.Response, m.Sensitivity = response, []string{"normal", "personal", "private", "confidential"}[i%4]
			})
		}
		g.meet("anna", 0, 24*60, func(m *graphsim.Meeting) { m.AllDay = true })
		weekly := g.meet("anna", 60, 90, func(m *graphsim.Meeting) {
			m.Repeat = &graphsim.Recurrence{Every: "week", Days: []time.Weekday{1, 3}, Count: 9}
		})
		daily := g.meet("anna", 60, 90, func(m *graphsim.Meeting) { m.Repeat = &graphsim.Recurrence{Every: "day", Until: "2026-12-24"} })
		g.meet("anna", 60, 90, func(m *graphsim.Meeting) { m.Repeat = &graphsim.Recurrence{Every: "month"} })
		g.meet("anna", 60, 90, func(m *graphsim.Meeting) { m.Repeat = &graphsim.Recurrence{Every: "month", Index: "last"} })
		check(t, g.contoso().CancelMeeting("anna", weekly))
		check(t, g.contoso().MoveMeeting("anna", "15@2026-11-25", monday, monday.Add(time.Hour)))

		view := viewPath(anna, monday.Add(-time.Hour), monday.Add(72*time.Hour), "")
		pages := 0
		for at := view; at != ""; pages++ {
			at = g.ask("GET", at, token, nil, http.StatusOK).text("@odata.nextLink")
		}
		if pages < 2 {
			t.Errorf("%d pages", pages)
		}
		g.ask("GET", view+"&$top=100&$count=true&$select=id,start,end,showAs,isAllDay,isCancelled,responseStatus,sensitivity,attendees", token, nil, http.StatusOK)
		g.ask("GET", viewPath(anna, monday, monday.AddDate(6, 0, 0), ""), token, nil, http.StatusBadRequest)
		g.ask("GET", viewPath(fabrikam, monday, monday, ""), token, nil, http.StatusNotFound)
		for _, id := range []string{weekly, daily} {
			g.ask("GET", "/users/"+anna+"/events/"+id, token, nil, http.StatusOK)
		}
		g.ask("GET", "/users/"+anna+"/events?$top=100", token, nil, http.StatusOK)
		g.ask("GET", "/users/"+anna+"/events/none", token, nil, http.StatusNotFound)
		delta := view[:len("/users/")+36] + strings.Replace(view[len("/users/")+36:], "calendarView", "calendarView/delta", 1)
		link := ""
		round := func(from string) {
			for from != "" {
				at := g.ask("GET", from, token, nil, http.StatusOK)
				from, link = at.text("@odata.nextLink"), at.text("@odata.deltaLink")
			}
		}
		round(delta)
		check(t, g.contoso().DeleteMeeting("anna", "1"))
		check(t, g.contoso().CancelMeeting("anna", "2"))
		round(link)
		g.contoso().ExpireDeltas()
		g.ask("GET", link, token, nil, http.StatusGone)
		g.ask("GET", "/users/"+anna+"/mailboxSettings", token, nil, http.StatusOK)
		g.ask("GET", "/users/"+anna+"/mailboxSettings?$select=timeZone,userPurpose", token, nil, http.StatusOK)
		check(t, g.contoso().EditMailbox("anna", func(m *graphsim.Mailbox) { m.Denied = true }))
		g.ask("GET", "/users/"+anna+"/mailboxSettings", token, nil, http.StatusForbidden)
		g.gate.Verdict(t, "GET /users/{user-id}/calendarView 200", "GET /users/{user-id}/calendarView 400", "GET /users/{user-id}/calendarView 404",
			"GET /users/{user-id}/events 200", "GET /users/{user-id}/events/{event-id} 200", "GET /users/{user-id}/events/{event-id} 404",
			"GET /users/{user-id}/calendarView/delta 200", "GET /users/{user-id}/calendarView/delta 410",
			"GET /users/{user-id}/mailboxSettings 200", "GET /users/{user-id}/mailboxSettings 403")
	}
}

func TestBatchesKeepTheContractInsideToo(t *testing.T) {
	c := graphContract(t)
	if c == nil {
		return
	}
	g := guard(t, c, nil)
	token := g.appToken(contoso)
	g.meet("anna", 60, 90, nil)
	_, err := g.contoso().Fault(graphsim.Fault{Kind: graphsim.FaultStatus, User: "ben", RetryAfter: "2.128"})
	check(t, err)
	paths := map[string]string{"a": viewPath(g.id("anna"), monday, monday.Add(9*time.Hour), ""), "b": viewPath(g.id("ben"), monday, monday.Add(9*time.Hour), ""),
		"c": viewPath(fabrikam, monday, monday.Add(9*time.Hour), ""), "d": "/users/" + g.id("clara") + "/mailboxSettings?$select=timeZone"}
	var list []map[string]any
	for id, path := range paths {
		list = append(list, step(id, path))
	}
	inside := func(answers map[string]map[string]any) (found []string) {
		for id, one := range answers {
			body, err := json.Marshal(one["body"])
			check(t, err)
			x := exchange{Request: request(t, http.MethodGet, paths[id], ""), Status: int(one["status"].(float64)), Header: http.Header{}, Answer: body}
			for name, value := range one["headers"].(map[string]any) {
				x.Header.Set(name, fmt.Sprint(value))
			}
			_, wrong := c.Violations(x)
			found = append(found, wrong...)
		}
		return found
	}
	answers := g.step(steps(list...), token)
	if answers["b"]["status"] != 429.0 || answers["c"]["status"] != 404.0 {
		t.Errorf("%v", answers)
	}
	if found := inside(answers); len(found) != 0 {
		t.Errorf("inside of the batch: %q", found)
	}
	answers["a"]["body"] = map[string]any{"value": "none"} // the control
	if found := inside(answers); len(found) != 1 {
		t.Errorf("a broken answer inside of a batch: %q", found)
	}
	g.ask("POST", "/$batch", token, steps(step("a", "/users"), step("a", "/users")), http.StatusBadRequest)
	g.gate.Verdict(t, "POST /$batch 200", "POST /$batch 400")
}

func TestPresenceWritesKeepTheContract(t *testing.T) {
	c := graphContract(t)
	if c == nil {
		return
	}
	g := guard(t, c, writers)
	token, at := g.appToken(contoso), "/users/"+g.id("anna")+"/presence/"
	end := map[string]any{"sessionId": appID}
	g.ask("POST", at+"setPresence", token, session("Busy", "InACall", "PT10M"), http.StatusOK)
	g.ask("POST", at+"setPresence", token, session("Busy", "Busy", ""), http.StatusBadRequest)
	g.ask("POST", at+"clearPresence", token, end, http.StatusOK)
	g.ask("POST", at+"clearPresence", token, end, http.StatusNotFound)
	g.ask("POST", at+"setUserPreferredPresence", token, pin("Away", "Away", "PT2H"), http.StatusOK)
	check(t, g.contoso().Revoke(appID, "Presence.ReadWrite.All"))
	g.ask("POST", at+"setUserPreferredPresence", token, pin("Away", "Away", "PT2H"), http.StatusForbidden)
	g.gate.Verdict(t, "POST /users/{user-id}/presence/setPresence 200", "POST /users/{user-id}/presence/setPresence 400",
		"POST /users/{user-id}/presence/clearPresence 200", "POST /users/{user-id}/presence/clearPresence 404",
		"POST /users/{user-id}/presence/setUserPreferredPresence 200", "POST /users/{user-id}/presence/setUserPreferredPresence 403")
}

func TestNotificationsOfEventsKeepTheContract(t *testing.T) {
	c := graphContract(t)
	if c == nil {
		return
	}
	g := guard(t, c, nil)
	r := listen(t, g.Authority())
	token := g.appToken(contoso)
	g.ask("POST", "/subscriptions", token, eventSub(r.URL, g.id("anna")), http.StatusCreated)
	g.meet("anna", 60, 90, nil)
	check(t, g.contoso().CancelMeeting("anna", "1"))
	check(t, g.contoso().DeleteMeeting("anna", "1"))
	for _, sub := range g.contoso().Subscriptions() {
		for _, event := range []string{"missed", "subscriptionRemoved"} {
			check(t, g.contoso().NotifyLifecycle(sub.ID, event))
		}
	}
	for _, p := range r.wait(5) {
		if problem := c.Value(notifications, p.body); problem != nil {
			t.Errorf("%s: %v", p.path, problem)
		}
		if text, _ := json.Marshal(p.body); bytes.Contains(text, []byte(graphsim.Marker)) {
			t.Errorf("%s", text)
		}
	}
	g.gate.Verdict(t, "POST /subscriptions 201")
}
