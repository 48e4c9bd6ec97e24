package msgraph_test

import (
	"context"
	"crypto/tls"
	"io"
	"net/http"
	"net/http/httptest"
	"testing"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/graph/msgraph"
	"offhook.dev/libs/graph/notification"
	"offhook.dev/libs/secret"
)

// newReceiver answers handshakes and passes on what else is posted.
func newReceiver(t *testing.T, authority *secret.Authority) (url string, posts <-chan []byte) {
	t.Helper()
	received := make(chan []byte, 16)
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		if token := r.URL.Query().Get("validationToken"); token != "" {
			if err := notification.CheckHandshake(token); err != nil {
				t.Errorf("handshake %q: %v", token, err)
			}
			io.WriteString(w, token)
			return
		}
		body, err := io.ReadAll(r.Body)
		if err != nil {
			t.Error(err)
		}
		received <- body
		w.WriteHeader(http.StatusAccepted)
	}))
	certificate, err := authority.Issue("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL + "/graph/key/notifications", received
}

// delegate signs the account in and returns its client.
func (s simulated) delegate(t *testing.T) *msgraph.Client {
	t.Helper()
	source, err := msgraph.NewDelegated(msgraph.DelegatedConfig{Directory: directory, ClientID: appID, Cloud: s.cloud,
		Store: &keeper{value: "first"}, Roots: s.server.Authority().Pool()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(source.Close)
	client, err := msgraph.New(msgraph.Config{Tenant: "contoso", Cloud: s.cloud, Tokens: source, Roots: s.server.Authority().Pool()})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(client.Close)
	return client
}

// A presence change travels the whole way that both packages are for: subscribed
// to by a delegated account, posted, authenticated, verified, opened.
func TestARichNotificationIsSubscribedToVerifiedAndOpened(t *testing.T) {
	for name, version := range map[string]string{"tokens of version 1.0": "v1", "tokens of version 2.0": "v2"} {
		t.Run(name, func(t *testing.T) {
			sim := simulate(t, 3)
			if err := sim.tenant.Switch(func(s *graphsim.Switches) { s.ValidationTokens = version }); err != nil {
				t.Fatal(err)
			}
			client := sim.delegate(t)
			url, posts := newReceiver(t, sim.server.Authority())
			pair, err := secret.NewKeyPair("notifications", time.Now(), time.Hour)
			if err != nil {
				t.Fatal(err)
			}
			users := sim.ids(t)
			resource, err := graph.PresenceResource(users)
			if err != nil {
				t.Fatal(err)
			}
			want := graph.NewSubscription{Resource: resource, Change: "updated", Notify: url, State: state,
				Expires: time.Now().Add(graph.MaxPresenceLife - time.Minute), Certificate: pair.Certificate, CertificateID: "k1"}
			made, err := client.Create(t.Context(), want)
			if err != nil || !made.Rich || made.CertificateID != "k1" {
				t.Fatalf("%+v, %v", made, err)
			}
			if err := sim.tenant.SetPresence("anna", "Busy", "InAMeeting"); err != nil {
				t.Fatal(err)
			}
			batch := next(t, posts)
			if len(batch.Items) != 1 || len(batch.Bad) != 0 {
				t.Fatalf("%d items, bad %v", len(batch.Items), batch.Bad)
			}
			item := batch.Items[0]
			if item.Subscription != made.ID || !item.Authentic(secret.Hash("state-1")) || item.Directory != directory {
				t.Errorf("the item is %+v", item)
			}
			verifier := notification.NewVerifier(notification.VerifierConfig{Login: sim.server.LoginURL(), Client: trusting(sim.server.Authority())})
			if err := verifier.Verify(t.Context(), batch.Tokens, notification.Binding{Directory: directory, App: appID}); err != nil {
				t.Error(err)
			}
			if err := verifier.Verify(t.Context(), batch.Tokens, notification.Binding{Directory: appID, App: appID}); fault.KindOf(err) != fault.Denied {
				t.Errorf("for another tenant: %v, want denied", err)
			}
			truth, err := sim.tenant.Presence("anna")
			if err != nil {
				t.Fatal(err)
			}
			got, err := notification.Keys{"k1": pair.Key}.Presence(item)
			if err != nil || got != (graph.Presence{User: identity.User(truth.ID), Availability: "Busy", Activity: "InAMeeting"}) {
				t.Errorf("opened %+v, %v", got, err)
			}
		})
	}
}

func TestASubscriptionLivesThroughItsLife(t *testing.T) {
	sim := simulate(t, 3)
	ctx, cancel := context.WithTimeout(t.Context(), 20*time.Second)
	defer cancel()
	client := sim.delegate(t)
	url, _ := newReceiver(t, sim.server.Authority())
	resource, err := graph.PresenceResource(sim.ids(t))
	if err != nil {
		t.Fatal(err)
	}
	want := graph.NewSubscription{Resource: resource, Change: "updated", Notify: url, State: state, Expires: time.Now().Add(time.Minute)}
	if _, err := sim.client.Create(ctx, want); fault.KindOf(err) != fault.Denied {
		t.Errorf("by the app itself: %v, want denied, since presence is for delegated accounts", err)
	}
	unreachable := want
	unreachable.Notify = "https://127.0.0.1:1/nobody"
	if _, err := client.Create(ctx, unreachable); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("with nobody at the notification URL: %v, want unavailable", err)
	}
	made, err := client.Create(ctx, want)
	if err != nil {
		t.Fatal(err)
	}
	if left := time.Until(made.Expires); left < graph.MinPresenceLife-time.Minute {
		t.Errorf("it lives %v, want what Graph raised it to", left)
	}
	if _, err := client.Create(ctx, want); fault.KindOf(err) != fault.Conflict {
		t.Errorf("a second one: %v, want conflict", err)
	}
	if got, err := client.Subscription(ctx, made.ID); err != nil || got != made {
		t.Errorf("read back %+v, %v; want %+v", got, err, made)
	}
	if all, err := client.Subscriptions(ctx); err != nil || len(all) != 1 || all[0] != made {
		t.Errorf("listed %+v, %v", all, err)
	}
	later := time.Now().Add(55 * time.Minute)
	if got, err := client.Renew(ctx, made.ID, graph.Renewal{Expires: later}); err != nil || got.Expires.Sub(later).Abs() > time.Second {
		t.Errorf("renewed until %v, %v; want %v", got.Expires, err, later)
	}
	for range 2 {
		if err := client.Delete(ctx, made.ID); err != nil {
			t.Error(err)
		}
	}
	if _, err := client.Subscription(ctx, made.ID); fault.KindOf(err) != fault.NotFound {
		t.Errorf("after its end: %v, want not found", err)
	}
}

// next takes one post apart.
func next(t *testing.T, posts <-chan []byte) notification.Batch {
	t.Helper()
	select {
	case body := <-posts:
		batch, err := notification.Decode(body)
		if err != nil {
			t.Fatal(err)
		}
		return batch
	case <-time.After(10 * time.Second):
		t.Fatal("nothing was posted within 10s")
		return notification.Batch{}
	}
}

func trusting(authority *secret.Authority) *http.Client {
	return &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.Pool()}}}
}
