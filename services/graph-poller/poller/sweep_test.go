package poller

import (
	"fmt"
	"net/http"
	"slices"
	"testing"
	"time"

	"go.opentelemetry.io/otel/metric/noop"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/wire"
)

func TestASweepPublishesDifferencesOfLinkedUsersOnly(t *testing.T) {
	s := newStage(t, 6, nil)
	users := s.users()
	linked, stranger := users[:5], users[5]
	s.link(contoso, linked...)
	s.set(stranger, "Busy", "InACall")
	conf, client := s.config(20 * time.Millisecond)
	s.run(conf)
	s.eventually("not everyone has a fact", func() bool { return s.wrong(contoso, linked) == "" })
	before := map[identity.User]uint64{}
	for _, user := range linked {
		_, before[user], _ = s.stored(contoso, user)
	}
	s.set(linked[0], "DoNotDisturb", "Presenting")
	s.eventually("the change is not stored", func() bool { return s.wrong(contoso, linked) == "" })
	for range 3 {
		if sweep := s.swept(contoso); !sweep.OK || len(sweep.Failed) != 0 || sweep.Users != 5 || sweep.Ended.Before(sweep.Began) {
			t.Errorf("%+v", sweep)
		}
	}
	for i, user := range linked {
		if _, sequence, _ := s.stored(contoso, user); (sequence != before[user]) != (i == 0) {
			t.Errorf("user %d: sequence %d, was %d: only what changed is published", i, sequence, before[user])
		}
	}
	for _, request := range client.requests() {
		if slices.Contains(request, stranger) {
			t.Fatal("a user without an extension was read")
		}
	}
	if _, _, ok := s.stored(contoso, stranger); ok {
		t.Error("a user without an extension has a fact")
	}
}

func TestWhoIsLinkedBetweenTwoSweepsIsReadAtOnce(t *testing.T) {
	s := newStage(t, 3, nil)
	users := s.users()
	s.link(contoso, users[0])
	conf, client := s.config(never)
	s.run(conf)
	s.eventually("the first user has no fact", func() bool { return s.wrong(contoso, users[:1]) == "" })
	s.link(contoso, users[1:]...)
	s.eventually("the others have no fact", func() bool { return s.wrong(contoso, users) == "" })
	if asked := slices.Concat(client.requests()[1:]...); slices.Contains(asked, users[0]) {
		t.Error("who has a fact was read again")
	}
}

func TestAFactThatTheBrokerLostIsPublishedAgain(t *testing.T) {
	known := &presences{stored: map[identity.User]storedPresence{}}
	known.set("u", presence.TeamsReading{Availability: "Busy"}, 7)
	known.believe(0)
	if known.of("u").sequence != 7 {
		t.Fatal("forgotten without a reason")
	}
	known.believe(1)
	if known.of("u").sequence != 0 {
		t.Fatal("what a broker may have lost is still believed")
	}
}

func TestUsersAreReadInBatchesOf650AndAFailedBatchCostsItsUsersOnly(t *testing.T) {
	s := newStage(t, 1400, nil)
	users := s.users()
	s.link(contoso, users...)
	_, err := s.tenant().Fault(graphsim.Fault{Kind: graphsim.FaultStatus, Path: "getPresencesByUserId", Status: http.StatusForbidden, Count: 1})
	must(t, err)
	conf, client := s.config(never)
	s.run(conf)
	s.eventually("no sweep fact", func() bool { return s.sweep(contoso).Users == 1400 })
	sweep := s.sweep(contoso)
	var sizes []int
	var failed []identity.User
	for _, request := range client.requests() {
		sizes = append(sizes, len(request))
		if slices.Contains(sweep.Failed, request[0]) {
			failed = request
		}
	}
	if slices.Sort(sizes); !slices.Equal(sizes, []int{100, 650, 650}) {
		t.Errorf("batches of %v", sizes)
	}
	slices.Sort(sweep.Failed)
	slices.Sort(failed)
	if !sweep.OK || !slices.Equal(sweep.Failed, failed) {
		t.Errorf("ok %v, %d named as failed, %d were in the batch", sweep.OK, len(sweep.Failed), len(failed))
	}
	rest := slices.DeleteFunc(slices.Clone(users), func(u identity.User) bool { return slices.Contains(failed, u) })
	if why := s.wrong(contoso, rest); why != "" || len(rest) < 750 {
		t.Errorf("of %d in other batches, %s", len(rest), why)
	}
}

func TestASweepThatFailsAsAWholeSaysSo(t *testing.T) {
	s := newStage(t, 3, nil)
	s.link(contoso, s.users()...)
	_, err := s.tenant().Fault(graphsim.Fault{Kind: graphsim.FaultStatus, Path: "getPresencesByUserId", Status: http.StatusForbidden})
	must(t, err)
	conf, _ := s.config(20 * time.Millisecond)
	s.run(conf)
	s.eventually("no sweep fact", func() bool { return s.sweep(contoso).Users == 3 })
	if sweep := s.sweep(contoso); sweep.OK || len(sweep.Failed) != 0 || !sweep.Denied {
		t.Errorf("%+v", sweep)
	}
	s.tenant().ClearFaults()
	_, err = s.tenant().Fault(graphsim.Fault{Kind: graphsim.FaultStatus, Path: "getPresencesByUserId", Status: http.StatusNotImplemented})
	must(t, err)
	s.eventually("another reason is called a refusal", func() bool { sweep := s.sweep(contoso); return !sweep.OK && !sweep.Denied })
	s.tenant().ClearFaults()
	s.eventually("it does not recover", func() bool { return s.sweep(contoso).OK && s.wrong(contoso, s.users()) == "" })
}

// What Graph does with an id that it does not know is not documented.
func TestAUserWhomGraphDoesNotKnowCostsNobodyElse(t *testing.T) {
	const ghost = identity.User("99999999-9999-9999-9999-999999999999")
	for _, answer := range []string{"omit", "error", "unknown"} {
		t.Run(answer, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 40, func(c *graphsim.Config) { c.Tenants[0].Switches.UnknownIDs = answer })
			s.link(contoso, append(s.users(), ghost)...)
			conf, _ := s.config(50 * time.Millisecond)
			s.run(conf)
			s.eventually("no sweep fact", func() bool { return s.sweep(contoso).Users == 41 })
			if why := s.wrong(contoso, s.users()); why != "" {
				t.Error(why)
			}
			sweep := s.sweep(contoso)
			if want := answer != "unknown"; !sweep.OK || slices.Equal(sweep.Failed, []identity.User{ghost}) != want {
				t.Errorf("ok %v, failed %v", sweep.OK, sweep.Failed)
			}
		})
	}
}

func TestTheSearchForUnknownUsersIsBounded(t *testing.T) {
	s := newStage(t, 300, nil)
	s.link(contoso, s.users()...)
	_, err := s.tenant().Fault(graphsim.Fault{Kind: graphsim.FaultStatus, Path: "getPresencesByUserId", Status: http.StatusNotFound})
	must(t, err)
	conf, client := s.config(never)
	s.run(conf)
	s.eventually("no sweep fact", func() bool { return s.sweep(contoso).Users == 300 })
	// When the requests are used up every half that is still open costs one more.
	if n := len(client.requests()); n > searchRequests+16 {
		t.Errorf("%d requests", n)
	}
	if sweep := s.sweep(contoso); sweep.OK {
		t.Error("a sweep that read nobody says that it went well")
	}
}

func TestWhatIsNewsOverTheStoredFact(t *testing.T) {
	at := time.Now()
	poll := func(availability, sequence string, seen time.Duration) presence.TeamsReading {
		return presence.TeamsReading{Availability: availability, Activity: availability, Sequence: sequence, Source: presence.Poll, SeenAt: at.Add(seen)}
	}
	notified := func(availability string, seen time.Duration) presence.TeamsReading {
		return presence.TeamsReading{Availability: availability, Activity: availability, Source: presence.Notification, SeenAt: at.Add(seen)}
	}
	tests := []struct {
		name    string
		stored  presence.TeamsReading
		reading presence.TeamsReading
		want    bool
	}{
		{"another value", poll("Busy", "1", 0), poll("Away", "2", time.Second), true},
		{"the same value", poll("Busy", "1", 0), poll("Busy", "2", time.Second), false},
		{"the same value in another case", poll("Busy", "1", 0), poll("busy", "2", time.Second), false},
		{"another activity", poll("Busy", "1", 0), presence.TeamsReading{Availability: "Busy", Activity: "InACall", Sequence: "2", SeenAt: at.Add(time.Second)}, true},
		{"a poll that began before the stored one", poll("Busy", "2", 0), poll("Away", "3", -time.Second), false},
		{"a poll with a lower sequence number", poll("Busy", "2", 0), poll("Away", "1", time.Second), false},
		{"a poll with the same sequence number", poll("Busy", "2", 0), poll("Away", "2", time.Second), false},
		{"polls of a cloud without sequence numbers", poll("Busy", "", 0), poll("Away", "", time.Second), true},
		{"a poll that confirms a notification", notified("Busy", 0), poll("Busy", "1", time.Second), true},
		{"a poll of the same value that began before a notification came", notified("Busy", 0), poll("Busy", "1", -time.Second), false},
		{"a poll over an older notification", notified("Busy", 0), poll("Away", "1", time.Second), true},
		{"a poll that began before a notification came", notified("Busy", 0), poll("Away", "9", -time.Second), false},
		{"a poll that began with a notification", notified("Busy", 0), poll("Away", "9", 0), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := news(storedPresence{test.stored, 7}, test.reading); got != test.want {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
	if !news(storedPresence{}, poll("Busy", "", 0)) {
		t.Error("the first reading of a user is no news")
	}
}

// publish stores a presence fact as webhook-receiver does.
func (s *stage) publish(user identity.User, reading presence.TeamsReading) {
	s.t.Helper()
	subject, data := wire.Presence{Person: identity.Person{Tenant: contoso, User: user}, Reading: reading}.Encode()
	_, err := s.bus.Publish(s.t.Context(), bus.Message{Subject: subject, Data: data})
	must(s.t, err)
}

// The mirror of stored facts can be behind: what counts is the stream.
func TestAReadingNeverReplacesANewerFactThatTheMirrorDoesNotHave(t *testing.T) {
	s := newStage(t, 1, nil)
	user := s.users()[0]
	p := &Poller{bus: s.bus}
	var err error
	p.metrics, err = newMetrics(noop.NewMeterProvider().Meter("test"))
	must(t, err)
	pt := &tenant{p: p, conf: TenantConfig{ID: contoso}}
	known := &presences{stored: map[identity.User]storedPresence{}}
	newer := presence.TeamsReading{Availability: "Busy", Activity: "Busy", Source: presence.Notification, SeenAt: time.Now()}
	s.publish(user, newer)
	older := presence.TeamsReading{Availability: "Away", Activity: "Away", Source: presence.Poll, SeenAt: newer.SeenAt.Add(-time.Second)}
	must(t, pt.publishPresence(t.Context(), user, older, known))
	if got, _, _ := s.stored(contoso, user); got.Availability != "Busy" {
		t.Errorf("the older %s replaced it", got.Availability)
	}
	older.SeenAt = newer.SeenAt.Add(time.Second)
	must(t, pt.publishPresence(t.Context(), user, older, known))
	if got, _, _ := s.stored(contoso, user); got.Availability != "Away" {
		t.Errorf("control: the newer poll did not replace it: %s", got.Availability)
	}
}

func TestManyHintsAreReadInFewRequests(t *testing.T) {
	s := newStage(t, 121, nil)
	users := s.users()
	linked, stranger := users[:120], users[120]
	s.link(contoso, linked...)
	conf, client := s.config(never)
	s.run(conf)
	s.eventually("no first sweep", func() bool { return s.sweep(contoso).Users == 120 })
	before := len(client.requests())
	for i, user := range users {
		s.set(user, "Busy", []string{"InACall", "InAMeeting"}[i%2])
	}
	for _, user := range users {
		subject, data := wire.Hint{Kind: "presence", Tenant: contoso, ID: string(user), Cause: "test", SeenAt: s.bus.Now()}.Encode()
		_, err := s.bus.Publish(t.Context(), bus.Message{Subject: subject, Data: data})
		must(t, err)
	}
	s.eventually("the changes are not stored", func() bool { return s.wrong(contoso, linked) == "" })
	requests := client.requests()[before:]
	if len(requests) > 40 {
		t.Errorf("%d requests for 120 hints", len(requests))
	}
	t.Logf("%d requests for 120 hints", len(requests))
	for _, request := range requests {
		if slices.Contains(request, stranger) {
			t.Error("a hint made it read a user without an extension")
		}
	}
}

func TestOneTenantsThrottlingNeverDelaysAnother(t *testing.T) {
	s := newStage(t, 3, nil)
	other := s.graph.Tenant("fabrikam")
	var theirs []identity.User
	for _, id := range other.UserIDs() {
		theirs = append(theirs, identity.User(id))
	}
	s.link(contoso, s.users()...)
	s.link("fabrikam", theirs...)
	_, err := s.tenant().Fault(graphsim.Fault{Kind: graphsim.FaultStatus, RetryAfter: "600"})
	must(t, err)
	conf, _ := s.config(20 * time.Millisecond)
	second := conf
	second.ID, second.Directory = "fabrikam", directories["fabrikam"]
	second.Client = func() (Client, error) { return s.client("fabrikam", nil), nil }
	s.run(conf, second)
	for i := range 3 {
		must(t, other.SetPresence(string(theirs[0]), "Busy", fmt.Sprint("Activity", i)))
		s.eventually("the other tenant's change is not stored", func() bool { return s.wrong("fabrikam", theirs) == "" })
		if sweep := s.swept("fabrikam"); !sweep.OK {
			t.Errorf("%+v", sweep)
		}
	}
	if s.sweep(contoso).OK {
		t.Error("control: the first tenant is not throttled")
	}
}

func TestShardsDivideUsersByTheirIdsWithoutGapsOrOverlaps(t *testing.T) {
	tests := []struct{ users, shards int }{{0, 1}, {1, 1}, {shardSize, 1}, {shardSize + 1, 16}, {16 * shardSize, 16}, {16*shardSize + 16, 256}}
	for _, test := range tests {
		names := shards(test.users)
		if len(names) != test.shards {
			t.Errorf("%d users: %d shards, want %d", test.users, len(names), test.shards)
		}
		for digit := range 256 {
			user := identity.User(fmt.Sprintf("%02x345678-0000-0000-0000-000000000000", digit))
			in := 0
			for _, name := range names {
				if wire.InShard(user, name) {
					in++
				}
			}
			if in != 1 {
				t.Fatalf("%d users: %s is in %d shards", test.users, user, in)
			}
		}
	}
}
