package poller

import (
	"errors"
	"fmt"
	"slices"
	"testing"
	"time"

	"offhook.dev/libs/core/calendar"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

func TestTheCalendarsOfLinkedUsersAreReadAndReduced(t *testing.T) {
	s := newStage(t, 4, nil)
	users := s.users()
	linked, stranger := users[:3], users[3]
	s.link(contoso, linked...)
	now := time.Now()
	b := newDiaries()
	b.zone = time.FixedZone("here", 3600)
	busy, more, out := meeting(now, "busy", 30, 60), meeting(now, "Busy", 60, 60), meeting(now, "oof", 600, 60)
	gone := meeting(now, "busy", 200, 10)
	gone.Cancelled = true
	b.entries[linked[0]] = []graph.CalendarEntry{out, busy, gone, more}
	s.run(s.calendars(b))
	union := interval(busy, calendar.Busy)
	union.To = more.End
	fact := s.shows(linked[0], union, interval(out, calendar.OOF))
	for _, user := range linked[1:] {
		s.shows(user)
	}
	if !fact.From.Equal(fact.SeenAt.Add(-windowBack)) || !fact.To.Equal(fact.SeenAt.Add(windowAhead)) || fact.SeenAt.Before(now.Add(-time.Minute)) {
		t.Errorf("read [%v, %v) at %v", fact.From, fact.To, fact.SeenAt)
	}
	for _, r := range slices.Concat(b.asked()...) {
		if r.User == stranger || r.Attendees || r.Zone != b.zone || !r.From.Equal(fact.From) {
			t.Errorf("asked for %+v", r)
		}
	}
	if n := len(b.asked()); n != 1 {
		t.Errorf("%d calls for three users", n)
	}
	if _, sequence := s.calendar(stranger); sequence != 0 {
		t.Error("a user without an extension has a fact")
	}
}

func TestAttendeesAreAskedForWhereARuleNeedsTheirNumber(t *testing.T) {
	s := newStage(t, 1, nil)
	user := s.users()[0]
	s.link(contoso, user)
	b := newDiaries()
	alone, many := meeting(time.Now(), "busy", 10, 10), meeting(time.Now(), "busy", 60, 10)
	many.Attendees = 5
	b.entries[user] = []graph.CalendarEntry{alone, many}
	conf := s.calendars(b)
	var err error
	conf.Rules, err = calendar.ParseRules([]calendar.Rule{{AttendeesMax: new(1), As: "free"}})
	must(t, err)
	s.run(conf)
	s.shows(user, interval(many, calendar.Busy))
	if !b.asked()[0][0].Attendees {
		t.Error("not asked for")
	}
}

func TestWhatIsNewsOfACalendar(t *testing.T) {
	at := time.Now()
	iv := func(class calendar.Class, from, to int) calendar.Interval {
		return calendar.Interval{Class: class, From: at.Add(time.Duration(from) * time.Minute), To: at.Add(time.Duration(to) * time.Minute)}
	}
	fact := func(seen time.Duration, problem string, intervals ...calendar.Interval) wire.Calendar {
		return wire.Calendar{SeenAt: at.Add(seen), Problem: problem, Intervals: intervals}
	}
	tests := []struct {
		name      string
		old, fact wire.Calendar
		want      bool
	}{
		{"the same", fact(-time.Minute, "", iv(calendar.Busy, 0, 60)), fact(0, "", iv(calendar.Busy, 0, 60)), false},
		{"another interval", fact(-time.Minute, "", iv(calendar.Busy, 0, 60)), fact(0, "", iv(calendar.Busy, 0, 61)), true},
		{"another class", fact(-time.Minute, "", iv(calendar.Busy, 0, 60)), fact(0, "", iv(calendar.OOF, 0, 60)), true},
		{"one more", fact(-time.Minute, ""), fact(0, "", iv(calendar.Busy, 0, 60)), true},
		{"one less", fact(-time.Minute, "", iv(calendar.Busy, 0, 60)), fact(0, ""), true},
		{"what is over has left the window", fact(-time.Minute, "", iv(calendar.Busy, -90, -61)), fact(0, ""), false},
		{"one ends just now", fact(-time.Minute, "", iv(calendar.Busy, -90, 0)), fact(0, ""), false},
		{"one that would be over goes on", fact(-time.Minute, "", iv(calendar.Busy, -90, -1)), fact(0, "", iv(calendar.Busy, -90, 5)), true},
		{"one that goes on ended", fact(-time.Minute, "", iv(calendar.Busy, -90, 5)), fact(0, "", iv(calendar.Busy, -90, -1)), true},
		{"a problem", fact(-time.Minute, ""), fact(0, noMailbox), true},
		{"another problem", fact(-time.Minute, denied), fact(0, noMailbox), true},
		{"the same problem", fact(-time.Minute, denied), fact(0, denied), false},
		{"the same after an hour", fact(-calendarLasts-time.Second, ""), fact(0, ""), true},
		{"the same before the hour is over", fact(-calendarLasts, ""), fact(0, ""), false},
		{"another one that was read earlier", fact(time.Second, "", iv(calendar.Busy, 0, 60)), fact(0, ""), false},
		{"another one that was read at the same time", fact(0, "", iv(calendar.Busy, 0, 60)), fact(0, ""), false},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			if got := calendarNews(test.old, test.fact); got != test.want {
				t.Errorf("%v, want %v", got, test.want)
			}
		})
	}
}

func TestAnUnchangedCalendarIsReadAndNotPublished(t *testing.T) {
	s := newStage(t, 2, nil)
	users := s.users()
	s.link(contoso, users...)
	b := newDiaries()
	b.entries[users[0]] = []graph.CalendarEntry{meeting(time.Now(), "busy", 30, 60)}
	conf := s.calendars(b)
	conf.Calendars = 20 * time.Millisecond
	s.run(conf)
	s.eventually("not read ten times", func() bool { return b.times(users[0]) >= 10 && b.times(users[1]) >= 10 })
	_, first := s.calendar(users[0])
	moved := meeting(time.Now(), "busy", 90, 60)
	b.set(func() { b.entries[users[1]] = []graph.CalendarEntry{moved} })
	s.shows(users[1], interval(moved, calendar.Busy))
	if _, sequence := s.calendar(users[0]); sequence != first {
		t.Error("the unchanged one was published again")
	}
	if n := s.metric("offhook_calendar_reads_total", "changed"); n != 3 {
		t.Errorf("%v changes counted, want the two first readings and one", n)
	}
}

func TestAHintedCalendarIsReadNowAndOnceMore(t *testing.T) {
	s := newStage(t, 2, nil)
	users := s.users()
	s.link(contoso, users...)
	late := meeting(time.Now(), "busy", 30, 60)
	b := newDiaries()
	b.answer = func(n int, r graph.CalendarRequest) []graph.CalendarEntry { // Graph is late: only the third reading has it
		if n < 3 || r.User != users[0] {
			return nil
		}
		return []graph.CalendarEntry{late}
	}
	conf := s.calendars(b)
	conf.Again = 50 * time.Millisecond
	s.run(conf)
	s.shows(users[0])
	s.shows(users[1])
	s.hint(subscription.HintEvent, string(users[0]), "test")
	s.shows(users[0], interval(late, calendar.Busy))
	if n, other := b.times(users[0]), b.times(users[1]); n != 3 || other != 1 {
		t.Errorf("read %d times, and the other %d times", n, other)
	}
}

func TestASecondLookThatFailsComesAgain(t *testing.T) {
	s := newStage(t, 1, nil)
	user := s.users()[0]
	s.link(contoso, user)
	b := newDiaries()
	conf := s.calendars(b)
	conf.Again = 20 * time.Millisecond
	s.run(conf)
	s.shows(user)
	later := meeting(time.Now(), "busy", 30, 60)
	s.hint(subscription.HintEvent, string(user), "test")
	s.eventually("not read for the hint", func() bool { return b.times(user) >= 2 })
	b.set(func() { b.errs[user] = fault.New(fault.Unavailable, "test", nil) })
	s.hint(subscription.HintEvent, string(user), "test")
	s.eventually("not read in vain", func() bool { return b.times(user) >= 6 })
	b.set(func() { delete(b.errs, user); b.entries[user] = []graph.CalendarEntry{later} })
	s.shows(user, interval(later, calendar.Busy))
}

func TestThereIsOneSecondLookForAUserAfterTheLastHint(t *testing.T) {
	a := newAgain(30 * time.Second)
	at := time.Now()
	steps := []struct {
		name string
		add  []identity.User
		at   time.Duration
		take []identity.User
		next time.Duration
	}{
		{"nobody is planned", nil, 0, nil, 0},
		{"two are", []identity.User{"a", "b"}, 0, nil, 30 * time.Second},
		{"a second hint about one moves the look", []identity.User{"a"}, 10 * time.Second, nil, 20 * time.Second},
		{"a third one too", []identity.User{"a"}, 20 * time.Second, nil, 10 * time.Second},
		{"the other one is due", nil, 30 * time.Second, []identity.User{"b"}, 20 * time.Second},
		{"not yet", nil, 49 * time.Second, nil, time.Second},
		{"thirty seconds after the last hint", nil, 50 * time.Second, []identity.User{"a"}, 0},
		{"never again", nil, time.Hour, nil, 0},
	}
	for _, step := range steps {
		for _, user := range step.add {
			a.add(user, at.Add(step.at))
		}
		users, next := a.take(at.Add(step.at))
		if !slices.Equal(users, step.take) || next != step.next {
			t.Errorf("%s: %v, next in %v", step.name, users, next)
		}
	}
	for i := range 1000 {
		a.add("a", at.Add(time.Duration(i)))
	}
	if users, _ := a.take(at.Add(time.Hour)); len(users) != 1 || len(a.due) != 0 || len(a.queue) != 0 {
		t.Errorf("%v are due, %d planned, %d queued", users, len(a.due), len(a.queue))
	}
}

func TestWhatNoHintToldOfIsFoundByTheSweep(t *testing.T) {
	s := newStage(t, 20, nil)
	users := s.users()
	s.link(contoso, users...)
	b := newDiaries()
	conf := s.calendars(b)
	conf.Calendars = 30 * time.Millisecond
	s.run(conf)
	for _, user := range users {
		s.shows(user)
	}
	want := meeting(time.Now(), "oof", 5, 500)
	b.set(func() {
		for _, user := range users {
			b.entries[user] = []graph.CalendarEntry{want}
		}
	})
	for _, user := range users {
		s.shows(user, interval(want, calendar.OOF))
	}
}

func TestMailboxesWithAProblemCostThemselvesAlone(t *testing.T) {
	s := newStage(t, 4, nil)
	users := s.users()
	good, none, refused, away := users[0], users[1], users[2], users[3]
	s.link(contoso, users...)
	b := newDiaries()
	b.errs[none] = fault.New(fault.NotFound, "test", errors.New("MailboxNotEnabledForRESTAPI"))
	b.errs[refused] = fault.New(fault.Denied, "test", errors.New("ErrorAccessDenied"))
	b.errs[away] = fault.After(fault.Throttled, "test", time.Hour, nil)
	conf := s.calendars(b)
	conf.Calendars = 20 * time.Millisecond
	s.run(conf)
	s.shows(good)
	for user, problem := range map[identity.User]string{none: noMailbox, refused: denied} {
		if fact := s.shows(user); fact.Problem != problem {
			t.Errorf("%q, want %q", fact.Problem, problem)
		}
	}
	s.eventually("the sweep does not go on", func() bool { return b.times(good) > 5 && b.times(away) > 5 && b.times(none) > 5 })
	if _, sequence := s.calendar(away); sequence != 0 {
		t.Error("nothing is known of a mailbox that is away")
	}
	for result, least := range map[string]float64{"no-mailbox": 5, "denied": 5, "throttled": 5, "read": 5} {
		if n := s.metric("offhook_calendar_reads_total", result); n < least {
			t.Errorf("%v counted as %s", n, result)
		}
	}
	now := meeting(time.Now(), "busy", 1, 60)
	b.set(func() {
		clear(b.errs)
		for _, user := range users {
			b.entries[user] = []graph.CalendarEntry{now}
		}
	})
	for _, user := range users {
		if fact := s.shows(user, interval(now, calendar.Busy)); fact.Problem != "" {
			t.Errorf("still %q", fact.Problem)
		}
	}
}

// An app whose credential has run out is refused as one is that may not read a
// mailbox. What was known of the calendar stands for a day.
func TestARefusalDoesNotForgetWhatWasRead(t *testing.T) {
	s := newStage(t, 1, nil)
	user := s.users()[0]
	s.link(contoso, user)
	b := newDiaries()
	now := meeting(time.Now(), "busy", 1, 60)
	b.entries[user] = []graph.CalendarEntry{now}
	conf := s.calendars(b)
	conf.Calendars = 20 * time.Millisecond
	s.run(conf)
	s.shows(user, interval(now, calendar.Busy))
	b.set(func() { b.errs[user] = fault.New(fault.Denied, "test", errors.New("invalid_client")) })
	s.eventually("not refused", func() bool { return s.metric("offhook_calendar_reads_total", fault.Denied.String()) >= 3 })
	if fact := s.shows(user, interval(now, calendar.Busy)); fact.Problem != "" {
		t.Errorf("the calendar has become %q", fact.Problem)
	}
	c := &calendars{known: newMirror[wire.Calendar]()}
	c.known.set(user, wire.Calendar{SeenAt: now.Start}, 1)
	if !c.stands(user, now.Start.Add(24*time.Hour-1)) || c.stands(user, now.Start.Add(24*time.Hour)) {
		t.Error("it stands for another time than a day")
	}
}

func TestABadEventCostsItselfAlone(t *testing.T) {
	s := newStage(t, 1, nil)
	user := s.users()[0]
	s.link(contoso, user)
	b := newDiaries()
	good, inverted, empty, endless := meeting(time.Now(), "busy", 10, 10), meeting(time.Now(), "busy", 60, -10), meeting(time.Now(), "busy", 70, 0), meeting(time.Now(), "busy", 80, 60*24*2000)
	b.entries[user] = []graph.CalendarEntry{inverted, good, empty, endless}
	b.dropped[user] = []error{errors.New("the start of an event is in no known time zone"), errors.New("the start of an event is in no known time zone")}
	s.run(s.calendars(b))
	s.shows(user, interval(good, calendar.Busy))
	for cause, want := range map[string]float64{"the start of an event is in no known time zone": 2,
		calendar.ErrInverted.Error(): 1, calendar.ErrEmpty.Error(): 1, calendar.ErrTooLong.Error(): 1} {
		if n := s.metric("offhook_calendar_dropped_events_total", cause); n != want {
			t.Errorf("%s: counted %v, want %v", cause, n, want)
		}
	}
}

func TestWhoIsLinkedIsReadAtOnceAndWhoComesBackToo(t *testing.T) {
	s := newStage(t, 3, nil)
	users := s.users()
	s.link(contoso, users[0])
	b := newDiaries()
	s.run(s.calendars(b))
	s.shows(users[0])
	s.link(contoso, users[1:]...)
	s.shows(users[1])
	s.shows(users[2])
	if n := b.times(users[0]); n != 1 {
		t.Errorf("who was read is read again, %d times", n)
	}
	late := meeting(time.Now(), "busy", 30, 30)
	b.set(func() { b.entries[users[0]] = []graph.CalendarEntry{late} })
	key := wire.PersonKey(identity.Person{Tenant: contoso, User: users[0]})
	s.eventually("who came back is not read", func() bool { // a departure that is over before it is looked at is none
		e, err := s.bucket(topology.Links).Get(t.Context(), key)
		must(t, err)
		must(t, s.bucket(topology.Links).Delete(t.Context(), key, e.Revision))
		<-time.After(3 * gatherLinks)
		s.link(contoso, users[0])
		<-time.After(3 * gatherLinks)
		fact, _ := s.calendar(users[0])
		return len(fact.Intervals) == 1
	})
}

func TestWhoCouldNotBeReadAtFirstIsTriedAgainBeforeTheSweep(t *testing.T) {
	s := newStage(t, 2, nil)
	users := s.users()
	s.link(contoso, users...)
	b := newDiaries()
	b.errs[users[0]] = fault.New(fault.Unavailable, "test", nil)
	s.run(s.calendars(b))
	s.shows(users[1])
	s.eventually("not tried again", func() bool { return b.times(users[0]) >= 3 })
	b.set(func() { clear(b.errs) })
	s.shows(users[0])
	if n := b.times(users[1]); n != 1 {
		t.Errorf("who was read was read %d times", n)
	}
}

func TestZonesAreRememberedReadAgainAndKept(t *testing.T) {
	s := newStage(t, 1, nil)
	user := s.users()[0]
	b := newDiaries()
	b.zone = time.FixedZone("here", 3600)
	z := newZones(b, never)
	of := func() *time.Location { return z.of(s.t.Context(), []identity.User{user})[user] }
	for range 2 {
		if is := of(); is != b.zone {
			t.Errorf("the zone is %v", is)
		}
	}
	if b.zones[user] != 1 {
		t.Errorf("asked %d times", b.zones[user])
	}
	z.every = 0
	first := b.zone
	z.known[user] = zone{at: first}
	b.zoneErr = fault.New(fault.Unavailable, "test", nil)
	if of() != first {
		t.Error("a zone that was known is forgotten")
	}
	b.zoneErr, b.zone = nil, time.FixedZone("there", 7200)
	if of() != b.zone {
		t.Error("a zone is not read again")
	}
	unknown := newZones(b, never)
	b.zoneErr = fault.New(fault.Denied, "test", nil)
	for range 3 {
		if unknown.of(t.Context(), []identity.User{user})[user] != nil {
			t.Error("a zone out of nothing")
		}
	}
	if n := b.zones[user]; n != 4 {
		t.Errorf("a missing permission is asked for again and again: %d", n)
	}
}

func TestManyHintedCalendarsAreReadInFewCalls(t *testing.T) {
	s := newStage(t, 121, nil)
	users := s.users()
	linked, stranger := users[:120], users[120]
	s.link(contoso, linked...)
	b := newDiaries()
	s.run(s.calendars(b))
	for _, user := range linked {
		s.shows(user)
	}
	before := len(b.asked())
	want := meeting(time.Now(), "busy", 10, 10)
	b.set(func() {
		for _, user := range linked {
			b.entries[user] = []graph.CalendarEntry{want}
		}
	})
	for _, user := range users {
		s.hint(subscription.HintEvent, string(user), "test")
	}
	for _, user := range linked {
		s.shows(user, interval(want, calendar.Busy))
	}
	calls := len(b.asked()) - before
	t.Logf("%d calls for 120 hints", calls)
	if calls > 40 {
		t.Errorf("%d calls for 120 hints", calls)
	}
	if b.times(stranger) != 0 {
		t.Error("a hint made it read a user without an extension")
	}
}

func TestAMailboxThatHangsHoldsUpNoOther(t *testing.T) {
	s := newStage(t, 3, nil)
	users := s.users()
	s.link(contoso, users...)
	b := newDiaries()
	s.run(s.calendars(b))
	for _, user := range users {
		s.shows(user)
	}
	release := make(chan struct{})
	defer close(release)
	want := meeting(time.Now(), "busy", 10, 10)
	b.set(func() {
		b.stuck[users[0]] = release
		for _, user := range users {
			b.entries[user] = []graph.CalendarEntry{want}
		}
	})
	for _, user := range users {
		s.hint(subscription.HintEvent, string(user), "test")
	}
	s.shows(users[1], interval(want, calendar.Busy))
	s.shows(users[2], interval(want, calendar.Busy))
	next := meeting(time.Now(), "busy", 40, 10)
	b.set(func() { b.entries[users[1]] = []graph.CalendarEntry{next} })
	s.hint(subscription.HintEvent, string(users[1]), "test")
	s.shows(users[1], interval(next, calendar.Busy))
	if fact, _ := s.calendar(users[0]); len(fact.Intervals) != 0 {
		t.Error("control: the mailbox did not hang")
	}
}

func TestASweepIsSpreadOverItsIntervalAndLeavesNobodyOut(t *testing.T) {
	for sweep, want := range map[time.Duration]int{15 * time.Minute: sweepTurns, time.Hour: sweepTurns, 10 * time.Second: 10, time.Millisecond: 1} {
		n := turns(sweep)
		if n != want || sweep/time.Duration(n) <= 0 {
			t.Errorf("%v in %d turns, want %d", sweep, n, want)
		}
		counts := make([]int, n)
		for i := range 6000 {
			counts[turnOf(identity.User(fmt.Sprintf("%08x-0000-0000-0000-000000000000", i*7919)), n)]++
		}
		if most, least := slices.Max(counts), slices.Min(counts); n > 1 && (least == 0 || most > 3*6000/n) {
			t.Errorf("%v: turns of %d to %d users", sweep, least, most)
		}
	}
}
