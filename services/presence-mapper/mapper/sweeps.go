package mapper

import (
	"context"
	"sync"

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
// ended to: everyone in it has to be looked at.
func (s *sweeps) set(sweep wire.Sweep) (turned bool) {
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
		return turned
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
	return before.denied != nil
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

// followSweeps keeps the mirror current.
func (m *Mapper) followSweeps(ctx context.Context, moved *queue, current func()) error {
	return m.bus.Follow(ctx, topology.Facts, []string{topology.Wildcard("m365.fact.sweep.<tenant>.<shard>")}, func(msg bus.Message) error {
		sweep, err := wire.DecodeSweep(msg.Data)
		if err != nil || !m.sweeps.set(sweep) {
			return nil
		}
		for _, who := range m.links.People(sweep.Tenant) {
			if wire.InShard(who.User, sweep.Shard) {
				moved.add(who)
			}
		}
		return nil
	}, current)
}
