package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/logtest"
	"offhook.dev/services/e2e/world"
)

// answerPatience is how long one step of a person's day may take to be seen.
const answerPatience = 60 * time.Second

// answer is one way in which Microsoft may answer where its documents are silent or
// contradict each other.
type answer struct {
	name string
	flip func(*graphsim.Switches)
	// before makes the situation in which the answer matters; nil is none.
	before func(*testing.T, *world.World, four)
}

// leaving is how many people leave in the course of the answers: the last ones.
const leaving = 3

// answers can be given to an installation that runs, one after the other. What is about
// the making of subscriptions alone is shown by graph-poller's own tests.
var answers = []answer{
	{"all as is likeliest", func(*graphsim.Switches) {}, nil},
	{"an id that is nobody's is left out", func(s *graphsim.Switches) { s.UnknownIDs = "omit" }, somebodyIsNobody},
	{"an id that is nobody's makes a presence unknown", func(s *graphsim.Switches) { s.UnknownIDs = "unknown" }, somebodyIsNobody},
	{"an id that is nobody's fails the whole request", func(s *graphsim.Switches) { s.UnknownIDs = "error" }, somebodyIsNobody},
	{"presences begin with a small letter", func(s *graphsim.Switches) { s.Casing = "camel" }, nil},
	{"an expiry too far ahead is cut short", func(s *graphsim.Switches) { s.Overlong = "clamp" }, nil},
	{"validation tokens are of version 1.0", func(s *graphsim.Switches) { s.ValidationTokens = "v1" }, nil},
	{"there are no validation tokens", func(s *graphsim.Switches) { s.ValidationTokens = "null" }, nil},
	{"all validation tokens have the issuer of version 1.0", func(s *graphsim.Switches) { s.ValidationIssuer = "v1" }, nil},
	{"validation tokens have an issuer that no page tells of", func(s *graphsim.Switches) { s.ValidationIssuer = "national" }, nil},
	{"a renewal brings a handshake", func(s *graphsim.Switches) { s.HandshakeOnRenewal = true }, nil},
	{"the presence quota is the lower one", func(s *graphsim.Switches) { s.Quotas, s.PresenceQuota = true, 1500 }, nil},
	{"the presence quota is the higher one", func(s *graphsim.Switches) { s.Quotas, s.PresenceQuota = true, 10_000 }, nil},
	{"all-day events are converted to the zone asked for", func(s *graphsim.Switches) { s.AllDay = "instants" }, nil},
	{"a throttled request is an answer in its batch", func(s *graphsim.Switches) { s.BatchThrottled = "inner" }, throttleACalendar},
	{"a throttled request fails its batch", func(s *graphsim.Switches) { s.BatchThrottled = "outer" }, throttleACalendar},
	{"pages of changes may be empty", func(s *graphsim.Switches) { s.EmptyPages, s.PageSize = true, 3 }, func(_ *testing.T, w *world.World, _ four) { w.Tenant.ExpireDeltas() }},
	{"a lost delta says where to begin again", func(s *graphsim.Switches) { s.GoneLocation = true }, func(_ *testing.T, w *world.World, _ four) { w.Tenant.ExpireDeltas() }},
	{"slow and drop are about a URL", func(s *graphsim.Switches) { s.Endpoint = "url" }, nil},
	{"a bad pair is an invalid argument", func(s *graphsim.Switches) { s.BadPair = "InvalidArgument" }, nil},
	{"a bad pair is forbidden", func(s *graphsim.Switches) { s.BadPair = "Forbidden" }, nil},
	{"a bad pair has no effect", func(s *graphsim.Switches) { s.BadPair = "ignore" }, nil},
}

// somebodyIsNobody removes a user without telling, so that presences are asked for of
// somebody who is not there.
func somebodyIsNobody(t *testing.T, w *world.World, _ four) {
	if _, err := w.Tenant.Fault(graphsim.Fault{Kind: graphsim.FaultStatus, Path: "/users/delta", Status: 500}); err != nil {
		t.Fatal(err)
	}
	users := w.Tenant.Users("", 100)
	if err := w.Tenant.DeleteUser(users[len(users)-1].ID, true); err != nil {
		t.Fatal(err)
	}
}

// throttleACalendar has the mailbox of the one with the meeting ask for a pause.
func throttleACalendar(t *testing.T, w *world.World, day four) {
	if _, err := w.Tenant.Fault(graphsim.Fault{Kind: graphsim.FaultStatus, Path: "calendarView", User: day.user(w, 2), RetryAfter: "1.5", Count: 1}); err != nil {
		t.Fatal(err)
	}
}

// presences are the subscriptions to presences that are there.
func presences(w *world.World) []graphsim.Subscription {
	var found []graphsim.Subscription
	for _, s := range w.Tenant.Subscriptions() {
		if strings.Contains(s.Resource, "presences") {
			found = append(found, s)
		}
	}
	return found
}

func subscribedTo(w *world.World) {
	w.Eventually(answerPatience, func() string {
		if n := len(presences(w)); n != 1 {
			return fmt.Sprintf("%d subscriptions to presences", n)
		}
		return ""
	})
}

// four are the people of one day, by their places among the users: one is called, one
// is in a meeting in Teams, one has a meeting in the calendar, one is away. Others are
// taken the next time, because ten writes in a minute are too many for one person.
type four [4]int

func fourOf(round int) four {
	first := 4 * (round % (rotating / 4))
	return four{first, first + 1, first + 2, first + 3}
}

// rotating is how many people days are made of.
const rotating = 40

// user is the id of the i-th of the four.
func (f four) user(w *world.World, i int) string { return w.Tenant.UserIDs()[f[i]] }

func (f four) shows(w *world.World, i int, want presence.Status) {
	w.Shows(world.Extension(f[i]), want, answerPatience)
}

// teamsDay: somebody is in a meeting and comes back, and somebody is called.
func (f four) teamsDay(t *testing.T, w *world.World) {
	t.Helper()
	w.Set(f.user(w, 1), "Busy", "InAMeeting")
	f.shows(w, 1, presence.DND)
	w.Set(f.user(w, 1), "Available", "Available")
	f.shows(w, 1, presence.Available)
	if _, err := w.PBX.StartCall(world.Extension(f[0]), ""); err != nil {
		t.Fatal(err)
	}
	w.InTeams(f.user(w, 0), "Busy/InACall", answerPatience)
	w.PBX.EndCalls(world.Extension(f[0]))
	w.InTeams(f.user(w, 0), "Available/Available", answerPatience)
}

// calendarDay: somebody whose Teams is closed has a meeting, and another is away for
// days. Both have their calendars watched by then: the sweep comes in 15 minutes.
func (f four) calendarDay(t *testing.T, w *world.World) {
	t.Helper()
	busy, out := f.user(w, 2), f.user(w, 3)
	for _, user := range []string{busy, out} {
		w.Set(user, "Offline", "Offline")
		hearsOf(w, user)
	}
	now := time.Now()
	held := meeting(t, w, busy, now.Add(-time.Minute), now.Add(time.Hour))
	day := now.UTC().Truncate(24 * time.Hour)
	away, err := w.Tenant.AddMeeting(out, graphsim.Meeting{Start: day.AddDate(0, 0, -1), End: day.AddDate(0, 0, 3), AllDay: true, ShowAs: "oof", Zone: "UTC"})
	if err != nil {
		t.Fatal(err)
	}
	f.shows(w, 2, presence.DND)
	f.shows(w, 3, presence.Away)
	for user, id := range map[string]string{busy: held, out: away} {
		if err := w.Tenant.DeleteMeeting(user, id); err != nil {
			t.Fatal(err)
		}
	}
	f.shows(w, 2, presence.Available)
	f.shows(w, 3, presence.Available)
	w.Set(busy, "Available", "Available")
	w.Set(out, "Available", "Available")
}

// hearsOf waits until Graph tells of the calendar of a user, given by id.
func hearsOf(w *world.World, user string) {
	w.Eventually(answerPatience, func() string {
		for _, s := range w.Tenant.Subscriptions() {
			if strings.Contains(s.Resource, user+"/events") {
				return ""
			}
		}
		return "no subscription to the events of " + user
	})
}

// renewed has Graph ask for a renewal, and waits for it.
func renewed(t *testing.T, w *world.World) {
	t.Helper()
	subscribedTo(w)
	was := presences(w)[0]
	// Expiries are whole seconds: what is renewed in the second in which it was made, or
	// renewed before, stays as it is.
	second := time.Now().Truncate(time.Second)
	w.Eventually(answerPatience, func() string {
		if time.Now().Truncate(time.Second).Equal(second) {
			return "the second is not over"
		}
		return ""
	})
	if err := w.Tenant.NotifyLifecycle(was.ID, "reauthorizationRequired"); err != nil {
		t.Fatal(err)
	}
	w.Eventually(answerPatience, func() string {
		if now := presences(w); len(now) != 1 || !now[0].Expires.After(was.Expires) {
			return fmt.Sprintf("it still is %+v", now)
		}
		return ""
	})
}

// lawful checks what must never happen, whatever Microsoft answers.
func lawful(t *testing.T, w *world.World) {
	t.Helper()
	if v := w.Tenant.Violations(); len(v) > 0 {
		t.Errorf("Graph's rules were broken %d times, first %+v", len(v), v[0])
	}
	for user, tally := range w.Tenant.PresenceWrites().Users {
		if tally.Refused > 0 {
			t.Errorf("Graph refused %d writes of the presence of %s", tally.Refused, user)
		}
	}
}

// The product works whichever way Microsoft answers: phones and Teams show what is
// so, the subscription lives on, and nobody is forgotten.
func TestWhicheverWayMicrosoftAnswers(t *testing.T) {
	t.Parallel()
	w := world.New(t, world.Options{Webhook: true, Users: rotating + leaving, Mode: presence.Both})
	w.Config.Tenants[0].Presence.Sweep.Users = 500 * time.Millisecond
	w.Start()
	w.Settled(rotating)
	subscribedTo(w)
	for round, each := range answers {
		day := fourOf(round)
		t.Run(each.name, func(t *testing.T) {
			w := w.In(t)
			likeliest := w.Tenant.Switches()
			defer func() {
				w.Tenant.ClearFaults()
				if err := w.Tenant.Switch(func(s *graphsim.Switches) { *s = likeliest }); err != nil {
					t.Error(err)
				}
			}()
			if err := w.Tenant.Switch(each.flip); err != nil {
				t.Fatal(err)
			}
			if each.before != nil {
				each.before(t, w, day)
			}
			day.teamsDay(t, w)
			day.calendarDay(t, w)
			renewed(t, w)
			lawful(t, w)
		})
	}
}

// What refuses a subscription to presences, and what the installation is like then: as
// before, read instead of told, until the subscription may be made.
func TestWithoutASubscriptionUsersAreShownRightAllTheSame(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name   string
		refuse func(*testing.T, *world.World)
		allow  func(*testing.T, *world.World)
	}{
		{"an account needs a licence and has none", func(t *testing.T, w *world.World) {
			flip(t, w, func(s *graphsim.Switches) { s.LicenceRequired = true })
			licensed(t, w, false)
		}, func(t *testing.T, w *world.World) { licensed(t, w, true) }},
		{"presences count in the quota of Teams, and it is used up", func(t *testing.T, w *world.World) {
			flip(t, w, func(s *graphsim.Switches) { s.PresenceInTeamsQuota, s.TeamsSubscriptions = true, 10_000 })
		}, func(t *testing.T, w *world.World) {
			flip(t, w, func(s *graphsim.Switches) { s.TeamsSubscriptions = 9_999 })
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			log := &logtest.Log{}
			w := world.New(t, world.Options{Webhook: true, Mode: presence.Both, LogTo: log})
			c.refuse(t, w)
			w.Start()
			w.Settled(4)
			fourOf(0).teamsDay(t, w)
			fourOf(0).calendarDay(t, w)
			if n := len(presences(w)); n != 0 {
				t.Fatalf("control: %d subscriptions were made", n)
			}
			if !strings.Contains(log.String(), "Reason:") {
				t.Error("nobody is told why there is none")
			}
			c.allow(t, w)
			subscribedTo(w)
			lawful(t, w)
		})
	}
}

func flip(t *testing.T, w *world.World, edit func(*graphsim.Switches)) {
	t.Helper()
	if err := w.Tenant.Switch(edit); err != nil {
		t.Fatal(err)
	}
}

func licensed(t *testing.T, w *world.World, is bool) {
	t.Helper()
	if err := w.Tenant.SetLicensed("anna", is); err != nil {
		t.Fatal(err)
	}
}

// Clouds lack something each. What is there works; what is not is not asked for.
func TestWhateverACloudLacksTheRestWorks(t *testing.T) {
	t.Parallel()
	for cloud, presences := range map[string]bool{"usgov": true, "dod": true, "china": false} {
		t.Run(cloud, func(t *testing.T) {
			w := world.New(t, world.Options{Webhook: true, Mode: presence.Both})
			flip(t, w, func(s *graphsim.Switches) { s.Cloud = cloud })
			w.Config.Tenants[0].Microsoft365.Cloud = cloud
			w.Start()
			if presences {
				w.Settled(4)
				fourOf(0).teamsDay(t, w)
			}
			fourOf(0).calendarDay(t, w)
			lawful(t, w)
			asked := w.Graph.Requests()
			for _, path := range []string{"/v1.0/communications/getPresencesByUserId", "/v1.0/users/{user}/presence/setPresence"} {
				if n := asked.Of("POST", path, 0); (n > 0) != presences {
					t.Errorf("%s was asked for %d times", path, n)
				}
			}
			if n := asked.Of("POST", "/v1.0/subscriptions", 400); n != 0 {
				t.Errorf("%d subscriptions were asked for that the cloud does not have", n)
			}
		})
	}
}
