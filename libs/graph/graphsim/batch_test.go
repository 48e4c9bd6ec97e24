package graphsim_test

import (
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"offhook.dev/libs/graph/graphsim"
)

// step is a request inside of a batch.
func step(id, url string) map[string]any {
	return map[string]any{"id": id, "method": "GET", "url": url, "headers": map[string]string{"Prefer": `outlook.timezone="Asia/Tokyo"`}}
}

func steps(list ...map[string]any) map[string]any { return map[string]any{"requests": list} }

// responses sorts the answers of a batch by id.
func (r reply) responses() map[string]map[string]any {
	list := map[string]map[string]any{}
	for _, each := range r.body["responses"].([]any) {
		one := each.(map[string]any)
		list[one["id"].(string)] = one
	}
	return list
}

func TestABatchIsAnsweredRequestByRequest(t *testing.T) {
	s := start(t, nil)
	token := s.appToken(contoso)
	s.meet("anna", 60, 90, nil)
	view := func(user string) string {
		return viewPath(user, monday, monday.Add(9*time.Hour), "&$select=start,end,showAs")
	}
	later := step("d", view(s.id("anna")))
	later["dependsOn"] = []string{"c"}
	got := s.graph("POST", "/$batch", token, steps(step("a", view(s.id("anna"))), step("b", view(contoso)), step("c", "/nowhere"), later))
	if got.status != http.StatusOK {
		t.Fatalf("%d %s", got.status, got.message())
	}
	for id, want := range map[string]float64{"a": 200, "b": 404, "c": 400, "d": 424} {
		if status := got.responses()[id]["status"]; status != want {
			t.Errorf("%s: %v, want %v", id, status, want)
		}
	}
	body := got.responses()["a"]["body"].(map[string]any)
	if spans := spans(reply{body: body}.values()); fmt.Sprint(spans) != "[11-23T18:00Asia/Tokyo-11-23T18:30Asia/Tokyo busy]" {
		t.Errorf("%v", spans)
	}
	if n := s.Requests().Of("GET", "/v1.0/users/{user}/calendarView", 0); n != 2 {
		t.Errorf("%d requests for calendars counted, want those inside of the batch", n)
	}
	if got := s.graph("POST", "/$batch", "", steps(step("a", view(s.id("anna"))))); got.status != http.StatusUnauthorized {
		t.Errorf("without a token: %d", got.status)
	}
}

func TestABatchThatIsWrong(t *testing.T) {
	s := start(t, nil)
	token := s.appToken(contoso)
	var many []map[string]any
	for i := range 21 {
		many = append(many, step(fmt.Sprint(i), "/users"))
	}
	circle := step("a", "/users")
	circle["dependsOn"] = []string{"a"}
	for name, body := range map[string]any{
		"21 requests": steps(many...), "none": steps(), "an id twice": steps(step("a", "/users"), step("a", "/users")),
		"no id": steps(step("", "/users")), "a circle": steps(circle), "a batch inside": steps(step("a", "/$batch")), "not JSON": "x",
	} {
		if got := s.graph("POST", "/$batch", token, body); got.status != http.StatusBadRequest {
			t.Errorf("%s: %d", name, got.status)
		}
	}
	if got := s.graph("POST", "/$batch", token, steps(many[:20]...)); got.status != http.StatusOK {
		t.Errorf("20 requests: %d", got.status)
	}
}

func TestAThrottledMailboxIsAloneInItsBatch(t *testing.T) {
	s := start(t, nil)
	token := s.appToken(contoso)
	view := func(user string) string { return viewPath(s.id(user), monday, monday.Add(9*time.Hour), "&$select=id") }
	_, err := s.contoso().Fault(graphsim.Fault{Kind: graphsim.FaultStatus, User: "anna", RetryAfter: "2.5"})
	check(t, err)
	got := s.graph("POST", "/$batch", token, steps(step("a", view("anna")), step("b", view("ben"))))
	a := got.responses()["a"]
	if a["status"] != 429.0 || a["headers"].(map[string]any)["Retry-After"] != "2.5" || got.responses()["b"]["status"] != 200.0 {
		t.Errorf("%v", got.body)
	}
	check(t, s.contoso().Switch(func(w *graphsim.Switches) { w.BatchThrottled = "outer" }))
	if got := s.graph("POST", "/$batch", token, steps(step("a", view("anna")), step("b", view("ben")))); got.status != http.StatusFailedDependency {
		t.Errorf("as a whole: %d", got.status)
	}
	s.contoso().ClearFaults()
	_, err = s.contoso().Fault(graphsim.Fault{Kind: graphsim.FaultStatus, Status: 503, Count: 1})
	check(t, err)
	if got := s.graph("POST", "/$batch", token, steps(step("a", view("anna")))); got.status != 503 {
		t.Errorf("Graph is down: %d", got.status)
	}
	if n := len(s.contoso().Violations()); n != 0 {
		t.Errorf("%d violations", n)
	}
	_, err = s.contoso().Fault(graphsim.Fault{Kind: graphsim.FaultHangUp, User: "anna", Count: 1})
	check(t, err)
	if got := s.graph("POST", "/$batch", token, steps(step("a", view("anna")), step("b", view("ben")))); got.responses()["a"]["status"] != 502.0 || got.responses()["b"]["status"] != 200.0 {
		t.Errorf("one is not answered: %v", got.body)
	}
}

func TestFourRequestsToAMailboxAtATime(t *testing.T) {
	s := start(t, nil)
	token := s.appToken(contoso)
	_, err := s.contoso().Fault(graphsim.Fault{Kind: graphsim.FaultLatency, Path: "/calendarView", Delay: 300 * time.Millisecond})
	check(t, err)
	view := viewPath(s.id("anna"), monday, monday.Add(9*time.Hour), "&$select=id")
	var inside []map[string]any
	for i := range 12 {
		inside = append(inside, step(fmt.Sprint(i), view))
	}
	for id, one := range s.graph("POST", "/$batch", token, steps(inside...)).responses() {
		if one["status"] != 200.0 {
			t.Errorf("%s: %v: the service itself sends four at a time", id, one["status"])
		}
	}
	if v := s.contoso().Violations(); len(v) != 0 {
		t.Errorf("%v", v)
	}
	var wait sync.WaitGroup
	answers := make(chan reply, 12)
	for range 12 {
		wait.Go(func() { answers <- s.graph("GET", view, token, nil) })
	}
	wait.Wait()
	close(answers)
	refused := 0
	for got := range answers {
		if got.status == http.StatusTooManyRequests {
			if refused++; got.code() != "ApplicationThrottled" || got.header.Get("Retry-After") == "" {
				t.Errorf("%s, again after %q", got.code(), got.header.Get("Retry-After"))
			}
		}
	}
	v := s.contoso().Violations()
	if refused == 0 || len(v) != refused || v[0].Kind != "mailbox-concurrency" || !strings.Contains(v[0].What, s.id("anna")) {
		t.Errorf("%d refused, violations %v", refused, v)
	}
}

func TestAMailboxTakesTenThousandRequestsInTenMinutes(t *testing.T) {
	clock := newClock()
	s := start(t, func(c *graphsim.Config) { c.Now, c.TokenLife = clock.now, 10*time.Hour })
	token := s.appToken(contoso)
	view := viewPath(s.id("anna"), monday, monday.Add(9*time.Hour), "&$select=id")
	read := func(n int) (refused int) {
		for n > 0 {
			var inside []map[string]any
			for i := range min(n, 20) {
				inside = append(inside, step(fmt.Sprint(i), view))
			}
			n -= len(inside)
			for _, one := range s.graph("POST", "/$batch", token, steps(inside...)).responses() {
				if one["status"] == 429.0 {
					refused++
				}
			}
		}
		return refused
	}
	if n := read(5000); n != 0 {
		t.Fatalf("%d refused", n)
	}
	clock.add(5 * time.Minute)
	if n := read(5010); n != 10 {
		t.Errorf("%d of 10,010 refused, want 10", n)
	}
	if got := s.graph("GET", viewPath(s.id("ben"), monday, monday.Add(9*time.Hour), ""), token, nil); got.status != http.StatusOK {
		t.Errorf("another mailbox: %d", got.status)
	}
	clock.add(5*time.Minute + 10*time.Second)
	if n := read(4990); n != 0 {
		t.Errorf("%d refused after the first half is forgotten", n)
	}
	if v := s.contoso().Violations(); len(v) != 10 || v[0].Kind != "mailbox-requests" {
		t.Errorf("%d violations", len(v))
	}
}
