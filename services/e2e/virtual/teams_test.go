package virtual

import (
	"context"
	"iter"
	"math/rand/v2"
	"strings"
	"sync"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presencetest"
	"offhook.dev/libs/graph"
)

// teams is Microsoft 365: sessions and preferred presences that expire, the precedence
// among them, and what people do in their own Teams. It is the client of the poller and
// of graph-writer.
type teams struct {
	notify func(identity.User, string) // called when somebody shows something else
	fades  time.Duration               // as options.fades

	mu    sync.Mutex // guards what follows
	dice  *rand.Rand
	seats map[identity.User]*seat
}

// seat is one person in Teams.
type seat struct {
	presencetest.Side
	ends, pinned time.Time // of the session and the preferred presence; zero: the person's own
	shown        string
	meetings     []graph.CalendarEntry
	wrote        func(target string)
}

func newTeams(seed uint64) *teams {
	return &teams{dice: rand.New(rand.NewPCG(seed, 1)), seats: map[identity.User]*seat{}}
}

// at changes what somebody's Teams is made of, and tells if it shows something else.
func (f *teams) at(user identity.User, change func(*seat)) string {
	f.mu.Lock()
	s := f.seats[user]
	now := time.Now()
	if !s.ends.IsZero() && !s.ends.After(now) {
		s.Session, s.ends = "", time.Time{}
	}
	if !s.pinned.IsZero() && !s.pinned.After(now) {
		s.Preferred, s.pinned = "", time.Time{}
	}
	change(s)
	shows := s.Shows()
	news := shows != s.shown
	s.shown = shows
	f.mu.Unlock()
	if news {
		f.notify(user, shows)
	}
	return shows
}

// client is a tenant's Graph for the poller, where reading takes a while, or has to wait
// for longer than anybody lives.
type client struct {
	*teams
	graph.ContactReader // nil, as is the next: nobody asks
	graph.PhotoReader
	door   *door
	closed bool
}

// writing is a tenant's Graph for graph-writer.
type writing struct {
	*teams
	door *door
}

// GroupMembers is of a directory without groups.
func (f client) GroupMembers(context.Context, identity.Group) (graph.Group, error) {
	return graph.Group{}, fault.New(fault.NotFound, "read a group", nil)
}

// MailboxPurposes is of a directory in which every mailbox is a person's.
func (f client) MailboxPurposes(_ context.Context, users []identity.User) iter.Seq[graph.PurposeAnswer] {
	return func(yield func(graph.PurposeAnswer) bool) {
		for _, user := range users {
			if !yield(graph.PurposeAnswer{User: user, Purpose: "user"}) {
				return
			}
		}
	}
}

// GroupsCalled is of one without any.
func (f client) GroupsCalled(context.Context, string) ([]graph.Group, error) { return nil, nil }

func (f client) Presences(ctx context.Context, users []identity.User) ([]graph.Presence, []identity.User, error) {
	if f.closed {
		return nil, nil, fault.After(fault.Throttled, "read", time.Minute, nil)
	}
	if err := f.door.pass(graph.APIPresence); err != nil {
		return nil, nil, err
	}
	f.mu.Lock()
	wait := 20*time.Millisecond + time.Duration(f.dice.Int64N(int64(300*time.Millisecond)))
	f.mu.Unlock()
	select {
	case <-ctx.Done():
		return nil, nil, fault.New(fault.KindOf(ctx.Err()), "read", ctx.Err())
	case <-time.After(wait):
	}
	return f.teams.Presences(ctx, users)
}

func (f *teams) Presences(_ context.Context, users []identity.User) (found []graph.Presence, missing []identity.User, err error) {
	for _, user := range users {
		availability, activity, _ := strings.Cut(f.at(user, func(*seat) {}), "/")
		found = append(found, graph.Presence{User: user, Availability: availability, Activity: activity})
	}
	return found, nil, nil
}

func (f *teams) SetPresence(ctx context.Context, user identity.User, _ string, show graph.SessionPresence, lives time.Duration) error {
	return f.write(ctx, user, func(s *seat) {
		if s.Session != string(show) {
			s.wrote("session")
		}
		if f.fades > 0 {
			lives = min(lives, f.fades)
		}
		s.Session, s.ends = string(show), time.Now().Add(lives)
	})
}

func (f *teams) ClearPresence(ctx context.Context, user identity.User, _ string) error {
	return f.write(ctx, user, func(s *seat) {
		if s.Session != "" {
			s.wrote("session")
		}
		s.Session, s.ends = "", time.Time{}
	})
}

func (f *teams) SetPreferredPresence(ctx context.Context, user identity.User, show graph.PreferredPresence, lives time.Duration) error {
	return f.write(ctx, user, func(s *seat) {
		if s.Preferred != string(show) || s.pinned.IsZero() {
			s.wrote("preferred")
		}
		s.Preferred, s.pinned = string(show), time.Now().Add(lives)
	})
}

func (f *teams) ClearPreferredPresence(ctx context.Context, user identity.User) error {
	return f.write(ctx, user, func(s *seat) {
		if s.Preferred != "" {
			s.wrote("preferred")
		}
		s.Preferred, s.pinned = "", time.Time{}
	})
}

// write takes no time: graph-writer holds a person's lock meanwhile, and who waits for
// a lock keeps a bubble's time from passing. Now and then Graph is not there.
func (f *teams) write(ctx context.Context, user identity.User, change func(*seat)) error {
	f.mu.Lock()
	away := f.dice.IntN(100) == 0 && f.fades == 0 // one fault at a time
	f.mu.Unlock()
	if err := ctx.Err(); err != nil || away {
		return fault.New(fault.Unavailable, "write", err)
	}
	f.at(user, change)
	return nil
}

func (f *teams) CalendarViews(ctx context.Context, requests []graph.CalendarRequest) iter.Seq[graph.CalendarAnswer] {
	return func(yield func(graph.CalendarAnswer) bool) {
		for _, r := range requests {
			a := graph.CalendarAnswer{User: r.User, Err: ctx.Err()}
			f.mu.Lock()
			if a.Err == nil {
				a.Entries = f.seats[r.User].meetings
			}
			f.mu.Unlock()
			if !yield(a) {
				return
			}
		}
	}
}

func (f *teams) MailboxZones(_ context.Context, users []identity.User) iter.Seq[graph.ZoneAnswer] {
	return func(yield func(graph.ZoneAnswer) bool) {
		for _, user := range users {
			if !yield(graph.ZoneAnswer{User: user, Zone: time.UTC}) {
				return
			}
		}
	}
}

// Users has nobody to tell of: who is linked is in the bucket already.
func (f *teams) Users(context.Context, graph.Cursor) (graph.UserPage, error) {
	return graph.UserPage{Delta: "end"}, nil
}

func (f *teams) User(_ context.Context, id identity.User) (graph.User, error) {
	return graph.User{ID: id, Enabled: true}, nil
}

// Nothing is subscribed to: who tells of changes here is notify.

func (f *teams) Create(context.Context, graph.NewSubscription) (graph.Subscription, error) {
	return graph.Subscription{}, fault.Errorf(fault.Denied, "subscribe", "there are no subscriptions")
}

func (f *teams) Subscription(context.Context, string) (graph.Subscription, error) {
	return graph.Subscription{}, fault.Errorf(fault.NotFound, "subscription", "there are no subscriptions")
}

func (f *teams) Subscriptions(context.Context) ([]graph.Subscription, error) { return nil, nil }

func (f *teams) Renew(context.Context, string, graph.Renewal) (graph.Subscription, error) {
	return graph.Subscription{}, fault.Errorf(fault.NotFound, "renew", "there are no subscriptions")
}

func (f *teams) Reauthorize(context.Context, string) error { return nil }

func (f *teams) Delete(context.Context, string) error { return nil }
