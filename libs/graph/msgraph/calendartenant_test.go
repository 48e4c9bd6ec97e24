package msgraph_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/secret"
)

// meet puts a meeting into a calendar, from so many minutes after Monday at eight.
func (s simulated) meet(t testing.TB, user identity.User, from, to int, edit func(*graphsim.Meeting)) {
	t.Helper()
	m := graphsim.Meeting{Start: monday.Add(time.Duration(from) * time.Minute), End: monday.Add(time.Duration(to) * time.Minute)}
	if edit != nil {
		edit(&m)
	}
	if _, err := s.tenant.AddMeeting(string(user), m); err != nil {
		t.Fatal(err)
	}
}

// spans writes entries by start as "minutes-minutes showAs", from Monday at eight.
func spans(entries []graph.CalendarEntry) string {
	entries = slices.SortedFunc(slices.Values(entries), func(a, b graph.CalendarEntry) int { return a.Start.Compare(b.Start) })
	var list []string
	for _, e := range entries {
		list = append(list, fmt.Sprintf("%.0f-%.0f %s", e.Start.Sub(monday).Minutes(), e.End.Sub(monday).Minutes(), e.ShowAs))
	}
	return strings.Join(list, ", ")
}

// truthOf is what the simulator knows of a day and a half, as spans writes it.
func (s simulated) truthOf(t testing.TB, user identity.User) string {
	t.Helper()
	all, err := s.tenant.Calendar(string(user), monday.Add(-time.Hour), monday.Add(36*time.Hour))
	if err != nil {
		t.Fatal(err)
	}
	var entries []graph.CalendarEntry
	for _, o := range all {
		entries = append(entries, graph.CalendarEntry{Start: o.Start, End: o.End, ShowAs: o.ShowAs})
	}
	return spans(entries)
}

func TestCalendarsOfATenantAreReadAsTheyAre(t *testing.T) {
	sim := simulate(t, 45)
	users := sim.ids(t)
	for i, user := range users {
		sim.meet(t, user, i, i+30, nil)
		sim.meet(t, user, i+10, i+20, func(m *graphsim.Meeting) { m.ShowAs = "oof" })
		sim.meet(t, user, 60, 90, func(m *graphsim.Meeting) {
			m.Start, m.End = m.Start.AddDate(0, -2, 0), m.End.AddDate(0, -2, 0) // before the clocks changed
			m.Repeat = &graphsim.Recurrence{Every: "day"}
		})
	}
	for i := range 150 { // more than a page
		sim.meet(t, users[7], 5*i, 5*i+5, func(m *graphsim.Meeting) { m.ShowAs = "tentative" })
	}
	for user, a := range collect(t, t.Context(), sim.client, views(users...)) {
		if want := sim.truthOf(t, user); a.Err != nil || len(a.Dropped) != 0 || spans(a.Entries) != want {
			t.Errorf("%s: %v %v\n got %s\nwant %s", user, a.Err, a.Dropped, spans(a.Entries), want)
		}
	}
	if !strings.Contains(sim.truthOf(t, users[0]), "120-150 busy") {
		t.Errorf("the truth does not know that ten o'clock comes later in winter: %s", sim.truthOf(t, users[0]))
	}
	requests := sim.server.Requests()
	if n := requests.Of(http.MethodPost, "/v1.0/$batch", 0); n != 4 {
		t.Errorf("%d batches for 45 calendars and one more page, want 4", n)
	}
	if n := requests.Of(http.MethodGet, "/v1.0/users/{user}/calendarView", 200); n != 46 {
		t.Errorf("%d calendar views, want 46", n)
	}
	if v := sim.tenant.Violations(); len(v) != 0 {
		t.Errorf("%v", v)
	}
}

func TestAThrottledMailboxOfATenantCostsOnlyItself(t *testing.T) {
	sim := simulate(t, 30)
	users := sim.ids(t)
	for _, user := range users {
		sim.meet(t, user, 0, 30, nil)
	}
	for i, edit := range []func(*graphsim.Mailbox){
		func(m *graphsim.Mailbox) { m.Missing = true }, func(m *graphsim.Mailbox) { m.Denied = true },
	} {
		if err := sim.tenant.EditMailbox(string(users[i]), edit); err != nil {
			t.Fatal(err)
		}
	}
	for i, f := range []graphsim.Fault{
		{Kind: graphsim.FaultStatus, RetryAfter: "600"}, {Kind: graphsim.FaultStatus, RetryAfter: "0.3", Count: 2}, {Kind: graphsim.FaultStatus, Status: 503, Count: 1},
	} {
		f.User = string(users[2+i])
		if _, err := sim.tenant.Fault(f); err != nil {
			t.Fatal(err)
		}
	}
	answers := collect(t, t.Context(), sim.client, views(users...))
	for i, want := range []fault.Kind{fault.NotFound, fault.Denied, fault.Throttled, wellRead, wellRead, wellRead} {
		a := answers[users[i]]
		switch {
		case want == wellRead:
			if a.Err != nil || len(a.Entries) != 1 {
				t.Errorf("%d: %d entries, %v", i, len(a.Entries), a.Err)
			}
		case fault.KindOf(a.Err) != want:
			t.Errorf("%d: %v, want %v", i, a.Err, want)
		case want == fault.Throttled && fault.RetryAfter(a.Err) < 9*time.Minute:
			t.Errorf("again after %v", fault.RetryAfter(a.Err))
		}
	}
	for _, user := range users[5:] {
		if a := answers[user]; a.Err != nil || spans(a.Entries) != "0-30 busy" {
			t.Errorf("%s: %s, %v", user, spans(a.Entries), a.Err)
		}
	}
	if n := sim.server.Requests().Of(http.MethodGet, "/v1.0/users/{user}/calendarView", http.StatusTooManyRequests); n != 3 {
		t.Errorf("%d answers of 429, want 3: nobody asks before Retry-After", n)
	}
	if err := sim.tenant.Switch(func(s *graphsim.Switches) { s.BatchThrottled = "outer" }); err != nil {
		t.Fatal(err)
	}
	if _, err := sim.tenant.Fault(graphsim.Fault{Kind: graphsim.FaultStatus, User: string(users[9]), RetryAfter: "0.2", Count: 1}); err != nil {
		t.Fatal(err)
	}
	for user, a := range collect(t, t.Context(), sim.client, views(users[5:15]...)) {
		if a.Err != nil || len(a.Entries) != 1 {
			t.Errorf("batches that fail as a whole: %s: %v", user, a.Err)
		}
	}
}

func TestAllDayEventsOfATenantBeginWhereThePersonLives(t *testing.T) {
	sim := simulate(t, 4)
	users := sim.ids(t)
	zones := []string{"Pacific Standard Time", "Tokyo Standard Time", "UTC", "Customized Time Zone"}
	for i, user := range users {
		if err := sim.tenant.EditMailbox(string(user), func(m *graphsim.Mailbox) { m.Zone = zones[i] }); err != nil {
			t.Fatal(err)
		}
		sim.meet(t, user, 0, 24*60, func(m *graphsim.Meeting) { m.AllDay, m.ShowAs, m.Zone = true, "oof", "UTC" })
	}
	requests := views(users...)
	for a := range sim.client.MailboxZones(t.Context(), users) {
		i := slices.Index(users, a.User)
		if requests[i].Zone = a.Zone; (a.Err == nil) != (i < 3) || a.Err != nil && fault.KindOf(a.Err) != fault.Unsupported {
			t.Errorf("%s: %v, %v", zones[i], a.Zone, a.Err)
		}
	}
	for user, a := range collect(t, t.Context(), sim.client, requests) {
		if want := sim.truthOf(t, user); a.Err != nil || len(a.Entries) != 1 || !a.Entries[0].AllDay || spans(a.Entries) != want {
			t.Errorf("%s: %s, %v, want %s", zones[slices.Index(users, user)], spans(a.Entries), a.Err, want)
		}
	}
}

func TestABadEventOfATenantCostsOnlyItself(t *testing.T) {
	sim := simulate(t, 1)
	user := sim.ids(t)[0]
	for i, spoil := range []string{`{"end":null}`, `{"start":{"dateTime":"yesterday","timeZone":"UTC"}}`, `{"end":{"dateTime":"2020-01-01T00:00:00","timeZone":"UTC"}}`,
		`{"start":{"dateTime":"2026-11-23T08:00:00","timeZone":"Mars Standard Time"}}`, `{"start":{"dateTime":"1800-01-01T00:00:00","timeZone":"UTC"}}`, `{"showAs":"` + graphsim.Marker + `"}`} {
		sim.meet(t, user, i, i+30, nil)
		var properties map[string]json.RawMessage
		if err := json.Unmarshal([]byte(spoil), &properties); err != nil {
			t.Fatal(err)
		}
		if err := sim.tenant.SpoilMeeting(string(user), fmt.Sprint(i+1), properties); err != nil {
			t.Fatal(err)
		}
	}
	sim.meet(t, user, 60, 90, nil)
	a := collect(t, t.Context(), sim.client, views(user))[user]
	if a.Err != nil || len(a.Dropped) != 5 || len(a.Entries) != 2 {
		t.Errorf("%v, dropped %v, read %s", a.Err, a.Dropped, spans(a.Entries))
	}
	if strings.Contains(fmt.Sprint(a.Dropped), graphsim.Marker) {
		t.Errorf("an error quotes the calendar: %v", a.Dropped)
	}
}

func TestASubscriptionToEventsOfATenant(t *testing.T) {
	sim := simulate(t, 2)
	user := sim.ids(t)[0]
	want := graph.NewSubscription{Resource: "users/" + string(user) + "/events", Change: "created,updated,deleted", Notify: "https://127.0.0.1:1/n", Lifecycle: "https://127.0.0.1:1/l",
		State: secret.NewValue("s"), Expires: time.Now().Add(graph.MaxEventLife)}
	if _, err := sim.client.Create(t.Context(), want); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("nobody listens: %v, want unavailable", err)
	}
	if err := sim.tenant.EditMailbox(string(user), func(m *graphsim.Mailbox) { m.Missing = true }); err != nil {
		t.Fatal(err)
	}
	if _, err := sim.client.Create(t.Context(), want); fault.KindOf(err) != fault.NotFound {
		t.Errorf("no mailbox: %v, want not found", err)
	}
}
