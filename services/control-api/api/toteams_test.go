package api_test

import (
	"net/url"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/store"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
	"offhook.dev/services/control-api/api"
	"offhook.dev/services/control-api/apitest"
)

func call(s *apitest.Stage, n, calls int) apitest.Call {
	return apitest.Call{Who: apitest.Anna, Line: apitest.Line("hq", "100"), N: n, At: s.Bus.Now(), Calls: calls}
}

// toTeams waits until what Teams is made to show of anna is as said.
func toTeams(t *testing.T, s *apitest.Stage, what string, is func(*api.ToTeams) bool) {
	t.Helper()
	bustest.Eventually(t, 10*time.Second, func() string {
		_, found := get[[]api.Status](t, s.URL+"/api/v1/status?user=100@hq")
		if got := found[0].ToTeams; !is(got) {
			return what + ": " + strings.TrimSpace(describe(got))
		}
		return ""
	})
}

func describe(to *api.ToTeams) string {
	if to == nil {
		return "nothing"
	}
	return to.String() + " " + to.Result + " " + to.Detail
}

func TestStatusSaysWhatTeamsIsMadeToShowAndWhatCameOfIt(t *testing.T) {
	s := scene(t)
	toTeams(t, s, "before a call", func(to *api.ToTeams) bool { return to == nil })
	c := call(s, 1, 1)
	messages := c.Messages()
	s.Publish(t, messages[0])
	toTeams(t, s, "decided", func(to *api.ToTeams) bool {
		return to != nil && to.Session == "Busy/InACall" && to.Preferred == "" && to.Result == "" && to.Until != nil
	})
	s.Publish(t, messages[1])
	toTeams(t, s, "written", func(to *api.ToTeams) bool {
		return to != nil && to.Session == "Busy/InACall" && to.Result == "applied" && to.Until.Equal(c.At.Add(10*time.Minute))
	})
	// A decision that leaves Teams as it is leads to no want, and to no outcome.
	again := messages[0].(wire.Decision)
	teams := *again.Teams
	teams.Revision.Sequence++
	teams.Decision, again.ID, again.Teams, again.At = "again", "again", &teams, c.At.Add(time.Minute)
	s.Publish(t, again)
	bustest.Eventually(t, 10*time.Second, func() string {
		_, found := get[[]api.Status](t, s.URL+"/api/v1/status?user=100@hq")
		if since := found[0].Since; since == nil || !since.Equal(again.At) {
			return "the newer decision has not come"
		}
		return ""
	})
	toTeams(t, s, "left as it is", func(to *api.ToTeams) bool { return to != nil && to.Result == "applied" })
	failed := call(s, 2, 1)
	failed.Result, failed.Detail = wire.Failed, "Graph says 403"
	s.Publish(t, failed.Messages()...)
	toTeams(t, s, "in vain", func(to *api.ToTeams) bool {
		return to != nil && to.Session == "Busy/InACall" && to.Result == "failed" && to.Detail == "Graph says 403"
	})
	s.Publish(t, call(s, 3, 0).Messages()[0])
	toTeams(t, s, "over, and not yet taken back", func(to *api.ToTeams) bool { return to == nil }) // the last attempt left nothing there
	s.Publish(t, call(s, 3, 0).Messages()[1])
	toTeams(t, s, "over", func(to *api.ToTeams) bool { return to == nil })
}

// The lane is the planner's to say, and status passes it on.
func TestStatusNamesTheLane(t *testing.T) {
	s := scene(t)
	lane := func(want string) {
		t.Helper()
		bustest.Eventually(t, 10*time.Second, func() string {
			if _, found := get[[]api.Status](t, s.URL+"/api/v1/status?user=100@hq"); found[0].Lane != want {
				return "the lane is " + found[0].Lane
			}
			return ""
		})
	}
	lane("")
	bucket, err := store.Open(t.Context(), s.Bus.JetStream(), topology.Lanes)
	if err != nil {
		t.Fatal(err)
	}
	value := []byte(`{"users":["` + string(apitest.Anna.User) + `"]}`)
	if _, err := bucket.Put(t.Context(), subscription.LaneKey(apitest.Anna.Tenant, "presence-1"), value); err != nil {
		t.Fatal(err)
	}
	lane("presence-1")
}

func TestAPreferredPresenceLastsLongerThanACall(t *testing.T) {
	s := scene(t)
	now := s.Bus.Now()
	d := wire.Decision{ID: "both", Person: apitest.Anna, At: now, Reason: presence.ByPerson.String(), Teams: &wire.TeamsWant{
		Person: apitest.Anna, Session: presence.InACall, SessionUntil: now.Add(10 * time.Minute),
		Preferred: "DoNotDisturb/DoNotDisturb", PreferredUntil: now.Add(2 * time.Hour), Decision: "both"}}
	s.Publish(t, d)
	toTeams(t, s, "both", func(to *api.ToTeams) bool {
		return to != nil && to.String() == "Busy/InACall" && to.Preferred == "DoNotDisturb/DoNotDisturb" && to.Until.Equal(now.Add(2*time.Hour))
	})
}

func TestExplainFollowsACallToTheAnswerOfGraph(t *testing.T) {
	s := scene(t)
	s.Publish(t, call(s, 1, 1).Messages()...)
	var x api.Explanation
	bustest.Eventually(t, 10*time.Second, func() string {
		if x = explained(t, s, "user=100@hq"); x.ToTeams == nil || x.ToTeams.Result != "applied" {
			return describe(x.ToTeams)
		}
		return ""
	})
	want := strings.Join([]string{
		"seen pbx-writer +0ms hq/100 in 1 calls",
		"decided presence-mapper +4ms call-100-1",
		"received graph-writer +2ms call-100-1",
		"asked graph-writer +1ms call-100-1",
		"answered graph-writer +28ms applied",
	}, "\n")
	if got := told(x); got != want {
		t.Errorf("chain:\n%s\nwant:\n%s", got, want)
	}
	if !strings.HasSuffix(x.Sentence, "; Teams is made to show Busy/InACall") || x.Chain[4].Detail != "Busy/InACall" {
		t.Errorf("sentence: %s, answer %q", x.Sentence, x.Chain[4].Detail)
	}
	// Before the call it knows nothing of it.
	before := explained(t, s, "user=100@hq&at="+url.QueryEscape(s.Bus.Now().Add(-time.Hour).Format(time.RFC3339)))
	if before.ToTeams != nil || strings.Contains(told(before), "graph-writer") || strings.Contains(before.Sentence, "made to show") {
		t.Errorf("an hour ago: %+v", before)
	}
}

func TestExplainSaysThatTeamsWasToldWhereTheLineShowsSomethingElse(t *testing.T) {
	s := scene(t)
	// In a meeting, and on the phone: the phone's dnd came of the first, Teams' call of the second.
	messages := call(s, 1, 1).Messages()
	decided, written := messages[0].(wire.Decision), messages[1].(wire.TeamsOutcome)
	decided.Reason = presence.ByTeams.String()
	decided.Wants = []wire.Want{{Person: apitest.Anna, Line: apitest.Line("hq", "100"), Status: presence.DND, Reason: decided.Reason, Decision: decided.ID}}
	written.Result, written.Session, written.Detail = wire.Failed, "", "Graph says 403"
	s.Publish(t, decided, written)
	var x api.Explanation
	bustest.Eventually(t, 10*time.Second, func() string {
		if x = explained(t, s, "user=100@hq"); x.ToTeams == nil || x.ToTeams.Result != "failed" {
			return describe(x.ToTeams)
		}
		return ""
	})
	var steps []string
	for _, step := range x.Chain {
		steps = append(steps, step.Step+" "+step.Service)
	}
	if got := strings.Join(steps, ", "); got != "seen webhook-receiver, decided presence-mapper, received pbx-writer, asked pbx-writer, answered pbx-writer, "+
		"decided presence-mapper, received graph-writer, asked graph-writer, answered graph-writer" {
		t.Errorf("steps: %s", got)
	}
	if step := x.Chain[6]; step.MS != 2 || step.Decision != "call-100-1" {
		t.Errorf("graph-writer got it %v ms after its decision: %+v", step.MS, step)
	}
	if !strings.HasPrefix(x.Sentence, "100 shows dnd because Teams says Busy/InAMeeting") || !strings.HasSuffix(x.Sentence, "; Teams is made to show Busy/InACall, in vain: Graph says 403") {
		t.Errorf("sentence: %s", x.Sentence)
	}
}

func TestExplainSaysUntilWhenTheCalendarOrAPauseHolds(t *testing.T) {
	s := scene(t)
	end := s.Bus.Now().Add(time.Hour).UTC().Truncate(time.Second)
	decide := func(id string, reason presence.Reason, claims ...wire.Claim) {
		t.Helper()
		s.Publish(t, wire.Decision{ID: id, Person: apitest.Anna, At: s.Bus.Now(), Reason: reason.String(), Trigger: "m365.fact.calendar", Claims: claims,
			Evidence: []wire.Evidence{{Kind: "m365.fact.calendar", Value: "1 intervals", Origin: "poll", SeenAt: s.Bus.Now()}},
			Wants:    []wire.Want{{Person: apitest.Anna, Line: apitest.Line("hq", "100"), Status: presence.DND, Reason: reason.String(), Decision: id}}})
	}
	says := func(want string) api.Explanation {
		t.Helper()
		var x api.Explanation
		bustest.Eventually(t, 10*time.Second, func() string {
			if x = explained(t, s, "user=100@hq"); !strings.Contains(x.Sentence, want) {
				return x.Sentence
			}
			return ""
		})
		return x
	}
	inCalendar := wire.Claim{Source: string(presence.CalendarClaim), Status: presence.DND, Until: end}
	decide("c1", presence.ByCalendar, inCalendar)
	if x := says("because the calendar shows it, until " + end.Format(time.RFC3339)); len(x.Claims) != 1 || x.Claims[0].Source != "calendar" {
		t.Errorf("claims: %+v", x.Claims)
	}
	decide("c2", presence.CalendarFallback, inCalendar)
	says("the calendar decides, or the base status where it is silent, until " + end.Format(time.RFC3339))
	ask(t, "PUT", s.URL+"/api/v1/users/100@hq/pause", `{"until":"`+end.Format(time.RFC3339)+`"}`)
	decide("c3", presence.Paused)
	says("because Offhook is paused for this person, until " + end.Format(time.RFC3339))
	ask(t, "PUT", s.URL+"/api/v1/users/100@hq/pause", `{}`)
	if x := says("because Offhook is paused for this person"); strings.Contains(x.Sentence, "until") {
		t.Errorf("a pause that is ended by hand: %s", x.Sentence)
	}
}

func TestExplainSaysThatAStatusWasSetInOffhook(t *testing.T) {
	s := scene(t)
	set := ask(t, "PUT", s.URL+"/api/v1/users/100@hq/choice", `{"status":"lunch"}`)
	at, reason := set.entry.Options.Chosen.At, presence.ByPerson.String()
	after := func(ms int) time.Time { return at.Add(time.Duration(ms) * time.Millisecond) }
	line := apitest.Line("hq", "100")
	s.Publish(t,
		wire.Decision{ID: "set", Person: apitest.Anna, At: after(5), Reason: reason, Trigger: "links",
			Claims:   []wire.Claim{{Source: "manual", Status: presence.Lunch, Since: at}},
			Evidence: []wire.Evidence{{Kind: "pbx.fact.status", Value: "hq/100 dnd", Origin: "ours", SeenAt: at.Add(-time.Hour)}},
			Wants:    []wire.Want{{Person: apitest.Anna, Line: line, Status: presence.Lunch, Reason: reason, Decision: "set"}}},
		wire.Outcome{ID: "set-applied", Person: apitest.Anna, Line: line, Result: wire.Applied, Status: presence.Lunch, Before: presence.DND, Reason: reason, Decision: "set",
			SeenAt: at.Add(-time.Hour), ReceivedAt: after(7), BeganAt: after(8), EndedAt: after(40)})
	var x api.Explanation
	bustest.Eventually(t, 10*time.Second, func() string {
		if x = explained(t, s, "user=100@hq"); x.Shown != "lunch" {
			return x.Sentence
		}
		return ""
	})
	if x.Sentence != "100 shows lunch because a person chose it (set in Offhook, 40 ms from seen to applied)" || x.Chain[0].Service != "control-api" || x.Chain[0].Fact != "lunch" || x.Chain[1].MS != 5 {
		t.Errorf("%s\n%s", x.Sentence, told(x))
	}
	// What is chosen on the phone afterwards is not taken for it.
	ask(t, "PUT", s.URL+"/api/v1/users/100@hq/choice", `{"status":"lunch"}`)
	if x := explained(t, s, "user=100@hq"); x.Chain[0].Service != "pbx-writer" {
		t.Errorf("another choice: %s", told(x))
	}
}

func TestExplainSaysWhyOffhookHasReleasedALine(t *testing.T) {
	s := scene(t)
	s.Publish(t, wire.Decision{ID: "paused", Person: apitest.Anna, At: s.Bus.Now(), Reason: presence.Paused.String(),
		Wants: []wire.Want{{Person: apitest.Anna, Line: apitest.Line("hq", "100"), Status: presence.DND, Reason: presence.Released.String(), Decision: "paused", Release: true}}})
	bustest.Eventually(t, 10*time.Second, func() string {
		x := explained(t, s, "user=100@hq")
		if strings.Contains(x.Sentence, "because Offhook has stopped deciding here and left what remains without it: Offhook is paused for this person") {
			return ""
		}
		return x.Sentence
	})
}

func TestFactsAreSeenByTheServicesThatSeeThem(t *testing.T) {
	for _, c := range []struct{ kind, origin, service string }{
		{"m365.fact.presence", "notification", "webhook-receiver"}, {"m365.fact.presence", "poll", "graph-poller"},
		{"m365.fact.calendar", "poll", "graph-poller"}, {"pbx.fact.call", "watch", "pbx-writer"}, {"pbx.fact.status", "person", "pbx-writer"},
	} {
		t.Run(c.kind+" by "+c.origin, func(t *testing.T) {
			s := apitest.Start(t, func(s *apitest.Stage) {
				apitest.Scene(t, s)
				s.Publish(t, wire.Decision{ID: "x", Person: apitest.Anna, At: s.Bus.Now(), Trigger: c.kind,
					Evidence: []wire.Evidence{{Kind: c.kind, Value: "v", Origin: c.origin, SeenAt: s.Bus.Now()}}})
			})
			if x := explained(t, s, "user=100@hq"); x.Chain[0].Service != c.service {
				t.Fatalf("seen by %s", x.Chain[0].Service)
			}
		})
	}
}

func TestWatchTellsOfWhatGoesToTeamsAndComesBackToIt(t *testing.T) {
	s := scene(t)
	w := watch(t, s.URL+"/api/v1/watch?user=100@hq", "")
	s.Publish(t, call(s, 1, 1).Messages()...)
	e := w.next()
	if c := e.change; e.id == "" || c.Side != "m365" || c.Name != "Anna Albers" || c.Extension != "" || c.Result != "applied" || c.LatencyMS != 35 || c.Reason != "call" ||
		c.ToTeams == nil || c.ToTeams.Session != "Busy/InACall" || c.Trace == "" {
		t.Fatalf("a call: %+v", e)
	}
	already := call(s, 2, 1)
	already.Result = wire.Already
	failed := call(s, 3, 1)
	failed.Result, failed.Detail = wire.Failed, "Graph says 403"
	s.Publish(t, append(already.Messages(), failed.Messages()...)...)
	if c := w.next().change; c.Result != "failed" || c.ToTeams == nil || c.ToTeams.Session != "Busy/InACall" || c.Detail != "Graph says 403" {
		t.Fatalf("after what was so already came %+v, want the failure and what was tried", c)
	}
	s.Publish(t, call(s, 4, 0).Messages()...)
	if c := w.next().change; c.Result != "applied" || c.ToTeams == nil || c.ToTeams.Session != "" {
		t.Fatalf("hung up: %+v", c)
	}
	s.Publish(t, meeting(s, 5, presence.Available).Messages()...)
	if c := w.next().change; c.Side != "pbx" || c.Extension != "100" {
		t.Fatalf("on the other side: %+v", c)
	}
	back := watch(t, s.URL+"/api/v1/watch?user=100@hq", e.id)
	for _, want := range []string{"m365 failed", "m365 applied", "pbx applied"} {
		if c := back.next().change; c.Side+" "+c.Result != want {
			t.Fatalf("on return: %s %s, want %s", c.Side, c.Result, want)
		}
	}
}

func TestASystemCalledPresenceIsNotTakenForTeams(t *testing.T) {
	s := apitest.Start(t, func(s *apitest.Stage) {
		apitest.Scene(t, s)
		s.Link(t, apitest.Dora, apitest.Line("presence", "300"))
		s.Publish(t, apitest.Change{Who: apitest.Dora, Line: apitest.Line("presence", "300"), N: 1, At: s.Bus.Now(), Teams: "Away/Away", To: presence.Away}.Messages()...)
	})
	if _, found := get[[]api.Status](t, s.URL+"/api/v1/status?user=dora"); found[0].Shown != "away" || found[0].ToTeams != nil {
		t.Fatalf("%+v", found[0])
	}
}
