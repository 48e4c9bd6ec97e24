package writer

import (
	"context"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// retell is how often it is tried again to tell what could not be told.
const retell = time.Second

// calls tells the stream of facts in how many calls linked lines are: changes at
// once, and calls that go on again and again, as a confirmation that a live watch
// still sees them. Nothing is told while the watch is not live, so that what others
// made of a call ends by itself when nobody can say how it goes on.
//
// Like the rest of this service it compares states and does not forward events: what
// is told is the difference between what is so and what the stream has. A line that
// was never in a call has no fact, which is as good as one of 0 calls; a line that is
// not linked is in none.
//
// One goroutine, run, owns all of it.
type calls struct {
	s     *system
	heard chan heard
	again <-chan struct{} // asks for a comparison with the stream

	live     bool // between Synced and Down
	compared bool // told was compared with the stream
	// now holds the lines in calls as the watch told them, linked or not; no zeros.
	now map[identity.Extension]int
	// told holds the newest facts that tell of calls.
	told map[identity.Extension]wire.Call
	// open are the lines of which the stream may not have what is so, with the time for
	// which that is known.
	open map[identity.Extension]time.Time
}

func (s *system) newCalls() *calls {
	return &calls{
		s: s, heard: make(chan heard), again: s.w.recount[s.id],
		now: map[identity.Extension]int{}, told: map[identity.Extension]wire.Call{}, open: map[identity.Extension]time.Time{},
	}
}

// take hands over to run.
func (c *calls) take(ctx context.Context, h heard) {
	select {
	case c.heard <- h:
	case <-ctx.Done():
	}
}

// run tells what there is to tell until ctx ends. What the stream may have lost is
// found once a minute and when the broker comes back.
func (c *calls) run(ctx context.Context) error {
	minute := time.NewTicker(c.s.w.opts.MinutePass)
	defer minute.Stop()
	retry := time.NewTicker(retell)
	defer retry.Stop()
	for {
		select {
		case <-ctx.Done():
			return nil
		case h := <-c.heard:
			c.hear(h)
		case <-minute.C:
			c.compared = false
		case <-c.again:
			c.compared = false
		case <-retry.C:
		}
		if err := c.settle(ctx); err != nil && ctx.Err() == nil {
			c.s.log.Warn("calls cannot be told; trying again", "lines", len(c.open), "error", err)
		}
	}
}

// hear takes what the watch has told of calls. After each connection that is all of
// them, so those that go on are confirmed then.
func (c *calls) hear(h heard) {
	switch e := h.event.(type) {
	case pbx.CallEvent:
		if e.Active() {
			c.now[e.Extension] = e.Calls
		} else {
			delete(c.now, e.Extension)
		}
		c.open[e.Extension] = h.at
	case pbx.Down:
		c.live = false
	case pbx.Synced:
		c.live = true
		for ext, fact := range c.told {
			if _, open := c.open[ext]; !open && h.at.Sub(fact.SeenAt) >= c.s.w.opts.ConfirmCalls {
				c.open[ext] = h.at
			}
		}
	}
}

// settle tells what is open, while the watch is live and the lease is ours. The
// clock is asked each time: this process may have been stopped meanwhile.
func (c *calls) settle(ctx context.Context) error {
	if !c.live {
		return nil
	}
	if !c.compared {
		if err := c.compare(ctx); err != nil {
			return err
		}
		c.compared = true
	}
	for ext, at := range c.open {
		if _, live := c.s.pbx.Live(); !live || c.s.left() <= 0 {
			return nil
		}
		told, err := c.tell(ctx, ext, at)
		switch {
		case err != nil:
			return err
		case told:
			delete(c.open, ext)
		default:
			c.open[ext] = c.s.w.bus.Now() // it is still so, as the watch is live
		}
	}
	return nil
}

// compare finds the lines of which the stream tells something else than what is so:
// facts of a former owner, facts that it lost, lines that were linked or unlinked.
func (c *calls) compare(ctx context.Context) error {
	stored := map[identity.Extension]wire.Call{}
	filter := topology.Wildcard("pbx.fact.call." + topology.Token(string(c.s.id)) + ".<ext>")
	err := c.s.w.bus.Each(ctx, topology.Facts, filter, func(m bus.Message) error {
		if fact, err := wire.DecodeCall(m.Data); err == nil && fact.Calls > 0 {
			stored[fact.Line.Extension] = fact
		}
		return nil
	})
	if err != nil {
		return err
	}
	differs := func(ext identity.Extension) {
		if _, open := c.open[ext]; !open && c.calls(ext) != stored[ext].Calls {
			c.open[ext] = c.s.w.bus.Now()
		}
	}
	for ext := range c.told {
		if _, ok := stored[ext]; !ok { // it is lost; others may have heard it, and wait for the end
			if _, open := c.open[ext]; !open {
				c.open[ext] = c.s.w.bus.Now()
			}
		}
	}
	for ext, fact := range stored {
		c.told[ext] = fact
		differs(ext)
	}
	for ext := range c.now {
		differs(ext)
	}
	return nil
}

// calls is in how many calls a line is, as far as that concerns anybody.
func (c *calls) calls(ext identity.Extension) int {
	if _, linked := c.s.w.links.Who(c.line(ext)); !linked {
		return 0
	}
	return c.now[ext]
}

func (c *calls) line(ext identity.Extension) identity.Line {
	return identity.Line{System: c.s.id, Extension: ext}
}

// tell publishes in how many calls a line was at a time, over an older fact only. It
// says whether the stream has that now.
func (c *calls) tell(ctx context.Context, ext identity.Extension, at time.Time) (bool, error) {
	fact := wire.Call{Line: c.line(ext), Calls: c.calls(ext), Since: at, SeenAt: at}
	if _, told := c.told[ext]; !told && fact.Calls == 0 {
		return true, nil
	}
	for {
		last, sequence, err := c.last(ctx, fact.Line)
		if err != nil {
			return false, err
		}
		if sequence == 0 {
			last = c.told[ext] // if the stream has lost it
		}
		older := sequence == 0 || last.SeenAt.Before(at)
		switch {
		case sequence > 0 && last.Calls == fact.Calls && (fact.Calls == 0 || !older):
			c.note(last)
			return true, nil
		case !older:
			return false, nil
		}
		if (last.Calls > 0) == (fact.Calls > 0) && !last.Since.IsZero() {
			fact.Since = last.Since
		}
		err = c.s.w.publishOver(bus.Begin(ctx), fact, sequence)
		if err == nil {
			c.note(fact)
		}
		if err == nil || fault.KindOf(err) != fault.Conflict {
			return err == nil, err
		}
	}
}

// note remembers what the stream has.
func (c *calls) note(fact wire.Call) {
	if fact.Calls > 0 {
		c.told[fact.Line.Extension] = fact
	} else {
		delete(c.told, fact.Line.Extension)
	}
}

// last returns the newest stored fact of a line and its sequence, 0 if there is none.
func (c *calls) last(ctx context.Context, id identity.Line) (wire.Call, uint64, error) {
	m, err := c.s.w.bus.Last(ctx, topology.Facts, wire.CallSubject(id))
	if err != nil {
		if fault.KindOf(err) == fault.NotFound {
			err = nil
		}
		return wire.Call{}, 0, err
	}
	fact, err := wire.DecodeCall(m.Data)
	if err != nil {
		return wire.Call{}, m.Sequence, nil // whatever it is, ours replaces it
	}
	return fact, m.Sequence, nil
}
