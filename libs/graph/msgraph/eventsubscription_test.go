package msgraph_test

import (
	"encoding/json"
	"net/http"
	"testing"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/secret"
)

func TestASubscriptionToEventsIsWhatItMustBe(t *testing.T) {
	host := newStage(t, func(_ int, w http.ResponseWriter, r *http.Request) {
		reply(w, http.StatusCreated, `{"id":"s","resource":"users/`+string(anna)+`/events","expirationDateTime":"2026-12-01T00:00:00Z"}`)
	})
	client := host.client(t, nil)
	resource, err := graph.EventResource(anna)
	if err != nil {
		t.Fatal(err)
	}
	pair, err := secret.NewKeyPair("notifications", time.Now(), time.Hour)
	if err != nil {
		t.Fatal(err)
	}
	good := graph.NewSubscription{Resource: resource, Change: graph.EventChanges, Notify: "https://offhook.example/n", Lifecycle: "https://offhook.example/l",
		State: secret.NewValue("s"), Expires: time.Now().Add(graph.MaxEventLife)}
	for name, change := range map[string]func(*graph.NewSubscription){
		"no lifecycle URL":     func(n *graph.NewSubscription) { n.Lifecycle = "" },
		"resource data":        func(n *graph.NewSubscription) { n.Certificate = pair.Certificate },
		"more than seven days": func(n *graph.NewSubscription) { n.Expires = time.Now().Add(7 * 24 * time.Hour) },
		"in another spelling":  func(n *graph.NewSubscription) { n.Resource, n.Lifecycle = "Users('"+string(anna)+"')/Events", "" },
	} {
		bad := good
		change(&bad)
		if _, err := client.Create(t.Context(), bad); fault.KindOf(err) != fault.Invalid || len(host.seen()) != 0 {
			t.Fatalf("%s: %v after %d requests, want invalid without one", name, err, len(host.seen()))
		}
	}
	made, err := client.Create(t.Context(), good)
	if err != nil {
		t.Fatal(err)
	}
	if user, ok := graph.EventUser(made.Resource); !ok || user != anna {
		t.Errorf("made for %q", made.Resource)
	}
	got := host.seen()[0]
	var sent map[string]any
	if err := json.Unmarshal([]byte(got.body), &sent); err != nil {
		t.Fatal(err)
	}
	if got.header.Get("Prefer") != `IdType="ImmutableId"` {
		t.Errorf("Prefer: %q", got.header.Get("Prefer"))
	}
	if sent["changeType"] != "created,updated,deleted" || sent["lifecycleNotificationUrl"] != good.Lifecycle || sent["includeResourceData"] != nil || sent["clientState"] != "s" {
		t.Errorf("sent %v", sent)
	}
}
