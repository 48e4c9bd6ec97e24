package mapper

import (
	"context"
	"slices"
	"sync"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// publishWants makes the stream hold the wants of a memory, unless it has newer ones.
// What is wanted otherwise than before is published even if the stream holds the same,
// of an older memory: a slower replica may be about to publish what was wanted in
// between, over what it saw there, and must find something newer instead.
func (m *Mapper) publishWants(ctx context.Context, who identity.Person, r record, revision uint64, before presence.Memory) error {
	had := m.wants(who, record{Memory: before}, 0)
	for _, want := range m.wants(who, r, revision) {
		changed := !slices.ContainsFunc(had, func(w wire.Want) bool { return w.Same(want) })
		err := m.publishWant(ctx, want, changed, mark{link: want.LinkRevision, memory: want.Revision}, func(stored []byte) bool {
			s, err := wire.DecodeWant(stored)
			return err == nil && supersedes(standingOf(s), standingOf(want), changed)
		})
		if err != nil {
			return err
		}
	}
	want, ok := m.teamsWant(who, r, revision)
	if !ok {
		return nil
	}
	changed := !sameTeams(before, r.Memory)
	return m.publishWant(ctx, want, changed, mark{memory: want.Revision}, func(stored []byte) bool {
		s, err := wire.DecodeTeamsWant(stored)
		return err == nil && supersedes(standingOfTeams(s), standingOfTeams(want), changed)
	})
}

// publishWant publishes unless the stored want is as good or newer. What is wanted
// otherwise than before goes over what was published here last without a look at it:
// if that is not the newest any more, the broker says so.
func (m *Mapper) publishWant(ctx context.Context, want wire.Message, changed bool, of mark, superseded func(stored []byte) bool) error {
	subject, data := want.Encode()
	over := func(last uint64) (err error) {
		of.sequence, err = m.bus.PublishOver(ctx, bus.Message{Subject: subject, Data: data}, last)
		if err == nil {
			m.published.set(subject, of)
		}
		return err
	}
	if last, ok := m.published.of(subject); ok && changed && last.link == of.link && last.memory.Compare(of.memory) < 0 {
		if err := over(last.sequence); fault.KindOf(err) != fault.Conflict {
			return err
		}
	}
	for {
		last, err := m.bus.Last(ctx, topology.Wants, subject)
		if err != nil && fault.KindOf(err) != fault.NotFound {
			return err
		}
		if err == nil && superseded(last.Data) {
			return nil
		}
		if err := over(last.Sequence); fault.KindOf(err) != fault.Conflict {
			return err
		}
	}
}

// published remembers where in the stream this replica's last want of each subject is.
type published struct {
	mu   sync.Mutex // guards last
	last map[string]mark
}

// mark is one published want: where it is, and of which link and memory.
type mark struct {
	sequence uint64
	link     uint64
	memory   wire.Revision
}

// mostMarks bounds what is remembered, to about 10 MB. Who is forgotten costs one reading
// more.
const mostMarks = 1 << 16

func (p *published) set(subject string, m mark) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.last == nil || len(p.last) >= mostMarks {
		p.last = map[string]mark{}
	}
	p.last[subject] = m
}

func (p *published) of(subject string) (mark, bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	m, ok := p.last[subject]
	return m, ok
}

// forget is for when the broker was away: it may have lost its last messages, and then
// counts on from a number that it has used before.
func (p *published) forget() {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.last = nil
}

// standing is what decides between two wants of a subject: a fraction of either.
type standing struct {
	asks     uint64 // wire.Want.Print, or that of a wire.TeamsWant
	link     uint64 // 0 for Teams
	revision wire.Revision
}

func standingOf(w wire.Want) standing { return standing{w.Print(), w.LinkRevision, w.Revision} }

func standingOfTeams(w wire.TeamsWant) standing {
	return standing{asks: w.Print(), revision: w.Revision}
}

// supersedes says whether there is nothing to publish: the stored want belongs to a
// newer link or, of the same person, to a newer memory, or asks for the same and what
// is wanted has not changed since.
func supersedes(stored, want standing, changed bool) bool {
	same := stored.asks == want.asks
	switch {
	case same && !changed:
		return true
	case stored.link != want.link:
		return stored.link > want.link
	case changed && same:
		return stored.revision.Compare(want.revision) >= 0
	}
	return stored.revision.Compare(want.revision) > 0
}

// sameTeams says whether two memories want the same of Teams.
func sameTeams(a, b presence.Memory) bool {
	x, wantsX := a.TeamsWant()
	y, wantsY := b.TeamsWant()
	return wantsX == wantsY && x == y
}
