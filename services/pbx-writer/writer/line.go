package writer

import (
	"context"
	"encoding/json"
	"errors"
	"hash/maphash"
	"sync"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/breaker"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/store"
	"offhook.dev/libs/wire"
)

// line is one extension in the owner's memory. There is one for each linked user, so that
// its size counts (TestALineIsSmall).
type line struct {
	id       identity.Line
	compared uint64 // the last comparison of facts that found one of the line; system.mu guards it

	mu       sync.Mutex // held over a whole write: guards what follows
	ledger   entry
	revision uint64 // of the ledger's key in its bucket
	// The newest reading.
	began   time.Time
	origin  presence.Origin
	status  presence.Status
	settled bool // the outcome of newest is published
	unseen  bool // nothing was read since our last write
	// told is what the newest fact in the stream says, as far as that is known.
	told saying
	// blind is when our last request to write ended: a reading that began earlier
	// can show the time before it.
	blind time.Time
	// generation of the phone system at the newest reading (pbx.System.Generation).
	generation uint64
	// newest is the revision of the newest want that was looked at, whether or not
	// there was anything to write: the ledger knows of writes alone.
	newest wire.Revision
	rare   *rare // nil: nothing of it
}

// rare is what few lines have.
type rare struct {
	// overtaken is the revision of the newest want that was given up for a newer one that
	// had come: the pass and the consumer can have the same want.
	overtaken wire.Revision
	// refused is the revision of a want that the phone system turned down for good.
	refused wire.Revision
	// forgot is the reading for which what was forgotten was written again at once.
	forgot time.Time
	// breaker lives with the lease: a new owner starts to count anew.
	breaker breaker.Breaker
}

// seldom is what the line has of it. l.mu is held.
func (l *line) seldom() rare {
	if l.rare == nil {
		return rare{}
	}
	return *l.rare
}

// noted is the same, to be written to. l.mu is held.
func (l *line) noted() *rare {
	if l.rare == nil {
		l.rare = new(rare)
	}
	return l.rare
}

// knows says whether a want can be judged without another reading: by one under two seconds
// old, or because it was settled and still shows: a pass and the consumer can have had the
// same want. l.mu is held.
func (l *line) knows(want wire.Want, now time.Time) bool {
	if l.origin == "" || l.ledger.Intent != nil {
		return false
	}
	if l.settled && want.Revision == l.newest && want.Status == l.status {
		return true
	}
	return l.began.After(l.blind) && now.Sub(l.began) < pbx.Fresh
}

// save stores the ledger entry by compare-and-set, under the fence of our lease.
func (s *system) save(ctx context.Context, l *line, next entry) error {
	next.Fence = s.lease.Fence
	value, err := json.Marshal(next)
	if err != nil {
		return fault.New(fault.Invalid, "ledger of "+l.id.String(), err)
	}
	revision, err := s.w.ledger.Set(ctx, wire.LineKey(l.id), value, l.revision)
	if err != nil {
		if fault.KindOf(err) == fault.Conflict {
			err = errors.Join(err, s.reload(ctx, l))
		}
		return err
	}
	l.ledger, l.revision = next, revision
	return nil
}

// reload takes over what the bucket has after a compare-and-set was lost: to a
// save of our own whose ack never came, or to the last one of a former owner. What
// bears a newer fence belongs to a newer owner, and is not for us to build on.
func (s *system) reload(ctx context.Context, l *line) error {
	stored, err := s.w.ledger.Get(ctx, wire.LineKey(l.id))
	if err != nil {
		return err
	}
	var e entry
	if err := json.Unmarshal(stored.Value, &e); err != nil {
		return fault.New(fault.Invalid, "ledger of "+l.id.String(), err)
	}
	if e.Fence > s.lease.Fence {
		return fault.Errorf(fault.Conflict, "ledger of "+l.id.String(), "the phone system has a newer owner")
	}
	l.ledger, l.revision = e, stored.Revision
	l.began = time.Time{} // what was read was judged by an older ledger: read again
	return nil
}

// load reads the whole ledger of a system, and what the stream tells of its lines: a new
// owner's first step.
func (s *system) load(ctx context.Context) error {
	if err := s.loadLedger(ctx); err != nil {
		return err
	}
	return s.eachFact(ctx, func(said presence.StatusReading) {
		if _, linked := s.w.links.Who(said.Line); linked {
			l := s.line(said.Line)
			l.mu.Lock()
			l.told = sayingOf(said)
			l.mu.Unlock()
		}
	})
}

func (s *system) loadLedger(ctx context.Context) error {
	filter := wire.LineKey(identity.Line{System: s.id, Extension: "x"})
	filter = filter[:len(filter)-1] + "*"
	return s.w.ledger.Each(ctx, filter, func(e store.Entry) error {
		id, err := wire.ParseLineKey(e.Key)
		if err != nil {
			return err
		}
		l := s.line(id)
		l.mu.Lock()
		defer l.mu.Unlock()
		if err := json.Unmarshal(e.Value, &l.ledger); err != nil {
			return fault.New(fault.Invalid, "ledger of "+id.String(), err)
		}
		l.revision = e.Revision
		return nil
	})
}

// see folds a reading into the line and tells the world if it learned something.
// began is broker time from before the request was sent, generation the phone
// system's after it was answered. used is false if the reading is too old to say
// anything. l.mu is held.
func (s *system) see(ctx context.Context, l *line, status presence.Status, began time.Time, generation uint64) (used bool, err error) {
	// A listing that was asked for before a single reading and arrives after it can show
	// an older choice, which is not a new one.
	if !began.After(l.blind) || began.Before(l.began) {
		return false, nil
	}
	undone := s.judge(l, status)
	r := reading{status: status, began: began, restarted: undone || l.origin == presence.Revert || l.origin != "" && generation != l.generation}
	next, origin, used := l.ledger.observe(r)
	if !used {
		return false, nil
	}
	if !sameEntry(next, l.ledger) {
		if err := s.save(ctx, l, next); err != nil {
			return false, err
		}
	}
	if l.status != r.status || l.origin != origin {
		s.w.metrics.observed(ctx, s.id, origin)
	}
	l.status, l.origin, l.began, l.generation = r.status, origin, r.began, generation
	// Once a minute at most: some phone system may never show what we write.
	if origin == presence.Revert && began.Sub(l.seldom().forgot) >= s.w.opts.MinutePass {
		l.noted().forgot = began
		poke(s.again) // what is wanted stands, so nobody else will ask for it
	}
	return true, s.tell(ctx, l)
}

// sameEntry says whether storing next would change nothing that matters.
func sameEntry(next, old entry) bool {
	return next.Observation == old.Observation && (next.Intent == nil) == (old.Intent == nil) && next.Effect == old.Effect
}

// fact is what the line shows, as a message.
func (l *line) fact() wire.Status {
	return wire.Status{Reading: presence.StatusReading{
		Line: l.id, Status: l.status, Origin: l.origin, SeenAt: l.began,
		Observation: l.ledger.Observation, LastPerson: l.ledger.Person,
	}}
}

// tell publishes what the line shows, over an older fact only. What was not told,
// because the broker was away or the stream holds a different fact that claims to
// be newer, is told after the next reading.
func (s *system) tell(ctx context.Context, l *line) error {
	if l.origin == presence.Person {
		ctx = bus.Begin(ctx)
	}
	for says := sayingOf(l.fact().Reading); l.told != says; {
		last, sequence, err := s.lastFact(ctx, l.id)
		if err != nil {
			return err
		}
		switch {
		case sequence > 0 && sayingOf(last.Reading) == says:
			l.told = says
			return nil
		case sequence > 0 && !last.Reading.SeenAt.Before(l.began):
			return nil
		}
		err = s.w.publishOver(ctx, l.fact(), sequence)
		if err == nil {
			l.told = says
		} else if fault.KindOf(err) != fault.Conflict {
			return err
		}
	}
	return nil
}

// saying stands for what a reading says but for its time. It is as small as a comparison
// allows, and compares within this process only. The zero value is that of no reading.
type saying uint64

func sayingOf(r presence.StatusReading) saying {
	says := struct {
		status presence.Status
		origin presence.Origin
		person int64 // the observation of their newest choice
	}{r.Status, r.Origin, -1}
	if r.LastPerson != nil {
		says.person = r.LastPerson.Observation
	}
	return saying(maphash.Comparable(prints, says) | 1)
}
