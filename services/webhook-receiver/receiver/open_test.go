package receiver

import (
	"context"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// hint returns the stored hint about an id with its cause, or "".
func (s *stage) hint(kind, id string) string {
	s.t.Helper()
	m, err := s.bus.Last(s.t.Context(), topology.Hints, "m365.hint."+topology.Join(kind, string(contoso), id))
	if err != nil {
		return ""
	}
	hint, err := wire.DecodeHint(m.Data)
	must(s.t, err)
	return hint.Cause
}

// poll stores a fact as graph-poller does.
func (s *stage) poll(user string, source presence.Source, seen time.Time) {
	s.t.Helper()
	subject, data := wire.Presence{Person: identity.Person{Tenant: contoso, User: identity.User(user)},
		Reading: presence.TeamsReading{Availability: "Away", Activity: "Away", Source: source, SeenAt: seen}}.Encode()
	_, err := s.bus.Publish(s.t.Context(), bus.Message{Subject: subject, Data: data})
	must(s.t, err)
}

func TestWhatIsFoundInsideOfAStoredPost(t *testing.T) {
	now := time.Now()
	tests := []struct {
		name   string
		at     time.Time // of the post; zero: now
		known  presence.Source
		seen   time.Time // of the known fact; zero: there is none
		tokens func(s *stage) []string
		item   func(s *stage, l lane) any
		result string
		fact   string
		hint   string
	}{
		{name: "a rich item becomes a fact", result: "fact", fact: "Busy/InAMeeting"},
		{name: "one without content becomes a hint", result: "basic", hint: "notification without content",
			item: func(_ *stage, l lane) any { return l.item(anna, nil, nil) }},
		{name: "one opened five seconds late becomes a hint", at: now.Add(-tooOld - time.Second), result: "late", hint: "notification opened late"},
		{name: "one opened four seconds late is still a fact", at: now.Add(-tooOld + time.Second), result: "fact", fact: "Busy/InAMeeting"},
		{name: "one older than the newest poll becomes a hint", at: now.Add(-2 * time.Second), seen: now.Add(-time.Second), known: presence.Poll,
			result: "overtaken", fact: "Away/Away", hint: "notification older than the newest poll"},
		{name: "one newer than the newest poll wins", seen: now.Add(-time.Minute), known: presence.Poll, result: "fact", fact: "Busy/InAMeeting"},
		{name: "one older than another notification says nothing", at: now.Add(-2 * time.Second), seen: now.Add(-time.Second), known: presence.Notification,
			result: "overtaken", fact: "Away/Away"},
		{name: "one whose item names another tenant is nothing", result: "foreign-tenant",
			item: func(s *stage, l lane) any {
				return l.item(anna, s.busy(s.certificate(), anna), map[string]any{"tenantId": elsewhere})
			}},
		{name: "an event is nothing yet", result: "not-presence",
			item: func(s *stage, l lane) any {
				return l.item(anna, s.busy(s.certificate(), anna), map[string]any{"resource": "users/" + anna + "/events/AA"})
			}},
	}
	s := newStage(t)
	r := s.replica(s.options("vault"))
	r.now = func() time.Time { return now } // however slow this machine is
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			must(t, s.purge())
			l := s.subscribe(func(rec *subscription.Record) { rec.ID = fmt.Sprint("sub-", i) })
			if !test.seen.IsZero() {
				s.poll(anna, test.known, test.seen)
			}
			var item any = l.item(anna, s.busy(s.certificate(), anna), nil)
			if test.item != nil {
				item = test.item(s, l)
			}
			before := r.found(t, test.result)
			must(t, r.open(t.Context(), bus.Message{Data: l.ingress(t, []string{s.login.token(t, nil)}, item), Time: or(test.at, now)}))
			if got := s.fact(anna); got != test.fact {
				t.Errorf("the fact is %q, want %q", got, test.fact)
			}
			if got := s.hint("presence", anna); got != test.hint {
				t.Errorf("the hint is %q, want %q", got, test.hint)
			}
			if n := r.found(t, test.result) - before; n != 1 {
				t.Errorf("counted %d as %s", n, test.result)
			}
			if n := s.held(topology.ParkedMsg); n != 0 {
				t.Errorf("%d parked", n)
			}
		})
	}
}

// The bus parks a message whose handler has timed out forty times, and never one whose
// handler found something unavailable.
func TestAPostThatCouldNotBeAuthenticatedInTimeIsTriedAgainAndNeverParked(t *testing.T) {
	s := newStage(t)
	r := s.replica(s.options("vault"))
	l := s.subscribe(nil)
	release := make(chan struct{})
	defer close(release)
	s.login.answer(func(http.ResponseWriter) bool { <-release; return true })
	post := bus.Message{Data: l.ingress(t, []string{s.login.token(t, nil)}, l.item(anna, s.busy(s.certificate(), anna), nil)), Time: time.Now()}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if err := r.unpack(ctx, post); fault.KindOf(err) != fault.Timeout {
		t.Fatalf("the login host hangs, and opening ends with %v", err) // what follows would prove nothing
	}
	if err := r.open(ctx, post); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("the bus is told %v: %v", fault.KindOf(err), err)
	}
	for kind, want := range map[fault.Kind]fault.Kind{
		fault.Timeout: fault.Unavailable, fault.Conflict: fault.Unavailable, fault.Unknown: fault.Unavailable,
		fault.Throttled: fault.Throttled, fault.Unavailable: fault.Unavailable, fault.Cancelled: fault.Cancelled, fault.Invalid: fault.Invalid,
	} {
		err := patient(fault.After(kind, "test", time.Minute, nil))
		if fault.KindOf(err) != want || fault.RetryAfter(err) != time.Minute {
			t.Errorf("%v: the bus is told %v, and to wait %v", kind, fault.KindOf(err), fault.RetryAfter(err))
		}
	}
	if patient(nil) != nil {
		t.Error("success became an error")
	}
}

func or(at, otherwise time.Time) time.Time {
	if at.IsZero() {
		return otherwise
	}
	return at
}

// purge empties facts and hints between cases.
func (s *stage) purge() error {
	for _, name := range []topology.Stream{topology.Facts, topology.Hints} {
		js, err := s.bus.JetStream().Stream(s.t.Context(), string(name))
		if err != nil {
			return err
		}
		if err := js.Purge(s.t.Context()); err != nil {
			return err
		}
	}
	return nil
}

func TestAForgedTokenMakesNoFactAndIsNeverParked(t *testing.T) {
	s := newStage(t)
	r := s.replica(s.options("vault"))
	l := s.subscribe(nil)
	none := func(changes map[string]any) string {
		return signed(t, jwt.SigningMethodNone, jwt.UnsafeAllowNoneSignatureType, s.login.claims(changes))
	}
	tests := []struct {
		name   string
		tokens []string
	}{
		{"rubbish", []string{"rubbish"}},
		{"another tenant's, genuine for it", []string{s.login.token(t, map[string]any{"tid": elsewhere, "iss": s.login.URL + "/" + elsewhere + "/v2.0"})}},
		{"another tenant's issuer under our tid", []string{s.login.token(t, map[string]any{"iss": s.login.URL + "/" + elsewhere + "/v2.0"})}},
		{"another app's", []string{s.login.token(t, map[string]any{"aud": elsewhere})}},
		{"from another publisher", []string{s.login.token(t, map[string]any{"azp": elsewhere})}},
		{"expired", []string{s.login.token(t, map[string]any{"exp": time.Now().Add(-time.Hour).Unix()})}},
		{"without a signature", []string{none(nil)}},
		{"with a MAC under the public key", []string{signed(t, jwt.SigningMethodHS256, signer().N.Bytes(), s.login.claims(nil))}},
		{"with its signature cut", []string{strings.TrimRight(s.login.token(t, nil), "A")[:300]}},
	}
	for i, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			// The content is undecryptable too: were it looked at, it would be parked.
			content := s.busy(s.certificate(), anna)
			content["encryptionCertificateId"] = "lost"
			if err := r.open(t.Context(), bus.Message{Data: l.ingress(t, test.tokens, l.item(anna, content, nil)), Time: time.Now()}); err != nil {
				t.Errorf("it is tried again: %v", err)
			}
			if n := r.found(t, "forged"); n != i+1 {
				t.Errorf("counted %d, want %d", n, i+1)
			}
		})
	}
	if fact, hint, parked := s.fact(anna), s.hint("presence", anna), s.held(topology.ParkedMsg); fact != "" || hint != "" || parked != 0 {
		t.Errorf("fact %q, hint %q, %d parked", fact, hint, parked)
	}
	// Control: a genuine one beside forged ones is believed.
	must(t, r.open(t.Context(), bus.Message{Data: l.ingress(t, []string{none(nil), s.login.token(t, nil)}, l.item(anna, s.busy(s.certificate(), anna), nil)), Time: time.Now()}))
	if s.fact(anna) != "Busy/InAMeeting" {
		t.Errorf("control: the fact is %q", s.fact(anna))
	}
}

func TestAnUndecryptableItemIsParkedAloneWithItsReason(t *testing.T) {
	s := newStage(t)
	r := s.replica(s.options("vault"))
	l := s.subscribe(nil)
	lost := s.busy(s.certificate(), anna)
	lost["encryptionCertificateId"] = "lost-certificate"
	swapped := s.busy(s.certificate(), anna) // about anna, in an item about ben
	token := s.login.token(t, nil)
	must(t, r.open(t.Context(), bus.Message{Time: time.Now(), Data: l.ingress(t, []string{token},
		l.item(anna, lost, nil), l.item(ben, swapped, nil), l.item(ben, s.busy(s.certificate(), ben), nil))}))
	if s.fact(ben) != "Busy/InAMeeting" || s.fact(anna) != "" {
		t.Errorf("ben is %q, anna %q", s.fact(ben), s.fact(anna))
	}
	var reasons []string
	must(t, s.bus.History(t.Context(), topology.ParkedMsg, "parked.>", func(m bus.Message) error {
		reasons = append(reasons, m.Header.Get("Offhook-Parked-Reason"))
		in, err := wire.DecodeIngress(m.Data)
		must(t, err)
		if len(in.Items) != 1 || len(in.Tokens) != 1 || m.Header.Get("Offhook-Parked-Subject") != "in.contoso.presence" {
			t.Errorf("parked %d items on %s: it cannot be replayed alone", len(in.Items), m.Header.Get("Offhook-Parked-Subject"))
		}
		return nil
	}))
	if len(reasons) != 2 || r.found(t, "undecryptable") != 2 {
		t.Fatalf("parked %d, counted %d", len(reasons), r.found(t, "undecryptable"))
	}
	if all := strings.Join(reasons, "\n"); !strings.Contains(all, `certificate "lost-certificate"`) || strings.Contains(all, l.state) || strings.Contains(all, token) {
		t.Errorf("reasons: %s", all)
	}
}

func TestTwoItemsOfOneUserInOnePostAreAFactAndAHint(t *testing.T) {
	s := newStage(t)
	r := s.replica(s.options("vault"))
	l := s.subscribe(nil)
	away := s.seal(s.certificate(), `{"id":"`+anna+`","availability":"Away","activity":"Away"}`)
	must(t, r.open(t.Context(), bus.Message{Time: time.Now(), Data: l.ingress(t, []string{s.login.token(t, nil)},
		l.item(anna, s.busy(s.certificate(), anna), nil), l.item(anna, away, nil))}))
	if s.fact(anna) == "" || s.hint("presence", anna) == "" {
		t.Errorf("fact %q, hint %q: their order means nothing, so somebody must look", s.fact(anna), s.hint("presence", anna))
	}
}

func TestALifecycleEventIsAHintAboutItsSubscription(t *testing.T) {
	s := newStage(t)
	r := s.replica(s.options("vault"))
	l := s.subscribe(nil)
	if got := send(t, s.serve(r.Receiver.door()), "POST", "/graph/"+l.key+"/lifecycle", jsonType, body(t, nil, l.event())); got.status != http.StatusAccepted {
		t.Fatalf("answered %d", got.status)
	}
	m, err := s.bus.Last(t.Context(), topology.Ingress, "in.contoso.presence")
	must(t, err)
	must(t, r.open(t.Context(), m))
	if s.hint("subscription", subscription.KeyOf(l.key)) == "" {
		t.Error("no hint")
	}
}

func TestWhileTheLoginHostIsAwayItemsWaitAndAreNotLost(t *testing.T) {
	s := newStage(t)
	r := s.replica(s.options("vault"))
	l := s.subscribe(nil)
	m := bus.Message{Data: l.ingress(t, []string{s.login.token(t, nil)}, l.item(anna, s.busy(s.certificate(), anna), nil)), Time: time.Now()}
	s.login.answer(func(w http.ResponseWriter) bool { w.WriteHeader(http.StatusBadGateway); return true })
	err := r.open(t.Context(), m)
	if err == nil || fault.KindOf(err) != fault.Unavailable || s.held(topology.ParkedMsg) != 0 {
		t.Fatalf("%v; %d parked; want it to be tried again", err, s.held(topology.ParkedMsg))
	}
	s.login.answer(nil)
	clear(r.verifiers) // forgets that it has just asked in vain: a minute passes
	must(t, r.open(t.Context(), m))
	if s.fact(anna) != "Busy/InAMeeting" {
		t.Errorf("the fact is %q", s.fact(anna))
	}
}

func TestWhileTheBrokerCannotSayWhoseItIsAStoredPostWaits(t *testing.T) {
	s := newStage(t)
	deps, _ := s.deps()
	r, err := newReceiver(t.Context(), deps, s.options("vault")) // another replica took the POST: nothing is mirrored here yet
	must(t, err)
	l := s.subscribe(nil)
	data := l.ingress(t, nil, l.item(anna, nil, nil))
	r.records.lookups.SetBurst(0)
	if err := r.open(t.Context(), bus.Message{Data: data, Time: time.Now()}); err == nil {
		t.Error("it was forgotten")
	}
	r.records.lookups.SetBurst(1)
	bustest.Eventually(t, 5*time.Second, func() string {
		if err := r.open(t.Context(), bus.Message{Data: data, Time: time.Now()}); err != nil {
			return err.Error()
		}
		return ""
	})
	if s.hint("presence", anna) == "" {
		t.Error("no hint")
	}
}

func TestAPostForATenantThatIsNotServedAnyMoreIsForgotten(t *testing.T) {
	s := newStage(t)
	r := s.replica(s.options("vault"))
	l := s.subscribe(func(rec *subscription.Record) { rec.Tenant = "fabrikam" })
	must(t, r.open(t.Context(), bus.Message{Data: l.ingress(t, nil, l.item(anna, s.busy(s.certificate(), anna), nil)), Time: time.Now()}))
	gone := lane{key: subscription.NewKey(), record: l.record}
	must(t, r.open(t.Context(), bus.Message{Data: gone.ingress(t, nil, l.item(anna, nil, nil)), Time: time.Now()}))
	if n := r.found(t, "forgotten-subscription"); n != 2 {
		t.Errorf("counted %d", n)
	}
}

// The order of events says it all: the answer is there while the keys of Entra are
// not even asked for, so no latency of theirs can delay it.
func TestAPostOfAHundredRichItemsIsAnsweredBeforeKeysAreFetched(t *testing.T) {
	s := newStage(t)
	release := make(chan struct{})
	s.login.answer(func(http.ResponseWriter) bool { <-release; return false })
	at := s.run(s.options("vault"))
	l := s.subscribe(nil)
	var items []any
	for i := range 100 {
		user := fmt.Sprintf("00000000-0000-0000-0000-%012d", i)
		items = append(items, l.item(user, s.busy(s.certificate(), user), nil))
	}
	data := body(t, []string{s.login.token(t, nil)}, items...)
	began := time.Now()
	if got := at.post(l, data); got != http.StatusAccepted {
		t.Fatalf("answered %d", got)
	}
	t.Logf("answered after %v", time.Since(began))
	if n := s.held(topology.Facts); n != 0 {
		t.Errorf("%d facts before the keys came", n)
	}
	close(release)
	bustest.Eventually(t, 20*time.Second, func() string {
		if n := s.held(topology.Facts) + s.held(topology.Hints); n < 100 {
			return fmt.Sprintf("%d of 100 became facts or hints", n)
		}
		return ""
	})
	if n := s.login.count(); n != 1 {
		t.Errorf("keys fetched %d times", n)
	}
}

func FuzzOpen(f *testing.F) {
	s := newStage(f)
	r := s.replica(s.options("vault"))
	l := s.subscribe(nil)
	item, err := json.Marshal(l.item(anna, s.busy(s.certificate(), anna), nil))
	must(f, err)
	f.Add(item, s.login.token(f, nil))
	f.Add([]byte(`{"value":1}`), "")
	f.Add([]byte(`{"subscriptionId":"sub-1","tenantId":"`+directory+`","changeType":"updated","resource":"users/`+anna+`/presence"}`), "a.b.c")
	f.Fuzz(func(t *testing.T, item []byte, token string) {
		token = strings.ToValidUTF8(token, "?") // the door's JSON lets nothing else through
		in := wire.Ingress{Tenant: contoso, Resource: "presence", Subscription: subscription.KeyOf(l.key), Items: [][]byte{item}, Tokens: []string{token}}
		_, data := in.Encode()
		// Whatever is stored: no panic, and nothing but the want of keys or of a broker makes it come again.
		if err := r.open(t.Context(), bus.Message{Data: data, Time: time.Now()}); err != nil && !fault.KindOf(err).Retryable() && fault.KindOf(err) != fault.Cancelled && fault.KindOf(err) != fault.Invalid {
			t.Fatal(err)
		}
	})
}
