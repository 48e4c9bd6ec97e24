package mapper

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/options"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

const (
	support = identity.Group("10000000-0000-4000-8000-000000000001")
	sales   = identity.Group("10000000-0000-4000-8000-000000000002")
)

// members says who is in a group, as graph-poller does.
func (s *stage) members(id identity.Group, people ...int) {
	s.t.Helper()
	g := wire.Group{Tenant: "contoso", ID: id, Name: "Support", SeenAt: s.bus.Now()}
	for _, i := range people {
		g.Members = append(g.Members, person(i).User)
	}
	slices.Sort(g.Members)
	s.publish(g)
}

// busy makes Teams show the i-th person busy, in a mode that says so on the phone.
func (s *stage) busy(i int) {
	s.t.Helper()
	s.ready(i)
	s.teams(i, "Busy", s.bus.Now())
	s.wants(i, presence.DND)
}

// released counts the decisions of a person that released their phone.
func (s *stage) released(i int) (n int) {
	s.t.Helper()
	for _, d := range s.decisions(i) {
		if slices.ContainsFunc(d.Wants, func(w wire.Want) bool { return w.Release }) {
			n++
		}
	}
	return n
}

func TestWhoJoinsAGroupIsDecidedByItsOptionsAndWhoLeavesByTheirOwn(t *testing.T) {
	s := newStage(t)
	s.change(options.GroupKey("contoso", support), options.Record{Teams: map[string]string{"Busy": "lunch"}})
	s.members(support, 1)
	s.run("a")
	s.busy(0)
	s.ready(1)
	s.teams(1, "Busy", s.bus.Now())
	s.wants(1, presence.Lunch)
	s.members(support, 0, 1)
	published := s.bus.Now()
	joined := s.wants(0, presence.Lunch)
	t.Logf("decided %v after the fact", joined.DecidedAt.Sub(published))
	s.members(support, 1)
	s.wants(0, presence.DND)
	s.members(support)
	s.wants(1, presence.DND)
}

// A group that switches Offhook off: who joins is released once, and who leaves is
// served again.
func TestWhoJoinsAGroupWhoseModeIsOffIsReleasedOnce(t *testing.T) {
	s := newStage(t)
	s.pass = 50 * time.Millisecond // the minute pass does not release again either
	s.change(options.GroupKey("contoso", support), options.Record{Mode: "disabled"})
	s.run("a")
	s.busy(0)
	s.busy(1)
	s.members(support, 0)
	if w := s.wants(0, presence.Available); !w.Release {
		t.Errorf("who joined is wanted to show %+v", w)
	}
	s.members(support, 0, 1) // the other one joins: nothing is done about the first
	s.wants(1, presence.Available)
	s.teams(0, "Away", s.bus.Now())
	s.idle()
	if n := s.released(0); n != 1 {
		t.Errorf("released %d times", n)
	}
	s.members(support)
	s.wants(1, presence.DND)
	s.teams(0, "Busy", s.bus.Now())
	s.wants(0, presence.DND)
}

func TestOptionsOfAGroupThatAreTakenAwayReleaseItsMembersOnce(t *testing.T) {
	s := newStage(t)
	s.options.Mode = presence.Disabled
	key := options.GroupKey("contoso", support)
	s.change(key, options.Record{Mode: "teams-to-pbx"})
	s.change(options.GroupKey("contoso", sales), options.Record{Mode: "teams-to-pbx"})
	s.members(support, 0)
	s.run("a")
	s.busy(0)
	s.ready(1)
	s.teams(1, "Busy", s.bus.Now())
	s.remove(key)
	if w := s.wants(0, presence.Available); !w.Release {
		t.Errorf("wanted is %+v", w)
	}
	s.members(support) // as graph-poller says of what nothing names any more
	s.members(sales, 1)
	s.wants(1, presence.DND) // what was said before has come by now
	s.idle()
	if n := s.released(0); n != 1 {
		t.Errorf("released %d times", n)
	}
}

// remove takes a record of options away.
func (s *stage) remove(key options.Key) {
	s.t.Helper()
	bucket, err := store.Open(s.t.Context(), s.bus.JetStream(), topology.Options)
	if err != nil {
		s.t.Fatal(err)
	}
	entry, err := bucket.Get(s.t.Context(), key.String())
	if err == nil {
		err = bucket.Delete(s.t.Context(), entry.Key, entry.Revision)
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

// Two groups of one person contradict each other: the lower rank wins, then the
// smaller id, whatever came first.
func TestOfTwoGroupsOfAPersonOneDecides(t *testing.T) {
	for _, c := range []struct {
		name          string
		support, mine int // ranks
		want          presence.Status
	}{{"the smaller id", 0, 0, presence.Lunch}, {"the lower rank", 5, 1, presence.Away}, {"the lower rank, again", 1, 5, presence.Lunch}} {
		for _, first := range []identity.Group{support, sales} {
			t.Run(fmt.Sprintf("%s, %s first", c.name, first), func(t *testing.T) {
				s := newStage(t)
				s.run("a")
				s.busy(0)
				s.busy(1)
				set := map[identity.Group]options.Record{
					support: {Teams: map[string]string{"Busy": "lunch"}, Rank: c.support},
					sales:   {Teams: map[string]string{"Busy": "away"}, Rank: c.mine},
				}
				second := support
				if first == support {
					second = sales
				}
				s.members(first, 0)
				s.change(options.GroupKey("contoso", first), set[first])
				s.change(options.GroupKey("contoso", second), set[second])
				s.members(second, 0, 1)
				alone := map[identity.Group]presence.Status{support: presence.Lunch, sales: presence.Away}
				s.wants(1, alone[second]) // so it is known by now who is in the second
				s.wants(0, c.want)
			})
		}
	}
}

// A start decides nobody as if they were in no group: who is stopped by their group is
// not written to for a moment because the mapper has just begun.
func TestAfterARestartNobodyIsDecidedWithoutTheirGroups(t *testing.T) {
	s := newStage(t)
	const people = 12
	s.options.Mode = presence.Both
	s.change(options.GroupKey("contoso", support), options.Record{Teams: map[string]string{"Busy": "lunch"}})
	var all []int
	for i := range people {
		all = append(all, i)
	}
	s.members(support, all...)
	stop := s.run("a")
	for i := range people {
		s.ready(i)
		s.teams(i, "Busy", s.bus.Now())
	}
	for i := range people {
		s.wants(i, presence.Lunch)
	}
	s.idle() // what is not acked when it stops would come again much later
	stop()
	var crowd []int
	for i := range 1500 {
		crowd = append(crowd, people+i)
	}
	for i := range 80 { // so many and large that the first fill takes its time
		s.members(identity.Group(fmt.Sprintf("20000000-0000-4000-8000-%012d", i)), crowd...)
	}
	for i := range people { // meanwhile the phones show what was wanted
		s.phone(i, presence.Lunch, presence.Ours, s.bus.Now(), nil)
	}
	s.members(support, all[1:]...) // and somebody left
	s.run("b")
	s.wants(0, presence.DND)
	s.idle()
	for i := 1; i < people; i++ {
		for _, d := range s.decisions(i) {
			for _, w := range d.Wants {
				if w.Status == presence.DND {
					t.Fatalf("person %d was decided as if they were in no group: %+v", i, d)
				}
			}
		}
	}
}
