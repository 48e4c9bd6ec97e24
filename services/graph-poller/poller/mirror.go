package poller

import (
	"context"
	"sync"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// kind is a kind of fact about a user, of which the poller publishes only news.
type kind[T any] struct {
	name   string // in subjects
	encode func(identity.Person, T) wire.Message
	decode func([]byte) (identity.Person, T, error)
	// news says whether a fact is to be published over the stored one. Both are known.
	news func(old, fact T) bool
}

func presenceFacts() kind[presence.TeamsReading] {
	return kind[presence.TeamsReading]{
		name: "presence",
		encode: func(person identity.Person, r presence.TeamsReading) wire.Message {
			return wire.Presence{Person: person, Reading: r}
		},
		decode: func(data []byte) (identity.Person, presence.TeamsReading, error) {
			fact, err := wire.DecodePresence(data)
			return fact.Person, fact.Reading, err
		},
		news: func(old, fact presence.TeamsReading) bool { return news(storedPresence{old, 1}, fact) },
	}
}

// mirror has the stored facts of one kind and shard, to publish only what differs
// from them. Reading one's own product back triggers nothing.
type mirror[T any] struct {
	mu      sync.Mutex // guards what follows
	stored  map[identity.User]stored[T]
	session uint64 // of the broker connection (bus.Reconnects) that it was read in
}

// stored is a fact with its sequence in the stream; 0: there is none.
type stored[T any] struct {
	fact     T
	sequence uint64
}

type (
	presences      = mirror[presence.TeamsReading]
	storedPresence = stored[presence.TeamsReading]
)

func newMirror[T any]() *mirror[T] { return &mirror[T]{stored: map[identity.User]stored[T]{}} }

// follow keeps the mirror of a shard current until ctx ends.
func (m *mirror[T]) follow(ctx context.Context, t *tenant, k kind[T], shard string, current func()) error {
	filter := topology.Wildcard("m365.fact." + k.name + "." + topology.Token(string(t.conf.ID)) + ".<user>")
	return t.p.bus.Follow(ctx, topology.Facts, []string{filter}, func(msg bus.Message) error {
		m.believe(t.p.bus.Reconnects())
		person, fact, err := k.decode(msg.Data)
		if err == nil && wire.InShard(person.User, shard) {
			m.set(person.User, fact, msg.Sequence)
		}
		return nil
	}, current)
}

// believe forgets everything if the connection to the broker was lost meanwhile:
// one that was killed may have lost facts that were published, and then nobody
// would publish them again.
func (m *mirror[T]) believe(session uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.session != session {
		m.session = session
		clear(m.stored)
	}
}

func (m *mirror[T]) set(user identity.User, fact T, sequence uint64) {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.stored[user].sequence < sequence {
		m.stored[user] = stored[T]{fact, sequence}
	}
}

func (m *mirror[T]) of(user identity.User) stored[T] {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.stored[user]
}

// publishNews publishes a fact if it is news over the stored one, which is the
// stream's where the mirror is behind. It returns over which, and whether it did.
func publishNews[T any](ctx context.Context, p *Poller, k kind[T], person identity.Person, fact T, known *mirror[T]) (over T, published bool, err error) {
	old := known.of(person.User)
	for {
		if old.sequence > 0 && !k.news(old.fact, fact) {
			return old.fact, false, nil
		}
		message := k.encode(person, fact)
		sequence, err := p.publishOver(ctx, message, old.sequence)
		if err == nil {
			known.set(person.User, fact, sequence)
			return old.fact, true, nil
		}
		if fault.KindOf(err) != fault.Conflict {
			return old.fact, false, err
		}
		subject, _ := message.Encode()
		last, err := p.bus.Last(ctx, topology.Facts, subject)
		if err != nil {
			return old.fact, false, err
		}
		old.sequence = last.Sequence
		if _, old.fact, err = k.decode(last.Data); err != nil {
			return old.fact, false, err
		}
	}
}
