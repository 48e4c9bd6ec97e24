package writer

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"sync/atomic"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/run"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// system is one phone system for as long as this instance owns it.
type system struct {
	w       *Writer
	id      identity.System
	conf    SystemConfig
	tenants map[identity.Tenant]bool
	pbx     *pbx.System
	lease   store.Lease
	log     *slog.Logger
	again   chan struct{} // asks for a pass now
	// silencing says that a pass is under way that has many lines to silence, and has not
	// silenced the last of them.
	silencing atomic.Bool
	inHand    atomic.Int64                  // wants that are being carried out
	inBulk    atomic.Int64                  // extensions, photos and phonebooks that are being changed, and listings of them
	away      atomic.Bool                   // a poll could not reach the phone system, and no pass has begun since it could be
	owed      atomic.Bool                   // something is left to a pass
	unsettled unsettled                     // what was left, if it was wants
	forgetful forgetful                     // whether the phone system keeps what it takes
	postponed bool                          // the last pass left ringing to the next one; of minutes alone
	kept      atomic.Pointer[pbx.SyncState] // what its own Microsoft 365 sync does; set before changes begin

	mu       sync.Mutex // guards lines and compared
	lines    map[identity.Line]*line
	compared uint64 // comparisons of facts with the stream so far
}

// own is the work under the lease: connect, read everything, then apply wants and
// keep reading until the lease or the service ends.
func (w *Writer) own(ctx context.Context, conf SystemConfig, lease store.Lease) error {
	s := &system{w: w, id: conf.ID, conf: conf, tenants: map[identity.Tenant]bool{}, lease: lease,
		lines: map[identity.Line]*line{}, again: w.again[conf.ID], log: w.deps.Log.With("system", string(conf.ID))}
	for _, t := range conf.Tenants {
		s.tenants[t] = true
	}
	part := "pbx-writer: system " + string(conf.ID)
	defer w.deps.Health.Set(part, nil)
	w.deps.Health.Set(part, errors.New("not connected yet"))
	if err := s.connect(ctx); err != nil {
		return run.Ended(ctx, err)
	}
	defer func() { _ = s.pbx.Close() }()
	if err := s.load(ctx); err != nil {
		return run.Ended(ctx, err)
	}
	// A new owner reads all statuses before its first write.
	if err := s.until(ctx, "read all statuses", s.poll); err != nil {
		return run.Ended(ctx, err)
	}
	w.deps.Health.Set(part, nil)
	w.metrics.up(ctx, s.id, true)

	outer := ctx // tells an end that was asked for from one part stopping the others
	g, ctx := errgroup.WithContext(ctx)
	g.Go(func() error { return s.polls(ctx, part) })
	listed, wanted := make(chan struct{}), make(chan time.Time, 1)
	g.Go(func() error { return s.inventoryWanted(ctx, wanted) })
	g.Go(func() error { return s.inventoryLoop(ctx, wanted, sync.OnceFunc(func() { close(listed) })) })
	g.Go(func() error {
		select {
		case <-ctx.Done():
			return nil
		case <-listed: // until then nobody knows whether the phone system is kept by its own sync
			return s.changes(ctx)
		}
	})
	if s.pbx.Capabilities().Watch.Any() {
		calls, news := s.newCalls(), newNews()
		g.Go(func() error { return calls.run(ctx) })
		g.Go(func() error { return s.look(ctx, news) })
		g.Go(func() error { return s.watches(ctx, calls, news) })
	}
	g.Go(func() error {
		if err := s.alone(ctx, part+", native sync"); err != nil || ctx.Err() != nil {
			return err
		}
		g.Go(func() error { return s.minutes(ctx) })
		return s.consume(ctx)
	})
	return run.Ended(outer, g.Wait())
}

// connect makes the driver, for as long as it takes: a phone system that is down
// when Offhook starts is no reason to give up.
func (s *system) connect(ctx context.Context) error {
	return s.until(ctx, "connect", func(ctx context.Context) error {
		driver, err := s.conf.Open(ctx)
		if err != nil {
			return err
		}
		wrapped, err := pbx.NewSystem(s.id, driver, pbx.Options{Pace: s.conf.Pace, Logger: s.log, Tracer: s.w.deps.Tracer, Meter: s.w.deps.Meter})
		if err != nil {
			return errors.Join(err, driver.Close())
		}
		s.pbx = wrapped
		listen(driver, s.log)
		s.bind(driver)
		return nil
	})
}

// listen logs what a driver tells beside the errors of its calls, where it does: that a
// server serves less than is configured.
func listen(driver pbx.Driver, log *slog.Logger) {
	if teller, ok := driver.(interface{ Tell(tell func(error)) }); ok {
		teller.Tell(func(err error) {
			log.Warn("phone system: it serves less than is configured", "kind", fault.KindOf(err).String(), "error", err)
		})
	}
}

// bind tells a driver that sends things by itself until when the phone system is ours, as
// every request is bound to the lease.
func (s *system) bind(driver pbx.Driver) {
	if sender, ok := driver.(interface{ Until(until func() time.Time) }); ok {
		sender.Until(func() time.Time { return s.lease.Until().Add(-margin) })
	}
}

// until repeats try until it succeeds or ctx ends.
func (s *system) until(ctx context.Context, what string, try func(context.Context) error) error {
	for wait := 250 * time.Millisecond; ; wait = min(2*wait, 15*time.Second) {
		bounded, cancel := s.held(ctx)
		err := try(bounded)
		cancel()
		if err == nil {
			return nil
		}
		if ctx.Err() == nil {
			s.log.Warn("phone system: "+what, "kind", fault.KindOf(err), "error", err)
		}
		select {
		case <-ctx.Done():
			return fault.New(fault.Cancelled, what, context.Cause(ctx))
		case <-time.After(max(wait, min(fault.RetryAfter(err), time.Minute))):
		}
	}
}

// polls reads all statuses now and then; whether that works is the system's health.
func (s *system) polls(ctx context.Context, part string) error {
	failed, wait := false, s.conf.Poll
	for {
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(wait):
		}
		bounded, cancel := s.held(ctx)
		began := time.Now()
		err := s.poll(bounded)
		cancel()
		wait = s.pollAfter(time.Since(began), s.pbx.Together(), s.watched())
		if ctx.Err() != nil {
			return nil
		}
		s.w.metrics.up(ctx, s.id, err == nil)
		if err != nil {
			err = fmt.Errorf("read statuses: %w", err)
			s.log.Warn("phone system", "error", err)
		} else if failed || s.owed.Load() {
			poke(s.again) // it is back: what waits need not wait for its next try
		}
		if err != nil && s.pbx.Resting() {
			s.away.Store(true)
		}
		if failed = err != nil; !failed {
			err = s.forgetful.health()
		}
		s.w.deps.Health.Set(part, err)
	}
}

// watched says whether a watch tells of statuses that change.
func (s *system) watched() bool {
	_, live := s.pbx.Live()
	return live && s.pbx.Capabilities().Watch.Status
}

// mended is how long at most a status is not listed that a watch has not told of.
const mended = time.Minute

// unlisted is for how long wants keep statuses from being listed at most: as long as a
// change in Teams may take that no notification tells of.
const unlisted = 10 * time.Second

// pollAfter is how long to wait after a listing that took so long. While wants are being
// carried out the next one is to end when the readings of this one get too old for a
// write to rest on them, or each write would cost a reading of its own. Where these are read
// together, wants get four fifths of the time, and a person who chooses something meanwhile
// waits for unlisted at most. What is done in bulk gets half: a listing of
// tens of thousands of extensions takes long, and one would follow on the other. Where statuses are
// watched, a listing that takes so long that no write can rest on it gets a tenth of the time: some
// phone systems have to be asked about each extension.
func (s *system) pollAfter(took time.Duration, together, watched bool) time.Duration {
	wait := s.conf.Poll - took
	switch {
	case s.inHand.Load() > 0 && !together:
		wait -= took
	case s.inHand.Load() > 0:
		wait = max(wait, min(4*took, unlisted))
	case s.inBulk.Load() > 0:
		wait = max(wait, took)
	}
	if watched && took > pbx.Fresh {
		wait = max(wait, min(9*took, mended))
	}
	return max(wait, s.conf.Poll/4)
}

// line returns the line of an extension, making it on first use.
func (s *system) line(id identity.Line) *line {
	s.mu.Lock()
	defer s.mu.Unlock()
	l, ok := s.lines[id]
	if !ok {
		l = &line{id: id}
		s.lines[id] = l
	}
	return l
}

// probe asks a phone system that has not answered for a while about one line: whether it
// is back is not worth a listing every few seconds.
func (s *system) probe(ctx context.Context) error {
	s.mu.Lock()
	var ext identity.Extension
	for id := range s.lines { // whichever
		ext = id.Extension
		break
	}
	s.mu.Unlock()
	if ext == "" {
		return nil
	}
	_, err := s.pbx.Status(ctx, ext)
	if s.pbx.Resting() {
		return err
	}
	return nil // it has answered, whatever it said of the line
}

// shown is what a listing says of a line.
type shown struct {
	id     identity.Line
	status presence.Status
}

// poll reads all statuses and then folds in those of linked lines: only when the
// listing is over is it known whether the phone system had been away before it.
func (s *system) poll(ctx context.Context) error {
	if s.pbx.Resting() {
		if err := s.probe(ctx); err != nil {
			return err
		}
	}
	var all []shown
	began := s.w.bus.Now()
	err := s.pbx.Statuses(ctx, func(ext identity.Extension, status presence.Status) error {
		id := identity.Line{System: s.id, Extension: ext}
		if _, linked := s.w.links.Who(id); linked && (status != presence.Unset || s.pbx.Capabilities().Volatile) {
			all = append(all, shown{id, status})
		}
		return nil
	})
	if err != nil {
		return err
	}
	return s.foldAll(ctx, all, began, s.pbx.Generation())
}

// foldAll folds in what a listing says, several lines side by side: where much of it is
// news each of them waits for the broker to store it.
func (s *system) foldAll(ctx context.Context, all []shown, began time.Time, generation uint64) error {
	var lost atomic.Pointer[error]
	fold, ctx := errgroup.WithContext(ctx)
	for part := range slices.Chunk(all, len(all)/publishAtOnce+1) {
		fold.Go(func() error {
			for _, one := range part {
				l := s.line(one.id)
				if !l.mu.TryLock() {
					continue // a write is under way: this reading is too old already, and the next one comes
				}
				_, err := s.see(ctx, l, one.status, began, generation)
				l.mu.Unlock()
				if err != nil && fault.KindOf(err) != fault.Conflict {
					return err
				} else if err != nil { // which is one line's affair
					lost.Store(&err)
				}
			}
			return nil
		})
	}
	err := fold.Wait()
	if conflict := lost.Load(); err == nil && conflict != nil {
		return *conflict
	}
	return err
}

// consume applies the wants of this system as they come.
func (s *system) consume(ctx context.Context) error {
	return s.w.bus.Consume(ctx, bus.Consumer{
		Stream: topology.Wants, Durable: "pbx-writer-" + string(s.id) + "-status", NewestOnly: true,
		Filters:  []string{topology.Wildcard("pbx.want.status." + topology.Token(string(s.id)) + ".<ext>")},
		InFlight: 64, Workers: atOnce,
	}, func(ctx context.Context, m bus.Message) error {
		want, err := wire.DecodeWant(m.Data)
		if err != nil {
			return err
		}
		if s.waits(want) {
			return nil
		}
		return s.apply(ctx, want, s.w.bus.Now(), m.Overtaken)
	})
}
