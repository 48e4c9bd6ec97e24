package e2e

import (
	"fmt"
	"os"
	"testing"
	"time"

	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/services/e2e/world"
)

// storm is how long Graph refuses everything in the test, and patience how long it asks
// for with each refusal: whoever listens asks once in that time, and not with every
// sweep of 200 ms and every change.
const (
	storm    = 6 * time.Second
	patience = 2 * time.Second
)

// stormy is storm and patience of a run: with OFFHOOK_STORM=10m, as in make soak, ten
// minutes in which Graph asks for half a minute each time.
func stormy(t *testing.T) (lasts, asks time.Duration) {
	text := os.Getenv("OFFHOOK_STORM")
	if text == "" {
		return storm, patience
	}
	lasts, err := time.ParseDuration(text)
	if err != nil {
		t.Fatalf("OFFHOOK_STORM: %v", err)
	}
	return lasts, 30 * time.Second
}

// Graph answers every request with 429, and then every one with 503, while people and
// phones change. Nobody asks before the Retry-After is over, whichever process was told
// (they share it through Redis; graphsim holds each request that comes early against
// them), and when the storm is over
// Teams and phones agree with the truth: nothing was lost, in either direction.
func TestGraphIsLeftAloneForAsLongAsItAsksAndNothingIsLost(t *testing.T) {
	t.Parallel()
	lasts, asks := stormy(t)
	for name, status := range map[string]int{"429": 429, "503": 503} {
		t.Run(name, func(t *testing.T) {
			redis := startRedis(t)
			if redis == nil {
				return // without it each process has to be told once, which graphsim holds against them
			}
			w := world.New(t, world.Options{Mode: presence.Both, Sweep: 200 * time.Millisecond, Redis: "redis://" + redis.address})
			w.Start()
			w.Settled(3)
			before := refused(w, status)
			began := time.Now()
			_, err := w.Tenant.Fault(graphsim.Fault{Kind: graphsim.FaultStatus, Status: status, RetryAfter: fmt.Sprint(asks.Seconds()), For: lasts})
			must(t, err)
			w.Set("anna", "Busy", "InAMeeting")
			if _, err := w.PBX.StartCall(world.Extension(1), ""); err != nil {
				t.Fatal(err)
			}
			if !w.PBX.SetStatus(world.Extension(2), presence.DND) {
				t.Fatal("there is no such extension")
			}
			w.Shows(world.Extension(0), presence.DND, lasts+asks+60*time.Second)
			w.InTeams("ben", "Busy/InACall", asks+60*time.Second)
			w.InTeams(third(t, w), "DoNotDisturb/DoNotDisturb", asks+60*time.Second)
			took := time.Since(began)
			// Poller and graph-writer may have several requests under way when one is told;
			// a slow machine asks more seldom.
			asked := refused(w, status) - before
			most := 2 * requestsAtOnce * int(lasts/asks+1)
			t.Logf("%d requests were refused in %v, %d came before the end of a Retry-After; without listening the sweeps alone make %d; both sides were right %v after the begin", asked, lasts, len(w.Tenant.Violations()), int(lasts/(200*time.Millisecond)), took.Round(100*time.Millisecond))
			if asked == 0 {
				t.Error("nothing was refused: nothing was tried")
			}
			if asked > most {
				t.Errorf("%d requests were refused, more than %d", asked, most)
			}
		})
	}
}

// requestsAtOnce is how many requests may be under way when Graph first asks to be left
// alone.
const requestsAtOnce = 2

// quotas is how many kinds of requests Graph counts apart, of each of which somebody has to
// be told.
const quotas = 5

// refused counts the answers of a status.
func refused(w *world.World, status int) (n int) {
	for _, c := range w.Graph.Requests().Counts {
		if c.Status == status {
			n += c.Count
		}
	}
	return n
}

// third is the third user's id.
func third(t *testing.T, w *world.World) string {
	t.Helper()
	users := w.Tenant.Users("", 3)
	if len(users) < 3 {
		t.Fatal("there are not three users")
	}
	return users[2].ID
}

// One tenant is told by Graph to wait for ten minutes, whatever it asks for, while its
// people change on both sides. What is waiting for it keeps nothing of the other tenant's
// from arriving, in either direction, although the two share every process, the phone
// system and Redis; and nobody asks for it again.
func TestAThrottledTenantHoldsUpNothingOfAnother(t *testing.T) {
	t.Parallel()
	redis := startRedis(t)
	if redis == nil {
		return // as above
	}
	const people = 40 // of each tenant
	w := world.New(t, world.Options{Users: people, Mode: presence.Both, Others: []string{"fabrikam"}, Sweep: 200 * time.Millisecond, Redis: "redis://" + redis.address})
	w.Start()
	w.Settled(2 * people)
	n := newTown(t, w, people)
	throttled, other := n.only(0), n.only(1)
	n.flow("before")
	n.converges()

	_, err := w.Tenant.Fault(graphsim.Fault{Kind: graphsim.FaultStatus, Status: 429, RetryAfter: "600"})
	must(t, err)
	told := func() int { return w.Tenant.Faults()[0].Hits }
	w.Eventually(30*time.Second, func() string {
		if told() == 0 {
			return "nothing is refused"
		}
		return ""
	})
	before := throttled.written()[0]
	for _, r := range throttled.people {
		n.live(r) // all of them, so that far more waits than is worked on at a time
	}
	other.flow("beside a throttled tenant")
	other.flow("for longer")
	other.flow("and for longer")
	other.converges()
	other.pass(20) // sweeps of the other tenant: the throttled one would have had as many
	asked := told()
	if most := quotas * requestsAtOnce; asked > most {
		t.Errorf("%d requests for the throttled tenant were refused, more than %d", asked, most)
	}
	after, waiting := throttled.written()[0], len(throttled.wrong())
	t.Logf("%d requests refused; written for the throttled tenant meanwhile %d to phones, %d to Teams, and %d of %d people wait; for the other %+v in all",
		asked, after.phones-before.phones, after.teams-before.teams, waiting, people, other.written()[1])
	if waiting < people/2 || after.teams > before.teams {
		t.Errorf("only %d of %d people of the throttled tenant wait, and %d changes were written to its Teams: nothing was tried", waiting, people, after.teams-before.teams)
	}
	for _, why := range n.tooMuch() {
		t.Error(why)
	}
}
