package graphwriter

import (
	"context"
	"fmt"
	"strings"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/wire"
)

func graphSession(show string) graph.SessionPresence     { return graph.SessionPresence(show) }
func graphPreferred(show string) graph.PreferredPresence { return graph.PreferredPresence(show) }

// can says whether Graph can express what a want asks for.
func (t target) can(w wire.TeamsWant) (ok bool) {
	if t == session {
		_, _, ok = graphSession(w.Session).Pair()
	} else {
		_, _, ok = graphPreferred(w.Preferred).Pair()
	}
	return ok
}

// look reads the person's presence before a preferred presence of ours is cleared:
// Graph does not tell ours from theirs, and would clear either. It returns remove or
// forget, or none where w holds what is to be said instead.
func (t *tenant) look(ctx context.Context, p *person, w *work) step {
	var found []graph.Presence
	w.outcome.BeganAt = t.w.bus.Now()
	err := t.request(ctx, func(ctx context.Context, client Client) (err error) {
		found, _, err = client.Presences(ctx, []identity.User{p.id.User})
		return err
	})
	if err == nil && len(found) == 0 {
		err = fault.Errorf(fault.NotFound, "read presence", "Graph does not know the user any more")
	}
	if err != nil {
		t.give(ctx, p, w, preferred, err)
		return none
	}
	if w.next.explains(found[0]) {
		return remove
	}
	w.settle(preferred, wire.RefusedPerson, fmt.Sprintf("Teams shows %s/%s, which is not ours: it stays", found[0].Availability, found[0].Activity))
	return forget
}

// explains says whether what shows leaves room for a preferred presence of ours:
//
//	our preferred presence                      by its availability
//	our own session                             ours, not seen yet or over already
//	offline, or unknown: no session of anybody  a preferred presence does not show then
//
// Anything else is a person's choice, made over ours.
func (e entry) explains(shown graph.Presence) bool {
	for _, p := range []*pin{e.Preferred, e.doubt(preferred)} {
		if p == nil || p.Show == "" {
			continue
		}
		if availability, _, _ := strings.Cut(p.Show, "/"); strings.EqualFold(availability, shown.Availability) {
			return true
		}
	}
	for _, p := range []*pin{e.Session, e.doubt(session)} {
		if p != nil && strings.EqualFold(p.Show, shown.Availability+"/"+shown.Activity) {
			return true
		}
	}
	offline := strings.EqualFold(shown.Availability, "Offline") && strings.EqualFold(shown.Activity, "Offline")
	return offline || strings.EqualFold(shown.Availability, "PresenceUnknown")
}
