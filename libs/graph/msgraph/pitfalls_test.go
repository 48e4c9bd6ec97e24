package msgraph_test

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/msgraph"
)

func TestAPostRetriedAfter429KeepsItsBody(t *testing.T) {
	const clients = 60 // the SDK's own middleware broke most of as many
	var turn sync.Map  // who has been refused
	host := newStage(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		if _, refused := turn.LoadOrStore(r.Header.Get("Authorization"), true); !refused {
			refuse(w, http.StatusTooManyRequests, "0.01", "TooManyRequests")
			return
		}
		reply(w, http.StatusOK, annaBusy)
	})
	for i := range clients {
		client := host.client(t, func(c *msgraph.Config) { c.Tokens = fixed(fmt.Sprint("token-", i)) })
		if _, _, err := client.Presences(t.Context(), []identity.User{anna, ben}); err != nil {
			t.Errorf("client %d: %v", i, err)
		}
	}
	seen := host.seen()
	if len(seen) != 2*clients {
		t.Fatalf("%d requests, want %d", len(seen), 2*clients)
	}
	want := `{"ids":["` + string(anna) + `","` + string(ben) + `"]}`
	for i, a := range seen {
		if a.body != want || a.length != int64(len(want)) || a.header.Get("Content-Encoding") != "" {
			t.Fatalf("request %d carries %q (length %d, encoding %q), want %q as it is", i, a.body, a.length, a.header.Get("Content-Encoding"), want)
		}
	}
}

func TestRefusalsDoNotCostConnections(t *testing.T) {
	padding := strings.Repeat("x", 64<<10)
	host := newStage(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		w.Header().Set("Retry-After", "0.001")
		reply(w, http.StatusTooManyRequests, `{"error":{"code":"TooManyRequests","message":"`+padding+`"}}`)
	})
	client := host.client(t, nil)
	for range 40 {
		if _, err := client.Subscription(t.Context(), "s"); fault.KindOf(err) != fault.Throttled {
			t.Fatalf("%v, want throttled", err)
		}
	}
	if n, dials := len(host.seen()), host.dials(); n < 150 || dials > 2 {
		t.Errorf("%d requests over %d connections, want at least 150 over at most 2", n, dials)
	}
}

func TestAForeignHostGetsNeitherARequestNorTheToken(t *testing.T) {
	foreign := newStage(t, func(_ int, w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, `{"value":[]}`) })
	host := newStage(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		if strings.HasSuffix(r.URL.Path, "/subscriptions") {
			reply(w, http.StatusOK, `{"value":[],"@odata.nextLink":"`+foreign.URL+`/v1.0/subscriptions?$skiptoken=x"}`)
			return
		}
		http.Redirect(w, r, foreign.URL+r.URL.Path, http.StatusTemporaryRedirect)
	})
	client := host.client(t, nil)
	if _, err := client.Users(t.Context(), graph.Cursor(foreign.URL+"/v1.0/users/delta?$deltatoken=x")); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a cursor to another host: %v, want invalid", err)
	}
	if n := len(host.seen()); n != 0 {
		t.Errorf("a cursor to another host made %d requests", n)
	}
	if _, err := client.Subscriptions(t.Context()); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a next link to another host: %v, want invalid", err)
	}
	if _, err := client.User(t.Context(), anna); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a redirect to another host: %v, want invalid", err)
	}
	if _, _, err := client.Presences(t.Context(), []identity.User{anna}); fault.KindOf(err) != fault.Invalid {
		t.Errorf("a redirected POST: %v, want invalid", err)
	}
	if n := len(foreign.seen()); n != 0 {
		t.Errorf("the foreign host got %d requests", n)
	}
}

func TestWithoutATokenNothingLeaves(t *testing.T) {
	host := newStage(t, func(_ int, w http.ResponseWriter, _ *http.Request) { reply(w, http.StatusOK, annaBusy) })
	_, _, err := host.client(t, func(c *msgraph.Config) { c.Tokens = fixed("") }).Presences(t.Context(), []identity.User{anna})
	if fault.KindOf(err) != fault.Denied || len(host.seen()) != 0 {
		t.Errorf("%v after %d requests, want denied after none", err, len(host.seen()))
	}
	if _, _, err := host.client(t, nil).Presences(t.Context(), []identity.User{anna}); err != nil {
		t.Fatal(err)
	}
	if got := host.seen()[0].header.Get("Authorization"); got != "Bearer the-token" {
		t.Errorf("control: Authorization is %q", got)
	}
}

func TestALongRetryAfterIsTheCallersAndIsRemembered(t *testing.T) {
	for _, form := range []struct{ name, header string }{
		{"seconds", "300"},
		{"fractional seconds", "299.75"},
		{"an HTTP date", time.Now().Add(300 * time.Second).UTC().Format(http.TimeFormat)},
	} {
		t.Run(form.name, func(t *testing.T) {
			host := newStage(t, func(_ int, w http.ResponseWriter, r *http.Request) {
				if strings.Contains(r.URL.Path, "/communications/") {
					refuse(w, http.StatusTooManyRequests, form.header, "TooManyRequests")
					return
				}
				reply(w, http.StatusOK, `{"id":"`+string(anna)+`"}`)
			})
			client := host.client(t, nil)
			for call := range 3 {
				start := time.Now()
				_, _, err := client.Presences(t.Context(), []identity.User{anna})
				if fault.KindOf(err) != fault.Throttled || fault.RetryAfter(err).Round(10*time.Second) != 300*time.Second {
					t.Fatalf("call %d: %v after %v, want throttled for 300s", call, err, fault.RetryAfter(err))
				}
				if took := time.Since(start); took > 5*time.Second {
					t.Errorf("call %d waited %v", call, took)
				}
			}
			if n := len(host.seen()); n != 1 {
				t.Errorf("%d requests left while presence was throttled, want 1", n)
			}
			if _, err := client.User(t.Context(), anna); err != nil {
				t.Errorf("the directory, which has a quota of its own: %v", err)
			}
		})
	}
}

// common is a memory that clients have in common.
type common struct{ notes sync.Map }

func (c *common) Get(_ context.Context, key string) ([]byte, bool, error) {
	value, ok := c.notes.Load(key)
	bytes, _ := value.([]byte)
	return bytes, ok, nil
}

func (c *common) Set(_ context.Context, key string, value []byte, _ time.Duration) error {
	c.notes.Store(key, value)
	return nil
}

// A Retry-After is for the app in its tenant: a delegated account's client, and one of
// another process, hears of it before it is refused by itself.
func TestARetryAfterHoldsForOtherClientsOfTheApp(t *testing.T) {
	host := newStage(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusTooManyRequests, "300", "TooManyRequests")
	})
	memory := &common{}
	sharing := func(c *msgraph.Config) { c.Pauses = graph.SharePauses(memory) }
	for name, c := range map[string]struct {
		change func(*msgraph.Config)
		asks   int // requests that leave until both were told
	}{
		"the same tenant":    {sharing, 1},
		"another tenant":     {func(c *msgraph.Config) { sharing(c); c.Tenant = "fabrikam" }, 2},
		"control: no memory": {nil, 2},
	} {
		memory.notes.Clear()
		before := len(host.seen())
		for _, client := range []*msgraph.Client{host.client(t, sharing), host.client(t, c.change)} {
			_, _, err := client.Presences(t.Context(), []identity.User{anna})
			if fault.KindOf(err) != fault.Throttled || fault.RetryAfter(err) < 200*time.Second {
				t.Errorf("%s: %v", name, err)
			}
		}
		if n := len(host.seen()) - before; n != c.asks {
			t.Errorf("%s: %d requests left, want %d", name, n, c.asks)
		}
	}
}

func TestAShortRetryAfterHoldsEveryCallOfItsQuota(t *testing.T) {
	const pause = 400 * time.Millisecond
	host := newStage(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n == 0 {
			refuse(w, http.StatusTooManyRequests, "0.4", "TooManyRequests")
			return
		}
		reply(w, http.StatusOK, annaBusy)
	})
	client := host.client(t, nil)
	var calls sync.WaitGroup
	read := func() {
		if _, _, err := client.Presences(t.Context(), []identity.User{anna}); err != nil {
			t.Error(err)
		}
	}
	calls.Go(read)
	eventually(t, func() bool { return len(host.seen()) == 1 })
	calls.Go(func() {
		// The memory is written once the refusal was read, a moment after it was sent.
		refused := host.seen()[0].at
		eventually(t, func() bool { return time.Since(refused) > pause/4 })
		read()
	})
	calls.Wait()
	seen := host.seen()
	for _, a := range seen[1:] {
		if early := pause - a.at.Sub(seen[0].at); early > 0 {
			t.Errorf("a request left %v before the pause was over", early)
		}
	}
	if len(seen) != 3 {
		t.Errorf("%d requests, want 3", len(seen))
	}
}

func TestWithoutARetryAfterTheWaitGrows(t *testing.T) {
	host := newStage(t, func(n int, w http.ResponseWriter, _ *http.Request) {
		if n < 2 {
			refuse(w, http.StatusTooManyRequests, "", "TooManyRequests")
			return
		}
		reply(w, http.StatusOK, annaBusy)
	})
	if _, _, err := host.client(t, nil).Presences(t.Context(), []identity.User{anna}); err != nil {
		t.Fatal(err)
	}
	seen := host.seen()
	first, second := seen[1].at.Sub(seen[0].at), seen[2].at.Sub(seen[1].at)
	if first < 250*time.Millisecond || second < 500*time.Millisecond {
		t.Errorf("waits of %v and %v, want at least 250ms and 500ms", first, second)
	}
}

func TestAWaitThatOutlivesTheCallersContextIsNotBegun(t *testing.T) {
	host := newStage(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusTooManyRequests, "8", "TooManyRequests")
	})
	ctx, cancel := context.WithTimeout(t.Context(), 5*time.Second)
	defer cancel()
	start := time.Now()
	_, _, err := host.client(t, nil).Presences(ctx, []identity.User{anna})
	if fault.KindOf(err) != fault.Throttled || fault.RetryAfter(err) != 8*time.Second || time.Since(start) > 4*time.Second {
		t.Errorf("%v for %v after %v, want throttled for 8s at once", err, fault.RetryAfter(err), time.Since(start))
	}
}

func TestACancelledCallEndsAtOnce(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	host := newStage(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		refuse(w, http.StatusTooManyRequests, "9", "TooManyRequests")
		cancel()
	})
	start := time.Now()
	_, _, err := host.client(t, nil).Presences(ctx, []identity.User{anna})
	if fault.KindOf(err) != fault.Cancelled || time.Since(start) > 5*time.Second {
		t.Errorf("%v after %v, want cancelled at once", err, time.Since(start))
	}
}

func TestOnlyWhatMayHappenTwiceIsRepeated(t *testing.T) {
	want := graph.NewSubscription{Resource: "r", Change: "updated", Notify: "https://n.example", State: state, Expires: time.Now().Add(time.Hour)}
	create := func(c *msgraph.Client) error { _, err := c.Create(t.Context(), want); return err }
	read := func(c *msgraph.Client) error {
		_, _, err := c.Presences(t.Context(), []identity.User{anna})
		return err
	}
	drop := func(http.ResponseWriter) { panic(http.ErrAbortHandler) }
	status := func(status int, retryAfter string) func(http.ResponseWriter) {
		return func(w http.ResponseWriter) { refuse(w, status, retryAfter, "x") }
	}
	tests := []struct {
		name     string
		call     func(*msgraph.Client) error
		failure  func(http.ResponseWriter)
		requests int
		kind     fault.Kind // of a call that fails
	}{
		{"a read whose connection broke", read, drop, 2, 0},
		{"a read after 502", read, status(502, ""), 2, 0},
		{"a read after 503", read, status(503, "0.01"), 2, 0},
		{"a read after 504", read, status(504, ""), 2, 0},
		{"a read after 500", read, status(500, ""), 1, fault.Unavailable},
		{"a create whose connection broke", create, drop, 1, fault.Timeout},
		{"a create after 502", create, status(502, ""), 1, fault.Unavailable},
		{"a create after 504", create, status(504, ""), 1, fault.Timeout},
		{"a create after 503", create, status(503, "0.01"), 2, 0},
		{"a create after 429", create, status(429, "0.01"), 2, 0},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			host := newStage(t, func(n int, w http.ResponseWriter, r *http.Request) {
				switch {
				case n == 0:
					test.failure(w)
				case strings.HasSuffix(r.URL.Path, "/subscriptions"):
					reply(w, http.StatusCreated, `{"id":"s","expirationDateTime":"2026-10-01T12:00:00Z"}`)
				default:
					reply(w, http.StatusOK, annaBusy)
				}
			})
			err := test.call(host.client(t, nil))
			if n := len(host.seen()); n != test.requests {
				t.Errorf("%d requests, want %d", n, test.requests)
			}
			if test.requests == 2 && err != nil || test.requests == 1 && (err == nil || fault.KindOf(err) != test.kind) {
				t.Errorf("the call ends with %v (%v)", err, fault.KindOf(err))
			}
		})
	}
}

// purse is a Budget that counts, and refuses once it is empty.
type purse struct {
	mu    sync.Mutex
	left  int
	taken map[string]int
}

func (p *purse) Take(_ context.Context, key string, n int) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left < n {
		return fault.After(fault.Throttled, "purse", time.Minute, errors.New("empty"))
	}
	p.left -= n
	p.taken[key] += n
	return nil
}

func TestEveryTryTakesFromTheBudgetFirst(t *testing.T) {
	host := newStage(t, func(n int, w http.ResponseWriter, r *http.Request) {
		switch {
		case n == 0:
			refuse(w, http.StatusTooManyRequests, "0.01", "TooManyRequests")
		case strings.Contains(r.URL.Path, "presence") || strings.Contains(r.URL.Path, "Presence"):
			reply(w, http.StatusOK, annaBusy)
		default:
			reply(w, http.StatusOK, `{"value":[]}`)
		}
	})
	budget := &purse{left: 3, taken: map[string]int{}}
	client := host.client(t, func(c *msgraph.Config) { c.Budget = budget })
	if _, _, err := client.Presences(t.Context(), []identity.User{anna}); err != nil {
		t.Fatal(err)
	}
	if _, err := client.Subscriptions(t.Context()); err != nil {
		t.Fatal(err)
	}
	if budget.taken["contoso/presence"] != 2 || budget.taken["contoso/list"] != 1 {
		t.Errorf("taken %v, want 2 of contoso/presence (one retried) and 1 of contoso/list", budget.taken)
	}
	_, err := client.User(t.Context(), anna)
	if fault.KindOf(err) != fault.Throttled || fault.RetryAfter(err) != time.Minute || len(host.seen()) != 3 {
		t.Errorf("an empty budget: %v after %d requests, want throttled for a minute after 3", err, len(host.seen()))
	}
}

func TestAnAnswerIsReadOnlyUpToItsBound(t *testing.T) {
	host := newStage(t, func(_ int, w http.ResponseWriter, _ *http.Request) {
		reply(w, http.StatusOK, `{"value":[],"x":"`+strings.Repeat("x", 17<<20)+`"}`)
	})
	if _, err := host.client(t, nil).Subscriptions(t.Context()); err == nil || !strings.Contains(err.Error(), "longer than") {
		t.Errorf("%v, want a refusal of the length", err)
	}
}

// eventually waits for a condition that other goroutines bring about.
func eventually(t testing.TB, condition func() bool) {
	t.Helper()
	deadline := time.After(10 * time.Second)
	tick := time.NewTicker(time.Millisecond)
	defer tick.Stop()
	for !condition() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatal("the condition did not come true within 10s")
		}
	}
}
