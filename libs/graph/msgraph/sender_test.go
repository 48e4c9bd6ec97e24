package msgraph

import (
	"context"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/secret"
)

func TestARetryAfterIsReadInEveryForm(t *testing.T) {
	now := time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	tests := []struct {
		header string
		want   time.Duration
		ok     bool
	}{
		{"2", 2 * time.Second, true},
		{"2.128", 2128 * time.Millisecond, true},
		{"0.9", 900 * time.Millisecond, true},
		{"0", 0, true},
		{" 5 ", 5 * time.Second, true},
		{"Thu, 01 Oct 2026 12:00:30 GMT", 30 * time.Second, true},
		{"Thu, 01 Oct 2026 11:00:00 GMT", 0, true},
		{"99999999999999999999", maxDelay, true},
		{"+Inf", maxDelay, true},
		{"NaN", 0, false},
		{"-1", 0, false},
		{"soon", 0, false},
		{"", 0, false},
	}
	for _, test := range tests {
		if got, ok := retryAfter(test.header, now); got != test.want || ok != test.ok {
			t.Errorf("%q is %v, %v; want %v, %v", test.header, got, ok, test.want, test.ok)
		}
	}
}

func TestABackoffGrowsAndStaysBelowWhatACallWaits(t *testing.T) {
	for range 1000 {
		for try := 1; try < maxTries; try++ {
			full := backoffBase << (try - 1)
			if got := backoff(try); got < full/2 || got > full || got > MaxWait {
				t.Fatalf("after try %d: %v, want %v to %v", try, got, full/2, full)
			}
		}
	}
	if got := backoff(1000); got <= 0 {
		t.Errorf("after very many tries: %v", got)
	}
}

func TestTheLongerPauseCounts(t *testing.T) {
	pauses := newThrottle("contoso", nil)
	if left := pauses.remaining(t.Context(), graph.APIPresence); left != 0 {
		t.Errorf("%v before any pause", left)
	}
	pauses.closeFor(t.Context(), graph.APIPresence, time.Hour)
	pauses.closeFor(t.Context(), graph.APIPresence, time.Second)
	if left := pauses.remaining(t.Context(), graph.APIPresence); left < 59*time.Minute {
		t.Errorf("%v are left of an hour", left)
	}
	if left := pauses.remaining(t.Context(), graph.APIDirectory); left != 0 {
		t.Errorf("another quota is closed for %v", left)
	}
}

func TestEachRequestDrawsOnItsOwnQuota(t *testing.T) {
	tests := []struct {
		method, path string
		want         graph.API
		once         bool
	}{
		{"POST", "/v1.0/communications/getPresencesByUserId", graph.APIPresence, false},
		{"GET", "/v1.0/subscriptions", graph.APIList, false},
		{"POST", "/v1.0/subscriptions", graph.APISubscriptions, true},
		{"GET", "/v1.0/subscriptions/s", graph.APISubscriptions, false},
		{"PATCH", "/v1.0/subscriptions/s", graph.APISubscriptions, false},
		{"POST", "/v1.0/subscriptions/s/reauthorize", graph.APISubscriptions, false},
		{"GET", "/v1.0/users/delta()", graph.APIDirectory, false},
		{"GET", "/v1.0/users/presence", graph.APIDirectory, false},
		{"POST", "/v1.0/users/u/presence/setPresence", graph.APIPresence, false},
		{"POST", "/v1.0/users/u/presence/clearUserPreferredPresence", graph.APIPresence, false},
		{"POST", "/v1.0/$batch", graph.APIMailbox, false},
	}
	for _, test := range tests {
		req := httptest.NewRequest(test.method, "https://graph.microsoft.com"+test.path, nil)
		if got, once := apiOf(req), createsSomething(req); got != test.want || once != test.once {
			t.Errorf("%s %s draws on %s (once: %v), want %s (%v)", test.method, test.path, got, once, test.want, test.once)
		}
	}
}

// newHost serves answer over TLS and returns a client of it.
func newHost(t *testing.T, answer http.HandlerFunc) (*httptest.Server, *Client, *sender) {
	t.Helper()
	host := httptest.NewTLSServer(answer)
	t.Cleanup(host.Close)
	cloud, err := graph.CloudNamed("global")
	if err != nil {
		t.Fatal(err)
	}
	if cloud, err = cloud.At(host.URL, host.URL); err != nil {
		t.Fatal(err)
	}
	config := Config{Tenant: "contoso", Cloud: cloud, Tokens: always{}, Budget: graph.Unlimited{},
		Roots: host.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
	client, err := New(config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	wire := newTransport(config.Roots)
	t.Cleanup(wire.CloseIdleConnections)
	return host, client, newSender(config, wire, config.Tokens)
}

// A span that records asks an error for its text, and the SDK's panics where the
// answer had no message.
func TestTheSDKsErrorHasATextWhateverGraphAnswers(t *testing.T) {
	for _, body := range []string{``, `{}`, `{"error":{}}`, `{"error":{"code":"x"}}`, `{"error":{"code":"x","message":""}}`, `[]`, `nonsense`} {
		_, client, _ := newHost(t, func(w http.ResponseWriter, _ *http.Request) {
			w.Header().Set("Content-Type", "application/json")
			w.WriteHeader(http.StatusForbidden)
			w.Write([]byte(body))
		})
		if _, err := client.subscriptions().BySubscriptionId("s").Get(t.Context(), nil); err == nil || err.Error() == "" {
			t.Errorf("answer %q: error %v", body, err)
		}
	}
}

// Links are checked here and nowhere else, so that nothing the SDK builds gets by.
func TestTheSenderItselfRefusesAForeignHost(t *testing.T) {
	var arrived atomic.Int64
	foreign, _, _ := newHost(t, func(http.ResponseWriter, *http.Request) { arrived.Add(1) })
	own, _, sender := newHost(t, func(http.ResponseWriter, *http.Request) { arrived.Add(1) })
	for _, url := range []string{foreign.URL + "/v1.0/users", "http://" + strings.TrimPrefix(own.URL, "https://") + "/v1.0/users"} {
		req := httptest.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if _, err := sender.RoundTrip(req); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v, want invalid", url, err)
		}
	}
	if n := arrived.Load(); n != 0 {
		t.Errorf("%d requests arrived", n)
	}
}

func TestOneHTTP2ConnectionCarriesEverything(t *testing.T) {
	var major atomic.Int64
	host := httptest.NewUnstartedServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) { major.Store(int64(r.ProtoMajor)) }))
	host.EnableHTTP2 = true
	host.StartTLS()
	t.Cleanup(host.Close)
	wire := newTransport(host.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs)
	t.Cleanup(wire.CloseIdleConnections)
	resp, err := wire.RoundTrip(httptest.NewRequestWithContext(t.Context(), http.MethodGet, host.URL, nil))
	if err != nil {
		t.Fatal(err)
	}
	resp.Body.Close()
	if major.Load() != 2 {
		t.Errorf("the host was spoken to over HTTP/%d", major.Load())
	}
}

func TestATryEndsByItself(t *testing.T) {
	release := make(chan struct{})
	var arrived atomic.Int64
	host, _, sender := newHost(t, func(_ http.ResponseWriter, r *http.Request) {
		arrived.Add(1)
		select {
		case <-release:
		case <-r.Context().Done():
		}
	})
	defer close(release)
	sender.timeout = 500 * time.Millisecond // in which every try arrives
	create := httptest.NewRequestWithContext(t.Context(), http.MethodPost, host.URL+"/v1.0/subscriptions", strings.NewReader("{}"))
	if _, err := sender.RoundTrip(create); fault.KindOf(err) != fault.Timeout || arrived.Load() != 1 {
		t.Errorf("a create: %v after %d requests, want a timeout after 1", err, arrived.Load())
	}
	read := httptest.NewRequestWithContext(t.Context(), http.MethodGet, host.URL+"/v1.0/users/x", nil)
	if _, err := sender.RoundTrip(read); fault.KindOf(err) != fault.Timeout || arrived.Load() != 1+maxTries {
		t.Errorf("a read: %v after %d requests, want a timeout after %d", err, arrived.Load(), maxTries)
	}
}

type always struct{}

func (always) Token(context.Context) (graph.Token, error) {
	return graph.Token{Value: secret.NewValue("x"), Expires: time.Now().Add(time.Hour)}, nil
}
