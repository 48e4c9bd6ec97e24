package e2e

import (
	"fmt"
	"maps"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/pbx/pbxsim"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/services/e2e/procs"
	"offhook.dev/services/e2e/world"
)

// succession is a service of which two instances run, each a process of its own.
type succession struct {
	service string
	leases  []string // all that it holds for certain
	// slow makes the other side slow, so that an owner dies with work in hand.
	slow func(*town)
	// doubted is how many requests to Teams it may have under way when it dies.
	doubted int
	// both says that both instances work at once, and share only what is owned: while it is
	// not yet taken over, all changes come through, and nobody would have any left.
	both bool
}

var successions = []succession{
	{"graph-poller", []string{"graph.contoso.presence-all", "graph.fabrikam.presence-all", "graph.contoso.people", "graph.fabrikam.people", "graph.contoso.calendar-all", "graph.fabrikam.calendar-all"},
		func(n *town) { n.delayGraph("/communications/getPresencesByUserId") }, 0, false},
	{"graph-writer", []string{"graph.contoso.writes", "graph.fabrikam.writes"}, func(n *town) { n.delayGraph("/presence/") }, mostWrong, false},
	{"presence-mapper", []string{"mapper.minute-pass"}, func(*town) {}, 0, true},
	{"pbx-writer", []string{"pbx.hq"}, func(n *town) { n.PBX.Inject(pbxsim.Fault{Kind: pbxsim.Latency, Delay: slowAnswer, Only: "write"}) }, 0, false},
}

const slowAnswer = 200 * time.Millisecond

// delayGraph makes Graph slow to answer requests of a path, for all tenants.
func (n *town) delayGraph(path string) {
	for _, tenant := range n.Tenants {
		_, err := tenant.Fault(graphsim.Fault{Kind: graphsim.FaultLatency, Path: path, Delay: slowAnswer})
		must(n.t, err)
	}
}

// One phone system serves two tenants. Of the process that holds their shares of the work,
// or the system's, two instances run; the one that owns everything is killed with work in
// hand, while people of both tenants change on both sides, and then, when the first is
// back, the other one. Each time the one that is left takes over every share, nothing is
// lost, nothing is written twice, and then there is silence.
func TestTheOtherInstanceTakesOverWhatAKilledOneOwned(t *testing.T) {
	var services []string
	for _, s := range successions {
		services = append(services, s.service)
	}
	binaries := procs.Build(t, root(t), services...)
	for _, s := range successions {
		t.Run(s.service, func(t *testing.T) {
			t.Parallel() // most of the time somebody waits for a lease
			s.try(t, binaries)
		})
	}
}

func (s succession) try(t *testing.T, binaries procs.Binaries) {
	const people = 40 // of each tenant
	w := world.New(t, world.Options{Users: people, Webhook: true, Mode: presence.Both, Others: []string{"fabrikam"}})
	for _, part := range world.Parts() {
		if string(part.Name) != s.service {
			w.Run(part)
		}
	}
	start := func(instance string) *procs.Process {
		return procs.Alone(t, binaries, s.service, instance, w.Dir, "--config", w.File)
	}
	b, err := bus.Connect(t.Context(), bus.Options{InProcess: w.Broker, Service: "test", Instance: "test"})
	must(t, err)
	t.Cleanup(b.Close)
	owns := func(instance string) string { return s.missing(t, b, instance) }

	running := map[string]*procs.Process{"first": start("first")}
	w.Eventually(60*time.Second, func() string { return owns("first") })
	w.Settled(2 * people)
	running["second"] = start("second")
	n := newTown(t, w, people)
	for owner, heir := "first", "second"; ; owner, heir = heir, owner {
		n.flow("under the " + owner)
		s.slow(n)
		n.changing(60*time.Second, func() string {
			if wrong := len(n.wrong()); wrong < mostWrong/2 {
				return fmt.Sprintf("only %d people are wrong: there is little to be lost", wrong)
			}
			return ""
		})
		running[owner].Kill()
		killed := time.Now()
		n.doubted += s.doubted
		wait := n.changing
		if s.both {
			wait = n.Eventually
		}
		wait(60*time.Second, func() string { return owns(heir) })
		t.Logf("%s: all that the %s instance owned is the %s one's %v after it was killed", s.service, owner, heir, time.Since(killed).Round(time.Millisecond))
		n.quick()
		n.flow("under the " + heir)
		n.converges()
		if heir == "first" {
			break
		}
		running[owner] = start(owner)
	}
	n.ends()
	n.controls(func() {
		for _, writer := range []string{"pbx-writer", "graph-writer"} {
			if writer == s.service {
				running["first"].Kill()
			}
			w.Stop(writer) // where it is in this process
		}
	})
}

// quick ends what slow began.
func (n *town) quick() {
	n.PBX.ClearFaults()
	for _, tenant := range n.Tenants {
		tenant.ClearFaults()
	}
}

// missing says which of the service's leases an instance does not hold, or "".
func (s succession) missing(t *testing.T, b *bus.Bus, instance string) string {
	t.Helper()
	leases, err := store.Open(t.Context(), b.JetStream(), topology.Leases)
	if err != nil {
		return err.Error() // nobody has made it yet
	}
	held := map[string]string{}
	must(t, leases.Each(t.Context(), ">", func(e store.Entry) error {
		if holder, ours := strings.CutPrefix(string(e.Value), s.service+"/"); ours {
			held[e.Key] = holder
		}
		return nil
	}))
	for _, key := range s.leases {
		if _, there := held[key]; !there {
			return fmt.Sprintf("nobody holds %s; held are %v", key, held)
		}
	}
	for _, key := range slices.Sorted(maps.Keys(held)) {
		if held[key] != instance {
			return fmt.Sprintf("%s is held by the %s instance", key, held[key])
		}
	}
	return ""
}
