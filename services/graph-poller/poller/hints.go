package poller

import (
	"context"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// hints reads the users that notifications without content name, many in one
// request. Graph may be late, so a hint deserves a second look after half a minute:
// for presence the sweeps, every 10 s, are that look.
func (t *tenant) hints(ctx context.Context, shard string, known *presences) error {
	b := &batcher{ctx: ctx, read: func(ctx context.Context, users []identity.User, done func(identity.User, error)) {
		_, err := t.read(ctx, users, known)
		for _, user := range users {
			done(user, err)
		}
	}}
	defer b.readings.Wait()
	return t.hinted(ctx, subscription.HintPresence, shard, readsTeams, graph.MaxPresences, b.add)
}

// hinted calls read for each user of a shard that a hint of the kind names and whose
// mode reads it, for up to so many at once, until ctx ends.
func (t *tenant) hinted(ctx context.Context, kind, shard string, reads func(presence.Mode) bool, atOnce int, read func(context.Context, identity.User) error) error {
	return t.p.bus.Consume(ctx, bus.Consumer{
		Stream: topology.Hints, Durable: topology.Token("graph-poller-" + string(t.conf.ID) + "-" + kind + "-" + shard),
		Filters:  []string{topology.Wildcard("m365.hint." + kind + "." + topology.Token(string(t.conf.ID)) + ".<id>")},
		InFlight: atOnce, Workers: atOnce, NewestOnly: true,
	}, func(ctx context.Context, m bus.Message) error {
		hint, err := wire.DecodeHint(m.Data)
		if err != nil {
			return err
		}
		user, err := identity.ParseUser(hint.ID)
		if err != nil {
			return fault.New(fault.Invalid, kind+" hint", err)
		}
		if !wire.InShard(user, shard) || !t.reads(user, reads) {
			return nil // only linked users of such a mode are ever read
		}
		return read(ctx, user)
	})
}
