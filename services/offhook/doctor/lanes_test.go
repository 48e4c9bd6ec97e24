package doctor_test

import (
	"context"
	"errors"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/config"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
	"offhook.dev/services/control-api/api"
	"offhook.dev/services/e2e/world"
	"offhook.dev/services/graph-poller/poller"
	"offhook.dev/services/offhook/doctor"
	"offhook.dev/services/pbx-writer/writer"
	"offhook.dev/services/user-sync/usersync"
	"offhook.dev/services/webhook-receiver/receiver"
)

// advice is what the doctor must say, and nothing of the kind besides.
type advice struct{ code, level, about, cause, fix string }

// missing returns what is wrong with the checks of lanes, or "".
func (a advice) missing(checks []doctor.Check) string {
	for _, c := range checks {
		if !strings.HasPrefix(c.Code, "OH-LANE") || c.Level == "ok" {
			continue
		}
		if c.Code != a.code || c.Level != a.level || !strings.Contains(c.Group+" "+c.Check, a.about) || !strings.Contains(c.Cause, a.cause) || !strings.Contains(c.Fix, a.fix) {
			return c.Level + " " + c.Code + " of " + c.Group + ", " + c.Check + ": " + c.Cause + "; fix: " + c.Fix
		}
		return ""
	}
	if a != (advice{}) {
		return "nothing is said"
	}
	return ""
}

func TestEachLaneThatDoesNotHearIsNamedWithAdvice(t *testing.T) {
	ago := func(d time.Duration) *time.Time { at := time.Now().Add(-d); return &at }
	anna := func(state wire.LaneState, since time.Duration, detail string) api.Lane {
		return api.Lane{Tenant: "contoso", Account: "anna", From: "configuration", State: string(state), Since: ago(since), Detail: detail, Users: 7}
	}
	cases := []struct {
		claim string
		spoil func(*config.Config)
		lanes []api.Lane
		err   error
		want  advice // zero: all is well
	}{
		{"a lane that listens", nil, []api.Lane{anna(wire.LaneListening, time.Hour, "")}, nil, advice{}},
		{"a lane that nobody is on", nil, []api.Lane{anna(wire.LaneIdle, time.Hour, "")}, nil, advice{}},
		{"a lane in the making", nil, []api.Lane{anna(wire.LaneStarting, time.Minute, "")}, nil, advice{}},
		{"a lane in the making for too long", nil, []api.Lane{anna(wire.LaneStarting, time.Hour, "")}, nil,
			advice{"OH-LANE-003", "warning", "Lanes contoso account anna", "still not made", "graph-poller logs"}},
		{"an account that has to sign in", nil, []api.Lane{anna(wire.LaneFailing, time.Hour, "login refused: invalid_grant; the account has to sign in again (offhook authorize)")}, nil,
			advice{"OH-LANE-003", "problem", "Lanes contoso account anna", "has to sign in again", "run `offhook authorize --tenant contoso` and sign in as the account anna"}},
		{"a lane that fails otherwise", nil, []api.Lane{anna(wire.LaneFailing, time.Hour, "the endpoint does not answer the handshake")}, nil,
			advice{"OH-LANE-003", "problem", "Lanes contoso account anna", "does not answer the handshake; its 7 users", "`offhook lanes --tenant contoso`"}},
		{"a lane that is silent", nil, []api.Lane{anna(wire.LaneSilent, time.Hour, "its subscription told of nothing")}, nil,
			advice{"OH-LANE-003", "warning", "Lanes contoso account anna", "told of nothing", "webhook.public_url"}},
		{"a configured account that nobody keeps", nil, nil, nil,
			advice{"OH-LANE-003", "problem", "Lanes contoso account anna", "nobody keeps its lane", "graph-poller runs"}},
		{"lanes of another tenant are not this one's", nil, []api.Lane{{Tenant: "fabrikam", Account: "anna", State: "listening"}}, nil,
			advice{"OH-LANE-003", "problem", "Lanes contoso account anna", "nobody keeps its lane", "graph-poller runs"}},
		{"priority without a lane", func(c *config.Config) {
			c.Tenants[0].Microsoft365.Accounts, c.Tenants[0].Presence.Priority = nil, []string{"anna@contoso.example"}
		}, nil, nil, advice{"OH-LANE-004", "warning", "Lanes contoso", "presence.priority of tenant contoso names 1 users or groups, and no account is signed in", "offhook authorize --tenant contoso"}},
		{"priority, and the last lane is being given up", func(c *config.Config) {
			c.Tenants[0].Microsoft365.Accounts, c.Tenants[0].Presence.Priority = nil, []string{"anna@contoso.example"}
		}, []api.Lane{{Tenant: "contoso", Account: "zoe", State: "leaving"}}, nil,
			advice{"OH-LANE-004", "warning", "Lanes contoso", "no account is signed in", "offhook authorize --tenant contoso"}},
		{"no lane and nobody who asks for one", func(c *config.Config) { c.Tenants[0].Microsoft365.Accounts = nil }, nil, nil, advice{}},
		{"priority where there can be no lanes", func(c *config.Config) {
			c.Webhook.PublicURL, c.Tenants[0].Presence.Priority = "", []string{"anna@contoso.example"}
		}, nil, nil, advice{"OH-LANE-001", "warning", "Lanes contoso", "webhook.public_url", "set it"}},
		{"Offhook does not run", nil, nil, errors.New("nobody answers"), advice{"OH-LANE-002", "warning", "Lanes", "nobody answers", "--api"}},
	}
	w := world.New(t, world.Options{Users: 2, Webhook: true})
	for _, c := range cases {
		t.Run(c.claim, func(t *testing.T) {
			conf := w.Config
			conf.Tenants = slices.Clone(conf.Tenants)
			if c.spoil != nil {
				c.spoil(&conf)
			}
			checks := doctor.Run(t.Context(), conf, doctor.Options{Now: time.Now(), OpenSystem: writer.OpenDriver, Lanes: func(context.Context) ([]api.Lane, error) { return c.lanes, c.err }})
			if why := c.want.missing(checks); why != "" {
				t.Error(why)
			}
		})
	}
}

func TestEachNameInThePriorityThatMeansNotOneIsNamedWithAdvice(t *testing.T) {
	w := world.New(t, world.Options{Users: 3, Webhook: true})
	groups := map[string]string{}
	for name, is := range map[string][2]string{"one": {"Support", "help@contoso.example"}, "two": {"Agents", ""}, "three": {"agents", "agents@contoso.example"}} {
		g, err := w.Tenant.AddGroup("", name)
		if err == nil {
			_, err = w.Tenant.NameGroup(g.ID, is[0], is[1])
		}
		if err != nil {
			t.Fatal(err)
		}
		groups[name] = g.ID
	}
	anna, err := w.Tenant.User("anna")
	if err != nil {
		t.Fatal(err)
	}
	const nobody = "00000000-0000-4000-8000-000000000000"
	cases := []struct {
		claim string
		names []string
		spoil func(*graphsim.Tenant) error
		want  advice
	}{
		{"all that can be meant", []string{"support", "HELP@contoso.example", groups["two"], anna.ID, "anna@contoso.example"}, nil, advice{}},
		{"two groups of a name", []string{"agents"}, nil, advice{"OH-LANE-005", "warning", `presence.priority: "agents"`, "2 groups have this name", groups["two"]}},
		{"a name that nobody has", []string{"Salse"}, nil, advice{"OH-LANE-005", "warning", `presence.priority: "Salse"`, "neither a user", "correct it"}},
		{"a principal name that nobody has", []string{"nobody@contoso.example"}, nil, advice{"OH-LANE-005", "warning", "nobody@", "neither a user", "correct it"}},
		{"an object id that nobody has", []string{nobody}, nil, advice{"OH-LANE-005", "warning", nobody, "neither a user", "correct it"}},
		{"groups that may not be looked up", []string{"Support"}, func(t *graphsim.Tenant) error { return t.Revoke(world.App, "GroupMember.Read.All") },
			advice{"OH-LANE-005", "warning", "Support", "may not be looked up", "GroupMember.Read.All"}},
	}
	for _, c := range cases {
		t.Run(c.claim, func(t *testing.T) {
			if c.spoil != nil {
				if err := c.spoil(w.Tenant); err != nil {
					t.Fatal(err)
				}
			}
			conf := w.Config
			conf.Tenants = slices.Clone(conf.Tenants)
			conf.Tenants[0].Presence.Priority = c.names
			checks := doctor.Run(t.Context(), conf, doctor.Options{Now: time.Now(), OpenSystem: writer.OpenDriver})
			if why := c.want.missing(checks); why != "" {
				t.Error(why)
			}
			if c.want == (advice{}) && !slices.ContainsFunc(checks, func(c doctor.Check) bool { return strings.Contains(c.Check, "2 users and 3 groups are found") }) {
				t.Errorf("not all is found: %+v", checks)
			}
		})
	}
}

// What graph-poller says of an account whose sign-in is of no use any more is what the
// doctor takes for that.
func TestAnAccountThatGraphPollerFindsRevokedIsToldToSignInAgain(t *testing.T) {
	w := world.New(t, world.Options{Users: 2, Webhook: true})
	if err := w.Tenant.RevokeAccount("anna"); err != nil {
		t.Fatal(err)
	}
	w.Run(receiver.Part())
	w.Run(writer.Part()) // who has an extension is on the lane
	w.Run(usersync.Part())
	w.Run(poller.Part())
	b, err := bus.Connect(t.Context(), bus.Options{InProcess: w.Broker, Service: "test", Instance: "test"})
	if err != nil {
		t.Fatal(err)
	}
	defer b.Close()
	lanes := func(ctx context.Context) ([]api.Lane, error) {
		m, err := b.Last(ctx, topology.Facts, wire.LaneSubject("contoso", "anna"))
		if err != nil {
			return nil, err
		}
		l, err := wire.DecodeLane(m.Data)
		return []api.Lane{{Tenant: string(l.Tenant), Account: l.Account, State: string(l.State), Since: &l.Since, Detail: l.Detail, Users: l.Users}}, err
	}
	want := advice{"OH-LANE-003", "problem", "account anna", "failing", "run `offhook authorize --tenant contoso` and sign in as the account anna"}
	w.Eventually(60*time.Second, func() string {
		if all, err := lanes(t.Context()); err != nil || all[0].State != string(wire.LaneFailing) {
			return "the lane does not fail"
		}
		return want.missing(doctor.Run(t.Context(), w.Config, doctor.Options{Now: time.Now(), OpenSystem: writer.OpenDriver, Lanes: lanes}))
	})
}
