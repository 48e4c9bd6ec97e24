package pbx

import (
	"context"
	"slices"
	"sync"
	"sync/atomic"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
)

// Several is the power to read the statuses of some extensions with one request.
type Several interface {
	// StatusesOf is Status of at most Capabilities.Several extensions at once, with one
	// request. Of those that there are not there is none in what it returns. Unsupported:
	// this phone system does not understand such a request after all, and is not asked so
	// again.
	StatusesOf(ctx context.Context, exts []identity.Extension) (map[identity.Extension]presence.Status, error)
}

// gathering makes one request of the readings that wait for their turn at the same time:
// who writes to many extensions reads each before it, and where requests are scarce that
// would halve what can be written.
type gathering struct {
	useless atomic.Bool // the phone system does not understand it

	mu   sync.Mutex
	open *gathered // takes more; nil: there is none that has not left
}

// gathered are readings that leave as one.
type gathered struct {
	exts []identity.Extension
	done chan struct{} // closed when there is an answer
	// What came of it, from then on.
	statuses map[identity.Extension]presence.Status
	err      error
	again    bool // that is not about the extensions: who waits has to ask again
}

// join has ext read with others. first says whether the caller is the one to send them.
func (g *gathering) join(ext identity.Extension, most int) (reading *gathered, first bool) {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open == nil || len(g.open.exts) >= most {
		g.open, first = &gathered{done: make(chan struct{})}, true
	}
	if !slices.Contains(g.open.exts, ext) {
		g.open.exts = append(g.open.exts, ext)
	}
	return g.open, first
}

// seal ends the taking of more, and returns what there is.
func (g *gathering) seal(reading *gathered) []identity.Extension {
	g.mu.Lock()
	defer g.mu.Unlock()
	if g.open == reading {
		g.open = nil
	}
	return reading.exts
}

// Together says whether statuses that wait for their turn at the same time are read with
// one request.
func (s *System) Together() bool { return s.several != nil && !s.gathering.useless.Load() }

// statusWithOthers is Status by the power Several.
func (s *System) statusWithOthers(ctx context.Context, ext identity.Extension) (presence.Status, error) {
	for s.Together() {
		reading, first := s.gathering.join(ext, s.powers.Several)
		if first {
			s.send(ctx, ext, reading)
		}
		select {
		case <-reading.done:
		case <-ctx.Done():
			return presence.Unset, fault.New(fault.KindOf(ctx.Err()), s.named("status"), context.Cause(ctx))
		}
		if reading.again && ctx.Err() == nil {
			continue
		}
		if reading.err != nil {
			return presence.Unset, reading.err
		}
		status, found := reading.statuses[ext]
		if !found {
			return presence.Unset, fault.Errorf(fault.NotFound, s.named("status"), "there is no extension %s", ext)
		}
		return status, nil
	}
	return s.statusAlone(ctx, ext)
}

// send reads what was gathered until its turn came. A single one is read as ever.
func (s *System) send(ctx context.Context, ext identity.Extension, reading *gathered) {
	defer close(reading.done)
	reading.err = s.do(ctx, call{op: "status", ext: ext, lane: gather}, func(ctx context.Context) (err error) {
		if exts := s.gathering.seal(reading); len(exts) > 1 {
			if reading.statuses, err = s.several.StatusesOf(ctx, exts); err == nil {
				s.lanes.expect(len(exts))
			}
			return err
		}
		status, err := s.driver.Status(ctx, ext)
		reading.statuses = map[identity.Extension]presence.Status{ext: status}
		return err
	})
	exts := s.gathering.seal(reading) // where its turn never came
	if reading.again = reading.err != nil && ctx.Err() != nil; reading.again {
		return // our time is over, that of the others is not
	}
	if len(exts) > 1 && fault.KindOf(reading.err) == fault.Unsupported {
		reading.again = true
		s.gathering.useless.Store(true)
		s.log.Warn("the phone system does not let several statuses be read at once: each is read by itself", "error", reading.err)
	}
}
