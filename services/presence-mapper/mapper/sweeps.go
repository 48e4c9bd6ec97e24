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
}

func (s *sweeps) set(sweep wire.Sweep) {
	if !sweep.OK {
		return // it says nothing about when anyone was read
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.shard == nil {
		s.shard = map[identity.Tenant]map[string]shard{}
	}
	if s.shard[sweep.Tenant] == nil {
		s.shard[sweep.Tenant] = map[string]shard{}
	}
	before := s.shard[sweep.Tenant][sweep.Shard]
	missing := map[identity.User]wire.Sweep{}
	for _, user := range sweep.Failed {
		read, longer := before.missing[user]
		if !longer {
			read = before.last
		}
		missing[user] = read
	}
	s.shard[sweep.Tenant][sweep.Shard] = shard{sweep, missing}
}

// of returns the newest sweep that read a person. Where the shards were cut anew,
// the old ones are still in the stream.
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
		if sweep.Began.After(newest.Began) {
			newest = sweep
		}
	}
	return presence.Sweep{Began: newest.Began, Ended: newest.Ended, OK: true}, !newest.Began.IsZero()
}

// followSweeps keeps the mirror current.
func (m *Mapper) followSweeps(ctx context.Context, current func()) error {
	return m.bus.Follow(ctx, topology.Facts, []string{topology.Wildcard("m365.fact.sweep.<tenant>.<shard>")}, func(msg bus.Message) error {
		if sweep, err := wire.DecodeSweep(msg.Data); err == nil {
			m.sweeps.set(sweep)
		}
		return nil
	}, current)
}
