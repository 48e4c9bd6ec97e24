package graphsim_test

import (
	"encoding/json"
	"io"
	"net/http"
	"strconv"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/graph/graphsim"
)

func TestRequestFaults(t *testing.T) {
	s := start(t, nil)
	tenant, token := s.contoso(), s.appToken(contoso)
	fault := func(f graphsim.Fault) int {
		t.Helper()
		id, err := tenant.Fault(f)
		check(t, err)
		return id
	}
	get := func(path string) reply { return s.graph("GET", path, token, nil) }

	fault(graphsim.Fault{Kind: graphsim.FaultStatus, RetryAfter: "2.128", Count: 2})
	for range 2 {
		got := get("/users")
		if got.status != 429 || got.header.Get("Retry-After") != "2.128" || got.code() != "TooManyRequests" {
			t.Errorf("throttled: %d %s %q", got.status, got.code(), got.header.Get("Retry-After"))
		}
	}
	if got := get("/users"); got.status != 200 || len(tenant.Faults()) != 0 {
		t.Errorf("after two: %d, %d faults", got.status, len(tenant.Faults()))
	}

	fault(graphsim.Fault{Kind: graphsim.FaultStatus, RetryDate: 5 * time.Second, Count: 1})
	if at, err := http.ParseTime(get("/users").header.Get("Retry-After")); err != nil || time.Until(at) > 5*time.Second {
		t.Errorf("a date: %v %v", at, err)
	}
	fault(graphsim.Fault{Kind: graphsim.FaultStatus, Count: 1})
	if got := get("/users"); got.status != 429 || got.header.Values("Retry-After") != nil {
		t.Errorf("absent: %d %v", got.status, got.header.Values("Retry-After"))
	}
	for _, status := range []int{500, 503, 504} {
		id := fault(graphsim.Fault{Kind: graphsim.FaultStatus, Status: status, Path: "/presence"})
		if got := get("/users/" + s.id("anna") + "/presence"); got.status != status || got.code() == "" {
			t.Errorf("%d: %d", status, got.status)
		}
		if got := get("/users"); got.status != 200 {
			t.Errorf("%d hits other paths: %d", status, got.status)
		}
		check(t, tenant.ClearFault(id))
	}
	if got := s.graph("GET", "/users", s.appToken(fabrikam), nil); got.status != 200 {
		t.Errorf("another tenant is hit: %d", got.status)
	}
	if err := tenant.ClearFault(99); err == nil {
		t.Error("a fault that is not there was cleared")
	}
	for _, f := range []graphsim.Fault{{Kind: "flood"}, {Kind: graphsim.FaultLose, Probability: 2}, {Kind: graphsim.FaultStatus, Status: 200}, {Kind: graphsim.FaultLate, Delay: -1}} {
		if _, err := tenant.Fault(f); err == nil {
			t.Errorf("accepted %+v", f)
		}
	}
}

func TestTheLoginIsDown(t *testing.T) {
	s := start(t, nil)
	id, err := s.contoso().Fault(graphsim.Fault{Kind: graphsim.FaultStatus, Status: 503, Path: "/oauth2/"})
	check(t, err)
	if got := s.login(contoso, secretForm(appID)); got.status != 503 || got.code() != "temporarily_unavailable" {
		t.Errorf("%d %s", got.status, got.code())
	}
	s.appToken(fabrikam)
	check(t, s.contoso().ClearFault(id))
	s.appToken(contoso)
}

func TestLatencyAndHangUp(t *testing.T) {
	s := start(t, nil)
	token := s.appToken(contoso)
	const delay = 50 * time.Millisecond
	_, err := s.contoso().Fault(graphsim.Fault{Kind: graphsim.FaultLatency, Delay: delay, Count: 1})
	check(t, err)
	began := time.Now()
	s.graph("GET", "/users", token, nil)
	if time.Since(began) < delay {
		t.Errorf("took %s", time.Since(began))
	}
	_, err = s.contoso().Fault(graphsim.Fault{Kind: graphsim.FaultHangUp, Path: "/organization", For: time.Minute})
	check(t, err)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.GraphURL()+"/v1.0/organization", http.NoBody)
	check(t, err)
	r.Header.Set("Authorization", "Bearer "+token)
	r.Method = http.MethodGet
	if response, err := s.client.Do(r); err == nil {
		response.Body.Close()
		t.Errorf("answered %d", response.StatusCode)
	}
}

func TestQuotas(t *testing.T) {
	s := start(t, func(c *graphsim.Config) { c.Tenants[0].Switches = graphsim.Switches{Quotas: true, PresenceQuota: 3} })
	token := s.appToken(contoso)
	path := "/users/" + s.id("anna") + "/presence"
	for range 3 {
		if got := s.graph("GET", path, token, nil); got.status != 200 {
			t.Fatalf("within the quota: %d", got.status)
		}
	}
	got := s.graph("GET", path, token, nil)
	wait, err := strconv.ParseFloat(got.header.Get("Retry-After"), 64)
	if got.status != 429 || err != nil || wait <= 0 || wait > 30 {
		t.Errorf("over: %d, Retry-After %q", got.status, got.header.Get("Retry-After"))
	}
	if got := s.graph("GET", "/users", token, nil); got.status != 200 {
		t.Errorf("users have no presence quota: %d", got.status)
	}
	for i := range 26 {
		if got := s.graph("GET", "/subscriptions", token, nil); (got.status == 429) != (i == 25) {
			t.Errorf("list %d: %d", i, got.status)
		}
	}
}

func TestAnAnswerThatEndsInGarbage(t *testing.T) {
	s := start(t, nil)
	token := s.appToken(contoso)
	_, err := s.contoso().Fault(graphsim.Fault{Kind: graphsim.FaultGarbage, Path: "/users/delta", Count: 1})
	check(t, err)
	get := func(path string) []byte {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, s.GraphURL()+"/v1.0"+path, nil)
		check(t, err)
		r.Header.Set("Authorization", "Bearer "+token)
		response, err := s.client.Do(r)
		check(t, err)
		defer response.Body.Close()
		body, err := io.ReadAll(response.Body)
		if check(t, err); response.StatusCode != http.StatusOK {
			t.Errorf("%s: %d", path, response.StatusCode)
		}
		return body
	}
	if body := get("/users/delta"); json.Valid(body) || !strings.Contains(string(body), "@odata.context") {
		t.Errorf("%s", body)
	}
	if body := get("/users/delta"); !json.Valid(body) {
		t.Errorf("it does not end: %s", body)
	}
	// In a batch it is one answer that is spoilt.
	_, err = s.contoso().Fault(graphsim.Fault{Kind: graphsim.FaultGarbage, User: "anna"})
	check(t, err)
	got := s.graph("POST", "/$batch", token, map[string]any{"requests": []map[string]string{
		{"id": "a", "method": "GET", "url": "/users/" + s.id("anna")}, {"id": "b", "method": "GET", "url": "/users/" + s.id("ben")}}}).responses()
	if _, text := got["a"]["body"].(string); !text || got["a"]["status"] != 200.0 {
		t.Errorf("a spoilt one in a batch: %v", got["a"])
	}
	if _, object := got["b"]["body"].(map[string]any); !object {
		t.Errorf("its neighbour: %v", got["b"])
	}
}
