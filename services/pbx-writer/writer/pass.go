package writer

import (
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// atOnce is how many wants are with the phone system's queue at a time; how many
// of them travel is the pace's affair. It is twice what 3CX lets be read at once
// (pbx.Several): while some are read others are written.
const atOnce = 40

// minutes compares what is wanted with what is shown and applies the difference:
// the repair of whatever was lost on the way (docs/design.md, invariant 3). It does so at the start,
// every minute, and when there is reason to: the broker or the phone system came
// back, links changed, or the phone system forgot what was written.
func (s *system) minutes(ctx context.Context) error {
	tick := time.NewTicker(s.w.opts.MinutePass)
	defer tick.Stop()
	for {
		if err := s.pass(ctx); err != nil && ctx.Err() == nil {
			s.log.Warn("minute pass", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		case <-s.again:
		}
	}
}

// poke asks for a pass soon; any number of times is once.
func poke(again chan<- struct{}) {
	select {
	case again <- struct{}{}:
	default:
	}
}

// pass goes over facts and wants once: first it silences phones, then it lets others
// ring. While the phone system is away it tries nothing: whatever happens to be tried
// when that ends would come first.
func (s *system) pass(ctx context.Context) error {
	if err := s.compareFacts(ctx); err != nil {
		return err
	}
	if s.pbx.Resting() {
		s.owed.Store(true) // to the pass that the first poll with an answer asks for
		return nil
	}
	generation := s.pbx.Generation()
	silent, ringing, err := s.openWants(ctx)
	if err != nil {
		return err
	}
	defer s.followUp()
	s.silencing.Store(len(silent) > atOnce)
	s.away.Store(false) // if it still is, the next poll says so
	s.repairAll(ctx, silent)
	s.silencing.Store(false)
	// Where it was away meanwhile there is somebody left to be silenced. Something that
	// fails again and again is no reason to let nobody ring, though.
	if s.postponed = s.away.Load() || s.pbx.Generation() != generation && !s.postponed; s.postponed {
		s.owed.Store(true)
		return nil
	}
	s.repairAll(ctx, ringing)
	return nil
}

// openWants lists the wants that should be carried out and are not, by whether a phone
// that shows them rings.
func (s *system) openWants(ctx context.Context) (silent, ringing []wire.Want, err error) {
	filter := topology.Wildcard("pbx.want.status." + topology.Token(string(s.id)) + ".<ext>")
	newest := map[identity.Line]wire.Revision{} // of the lines listed: another want can come while wants are read
	err = s.w.bus.Each(ctx, topology.Wants, filter, func(m bus.Message) error {
		// What cannot be decoded is parked by consume.
		want, err := wire.DecodeWant(m.Data)
		if err != nil {
			return nil
		}
		look := s.worthALook(want)
		if _, listed := newest[want.Line]; listed || look {
			newest[want.Line] = want.Revision
		}
		switch {
		case !look:
		case s.rings(want):
			ringing = append(ringing, want)
		default:
			silent = append(silent, want)
		}
		return nil
	})
	older := func(want wire.Want) bool { return newest[want.Line] != want.Revision }
	return slices.DeleteFunc(silent, older), slices.DeleteFunc(ringing, older), err
}

// repairAll carries wants out, some at a time. What fails is tried again by others.
func (s *system) repairAll(ctx context.Context, wants []wire.Want) {
	var g errgroup.Group
	g.SetLimit(atOnce)
	for _, want := range wants {
		g.Go(func() error {
			if err := s.repair(ctx, want); err != nil && ctx.Err() == nil {
				s.log.Warn("minute pass", "extension", want.Line.Extension, "error", err)
			}
			return nil
		})
	}
	_ = g.Wait() // they return nil
}

// followUp ends a pass. What was left to it after it had read the wants is looked at
// by another one; while the phone system is away, by the one that its return causes.
func (s *system) followUp() {
	if s.owed.Swap(false) && !s.away.Load() {
		poke(s.again)
	}
}

// rings says whether a phone that shows what is wanted rings.
func (s *system) rings(want wire.Want) bool {
	return s.pbx.Capabilities().Powers.Ring.Has(want.Status)
}

// waits says whether a want is left to the pass: it lets a phone ring, while the phone
// system is away or a pass silences many others, to the last of them (docs/presence.md:
// towards busy first). The pass may not know of it any more: then another one follows.
func (s *system) waits(want wire.Want) bool {
	if !s.rings(want) || !s.away.Load() && !s.silencing.Load() {
		return false
	}
	s.unsettled.note(want)
	s.owed.Store(true)
	return true
}

// unsettled are the wants that were left to a pass and have no outcome yet, the newest of each
// line. They get one also where the line shows what is wanted by then.
type unsettled struct {
	mu   sync.Mutex // guards want
	want map[identity.Line]wire.Revision
}

func (l *unsettled) note(want wire.Want) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.want == nil {
		l.want = map[identity.Line]wire.Revision{}
	}
	l.want[want.Line] = want.Revision
}

func (l *unsettled) has(want wire.Want) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	revision, noted := l.want[want.Line]
	return noted && revision == want.Revision
}

// ended forgets what the outcome is of, or a newer one than.
func (l *unsettled) ended(o wire.Outcome) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if revision, noted := l.want[o.Line]; noted && revision.Compare(o.Revision) <= 0 {
		delete(l.want, o.Line)
	}
}

// worthALook says whether a want may be open. A line that is busy may be: whoever
// has it can be a reading that has just found out, and nobody else asks again.
func (s *system) worthALook(want wire.Want) bool {
	if s.unsettled.has(want) {
		return true
	}
	l := s.line(want.Line)
	if !l.mu.TryLock() {
		return true
	}
	defer l.mu.Unlock()
	return s.open(l, want)
}

// repair carries a want out that should be and is not, once the line is free.
func (s *system) repair(ctx context.Context, want wire.Want) error {
	l := s.line(want.Line)
	l.mu.Lock()
	defer l.mu.Unlock()
	switch {
	case s.open(l, want):
		s.w.metrics.repaired(ctx, s.id)
		s.log.Info("minute pass: want carried out again", "extension", want.Line.Extension, "status", want.Status.String())
	case !s.unsettled.has(want):
		return nil
	}
	return s.carryOut(ctx, l, want, s.w.bus.Now(), func() bool { return s.overtaken(ctx, want) })
}

// overtaken says whether the stream holds a newer want of the line.
func (s *system) overtaken(ctx context.Context, want wire.Want) bool {
	m, err := s.w.bus.Last(ctx, topology.Wants, wire.WantSubject(want.Line))
	if err != nil {
		return false
	}
	newest, err := wire.DecodeWant(m.Data)
	return err == nil && newest.Revision.Compare(want.Revision) > 0
}

// open says whether a want should be carried out and is not: the line is known to
// show something else, and nothing speaks against it. l.mu is held.
func (s *system) open(l *line, want wire.Want) bool {
	refused, _ := s.refuses(l, want)
	return l.origin != "" && !s.done(l, want) && refused == wire.ResultUnknown && l.seldom().refused != want.Revision &&
		l.ledger.covers(want) && !(want.Release && l.ledger.personShows()) && !l.stopped(s.w.bus.Now())
}

// compareFacts finds the lines of which the stream of facts no longer tells what
// was told: it may lose its last moments when the broker is killed. They are told
// again after their next reading.
func (s *system) compareFacts(ctx context.Context) error {
	s.mu.Lock()
	s.compared++
	s.mu.Unlock()
	err := s.eachFact(ctx, func(said presence.StatusReading) {
		if l := s.found(said.Line); l != nil {
			l.believe(func() bool { return l.told == sayingOf(said) })
		}
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lines {
		l.believe(func() bool { return l.compared == s.compared })
	}
	return nil
}

// eachFact reads what the stream tells of the system's lines.
func (s *system) eachFact(ctx context.Context, do func(presence.StatusReading)) error {
	filter := topology.Wildcard("pbx.fact.status." + topology.Token(string(s.id)) + ".<ext>")
	return s.w.bus.Each(ctx, topology.Facts, filter, func(m bus.Message) error {
		if fact, err := wire.DecodeStatus(m.Data); err == nil {
			do(fact.Reading)
		}
		return nil
	})
}

// found notes that the stream has a fact of a line, and returns the line; nil: there is none.
func (s *system) found(id identity.Line) *line {
	s.mu.Lock()
	defer s.mu.Unlock()
	l := s.lines[id]
	if l != nil {
		l.compared = s.compared
	}
	return l
}

// believe has a line be told again unless the stream is right about it. While it is being
// written to or told it is left to the next comparison.
func (l *line) believe(right func() bool) {
	if l.mu.TryLock() {
		if !right() {
			l.told = 0
		}
		l.mu.Unlock()
	}
}
