package writer

import (
	"context"
	"sync"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
)

// heard is one thing that the watch told, and when it was so: broker time.
type heard struct {
	event pbx.WatchEvent
	at    time.Time
}

// watches runs the watch of the phone system for as long as the lease is ours, and
// hands on what it tells. The pbx.System before it keeps the newest of each line
// meanwhile, so a slow broker costs no memory.
func (s *system) watches(ctx context.Context, c *calls, n *news) error {
	for {
		bounded, cancel := s.held(ctx)
		err := s.pbx.Watch(bounded, func(e pbx.WatchEvent) {
			if status, ok := e.(pbx.StatusEvent); ok {
				n.add(status)
				return
			}
			c.take(bounded, heard{e, s.when(e)})
		})
		cancel()
		c.take(ctx, heard{pbx.Down{Err: err}, s.w.bus.Now()})
		// The lease was about to end. It may have been renewed in the last second.
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(margin / 4):
		}
	}
}

// when is the time for which an event speaks: that of its arrival. All of it was
// confirmed when the phone system said so, which may be a while before we hear.
func (s *system) when(e pbx.WatchEvent) time.Time {
	if _, ok := e.(pbx.Synced); ok {
		confirmed, _ := s.pbx.Live()
		return s.w.bus.Now().Add(-time.Since(confirmed))
	}
	return s.w.bus.Now()
}

// news are the lines that are said to show something else, with what that is.
type news struct {
	wake chan struct{} // holds one value when there may be some

	mu  sync.Mutex // guards all
	all map[identity.Extension]presence.Status
}

func newNews() *news {
	return &news{wake: make(chan struct{}, 1), all: map[identity.Extension]presence.Status{}}
}

func (n *news) add(e pbx.StatusEvent) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.all[e.Extension] = e.Status
	poke(n.wake)
}

func (n *news) take() (ext identity.Extension, status presence.Status, ok bool) {
	n.mu.Lock()
	defer n.mu.Unlock()
	for ext, status = range n.all {
		delete(n.all, ext)
		return ext, status, true
	}
	return "", 0, false
}

// look takes the news that a line shows something else as a reason to read it, and
// not as a reading: an event says nothing of when it was so. One that was on its way
// while we wrote would arrive after the end of our write, show what was there before
// it, and be taken for the choice of a person. A read that begins after the news
// cannot do that, and costs one request for a change.
func (s *system) look(ctx context.Context, n *news) error {
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-n.wake:
		}
		for ext, status, ok := n.take(); ok && ctx.Err() == nil; ext, status, ok = n.take() {
			id := identity.Line{System: s.id, Extension: ext}
			if _, linked := s.w.links.Who(id); !linked || s.known(id, status) {
				continue
			}
			if err := s.read(ctx, id); err != nil && ctx.Err() == nil {
				s.log.Debug("a line with news cannot be read; the sweep will do it", "extension", ext, "error", err)
			}
		}
	}
}

// known says whether the newest reading shows the same already.
func (s *system) known(id identity.Line, status presence.Status) bool {
	l := s.line(id)
	if !l.mu.TryLock() {
		return false
	}
	defer l.mu.Unlock()
	return l.origin != "" && l.status == status
}

// read reads one line and folds that in.
func (s *system) read(ctx context.Context, id identity.Line) error {
	ctx, cancel := s.held(ctx)
	defer cancel()
	began := s.w.bus.Now()
	status, err := s.pbx.Status(ctx, id.Extension)
	if err != nil {
		return err
	}
	if status == presence.Unset && !s.pbx.Capabilities().Volatile {
		return nil // as in poll
	}
	generation := s.pbx.Generation()
	l := s.line(id)
	l.mu.Lock()
	defer l.mu.Unlock()
	_, err = s.see(ctx, l, status, began, generation)
	return err
}
