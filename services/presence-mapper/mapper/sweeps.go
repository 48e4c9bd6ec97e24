package mapper

import (
	"context"
	"sync"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// sweeps mirrors, for each shard of each tenant, the last sweep that went well, and
// for the users whom that one failed to read the last that did read them.
type sweeps struct {
	mu    sync.RWMutex // guards shard
	shard map[identity.Tenant]map[string]shard
}

type shard struct {
	last    wire.Sweep
	missing map[identity.User]wire.Sweep // zero: none that is known
	// denied is the newest round, if Graph refused it as a whole.
	denied *wire.Sweep
}

// set takes a sweep in. turned says that Graph has begun to refuse the shard, or has
// ended to: everyone in it has to be looked at. gap is how long nobody in it was read
// before this sweep, or zero where that is not known.
func (s *sweeps) set(sweep wire.Sweep) (turned bool, gap time.Duration) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shard == nil {
		s.shard = map[identity.Tenant]map[string]shard{}
	}
	if s.shard[sweep.Tenant] == nil {
		s.shard[sweep.Tenant] = map[string]shard{}
	}
	before := s.shard[sweep.Tenant][sweep.Shard]
	if !sweep.OK { // it says nothing about when anyone was read
		if sweep.Denied {
			turned = before.denied == nil
			before.denied = &sweep
			s.shard[sweep.Tenant][sweep.Shard] = before
		}
		return turned, 0
	}
	missing := map[identity.User]wire.Sweep{}
	for _, user := range sweep.Failed {
		read, longer := before.missing[user]
		if !longer {
			read = before.last
		}
		missing[user] = read
	}
	s.shard[sweep.Tenant][sweep.Shard] = shard{last: sweep, missing: missing}
	if !before.last.Began.IsZero() {
		gap = sweep.Began.Sub(before.last.Began)
	}
	return before.denied != nil, gap
}

// of returns the newest sweep that read a person, or that Graph refused. Where the
// shards were cut anew, the old ones are still in the stream.
func (s *sweeps) of(who identity.Person) (presence.Sweep, bool) {
	s.mu.RLock()
	defer s.mu.RUnlock()
	var newest wire.Sweep
	for name, shard := range s.shard[who.Tenant] {
		if !wire.InShard(who.User, name) {
			continue
		}
		sweep, missed := shard.missing[who.User]
		if !missed {
			sweep = shard.last
		}
		if shard.denied != nil {
			sweep = *shard.denied
		}
		if sweep.Began.After(newest.Began) {
			newest = sweep
		}
	}
	return presence.Sweep{Began: newest.Began, Ended: newest.Ended, OK: newest.OK, Denied: newest.Denied}, !newest.Began.IsZero()
}

// shortGap is a gap after which nobody is looked for whose opinion of Teams may have
// ended in it: it may be no more than the time from one sweep to the next.
const shortGap = time.Minute

// followSweeps keeps the mirror current. An opinion that ended because Teams could not be
// read is back when it can be, and no fact tells of that where Teams shows what it did.
func (m *Mapper) followSweeps(ctx context.Context, moved *queue, current func()) error {
	return m.bus.Follow(ctx, topology.Facts, []string{topology.Wildcard("m365.fact.sweep.<tenant>.<shard>")}, func(msg bus.Message) error {
		sweep, err := wire.DecodeSweep(msg.Data)
		if err != nil {
			return nil
		}
		turned, gap := m.sweeps.set(sweep)
		if !turned && gap <= shortGap {
			return nil
		}
		for _, who := range m.links.People(sweep.Tenant) {
			if wire.InShard(who.User, sweep.Shard) && (turned || gap >= m.staleAfter(who)) {
				moved.add(who)
			}
		}
		return nil
	}, current)
}

func (m *Mapper) staleAfter(who identity.Person) time.Duration {
	o, _ := m.options.Of(who)
	return o.StaleAfter
}

// readAgain says whether Teams was read for a person after it could not be for so long
// that what it had said was over, and memory does not know of that yet.
func (m *Mapper) readAgain(who identity.Person, r record) bool {
	last, lapsed := r.Memory.Lapsed()
	if !lapsed {
		return false
	}
	sweep, ok := m.sweeps.of(who)
	return ok && sweep.OK && sweep.Began.After(last)
}
