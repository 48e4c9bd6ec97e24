package msgraph_test

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/msgraph"
)

// wellRead stands for no fault, which the kinds have no word for.
const wellRead = fault.Kind(255)

// inner is a request inside a batch.
type inner struct {
	ID      string            `json:"id"`
	Method  string            `json:"method"`
	URL     string            `json:"url"`
	Headers map[string]string `json:"headers"`
}

// user is whose mailbox the request is about.
func (i inner) user() identity.User {
	return identity.User(strings.Split(strings.TrimPrefix(i.URL, "/users/"), "/")[0])
}

// answer is the answer to a request inside a batch.
type answer struct {
	ID      string            `json:"id"`
	Status  int               `json:"status"`
	Headers map[string]string `json:"headers,omitempty"`
	Body    json.RawMessage   `json:"body"`
}

func ok(body string) answer { return answer{Status: http.StatusOK, Body: json.RawMessage(body)} }

func no(status int, code, retryAfter string) answer {
	a := answer{Status: status, Body: json.RawMessage(fmt.Sprintf(`{"error":{"code":%q,"message":"about Project Nightingale"}}`, code))}
	if retryAfter != "" {
		a.Headers = map[string]string{"retry-after": retryAfter} // the case of names means nothing
	}
	return a
}

// batches is a stage whose every request is a batch, answered request by request
// and last one first: order means nothing.
type batches struct {
	*stage

	mu   sync.Mutex
	seen []inner
}

func newBatches(t testing.TB, reply func(n int, i inner) answer) *batches {
	t.Helper()
	b := &batches{}
	b.stage = newStage(t, func(n int, w http.ResponseWriter, r *http.Request) {
		writeBatch(w, http.StatusOK, b.read(t, n), reply)
	})
	return b
}

// read takes the n-th request apart.
func (b *batches) read(t testing.TB, n int) []inner {
	got := b.stage.seen()[n]
	var batch struct{ Requests []inner }
	if err := json.Unmarshal([]byte(got.body), &batch); err != nil || got.method != "POST" || got.path != "/v1.0/$batch" || len(batch.Requests) > 20 {
		t.Errorf("%s %s with %d requests: %v", got.method, got.path, len(batch.Requests), err)
	}
	b.mu.Lock()
	defer b.mu.Unlock()
	b.seen = append(b.seen, batch.Requests...)
	return batch.Requests
}

// asked returns how often each mailbox was asked.
func (b *batches) asked() map[identity.User]int {
	b.mu.Lock()
	defer b.mu.Unlock()
	asked := map[identity.User]int{}
	for _, i := range b.seen {
		asked[i.user()]++
	}
	return asked
}

func writeBatch(w http.ResponseWriter, status int, requests []inner, reply func(n int, i inner) answer) {
	var out struct {
		Responses []answer `json:"responses"`
	}
	for n, i := range slices.Backward(requests) {
		a := reply(n, i)
		a.ID = i.ID
		out.Responses = append(out.Responses, a)
	}
	w.Header().Set("Content-Type", "application/json")
	w.WriteHeader(status)
	json.NewEncoder(w).Encode(out)
}

var monday = time.Date(2026, 11, 23, 8, 0, 0, 0, time.UTC)

// views asks for a day and a half of each user.
func views(users ...identity.User) []graph.CalendarRequest {
	requests := make([]graph.CalendarRequest, len(users))
	for i, user := range users {
		requests[i] = graph.CalendarRequest{User: user, From: monday.Add(-time.Hour), To: monday.Add(36 * time.Hour)}
	}
	return requests
}

func people(n int) []identity.User {
	users := make([]identity.User, n)
	for i := range users {
		users[i] = identity.User(fmt.Sprintf("00000000-0000-0000-0000-%012x", i+1))
	}
	return users
}

// collect reads to the end; every user has exactly one answer.
func collect(t testing.TB, ctx context.Context, client *msgraph.Client, requests []graph.CalendarRequest) map[identity.User]graph.CalendarAnswer {
	t.Helper()
	answers := map[identity.User]graph.CalendarAnswer{}
	for a := range client.CalendarViews(ctx, requests) {
		if _, twice := answers[a.User]; twice {
			t.Errorf("%s is answered twice", a.User)
		}
		answers[a.User] = a
	}
	for _, r := range requests {
		if _, found := answers[r.User]; !found {
			t.Errorf("%s has no answer", r.User)
		}
	}
	return answers
}

const meeting = `{"id":"x","subject":"Project Nightingale","start":{"dateTime":"2026-11-23T09:00:00.0000000","timeZone":"UTC"},
	"end":{"dateTime":"2026-11-23T09:30:00.0000000","timeZone":"UTC"},"showAs":"busy","isAllDay":false,"isCancelled":false,
	"responseStatus":{"response":"accepted","time":"2026-11-01T00:00:00Z"},"sensitivity":"private","attendees":[{"emailAddress":{"name":"B"}},{}]}`

var meetingEntry = graph.CalendarEntry{Start: monday.Add(time.Hour), End: monday.Add(90 * time.Minute), ShowAs: "busy", Response: "accepted", Sensitivity: "private", Attendees: 2}

func page(events ...string) string { return `{"value":[` + strings.Join(events, ",") + `]}` }

func TestCalendarsAreReadTwentyInARequest(t *testing.T) {
	host := newBatches(t, func(int, inner) answer { return ok(page(meeting)) })
	var taken int
	client := host.client(t, func(c *msgraph.Config) {
		c.Budget = countBudget(func(key string, n int) { taken += n * strings.Count(key, "contoso/mailbox") })
	})
	users := people(45)
	requests := views(users...)
	requests[0].Attendees = true
	for user, a := range collect(t, t.Context(), client, requests) {
		if a.Err != nil || len(a.Dropped) != 0 || len(a.Entries) != 1 || a.Entries[0] != meetingEntry {
			t.Errorf("%s: %+v", user, a)
		}
	}
	if n := len(host.stage.seen()); n != 3 {
		t.Errorf("%d requests for 45 calendars, want 3", n)
	}
	if taken != 45 {
		t.Errorf("%d taken from the budget, want one for each calendar", taken)
	}
	for _, i := range host.seen {
		want := "/users/" + string(i.user()) + "/calendarView?startDateTime=2026-11-23T07:00:00Z&endDateTime=2026-11-24T20:00:00Z&$select=id,start,end,showAs,isAllDay,isCancelled,responseStatus,sensitivity"
		if i.user() == users[0] {
			want += ",attendees"
		}
		if i.Method != "GET" || i.URL != want+"&$top=100" {
			t.Errorf("%s %s, want %s", i.Method, i.URL, want)
		}
		if p := i.Headers["Prefer"]; !strings.Contains(p, `outlook.timezone="UTC"`) || !strings.Contains(p, `IdType="ImmutableId"`) {
			t.Errorf("Prefer: %s", p)
		}
	}
}

// countBudget is told what is taken. It is called by one goroutine at a time.
type countBudget func(key string, n int)

var counting sync.Mutex

func (c countBudget) Take(_ context.Context, key string, n int) error {
	counting.Lock()
	defer counting.Unlock()
	c(key, n)
	return nil
}

func at(dateTime, zone string) string {
	return fmt.Sprintf(`{"dateTime":%q,"timeZone":%q}`, dateTime, zone)
}

func span(start, end, more string) string {
	return `{"subject":"Project Nightingale","start":` + start + `,"end":` + end + more + `}`
}

func TestWhatACalendarHolds(t *testing.T) {
	berlin, err := time.LoadLocation("Europe/Berlin")
	if err != nil {
		t.Fatal(err)
	}
	allDay := `,"isAllDay":true,"showAs":"oof"`
	entry := func(start, end string, allDay bool) graph.CalendarEntry {
		from, err1 := time.Parse(time.RFC3339, start)
		to, err2 := time.Parse(time.RFC3339, end)
		if err1 != nil || err2 != nil {
			t.Fatal(err1, err2)
		}
		e := graph.CalendarEntry{Start: from, End: to, AllDay: allDay}
		if allDay {
			e.ShowAs = "oof"
		}
		return e
	}
	tests := []struct {
		name    string
		zone    *time.Location
		body    string
		entries []graph.CalendarEntry
		dropped string // in the error of the one event that is dropped
	}{
		{"nothing", nil, page(), nil, ""},
		{"nulls where Graph may have them", nil, page(span(at("2026-11-23T09:00:00", "UTC"), at("2026-11-23T10:00:00", "UTC"), `,"showAs":null,"responseStatus":null,"attendees":null,"sensitivity":null`)),
			[]graph.CalendarEntry{entry("2026-11-23T09:00:00Z", "2026-11-23T10:00:00Z", false)}, ""},
		{"another zone than was asked for", nil, page(span(at("2026-11-23T09:00:00", "W. Europe Standard Time"), at("2026-11-23T10:00:00", "Europe/Berlin"), "")),
			[]graph.CalendarEntry{entry("2026-11-23T08:00:00Z", "2026-11-23T09:00:00Z", false)}, ""},
		{"a day is a date of the mailbox", berlin, page(span(at("2026-11-23T00:00:00.0000000", "UTC"), at("2026-11-24T00:00:00.0000000", "UTC"), allDay)),
			[]graph.CalendarEntry{entry("2026-11-22T23:00:00Z", "2026-11-23T23:00:00Z", true)}, ""},
		{"a day on which the clocks change has 23 hours", berlin, page(span(at("2026-03-29T00:00:00.0000000", "UTC"), at("2026-03-30T00:00:00.0000000", "UTC"), allDay)),
			[]graph.CalendarEntry{entry("2026-03-28T23:00:00Z", "2026-03-29T22:00:00Z", true)}, ""},
		{"a day that Graph has converted already", berlin, page(span(at("2026-11-22T23:00:00.0000000", "UTC"), at("2026-11-23T23:00:00.0000000", "UTC"), allDay)),
			[]graph.CalendarEntry{entry("2026-11-22T23:00:00Z", "2026-11-23T23:00:00Z", true)}, ""},
		{"a day in a zone of its own", berlin, page(span(at("2026-11-23T00:00:00", "India Standard Time"), at("2026-11-24T00:00:00", "India Standard Time"), allDay)),
			[]graph.CalendarEntry{entry("2026-11-22T18:30:00Z", "2026-11-23T18:30:00Z", true)}, ""},
		{"a day of a mailbox whose zone is not known", nil, page(span(at("2026-11-23T00:00:00", "UTC"), at("2026-11-24T00:00:00", "UTC"), allDay)),
			[]graph.CalendarEntry{entry("2026-11-23T00:00:00Z", "2026-11-24T00:00:00Z", true)}, ""},
		{"midnight to midnight, but not all day", berlin, page(span(at("2026-11-23T00:00:00", "UTC"), at("2026-11-24T00:00:00", "UTC"), "")),
			[]graph.CalendarEntry{entry("2026-11-23T00:00:00Z", "2026-11-24T00:00:00Z", false)}, ""},
		{"one that ends before it begins costs itself", nil, page(span(at("2026-11-23T09:00:00", "UTC"), at("2026-11-23T08:00:00", "UTC"), ""), meeting), []graph.CalendarEntry{meetingEntry}, "before it begins"},
		{"one that takes no time costs itself", nil, page(meeting, span(at("2026-11-23T09:00:00", "UTC"), at("2026-11-23T09:00:00", "UTC"), "")), []graph.CalendarEntry{meetingEntry}, "no time"},
		{"one that lasts for ever costs itself", nil, page(meeting, span(at("2016-11-23T09:00:00", "UTC"), at("2026-11-23T09:00:00", "UTC"), "")), []graph.CalendarEntry{meetingEntry}, "longer"},
		{"one in no zone costs itself", nil, page(span(at("2026-11-23T09:00:00", ""), at("2026-11-23T10:00:00", "UTC"), ""), meeting), []graph.CalendarEntry{meetingEntry}, "start of an event is in no known time zone"},
		{"one without an end costs itself", nil, page(span(at("2026-11-23T09:00:00", "UTC"), "null", ""), meeting), []graph.CalendarEntry{meetingEntry}, "end of an event"},
		{"one at no time costs itself", nil, page(span(at("Project Nightingale", "UTC"), at("2026-11-23T10:00:00", "UTC"), ""), meeting), []graph.CalendarEntry{meetingEntry}, "is not a time"},
		{"one of the wrong shape costs itself", nil, page(`{"subject":"Project Nightingale","start":"Project Nightingale"}`, meeting), []graph.CalendarEntry{meetingEntry}, "cannot be read"},
		{"a null costs itself", nil, page("null", meeting), []graph.CalendarEntry{meetingEntry}, "start of an event"},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			host := newBatches(t, func(int, inner) answer { return ok(test.body) })
			requests := views(anna)
			requests[0].Zone = test.zone
			got := collect(t, t.Context(), host.client(t, nil), requests)[anna]
			if got.Err != nil || !slices.Equal(got.Entries, test.entries) {
				t.Errorf("%v, %v; want %v", got.Entries, got.Err, test.entries)
			}
			if (len(got.Dropped) == 1) != (test.dropped != "") || len(got.Dropped) > 1 || len(got.Dropped) == 1 && !strings.Contains(got.Dropped[0].Error(), test.dropped) {
				t.Errorf("dropped %v, want %q", got.Dropped, test.dropped)
			}
			if strings.Contains(fmt.Sprintf("%+v", got), "Nightingale") {
				t.Errorf("what the meeting is about came out: %+v", got)
			}
		})
	}
}

func TestOneMailboxsTroubleCostsItAlone(t *testing.T) {
	once := func(first answer) func(n int) answer {
		return func(n int) answer {
			if n == 1 {
				return first
			}
			return ok(page(meeting))
		}
	}
	always := func(a answer) func(int) answer { return func(int) answer { return a } }
	tests := []struct {
		name  string
		reply func(n int) answer
		kind  fault.Kind
		fails bool
		asked int
		after time.Duration
	}{
		{"no mailbox", always(no(404, "MailboxNotEnabledForRESTAPI", "")), fault.NotFound, true, 1, 0},
		{"no mailbox, as 400", always(no(400, "ErrorNonExistentMailbox", "")), fault.NotFound, true, 1, 0},
		{"no such user", always(no(404, "ResourceNotFound", "")), fault.NotFound, true, 1, 0},
		{"not for us", always(no(403, "ErrorAccessDenied", "")), fault.Denied, true, 1, 0},
		{"asked wrongly", always(no(400, "ErrorInvalidRequest", "")), fault.Invalid, true, 1, 0},
		{"a pause of a moment", once(no(429, "ApplicationThrottled", "0.05")), 0, false, 2, 0},
		{"a pause without a length", once(no(429, "ApplicationThrottled", "")), 0, false, 2, 0},
		{"a pause of an hour", always(no(429, "ApplicationThrottled", "3600")), fault.Throttled, true, 1, time.Hour},
		{"a pause that does not end", always(no(429, "ApplicationThrottled", "0.01")), fault.Throttled, true, 4, 10 * time.Millisecond},
		{"busy for a moment", once(no(503, "", "0.01")), 0, false, 2, 0},
		{"no answer behind the gate", once(no(504, "", "")), 0, false, 2, 0},
		{"failed because of another", once(no(424, "", "0.01")), 0, false, 2, 0},
		{"not a calendar", always(ok(`"Project Nightingale"`)), fault.Unknown, true, 1, 0},
		{"no list", always(ok(`{}`)), fault.Unknown, true, 1, 0},
		{"nothing", always(ok(`null`)), fault.Unknown, true, 1, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			t.Parallel()
			var mu sync.Mutex
			n := 0
			host := newBatches(t, func(_ int, i inner) answer {
				if i.user() != anna {
					return ok(page(meeting))
				}
				mu.Lock()
				defer mu.Unlock()
				n++
				return test.reply(n)
			})
			users := append(people(5), anna)
			answers := collect(t, t.Context(), host.client(t, nil), views(users...))
			for user, a := range answers {
				if user != anna && (a.Err != nil || len(a.Entries) != 1 || host.asked()[user] != 1) {
					t.Errorf("%s pays for it: %+v, asked %d times", user, a, host.asked()[user])
				}
			}
			got := answers[anna]
			if (got.Err != nil) != test.fails || test.fails && (fault.KindOf(got.Err) != test.kind || fault.RetryAfter(got.Err) != test.after) {
				t.Errorf("%v (%v after %v), want %v after %v", got.Err, fault.KindOf(got.Err), fault.RetryAfter(got.Err), test.kind, test.after)
			}
			if !test.fails && len(got.Entries) != 1 || test.fails && len(got.Entries) != 0 || host.asked()[anna] != test.asked {
				t.Errorf("%d entries, asked %d times, want %d", len(got.Entries), host.asked()[anna], test.asked)
			}
			if strings.Contains(fmt.Sprint(got.Err), "Nightingale") {
				t.Errorf("%v quotes what a person wrote", got.Err)
			}
		})
	}
}

func TestAPausedMailboxIsLeftAloneByLaterCalls(t *testing.T) {
	host := newBatches(t, func(int, inner) answer { return no(429, "ApplicationThrottled", "3600") })
	client := host.client(t, nil)
	collect(t, t.Context(), client, views(anna))
	later := collect(t, t.Context(), client, views(anna, ben))
	if err := later[anna].Err; fault.KindOf(err) != fault.Throttled || fault.RetryAfter(err) < 59*time.Minute {
		t.Errorf("%v after %v, want throttled for an hour", err, fault.RetryAfter(err))
	}
	if asked := host.asked(); asked[anna] != 1 || asked[ben] != 1 {
		t.Errorf("asked %v, want each once", asked)
	}
}

func TestPagesAreFollowedToTheTenantsOwnHostOnly(t *testing.T) {
	tests := []struct {
		name  string
		link  func(host string) string
		kind  fault.Kind
		asked int
	}{
		{"its own", func(host string) string {
			return host + "/v1.0/users/" + string(anna) + "/calendarView?$skip=100&x=a%2Bb"
		}, wellRead, 2},
		{"another host", func(string) string { return "https://evil.example/v1.0/users/a/calendarView?$skip=1" }, fault.Invalid, 1},
		{"no encryption", func(host string) string {
			return strings.Replace(host, "https", "http", 1) + "/v1.0/users/" + string(anna) + "/calendarView"
		}, fault.Invalid, 1},
		{"another version", func(host string) string { return host + "/beta/users/" + string(anna) + "/calendarView" }, fault.Invalid, 1},
		{"a path alone", func(string) string { return "/v1.0/users/" + string(anna) + "/calendarView" }, fault.Invalid, 1},
		{"itself, without an end", nil, fault.Unknown, 50},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			var url string
			host := newBatches(t, func(_ int, i inner) answer {
				if test.link == nil {
					return ok(`{"value":[],"@odata.nextLink":"` + url + "/v1.0" + i.URL + `"}`)
				}
				if strings.Contains(i.URL, "$skip") {
					return ok(page(meeting))
				}
				return ok(`{"value":[` + meeting + `],"@odata.nextLink":"` + test.link(url) + `"}`)
			})
			url = host.URL
			got := collect(t, t.Context(), host.client(t, nil), views(anna))[anna]
			read := test.kind == wellRead
			if !read && (got.Err == nil || fault.KindOf(got.Err) != test.kind) || read && (got.Err != nil || len(got.Entries) != 2) {
				t.Errorf("%d entries, %v; want %v", len(got.Entries), got.Err, test.kind)
			}
			if !read && len(got.Entries) != 0 {
				t.Error("half a calendar is passed off as a whole one")
			}
			if n := len(host.seen); n != test.asked {
				t.Errorf("asked %d times, want %d", n, test.asked)
			}
			for _, i := range host.seen[1:] {
				if read && !strings.HasSuffix(i.URL, "?$skip=100&x=a%2Bb") || !strings.Contains(i.Headers["Prefer"], "ImmutableId") {
					t.Errorf("the second page is asked for as %s, Prefer: %s", i.URL, i.Headers["Prefer"])
				}
			}
		})
	}
}
