package poller

import (
	"context"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/options"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// group makes a group of the simulated tenant.
func (s *stage) group(name string, members ...identity.User) identity.Group {
	s.t.Helper()
	g, err := s.tenant().AddGroup("", name)
	must(s.t, err)
	for _, member := range members {
		must(s.t, s.tenant().Join(name, string(member)))
	}
	return identity.Group(g.ID)
}

// option stores a group's options, as control-api does; unoption takes them away.
func (s *stage) option(id identity.Group, record options.Record) {
	s.t.Helper()
	_, err := s.bucket(topology.Options).Put(s.t.Context(), options.GroupKey(contoso, id).String(), record.Encode())
	must(s.t, err)
}

func (s *stage) unoption(id identity.Group) {
	s.t.Helper()
	b := s.bucket(topology.Options)
	e, err := b.Get(s.t.Context(), options.GroupKey(contoso, id).String())
	must(s.t, err)
	must(s.t, b.Delete(s.t.Context(), e.Key, e.Revision))
}

// groupFact is the stored fact of a group, with its sequence; 0: there is none.
func (s *stage) groupFact(id identity.Group) (wire.Group, uint64) {
	s.t.Helper()
	m, err := s.bus.Last(s.t.Context(), topology.Directory, wire.GroupSubject(contoso, id))
	if fault.KindOf(err) == fault.NotFound {
		return wire.Group{}, 0
	}
	must(s.t, err)
	fact, err := wire.DecodeGroup(m.Data)
	must(s.t, err)
	return fact, m.Sequence
}

// has waits until a group is known to have these members, and this problem.
func (s *stage) has(id identity.Group, problem string, members ...identity.User) (fact wire.Group, sequence uint64) {
	s.t.Helper()
	slices.Sort(members)
	s.eventually(fmt.Sprintf("the group is not known to have %d members and the problem %q", len(members), problem), func() bool {
		fact, sequence = s.groupFact(id)
		return sequence > 0 && fact.Problem == problem && slices.Equal(fact.Members, members)
	})
	return fact, sequence
}

// groupReads counts the requests for members of groups, by status; 0: any.
func (s *stage) groupReads(status int) int {
	return s.graph.Requests().Of("GET", "/v1.0/groups/{group}", status)
}

// groupsConfig reads groups again and again and nothing else.
func (s *stage) groupsConfig(every time.Duration) TenantConfig {
	conf, _ := s.usersConfig(every)
	conf.Again, conf.Keep.Retry = 20*time.Millisecond, 20*time.Millisecond
	return conf
}

func TestGroupsWithOptionsAreReadAtOnceAndFollowedAndNoOthers(t *testing.T) {
	s := newStage(t, 6, nil)
	users := s.users()
	named, later, other := s.group("Support", users[0], users[1]), s.group("Sales", users[2]), s.group("Secret", users[3])
	s.option(named, options.Record{Mode: "both"})
	s.run(s.groupsConfig(200 * time.Millisecond))
	fact, sequence := s.has(named, "", users[0], users[1])
	if fact.Name != "Support" || fact.SeenAt.IsZero() || fact.Tenant != contoso {
		t.Errorf("%+v", fact)
	}
	must(t, s.tenant().Join("Support", string(users[4])))
	must(t, s.tenant().Leave("Support", string(users[0])))
	_, next := s.has(named, "", users[1], users[4])
	if next <= sequence {
		t.Errorf("the change has sequence %d after %d", next, sequence)
	}
	s.option(later, options.Record{Mode: "calendar"})
	_, sequence = s.has(later, "", users[2])
	reads := s.groupReads(200)
	s.eventually("groups are read once only", func() bool { return s.groupReads(200) > reads+3 })
	if _, now := s.groupFact(later); now != sequence {
		t.Error("a group is published again although nothing is new")
	}
	if _, now := s.groupFact(other); now != 0 {
		t.Error("a group that nothing names is read")
	}
}

// Between two sweeps nothing but the change itself makes a group be read.
func TestAGroupIsReadAsSoonAsItHasOptions(t *testing.T) {
	s := newStage(t, 3, nil)
	id := s.group("Support", s.users()[0])
	s.run(s.groupsConfig(never))
	s.eventually("the directory is not read", func() bool { return s.cursor() != "" })
	s.option(id, options.Record{Mode: "both"})
	s.has(id, "", s.users()[0])
	s.option(id, options.Record{Mode: "calendar"})
	s.option(s.group("Sales"), options.Record{Mode: "calendar"})
	s.eventually("another group is not read", func() bool { return s.groupReads(200) == 2 }) // and the first one not again
}

func TestWhatIsInTheWayOfReadingAGroupEmptiesItNot(t *testing.T) {
	for _, c := range []struct {
		name    string
		spoil   func(*graphsim.Tenant) error
		mend    func(*graphsim.Tenant) error
		problem string
		result  string
	}{
		{"the permission is withdrawn",
			func(t *graphsim.Tenant) error { return t.Revoke(app, "GroupMember.Read.All") },
			func(t *graphsim.Tenant) error { return t.Grant(app, "GroupMember.Read.All") }, wire.GroupDenied, "denied"},
		{"Graph fails",
			func(t *graphsim.Tenant) error {
				_, err := t.Fault(graphsim.Fault{Kind: graphsim.FaultStatus, Path: "/transitiveMembers", Status: 500})
				return err
			},
			func(t *graphsim.Tenant) error { t.ClearFaults(); return nil }, "", "unavailable"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t, 4, nil)
			users := s.users()
			id := s.group("Support", users[0], users[1])
			s.option(id, options.Record{Mode: "both"})
			stop := s.run(s.groupsConfig(50 * time.Millisecond))
			before, _ := s.has(id, "", users[0], users[1])
			must(t, c.spoil(s.tenant()))
			must(t, s.tenant().Leave("Support", string(users[0])))
			s.eventually("no read in vain is counted", func() bool { return s.metric("offhook_group_reads_total", c.result) > 2 })
			if fact, _ := s.has(id, c.problem, users[0], users[1]); fact.Name != "Support" || !fact.SeenAt.Equal(before.SeenAt) {
				t.Errorf("%+v was %+v", fact, before)
			}
			stop() // another instance finds it so, and changes nothing
			stop = s.run(s.groupsConfig(50 * time.Millisecond))
			s.eventually("no read in vain is counted", func() bool { return s.metric("offhook_group_reads_total", c.result) > 2 })
			s.has(id, c.problem, users[0], users[1])
			stop()
			must(t, c.mend(s.tenant())) // a permission needs a new token, which this instance would have in an hour
			s.run(s.groupsConfig(50 * time.Millisecond))
			s.has(id, "", users[1])
		})
	}
}

// crowded is a client for which every group is too large.
type crowded struct{ Client }

func (crowded) GroupMembers(context.Context, identity.Group) (graph.Group, error) {
	return graph.Group{}, fault.Errorf(fault.Unsupported, "read a group", "too many")
}

func TestAGroupThatHasBecomeTooLargeKeepsWhoWasInIt(t *testing.T) {
	s := newStage(t, 3, nil)
	id := s.group("Support", s.users()[0])
	s.option(id, options.Record{Mode: "both"})
	stop := s.run(s.groupsConfig(never))
	s.has(id, "", s.users()[0])
	stop()
	conf := s.groupsConfig(never)
	client := crowded{s.client(contoso, nil)}
	conf.Client = func() (Client, error) { return client, nil }
	s.run(conf)
	s.has(id, wire.GroupTooLarge, s.users()[0])
}

func TestAGroupThatIsDeletedIsEmptyOnceThatIsConfirmed(t *testing.T) {
	s := newStage(t, 4, nil)
	users := s.users()
	id := s.group("Support", users[0])
	s.option(id, options.Record{Mode: "both"})
	conf := s.groupsConfig(50 * time.Millisecond)
	conf.Again = never
	stop := s.run(conf)
	s.has(id, "", users[0])
	must(t, s.tenant().DeleteGroup("Support"))
	s.eventually("nobody looks", func() bool { return s.groupReads(404) >= 1 })
	if fact, _ := s.groupFact(id); fact.Problem != "" && s.groupReads(404) < 2 {
		t.Errorf("after one look it is known to be %+v", fact)
	}
	stop()
	conf.Again = 20 * time.Millisecond
	s.run(conf)
	if fact, _ := s.has(id, wire.GroupGone); fact.Name != "Support" {
		t.Errorf("%+v", fact)
	}
	if n := s.groupReads(404); n < confirmAbsent {
		t.Errorf("it is gone after %d looks", n)
	}
	s.eventually("it is not counted", func() bool { return s.metric("offhook_groups", "gone") == 1 })
	_, err := s.tenant().AddGroup(string(id), "Support") // restored
	must(t, err)
	must(t, s.tenant().Join("Support", string(users[1])))
	s.has(id, "", users[1])
}

func TestOfAGroupThatNothingNamesAnyMoreNothingIsKept(t *testing.T) {
	s := newStage(t, 4, nil)
	users := s.users()
	id := s.group("Support", users[0])
	s.option(id, options.Record{Mode: "both"})
	s.run(s.groupsConfig(never))
	s.has(id, "", users[0])
	s.unoption(id)
	if fact, _ := s.has(id, wire.GroupUnnamed); fact.Name != "" {
		t.Errorf("%+v", fact)
	}
	must(t, s.tenant().Join("Support", string(users[1])))
	s.option(id, options.Record{Mode: "both"})
	s.has(id, "", users[0], users[1])
}

func TestWhoIsInAGroupIsReadInItsMode(t *testing.T) {
	s := newStage(t, 4, nil)
	users := s.users()
	id := s.group("Support", users[0])
	s.option(id, options.Record{Mode: "teams-to-pbx"})
	s.link(contoso, users...)
	conf := s.groupsConfig(50 * time.Millisecond)
	conf.Presence, conf.Sweep, conf.Mode = true, 50*time.Millisecond, presence.Disabled
	s.run(conf)
	s.eventually("who is in the group is not read", func() bool { _, _, ok := s.stored(contoso, users[0]); return ok })
	must(t, s.tenant().Join("Support", string(users[1])))
	s.eventually("who has joined is not read", func() bool { _, _, ok := s.stored(contoso, users[1]); return ok })
	for _, user := range users[2:] {
		if _, _, ok := s.stored(contoso, user); ok {
			t.Errorf("%s is read although they are in no group", user)
		}
	}
	must(t, s.tenant().Leave("Support", string(users[0])))
	s.eventually("who has left is still read", func() bool { return s.swept(contoso).Users == 1 })
}

func TestPriorityOfAGroupIsThatOfItsMembers(t *testing.T) {
	s := newStage(t, 8, nil)
	users := s.users()
	id := s.group("Agents", users[5], users[6])
	s.link(contoso, users...)
	conf := s.groupsConfig(50 * time.Millisecond)
	conf.Priority = []string{string(users[2]), string(id)}
	s.run(conf)
	s.has(id, "", users[5], users[6])
	if first := s.first(s.planner(conf)); !slices.Equal(first, []int{2, 5, 6}) {
		t.Errorf("first are %v", first)
	}
	if s.groupReads(404) > 0 {
		t.Error("a user of the directory was taken for a group")
	}
}

// readMembers fills the mirror of groups.
func readMembers(t testing.TB, p *Poller) {
	t.Helper()
	ended := make(chan error, 1)
	go func() { ended <- p.options.RunMembers(t.Context(), p.bus, nil) }()
	t.Cleanup(func() { <-ended })
	must(t, p.options.CurrentMembers(t.Context()))
}

// A large group is one message, and the broker takes it.
func TestAGroupOfTwentyThousandIsOneFact(t *testing.T) {
	s := newStage(t, 20_000, nil)
	users := s.users()
	id := s.group("Everyone", users...)
	s.option(id, options.Record{Mode: "both"})
	conf := s.groupsConfig(never)
	conf.Mode = presence.Disabled
	s.run(conf)
	s.has(id, "", users...)
	m, err := s.bus.Last(t.Context(), topology.Directory, wire.GroupSubject(contoso, id))
	must(t, err)
	t.Logf("20,000 members are %d bytes", len(m.Data))
	if pages := s.graph.Requests().Of("GET", "/v1.0/groups/{group}/transitiveMembers/microsoft.graph.user", 200); pages != 21 {
		t.Errorf("%d pages", pages)
	}
}

// What a group's fact may not do: name anybody of another tenant.
func TestGroupsOfTwoTenantsAreApart(t *testing.T) {
	s := newStage(t, 3, nil)
	id := s.group("Support", s.users()[0])
	g, err := s.graph.Tenant("fabrikam").AddGroup(string(id), "Support") // the same id, by accident
	must(t, err)
	must(t, s.graph.Tenant("fabrikam").Join(g.ID, "ben"))
	s.option(id, options.Record{Mode: "both"})
	_, err = s.bucket(topology.Options).Put(t.Context(), options.GroupKey("fabrikam", id).String(), options.Record{Mode: "calendar"}.Encode())
	must(t, err)
	other := s.groupsConfig(50 * time.Millisecond)
	client := s.client("fabrikam", nil)
	other.ID, other.Directory, other.Client = "fabrikam", directories["fabrikam"], func() (Client, error) { return client, nil }
	s.run(s.groupsConfig(50*time.Millisecond), other)
	s.has(id, "", s.users()[0])
	s.eventually("the other tenant's group is not read", func() bool {
		m, err := s.bus.Last(t.Context(), topology.Directory, wire.GroupSubject("fabrikam", id))
		if err != nil {
			return false
		}
		fact, err := wire.DecodeGroup(m.Data)
		return err == nil && len(fact.Members) == 1 && fact.Tenant == "fabrikam" && !slices.Contains(s.users(), fact.Members[0])
	})
	must(t, s.bus.Each(t.Context(), topology.Directory, "m365.fact.group.>", func(m bus.Message) error {
		fact, err := wire.DecodeGroup(m.Data)
		if err == nil && !strings.HasPrefix(m.Subject, "m365.fact.group."+string(fact.Tenant)+".") {
			t.Errorf("%s holds %+v", m.Subject, fact)
		}
		return err
	}))
}

// Groups whose members get extensions are read like those with options: with everybody
// in groups in them, also when these are in each other.
func TestGroupsOfTheChoiceOfUsersAreRead(t *testing.T) {
	s := newStage(t, 5, nil)
	users := s.users()
	outer, inner := s.group("Staff", users[0]), s.group("Interns", users[1])
	must(t, s.tenant().Join("Staff", "Interns"))
	must(t, s.tenant().Join("Interns", "Staff"))
	nobodys := s.group("Gone")
	must(t, s.tenant().DeleteGroup("Gone"))
	conf := s.groupsConfig(100 * time.Millisecond)
	conf.Groups = []identity.Group{outer, nobodys}
	stop := s.run(conf)
	s.has(outer, "", users[0], users[1])
	s.has(nobodys, wire.GroupGone)
	if _, sequence := s.groupFact(inner); sequence != 0 {
		t.Error("a group that is only in another one is read by itself")
	}
	must(t, s.tenant().Join("Interns", string(users[2])))
	s.has(outer, "", users[0], users[1], users[2])
	stop()
	conf.Groups = nil
	s.run(conf)
	s.has(outer, wire.GroupUnnamed)
}
