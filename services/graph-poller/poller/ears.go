package poller

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/coverage"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// ears hear whether lanes tell of changes, and who changes how often, wherever
// notifications are opened and sweeps run: a presence on the bus says how it was
// learned, and a notification that came late or without content leaves a hint.
type ears struct {
	t *tenant

	mu    sync.Mutex // guards what follows
	lanes map[string]*coverage.Silence
	last  uint64 // sequence of the newest presence that was counted
	often coverage.Activity
}

func newEars(t *tenant) *ears {
	return &ears{t: t, lanes: map[string]*coverage.Silence{}, often: coverage.NewActivity(t.conf.Keep.Day)}
}

// run listens until ctx ends.
func (e *ears) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	tenant := topology.Token(string(e.t.conf.ID))
	g.Go(func() error {
		return e.t.p.bus.Follow(ctx, topology.Facts, []string{"m365.fact.presence." + tenant + ".*"}, func(m bus.Message) error {
			if fact, err := wire.DecodePresence(m.Data); err == nil {
				e.presence(fact, m.Sequence)
			}
			return nil
		}, func() {})
	})
	g.Go(func() error {
		return e.t.p.bus.Follow(ctx, topology.Hints, []string{"m365.hint." + subscription.HintPresence + "." + tenant + ".*"}, func(m bus.Message) error {
			hint, err := wire.DecodeHint(m.Data)
			if err != nil {
				return nil
			}
			if user, err := identity.ParseUser(hint.ID); err == nil {
				e.heard(user, hint.SeenAt)
			}
			return nil
		}, func() {})
	})
	return g.Wait()
}

// presence takes in a presence as it was stored.
func (e *ears) presence(fact wire.Presence, sequence uint64) {
	changed := false
	e.mu.Lock()
	if sequence > e.last { // those of before are told again after the connection was lost
		e.last = sequence
		changed = e.often.Saw(fact.Person.User, fact.Reading.Availability+"/"+fact.Reading.Activity, fact.Reading.SeenAt)
	}
	e.mu.Unlock()
	if fact.Reading.Source == presence.Notification {
		e.heard(fact.Person.User, fact.Reading.SeenAt)
		return
	}
	if !changed {
		return // the sweep has seen what the lane had told
	}
	e.with(e.laneOf(fact.Person.User), func(s *coverage.Silence) { s.Finds(fact.Reading.SeenAt, e.t.conf.Keep.Hearing) })
}

// heard notes that the lane of a user told of them.
func (e *ears) heard(user identity.User, at time.Time) {
	e.with(e.laneOf(user), func(s *coverage.Silence) { s.Hears(at) })
}

func (e *ears) laneOf(user identity.User) string {
	return e.t.p.planned.On(identity.Person{Tenant: e.t.conf.ID, User: user})
}

// with does something with what is known of a lane; "" is none.
func (e *ears) with(lane string, do func(*coverage.Silence)) {
	if lane == "" {
		return
	}
	e.mu.Lock()
	defer e.mu.Unlock()
	s := e.lanes[lane]
	if s == nil {
		s = &coverage.Silence{}
		e.lanes[lane] = s
	}
	do(s)
}

// begins notes that a lane has a new subscription.
func (e *ears) begins(lane string, made time.Time) {
	e.with(lane, func(s *coverage.Silence) { s.Begins(made) })
}

// silent says whether a lane is to be made anew because it tells of nothing.
func (e *ears) silent(lane string, now time.Time) (is bool) {
	e.with(lane, func(s *coverage.Silence) { is = s.Is(now, e.t.conf.Keep.Hearing) })
	return is
}

// acts notes that it is.
func (e *ears) acts(lane string, now time.Time) {
	e.with(lane, func(s *coverage.Silence) { s.Acts(now, e.t.conf.Keep.Hearing) })
}

// recall takes up when a lane was last heard, as an earlier keeper told.
func (e *ears) recall(lane string, heard time.Time) {
	e.with(lane, func(s *coverage.Silence) {
		if heard.After(s.Heard) {
			s.Heard = heard
		}
	})
}

// of returns when a lane was last heard, or zero, and whether it was made anew because
// of its silence and has told of nothing since.
func (e *ears) of(lane string) (heard time.Time, silent bool) {
	e.with(lane, func(s *coverage.Silence) { heard, silent = s.Heard, s.Tries > 0 })
	return heard, silent
}

// forget forgets a lane that is given up.
func (e *ears) forget(lane string) {
	e.mu.Lock()
	defer e.mu.Unlock()
	delete(e.lanes, lane)
}

// activity is how often somebody changes in a day, in steps so coarse that it moves
// nobody without need.
func (e *ears) activity(user identity.User) uint32 {
	e.mu.Lock()
	defer e.mu.Unlock()
	return e.often.Of(user)
}
