package apitest

import (
	"fmt"
	"testing"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/wire"
)

// The people of the scene.
var (
	Anna  = Person("contoso", 1)  // 100@hq: in a meeting, dnd since an hour ago
	Ben   = Person("contoso", 2)  // 101@hq: chose lunch on the phone two hours ago
	Clara = Person("contoso", 3)  // 102@hq and 7102@branch: nothing known yet
	Dora  = Person("contoso", 4)  // no extension
	Anne  = Person("fabrikam", 5) // 100@branch, and the local part "anna" too
)

// Person makes a person with a number for an object id.
func Person(tenant identity.Tenant, n int) identity.Person {
	return identity.Person{Tenant: tenant, User: identity.User(fmt.Sprintf("00000000-0000-4000-8000-%012d", n))}
}

// Line makes a line.
func Line(system identity.System, extension identity.Extension) identity.Line {
	return identity.Line{System: system, Extension: extension}
}

// Scene publishes what the people above have been through, an hour and more ago.
func Scene(t testing.TB, s *Stage) {
	t.Helper()
	for _, u := range []struct {
		who       identity.Person
		upn, name string
	}{
		{Anna, "anna@contoso.example", "Anna Albers"}, {Ben, "ben@contoso.example", "Ben Berger"},
		{Clara, "clara@contoso.example", "Clara Castillo"}, {Dora, "dora@contoso.example", "Dora Dietrich"},
		{Anne, "anna@fabrikam.example", "Anna Ekberg"},
	} {
		s.Publish(t, wire.User{Person: u.who, UPN: u.upn, Mail: u.upn, DisplayName: u.name, Type: "Member", Enabled: true})
	}
	s.Link(t, Anna, Line("hq", "100"))
	s.Link(t, Ben, Line("hq", "101"))
	s.Link(t, Clara, Line("hq", "102"), Line("branch", "7102"))
	s.Link(t, Anne, Line("branch", "100"))

	now := s.Bus.Now()
	s.Publish(t,
		wire.Lane{Tenant: "contoso", Account: "zoe@contoso.example", User: Person("contoso", 9).User, State: wire.LaneListening, Since: now.Add(-3 * time.Hour), Users: 2,
			Expires: now.Add(40 * time.Minute), HeardAt: now.Add(-90 * time.Minute), Silences: 1},
		wire.Lane{Tenant: "contoso", Account: "anna", Configured: true, State: wire.LaneFailing, Since: now.Add(-2 * time.Hour),
			Detail: "login refused: invalid_grant (AADSTS50173); the account has to sign in again (offhook authorize)"},
		wire.Lane{Tenant: "contoso", Account: "gone", Gone: true})
	s.Publish(t, wire.Sweep{Tenant: "contoso", Shard: wire.ShardAll, Began: now.Add(-30 * time.Minute), Ended: now.Add(-30*time.Minute + time.Second), Users: 4, OK: true})
	before := Change{Who: Anna, Line: Line("hq", "100"), N: 1, At: now.Add(-150 * time.Minute), Teams: "Available/Available", From: presence.Unset, To: presence.Available}
	s.Publish(t, before.Messages()...)
	meeting := Change{Who: Anna, Line: Line("hq", "100"), N: 2, At: now.Add(-90 * time.Minute), Teams: "Busy/InAMeeting", From: presence.Available, To: presence.DND}
	s.Publish(t, meeting.Messages()...)

	at := now.Add(-150 * time.Minute)
	lunch := presence.Choice{Status: presence.Lunch, Observation: 3, At: at}
	s.Publish(t,
		wire.Status{Reading: presence.StatusReading{Line: Line("hq", "101"), Status: presence.Lunch, Origin: presence.Person, SeenAt: at, Observation: 3, LastPerson: &lunch}},
		wire.Decision{ID: "ben-1", Person: Ben, At: at.Add(2 * time.Millisecond), Reason: presence.ByPerson.String(), Trigger: "pbx.fact.status",
			Claims:   []wire.Claim{{Source: "manual", Status: presence.Lunch, Since: at}, {Source: "base", Status: presence.Available}},
			Evidence: []wire.Evidence{{Kind: "pbx.fact.status", Value: "hq/101 lunch", Origin: "person", SeenAt: at}},
			Wants:    []wire.Want{{Person: Ben, Line: Line("hq", "101"), Status: presence.Lunch, Reason: presence.ByPerson.String(), Decision: "ben-1", DecidedOn: 3}}},
		wire.Outcome{ID: "ben-1-already", Person: Ben, Line: Line("hq", "101"), Result: wire.Already, Status: presence.Lunch, Before: presence.Lunch,
			Reason: presence.ByPerson.String(), Decision: "ben-1", SeenAt: at, ReceivedAt: at.Add(3 * time.Millisecond), EndedAt: at.Add(4 * time.Millisecond)},
	)
}

// Change is a change in Teams on its whole way: seen, decided, applied.
type Change struct {
	Who      identity.Person
	Line     identity.Line
	N        int       // numbers decisions
	At       time.Time // seen; decided 4 ms, applied 34 ms later
	Teams    string    // "Busy/InAMeeting"
	From, To presence.Status
	Result   wire.Result // 0: Applied
	Detail   string
}

// Messages returns the messages in the order in which they are published.
func (c Change) Messages() []wire.Message {
	var availability, activity string
	for i := range c.Teams {
		if c.Teams[i] == '/' {
			availability, activity = c.Teams[:i], c.Teams[i+1:]
		}
	}
	if c.Result == 0 {
		c.Result = wire.Applied
	}
	id := fmt.Sprintf("%s-%d", c.Line.Extension, c.N)
	after := func(ms int) time.Time { return c.At.Add(time.Duration(ms) * time.Millisecond) }
	want := wire.Want{Person: c.Who, Line: c.Line, Status: c.To, Reason: presence.ByTeams.String(), Decision: id, SeenAt: c.At}
	messages := []wire.Message{
		wire.Presence{Person: c.Who, Reading: presence.TeamsReading{Availability: availability, Activity: activity, SeenAt: c.At, Source: presence.Notification}},
		wire.Decision{ID: id, Person: c.Who, At: after(4), Reason: presence.ByTeams.String(), Trigger: "m365.fact.presence",
			Claims:   []wire.Claim{{Source: "teams", Status: c.To, Since: c.At}, {Source: "base", Status: presence.Available}},
			Evidence: []wire.Evidence{{Kind: "m365.fact.presence", Value: c.Teams, Origin: "notification", SeenAt: c.At}}, Wants: []wire.Want{want}},
	}
	if c.Result == wire.Applied {
		messages = append(messages, wire.Status{Reading: presence.StatusReading{Line: c.Line, Status: c.To, Origin: presence.Ours, SeenAt: after(34), Observation: int64(c.N)}})
	}
	return append(messages, wire.Outcome{
		ID: id + "-" + c.Result.String(), Person: c.Who, Line: c.Line, Result: c.Result, Detail: c.Detail, Status: c.To, Before: c.From,
		Reason: presence.ByTeams.String(), Decision: id, SeenAt: c.At, ReceivedAt: after(6), BeganAt: after(7), EndedAt: after(34), Trace: "0af7651916cd43dd8448eb211c80319c",
	})
}

// Call is a call on the phone on its way to Teams: seen, decided, written to Graph.
type Call struct {
	Who    identity.Person
	Line   identity.Line
	N      int       // numbers decisions
	At     time.Time // seen; decided 4 ms, written 35 ms later
	Calls  int       // 0: the last one has ended
	Result wire.Result
	Detail string
}

// Messages returns the messages in the order in which they are published.
func (c Call) Messages() []wire.Message {
	if c.Result == 0 {
		c.Result = wire.Applied
	}
	after := func(ms int) time.Time { return c.At.Add(time.Duration(ms) * time.Millisecond) }
	id := fmt.Sprintf("call-%s-%d", c.Line.Extension, c.N)
	want := wire.TeamsWant{Person: c.Who, Reason: presence.NothingToShow.String(), Decision: id, SeenAt: c.At, DecidedAt: after(4),
		Revision: wire.Revision{Epoch: 1, Sequence: uint64(c.N)}}
	if c.Calls > 0 {
		want.Session, want.SessionUntil, want.Reason = presence.InACall, after(10*60*1000), presence.ByCall.String()
	}
	outcome := wire.TeamsOutcome{ID: id + "-" + c.Result.String(), Person: c.Who, Result: c.Result, Detail: c.Detail, Reason: want.Reason, Decision: id,
		Revision: want.Revision, SeenAt: c.At, ReceivedAt: after(6), BeganAt: after(7), EndedAt: after(35), Trace: "0af7651916cd43dd8448eb211c80319c"}
	if c.Result == wire.Applied {
		outcome.Session, outcome.SessionUntil = want.Session, want.SessionUntil
	}
	return []wire.Message{
		wire.Decision{ID: id, Person: c.Who, At: after(4), Reason: presence.ModeObserves.String(), Trigger: "pbx.fact.call",
			Evidence: []wire.Evidence{{Kind: "pbx.fact.call", Value: fmt.Sprintf("%s in %d calls", c.Line, c.Calls), Origin: "watch", SeenAt: c.At}}, Teams: &want},
		outcome,
	}
}
