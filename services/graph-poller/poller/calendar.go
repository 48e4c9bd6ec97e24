package poller

import (
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/core/calendar"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/run"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/wire"
)

// How far a calendar is read back and ahead of now: known intervals stay valid for a
// day without Graph, and a day and a half leaves time to read them again.
const (
	windowBack  = time.Hour
	windowAhead = 36 * time.Hour
)

// calendarLasts is the age at which an unchanged calendar is published again: what
// is stored says since when its intervals are known.
const calendarLasts = time.Hour

// Why there is no calendar to read, as a fact says it.
const (
	noMailbox = "no mailbox"
	denied    = "denied"
)

const (
	readAtOnce     = 4   // calls of one shard under way
	readTogether   = 500 // users in one call, at most
	publishAtOnce  = 16
	calendarHinted = 200 // hints under way
)

func calendarFacts() kind[wire.Calendar] {
	return kind[wire.Calendar]{
		name:   "calendar",
		encode: func(_ identity.Person, c wire.Calendar) wire.Message { return c },
		decode: func(data []byte) (identity.Person, wire.Calendar, error) {
			fact, err := wire.DecodeCalendar(data)
			return fact.Person, fact, err
		},
		news: calendarNews,
	}
}

// calendarNews says whether a calendar is to be published over the stored one: it
// was read later, and differs in what is still to come, or that one is old.
func calendarNews(old, fact wire.Calendar) bool {
	if !fact.SeenAt.After(old.SeenAt) {
		return false
	}
	return fact.Problem != old.Problem || fact.SeenAt.Sub(old.SeenAt) > calendarLasts ||
		!slices.EqualFunc(toCome(old.Intervals, fact.SeenAt), toCome(fact.Intervals, fact.SeenAt), sameInterval)
}

// sameInterval compares instants, whatever their zones.
func sameInterval(a, b calendar.Interval) bool {
	return a.Class == b.Class && a.From.Equal(b.From) && a.To.Equal(b.To)
}

// toCome leaves out what is over: it decides nothing any more, and leaves the window
// one by one.
func toCome(intervals []calendar.Interval, now time.Time) []calendar.Interval {
	return slices.DeleteFunc(slices.Clone(intervals), func(i calendar.Interval) bool { return !i.To.After(now) })
}

// calendars reads the calendars of one shard, while its lease is held.
type calendars struct {
	t     *tenant
	shard string
	known *mirror[wire.Calendar]
	zones *zones
	again *again
	began time.Time // of this term, in broker time

	mu sync.Mutex // guards answered
	// answered has when each linked user was last read, be it that they have no mailbox.
	answered map[identity.User]time.Time
}

func newCalendars(t *tenant, shard string) *calendars {
	return &calendars{t: t, shard: shard, known: newMirror[wire.Calendar](), zones: newZones(t.client, t.conf.Zones),
		again: newAgain(t.conf.Again), began: t.p.bus.Now(), answered: map[identity.User]time.Time{}}
}

// calendarLoop reads a shard's calendars until ctx ends: at once whoever was not read
// yet, everyone once in a sweep, and whom hints name, twice.
func (t *tenant) calendarLoop(ctx context.Context, shard string) error {
	c := newCalendars(t, shard)
	g, ctx := errgroup.WithContext(ctx)
	current := make(chan struct{})
	g.Go(func() error {
		return run.Ended(ctx, c.known.follow(ctx, t, calendarFacts(), shard, sync.OnceFunc(func() { close(current) })))
	})
	g.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case <-current:
		}
		g.Go(func() error { c.newcomers(ctx); return nil })
		g.Go(func() error { c.sweeps(ctx); return nil })
		return nil
	})
	g.Go(func() error { return c.hints(ctx) })
	g.Go(func() error { c.again.run(ctx, c.readAgain); return nil })
	return g.Wait()
}

// hints reads the calendars that notifications name, many in one request.
func (c *calendars) hints(ctx context.Context) error {
	b := &batcher{ctx: ctx, read: c.read}
	defer b.readings.Wait()
	return c.t.hinted(ctx, subscription.HintEvent, c.shard, readsCalendars, calendarHinted, func(ctx context.Context, user identity.User) error {
		c.again.add(user, time.Now())
		return b.add(ctx, user)
	})
}

// readAgain is the second look after a hint. Who could not be read is looked at once
// more, as long as they are linked.
func (c *calendars) readAgain(ctx context.Context, users []identity.User) {
	users = slices.DeleteFunc(users, func(user identity.User) bool { return !c.t.reads(user, readsCalendars) })
	c.read(ctx, users, func(user identity.User, err error) {
		if err != nil && ctx.Err() == nil {
			c.again.add(user, time.Now())
		}
	})
}

// read reads calendars and publishes what is news. done is called once for each user,
// as soon as it is known what became of them; perhaps by several goroutines at once.
func (c *calendars) read(ctx context.Context, users []identity.User, done func(identity.User, error)) {
	if len(users) == 0 {
		return
	}
	zones := c.zones.of(ctx, users)
	began := c.t.p.bus.Now()
	ask := graph.CalendarRequest{From: began.Add(-windowBack), To: began.Add(windowAhead), Attendees: c.t.conf.Rules.AskAttendees()}
	requests := make([]graph.CalendarRequest, len(users))
	for i, user := range users {
		requests[i] = ask
		requests[i].User, requests[i].Zone = user, zones[user]
	}
	var g errgroup.Group
	g.SetLimit(publishAtOnce)
	for answer := range c.t.client.CalendarViews(ctx, requests) {
		g.Go(func() error {
			done(answer.User, c.settle(ctx, answer, wire.Calendar{From: ask.From, To: ask.To, SeenAt: began}))
			return nil
		})
	}
	_ = g.Wait()
}

// settle makes a fact of an answer. That there is no calendar to read is one as well.
func (c *calendars) settle(ctx context.Context, answer graph.CalendarAnswer, fact wire.Calendar) error {
	result := "read"
	if answer.Err != nil {
		switch kind := fault.KindOf(answer.Err); kind {
		case fault.NotFound:
			fact.Problem, result = noMailbox, "no-mailbox"
		case fault.Denied:
			if c.stands(answer.User, fact.SeenAt) {
				c.t.p.metrics.calendarRead(ctx, c.t.conf.ID, kind.String())
				return answer.Err
			}
			fact.Problem, result = denied, "denied"
		default:
			c.t.p.metrics.calendarRead(ctx, c.t.conf.ID, kind.String())
			return answer.Err
		}
	} else {
		fact.Intervals = c.reduce(ctx, answer)
	}
	fact.Person = identity.Person{Tenant: c.t.conf.ID, User: answer.User}
	_, published, err := publishNews(ctx, c.t.p, calendarFacts(), fact.Person, fact, c.known)
	if err != nil {
		c.t.p.metrics.calendarRead(ctx, c.t.conf.ID, "not-stored")
		return err
	}
	if published && fact.Problem == "" {
		result = "changed"
	}
	c.t.p.metrics.calendarRead(ctx, c.t.conf.ID, result)
	c.mu.Lock()
	defer c.mu.Unlock()
	c.answered[answer.User] = fact.SeenAt
	return nil
}

// stands says whether what was read of a calendar is still good at now although
// Graph refuses it: an app whose credential has run out is refused as well, and its
// users' phones shall not ring in their meetings for that. What was known is good
// for a day (docs/presence.md); then it is a problem.
func (c *calendars) stands(user identity.User, now time.Time) bool {
	known := c.known.of(user)
	return known.sequence > 0 && known.fact.Problem == "" && now.Sub(known.fact.SeenAt) < 24*time.Hour
}

// reduce keeps the intervals of an answer. An event that cannot be meant costs itself
// alone, and nothing of it is told but what is wrong with it.
func (c *calendars) reduce(ctx context.Context, answer graph.CalendarAnswer) []calendar.Interval {
	for _, cause := range answer.Dropped {
		c.t.p.metrics.dropped(ctx, c.t.conf.ID, cause)
	}
	entries := make([]calendar.Entry, len(answer.Entries))
	for i, entry := range answer.Entries {
		entries[i] = calendar.Entry(entry)
		if cause := entries[i].Check(); cause != nil {
			c.t.p.metrics.dropped(ctx, c.t.conf.ID, cause)
		}
	}
	return calendar.Reduce(entries, c.t.conf.Rules)
}
