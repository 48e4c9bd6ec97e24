package api

import (
	"log/slog"
	"testing"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/links"
	"offhook.dev/libs/options"
	"offhook.dev/libs/wire"
)

func TestAWatcherWithoutRoomIsDroppedAtOnceAndTheOthersGetEverything(t *testing.T) {
	m := newModel(slog.New(slog.DiscardHandler), links.NewMirror(), options.NewMirror(base(nil), slog.New(slog.DiscardHandler)), nil, time.Now)
	h := newHub(m, nil)
	who := identity.Person{Tenant: "contoso", User: "00000000-0000-4000-8000-000000000001"}
	d := wire.Decision{ID: "d", Person: who}
	_, data := d.Encode()
	m.foldDecision(d, data)
	slow, _, err := h.watch("contoso", "")
	if err != nil {
		t.Fatal(err)
	}
	quick, _, _ := h.watch("", "")
	other, _, _ := h.watch("fabrikam", "")
	for n := range uint64(watchBuffer + 1) {
		h.outcome(t.Context(), n+1, outcome{line: &wire.Outcome{Person: who, Decision: "d", Result: wire.Failed}}, true)
		if e, kept := <-quick.events; !kept || e.id != n+1 {
			t.Fatalf("the quick watcher got %d, %v; want %d", e.id, kept, n+1)
		}
	}
	got := 0
	for range slow.events { // ends because the channel is closed
		got++
	}
	if got != watchBuffer || len(other.events) != 0 {
		t.Fatalf("the slow watcher got %d before it was dropped, want %d; another tenant's %d", got, watchBuffer, len(other.events))
	}
	h.leave(slow) // twice gone is gone
	h.outcome(t.Context(), 5000, outcome{line: &wire.Outcome{Person: who, Decision: "d", Result: wire.Failed}}, true)
	if e := <-quick.events; e.id != 5000 {
		t.Fatalf("got %d", e.id)
	}
}
