package poller

import (
	"log/slog"
	"slices"
	"testing"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/logtest"
	"offhook.dev/libs/options"
	"offhook.dev/libs/wire"
)

// planner is a tenant as another instance has it, which plans lanes and reads no groups.
func (s *stage) planner(conf TenantConfig) *tenant {
	s.t.Helper()
	log := slog.New(slog.NewTextHandler(s.t.Output(), nil))
	p := &Poller{bus: s.bus, options: options.NewMirror(Options{Tenants: []TenantConfig{conf}}.configured, log), log: log, cursors: s.bucket("cursors")}
	readMembers(s.t, p)
	client, err := conf.Client()
	must(s.t, err)
	t := &tenant{p: p, conf: conf.withDefaults(), log: log, client: client}
	t.names = newNames(t)
	return t
}

// first are the users who get lanes before others, by their place among all.
func (s *stage) first(t *tenant) (places []int) {
	s.t.Helper()
	first, err := t.priorities(s.t.Context())
	must(s.t, err)
	for i, user := range s.users() {
		if first[user] {
			places = append(places, i)
		}
	}
	return places
}

func TestPriorityNamesAGroupAsPeopleDo(t *testing.T) {
	for _, c := range []struct {
		claim, name string
		first       []int
		result      nameResult
		says        string // in the log; "": nothing is wrong
	}{
		{"by display name", "Sales & Support", []int{4, 5}, nameGroup, ""},
		{"in any case", "sALES & sUPPORT", []int{4, 5}, nameGroup, ""},
		{"by mail address", "sales@contoso.example", []int{4, 5}, nameGroup, ""},
		{"with a quotation mark in the name", "Anna's", []int{6}, nameGroup, ""},
		{"a user by principal name, whatever a group is called", "ben@contoso.example", nil, nameUser, ""},
		{"two groups of the name give nobody a place", "Agents", []int{}, nameAmbiguous, "write the object id of the one that is meant"},
		{"one is called so, and another has it for its address", "desk@contoso.example", []int{}, nameAmbiguous, "write the object id of the one that is meant"},
		{"nobody has the name", "Salse", []int{}, nameUnknown, "correct it, or write the object id"},
		{"nobody has the principal name", "nobody@contoso.example", []int{}, nameUnknown, "correct it, or write the object id"},
	} {
		t.Run(c.claim, func(t *testing.T) {
			s, log := newStage(t, 8, nil), &logtest.Log{}
			s.log = slog.New(slog.NewTextHandler(log, nil))
			users := s.users()
			rename := func(id identity.Group, name, mail string) {
				_, err := s.tenant().NameGroup(string(id), name, mail)
				must(t, err)
			}
			rename(s.group("1", users[4], users[5]), "Sales & Support", "sales@contoso.example")
			rename(s.group("2", users[6]), "Anna's", "")
			rename(s.group("3", users[0]), "Agents", "north@contoso.example")
			rename(s.group("4", users[1]), "agents", "south@contoso.example")
			rename(s.group("5", users[2]), "desk@contoso.example", "")
			rename(s.group("6", users[3]), "Desk", "desk@contoso.example")
			rename(s.group("7", users[7]), "ben@contoso.example", "")
			if c.first == nil {
				is, err := s.tenant().User("ben")
				must(t, err)
				c.first = []int{slices.Index(users, identity.User(is.ID))}
			}
			s.link(contoso, users...)
			conf := s.groupsConfig(never)
			conf.Priority = []string{c.name}
			s.run(conf)
			s.eventually("the name is not "+string(c.result), func() bool { return s.metric("offhook_priority_names", string(c.result)) == 1 })
			planner := s.planner(conf)
			s.eventually("not those are first that are to be", func() bool { return slices.Equal(s.first(planner), c.first) })
			if warned := log.Count("level=WARN"); c.says == "" && warned > 0 || c.says != "" && (log.Count(c.says) == 0 || log.Count("name=") == 0) {
				t.Errorf("the log says\n%s", log.String())
			}
		})
	}
}

func TestANameInThePriorityMeansWhatTheDirectorySaysNow(t *testing.T) {
	s, log := newStage(t, 4, nil), &logtest.Log{}
	s.log = slog.New(slog.NewTextHandler(log, nil))
	users := s.users()
	s.link(contoso, users...)
	conf := s.groupsConfig(50 * time.Millisecond)
	conf.Priority = []string{"Agents"}
	s.run(conf)
	is := func(result nameResult) {
		t.Helper()
		s.eventually("the name is not "+string(result), func() bool { return s.metric("offhook_priority_names", string(result)) == 1 })
	}
	is(nameUnknown)
	one := s.group("Agents", users[1])
	is(nameGroup)
	s.has(one, "", users[1])

	// Graph fails, and then refuses: who was in the group stays in it.
	must(t, s.tenant().Revoke(app, "GroupMember.Read.All"))
	is(nameDenied)
	s.has(one, wire.GroupDenied, users[1])
	must(t, s.tenant().Grant(app, "GroupMember.Read.All"))
	is(nameGroup)
	_, err := s.tenant().Fault(graphsim.Fault{Kind: graphsim.FaultStatus, Path: "/v1.0/groups", Status: 500})
	must(t, err)
	is(nameFailed)
	s.has(one, "", users[1])
	s.tenant().ClearFaults()
	is(nameGroup)

	// A second group of the name: nothing is guessed.
	two := s.group("Agents too", users[2])
	_, err = s.tenant().NameGroup(string(two), "agents", "")
	must(t, err)
	is(nameAmbiguous)
	s.has(one, wire.GroupUnnamed)
	if log.Count(string(one)) == 0 || log.Count(string(two)) == 0 {
		t.Errorf("the log does not name both groups:\n%s", log.String())
	}
	must(t, s.tenant().DeleteGroup(string(one)))
	is(nameGroup)
	s.has(two, "", users[2])
	for _, what := range []string{"several groups have this name", "no user has this principal name"} {
		if n := log.Count(what); n != 1 {
			t.Errorf("%q is said %d times, not when it becomes so", what, n)
		}
	}
}
