package e2e

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"os"
	"slices"
	"strconv"
	"testing"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/services/e2e/world"
)

// habit is what somebody does all the time. That each has one of their own is what makes
// the end of their history known from its last line alone (docs/presence.md).
type habit uint8

const (
	changesTeams habit = iota // in the Teams client
	talks                     // on the phone
	chooses                   // a status on the phone
	doesBoth                  // is away or not in Teams, and talks
	habits
)

// chosen are the choices of a person and what Teams shows for each.
var chosen = []struct {
	status presence.Status
	teams  string
}{
	{presence.Available, "Available/Available"},
	{presence.DND, "DoNotDisturb/DoNotDisturb"},
	{presence.Away, "Away/Away"},
}

// resident is somebody and all that is true of them.
type resident struct {
	habit
	tenant int // index of World.Tenants
	user   string
	ext    identity.Extension
	client state // of the Teams client
	choice int   // index of chosen
	inCall bool  // on the phone

	inTeams, onPhone int // changes made on each side
}

// mostChanges is how many changes one person makes: fewer than the ten writes in a minute
// at which Offhook would leave them alone.
const mostChanges = 8

// phone is what the oracle says that the phone shows.
func (r *resident) phone() presence.Status {
	switch r.habit {
	case chooses:
		return chosen[r.choice].status
	case talks:
		return presence.Available
	}
	return r.client.status
}

// teams is what the oracle says that Teams shows, for whoever has hung up or calls only.
func (r *resident) teams() string {
	switch {
	case r.habit == chooses:
		return chosen[r.choice].teams
	case r.inCall:
		return "Busy/InACall"
	}
	return r.client.availability + "/" + r.client.activity
}

// town is a world whose people change on both sides.
type town struct {
	*world.World
	t      *testing.T
	dice   *rand.Rand
	people []*resident
	// doubted is how many requests to Teams may have been made twice, because whoever made
	// them died before it knew of their end.
	doubted int
}

// mostWrong is how many people may be wrong while more changes are made: what keeps the
// load as high as the machine bears, and no higher.
const mostWrong = 10

// newTown has so many people of each tenant of a world.
func newTown(t *testing.T, w *world.World, people int) *town {
	t.Helper()
	seed := rand.Uint64()
	if again, err := strconv.ParseUint(os.Getenv("OFFHOOK_SEED"), 10, 64); err == nil {
		seed = again
	}
	t.Logf("OFFHOOK_SEED=%d repeats the order of what follows", seed)
	n := &town{World: w, t: t, dice: rand.New(rand.NewPCG(seed, 0))}
	for i, tenant := range w.Tenants {
		for j, u := range tenant.Users("", people) {
			n.people = append(n.people, &resident{habit: habit(j) % habits, tenant: i, user: u.ID, ext: world.Extension(len(n.people)), client: states[0]})
		}
	}
	return n
}

// only is the part of the town that is one tenant's.
func (n *town) only(tenant int) *town {
	part := *n
	part.people = slices.DeleteFunc(slices.Clone(n.people), func(r *resident) bool { return r.tenant != tenant })
	return &part
}

// change makes one change of somebody who has not made all of theirs.
func (n *town) change() {
	n.t.Helper()
	for range 100 {
		r := n.people[n.dice.IntN(len(n.people))]
		if r.inTeams+r.onPhone < mostChanges-1 { // the last is for the end
			n.live(r)
			return
		}
	}
}

// live lets somebody do what they do.
func (n *town) live(r *resident) {
	n.t.Helper()
	switch {
	case r.habit == chooses:
		r.onPhone++
		r.choice = (r.choice + 1 + n.dice.IntN(len(chosen)-1)) % len(chosen)
		if !n.PBX.SetStatus(r.ext, chosen[r.choice].status) {
			n.t.Fatalf("there is no extension %s", r.ext)
		}
	case r.habit == talks, r.habit == doesBoth && n.dice.IntN(2) == 0:
		r.onPhone++
		r.inCall = !r.inCall
		if !r.inCall {
			n.PBX.EndCalls(r.ext)
			return
		}
		_, err := n.PBX.StartCall(r.ext, "")
		must(n.t, err)
	default:
		r.inTeams++
		r.client = n.another(r)
		must(n.t, n.Tenants[r.tenant].SetPresence(r.user, r.client.availability, r.client.activity))
	}
}

// another is what somebody's Teams client may show next. Who talks as well is never busy
// there: that means the same as a call, and would be masked for 90 s after one
// (docs/presence.md, Echo).
func (n *town) another(r *resident) state {
	for {
		next := states[n.dice.IntN(len(states))]
		if next != r.client && !(r.habit == doesBoth && next.status == presence.DND) {
			return next
		}
	}
}

// wrong lists what differs from the oracle. Of who changes Teams and is in a call the
// one side hides what the other shall show: they are judged when they have hung up.
func (n *town) wrong() (list []string) {
	n.t.Helper()
	for _, r := range n.people {
		if r.habit == doesBoth && r.inCall {
			continue
		}
		shown, _ := n.PBX.Shown(r.ext)
		is, err := n.Tenants[r.tenant].Presence(r.user)
		must(n.t, err)
		if teams := is.Availability + "/" + is.Activity; shown.Status != r.phone() || teams != r.teams() {
			list = append(list, fmt.Sprintf("%s (habit %d) shows %s and in Teams %s, want %s and %s", r.ext, r.habit, shown.Status, teams, r.phone(), r.teams()))
		}
	}
	return list
}

// sums are what Offhook wrote for one tenant: to phones, and changed in Teams.
type sums struct{ phones, teams int }

// written counts what was written for each tenant that has people here.
func (n *town) written() map[int]sums {
	all, of := map[int]sums{}, map[identity.Extension]int{}
	for _, r := range n.people {
		all[r.tenant], of[r.ext] = sums{}, r.tenant
	}
	for _, w := range n.PBX.Writes() {
		if i, here := of[w.Extension]; here {
			all[i] = sums{all[i].phones + 1, 0}
		}
	}
	for i, is := range all {
		for _, user := range n.Tenants[i].PresenceWrites().Users {
			is.teams += user.Changed
		}
		all[i] = is
	}
	return all
}

// flow makes changes until ten more writes, shared by all tenants, have come through in
// each direction.
func (n *town) flow(while string) {
	n.t.Helper()
	before := n.written()
	enough := 10 / len(before)
	n.changing(90*time.Second, func() string {
		for i, now := range n.written() {
			if now.phones-before[i].phones < enough || now.teams-before[i].teams < enough {
				return fmt.Sprintf("%s: written in all %+v, before %+v", while, now, before[i])
			}
		}
		return ""
	})
}

// changing makes changes until ok returns "".
func (n *town) changing(patience time.Duration, ok func() string) {
	n.t.Helper()
	n.Eventually(patience, func() string {
		if len(n.wrong()) < mostWrong {
			n.change()
		}
		return ok()
	})
}

// converges waits until all is as the oracle says.
func (n *town) converges() {
	n.t.Helper()
	n.Eventually(mostPatience, func() string {
		if list := n.wrong(); len(list) > 0 {
			return fmt.Sprintf("%d are wrong; %s", len(list), list[0])
		}
		return ""
	})
}

// hangUp ends the calls of those who change Teams as well.
func (n *town) hangUp() {
	for _, r := range n.people {
		if r.habit == doesBoth && r.inCall {
			r.inCall = false
			r.onPhone++
			n.PBX.EndCalls(r.ext)
		}
	}
}

// pass waits until presences were swept a number of times.
func (n *town) pass(sweeps int) {
	n.t.Helper()
	swept := func() int {
		return n.Graph.Requests().Of("POST", "/v1.0/communications/getPresencesByUserId", 200)
	}
	first := swept()
	n.Eventually(60*time.Second, func() string {
		if got := swept() - first; got < sweeps {
			return fmt.Sprintf("%d of %d sweeps", got, sweeps)
		}
		return ""
	})
}

// tooMuch lists the writes that were one too many: more than one for each change on the
// other side, one that changes nothing, and one for somebody of whom nothing was to be
// written.
func (n *town) tooMuch() (list []string) {
	writes := map[identity.Extension]int{}
	for _, w := range n.PBX.Writes() {
		writes[w.Extension]++
		if w.Before == w.Status {
			list = append(list, fmt.Sprintf("%s was written %s, which it showed", w.Extension, w.Status))
		}
	}
	renewed := 0
	for _, r := range n.people {
		tally := n.Tenants[r.tenant].PresenceWrites().Users[r.user]
		renewed += tally.Renewed
		if writes[r.ext] > r.inTeams {
			list = append(list, fmt.Sprintf("%s (habit %d) was written %d times for %d changes in Teams", r.ext, r.habit, writes[r.ext], r.inTeams))
		}
		if tally.Changed > r.onPhone {
			list = append(list, fmt.Sprintf("Teams of %s (habit %d) was written %+v for %d changes on the phone", r.ext, r.habit, tally, r.onPhone))
		}
	}
	if renewed > n.doubted { // nothing lives long enough here to be renewed for its own sake
		list = append(list, fmt.Sprintf("Teams was written %d times what it had already", renewed))
	}
	return list
}

// ends checks the end of a history: everything is as the oracle says, nothing was written
// once too often, and there is silence.
func (n *town) ends() {
	n.t.Helper()
	n.hangUp()
	n.converges()
	// Silence within ten seconds after the last change: 20 sweeps of half a second.
	n.pass(20)
	before := n.written()
	n.pass(10)
	if now := n.written(); !maps.Equal(now, before) {
		n.t.Errorf("there is no silence: written %+v, a moment ago %+v", now, before)
	}
	changes := 0
	for _, r := range n.people {
		changes += r.inTeams + r.onPhone
	}
	n.t.Logf("%d changes of %d people; for each tenant written %+v", changes, len(n.people), before)
	for _, why := range append(n.wrong(), n.tooMuch()...) {
		n.t.Error(why)
	}
}

// controls checks the oracle. For people who had changed nothing every write is one too
// many, and when nobody writes any more, which stop sees to, those are wrong who change.
func (n *town) controls(stop func()) {
	n.t.Helper()
	for _, r := range n.people {
		r.inTeams, r.onPhone = 0, 0
	}
	if list := n.tooMuch(); len(list) == 0 {
		n.t.Error("writes for nobody's changes are not noticed")
	}
	stop()
	for _, r := range n.people {
		n.live(r)
	}
	n.pass(3)
	if list := n.wrong(); len(list) < len(n.people)-len(n.people)/int(habits) { // but for the calls of those who change Teams as well
		n.t.Errorf("nobody writes, and only %d of %d people are wrong", len(list), len(n.people))
	}
}
