package graphsim_test

import (
	"encoding/json"
	"fmt"
	"net/http"
	"net/url"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/graph/graphsim"
)

var monday = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

// meet puts a meeting into a calendar, from so many minutes after Monday at eight.
func (s *sim) meet(user string, from, to int, edit func(*graphsim.Meeting)) string {
	s.t.Helper()
	m := graphsim.Meeting{Start: monday.Add(time.Duration(from) * time.Minute), End: monday.Add(time.Duration(to) * time.Minute)}
	if edit != nil {
		edit(&m)
	}
	id, err := s.contoso().AddMeeting(user, m)
	check(s.t, err)
	return id
}

func viewPath(user string, from, to time.Time, more string) string {
	return "/users/" + user + "/calendarView?startDateTime=" + from.UTC().Format(time.RFC3339) + "&endDateTime=" + to.UTC().Format(time.RFC3339) + more
}

// preferring calls Graph with a Prefer header.
func (s *sim) preferring(path, token, prefer string) reply {
	s.t.Helper()
	if !strings.HasPrefix(path, "https://") {
		path = s.GraphURL() + "/v1.0" + path
	}
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodGet, path, http.NoBody)
	check(s.t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	r.Header.Set("Prefer", prefer)
	return s.send(r)
}

// spans writes events as "start-end showAs" in the zone that they came in.
func spans(events []map[string]any) []string {
	var list []string
	for _, e := range events {
		at := func(name string) string {
			moment := e[name].(map[string]any)
			return moment["dateTime"].(string)[5:16] + moment["timeZone"].(string)
		}
		list = append(list, at("start")+"-"+at("end")+" "+fmt.Sprint(e["showAs"]))
	}
	return list
}

func TestACalendarViewHoldsWhatOverlapsItsWindow(t *testing.T) {
	s := start(t, nil)
	token := s.appToken(contoso)
	s.meet("anna", 60, 90, nil)                                                           // 09:00
	s.meet("anna", 70, 80, func(m *graphsim.Meeting) { m.ShowAs = "oof" })                // inside of it
	s.meet("anna", 90, 120, func(m *graphsim.Meeting) { m.ShowAs = "tentative" })         // right after it
	s.meet("anna", -600, -60, nil)                                                        // ends at 07:00
	s.meet("anna", -600, -59, func(m *graphsim.Meeting) { m.ShowAs = "free" })            // ends at 07:01
	s.meet("anna", 720, 780, nil)                                                         // begins at 20:00
	s.meet("anna", 719, 780, func(m *graphsim.Meeting) { m.ShowAs = "workingElsewhere" }) // begins at 19:59
	s.meet("ben", 60, 90, nil)
	got := s.preferring(viewPath(s.id("anna"), monday.Add(-time.Hour), monday.Add(12*time.Hour), "&$top=100"), token, `outlook.timezone="UTC"`)
	want := []string{"11-22T22:00UTC-11-23T07:01UTC free", "11-23T09:00UTC-11-23T09:30UTC busy", "11-23T09:10UTC-11-23T09:20UTC oof",
		"11-23T09:30UTC-11-23T10:00UTC tentative", "11-23T19:59UTC-11-23T21:00UTC workingElsewhere"}
	if fmt.Sprint(spans(got.values())) != fmt.Sprint(want) {
		t.Errorf("%d %s\n got %v\nwant %v", got.status, got.message(), spans(got.values()), want)
	}
}

func TestAnEventSaysWhatWasAskedForAndNothingElse(t *testing.T) {
	s := start(t, nil)
	token := s.appToken(contoso)
	s.meet("anna", 60, 90, nil)
	whole := s.preferring(viewPath(s.id("anna"), monday, monday.Add(9*time.Hour), ""), token, "")
	text, _ := json.Marshal(whole.body)
	if n := strings.Count(string(text), graphsim.Marker); n < 4 {
		t.Errorf("a whole event has the marker %d times: %s", n, text)
	}
	picked := s.preferring(viewPath(s.id("anna"), monday, monday.Add(9*time.Hour), "&$select=start,end,showAs,isAllDay"), token, "")
	text, _ = json.Marshal(picked.values())
	var names []string
	for name := range picked.values()[0] {
		names = append(names, name)
	}
	slices.Sort(names)
	if strings.Contains(string(text), graphsim.Marker) || fmt.Sprint(names) != "[@odata.etag end id isAllDay showAs start]" {
		t.Errorf("selected: %s", text)
	}
	if start := picked.values()[0]["start"].(map[string]any)["dateTime"]; start != "2026-11-23T09:00:00.0000000" {
		t.Errorf("starts at %v, want seven digits and no offset", start)
	}
	check(t, s.contoso().Grant(appID, "Calendars.ReadBasic"))
	check(t, s.contoso().Revoke(appID, "Calendars.Read"))
	basic := s.preferring(viewPath(s.id("anna"), monday, monday.Add(9*time.Hour), ""), s.appToken(contoso), "")
	if _, there := basic.values()[0]["body"]; there || basic.values()[0]["subject"] == nil {
		t.Errorf("with the basic permission: %v", basic.values()[0])
	}
}

func TestACalendarViewComesInPagesThroughLinksOfItsOwnHost(t *testing.T) {
	s := start(t, nil)
	token := s.appToken(contoso)
	for i := range 25 {
		s.meet("anna", 10*i, 10*i+10, nil)
	}
	for query, pages := range map[string]int{"": 3, "&$top=7": 4, "&$top=1000": 1} {
		seen, n := map[string]bool{}, 0
		for at := viewPath(s.id("anna"), monday, monday.Add(9*time.Hour), "&$select=id"+query); at != ""; n++ {
			got := s.preferring(at, token, `IdType="ImmutableId"`)
			for _, e := range got.values() {
				seen[e["id"].(string)] = true
			}
			if at = got.text("@odata.nextLink"); at != "" && !strings.HasPrefix(at, s.GraphURL()+"/v1.0/users/") {
				t.Fatalf("leads to %s", at)
			}
		}
		if len(seen) != 25 || n != pages {
			t.Errorf("%q: %d events in %d pages, want 25 in %d", query, len(seen), n, pages)
		}
	}
}

func TestTimesComeInTheZoneAskedForAndDatesStayDates(t *testing.T) {
	s := start(t, nil)
	token := s.appToken(contoso)
	s.meet("anna", 60, 90, nil)
	s.meet("anna", 0, 1, func(m *graphsim.Meeting) { m.AllDay, m.ShowAs, m.End = true, "oof", m.Start.Add(48*time.Hour) })
	path := viewPath(s.id("anna"), monday, monday.Add(9*time.Hour), "")
	for _, c := range []struct{ prefer, switched, want string }{
		{"", "", "[11-23T00:00UTC-11-25T00:00UTC oof 11-23T09:00UTC-11-23T09:30UTC busy]"},
		{`outlook.timezone="W. Europe Standard Time"`, "", "[11-23T00:00W. Europe Standard Time-11-25T00:00W. Europe Standard Time oof 11-23T10:00W. Europe Standard Time-11-23T10:30W. Europe Standard Time busy]"},
		{`outlook.timezone="Asia/Tokyo"`, "", "[11-23T00:00Asia/Tokyo-11-25T00:00Asia/Tokyo oof 11-23T18:00Asia/Tokyo-11-23T18:30Asia/Tokyo busy]"},
		{`outlook.timezone="UTC"`, "instants", "[11-22T23:00UTC-11-24T23:00UTC oof 11-23T09:00UTC-11-23T09:30UTC busy]"},
	} {
		check(t, s.contoso().Switch(func(w *graphsim.Switches) { w.AllDay = c.switched }))
		if got := s.preferring(path, token, c.prefer); fmt.Sprint(spans(got.values())) != c.want {
			t.Errorf("%s %s: %v", c.prefer, c.switched, spans(got.values()))
		}
	}
	if got := s.preferring(path, token, `outlook.timezone="Mars Standard Time"`); got.status != 400 || got.code() != "TimeZoneNotSupportedException" {
		t.Errorf("an unknown zone: %d %s", got.status, got.code())
	}
	truth, err := s.contoso().Calendar("anna", monday, monday.Add(9*time.Hour))
	check(t, err)
	if got := truth[0].Start; !got.Equal(time.Date(2026, 11, 22, 23, 0, 0, 0, time.UTC)) {
		t.Errorf("the truth: all day begins at %s, not where the person lives", got)
	}
	check(t, s.contoso().EditMailbox("anna", func(m *graphsim.Mailbox) { m.Zone = "Pacific Standard Time" }))
	truth, err = s.contoso().Calendar("anna", monday, monday.Add(9*time.Hour))
	check(t, err)
	if got := truth[0].Start; !got.Equal(monday) {
		t.Errorf("moved to the west: all day begins at %s", got)
	}
}

func TestIdsHaveTwoForms(t *testing.T) {
	s := start(t, nil)
	token := s.appToken(contoso)
	id := s.meet("anna", 60, 90, nil)
	path := viewPath(s.id("anna"), monday, monday.Add(9*time.Hour), "&$select=id")
	immutable, other := s.preferring(path, token, `outlook.timezone="UTC", IdType="ImmutableId"`), s.preferring(path, token, "")
	if got := immutable.values()[0]["id"]; got != id || other.values()[0]["id"] == id {
		t.Errorf("%v and %v, want %s and another", got, other.values()[0]["id"], id)
	}
	for _, each := range []any{id, other.values()[0]["id"]} {
		if got := s.graph("GET", "/users/"+s.id("anna")+"/events/"+each.(string)+"?$select=id,type", token, nil); got.text("type") != "singleInstance" {
			t.Errorf("%v: %d %v", each, got.status, got.body)
		}
	}
}

func TestOneOfASeriesIsMovedCancelledOrDeleted(t *testing.T) {
	s := start(t, nil)
	token := s.appToken(contoso)
	id := s.meet("anna", 60, 90, func(m *graphsim.Meeting) { m.Repeat = &graphsim.Recurrence{Every: "day", Count: 5} })
	check(t, s.contoso().MoveMeeting("anna", "1@2026-11-24", monday.Add(30*time.Hour), monday.Add(31*time.Hour)))
	check(t, s.contoso().CancelMeeting("anna", "1@2026-11-25"))
	check(t, s.contoso().DeleteMeeting("anna", "1@2026-11-26"))
	read := func() (list []string) {
		got := s.preferring(viewPath(s.id("anna"), monday, monday.AddDate(0, 0, 30), "&$select=start,end,showAs,type,isCancelled,seriesMasterId"), token, `IdType="ImmutableId"`)
		for i, span := range spans(got.values()) {
			e := got.values()[i]
			if e["seriesMasterId"] != id {
				t.Errorf("%s belongs to %v", span, e["seriesMasterId"])
			}
			list = append(list, fmt.Sprintf("%s %s %v", span[:11], e["type"], e["isCancelled"]))
		}
		return list
	}
	if got := fmt.Sprint(read()); got != "[11-23T09:00 occurrence false 11-24T14:00 exception false 11-25T09:00 exception true 11-27T09:00 occurrence false]" {
		t.Error(got)
	}
	check(t, s.contoso().EditMeeting("anna", "1", func(m *graphsim.Meeting) { m.Repeat = &graphsim.Recurrence{Every: "day", Interval: 2, Count: 2} }))
	if got := fmt.Sprint(read()); got != "[11-23T09:00 occurrence false 11-25T09:00 exception true]" {
		t.Errorf("another pattern: %s", got)
	}
	master := s.graph("GET", "/users/"+s.id("anna")+"/events/"+id, token, nil)
	if master.text("type") != "seriesMaster" || master.body["recurrence"] == nil {
		t.Errorf("the series itself: %v", master.body)
	}
	for _, bad := range []string{"1@2026-11-24", "1@tomorrow", "7", "x", id + "x"} {
		if err := s.contoso().CancelMeeting("anna", bad); err == nil {
			t.Errorf("%s was found", bad)
		}
	}
	check(t, s.contoso().DeleteMeeting("anna", id))
	if got := read(); got != nil {
		t.Errorf("after the end: %v", got)
	}
}

func TestARequestForACalendarThatIsWrong(t *testing.T) {
	s := start(t, nil)
	token, anna := s.appToken(contoso), s.id("anna")
	check(t, s.contoso().EditMailbox("ben", func(m *graphsim.Mailbox) { m.Missing = true }))
	check(t, s.contoso().EditMailbox("clara", func(m *graphsim.Mailbox) { m.Denied = true }))
	day := monday.Add(24 * time.Hour)
	for name, c := range map[string]struct {
		path, token, code string
		status            int
	}{
		"no window":                {"/users/" + anna + "/calendarView", token, "ErrorInvalidParameter", 400},
		"no end":                   {"/users/" + anna + "/calendarView?startDateTime=2026-11-23T00:00:00Z", token, "ErrorInvalidParameter", 400},
		"a start that is no time":  {"/users/" + anna + "/calendarView?startDateTime=today&endDateTime=2026-11-23T00:00:00Z", token, "ErrorInvalidParameter", 400},
		"an inverted window":       {viewPath(anna, day, monday, ""), token, "ErrorInvalidParameter", 400},
		"a window too long":        {viewPath(anna, monday, monday.AddDate(0, 0, 1826), ""), token, "ErrorInvalidRequest", 400},
		"a property of no event":   {viewPath(anna, monday, day, "&$select=colour"), token, "RequestBroker--ParseUri", 400},
		"a page too large":         {viewPath(anna, monday, day, "&$top=1001"), token, "BadRequest", 400},
		"a filter":                 {viewPath(anna, monday, day, "&$filter=x"), token, "Request_UnsupportedQuery", 400},
		"nobody":                   {viewPath(contoso, monday, day, ""), token, "ErrorInvalidUser", 404},
		"no mailbox":               {viewPath(s.id("ben"), monday, day, ""), token, "MailboxNotEnabledForRESTAPI", 404},
		"a mailbox that is closed": {viewPath(s.id("clara"), monday, day, ""), token, "ErrorAccessDenied", 403},
		"its zone":                 {"/users/" + s.id("clara") + "/mailboxSettings", token, "ErrorAccessDenied", 403},
		"no such setting":          {"/users/" + anna + "/mailboxSettings?$select=colour", token, "RequestBroker--ParseUri", 400},
		"no permission":            {viewPath(anna, monday, day, ""), s.userToken("zoe"), "ErrorAccessDenied", 403},
		"no event":                 {"/users/" + anna + "/events/AAkALgx", token, "ErrorItemNotFound", 404},
	} {
		if got := s.graph("GET", c.path, c.token, nil); got.status != c.status || got.code() != c.code {
			t.Errorf("%s: %d %s %s, want %d %s", name, got.status, got.code(), got.message(), c.status, c.code)
		}
	}
	if got := s.graph("GET", viewPath(anna, monday, monday.AddDate(0, 0, 1825), ""), token, nil); got.status != 200 {
		t.Errorf("the longest window: %d %s", got.status, got.message())
	}
}

func TestAMeetingThatCannotBe(t *testing.T) {
	s := start(t, nil)
	good := graphsim.Meeting{Start: monday, End: monday.Add(time.Hour)}
	for says, spoil := range map[string]func(*graphsim.Meeting){
		"before it begins":      func(m *graphsim.Meeting) { m.End = monday.Add(-time.Minute) },
		"no known name":         func(m *graphsim.Meeting) { m.Zone = "Mars Standard Time" },
		"on a later date":       func(m *graphsim.Meeting) { m.AllDay = true },
		"is none of":            func(m *graphsim.Meeting) { m.ShowAs = "asleep" },
		"sensitivity":           func(m *graphsim.Meeting) { m.Sensitivity = "secret" },
		"response":              func(m *graphsim.Meeting) { m.Response = "maybe" },
		"only day, week":        func(m *graphsim.Meeting) { m.Repeat = &graphsim.Recurrence{Every: "year"} },
		"belong to every month": func(m *graphsim.Meeting) { m.Repeat = &graphsim.Recurrence{Every: "week", Day: 3} },
		"is not 1 to 31":        func(m *graphsim.Meeting) { m.Repeat = &graphsim.Recurrence{Every: "month", Day: 32} },
		"day or index":          func(m *graphsim.Meeting) { m.Repeat = &graphsim.Recurrence{Every: "month", Day: 3, Index: "first"} },
		"index \"fifth\"":       func(m *graphsim.Meeting) { m.Repeat = &graphsim.Recurrence{Every: "month", Index: "fifth"} },
		"until or count": func(m *graphsim.Meeting) {
			m.Repeat = &graphsim.Recurrence{Every: "day", Count: 2, Until: "2026-12-01"}
		},
		"is not a date":        func(m *graphsim.Meeting) { m.Repeat = &graphsim.Recurrence{Every: "day", Until: "Friday"} },
		"days belong to every": func(m *graphsim.Meeting) { m.Repeat = &graphsim.Recurrence{Every: "day", Days: []time.Weekday{1}} },
		"0 (Sunday) to 6":      func(m *graphsim.Meeting) { m.Repeat = &graphsim.Recurrence{Every: "week", Days: []time.Weekday{7}} },
		"0 to 99":              func(m *graphsim.Meeting) { m.Repeat = &graphsim.Recurrence{Every: "week", Interval: -1} },
	} {
		bad := good
		spoil(&bad)
		if _, err := s.contoso().AddMeeting("anna", bad); err == nil || !strings.Contains(err.Error(), says) {
			t.Errorf("%v, want one that says %q", err, says)
		}
	}
	if _, err := s.contoso().AddMeeting("nobody", good); err == nil {
		t.Error("nobody has a meeting")
	}
	if all, err := s.contoso().Meetings("anna"); err != nil || len(all) != 0 {
		t.Errorf("%d meetings were half made, %v", len(all), err)
	}
}

func TestASpoiledMeetingIsWrongOnTheWireOnly(t *testing.T) {
	s := start(t, nil)
	s.meet("anna", 60, 90, nil)
	check(t, s.contoso().SpoilMeeting("anna", "1", map[string]json.RawMessage{"end": json.RawMessage("null"), "body": json.RawMessage(`"x"`)}))
	got := s.graph("GET", viewPath(s.id("anna"), monday, monday.Add(9*time.Hour), "&$select=start,end"), s.appToken(contoso), nil)
	if e := got.values()[0]; e["end"] != nil || e["start"] == nil || e["body"] != nil {
		t.Errorf("%v", e)
	}
	if truth, err := s.contoso().Calendar("anna", monday, monday.Add(9*time.Hour)); err != nil || len(truth) != 1 || !truth[0].End.Equal(monday.Add(90*time.Minute)) {
		t.Errorf("the truth: %v, %v", truth, err)
	}
}

func TestAMailboxTellsItsZoneAndPurpose(t *testing.T) {
	s := start(t, nil)
	token, anna := s.appToken(contoso), s.id("anna")
	if got := s.graph("GET", "/users/"+anna+"/mailboxSettings?$select=timeZone", token, nil); got.text("timeZone") != "W. Europe Standard Time" || len(got.body) != 2 {
		t.Errorf("%d %v", got.status, got.body)
	}
	check(t, s.contoso().EditMailbox("anna", func(m *graphsim.Mailbox) { m.Zone, m.Purpose = "Customized Time Zone", "shared" }))
	if got := s.graph("GET", "/users/"+anna+"/mailboxSettings/userPurpose", token, nil); got.text("value") != "shared" {
		t.Errorf("%d %v", got.status, got.body)
	}
	s.meet("anna", 60, 90, nil) // in UTC then
	if err := s.contoso().EditMailbox("anna", func(m *graphsim.Mailbox) { m.Purpose = "car" }); err == nil {
		t.Error("a mailbox is not a car")
	}
}

func TestChangesInAWindow(t *testing.T) {
	s := start(t, nil)
	token, anna := s.appToken(contoso), s.id("anna")
	round := func(at string) (items []string, delta string) {
		t.Helper()
		for at != "" {
			got := s.preferring(at, token, `odata.maxpagesize=2, IdType="ImmutableId"`)
			if got.status != 200 {
				t.Fatalf("%d %s", got.status, got.message())
			}
			for _, e := range got.values() {
				if removed, gone := e["@removed"].(map[string]any); gone {
					items = append(items, fmt.Sprint(removed["reason"]))
					continue
				}
				items = append(items, e["start"].(map[string]any)["dateTime"].(string)[5:16])
				if e["subject"] == nil {
					t.Error("$select was honoured")
				}
			}
			at, delta = got.text("@odata.nextLink"), got.text("@odata.deltaLink")
		}
		return items, delta
	}
	s.meet("anna", 60, 90, func(m *graphsim.Meeting) { m.Repeat = &graphsim.Recurrence{Every: "day"} })
	s.meet("anna", 30, 40, nil)
	s.meet("anna", 60*24*50, 60*24*50+5, nil) // in fifty days
	window := url.Values{"startDateTime": {"2026-11-23T00:00:00Z"}, "endDateTime": {"2026-11-26T00:00:00Z"}, "$select": {"start"}}
	items, delta := round("/users/" + anna + "/calendarView/delta?" + window.Encode())
	slices.Sort(items)
	if fmt.Sprint(items) != "[11-23T08:30 11-23T09:00 11-24T09:00 11-25T09:00]" {
		t.Errorf("first round: %v", items)
	}
	if items, delta = round(delta); items != nil {
		t.Errorf("nothing has changed: %v", items)
	}
	check(t, s.contoso().MoveMeeting("anna", "2", monday.Add(2*time.Hour), monday.Add(3*time.Hour)))
	check(t, s.contoso().MoveMeeting("anna", "2", monday.Add(4*time.Hour), monday.Add(5*time.Hour)))
	check(t, s.contoso().CancelMeeting("anna", "3")) // was and is outside
	s.meet("ben", 0, 5, nil)
	if items, delta = round(delta); fmt.Sprint(items) != "[11-23T12:00 deleted]" {
		t.Errorf("second round: %v", items)
	}
	check(t, s.contoso().DeleteMeeting("anna", "2"))
	if items, delta = round(delta); fmt.Sprint(items) != "[deleted]" {
		t.Errorf("third round: %v", items)
	}
	s.contoso().ExpireDeltas()
	if got := s.preferring(delta, token, ""); got.status != 410 || got.code() != "SyncStateNotFound" || got.header.Get("Location") != "" {
		t.Errorf("expired: %d %s %s", got.status, got.code(), got.header.Get("Location"))
	}
	check(t, s.contoso().Switch(func(w *graphsim.Switches) { w.GoneLocation = true }))
	if got := s.preferring(delta, token, ""); got.status != 410 || !strings.HasSuffix(got.header.Get("Location"), "/calendarView/delta?$deltatoken=") {
		t.Errorf("expired, with a way out: %d %s", got.status, got.header.Get("Location"))
	}
}
