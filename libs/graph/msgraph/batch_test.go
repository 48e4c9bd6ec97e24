package msgraph_test

import (
	"context"
	"net/http"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/msgraph"
)

func TestABatchThatFailsAsAWhole(t *testing.T) {
	raw := func(status int, retryAfter, body string) func(*batches, int, http.ResponseWriter, []inner) {
		return func(_ *batches, _ int, w http.ResponseWriter, _ []inner) {
			if retryAfter != "" {
				w.Header().Set("Retry-After", retryAfter)
			}
			reply(w, status, body)
		}
	}
	good := func(int, inner) answer { return ok(page(meeting)) }
	tests := []struct {
		name  string
		serve func(host *batches, n int, w http.ResponseWriter, requests []inner)
		anna  fault.Kind
		ben   fault.Kind
		most  int // requests
	}{
		{"424 with the answers inside", func(_ *batches, _ int, w http.ResponseWriter, requests []inner) {
			writeBatch(w, http.StatusFailedDependency, requests, func(_ int, i inner) answer {
				if i.user() == anna {
					return no(403, "ErrorAccessDenied", "")
				}
				return ok(page(meeting))
			})
		}, fault.Denied, wellRead, 1},
		{"424 without answers, because of one of them", func(_ *batches, _ int, w http.ResponseWriter, requests []inner) {
			for _, i := range requests {
				if i.user() == anna {
					w.Header().Set("Retry-After", "3600")
					reply(w, http.StatusFailedDependency, `{"error":{"code":"","message":"Failed Dependency"}}`)
					return
				}
			}
			writeBatch(w, http.StatusOK, requests, good)
		}, fault.Throttled, wellRead, 3},
		{"the app may not", raw(403, "", `{"error":{"code":"Authorization_RequestDenied","message":"no"}}`), fault.Denied, fault.Denied, 1},
		{"a pause of an hour for all", raw(429, "3600", `{}`), fault.Throttled, fault.Throttled, 1},
		{"down", raw(500, "", `oops`), fault.Unavailable, fault.Unavailable, 1},
		{"not JSON", raw(200, "", `<html>Project Nightingale`), fault.Unknown, fault.Unknown, 1},
		{"nothing", raw(200, "", ``), fault.Unknown, fault.Unknown, 1},
		{"no answers", raw(200, "", `{}`), fault.Unknown, fault.Unknown, 1},
		{"one answer, twice, among others", func(_ *batches, _ int, w http.ResponseWriter, requests []inner) {
			id := requests[0].ID
			if requests[0].user() != anna {
				id = requests[1].ID
			}
			one := `{"id":"` + id + `","status":200,"body":` + page(meeting) + `}`
			reply(w, 200, `{"responses":[null,7,{"id":"99","status":200,"body":{}},{"id":"x","status":200},{"id":"-1"},`+one+`,`+strings.Replace(one, "200", "404", 1)+`]}`)
		}, wellRead, fault.Unknown, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			host := &batches{}
			host.stage = newStage(t, func(n int, w http.ResponseWriter, _ *http.Request) { test.serve(host, n, w, host.read(t, n)) })
			answers := collect(t, t.Context(), host.client(t, nil), views(anna, ben))
			for user, want := range map[identity.User]fault.Kind{anna: test.anna, ben: test.ben} {
				got := answers[user]
				if want == wellRead && (got.Err != nil || len(got.Entries) != 1) || want != wellRead && (got.Err == nil || fault.KindOf(got.Err) != want) {
					t.Errorf("%s: %d entries, %v; want %v", user, len(got.Entries), got.Err, want)
				}
				if got.Err != nil && strings.Contains(got.Err.Error(), "Nightingale") {
					t.Errorf("%v quotes what a person wrote", got.Err)
				}
			}
			if n := len(host.stage.seen()); n > test.most {
				t.Errorf("%d requests, want at most %d", n, test.most)
			}
		})
	}
}

func TestEveryAnswerInABatchIsCounted(t *testing.T) {
	host := newBatches(t, func(_ int, i inner) answer {
		if i.user() == anna {
			return no(404, "MailboxNotEnabledForRESTAPI", "")
		}
		return ok(page())
	})
	var mu sync.Mutex
	counted := map[int]int{}
	client := host.client(t, func(c *msgraph.Config) {
		c.Observe = func(_ context.Context, api graph.API, status int) {
			mu.Lock()
			defer mu.Unlock()
			if api != graph.APIMailbox {
				t.Errorf("counted for %s", api)
			}
			counted[status]++
		}
	})
	collect(t, t.Context(), client, views(anna, ben))
	if counted[200] != 2 || counted[404] != 1 { // the batch itself and ben; anna
		t.Errorf("counted %v", counted)
	}
}

// All requests are held at first. When as many are under way as may be, one of another
// mailbox goes to the host and back, many times: a client that asked for more would have done so by
// then, and one that asks for fewer waits for ever.
func TestNoMailboxIsAskedFiveThingsAtATime(t *testing.T) {
	var under, most atomic.Int64
	full, released := make(chan struct{}), make(chan struct{})
	reached := sync.OnceFunc(func() { close(full) })
	host := newBatches(t, nil)
	host.stage = newStage(t, func(n int, w http.ResponseWriter, r *http.Request) {
		requests := host.read(t, n)
		if requests[0].user() == anna {
			now := under.Add(1)
			for seen := most.Load(); now > seen && !most.CompareAndSwap(seen, now); seen = most.Load() {
			}
			if now == graph.MailboxConcurrency {
				reached()
			}
			select {
			case <-released:
			case <-r.Context().Done():
			}
			under.Add(-1)
		}
		writeBatch(w, 200, requests, func(int, inner) answer { return ok(page(meeting)) })
	})
	client := host.client(t, nil)
	read := func(user identity.User) {
		if a := collect(t, t.Context(), client, views(user))[user]; a.Err != nil {
			t.Error(a.Err)
		}
	}
	var calls sync.WaitGroup
	for range 3 * graph.MailboxConcurrency {
		calls.Go(func() { read(anna) })
	}
	<-full
	for range 20 {
		read(ben)
	}
	close(released)
	calls.Wait()
	if got := most.Load(); got != graph.MailboxConcurrency {
		t.Errorf("%d requests at a time, want %d", got, graph.MailboxConcurrency)
	}
}

func TestLeavingTheLoopEndsWhatIsUnderWay(t *testing.T) {
	host := newBatches(t, nil)
	first := make(chan struct{}, 1)
	first <- struct{}{}
	host.stage = newStage(t, func(n int, w http.ResponseWriter, r *http.Request) {
		requests := host.read(t, n)
		select {
		case <-first:
			writeBatch(w, 200, requests, func(int, inner) answer { return ok(page()) })
		case <-r.Context().Done(): // the others never end by themselves
		}
	})
	client := host.client(t, nil)
	read := 0
	for range client.CalendarViews(t.Context(), views(people(400)...)) {
		if read++; read == 3 {
			break
		}
	}
	if n := len(host.stage.seen()); read != 3 || n > 11 {
		t.Errorf("%d answers, %d requests", read, n)
	}
}

func TestWhenTheCallerGivesUpEachRequestIsStillAnswered(t *testing.T) {
	arrived := make(chan struct{}, 100)
	host := newStage(t, func(_ int, _ http.ResponseWriter, r *http.Request) {
		arrived <- struct{}{}
		<-r.Context().Done()
	})
	ctx, cancel := context.WithCancel(t.Context())
	defer cancel()
	go func() { <-arrived; cancel() }()
	for user, a := range collect(t, ctx, host.client(t, nil), views(people(300)...)) {
		if fault.KindOf(a.Err) != fault.Cancelled {
			t.Fatalf("%s: %v", user, a.Err)
		}
	}
}

func TestACalendarThatGraphWouldRefuseIsNotAskedFor(t *testing.T) {
	host := newBatches(t, func(int, inner) answer { return ok(page(meeting)) })
	client := host.client(t, nil)
	request := views(anna)[0]
	for name, change := range map[string]func(*graph.CalendarRequest){
		"no user":      func(r *graph.CalendarRequest) { r.User = "" },
		"a path":       func(r *graph.CalendarRequest) { r.User = "x/events" },
		"no time":      func(r *graph.CalendarRequest) { r.To = r.From },
		"backwards":    func(r *graph.CalendarRequest) { r.To = r.From.Add(-time.Hour) },
		"a long while": func(r *graph.CalendarRequest) { r.To = r.From.Add(graph.MaxCalendarWindow + time.Second) },
	} {
		bad := request
		change(&bad)
		if err := collect(t, t.Context(), client, []graph.CalendarRequest{bad})[bad.User].Err; fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
	var refused, read int
	for a := range client.CalendarViews(t.Context(), []graph.CalendarRequest{request, request}) {
		if fault.KindOf(a.Err) == fault.Invalid {
			refused++
		} else if a.Err == nil {
			read++
		}
	}
	if refused != 1 || read != 1 || len(host.stage.seen()) != 1 {
		t.Errorf("one user twice: %d refused, %d read, %d requests", refused, read, len(host.stage.seen()))
	}
	for range client.CalendarViews(t.Context(), nil) {
		t.Error("nobody has a calendar")
	}
}

func TestMailboxesTellTheirTimeZones(t *testing.T) {
	zones := map[identity.User]string{}
	users := people(25)
	for _, user := range users {
		zones[user] = `{"@odata.context":"x","timeZone":"W. Europe Standard Time"}`
	}
	zones[users[0]], zones[users[1]], zones[users[2]] = `{"timeZone":"tzone://Microsoft/Custom"}`, `{"timeZone":null}`, `7`
	host := newBatches(t, func(_ int, i inner) answer {
		if i.URL != "/users/"+string(i.user())+"/mailboxSettings?$select=timeZone" {
			t.Errorf("asked for %s", i.URL)
		}
		if i.user() == users[3] {
			return no(403, "ErrorAccessDenied", "")
		}
		return ok(zones[i.user()])
	})
	want := map[identity.User]fault.Kind{users[0]: fault.Unsupported, users[1]: fault.Unsupported, users[2]: fault.Unknown, users[3]: fault.Denied, "x": fault.Invalid}
	answered := 0
	for a := range host.client(t, nil).MailboxZones(t.Context(), append(users, "x")) {
		answered++
		if kind, fails := want[a.User]; fails != (a.Err != nil) || fails && fault.KindOf(a.Err) != kind || !fails && a.Zone.String() != "Europe/Berlin" {
			t.Errorf("%s: %v, %v", a.User, a.Zone, a.Err)
		}
	}
	if answered != 26 {
		t.Errorf("%d answers for 26 users", answered)
	}
	for a := range host.client(t, nil).MailboxZones(t.Context(), []identity.User{anna, anna}) {
		if a.Err != nil && fault.KindOf(a.Err) != fault.Invalid {
			t.Error(a.Err)
		}
		if a.Err == nil {
			break
		}
	}
}
