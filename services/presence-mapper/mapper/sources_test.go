package mapper

import (
	"fmt"
	"testing"
	"time"

	"offhook.dev/libs/core/calendar"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/options"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

func busy(from, to time.Time) calendar.Interval {
	return calendar.Interval{From: from.UTC(), To: to.UTC(), Class: calendar.Busy}
}

func TestAMeetingShowsFromItsBeginningToItsEnd(t *testing.T) {
	s := newStage(t)
	s.options.Mode = presence.Calendar
	s.run("a")
	s.ready(0)
	s.wants(0, presence.Available)
	from := s.bus.Now().Add(1500 * time.Millisecond).Truncate(time.Second).Add(time.Second)
	to := from.Add(2 * time.Second)
	s.calendar(0, s.bus.Now(), busy(from, to))
	began := s.wants(0, presence.DND)
	ended := s.wants(0, presence.Available)
	if began.DecidedAt.Before(from) || ended.DecidedAt.Before(to) {
		t.Errorf("dnd was decided %v after the beginning, available %v after the end", began.DecidedAt.Sub(from), ended.DecidedAt.Sub(to))
	}
	if began.Reason != presence.ByCalendar.String() {
		t.Errorf("dnd because of %q", began.Reason)
	}
}

func TestAMeetingThatIsCancelledOrMovedIsForgotten(t *testing.T) {
	s := newStage(t)
	s.options.Mode = presence.Calendar
	s.run("a")
	s.ready(0)
	now := s.bus.Now()
	s.calendar(0, now.Add(time.Millisecond), busy(now.Add(-time.Minute), now.Add(time.Hour)))
	s.wants(0, presence.DND)
	s.calendar(0, s.bus.Now(), busy(now.Add(time.Hour), now.Add(2*time.Hour)))
	s.wants(0, presence.Available)
}

func TestWhereTeamsIsRefusedTheCalendarDecidesUntilItIsNot(t *testing.T) {
	s := newStage(t)
	s.run("a")
	s.ready(0)
	s.wants(0, presence.Available)
	now := s.bus.Now()
	s.calendar(0, now, busy(now.Add(-time.Minute), now.Add(time.Hour)))
	sweep := wire.Sweep{Tenant: "contoso", Shard: wire.ShardAll, Began: s.bus.Now(), Ended: s.bus.Now(), Users: 1, Denied: true}
	s.publish(sweep)
	if w := s.wants(0, presence.DND); w.Reason != presence.CalendarFallback.String() {
		t.Errorf("dnd because of %q", w.Reason)
	}
	sweep.Began, sweep.Ended, sweep.Denied, sweep.OK = s.bus.Now(), s.bus.Now(), false, true
	s.publish(sweep)
	s.wants(0, presence.Available)
}

// teamsWant waits for what Teams should show.
func (s *stage) teamsWant(i int, session, preferred string) (w wire.TeamsWant) {
	s.t.Helper()
	s.eventually(func() string {
		m, err := s.bus.Last(s.t.Context(), topology.Wants, wire.TeamsWantSubject(person(i)))
		if err == nil {
			w, err = wire.DecodeTeamsWant(m.Data)
		}
		if err != nil || w.Session != session || w.Preferred != preferred {
			return fmt.Sprintf("wanted in Teams is %q and %q (%v), not %q and %q", w.Session, w.Preferred, err, session, preferred)
		}
		return ""
	})
	return w
}

func TestACallGoesToTeamsAndNotBackToThePhone(t *testing.T) {
	s := newStage(t)
	s.options.Mode = presence.Both
	s.run("a")
	s.ready(0)
	s.wants(0, presence.Available)
	began := s.bus.Now()
	s.publish(wire.Call{Line: lineOf(0), Calls: 1, Since: began, SeenAt: began})
	if w := s.teamsWant(0, presence.InACall, ""); !w.SessionUntil.Equal(began.Add(10 * time.Minute)) {
		t.Errorf("until %v, not ten minutes after the watch confirmed it", w.SessionUntil)
	}
	s.publish(wire.Presence{Person: person(0), Reading: presence.TeamsReading{Availability: "Busy", Activity: "InACall", SeenAt: s.bus.Now(), Source: presence.Notification}})
	s.idle()
	confirmed := s.bus.Now()
	s.publish(wire.Call{Line: lineOf(0), Calls: 1, Since: began, SeenAt: confirmed})
	s.eventually(func() string {
		if w := s.teamsWant(0, presence.InACall, ""); !w.SessionUntil.Equal(confirmed.Add(10 * time.Minute)) {
			return "the confirmation has not moved the end"
		}
		return ""
	})
	s.publish(wire.Call{Line: lineOf(0), SeenAt: s.bus.Now(), Since: s.bus.Now()})
	s.teamsWant(0, "", "")
	s.idle()
	if w, _ := s.want(0); w.Status != presence.Available {
		t.Errorf("the phone shows %q because of its own call", w.Status)
	}
}

func TestALostWantForTeamsIsPublishedAgain(t *testing.T) {
	s := newStage(t)
	s.options.Mode = presence.PBXToTeams
	s.pass = 50 * time.Millisecond
	s.run("a")
	s.ready(0)
	now := s.bus.Now()
	s.publish(wire.Call{Line: lineOf(0), Calls: 1, Since: now, SeenAt: now})
	s.teamsWant(0, presence.InACall, "")
	if err := s.stream(topology.Wants).Purge(t.Context()); err != nil {
		t.Fatal(err)
	}
	s.teamsWant(0, presence.InACall, "")
}

// change stores a record of options, as control-api does.
func (s *stage) change(key options.Key, record options.Record) {
	s.t.Helper()
	bucket, err := store.Open(s.t.Context(), s.bus.JetStream(), topology.Options)
	if err == nil {
		_, err = bucket.Put(s.t.Context(), key.String(), record.Encode())
	}
	if err != nil {
		s.t.Fatal(err)
	}
}

func TestOptionsAreInForceWithTheNextDecision(t *testing.T) {
	tenant := options.Key{Layer: options.Tenant, Tenant: "contoso"}
	user := options.Key{Layer: options.User, Tenant: "contoso", ID: string(person(0).User)}
	for _, c := range []struct {
		name   string
		key    options.Key
		record options.Record
		status presence.Status
		reason presence.Reason
	}{
		{"a mapping of the tenant", tenant, options.Record{Teams: map[string]string{"Busy": "away"}}, presence.Away, presence.ByTeams},
		{"a mapping of the user", user, options.Record{Teams: map[string]string{"Busy": "lunch"}}, presence.Lunch, presence.ByTeams},
		{"a mode that does not read Teams", tenant, options.Record{Mode: "calendar"}, presence.Available, presence.ByBase},
		{"a mode that is off: released", tenant, options.Record{Mode: "disabled"}, presence.Available, presence.Released},
		{"a pause: released", user, options.Record{PausedUntil: options.Forever}, presence.Available, presence.Released},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newStage(t)
			s.run("a")
			s.ready(0)
			s.teams(0, "Busy", s.bus.Now())
			s.wants(0, presence.DND)
			s.change(c.key, c.record)
			if w := s.wants(0, c.status); w.Reason != c.reason.String() {
				t.Errorf("%s because of %q, not %q", w.Status, w.Reason, c.reason)
			}
		})
	}
}

// An option that changes nothing for somebody is remembered all the same, once, so that
// it can be told when everybody is decided again: one write of memory, no decision and no
// want.
func TestOptionsThatChangeNothingCostOneWriteOfMemory(t *testing.T) {
	s, _ := silenced(t)
	says := func(teams string) {
		t.Helper()
		s.change(options.Key{Layer: options.Tenant, Tenant: "contoso"}, options.Record{Teams: map[string]string{"BeRightBack": teams}})
		o := s.options
		var err error
		if o.Teams, err = o.Teams.With(map[string]string{"BeRightBack": teams}); err != nil {
			t.Fatal(err)
		}
		s.eventually(func() string {
			if now := s.under(0); now != o.Fingerprint() {
				return "decided under " + now
			}
			return ""
		})
	}
	counts := func() string {
		t.Helper()
		s.idle()
		wants, err := s.stream(topology.Wants).Info(t.Context())
		if err != nil {
			t.Fatal(err)
		}
		return fmt.Sprintf("%d decisions, wants up to %d", len(s.decisions(0)), wants.State.LastSeq)
	}
	says("release") // whatever else there was to remember is remembered with it
	before, writes := counts(), s.written()
	says("lunch")
	if after, cost := counts(), s.written()-writes; after != before || cost != 1 {
		t.Errorf("%d writes of memory; %s, before %s", cost, after, before)
	}
}

// under is the fingerprint of the options that somebody was last decided under.
func (s *stage) under(i int) string {
	s.t.Helper()
	e, err := s.memory.Get(s.t.Context(), wire.PersonKey(person(i)))
	if err != nil {
		s.t.Fatal(err)
	}
	r, err := decodeRecord(e.Value)
	if err != nil {
		s.t.Fatal(err)
	}
	return r.Under
}

func TestAStatusSetInOffhookHoldsUntilItsTime(t *testing.T) {
	s := newStage(t)
	s.run("a")
	s.ready(0)
	s.wants(0, presence.Available)
	user := options.Key{Layer: options.User, Tenant: "contoso", ID: string(person(0).User)}
	now := s.bus.Now()
	s.change(user, options.Record{Chosen: &options.Chosen{Status: "dnd", At: now, Until: now.Add(2 * time.Second)}})
	s.wants(0, presence.DND)
	s.wants(0, presence.Available)
}
