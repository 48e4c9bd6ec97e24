package contactsync

import (
	"fmt"
	"strings"
	"testing"

	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/plans"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// results are what a plan says came of its changes: "18 done, 1 refused: not so".
func (s *stage) results(id string) (plans.Head, map[string]int) {
	s.t.Helper()
	h, err := plans.Load(s.t.Context(), s.stores[topology.BookPlans], id)
	s.must(err)
	all := map[string]int{}
	for _, c := range h.Changes {
		switch {
		case c.Result == nil:
			all["nothing"]++
		case c.Result.At.IsZero():
			s.t.Errorf("%+v came at no time", c)
		default:
			all[strings.TrimSuffix(c.Result.Result+": "+c.Result.Detail, ": ")]++
		}
	}
	return h, all
}

func TestAPlanSaysAtTheEndOfItsOrderWhatCameOfIt(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name string
		most int // that a plan lists
		also int // that its end lists, at least
	}{
		{"all changes are listed", 0, 0},
		{"those that went wrong are listed, though not all are", 1, 2},
	} {
		s := newStage(t)
		s.opts.Tenants[0].Policy = plan.Off
		s.opts.listed = c.most
		p := s.system(hq, nil)
		p.refusing(wire.ChangeRefused, 3, 4, 5)
		s.link(person(1), lineOf(hq, "204"))
		o := s.mailbox(person(1), false)
		o.many("contacts", 0, 19, 1)
		s.start()
		o.full()
		s.stands(person(1), bookOf(hq, "204"), whyPolicy)
		shown := s.shown("p")
		s.order("a", wire.SyncApply, func(o *wire.SyncOrder) { o.Plan = shown.ID })
		if out := s.ended("a", wire.SyncDone); out.Total != 19 || out.Failed != 3 {
			t.Errorf("%s: %+v", c.name, out)
		}
		h, results := s.results(shown.ID)
		if h.State != wire.SyncDone || h.Order != "a" || h.Op != wire.SyncApply || h.Total != 19 || h.Done != 19 || h.Failed != 3 {
			t.Errorf("%s: %+v", c.name, h)
		}
		if len(h.Changes) < len(shown.Changes)+c.also || len(h.Changes)+h.Unlisted != 19 {
			t.Errorf("%s: %d changes are listed, and %d are not", c.name, len(h.Changes), h.Unlisted)
		}
		wrong := 0
		for _, r := range h.Changes {
			if r.Result != nil && r.Result.Result == "refused" && r.Result.Detail == refusal && r.Op == plan.Create && r.Reason == reasonNew {
				wrong++
			}
		}
		if wrong != 3 || results["done"] != len(h.Changes)-3 {
			t.Errorf("%s: %v", c.name, results)
		}
		s.order("again", wire.SyncApply, func(o *wire.SyncOrder) { o.Plan = shown.ID })
		if out := s.ended("again", wire.SyncRefused); out.Detail == "" {
			t.Errorf("%s: %+v", c.name, out)
		}
	}
}

func TestAPlanThatTheBrakeHeldSaysSoAtTheEnd(t *testing.T) {
	t.Parallel()
	s, o, _ := one(t, 60)
	for i := range 20 {
		o.remove("contacts", i)
	}
	o.delta()
	s.stands(person(1), bookOf(hq, "204"), whyHeld)
	shown := s.shown("p")
	s.order("a", wire.SyncApply, func(o *wire.SyncOrder) { o.Plan = shown.ID })
	s.ended("a", wire.SyncBraked)
	if h, results := s.results(shown.ID); h.State != wire.SyncBraked || h.Brake.Held != 20 || fmt.Sprint(results) != "map[nothing:20]" {
		t.Errorf("%+v, %v", h, results)
	}
}
