package portsip

import (
	"bufio"
	"bytes"
	"context"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"go.uber.org/goleak"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/portsipsim"
	"offhook.dev/libs/secret"
)

func TestWhatTheWebhookAnswers(t *testing.T) {
	const right = "Bearer a-token-of-the-webhook"
	event := func(ext string) string {
		return `{"event_type":"extension_call","extension":"sip:` + ext + `@x","call_status":"ON_CALL","time":"1703690276"}`
	}
	for name, c := range map[string]struct {
		method, credential, body string
		status                   int
	}{
		"an event":                      {"POST", right, event("201"), 200},
		"a scheme in small letters":     {"POST", "bearer a-token-of-the-webhook", event("201"), 200},
		"no body":                       {"POST", right, "", 200},
		"no JSON":                       {"POST", right, "event_type=extension_call", 200},
		"no object":                     {"POST", right, `"extension_call"`, 200},
		"half of an object":             {"POST", right, event("200")[:40], 200},
		"another charset":               {"POST", right, `{"extension":"` + "\xfc" + `"}`, 200},
		"an event of the call records":  {"POST", right, `{"event_type":"call_start","caller":"200","callee":"201"}`, 200},
		"an event of a queue":           {"POST", right, `{"event_type":"queue_status","queue_number":"8001","agents":[{"state":"QUEUE_CALL","agent_extension_number":"101"}]}`, 200},
		"an extension of nobody":        {"POST", right, event("777"), 200},
		"an extension that is none":     {"POST", right, event("../../etc"), 200},
		"an event of long ago":          {"POST", right, event("200"), 200},
		"a number of a million digits":  {"POST", right, event(strings.Repeat("2", 900_000)), 200},
		"a very long body":              {"POST", right, `{"extension":"` + strings.Repeat("2", 3<<20), 200},
		"a very deep body":              {"POST", right, strings.Repeat(`[`, 500_000), 200},
		"no credential":                 {"POST", "", event("200"), 401},
		"another token":                 {"POST", right + "s", event("200"), 401},
		"a part of the token":           {"POST", right[:len(right)-1], event("200"), 401},
		"a scheme without a token":      {"POST", "Bearer", event("200"), 401},
		"another scheme":                {"POST", "Basic a-token-of-the-webhook", event("200"), 401},
		"a long body for nobody":        {"POST", "", strings.Repeat("2", 1<<20), 401},
		"another method":                {"PUT", right, event("200"), 405},
		"a long body by another method": {"PUT", right, strings.Repeat("2", 1<<20), 405},
		"a visit with a browser":        {"GET", "", "", 405},
		"a method of one's own":         {"NOTIFY", right, event("200"), 405},
	} {
		t.Run(name, func(t *testing.T) {
			sim := start(t, portsipsim.Config{Extensions: 4, FilterDND: true})
			config := toldByEvents(t, sim, byToken)
			address := listening(&config)
			w := watch(t, open(t, config))
			sim.InjectEvent(portsipsim.EventFault{Kind: portsipsim.Lost, Times: 1})
			sim.StartCall("201") // which nobody is told of but by the case
			if status := send(t, c.method, "http://"+*address+"/some/where", c.credential, c.body); status != c.status {
				t.Errorf("answered %d, want %d", status, c.status)
			}
			sim.StartCall("203")
			w.until(t, "of a call", func(is tale) bool { return is.calls["203"] == 1 })
			told := 0
			if c.status == 200 && c.body == event("201") {
				told = 1
			}
			if w.told().calls["201"] != told || w.told().calls["200"] != 0 || len(w.told().calls) != 1+told {
				t.Errorf("told %v", w.told().calls)
			}
		})
	}
}

// listening has the address kept at which a configuration's watch listens.
func listening(config *Config) *string {
	address, then := new(string), config.Webhook.OnListening
	config.Webhook.OnListening = func(a string) {
		*address = a
		then(a)
	}
	return address
}

// send sends one request and returns the status of its answer.
func send(t *testing.T, method, url, credential, body string) int {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), method, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	if credential != "" {
		r.Header.Set("Authorization", credential)
	}
	client := &http.Client{Transport: &http.Transport{DisableKeepAlives: true}}
	response, err := client.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	_, _ = io.Copy(io.Discard, response.Body)
	if want := map[int]string{401: "WWW-Authenticate", 405: "Allow"}[response.StatusCode]; want != "" && response.Header.Get(want) == "" {
		t.Errorf("%d without %s", response.StatusCode, want)
	}
	return response.StatusCode
}

// A storm of events costs one question for each extension, and nothing for strangers.
func TestManyEventsAboutOneExtensionAreOne(t *testing.T) {
	d := newDoor(Webhook{Secret: byToken.Token})
	d.admit(map[identity.Extension]bool{"200": true, "201": true})
	yes := true
	for range 1000 {
		for _, ext := range []identity.Extension{"200", "201", "777"} {
			d.note(claims{ext: nil}, nil)
		}
	}
	d.note(claims{"200": &yes}, nil)
	heard := d.take()
	if len(heard) != 2 || heard["200"] != &yes || len(d.take()) != 0 || d.takeMissed() {
		t.Errorf("heard %v", heard)
	}
}

// A phone system that sends all that it has before it listens is answered all the same.
func TestWhatIsFarTooLongIsTakenToItsEnd(t *testing.T) {
	sim := start(t, portsipsim.Config{Extensions: 1, FilterDND: true})
	config := toldByEvents(t, sim, byToken)
	address := listening(&config)
	watch(t, open(t, config))
	conn, err := net.Dial("tcp", *address)
	if err != nil {
		t.Fatal(err)
	}
	defer conn.Close()
	const length = 8 << 20
	request := fmt.Sprintf("POST / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a-token-of-the-webhook\r\nContent-Length: %d\r\n\r\n", length)
	if _, err := io.Copy(conn, io.MultiReader(strings.NewReader(request), strings.NewReader(strings.Repeat("2", length)))); err != nil {
		t.Fatal(err)
	}
	response, err := http.ReadResponse(bufio.NewReader(conn), nil)
	if err != nil {
		t.Fatal(err)
	}
	defer response.Body.Close()
	if response.StatusCode != http.StatusOK {
		t.Errorf("answered %s", response.Status)
	}
}

func TestAWrongCredentialIsAnsweredSoThatItIsSentAgain(t *testing.T) {
	for name, change := range map[string]func(*portsipsim.Webhook){
		"another user":     func(to *portsipsim.Webhook) { to.Username = "somebody" },
		"another password": func(to *portsipsim.Webhook) { to.Password = secret.NewValue("thepasswordofothers") },
		"none":             func(to *portsipsim.Webhook) { to.Auth = "DISABLE" },
		"a digest":         func(to *portsipsim.Webhook) { to.Auth = "DIGEST" },
	} {
		t.Run(name, func(t *testing.T) {
			sim := start(t, portsipsim.Config{Extensions: 2, FilterDND: true, Retries: []time.Duration{time.Millisecond, time.Millisecond}})
			config := toldByEvents(t, sim, byPassword)
			wrong := byPassword
			wrong.Untold = true
			change(&wrong)
			address := listening(&config)
			w := watch(t, open(t, config))
			wrong.URL = "http://" + *address
			sim.SetWebhook(t.Context(), wrong)
			sim.StartCall("200")
			w.until(t, "anything yet", func(tale) bool { return sim.EventStats().GivenUp == 1 })
			if stats := sim.EventStats(); stats.Answers[http.StatusUnauthorized] != 3 || w.told().events != 0 {
				t.Errorf("%+v, and %d events", stats, w.told().events)
			}
		})
	}
}

func TestAWatchByWebhookLeavesNothingBehind(t *testing.T) {
	before := goleak.IgnoreCurrent()
	sim := start(t, portsipsim.Config{Extensions: 3, FilterDND: true})
	config := toldByEvents(t, sim, byToken)
	address := listening(&config)
	d := open(t, config)
	for range 3 { // each time at the port of before
		ctx, cancel := context.WithCancel(t.Context())
		w := newWatched()
		go func() { w.ended <- d.Watch(ctx, w.hear) }()
		w.until(t, "that this was all", func(is tale) bool { return is.syncs > 0 })
		sim.StartCall("200")
		w.until(t, "of a call", func(is tale) bool { return is.calls["200"] == 1 })
		idle, err := net.Dial("tcp", *address) // somebody who has only begun
		if err != nil {
			t.Fatal(err)
		}
		_, _ = io.WriteString(idle, "POST / HTTP/1.1\r\nHost: x\r\nAuthorization: Bearer a-token-of-the-webhook\r\nContent-Length: 99\r\n\r\n{")
		cancel()
		w.ends(t, fault.Cancelled)
		idle.Close()
		listener, err := net.Listen("tcp", *address)
		if err != nil {
			t.Fatalf("its port is not free: %v", err)
		}
		listener.Close()
		d.config.Webhook.Listen = *address
	}
	d.Close()
	sim.Close()
	if err := goleak.Find(before); err != nil {
		t.Error(err)
	}
}

func TestAnAddressThatIsTakenIsAConflict(t *testing.T) {
	sim := start(t, portsipsim.Config{Extensions: 1, FilterDND: true})
	config := toldByEvents(t, sim, byToken)
	address := listening(&config)
	watch(t, open(t, config))
	for listen, want := range map[string]struct {
		kind fault.Kind
		says string
	}{
		*address:          {fault.Conflict, "something listens there already"},
		"192.0.2.77:8444": {fault.Invalid, "no address of this machine"},
	} {
		config.Webhook.Listen, config.Webhook.PlainHTTP = listen, true
		err := open(t, config).Watch(t.Context(), func(pbx.WatchEvent) { t.Error("something was told") })
		if fault.KindOf(err) != want.kind || !strings.Contains(err.Error(), want.says) || !strings.Contains(err.Error(), "options.webhook.listen") {
			t.Errorf("%s: %v", listen, err)
		}
	}
}

func TestClaims(t *testing.T) {
	yes, no := true, false
	for name, c := range map[string]struct {
		body string
		want map[identity.Extension]*bool // nil: it cannot be read
	}{
		"a call":             {`{"event_type":"extension_call","extension":"sip:101@test.io","call_status":"ON_CALL","extension_id":"79","time":"1703690276"}`, claims{"101": &yes}},
		"its end":            {`{"event_type":"extension_call","extension":"sip:101@test.io","call_status":"","uuid":"7"}`, claims{"101": &no}},
		"a presence":         {`{"event_type":"extension_presence","extension":"sip:101@test.io","presence":"AVAILABLE"}`, claims{"101": nil}},
		"an agent":           {`{"event_type":"extension_agent_status","extension":"sip:102@test.io","agent_status":[{"queue_number":"8002","status":"READY"}]}`, claims{"102": nil}},
		"a snapshot":         {`{"event_type":"extension_status","status":[{"extension":"sip:101@x","call_status":"ON_ACLL"},{"extension":"102","call_status":"RINGING"}]}`, claims{"101": &yes, "102": &no}},
		"who is new":         {`{"event_type":"extension_created","extension_number":"1001"}`, claims{"1001": nil}},
		"several at a time":  {`[{"event_type":"extension_call","extension":"101","call_status":"ON_CALL"},{"event_type":"extension_call","extension":"102","call_status":""}]`, claims{"101": &yes, "102": &no}},
		"in an envelope":     {`{"id":"7","event":{"event_type":"extension_call","extension":"sip:101@x","call_status":"ON_CALL"}}`, claims{"101": &yes}},
		"against each other": {`[{"extension":"101","call_status":"ON_CALL"},{"extension":"101","call_status":""},{"extension":"101"}]`, claims{"101": nil}},
		"a call record":      {`{"event_type":"call_start","caller":"101","callee":"102"}`, claims{}},
		"of nobody":          {`{"event_type":"extension_call","call_status":"ON_CALL"}`, nil},
		"of no number":       {`{"event_type":"extension_call","extension":"sip:a b@x"}`, nil},
		"a number":           {`7`, claims{}},
		"nothing":            {``, nil},
		"no UTF-8":           {`{"extension":"` + "\xfc" + `"}`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			got, err := parseClaims([]byte(c.body))
			if (err != nil) != (c.want == nil) || len(got) != len(c.want) {
				t.Fatalf("got %v, %v", got, err)
			}
			for ext, want := range c.want {
				if claimed, there := got[ext]; !there || (claimed == nil) != (want == nil) || want != nil && *claimed != *want {
					t.Errorf("%s: not as said", ext)
				}
			}
		})
	}
}

func FuzzWebhook(f *testing.F) {
	for _, seed := range []string{
		`{"event_type":"extension_call","extension":"sip:101@test.io","call_status":"ON_CALL","tenant_id":"7","extension_id":"7","time":"1703690276","uuid":"x"}`,
		`{"event_type":"extension_status","status":[{"extension":"sip:101@test.io","call_status":"ON_ACLL"},{"extension":"sip:102@test.io","call_status":"On Call"},null,7]}`,
		`[{"event":{"extension_number":"101","call_status":null}},[{"extension":"101","call_status":""}]]`, `{"event_type":"extension_call","extension":{"extension":"101"}}`,
		`{"extension":7,"extension_number":"101"}`, `{"event_type":"extension_"}`, `{"Extension":"101"}`, "null", "", "\xff", "a=b&c=d", `{"extension":"sip:../..@x"}`,
	} {
		f.Add([]byte(seed), "Bearer a-token-of-the-webhook")
	}
	f.Fuzz(func(t *testing.T, body []byte, credential string) {
		d := newDoor(Webhook{Secret: byToken.Token})
		d.admit(map[identity.Extension]bool{"101": true})
		r := httptest.NewRequest(http.MethodPost, "/", bytes.NewReader(body))
		r.Header["Authorization"] = []string{credential}
		answer := httptest.NewRecorder()
		d.ServeHTTP(answer, r)
		scheme, token, _ := strings.Cut(credential, " ")
		admitted := strings.EqualFold(scheme, "bearer") && strings.TrimSpace(token) == byToken.Token.Reveal()
		heard, missed := d.take(), d.takeMissed()
		switch {
		case admitted != (answer.Code == http.StatusOK) || !admitted && answer.Code != http.StatusUnauthorized:
			t.Errorf("%q is answered with %d", credential, answer.Code)
		case !admitted && (missed || len(heard) > 0):
			t.Error("a stranger was heard")
		case len(heard) > 1 || missed && len(heard) > 0:
			t.Errorf("heard %v, missed %v", heard, missed)
		}
		said, err := parseClaims(body)
		if admitted && missed != (err != nil) {
			t.Errorf("it is read (%v), and missed (%v)", err, missed)
		}
		for ext := range said {
			if _, err := identity.ParseExtension(string(ext)); err != nil || !bytes.Contains(body, []byte("extension")) && utf8.Valid(body) && !bytes.Contains(body, []byte(`\u`)) {
				t.Errorf("%q is no extension that was named", ext)
			}
		}
	})
}
