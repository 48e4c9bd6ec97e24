package e2e

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/options"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
	"offhook.dev/services/e2e/world"
	"offhook.dev/services/presence-mapper/mapper"
)

// grouped is an installation with the buckets and streams that the test looks into.
type grouped struct {
	*world.World
	t       *testing.T
	bus     *bus.Bus
	options *store.Bucket
}

func newGrouped(t *testing.T, w *world.World) grouped {
	t.Helper()
	b, err := bus.Connect(t.Context(), bus.Options{InProcess: w.Broker, Service: "test", Instance: "test"})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(b.Close)
	bucket, err := store.Open(t.Context(), b.JetStream(), topology.Options)
	if err != nil {
		t.Fatal(err)
	}
	return grouped{w, t, b, bucket}
}

func (g grouped) must(err error) {
	g.t.Helper()
	if err != nil {
		g.t.Fatal(err)
	}
}

// group makes a group of the directory.
func (g grouped) group(name string, members ...string) identity.Group {
	g.t.Helper()
	made, err := g.Tenant.AddGroup("", name)
	g.must(err)
	for _, member := range members {
		g.must(g.Tenant.Join(name, member))
	}
	return identity.Group(made.ID)
}

// set stores a group's options, as control-api does.
func (g grouped) set(id identity.Group, record options.Record) {
	g.t.Helper()
	_, err := g.options.Put(g.t.Context(), options.GroupKey("contoso", id).String(), record.Encode())
	g.must(err)
}

// known waits until a group is known to have so many members, and this problem.
func (g grouped) known(id identity.Group, members int, problem string) {
	g.t.Helper()
	g.Eventually(30*time.Second, func() string {
		m, err := g.bus.Last(g.t.Context(), topology.Directory, wire.GroupSubject("contoso", id))
		if err != nil {
			return err.Error()
		}
		fact, err := wire.DecodeGroup(m.Data)
		if err != nil || len(fact.Members) != members || fact.Problem != problem {
			return fmt.Sprintf("%d members are known, with the problem %q (%v); want %d with %q", len(fact.Members), fact.Problem, err, members, problem)
		}
		return ""
	})
}

// Options of a group travel the whole way: from the directory through Graph, whoever
// is in it, to the phones; and nobody else's phone hears of them.
func TestOptionsOfAGroupReachThePhonesOfItsMembers(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.Options{Users: 6, Directory: 300 * time.Millisecond})
	w.Start()
	w.Settled(4)
	g := newGrouped(t, w)
	names := w.Tenant.Users("", 4)
	user := func(i int) string { return names[i].UserPrincipalName }
	for i := range 4 {
		w.Set(user(i), "Busy", "InAMeeting")
		w.Shows(world.Extension(i), presence.DND, 30*time.Second)
	}
	lunch, away := options.Record{Teams: map[string]string{"Busy": "lunch"}}, options.Record{Teams: map[string]string{"Busy": "away"}, Rank: -1}
	inner := g.group("Inner", user(1))
	outer := g.group("Outer", user(0), "Inner")
	g.set(outer, lunch)
	w.Shows(world.Extension(0), presence.Lunch, 30*time.Second)
	w.Shows(world.Extension(1), presence.Lunch, 30*time.Second) // through the group in it

	g.must(w.Tenant.Join("Outer", user(2)))
	w.Shows(world.Extension(2), presence.Lunch, 30*time.Second)
	g.must(w.Tenant.Leave("Outer", user(0)))
	w.Shows(world.Extension(0), presence.DND, 30*time.Second)

	// Of two groups that contradict each other the lower rank counts.
	g.set(inner, away)
	w.Shows(world.Extension(1), presence.Away, 30*time.Second)

	// The mapper is away while somebody joins, and knows it when it is back.
	w.Stop(string(topology.PresenceMapper))
	g.must(w.Tenant.Join("Outer", user(0)))
	g.known(outer, 3, "")
	w.Run(mapper.Part())
	w.Shows(world.Extension(0), presence.Lunch, 30*time.Second)

	// Whoever may not be asked any more changes nothing.
	g.must(w.Tenant.Revoke(world.App, "GroupMember.Read.All"))
	g.known(outer, 3, wire.GroupDenied)
	g.must(w.Tenant.Leave("Outer", user(0)))
	g.must(w.Tenant.Grant(world.App, "GroupMember.Read.All"))
	g.known(outer, 2, "")
	w.Shows(world.Extension(0), presence.DND, 30*time.Second)

	// A group that is gone has nobody in it.
	g.must(w.Tenant.DeleteGroup("Outer"))
	g.known(outer, 0, wire.GroupGone)
	w.Shows(world.Extension(2), presence.DND, 30*time.Second)

	// The fourth one was in no group all the time.
	shown, _ := w.PBX.Shown(world.Extension(3))
	who := identity.Person{Tenant: "contoso", User: identity.User(names[3].ID)}
	var decided []wire.Decision
	g.must(g.bus.History(t.Context(), topology.Decisions, wire.DecisionSubject(who), func(m bus.Message) error {
		d, err := wire.DecodeDecision(m.Data)
		decided = append(decided, d)
		return err
	}))
	wrong := slices.ContainsFunc(decided, func(d wire.Decision) bool {
		return slices.ContainsFunc(d.Wants, func(w wire.Want) bool { return w.Status == presence.Lunch || w.Status == presence.Away })
	})
	if shown.Status != presence.DND || wrong {
		t.Errorf("who was in no group shows %s; decided was %+v", shown.Status, decided)
	}
}
