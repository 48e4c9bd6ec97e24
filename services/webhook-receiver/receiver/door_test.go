package receiver

import (
	"bytes"
	"net/http"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"github.com/nats-io/nats.go/jetstream"

	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/bus/embedded"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph/notification"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

func TestWhateverIsWrongIsAnswered202WithNothingInIt(t *testing.T) {
	s := newStage(t)
	r := s.replica(s.options("vault"))
	server := s.serve(r.Receiver.door())
	l := s.subscribe(nil)
	notifications, lifecycle := "/graph/"+l.key+"/notifications", "/graph/"+l.key+"/lifecycle"
	good := body(t, nil, l.item(anna, nil, nil))
	with := func(changes map[string]any) []byte { return body(t, nil, l.item(anna, nil, changes)) }
	padded := func(n int) []byte {
		return body(t, nil, l.item(anna, nil, map[string]any{"future": strings.Repeat("x", n)}))
	}
	tests := []struct {
		name                 string
		method, target, kind string
		body                 []byte
		result               string
		count                int
	}{
		{"a GET", "GET", notifications, jsonType, nil, stray, 1},
		{"a PUT", "PUT", notifications, jsonType, good, stray, 1},
		{"another path", "POST", "/", jsonType, good, stray, 1},
		{"a path of a subscription with more behind it", "POST", notifications + "/x", jsonType, good, stray, 1},
		{"a path that a mux would redirect", "POST", "//graph/" + l.key + "/notifications", jsonType, good, stray, 1},
		{"another content type", "POST", notifications, "text/plain", good, stray, 1},
		{"no content type", "POST", notifications, "", good, stray, 1},
		{"a key that nobody has", "POST", "/graph/" + subscription.NewKey() + "/notifications", jsonType, good, unknownKey, 1},
		{"a key that cannot be one", "POST", "/graph/" + strings.ToUpper(l.key) + "/notifications", jsonType, good, unknownKey, 1},
		{"a body that is not JSON", "POST", notifications, jsonType, []byte("{"), malformed, 1},
		{"a body without a list", "POST", notifications, jsonType, []byte("{}"), malformed, 1},
		{"an empty body", "POST", notifications, jsonType, nil, malformed, 1},
		{"two items that are none", "POST", notifications, jsonType, []byte(`{"value":[null,7]}`), malformed, 2},
		{"a body over the limit", "POST", notifications, jsonType, make([]byte, notification.MaxBody+1), oversized, 1},
		{"a body that no broker message holds", "POST", notifications, jsonType, padded(notification.MaxBody - 1000), oversized, 1},
		{"another clientState", "POST", notifications, jsonType, with(map[string]any{"clientState": subscription.NewState().Reveal()}), badState, 1},
		{"no clientState", "POST", notifications, jsonType, with(map[string]any{"clientState": nil}), badState, 1},
		{"the stored hash as clientState", "POST", notifications, jsonType, with(map[string]any{"clientState": l.record.State}), badState, 1},
		{"another subscription's id", "POST", notifications, jsonType, with(map[string]any{"subscriptionId": "sub-2"}), foreign, 1},
		{"a lifecycle event where changes belong", "POST", notifications, jsonType, body(t, nil, l.event()), foreign, 1},
		{"a change where lifecycle events belong", "POST", lifecycle, jsonType, good, foreign, 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			before := r.noted(t, test.result)
			got := send(t, server, test.method, test.target, test.kind, test.body)
			if got.status != http.StatusAccepted || got.body != "" {
				t.Errorf("answered %d %q", got.status, got.body)
			}
			if n := r.noted(t, test.result) - before; n != test.count {
				t.Errorf("counted %d as %s, want %d", n, test.result, test.count)
			}
		})
	}
	if n := s.held(topology.Ingress); n != 0 {
		t.Errorf("%d of them were stored", n)
	}
	// Controls: what is right is stored, on both paths.
	for target, data := range map[string][]byte{notifications: good, lifecycle: body(t, nil, l.event())} {
		if got := send(t, server, "POST", target, jsonType, data); got.status != http.StatusAccepted || got.body != "" {
			t.Errorf("control: %d %q", got.status, got.body)
		}
	}
	if n, counted := s.held(topology.Ingress), r.noted(t, stored); n != 2 || counted != 2 {
		t.Errorf("control: %d stored, %d counted", n, counted)
	}
}

// What is stored holds tokens as text, and only valid text can be stored: bytes that
// are none cost neither the POST nor the process.
func TestATokenThatIsNoTextCostsNothingElse(t *testing.T) {
	s := newStage(t)
	r := s.replica(s.options("vault"))
	l := s.subscribe(nil)
	data := bytes.Replace(body(t, []string{"TOKEN"}, l.item(anna, nil, nil)), []byte("TOKEN"), []byte("\x8b\xc0\xff"), 1)
	if got := l.post(t, s.serve(r.Receiver.door()), data); got.status != http.StatusAccepted || r.noted(t, stored) != 1 || s.held(topology.Ingress) != 1 {
		t.Errorf("answered %d, stored %d", got.status, s.held(topology.Ingress))
	}
}

func TestOneBadItemCostsNobodyElse(t *testing.T) {
	s := newStage(t)
	r := s.replica(s.options("vault"))
	l := s.subscribe(nil)
	data := body(t, nil, l.item(anna, nil, nil), "rubbish", l.item(ben, nil, map[string]any{"clientState": "x"}),
		l.item(ben, nil, map[string]any{"subscriptionId": "sub-2"}), l.item(ben, nil, nil))
	if got := l.post(t, s.serve(r.Receiver.door()), data); got.status != http.StatusAccepted {
		t.Fatalf("answered %d", got.status)
	}
	for result, want := range map[string]int{stored: 2, malformed: 1, badState: 1, foreign: 1} {
		if n := r.noted(t, result); n != want {
			t.Errorf("%s: %d, want %d", result, n, want)
		}
	}
}

// Graph's first notification, and its handshake, can be faster than the watch.
func TestAnUnknownKeyIsLookedUpOnce(t *testing.T) {
	s := newStage(t)
	deps, _ := s.deps()
	r, err := newReceiver(t.Context(), deps, s.options("vault")) // its mirrors do not run
	must(t, err)
	l := s.subscribe(nil)
	if _, ok, err := r.records.find(t.Context(), l.key); !ok || err != nil {
		t.Errorf("a record that is in the bucket: %v, %v", ok, err)
	}
	late := lane{key: subscription.NewKey()}
	for range 2 {
		if _, ok, err := r.records.find(t.Context(), late.key); ok || err != nil {
			t.Errorf("a record that is nowhere: %v, %v", ok, err)
		}
	}
	_, err = s.bucket(topology.Subscriptions).Put(t.Context(), subscription.KeyOf(late.key), l.record.Encode())
	must(t, err)
	if _, ok, _ := r.records.find(t.Context(), late.key); ok {
		t.Error("it was looked up again, so guessing costs the broker a request each")
	}
}

func TestGuessingKeysIsBoundedAndToldApartFromKnowing(t *testing.T) {
	s := newStage(t)
	r := s.replica(s.options("vault"))
	server := s.serve(r.Receiver.door())
	l := s.subscribe(nil)
	bustest.Eventually(t, 5*time.Second, func() string { return known(r.Receiver, l) })
	r.records.lookups.SetLimit(0)
	r.records.lookups.SetBurst(0)
	good := body(t, nil, l.item(anna, nil, nil))
	if got := send(t, server, "POST", "/graph/"+subscription.NewKey()+"/notifications", jsonType, good); got.status != http.StatusServiceUnavailable || got.body != "" {
		t.Errorf("a key that could not be looked up is answered %d: a new subscription's notification would be lost", got.status)
	}
	if got := l.post(t, server, good); got.status != http.StatusAccepted || s.held(topology.Ingress) != 1 {
		t.Errorf("a known key is answered %d", got.status)
	}
}

func known(r *Receiver, l lane) string {
	r.records.mu.RLock()
	defer r.records.mu.RUnlock()
	if _, ok := r.records.known[subscription.KeyOf(l.key)]; !ok {
		return "the record is not mirrored"
	}
	return ""
}

func TestTheHandshakeIsEchoedOnlyWhileItIsExpected(t *testing.T) {
	s := newStage(t)
	r := s.replica(s.options("vault"))
	server := s.serve(r.Receiver.door())
	inFlight := s.subscribe(func(rec *subscription.Record) { rec.ID = "" })
	over := s.subscribe(func(rec *subscription.Record) { rec.Handshake = time.Now().Add(-time.Second) })
	const token = "Validation: Testing client application reachability +/%2B= Request-Id: 1"
	const sent = "Validation%3A+Testing%20client+application+reachability+%2B%2F%252B%3D+Request-Id%3A+1"
	tests := []struct{ name, key, query, want, result string }{
		{"while a create is in flight", inFlight.key, "validationToken=" + sent, token, echoed},
		{"behind another parameter", inFlight.key, "a=b&validationToken=" + sent, token, echoed},
		{"after its time", over.key, "validationToken=" + sent, "", unexpected},
		{"for a key that nobody has", subscription.NewKey(), "validationToken=" + sent, "", unexpected},
		{"with markup", inFlight.key, "validationToken=%3Cscript%3E", "", hostile},
		{"with a quote", inFlight.key, "validationToken=a%22b", "", hostile},
		{"with a line break", inFlight.key, "validationToken=a%0D%0Ab", "", hostile},
		{"that is not UTF-8", inFlight.key, "validationToken=%ff", "", hostile},
		{"that is empty", inFlight.key, "validationToken=", "", hostile},
		{"that is too long", inFlight.key, "validationToken=" + strings.Repeat("x", notification.MaxHandshake+1), "", hostile},
		{"that comes twice", inFlight.key, "validationToken=a&validationToken=b", "", hostile},
	}
	for _, test := range tests {
		for _, path := range []string{"/notifications", "/lifecycle"} {
			t.Run(test.name+path, func(t *testing.T) {
				before := counted(t, r.telemetry, "offhook_handshakes_total", test.result)
				got := send(t, server, "POST", "/graph/"+test.key+path+"?"+test.query, "text/plain; charset=utf-8", nil)
				status := http.StatusAccepted
				if test.want != "" {
					status = http.StatusOK
				}
				if got.status != status || got.body != test.want {
					t.Errorf("answered %d %q, want %d %q", got.status, got.body, status, test.want)
				}
				if test.want != "" && got.header.Get("Content-Type") != "text/plain; charset=utf-8" {
					t.Errorf("as %q", got.header.Get("Content-Type"))
				}
				if got.header.Get("X-Content-Type-Options") != "nosniff" || got.header.Get("Content-Security-Policy") != "default-src 'none'" {
					t.Errorf("a browser may interpret it: %v", got.header)
				}
				if n := counted(t, r.telemetry, "offhook_handshakes_total", test.result) - before; n != 1 {
					t.Errorf("counted %d as %s", n, test.result)
				}
			})
		}
	}
	if got := send(t, server, "GET", "/graph/"+inFlight.key+"/notifications?validationToken=a", "", nil); got.status != http.StatusAccepted || got.body != "" {
		t.Errorf("a GET, which a browser can be led to, is answered %d %q", got.status, got.body)
	}
}

func TestTheSameEncryptedPostIsStoredOnceAndTheSameBasicOneTwice(t *testing.T) {
	s := newStage(t)
	r := s.replica(s.options("vault"))
	server := s.serve(r.Receiver.door())
	l := s.subscribe(nil)
	rich := body(t, []string{"token"}, l.item(anna, s.busy(s.certificate(), anna), nil))
	basic := body(t, nil, l.item(anna, nil, nil))
	mixed := body(t, []string{"token"}, l.item(anna, s.busy(s.certificate(), anna), nil), l.item(ben, nil, nil))
	want, again := 0, 0
	for _, test := range []struct {
		name string
		data []byte
		adds int
	}{{"encrypted", rich, 1}, {"basic", basic, 2}, {"both in one", mixed, 2}} {
		for range 2 {
			if got := l.post(t, server, test.data); got.status != http.StatusAccepted {
				t.Fatalf("%s: answered %d", test.name, got.status)
			}
		}
		if want += test.adds; s.held(topology.Ingress) != want {
			t.Errorf("%s, twice: %d are stored now, want %d", test.name, s.held(topology.Ingress), want)
		}
		if again += 2 - test.adds; r.noted(t, repeated) != again {
			t.Errorf("%s, twice: %d are counted as repeated now, want %d", test.name, r.noted(t, repeated), again)
		}
	}
}

func TestWhatCannotBeStoredIsAnswered503AtOnce(t *testing.T) {
	t.Parallel()
	t.Run("the stream is full", func(t *testing.T) {
		s := newStage(t)
		r := s.replica(s.options("vault"))
		server, l := s.serve(r.Receiver.door()), s.subscribe(nil)
		s.resize(64)
		s.refused(r, func() answer { return l.post(t, server, body(t, nil, l.item(anna, nil, nil))) })
	})
	t.Run("one tenant's share is full, and another's is not", func(t *testing.T) {
		s := newStage(t)
		r := s.replica(s.options("vault"))
		server, l := s.serve(r.Receiver.door()), s.subscribe(nil)
		other := s.subscribe(func(rec *subscription.Record) { rec.Tenant = identity.Tenant("fabrikam") })
		js, err := s.bus.JetStream().Stream(t.Context(), string(topology.Ingress))
		must(t, err)
		config := js.CachedInfo().Config
		config.MaxMsgsPerSubject = 1
		_, err = s.bus.JetStream().UpdateStream(t.Context(), config)
		must(t, err)
		if got := l.post(t, server, body(t, nil, l.item(anna, nil, nil))); got.status != http.StatusAccepted {
			t.Fatalf("the first is answered %d", got.status)
		}
		s.refused(r, func() answer { return l.post(t, server, body(t, nil, l.item(anna, nil, nil))) })
		if got := other.post(t, server, body(t, nil, other.item(anna, nil, nil))); got.status != http.StatusAccepted {
			t.Errorf("another tenant is answered %d", got.status)
		}
	})
	t.Run("the broker is stopped", func(t *testing.T) {
		t.Parallel()
		s := newStage(t)
		r := s.replica(s.options("vault"))
		server, l := s.serve(r.Receiver.door()), s.subscribe(nil)
		bustest.Eventually(t, 5*time.Second, func() string { return known(r.Receiver, l) })
		s.broker.Close()
		s.refused(r, func() answer { return l.post(t, server, body(t, nil, l.item(anna, nil, nil))) })
	})
}

func (s *stage) refused(r *replica, post func() answer) {
	s.t.Helper()
	began := time.Now()
	got := post()
	if got.status != http.StatusServiceUnavailable || got.body != "" {
		s.t.Errorf("answered %d %q", got.status, got.body)
	}
	if took := time.Since(began); took > answerWithin/2 { // it waited for something
		s.t.Errorf("answered after %v", took)
	}
	if n := r.noted(s.t, refused); n != 1 {
		s.t.Errorf("%d counted as refused", n)
	}
}

// The broker is stopped while POSTs come, and what it kept is counted afterwards.
// The control answers before the ack and must lose some: else this proves nothing.
func TestNothingThatWasAnswered202IsLostWhenTheBrokerIsStopped(t *testing.T) {
	t.Parallel()
	run := func(t *testing.T, door func(*replica) http.Handler) (accepted, kept int) {
		s := newStage(t)
		r := s.replica(s.options("vault"))
		l := s.subscribe(nil)
		bustest.Eventually(t, 5*time.Second, func() string { return known(r.Receiver, l) })
		server := s.serve(door(r))
		data := body(t, nil, l.item(anna, nil, nil))
		for i := range 60 {
			if i == 30 {
				s.broker.Close()
			}
			if l.post(t, server, data).status == http.StatusAccepted {
				accepted++
			}
		}
		return accepted, heldBy(t, bustest.Connect(t, restart(t, s.dir), "test"), topology.Ingress)
	}
	t.Run("the door", func(t *testing.T) {
		t.Parallel()
		if accepted, kept := run(t, func(r *replica) http.Handler { return r.Receiver.door() }); accepted != kept || accepted == 0 || accepted == 60 {
			t.Errorf("%d answered 202, %d kept", accepted, kept)
		}
	})
	t.Run("control: a door that does not wait for the ack", func(t *testing.T) {
		t.Parallel()
		hasty := func(r *replica) http.Handler {
			return http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(http.StatusAccepted)
				subject, data := wire.Ingress{Tenant: contoso, Resource: "presence"}.Encode()
				_, _ = r.bus.JetStream().PublishAsync(subject, data, jetstream.WithRetryAttempts(0))
			})
		}
		if accepted, kept := run(t, hasty); accepted <= kept {
			t.Errorf("%d answered 202, %d kept: the control lost nothing", accepted, kept)
		}
	})
}

func TestAFloodForOneSubscriptionIsBoundedAndLeavesOthersAlone(t *testing.T) {
	s := newStage(t)
	o := s.options("vault")
	o.PerSecond = 3
	r := s.replica(o)
	server, l, other := s.serve(r.Receiver.door()), s.subscribe(nil), s.subscribe(nil)
	turned := 0
	for range 20 {
		if l.post(t, server, []byte("rubbish")).status == http.StatusServiceUnavailable {
			turned++
		}
	}
	if turned == 0 || r.noted(t, flooded) != turned {
		t.Errorf("%d of 20 turned away, %d counted", turned, r.noted(t, flooded))
	}
	if got := other.post(t, server, body(t, nil, other.item(anna, nil, nil))); got.status != http.StatusAccepted || r.noted(t, stored) != 1 {
		t.Errorf("another subscription is answered %d", got.status)
	}
}

// restart starts a broker on what a stopped one left.
func restart(t testing.TB, dir string) *embedded.Server {
	t.Helper()
	broker, err := embedded.Start(embedded.Options{Dir: filepath.Join(dir, "nats"), NoSync: true})
	must(t, err)
	t.Cleanup(broker.Close)
	return broker
}
