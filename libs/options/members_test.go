package options_test

import (
	"context"
	"fmt"
	"log/slog"
	"math/rand/v2"
	"reflect"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/options"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

func userNumber(i int) identity.User {
	return identity.User(fmt.Sprintf("00000000-0000-4000-8000-%012d", i))
}

func groupNumber(i int) identity.Group {
	return identity.Group(fmt.Sprintf("10000000-0000-4000-8000-%012d", i))
}

// everywhere is a mirror in which every tenant is configured.
func everywhere(t *testing.T) (m mirrored, b *bus.Bus) {
	t.Helper()
	b = bustest.Connect(t, bustest.Broker(t), "test")
	bucket, err := store.Open(t.Context(), b.JetStream(), topology.Options)
	if err != nil {
		t.Fatal(err)
	}
	base := func(identity.Person) presence.Options { return presence.DefaultOptions() }
	m = mirrored{options.NewMirror(base, slog.New(slog.DiscardHandler)), bucket, nil}
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() { ended <- m.Run(ctx, bucket, nil) }()
	t.Cleanup(func() { cancel(); <-ended })
	if err := m.Current(t.Context()); err != nil {
		t.Fatal(err)
	}
	return m, b
}

// step says one thing about a tenant: what is set for a key, or who is in a group.
type step struct {
	key     options.Key
	record  options.Record
	members []identity.User
	joining bool // it is about members
}

func (m mirrored) do(t *testing.T, tenant identity.Tenant, s step) (moved []identity.Person) {
	t.Helper()
	s.key.Tenant = tenant
	if s.joining {
		return m.SetMembers(tenant, identity.Group(s.key.ID), s.members)
	}
	m.put(t, s.key, s.record.Encode())
	return nil
}

// randomStep is about one of four groups or six users, whose options often contradict
// each other.
func randomStep(r *rand.Rand) step {
	group := options.Key{Layer: options.Group, ID: string(groupNumber(r.IntN(4)))}
	mode := []string{"", "both", "calendar", "pbx-to-teams"}[r.IntN(4)]
	damping := options.Duration(time.Duration(r.IntN(5)) * time.Second)
	switch r.IntN(5) {
	case 0:
		return step{key: options.Key{Layer: options.Tenant}, record: options.Record{Mode: mode, Damping: &damping}}
	case 1:
		return step{key: options.Key{Layer: options.User, ID: string(userNumber(r.IntN(6)))}, record: options.Record{Mode: mode}}
	case 2:
		return step{key: group, record: options.Record{Mode: mode, Damping: &damping, Rank: r.IntN(3), Teams: map[string]string{"Away": []string{"lunch", "dnd"}[r.IntN(2)]}}}
	}
	s := step{key: group, joining: true}
	for i := range 6 {
		if r.IntN(2) == 0 {
			s.members = append(s.members, userNumber(i))
		}
	}
	r.Shuffle(len(s.members), func(i, j int) { s.members[i], s.members[j] = s.members[j], s.members[i] })
	return s
}

// Whatever came before and in whatever order the last words come: what is in force is
// the same.
func TestTheOrderInWhichRecordsAndMembersComeDoesNotMatter(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 0))
	m, _ := everywhere(t)
	differences := 0
	for trial := range 40 {
		long, short := identity.Tenant(fmt.Sprintf("long-%d", trial)), identity.Tenant(fmt.Sprintf("short-%d", trial))
		type about struct {
			key     options.Key
			joining bool
		}
		last, history := map[about]step{}, []string(nil)
		for range 1 + r.IntN(25) {
			s := randomStep(r)
			last[about{s.key, s.joining}] = s
			m.do(t, long, s)
			history = append(history, fmt.Sprintf("%+v", s))
		}
		words := make([]step, 0, len(last))
		for _, s := range last {
			words = append(words, s) // in the map's order: a random one
		}
		for _, s := range words {
			m.do(t, short, s)
		}
		for i := range 6 {
			one, other := m.Effective(identity.Person{Tenant: long, User: userNumber(i)}), m.Effective(identity.Person{Tenant: short, User: userNumber(i)})
			if !reflect.DeepEqual(one, other) {
				t.Fatalf("trial %d, user %d:\n%+v\n%+v\nafter %s", trial, i, one, other, strings.Join(history, "\n"))
			}
			if slices.ContainsFunc(one, func(e options.Effective) bool { return e.From == options.Group }) {
				differences++
			}
		}
	}
	if differences == 0 {
		t.Fatal("no group ever decided anything: the test sees nothing")
	}
}

func TestWhoJoinedOrLeftIsToldAndNobodyElse(t *testing.T) {
	seed := rand.Uint64()
	t.Logf("seed %d", seed)
	r := rand.New(rand.NewPCG(seed, 1))
	m, _ := everywhere(t)
	m.put(t, options.GroupKey("contoso", groupNumber(0)), options.Record{Mode: "both"}.Encode())
	before := map[identity.User]bool{}
	for range 200 {
		now, list := map[identity.User]bool{}, []identity.User(nil)
		for range r.IntN(12) {
			user := userNumber(r.IntN(10))
			now[user], list = true, append(list, user)
		}
		want := map[identity.User]bool{}
		for i := range 10 {
			if user := userNumber(i); before[user] != now[user] {
				want[user] = true
			}
		}
		got := map[identity.User]bool{}
		for _, who := range m.SetMembers("contoso", groupNumber(0), list) {
			if got[who.User] {
				t.Errorf("%s is told twice", who)
			}
			got[who.User] = true
		}
		if !reflect.DeepEqual(got, want) {
			t.Fatalf("from %v to %v: told %v", before, now, got)
		}
		before = now
		if len(m.Members("contoso", groupNumber(0))) != len(now) {
			t.Fatalf("members %v, want %v", m.Members("contoso", groupNumber(0)), now)
		}
	}
}

func TestWhoIsInAGroupWithoutOptionsNeedNotBeDecidedAgain(t *testing.T) {
	m, _ := everywhere(t)
	if moved := m.SetMembers("contoso", groupNumber(0), []identity.User{anna.User}); len(moved) != 0 {
		t.Errorf("moved %v although nothing is set for the group", moved)
	}
	m.put(t, options.GroupKey("contoso", groupNumber(0)), options.Record{Mode: "calendar"}.Encode())
	if !m.Concerns(options.GroupKey("contoso", groupNumber(0)), anna) || m.mode(anna) != presence.Calendar {
		t.Error("who was in the group before it had options is not concerned by them")
	}
}

func TestMembershipsComeFromTheStreamAndSayWhatTheyAre(t *testing.T) {
	m, b := everywhere(t)
	seen := b.Now().UTC().Truncate(time.Microsecond)
	publish := func(g wire.Group) {
		t.Helper()
		subject, data := g.Encode()
		if _, err := b.Publish(t.Context(), bus.Message{Subject: subject, Data: data}); err != nil {
			t.Fatal(err)
		}
	}
	publish(wire.Group{Tenant: "contoso", ID: groupNumber(0), Name: "Support", Members: []identity.User{anna.User, ben.User}, SeenAt: seen})
	m.put(t, options.GroupKey("contoso", groupNumber(0)), options.Record{Mode: "both"}.Encode())
	ctx, cancel := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	type change struct {
		key    options.Key
		people []identity.Person
	}
	changes := make(chan change, 10)
	go func() {
		ended <- m.RunMembers(ctx, b, func(k options.Key, people []identity.Person) { changes <- change{k, people} })
	}()
	t.Cleanup(func() { cancel(); <-ended })
	if err := m.CurrentMembers(t.Context()); err != nil {
		t.Fatal(err)
	}
	if m.mode(anna) != presence.Both || m.mode(frida) != presence.TeamsToPBX {
		t.Errorf("after the first fill anna has %s, frida %s", m.mode(anna), m.mode(frida))
	}
	if known, ok := m.Membership("contoso", groupNumber(0)); !ok || known != (options.Membership{Name: "Support", Members: 2, SeenAt: seen}) {
		t.Errorf("known is %+v", known)
	}
	if got := m.Called("contoso", "sUPPORT"); !slices.Equal(got, []identity.Group{groupNumber(0)}) || len(m.Called("fabrikam", "Support")) != 0 || len(m.Called("contoso", "")) != 0 {
		t.Errorf("called Support are %v", got)
	}
	if c := <-changes; c.key != options.GroupKey("contoso", groupNumber(0)) || len(c.people) != 2 {
		t.Errorf("the first change is %+v", c)
	}
	if _, err := b.Publish(t.Context(), bus.Message{Subject: wire.GroupSubject("contoso", groupNumber(0)), Data: []byte("\x0a\x01")}); err != nil { // what cannot be read
		t.Fatal(err)
	}
	publish(wire.Group{Tenant: "contoso", ID: groupNumber(0), Name: "Support", Members: []identity.User{ben.User}, Problem: wire.GroupDenied, SeenAt: seen})
	if c := <-changes; len(c.people) != 1 || c.people[0] != anna || m.mode(anna) != presence.TeamsToPBX || m.mode(ben) != presence.Both {
		t.Errorf("anna left: %+v; she has %s, ben %s", c, m.mode(anna), m.mode(ben))
	}
	if known := m.Memberships("contoso")[groupNumber(0)]; known.Problem != wire.GroupDenied || known.Members != 1 {
		t.Errorf("known is %+v", known)
	}
}

func TestGroupsWithARecordAreNamedEvenIfItCannotBeRead(t *testing.T) {
	m, _ := everywhere(t)
	m.put(t, options.GroupKey("contoso", groupNumber(2)), options.Record{Mode: "both"}.Encode())
	m.put(t, options.GroupKey("contoso", groupNumber(1)), []byte(`{"colour":"red"}`)) // of a newer version
	m.put(t, options.GroupKey("fabrikam", groupNumber(3)), options.Record{}.Encode())
	m.put(t, options.Key{Layer: options.Group, Tenant: "contoso", ID: "no object id"}, options.Record{}.Encode())
	m.put(t, options.UserKey(anna), options.Record{Mode: "both"}.Encode())
	if got := m.Groups("contoso"); !slices.Equal(got, []identity.Group{groupNumber(1), groupNumber(2)}) {
		t.Errorf("named are %v", got)
	}
	entry, err := m.bucket.Get(t.Context(), options.GroupKey("contoso", groupNumber(1)).String())
	if err != nil {
		t.Fatal(err)
	}
	if err := m.bucket.Delete(t.Context(), entry.Key, entry.Revision); err != nil {
		t.Fatal(err)
	}
	bustest.Eventually(t, 10*time.Second, func() string {
		if got := m.Groups("contoso"); !slices.Equal(got, []identity.Group{groupNumber(2)}) {
			return fmt.Sprintf("named are %v", got)
		}
		return ""
	})
}

// BenchmarkSetMembers: one of 20,000 leaves a group, among 100,000 people in others.
func BenchmarkSetMembers(b *testing.B) {
	m := options.NewMirror(func(identity.Person) presence.Options { return presence.DefaultOptions() }, slog.New(slog.DiscardHandler))
	users := make([]identity.User, 100_000)
	for i := range users {
		users[i] = userNumber(i)
	}
	m.SetMembers("contoso", groupNumber(1), users)
	for i := 0; b.Loop(); i++ {
		m.SetMembers("contoso", groupNumber(0), users[i%2:20_000])
	}
}
