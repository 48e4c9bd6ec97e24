package pbxsim

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"github.com/coder/websocket"

	"offhook.dev/libs/core/identity"
)

// see asks the second face for something.
func (c *client) see(path string) (int, string) {
	c.t.Helper()
	return c.get(callControl + path)
}

// watch opens a websocket with a token and returns what comes, message by message.
func (c *client) watch(token string) (next func() string, status int) {
	c.t.Helper()
	ctx, cancel := context.WithTimeout(c.t.Context(), 10*time.Second)
	c.t.Cleanup(cancel)
	conn, answer, err := websocket.Dial(ctx, c.sim.URL()+callControl+"/ws", &websocket.DialOptions{
		HTTPClient: c.http, HTTPHeader: http.Header{"Authorization": {"Bearer " + token}},
	})
	if err != nil {
		if answer == nil {
			c.t.Fatal(err)
		}
		return nil, answer.StatusCode
	}
	c.t.Cleanup(func() { _ = conn.CloseNow() })
	return func() string {
		_, data, err := conn.Read(ctx)
		if err != nil {
			return "ended"
		}
		return string(data)
	}, answer.StatusCode
}

func TestCallsAreSeenAsParticipants(t *testing.T) {
	c := newClient(t, Config{Extensions: 3})
	ring, err := c.sim.Ring("200", "201")
	if err != nil {
		t.Fatal(err)
	}
	if _, err := c.sim.StartCall("202", ""); err != nil {
		t.Fatal(err)
	}
	for path, want := range map[string]string{
		"":                     `"dn":"200","type":"Wextension","devices":[],"participants":[{"id":1,"status":"Dialing","dn":"200"`,
		"/201":                 `"status":"Ringing"`,
		"/201/participants":    `[{"id":2,"status":"Ringing","dn":"201"`,
		"/201/participants/2":  `"party_dn":"200"`,
		"/202/participants/3":  `"status":"Connected"`,
		"/202/devices":         `[]`,
		"/201/participants/1":  `"code":"Not Found"`,
		"/999":                 `"code":"Not Found"`,
		"/200/participants/x":  `"code":"NotFound"`,
		"/200/participants/99": `"code":"Not Found"`,
	} {
		if status, body := c.see(path); !strings.Contains(body, want) || (status == http.StatusOK) == strings.Contains(want, "code") {
			t.Errorf("%s: %d %s", path, status, body)
		}
	}
	if !c.sim.Answer(ring.ID) || c.sim.Answer(99) || !c.sim.HangUp(ring.ID) || c.sim.HangUp(ring.ID) {
		t.Error("calls that are not there can be answered or ended")
	}
	if _, body := c.see("/200"); !strings.Contains(body, `"participants":[]`) {
		t.Errorf("after hanging up: %s", body)
	}
	for from, to := range map[identity.Extension]string{"999": "", "200": "200"} {
		if call, err := c.sim.StartCall(from, to); err == nil {
			t.Errorf("%s called %q: %+v", from, to, call)
		}
	}
}

func TestTheWebsocketSaysWhichParticipantChanged(t *testing.T) {
	c := newClient(t, Config{Extensions: 3, Monitored: []identity.Extension{"200", "202"}})
	next, _ := c.watch(c.token)
	call, err := c.sim.StartCall("200", "201") // 201 is not for this client to see
	if err != nil {
		t.Fatal(err)
	}
	c.sim.HangUp(call.ID)
	for _, want := range []string{
		`{"event":{"attached_data":null,"entity":"/callcontrol/200/participants/1","event_type":0},"sequence":1001}`,
		`{"event":{"attached_data":null,"entity":"/callcontrol/200/participants/1","event_type":1},"sequence":1002}`,
	} {
		if got := next(); got != want {
			t.Errorf("came %s", got)
		}
	}
	if status, _ := c.see("/201"); status != http.StatusForbidden {
		t.Errorf("an extension that is not for this client: %d", status)
	}
	if n := c.sim.CutWatches(); n != 1 || next() != "ended" {
		t.Errorf("%d were cut", n)
	}
}

func TestEventsAreLostDoubledLateAndGarbledOnPurpose(t *testing.T) {
	const first, second = `participants/1","event_type":0},"sequence":1001}`, `participants/2","event_type":0},"sequence":1002}`
	for kind, want := range map[FaultKind][]string{
		"":           {first, second},
		EventLost:    {second},
		EventTwice:   {first, first, second},
		EventLate:    {second, first},
		EventGarbled: {`{"event":{"attached_data":null,"entity":"/callcontrol`, second},
	} {
		t.Run(string(kind), func(t *testing.T) {
			c := newClient(t, Config{Extensions: 3})
			next, _ := c.watch(c.token)
			if kind != "" {
				c.sim.Inject(Fault{Kind: kind, Times: 1})
			}
			for range 2 {
				if _, err := c.sim.StartCall("200", ""); err != nil {
					t.Fatal(err)
				}
			}
			for _, text := range want {
				if got := next(); !strings.Contains(got, text) {
					t.Errorf("came %s, want %s", got, text)
				}
			}
			if left := c.sim.Faults(); len(left) != 0 {
				t.Errorf("faults that are left: %+v", left)
			}
		})
	}
}

func TestWhoMayNotSeeCalls(t *testing.T) {
	for access, want := range map[Access]int{Granted: http.StatusSwitchingProtocols, Forbidden: http.StatusForbidden, Missing: http.StatusNotFound} {
		c := newClient(t, Config{Extensions: 1, CallControl: access})
		if _, status := c.watch(c.token); status != want {
			t.Errorf("%q: %d", access, status)
		}
		if _, status := c.watch("stale"); access != Missing && status != http.StatusUnauthorized {
			t.Errorf("%q, with a dead token: %d", access, status)
		}
	}
}

func TestDownEndsTheWebsocketsAndARestartTheCalls(t *testing.T) {
	c := newClient(t, Config{Extensions: 1})
	next, _ := c.watch(c.token)
	if _, err := c.sim.StartCall("200", ""); err != nil {
		t.Fatal(err)
	}
	next()
	if err := c.sim.Restart(0); err != nil {
		t.Fatal(err)
	}
	if got := next(); got != "ended" {
		t.Errorf("came %s", got)
	}
	if n := len(c.sim.Calls()); n != 0 {
		t.Errorf("%d calls after a restart", n)
	}
	c.http.CloseIdleConnections() // which the restart has ended
	token, _ := c.signIn()
	if _, status := c.watch(token); status != http.StatusSwitchingProtocols {
		t.Errorf("after the restart: %d", status)
	}
}

func TestCallsAreMadeByControl(t *testing.T) {
	c := newClient(t, Config{Extensions: 2})
	for _, step := range []struct{ method, path, body, holds string }{
		{"POST", "/calls", `{"from":"200"}`, `"to":"+4930555000","state":"connected"`},
		{"POST", "/calls", `{"from":"201","to":"200","ringing":true}`, `"id":2,"from":"201","to":"200","state":"ringing"`},
		{"POST", "/calls/2/answer", "", `"to":"200","state":"connected"`},
		{"POST", "/calls/7/answer", "", `there is no call`},
		{"POST", "/calls", `{"from":"200","to":"200"}`, `cannot call itself`},
		{"DELETE", "/extensions/201/calls", "", `[{"id":1`},
		{"DELETE", "/extensions/201/calls", "", `in no call`},
		{"GET", "/calls", "", `[{"id":1`},
		{"POST", "/cut", "", `{"watches":0}`},
	} {
		w := httptest.NewRecorder()
		c.sim.Control().ServeHTTP(w, httptest.NewRequestWithContext(t.Context(), step.method, "/sim/v1/systems/hq"+step.path, strings.NewReader(step.body)))
		if !strings.Contains(w.Body.String(), step.holds) {
			t.Errorf("%s %s: %s", step.method, step.path, w.Body)
		}
	}
}
