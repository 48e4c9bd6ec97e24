package msgraph_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/msgraph"
)

const session = "22222222-2222-2222-2222-222222222222"

func TestAPresenceIsWrittenAsGraphReadsIt(t *testing.T) {
	tests := []struct {
		name, path, body string
		write            func(*msgraph.Client) error
	}{
		{"a session", "setPresence", `{"activity":"InACall","availability":"Busy","expirationDuration":"PT10M","sessionId":"` + session + `"}`, func(c *msgraph.Client) error {
			return c.SetPresence(t.Context(), anna, session, graph.SessionInACall, 10*time.Minute+time.Millisecond)
		}},
		{"a session of the longest life", "setPresence", `{"activity":"Presenting","availability":"DoNotDisturb","expirationDuration":"PT4H","sessionId":"` + session + `"}`, func(c *msgraph.Client) error {
			return c.SetPresence(t.Context(), anna, session, graph.SessionPresenting, graph.MaxSessionLife)
		}},
		{"the end of a session", "clearPresence", `{"sessionId":"` + session + `"}`, func(c *msgraph.Client) error { return c.ClearPresence(t.Context(), anna, session) }},
		{"a pin", "setUserPreferredPresence", `{"activity":"DoNotDisturb","availability":"DoNotDisturb","expirationDuration":"PT2H0M30S"}`, func(c *msgraph.Client) error {
			return c.SetPreferredPresence(t.Context(), anna, graph.PreferDoNotDisturb, 2*time.Hour+30*time.Second)
		}},
		{"the end of a pin", "clearUserPreferredPresence", ``, func(c *msgraph.Client) error { return c.ClearPreferredPresence(t.Context(), anna) }},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			host := newStage(t, func(n int, w http.ResponseWriter, _ *http.Request) {
				if n == 0 {
					refuse(w, http.StatusTooManyRequests, "0.01", "TooManyRequests")
				} else if n == 1 {
					w.WriteHeader(http.StatusBadGateway)
				}
			})
			taken := map[string]int{}
			client := host.client(t, func(c *msgraph.Config) { c.Budget = countBudget(func(key string, n int) { taken[key] += n }) })
			if err := test.write(client); err != nil {
				t.Fatal(err)
			}
			seen := host.seen()
			if len(seen) != 3 || taken["contoso/presence"] != 3 {
				t.Fatalf("%d requests and %v of the budget: a write is safe to repeat, and every try counts", len(seen), taken)
			}
			for _, got := range seen {
				if got.method != "POST" || got.path != "/v1.0/users/"+string(anna)+"/presence/"+test.path || !sameJSON(got.body, test.body) {
					t.Errorf("%s %s %s, want %s %s", got.method, got.path, got.body, test.path, test.body)
				}
			}
		})
	}
}

// sameJSON compares two objects; a life may be spelled in more than one way.
func sameJSON(a, b string) bool {
	if a == "" || b == "" {
		return a == b
	}
	var x, y map[string]string
	if json.Unmarshal([]byte(a), &x) != nil || json.Unmarshal([]byte(b), &y) != nil || len(x) != len(y) {
		return false
	}
	for key, value := range y {
		if x[key] != value && !(key == "expirationDuration" && value == "PT2H0M30S" && x[key] == "PT2H30S") {
			return false
		}
	}
	return true
}

func TestAPresenceThatGraphWouldRefuseIsNotWritten(t *testing.T) {
	host := newStage(t, func(int, http.ResponseWriter, *http.Request) {})
	client := host.client(t, nil)
	ctx := t.Context()
	for name, err := range map[string]error{
		"a pair that no session shows":    client.SetPresence(ctx, anna, session, "Busy/Busy", 10*time.Minute),
		"no pair":                         client.SetPresence(ctx, anna, session, "", 10*time.Minute),
		"too short a session":             client.SetPresence(ctx, anna, session, graph.SessionInACall, 5*time.Minute-time.Millisecond),
		"too long a session":              client.SetPresence(ctx, anna, session, graph.SessionInACall, 4*time.Hour+time.Second),
		"no session":                      client.SetPresence(ctx, anna, "", graph.SessionInACall, 10*time.Minute),
		"nobody":                          client.SetPresence(ctx, "", session, graph.SessionInACall, 10*time.Minute),
		"a path":                          client.SetPresence(ctx, "a/b", session, graph.SessionInACall, 10*time.Minute),
		"the end of no session":           client.ClearPresence(ctx, anna, "mine"),
		"the end of nobody's session":     client.ClearPresence(ctx, "x", session),
		"a pair that nobody is pinned to": client.SetPreferredPresence(ctx, anna, "Busy/InACall", time.Hour),
		"a pin without a life":            client.SetPreferredPresence(ctx, anna, graph.PreferAway, 0),
		"a pin of a moment":               client.SetPreferredPresence(ctx, anna, graph.PreferAway, time.Millisecond),
		"a pin on nobody":                 client.SetPreferredPresence(ctx, "x", graph.PreferAway, time.Hour),
		"the end of nobody's pin":         client.ClearPreferredPresence(ctx, "x"),
	} {
		if err == nil || fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
	china, err := graph.CloudNamed("china")
	if err != nil {
		t.Fatal(err)
	}
	if china, err = china.At(host.URL, host.URL); err != nil {
		t.Fatal(err)
	}
	there := host.client(t, func(c *msgraph.Config) { c.Cloud = china })
	if err := there.ClearPreferredPresence(ctx, anna); fault.KindOf(err) != fault.Unsupported {
		t.Errorf("in China: %v, want unsupported", err)
	}
	if n := len(host.seen()); n != 0 {
		t.Errorf("%d requests left", n)
	}
}

func TestWhatAnEndThatIsNotThereMeans(t *testing.T) {
	host := newStage(t, func(_ int, w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusNotFound, "", "NotFound") })
	client := host.client(t, nil)
	if err := client.ClearPresence(t.Context(), anna, session); err != nil {
		t.Errorf("a session that is not there: %v, want no error", err)
	}
	if err := client.SetPresence(t.Context(), anna, session, graph.SessionInACall, time.Hour); fault.KindOf(err) != fault.NotFound {
		t.Errorf("a user who is not there: %v, want not found", err)
	}
	denied := newStage(t, func(_ int, w http.ResponseWriter, _ *http.Request) { refuse(w, http.StatusForbidden, "", "Forbidden") })
	if err := denied.client(t, nil).ClearPresence(t.Context(), anna, session); fault.KindOf(err) != fault.Denied {
		t.Errorf("no right to: %v, want denied", err)
	}
}
