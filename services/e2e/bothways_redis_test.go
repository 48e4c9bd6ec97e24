package e2e

import (
	"fmt"
	"math/rand/v2"
	"os"
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
}

// mostWrong is how many people may be wrong while more changes are made: what keeps the
// load as high as the machine bears, and no higher.
const mostWrong = 10

func newTown(t *testing.T, w *world.World, people int) *town {
	t.Helper()
	seed := rand.Uint64()
	if again, err := strconv.ParseUint(os.Getenv("OFFHOOK_SEED"), 10, 64); err == nil {
		seed = again
	}
	t.Logf("OFFHOOK_SEED=%d repeats the order of what follows", seed)
	n := &town{World: w, t: t, dice: rand.New(rand.NewPCG(seed, 0))}
	for i, u := range w.Tenant.Users("", people) {
		n.people = append(n.people, &resident{habit: habit(i) % habits, user: u.ID, ext: world.Extension(i), client: states[0]})
	}
	return n
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
		n.Set(r.user, r.client.availability, r.client.activity)
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
		is, err := n.Tenant.Presence(r.user)
		must(n.t, err)
		if teams := is.Availability + "/" + is.Activity; shown.Status != r.phone() || teams != r.teams() {
			list = append(list, fmt.Sprintf("%s (habit %d) shows %s and in Teams %s, want %s and %s", r.ext, r.habit, shown.Status, teams, r.phone(), r.teams()))
		}
	}
	return list
}

// written counts what Offhook wrote to phones, and changed in Teams.
func (n *town) written() (phones, teams int) {
	for _, tally := range n.Tenant.PresenceWrites().Users {
		teams += tally.Changed
	}
	return len(n.PBX.Writes()), teams
}

// flow makes changes until ten more writes have come through in each direction.
func (n *town) flow(while string) {
	n.t.Helper()
	phones, teams := n.written()
	n.Eventually(90*time.Second, func() string {
		if len(n.wrong()) < mostWrong {
			n.change()
		}
		p, c := n.written()
		if p -= phones; p < 10 || c-teams < 10 {
			return fmt.Sprintf("%s: %d writes to phones, %d to Teams", while, p, c-teams)
		}
		return ""
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
	tallies := n.Tenant.PresenceWrites().Users
	for _, r := range n.people {
		if writes[r.ext] > r.inTeams {
			list = append(list, fmt.Sprintf("%s (habit %d) was written %d times for %d changes in Teams", r.ext, r.habit, writes[r.ext], r.inTeams))
		}
		// Nothing lives long enough to be renewed here.
		if tally := tallies[r.user]; tally.Changed+tally.Renewed > r.onPhone {
			list = append(list, fmt.Sprintf("Teams of %s (habit %d) was written %+v for %d changes on the phone", r.ext, r.habit, tally, r.onPhone))
		}
	}
	return list
}

// While people change on both sides Redis forgets everything, is killed, stays away for
// a while and comes back empty. In the end phones and Teams show what an oracle says that
// knows of neither Redis nor Offhook, nothing was written twice, and then there is
// silence.
func TestRedisForgettingAndDyingChangesNothingInEitherDirection(t *testing.T) {
	redis := startRedis(t)
	if redis == nil {
		return
	}
	const people = 60
	w := world.New(t, world.Options{Users: people, Webhook: true, Mode: presence.Both, Redis: "redis://" + redis.address})
	w.Start()
	w.Settled(people)
	n := newTown(t, w, people)

	n.flow("before")
	if redis.ask(t, "DBSIZE") == "0" {
		t.Fatal("there is nothing in Redis: nothing will be forgotten")
	}
	redis.ask(t, "FLUSHALL")
	n.flow("forgotten")
	if redis.ask(t, "DBSIZE") == "0" {
		t.Fatal("Redis is not used any more")
	}
	redis.kill()
	n.flow("without Redis")
	redis.run(t)
	n.flow("a new Redis")
	w.Eventually(30*time.Second, func() string {
		if redis.ask(t, "DBSIZE") == "0" {
			return "the new Redis is not used"
		}
		return ""
	})
	redis.ask(t, "FLUSHALL")
	n.hangUp()
	n.converges()

	// Silence within ten seconds after the last change: 20 sweeps of half a second.
	n.pass(20)
	phones, teams := n.written()
	n.pass(10)
	if p, c := n.written(); p != phones || c != teams {
		t.Errorf("there is no silence: %d more writes to phones, %d to Teams", p-phones, c-teams)
	}
	changes := 0
	for _, r := range n.people {
		changes += r.inTeams + r.onPhone
	}
	t.Logf("%d changes of %d people; %d writes to phones, %d to Teams", changes, people, phones, teams)
	for _, why := range append(n.wrong(), n.tooMuch()...) {
		t.Error(why)
	}

	// The controls: for people who had changed nothing every write is one too many, and
	// without the writers everybody is wrong.
	for _, r := range n.people {
		r.inTeams, r.onPhone = 0, 0
	}
	if list := n.tooMuch(); len(list) == 0 {
		t.Error("writes for nobody's changes are not noticed")
	}
	w.Stop("pbx-writer")
	w.Stop("graph-writer")
	for _, r := range n.people {
		n.live(r)
	}
	n.pass(3)
	if list := n.wrong(); len(list) < people-people/int(habits) { // but for the calls of those who change Teams as well
		t.Errorf("nobody writes, and only %d of %d people are wrong", len(list), people)
	}
}
