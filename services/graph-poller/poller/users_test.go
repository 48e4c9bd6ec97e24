package poller

import (
	"context"
	"fmt"
	"maps"
	"slices"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// directory returns the stored user facts with their sequences.
func (s *stage) directory() map[identity.User]storedUser {
	s.t.Helper()
	facts := map[identity.User]storedUser{}
	must(s.t, s.bus.Each(s.t.Context(), topology.Directory, "m365.fact.user.contoso.*", func(m bus.Message) error {
		fact, err := wire.DecodeUser(m.Data)
		facts[fact.Person.User] = storedUser{fact, m.Sequence}
		return err
	}))
	return facts
}

// there are the users that the stored facts say exist, sorted.
func (s *stage) there() []identity.User {
	var users []identity.User
	for user, stored := range s.directory() {
		if !stored.fact.Gone {
			users = append(users, user)
		}
	}
	slices.Sort(users)
	return users
}

func (s *stage) cursor() string {
	s.t.Helper()
	e, err := s.bucket(topology.Cursors).Get(s.t.Context(), "contoso.users.2")
	if err != nil {
		return ""
	}
	return string(e.Value)
}

// usersConfig reads the directory again and again.
func (s *stage) usersConfig(every time.Duration) (TenantConfig, *watched) {
	conf, client := s.config(never)
	conf.Presence, conf.Users = false, every
	return conf, client
}

func TestTheDirectoryIsFollowed(t *testing.T) {
	s := newStage(t, 12, func(c *graphsim.Config) { c.Tenants[0].Switches = graphsim.Switches{PageSize: 5, EmptyPages: true} })
	users := s.users()
	conf, _ := s.usersConfig(20 * time.Millisecond)
	s.run(conf)
	s.eventually("not everyone is stored", func() bool { return slices.Equal(s.there(), users) })
	s.eventually("the cursor is not saved", func() bool { return s.cursor() != "" })
	before := s.directory()
	if fact := before[users[0]].fact; fact.UPN == "" || fact.DisplayName == "" || fact.Type != "Member" || !fact.Enabled || fact.SeenAt.IsZero() {
		t.Errorf("%+v", fact)
	}
	must(t, s.tenant().EditUser(string(users[0]), func(u *graphsim.User) { u.GivenName, u.AccountEnabled = "Renamed", false }))
	must(t, s.tenant().DeleteUser(string(users[1]), true))
	must(t, s.tenant().DeleteUser(string(users[2]), false))
	s.eventually("the changes are not stored", func() bool {
		now := s.directory()
		return now[users[0]].fact.GivenName == "Renamed" && !now[users[0]].fact.Enabled && now[users[1]].fact.Gone && now[users[2]].fact.Gone
	})
	for _, user := range users[3:] {
		if s.directory()[user].sequence != before[user].sequence {
			t.Errorf("%s was published again without a change", user)
		}
	}
}

func TestEverythingThatPhoneSystemsTakeIsStored(t *testing.T) {
	s := newStage(t, 1, nil)
	made, err := s.tenant().AddUser(graphsim.User{UserPrincipalName: "kim@contoso.example", DisplayName: "Kim Novak \u202e\U0001F4DE", GivenName: "Kim", Surname: "Novak",
		Mail: "k.novak@contoso.example", Department: "Sales", MobilePhone: "+49 (0)171 3920099", BusinessPhones: []string{"+49 30 23125 200;ext=12", "+49 30 23125 0"},
		PreferredLanguage: "de-AT", AccountEnabled: true})
	must(t, err)
	conf, _ := s.usersConfig(never)
	s.run(conf)
	s.eventually("the cursor is not saved", func() bool { return s.cursor() != "" })
	user := identity.User(made.ID)
	fact := s.directory()[user].fact
	want := wire.User{Person: identity.Person{Tenant: contoso, User: user}, UPN: "kim@contoso.example", Mail: "k.novak@contoso.example", DisplayName: "Kim Novak \u202e\U0001F4DE",
		GivenName: "Kim", Surname: "Novak", Mobile: "+49 (0)171 3920099", OfficePhone: "+49 30 23125 200;ext=12", Department: "Sales", Language: "de-AT", Type: "Member", Enabled: true, SeenAt: fact.SeenAt}
	if fact != want {
		t.Errorf("got %+v\nwant %+v", fact, want)
	}
}

// The directory reports in a first round as well who was removed before it.
func TestWhoWasRemovedBeforeTheFirstRoundIsNotThere(t *testing.T) {
	s := newStage(t, 4, nil)
	users := s.users()
	must(t, s.tenant().DeleteUser(string(users[0]), true))
	must(t, s.tenant().DeleteUser(string(users[1]), false))
	conf, _ := s.usersConfig(never)
	stop := s.run(conf)
	s.eventually("the cursor is not saved", func() bool { return s.cursor() != "" })
	stop()
	if facts := s.directory(); len(facts) != 2 {
		t.Errorf("facts about %d users: of strangers that are gone nothing is said", len(facts))
	}
	// The cursor is lost. One whom an earlier round found is removed in a first round.
	must(t, s.tenant().DeleteUser(string(users[2]), false))
	e, err := s.bucket(topology.Cursors).Get(t.Context(), "contoso.users.2")
	must(t, err)
	must(t, s.bucket(topology.Cursors).Delete(t.Context(), e.Key, e.Revision))
	conf, client := s.usersConfig(never)
	s.run(conf)
	s.eventually("the cursor is not saved again", func() bool { return s.cursor() != "" })
	if client.read()[0] != "" || !s.directory()[users[2]].fact.Gone || !slices.Equal(s.there(), users[3:]) {
		t.Errorf("there are %v, want %v", s.there(), users[3:])
	}
}

func TestARoundThatComesAgainSaysNothingNew(t *testing.T) {
	s := newStage(t, 6, nil)
	users := s.users()
	conf, _ := s.usersConfig(never)
	stop := s.run(conf)
	s.eventually("the cursor is not saved", func() bool { return s.cursor() != "" })
	stop()
	first := s.cursor()
	must(t, s.tenant().EditUser(string(users[0]), func(u *graphsim.User) { u.Department = "Moved" }))
	must(t, s.tenant().DeleteUser(string(users[1]), true))
	var facts map[identity.User]storedUser
	for round := range 3 {
		_, err := s.bucket(topology.Cursors).Put(t.Context(), "contoso.users.2", []byte(first))
		must(t, err)
		conf, client := s.usersConfig(never)
		stop := s.run(conf)
		s.eventually("the changes are not read", func() bool { return s.cursor() != first })
		stop()
		if string(client.read()[0]) != first || s.directory()[users[0]].fact.Department != "Moved" || !s.directory()[users[1]].fact.Gone {
			t.Fatalf("round %d: %+v", round, s.directory()[users[0]])
		}
		if now := s.directory(); round == 0 {
			facts = now
		} else if !maps.Equal(now, facts) {
			t.Error("something was published again")
		}
	}
}

func TestAPageThatEndsInGarbageCostsNothingButTime(t *testing.T) {
	s := newStage(t, 12, func(c *graphsim.Config) { c.Tenants[0].Switches.PageSize = 5 })
	users := s.users()
	conf, client := s.usersConfig(never)
	conf.Keep.Retry = 20 * time.Millisecond
	_, err := s.tenant().Fault(graphsim.Fault{Kind: graphsim.FaultGarbage, Path: "/users/delta", Count: 3})
	must(t, err)
	s.run(conf)
	s.eventually("the cursor is not saved", func() bool { return s.cursor() != "" })
	if !slices.Equal(s.there(), users) {
		t.Errorf("%d of %d are stored", len(s.there()), len(users))
	}
	if n := len(client.read()); n != 3+3 {
		t.Errorf("%d pages were asked for, want three in vain and three", n)
	}
}

func TestACursorThatExpiresAgainIsNoEnd(t *testing.T) {
	s := newStage(t, 12, func(c *graphsim.Config) { c.Tenants[0].Switches = graphsim.Switches{PageSize: 5, GoneStatus: 404} })
	users := s.users()
	conf, client := s.usersConfig(never)
	conf.Keep.Retry = 20 * time.Millisecond
	client.before = func(context.Context) {
		if n := len(client.read()); n == 2 || n == 4 { // the second page of the first two rounds
			s.tenant().ExpireDeltas()
		}
	}
	s.run(conf)
	s.eventually("the cursor is not saved", func() bool { return s.cursor() != "" })
	if !slices.Equal(s.there(), users) {
		t.Errorf("%d of %d are stored", len(s.there()), len(users))
	}
	if pages := client.read(); len(pages) != 7 || pages[2] != "" || pages[4] != "" {
		t.Errorf("pages %q, want two rounds that were cut off, and one of three pages", pages)
	}
}

func TestGuestsAreLeftOutUnlessTheyAreAskedFor(t *testing.T) {
	for _, asked := range []bool{false, true} {
		t.Run(fmt.Sprint(asked), func(t *testing.T) {
			s := newStage(t, 2, nil)
			guest, err := s.tenant().AddUser(graphsim.User{UserPrincipalName: "guest@contoso.example", UserType: "Guest", AccountEnabled: true})
			must(t, err)
			conf, _ := s.usersConfig(20 * time.Millisecond)
			conf.Guests = asked
			s.run(conf)
			s.eventually("the cursor is not saved", func() bool { return s.cursor() != "" })
			stored, ok := s.directory()[identity.User(guest.ID)]
			if ok != asked || asked && (stored.fact.Type != "Guest" || stored.fact.Gone) {
				t.Errorf("stored %v: %+v", ok, stored.fact)
			}
			member := s.users()[0]
			if member == identity.User(guest.ID) {
				member = s.users()[1]
			}
			must(t, s.tenant().EditUser(string(member), func(u *graphsim.User) { u.UserType = "Guest" }))
			s.eventually("a member who became a guest", func() bool { return s.directory()[member].fact.Gone == !asked })
		})
	}
}

// The service is stopped before each page in turn. The cursor must not run ahead
// of what is stored: it is not saved before the round is complete.
func TestAKillBetweenPagesRepeatsTheRoundAndLosesNothing(t *testing.T) {
	s := newStage(t, 20, func(c *graphsim.Config) { c.Tenants[0].Switches.PageSize = 4 })
	users := s.users()
	for page := 1; page <= 4; page++ {
		conf, client := s.usersConfig(never)
		reached := make(chan struct{})
		client.before = func(ctx context.Context) {
			if len(client.read()) > page {
				close(reached)
				<-ctx.Done() // killed while it waits for the page
			}
		}
		stop := s.run(conf)
		<-reached
		stop()
		if n := len(s.there()); n != page*4 {
			t.Errorf("killed before page %d: %d users are stored, want %d", page+1, n, page*4)
		}
		if s.cursor() != "" {
			t.Errorf("killed before page %d: the cursor is saved", page+1)
		}
	}
	conf, client := s.usersConfig(never)
	s.run(conf)
	s.eventually("the cursor is not saved", func() bool { return s.cursor() != "" })
	if !slices.Equal(s.there(), users) {
		t.Errorf("%d of %d users are stored", len(s.there()), len(users))
	}
	if pages := client.read(); pages[0] != "" {
		t.Error("the round was not begun again")
	}
}

func TestAnExpiredCursorNeverDeletesByItself(t *testing.T) {
	for _, location := range []bool{false, true} {
		t.Run(fmt.Sprintf("with a Location: %v", location), func(t *testing.T) {
			s := newStage(t, 12, func(c *graphsim.Config) {
				c.Tenants[0].Switches = graphsim.Switches{PageSize: 5, GoneLocation: location}
			})
			users := s.users()
			conf, _ := s.usersConfig(never)
			stop := s.run(conf)
			s.eventually("the cursor is not saved", func() bool { return s.cursor() != "" })
			stop()
			before, cursor := s.directory(), s.cursor()
			// While nobody looks one leaves, and the cursor expires: nothing will tell.
			must(t, s.tenant().DeleteUser(string(users[3]), true))
			s.tenant().ExpireDeltas()
			conf, client := s.usersConfig(never)
			s.run(conf)
			s.eventually("the cursor is not replaced", func() bool { return s.cursor() != cursor })
			for user, stored := range s.directory() {
				if gone := user == users[3]; stored.fact.Gone != gone || !gone && stored.sequence != before[user].sequence {
					t.Errorf("%s: gone %v, sequence %d, was %d", user, stored.fact.Gone, stored.sequence, before[user].sequence)
				}
			}
			if pages := client.read(); string(pages[0]) != cursor || pages[1] != "" {
				t.Errorf("read %d pages, not the cursor and then from the beginning", len(pages))
			}
		})
	}
}

func TestACursorThatLeadsElsewhereIsAsGoodAsExpired(t *testing.T) {
	s := newStage(t, 3, nil)
	_, err := s.bucket(topology.Cursors).Put(t.Context(), "contoso.users.2", []byte("https://graph.elsewhere.example/v1.0/users/delta?$deltatoken=x"))
	must(t, err)
	conf, _ := s.usersConfig(never)
	s.run(conf)
	s.eventually("users are never read again", func() bool { return slices.Equal(s.there(), s.users()) })
}

// Graph asks for ten minutes; other work of the tenant goes on meanwhile.
func TestAThrottledReadWaitsAsLongAsGraphAsks(t *testing.T) {
	s := newStage(t, 3, nil)
	_, err := s.tenant().Fault(graphsim.Fault{Kind: graphsim.FaultStatus, Path: "/users/delta", RetryAfter: "600"})
	must(t, err)
	s.link(contoso, s.users()...)
	conf, client := s.config(25 * time.Millisecond)
	s.run(conf)
	began := time.Now()
	// The first pause of its own would be one second.
	s.eventually("no sweeps", func() bool { return s.sweep(contoso).Ended.After(began.Add(1500 * time.Millisecond)) })
	if n := len(client.read()); n != 1 {
		t.Errorf("asked %d times", n)
	}
	if n := s.graph.Requests().Of("GET", "/v1.0/users/delta()", 429); n != 1 {
		t.Errorf("%d requests: %+v", n, s.graph.Requests())
	}
}
