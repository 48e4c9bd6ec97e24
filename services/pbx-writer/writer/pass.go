package writer

import (
	"context"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// atOnce is how many wants are with the phone system's queue at a time; how many
// of them travel is the pace's affair.
const atOnce = 16

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
// ring.
func (s *system) pass(ctx context.Context) error {
	if err := s.compareFacts(ctx); err != nil {
		return err
	}
	var open []wire.Want
	filter := topology.Wildcard("pbx.want.status." + topology.Token(string(s.id)) + ".<ext>")
	err := s.w.bus.Each(ctx, topology.Wants, filter, func(m bus.Message) error {
		// What cannot be decoded is parked by consume.
		if want, err := wire.DecodeWant(m.Data); err == nil && s.worthALook(want) {
			open = append(open, want)
		}
		return nil
	})
	if err != nil {
		return err
	}
	var silent, ringing []wire.Want
	for _, want := range open {
		if s.rings(want) {
			ringing = append(ringing, want)
		} else {
			silent = append(silent, want)
		}
	}
	s.silencing.Store(int64(len(silent)))
	s.away.Store(false) // if it still is, the next poll says so
	defer s.followUp()
	for _, some := range [][]wire.Want{silent, ringing} {
		var g errgroup.Group
		g.SetLimit(atOnce)
		for _, want := range some {
			g.Go(func() error {
				if err := s.repair(ctx, want); err != nil && ctx.Err() == nil {
					s.log.Warn("minute pass", "extension", want.Line.Extension, "error", err)
				}
				s.silencing.Add(-1)
				return nil
			})
		}
		_ = g.Wait() // they return nil
	}
	return nil
}

// followUp ends a pass. What was left to it after it had read the wants is looked at
// by another one; while the phone system is away, by the one that its return causes.
func (s *system) followUp() {
	s.silencing.Store(0)
	if s.owed.Swap(false) && !s.away.Load() {
		poke(s.again)
	}
}

// rings says whether a phone that shows what is wanted rings.
func (s *system) rings(want wire.Want) bool {
	return s.pbx.Capabilities().Powers.Ring.Has(want.Status)
}

// waits says whether a want is left to the pass: it lets a phone ring, while the phone
// system is away or many others wait to be silenced (docs/presence.md: towards busy
// first). The pass may not know of it any more: then another one follows.
func (s *system) waits(want wire.Want) bool {
	if !s.rings(want) || !s.away.Load() && s.silencing.Load() <= atOnce {
		return false
	}
	s.owed.Store(true)
	return true
}

// worthALook says whether a want may be open. A line that is busy may be: whoever
// has it can be a reading that has just found out, and nobody else asks again.
func (s *system) worthALook(want wire.Want) bool {
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
	if !s.open(l, want) {
		return nil
	}
	s.w.metrics.repaired(ctx, s.id)
	s.log.Info("minute pass: want carried out again", "extension", want.Line.Extension, "status", want.Status.String())
	return s.carryOut(ctx, l, want, s.w.bus.Now(), nil)
}

// open says whether a want should be carried out and is not: the line is known to
// show something else, and nothing speaks against it. l.mu is held.
func (s *system) open(l *line, want wire.Want) bool {
	refused, _ := s.refuses(l, want)
	return l.origin != "" && l.status != want.Status && refused == wire.ResultUnknown && l.refused != want.Revision &&
		l.ledger.covers(want) && !(want.Release && l.ledger.personShows())
}

// compareFacts finds the lines of which the stream of facts no longer tells what
// was told: it may lose its last moments when the broker is killed. They are told
// again after their next reading.
func (s *system) compareFacts(ctx context.Context) error {
	facts := map[identity.Line]presence.StatusReading{}
	filter := topology.Wildcard("pbx.fact.status." + topology.Token(string(s.id)) + ".<ext>")
	err := s.w.bus.Each(ctx, topology.Facts, filter, func(m bus.Message) error {
		if fact, err := wire.DecodeStatus(m.Data); err == nil {
			facts[fact.Reading.Line] = fact.Reading
		}
		return nil
	})
	if err != nil {
		return err
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range s.lines {
		if !l.mu.TryLock() {
			continue
		}
		if fact, ok := facts[l.id]; l.told && (!ok || !sameFact(fact, l.fact().Reading)) {
			l.told = false
		}
		l.mu.Unlock()
	}
	return nil
}
