package mapper

import (
	"context"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/options"
)

const (
	// relookers is how many people are looked at again at a time: most of it is
	// waiting for the broker's disk.
	relookers = 16
	// relookPause is how long a broker is left alone that failed us.
	relookPause = time.Second
	// progressEvery is how often it is said how many are still to be looked at.
	progressEvery = 5 * time.Second
)

// optionsChanged lets everyone be decided again whom a record of options concerns.
func (m *Mapper) optionsChanged(key options.Key, moved *queue) {
	for _, who := range m.links.People(key.Tenant) {
		if m.options.Concerns(key, who) {
			moved.add(who)
		}
	}
}

// membersChanged lets those be decided again who joined or left a group that has
// options, as far as they are linked.
func (m *Mapper) membersChanged(people []identity.Person, moved *queue) {
	for _, who := range people {
		if len(m.links.Of(who)) > 0 {
			moved.add(who)
		}
	}
}

// relook looks again at everything known of people about whom something has changed
// that is no fact: their links, their options, or whether Teams can be read at all.
func (m *Mapper) relook(ctx context.Context, moved *queue) error {
	g, ctx := errgroup.WithContext(ctx)
	for range relookers {
		g.Go(func() error {
			for {
				who, err := moved.next(ctx)
				if err != nil {
					return nil
				}
				m.relookAt(ctx, who, moved)
			}
		})
	}
	g.Go(func() error { m.sayProgress(ctx, moved); return nil })
	return g.Wait()
}

func (m *Mapper) relookAt(ctx context.Context, who identity.Person, moved *queue) {
	err := m.lookAtAll(ctx, who)
	if err == nil || ctx.Err() != nil {
		return
	}
	m.log.Warn("looked at again in vain", "tenant", who.Tenant, "user", who.User, "error", err)
	if fault.KindOf(err).Retryable() {
		moved.add(who)
		select {
		case <-ctx.Done():
		case <-time.After(relookPause):
		}
	}
}

// sayProgress tells how many people are still to be decided again, while there are
// many.
func (m *Mapper) sayProgress(ctx context.Context, moved *queue) {
	tick := time.NewTicker(progressEvery)
	defer tick.Stop()
	saying := false
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		left, done := moved.progress()
		if left > 0 || saying {
			m.log.Info("deciding again", "left", left, "done", done)
		}
		saying = left > 0
	}
}

// queue holds people to look at, each once however often they are added.
type queue struct {
	mu      sync.Mutex // guards what follows
	waiting map[identity.Person]bool
	order   []identity.Person
	taken   int           // since the queue was empty last
	some    chan struct{} // closed when somebody is added to an empty queue
}

func newQueue() *queue {
	return &queue{waiting: map[identity.Person]bool{}, some: make(chan struct{})}
}

func (q *queue) add(who identity.Person) {
	q.mu.Lock()
	defer q.mu.Unlock()
	if q.waiting[who] {
		return
	}
	if len(q.order) == 0 {
		q.taken = 0
		close(q.some)
	}
	q.waiting[who] = true
	q.order = append(q.order, who)
}

// next waits for the next person.
func (q *queue) next(ctx context.Context) (identity.Person, error) {
	for {
		q.mu.Lock()
		if len(q.order) > 0 {
			who := q.order[0]
			q.order = q.order[1:]
			delete(q.waiting, who)
			q.taken++
			if len(q.order) == 0 {
				q.order, q.some = nil, make(chan struct{})
			}
			q.mu.Unlock()
			return who, nil
		}
		some := q.some
		q.mu.Unlock()
		select {
		case <-ctx.Done():
			return identity.Person{}, context.Cause(ctx)
		case <-some:
		}
	}
}

// progress returns how many wait and how many were taken since nobody waited.
func (q *queue) progress() (left, done int) {
	q.mu.Lock()
	defer q.mu.Unlock()
	return len(q.order), q.taken
}
