package virtual

import (
	"context"
	"iter"
	"math/rand/v2"
	"slices"
	"sync"
	"testing"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/core/presencetest"
	"offhook.dev/libs/graph"
)

// storm is a time of everybody's lives, in ticks, in which Graph answers every request
// with 429 or 503 and tells nobody of anything.
type storm struct{ from, to int }

func (s *storm) lasts() time.Duration { return time.Duration(s.to-s.from) * presencetest.Tick }

// at says whether there is one now, in lives that began at a time. There is none where s
// is nil.
func (s *storm) at(began time.Time) bool {
	if s == nil {
		return false
	}
	tick := int(time.Since(began) / presencetest.Tick)
	return tick >= s.from && tick < s.to
}

// edge is how many ticks around the begin and the end of a storm nobody does anything, so
// that it is known what Offhook saw before, in, and after it.
const edge = 6

// over is a life that goes on through a storm. Nobody is in a call when it begins: the
// session of one, which lives for ten minutes, would run out in it. Nobody prefers anything
// in Teams before it is over, and where Offhook writes to Teams two minutes more are left
// alone and not judged: what could not be cleared is masked for 90 s when it is, beside
// what happens at the same time, and the oracle does not know their order.
func (s *storm) over(l presencetest.Life) presencetest.Life {
	calm := edge
	if mode := presence.Mode(l.Rules.Mode); mode.WritesTeams() {
		calm = l.Rules.Mask + edge
	}
	l.Events = slices.DeleteFunc(l.Events, func(e presencetest.Event) bool {
		switch {
		case e.Kind == presencetest.Boundary:
			return false
		case e.Kind == presencetest.Talks && e.At < s.from, e.Kind == presencetest.Prefers && e.At < s.to:
			return true
		}
		return e.At > s.from-edge && e.At < s.from+edge || e.At > s.to-edge && e.At < s.to+calm
	})
	if ticks := s.to + calm + 4*edge; l.Ticks < ticks {
		for i := range l.Meetings {
			if l.Meetings[i].To > l.Ticks {
				l.Meetings[i].To = ticks + 1
			}
		}
		l.Ticks = ticks
	}
	all := presencetest.Span{From: s.from, To: s.to}
	l.Refused, l.Hidden = append(l.Refused, all), append(l.Hidden, all)
	for at := s.to; at == s.to || at < s.to+calm-edge; at += presencetest.Bound {
		l.Events = append(l.Events, presencetest.Event{At: at, Kind: presencetest.Boundary, Says: "Graph"})
	}
	slices.SortStableFunc(l.Events, func(a, b presencetest.Event) int { return a.At - b.At })
	return l
}

// door is what stands before a tenant's Graph. In a storm it refuses, and asks to be left
// alone for two seconds to a minute, of which the last end with the storm. As Offhook's
// client of Graph does (libs/graph/msgraph), it then answers by itself for that quota
// until the time is over.
type door struct {
	from, to time.Time

	mu       sync.Mutex // guards what follows
	dice     *rand.Rand
	until    map[graph.API]time.Time
	refused  int // requests that came to Graph
	withheld int // and those that did not, because it had asked for that
}

func newDoor(seed uint64, s *storm, began time.Time) *door {
	d := &door{dice: rand.New(rand.NewPCG(seed, 3)), until: map[graph.API]time.Time{}}
	if s != nil {
		d.from, d.to = began.Add(time.Duration(s.from)*presencetest.Tick), began.Add(time.Duration(s.to)*presencetest.Tick)
	}
	return d
}

// pass is nil where there is no storm.
func (d *door) pass(api graph.API) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	now := time.Now()
	switch {
	case now.Before(d.until[api]):
		d.withheld++
		return fault.After(fault.Throttled, "microsoft graph", d.until[api].Sub(now), nil)
	case now.Before(d.from) || !now.Before(d.to):
		return nil
	}
	d.refused++
	wait := min(2*time.Second+time.Duration(d.dice.Int64N(int64(58*time.Second))), d.to.Sub(now))
	d.until[api] = now.Add(wait)
	kind := fault.Throttled // 429
	if d.dice.IntN(2) == 0 {
		kind = fault.Unavailable // 503
	}
	return fault.After(kind, "microsoft graph", wait, nil)
}

func (f client) CalendarViews(ctx context.Context, requests []graph.CalendarRequest) iter.Seq[graph.CalendarAnswer] {
	err := f.door.pass(graph.APIMailbox)
	if err == nil {
		return f.teams.CalendarViews(ctx, requests)
	}
	return func(yield func(graph.CalendarAnswer) bool) {
		for _, r := range requests {
			if !yield(graph.CalendarAnswer{User: r.User, Err: err}) {
				return
			}
		}
	}
}

func (f client) Users(ctx context.Context, from graph.Cursor) (graph.UserPage, error) {
	if err := f.door.pass(graph.APIDirectory); err != nil {
		return graph.UserPage{}, err
	}
	return f.teams.Users(ctx, from)
}

func (f client) User(ctx context.Context, id identity.User) (graph.User, error) {
	if err := f.door.pass(graph.APIDirectory); err != nil {
		return graph.User{}, err
	}
	return f.teams.User(ctx, id)
}

func (f client) Subscriptions(ctx context.Context) ([]graph.Subscription, error) {
	if err := f.door.pass(graph.APIList); err != nil {
		return nil, err
	}
	return f.teams.Subscriptions(ctx)
}

func (f writing) Presences(ctx context.Context, users []identity.User) ([]graph.Presence, []identity.User, error) {
	if err := f.door.pass(graph.APIPresence); err != nil {
		return nil, nil, err
	}
	return f.teams.Presences(ctx, users)
}

func (f writing) SetPresence(ctx context.Context, user identity.User, app string, show graph.SessionPresence, lives time.Duration) error {
	if err := f.door.pass(graph.APIPresence); err != nil {
		return err
	}
	return f.teams.SetPresence(ctx, user, app, show, lives)
}

func (f writing) ClearPresence(ctx context.Context, user identity.User, app string) error {
	if err := f.door.pass(graph.APIPresence); err != nil {
		return err
	}
	return f.teams.ClearPresence(ctx, user, app)
}

func (f writing) SetPreferredPresence(ctx context.Context, user identity.User, show graph.PreferredPresence, lives time.Duration) error {
	if err := f.door.pass(graph.APIPresence); err != nil {
		return err
	}
	return f.teams.SetPreferredPresence(ctx, user, show, lives)
}

func (f writing) ClearPreferredPresence(ctx context.Context, user identity.User) error {
	if err := f.door.pass(graph.APIPresence); err != nil {
		return err
	}
	return f.teams.ClearPreferredPresence(ctx, user)
}

// Graph answers everything with 429 and 503 for ten minutes and delivers nothing, while
// people, phones and meetings go on. Phones show what can be known meanwhile, and 20 s
// after the storm, or two minutes where there are masks (over), both sides are as they must
// be: nothing was lost, in either direction.
func TestAStormOfTenMinutesLosesNothing(t *testing.T) {
	o := options{seed: randomSeed(t), people: number(t, "OFFHOOK_PEOPLE", 24), events: 30, lost: 30, storm: &storm{100, 100 + int(10*time.Minute/presencetest.Tick)}}
	w := livesIn(t, o)
	sum := judge(w.people)
	during := 0
	for _, p := range w.people {
		for _, e := range p.life.Events {
			if e.At >= o.storm.from && e.At < o.storm.to && e.Kind != presencetest.Boundary {
				during++
			}
		}
	}
	refused, withheld := 0, 0
	for _, d := range w.doors {
		refused, withheld = refused+d.refused, withheld+d.withheld
	}
	t.Logf("%d people, %d changes in the storm of %v, %d requests refused and %d not made because of a Retry-After: %d wrong, at %d quiet moments; at most %d writes to a target after one change",
		len(w.people), during, o.storm.lasts(), refused, withheld, len(sum.wrong), sum.moments, sum.most)
	for i, wrong := range sum.wrong {
		if t.Error(wrong); i == 5 {
			break
		}
	}
	if during == 0 || refused == 0 {
		t.Error("nothing happened in the storm")
	}
}
