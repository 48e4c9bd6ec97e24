package poller

import (
	"context"
	"fmt"
	"iter"
	"slices"
	"sync"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/calendar"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// diaries stands for the calendars of a tenant.
type diaries struct {
	mu      sync.Mutex
	entries map[identity.User][]graph.CalendarEntry
	errs    map[identity.User]error
	dropped map[identity.User][]error
	// stuck are mailboxes whose answer comes only when the channel is closed.
	stuck   map[identity.User]chan struct{}
	answer  func(n int, r graph.CalendarRequest) []graph.CalendarEntry // instead of entries; n counts the user's readings
	zone    *time.Location
	zoneErr error

	calls [][]graph.CalendarRequest
	reads map[identity.User]int
	zones map[identity.User]int // how often each was asked for
}

func newDiaries() *diaries {
	return &diaries{entries: map[identity.User][]graph.CalendarEntry{}, errs: map[identity.User]error{}, dropped: map[identity.User][]error{},
		stuck: map[identity.User]chan struct{}{}, reads: map[identity.User]int{}, zones: map[identity.User]int{}}
}

func (b *diaries) CalendarViews(ctx context.Context, requests []graph.CalendarRequest) iter.Seq[graph.CalendarAnswer] {
	b.mu.Lock()
	b.calls = append(b.calls, slices.Clone(requests))
	b.mu.Unlock()
	return func(yield func(graph.CalendarAnswer) bool) {
		var late []graph.CalendarRequest
		for _, r := range requests {
			b.mu.Lock()
			held := b.stuck[r.User] != nil
			b.mu.Unlock()
			if held {
				late = append(late, r)
			} else if !yield(b.read(r)) {
				return
			}
		}
		for _, r := range late {
			b.mu.Lock()
			wait := b.stuck[r.User]
			b.mu.Unlock()
			select {
			case <-wait:
			case <-ctx.Done():
			}
			if !yield(b.read(r)) {
				return
			}
		}
	}
}

func (b *diaries) read(r graph.CalendarRequest) graph.CalendarAnswer {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.reads[r.User]++
	if err := b.errs[r.User]; err != nil {
		return graph.CalendarAnswer{User: r.User, Err: err}
	}
	entries := b.entries[r.User]
	if b.answer != nil {
		entries = b.answer(b.reads[r.User], r)
	}
	return graph.CalendarAnswer{User: r.User, Entries: entries, Dropped: b.dropped[r.User]}
}

func (b *diaries) MailboxZones(_ context.Context, users []identity.User) iter.Seq[graph.ZoneAnswer] {
	return func(yield func(graph.ZoneAnswer) bool) {
		for _, user := range users {
			b.mu.Lock()
			b.zones[user]++
			answer := graph.ZoneAnswer{User: user, Zone: b.zone, Err: b.zoneErr}
			b.mu.Unlock()
			if answer.Err != nil {
				answer.Zone = nil
			}
			if !yield(answer) {
				return
			}
		}
	}
}

func (b *diaries) set(change func()) {
	b.mu.Lock()
	defer b.mu.Unlock()
	change()
}

// times returns how often a user was read.
func (b *diaries) times(user identity.User) int {
	b.mu.Lock()
	defer b.mu.Unlock()
	return b.reads[user]
}

func (b *diaries) asked() [][]graph.CalendarRequest {
	b.mu.Lock()
	defer b.mu.Unlock()
	return slices.Clone(b.calls)
}

// withDiaries is a client whose calendars are diaries, the rest being as before.
type withDiaries struct {
	*watched
	*diaries
}

func (w withDiaries) CalendarViews(ctx context.Context, r []graph.CalendarRequest) iter.Seq[graph.CalendarAnswer] {
	return w.diaries.CalendarViews(ctx, r)
}

func (w withDiaries) MailboxZones(ctx context.Context, users []identity.User) iter.Seq[graph.ZoneAnswer] {
	return w.diaries.MailboxZones(ctx, users)
}

// calendars is a tenant that reads diaries, for the first time and when hinted.
func (s *stage) calendars(b *diaries) TenantConfig {
	s.t.Helper()
	conf, client := s.config(never)
	conf.Client = func() (Client, error) { return withDiaries{client, b}, nil }
	conf.Presence, conf.Calendar, conf.Calendars, conf.Again = false, true, never, never
	conf.Keep.Retry = 10 * time.Millisecond
	return conf
}

// calendar is the stored fact of a user, with its sequence; 0: there is none.
func (s *stage) calendar(user identity.User) (wire.Calendar, uint64) {
	s.t.Helper()
	m, err := s.bus.Last(s.t.Context(), topology.Facts, wire.CalendarSubject(identity.Person{Tenant: contoso, User: user}))
	if err != nil {
		return wire.Calendar{}, 0
	}
	fact, err := wire.DecodeCalendar(m.Data)
	must(s.t, err)
	return fact, m.Sequence
}

// shows waits until a user's stored intervals are as said.
func (s *stage) shows(user identity.User, want ...calendar.Interval) wire.Calendar {
	s.t.Helper()
	var fact wire.Calendar
	s.eventually(fmt.Sprintf("the calendar of %s does not show %v", user, want), func() bool {
		var sequence uint64
		fact, sequence = s.calendar(user)
		return sequence > 0 && slices.EqualFunc(fact.Intervals, want, sameInterval)
	})
	return fact
}

func (s *stage) hint(kind, id, cause string) {
	s.t.Helper()
	subject, data := wire.Hint{Kind: kind, Tenant: contoso, ID: id, Cause: cause, SeenAt: s.bus.Now()}.Encode()
	_, err := s.bus.Publish(s.t.Context(), bus.Message{Subject: subject, Data: data})
	must(s.t, err)
}

// metric returns the sum of a metric over the series that have the label value; "" is all.
func (s *stage) metric(name, value string) float64 {
	s.t.Helper()
	families, err := s.telemetry.Registry.Gather()
	must(s.t, err)
	sum := 0.0
	for _, family := range families {
		if family.GetName() != name {
			continue
		}
		for _, m := range family.GetMetric() {
			for _, label := range m.GetLabel() {
				if value == "" && label.GetName() == "tenant" || label.GetValue() == value && label.GetName() != "tenant" {
					sum += m.GetCounter().GetValue() + m.GetGauge().GetValue()
				}
			}
		}
	}
	return sum
}

// meeting is an event from so many minutes after now, for as long; both whole minutes.
func meeting(now time.Time, showAs string, from, length int) graph.CalendarEntry {
	start := now.Truncate(time.Minute).Add(time.Duration(from) * time.Minute).UTC()
	return graph.CalendarEntry{Start: start, End: start.Add(time.Duration(length) * time.Minute), ShowAs: showAs}
}

func interval(e graph.CalendarEntry, class calendar.Class) calendar.Interval {
	return calendar.Interval{From: e.Start, To: e.End, Class: class}
}
