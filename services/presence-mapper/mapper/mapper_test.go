package mapper

import (
	"fmt"
	"math/rand/v2"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

func TestAFactBecomesAWantAndADecisionThatSaysWhy(t *testing.T) {
	s := newStage(t)
	s.run("a")
	shown := s.ready(0)
	s.wants(0, presence.Available)
	s.teams(0, "Busy", s.bus.Now())
	w := s.wants(0, presence.DND)
	if w.Person != person(0) || w.LinkRevision != 1 || w.DecidedOn != shown.Observation || w.Reason != presence.ByTeams.String() || w.Revision.Sequence == 0 || w.SeenAt.IsZero() {
		t.Errorf("want %+v", w)
	}
	var d wire.Decision
	s.eventually(func() string {
		for _, d = range s.decisions(0) {
			if d.ID == w.Decision {
				return ""
			}
		}
		return "no decision of that want"
	})
	if len(d.Wants) != 1 || d.Wants[0].Status != presence.DND || d.Trigger != "m365.fact.presence" || d.Reason != w.Reason || d.Wake.IsZero() {
		t.Errorf("decision %+v", d)
	}
	if len(d.Evidence) != 1 || d.Evidence[0].Value != "Busy/Busy" || d.Evidence[0].Sequence == 0 || d.Evidence[0].Origin != "notification" {
		t.Errorf("evidence %+v", d.Evidence)
	}
	if len(d.Claims) == 0 || d.Claims[0].Source != string(presence.TeamsClaim) || d.Claims[0].Status != presence.DND {
		t.Errorf("claims %+v", d.Claims)
	}
}

func TestNothingIsWantedBeforeBothSidesHaveBeenRead(t *testing.T) {
	for _, c := range []struct {
		name string
		read func(*stage)
	}{
		{"neither", func(*stage) {}},
		{"only Teams", func(s *stage) { s.teams(0, "Busy", s.bus.Now()) }},
		{"only the phone system", func(s *stage) { s.phone(0, presence.Available, presence.Person, s.bus.Now(), nil) }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			s.link(0, 1)
			s.run("a")
			c.read(s)
			s.eventually(func() string {
				if len(s.decisions(0)) == 0 {
					return "not decided"
				}
				return ""
			})
			s.idle()
			if w, ok := s.want(0); ok {
				t.Errorf("wanted %+v", w)
			}
		})
	}
}

func TestAnOlderFactAfterANewerChangesNothing(t *testing.T) {
	s := newStage(t)
	s.run("a")
	s.ready(0)
	now := s.bus.Now()
	s.teams(0, "Busy", now)
	s.wants(0, presence.DND)
	s.teams(0, "Away", now.Add(-10*time.Second))
	s.idle()
	if w, _ := s.want(0); w.Status != presence.DND {
		t.Errorf("an older fact made %q of it", w.Status)
	}
}

// Our own write comes back as a fact. Remembering it would be the fifth synced
// write of a change (ingress, memory, and intent and effect in the ledger).
func TestAChangeCostsOneWriteOfMemory(t *testing.T) {
	s, first := silenced(t)
	s.idle()
	for _, c := range []struct {
		teams string
		wants presence.Status
	}{{"Available", presence.Available}, {"Busy", presence.DND}, {"Away", presence.Away}} {
		before := s.written()
		s.teams(0, c.teams, s.bus.Now())
		s.wants(0, c.wants)
		s.phone(0, c.wants, presence.Ours, s.bus.Now(), first.LastPerson)
		s.idle()
		if cost := s.written() - before; cost != 1 {
			t.Errorf("Teams %s cost %d writes of memory, want 1", c.teams, cost)
		}
	}
	// The control: what a person chose is remembered.
	before := s.written()
	s.phone(0, presence.Lunch, presence.Person, s.bus.Now(), nil)
	s.wants(0, presence.Lunch)
	if s.written() == before {
		t.Error("a person's choice was not remembered")
	}
}

func TestAPersonOfWhomOnlyOurOwnFactTellsIsHeard(t *testing.T) {
	s := newStage(t)
	s.run("a")
	first := s.ready(0)
	s.teams(0, "Busy", s.bus.Now())
	s.wants(0, presence.DND)
	s.phone(0, presence.DND, presence.Ours, s.bus.Now(), first.LastPerson)
	s.idle()
	// Between two readings a person chose lunch and we wrote dnd again: the fact of
	// the person was replaced by ours before anybody read it.
	at := s.bus.Now()
	s.phone(0, presence.DND, presence.Ours, s.bus.Now(), &presence.Choice{Status: presence.Away, Observation: at.UnixMicro(), At: at})
	if w := s.wants(0, presence.Away); w.DecidedOn != at.UnixMicro() {
		t.Errorf("decided on %d, want %d", w.DecidedOn, at.UnixMicro())
	}
}

// Two replicas get Teams facts and facts of the phone of the same people in any
// interleaving, and no minute pass repairs anything.
func TestTwoMappersDecideAsOne(t *testing.T) {
	const people, rounds = 20, 15
	s := newStage(t)
	s.run("a")
	s.run("b")
	last := make([]*presence.Choice, people)
	for i := range people {
		last[i] = s.ready(i).LastPerson
	}
	r := rand.New(rand.NewPCG(1, 2))
	shows := map[string]presence.Status{"Busy": presence.DND, "Available": presence.Available, "Away": presence.Away}
	words := []string{"Busy", "Available", "Away"}
	ends := make([]presence.Status, people)
	for range rounds {
		for i := range people {
			word := words[r.IntN(len(words))]
			s.teams(i, word, s.bus.Now())
			ends[i] = shows[word]
			s.phone(i, presence.Statuses()[r.IntN(3)], presence.Ours, s.bus.Now(), last[i])
		}
	}
	for i := range people {
		w := s.wants(i, ends[i])
		if w.DecidedOn != last[i].Observation {
			t.Errorf("line %d decided on %d, want %d", i, w.DecidedOn, last[i].Observation)
		}
	}
	s.idle()
	for i := range people {
		if w, _ := s.want(i); w.Status != ends[i] {
			t.Errorf("line %d ends as %q, want %q", i, w.Status, ends[i])
		}
		if got := s.record(i).Memory.Wants(); len(got) != 1 || got[0].Status != ends[i] {
			t.Errorf("memory of %d ends as %+v, want %q", i, got, ends[i])
		}
	}
}

func TestLinks(t *testing.T) {
	s := newStage(t)
	s.run("a")
	s.ready(0)
	s.teams(0, "Busy", s.bus.Now())
	s.wants(0, presence.DND)

	// A new link of the same pair: what was decided is wanted for the new one.
	s.link(0, 2)
	s.eventually(func() string {
		if w, _ := s.want(0); w.LinkRevision != 2 || w.Status != presence.DND {
			return "the want is for an older link"
		}
		return ""
	})
	// Unlinked: one release.
	entry, err := s.links.Get(t.Context(), wire.PersonKey(person(0)))
	if err == nil {
		err = s.links.Delete(t.Context(), entry.Key, entry.Revision)
	}
	if err != nil {
		t.Fatal(err)
	}
	if w := s.wants(0, presence.Available); !w.Release || w.Reason != presence.Released.String() {
		t.Errorf("not released: %+v", w)
	}
	// Then silence, whatever Teams shows.
	s.teams(0, "Away", s.bus.Now())
	s.idle()
	if w, _ := s.want(0); !w.Release {
		t.Errorf("wanted after the release: %+v", w)
	}
}

func TestAWantIsNeverPublishedOverANewerOne(t *testing.T) {
	for _, c := range []struct {
		name  string
		newer func(*wire.Want)
	}{
		{"of a newer memory", func(w *wire.Want) { w.Revision.Sequence = 1 << 40 }},
		{"of a newer epoch", func(w *wire.Want) { w.Revision.Epoch = 2 }},
		{"of a newer link", func(w *wire.Want) { w.LinkRevision = 9 }},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			s.run("a")
			s.ready(0)
			newer := s.wants(0, presence.Available)
			newer.Status = presence.Lunch
			c.newer(&newer)
			s.publish(newer)
			s.teams(0, "Busy", s.bus.Now())
			s.eventually(func() string {
				if w := s.record(0).Memory.Wants(); len(w) != 1 || w[0].Status != presence.DND {
					return "not decided"
				}
				return ""
			})
			s.idle()
			if w, _ := s.want(0); w.Status != presence.Lunch {
				t.Errorf("replaced by %+v", w)
			}
		})
	}
}

func TestSupersedes(t *testing.T) {
	base := wire.Want{Person: person(0), Line: lineOf(0), Status: presence.DND, LinkRevision: 5, Revision: wire.Revision{Epoch: 1, Sequence: 10}}
	for _, c := range []struct {
		name           string
		change         func(*wire.Want)
		stood, changed bool // nothing to publish, where the want stood before and where it did not
	}{
		{"the same, decided later", func(w *wire.Want) { w.Revision.Sequence = 11 }, true, false},
		{"the same, decided earlier", func(w *wire.Want) { w.Revision.Sequence = 9 }, true, true},
		{"the same decision", func(*wire.Want) {}, true, true},
		{"the same, of a newer epoch", func(w *wire.Want) { w.Revision = wire.Revision{Epoch: 2} }, false, false},
		{"another status, decided later", func(w *wire.Want) { w.Status, w.Revision.Sequence = presence.Away, 11 }, false, false},
		{"another status, decided earlier", func(w *wire.Want) { w.Status, w.Revision.Sequence = presence.Away, 9 }, true, true},
		{"of an older link, decided later", func(w *wire.Want) { w.LinkRevision, w.Revision.Sequence = 4, 11 }, true, true},
		{"of a newer link, decided earlier", func(w *wire.Want) { w.LinkRevision, w.Revision.Sequence = 6, 9 }, false, false},
		{"decided on a later choice", func(w *wire.Want) { w.DecidedOn, w.Revision.Sequence = 1, 11 }, false, false},
	} {
		next := base
		c.change(&next)
		if stood, changed := supersedes(standingOf(base), standingOf(next), false), supersedes(standingOf(base), standingOf(next), true); stood != c.stood || changed != c.changed {
			t.Errorf("%s: nothing to publish %v and %v, want %v and %v", c.name, stood, changed, c.stood, c.changed)
		}
	}
}

// A replica that is slow decides dnd and is about to publish it where the stream holds
// available. Meanwhile another decides available again. What the first one publishes
// late must not be the last word.
func TestAReplicaThatPublishesLateDoesNotHaveTheLastWord(t *testing.T) {
	s := newStage(t)
	s.run("a")
	s.ready(0)
	old := s.wants(0, presence.Available)
	at := s.bus.Now()
	s.teams(0, "Busy", at)
	late := s.wants(0, presence.DND)
	s.publish(old) // as if the want had not been published yet
	s.teams(0, "Available", at.Add(time.Millisecond))
	s.eventually(func() string {
		if w, _ := s.want(0); w.Status != presence.Available || w.Revision.Compare(late.Revision) <= 0 {
			return fmt.Sprintf("the stream holds %s of %v: the one that was decided at %v would be published over it", w.Status, w.Revision, late.Revision)
		}
		return ""
	})
}

func TestTheNewestSweepThatReadAPersonCounts(t *testing.T) {
	at := func(s int) time.Time { return time.Unix(1_800_000_000, 0).Add(time.Duration(s) * time.Second) }
	sweep := func(shard string, s int, ok bool, failed ...identity.User) wire.Sweep {
		return wire.Sweep{Tenant: "contoso", Shard: shard, Began: at(s), Ended: at(s + 1), OK: ok, Failed: failed}
	}
	anna := person(0).User
	for _, c := range []struct {
		name   string
		sweeps []wire.Sweep
		began  int // 0: none
	}{
		{"none", nil, 0},
		{"one", []wire.Sweep{sweep("all", 10, true)}, 10},
		{"the newest", []wire.Sweep{sweep("all", 10, true), sweep("all", 20, true)}, 20},
		{"not one that failed", []wire.Sweep{sweep("all", 10, true), sweep("all", 20, false)}, 10},
		{"not one that failed to read her", []wire.Sweep{sweep("all", 10, true), sweep("all", 20, true, anna), sweep("all", 30, true, anna)}, 10},
		{"the next that did", []wire.Sweep{sweep("all", 10, true), sweep("all", 20, true, anna), sweep("all", 30, true)}, 30},
		{"never read", []wire.Sweep{sweep("all", 10, true, anna)}, 0},
		{"not that of another shard", []wire.Sweep{sweep("f", 10, true)}, 0},
		{"the newest of shards that overlap", []wire.Sweep{sweep("0", 20, true), sweep("all", 10, true)}, 20},
	} {
		var s sweeps
		for _, sweep := range c.sweeps {
			s.set(sweep)
		}
		got, ok := s.of(person(0))
		if ok != (c.began > 0) || ok && (!got.Began.Equal(at(c.began)) || !got.OK) {
			t.Errorf("%s: %+v %v, want the one of %d", c.name, got, ok, c.began)
		}
	}
}

// parked counts what was set aside.
func (s *stage) parked() int {
	s.t.Helper()
	n := 0
	if err := s.bus.History(s.t.Context(), topology.ParkedMsg, "parked.>", func(bus.Message) error { n++; return nil }); err != nil {
		s.t.Fatal(err)
	}
	return n
}
