package bench

import (
	"context"
	"errors"
	"fmt"
	"net/http"
	"runtime/pprof"
	"sync"
	"sync/atomic"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// patience is how long the end state may take before who is wrong is counted.
const patience = 2 * time.Minute

// play is a load on an installation, and its accounts.
type play struct {
	b      *Bench
	in     *installation
	ids    []string // of the users
	poster *poster
	scenes []scene
	fake   []byte
	number atomic.Uint64 // makes every post another
	turns  []sync.Mutex  // of each user: held from a change until it is accepted

	got    answers
	mu     sync.Mutex // guards failed, changes
	failed error      // the first answer that was none
	// changes that were accepted, by extension.
	changes map[identity.Extension][]posted
}

// rehearse records the scenes and plays them once, so that what is measured finds
// every user linked, every memory made and every connection open.
func (b *Bench) rehearse(ctx context.Context) (*play, error) {
	in, err := b.install(ctx)
	if err != nil {
		return nil, err
	}
	p := &play{b: b, in: in, ids: in.tenant().UserIDs(), poster: newPoster(in.sim.Graph.Authority().Pool(), 64)}
	if err := errors.Join(p.prepare(ctx), in.answersAfter(b.Sizes.Latency)); err != nil {
		p.close()
		return nil, err
	}
	return p, nil
}

func (p *play) prepare(ctx context.Context) error {
	for _, s := range []struct {
		availability string
		status       presence.Status
	}{{"Busy", presence.DND}, {"Available", presence.Available}} {
		recorded, err := p.in.record(s.availability, s.status)
		if err != nil {
			return err
		}
		p.scenes = append(p.scenes, recorded)
	}
	if err := p.in.silence(); err != nil {
		return err
	}
	var err error
	if p.fake, err = forged(p.scenes[0].bodies[0]); err != nil {
		return err
	}
	p.reset()
	p.turns = make([]sync.Mutex, p.users())
	for i := range len(p.scenes) * p.users() {
		if i == p.users() { // the second scene must find that the first has arrived
			if err := p.converge(); err != nil {
				return err
			}
		}
		p.one(ctx, i)
	}
	return errors.Join(p.failed, p.converge())
}

func (p *play) close() {
	p.poster.close()
	p.in.close()
}

func (p *play) users() int { return len(p.in.lines) }

func (p *play) reset() {
	p.got, p.changes = answers{}, map[identity.Extension][]posted{}
}

// one makes the i-th change: each user in turn, one scene after the other. It is
// made at the tenant, where polls see it, and posted. What was refused is tried
// again, as Graph would, until it is accepted. Changes of one user wait for each
// other: else, on a machine that cannot keep up, the last change at the tenant could
// be another than the last that was accepted, and nobody would know the truth.
func (p *play) one(ctx context.Context, i int) {
	n, s := i%p.users(), p.scenes[i/p.users()%len(p.scenes)]
	p.turns[n].Lock()
	defer p.turns[n].Unlock()
	id := p.ids[n]
	ext := p.in.lines[id]
	at := time.Now()
	if err := p.in.tenant().SetPresence(id, s.availability, s.availability); err != nil {
		p.fail(err)
		return
	}
	for {
		status := p.send(ctx, s.bodies[n])
		if status == http.StatusAccepted {
			p.mu.Lock()
			p.changes[ext] = append(p.changes[ext], posted{at, s.status})
			p.mu.Unlock()
		}
		if status != http.StatusServiceUnavailable {
			return
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(50 * time.Millisecond):
		}
	}
}

// send posts one body as a delivery of its own.
func (p *play) send(ctx context.Context, body []byte) int {
	status, err := p.poster.post(ctx, p.in.target(), variant(body, p.number.Add(1)))
	p.got.count(status, err)
	if err == nil && status != http.StatusAccepted && status != http.StatusServiceUnavailable {
		err = fmt.Errorf("the receiver answered %d", status)
	}
	if err != nil {
		p.fail(err)
	}
	return status
}

func (p *play) fail(err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.failed == nil {
		p.failed = err
	}
}

// want is what each extension should show now.
func (p *play) want() map[identity.Extension]presence.Status {
	p.mu.Lock()
	defer p.mu.Unlock()
	want := map[identity.Extension]presence.Status{}
	for ext, list := range p.changes {
		want[ext] = list[len(list)-1].status
	}
	return want
}

// converge waits until every extension shows what it should.
func (p *play) converge() error {
	want := p.want()
	return p.in.await(patience, func() (string, error) {
		if wrong := p.in.wrong(want); len(wrong) > 0 {
			return fmt.Sprintf("%d extensions are wrong, the first is %+v", len(wrong), wrong[0]), nil
		}
		return "", nil
	})
}

// performance is what a play led to.
type performance struct {
	fate      fate
	sent      int
	forged    int
	door      counters // of items, by the door's word
	opened    counters // of stored items, by what was inside
	synced    map[string]int
	spent     map[string]time.Duration
	took      time.Duration // until all was posted
	converged time.Duration // until all extensions showed it
	wrong     int           // extensions, in the end
	parked    map[string]int
}

// perform has load run, waits for the end state and draws up the accounts.
func (p *play) perform(ctx context.Context, load func(context.Context) (forged int)) (performance, error) {
	p.reset()
	var x performance
	door, opened, err := p.counted(ctx)
	if err != nil {
		return x, err
	}
	synced, err := p.written(ctx)
	if err != nil {
		return x, err
	}
	writes := len(p.in.sim.PBX.Writes())
	x.spent, err = p.b.profiled(func() error {
		began := time.Now()
		pprof.Do(ctx, pprof.Labels(stageLabel, "load"), func(ctx context.Context) { x.forged = load(ctx) })
		x.took = time.Since(began)
		if err := p.in.drained(); err != nil {
			return err
		}
		_ = p.converge() // who is wrong after all patience is counted below
		x.converged = time.Since(began)
		return errors.Join(p.failed, ctx.Err())
	})
	if err != nil {
		return x, err
	}
	doorNow, openedNow, err := p.counted(ctx)
	if err != nil {
		return x, err
	}
	x.door, x.opened = doorNow.since(door), openedNow.since(opened)
	syncedNow, err := p.written(ctx)
	if err != nil {
		return x, err
	}
	x.synced = map[string]int{}
	for stream, n := range syncedNow {
		x.synced[stream] = n - synced[stream]
	}
	shows := map[identity.Extension]presence.Status{}
	for _, shown := range p.in.sim.PBX.Truth() {
		shows[shown.Number] = shown.Status
	}
	outcomes, decided, parked, err := p.told(ctx)
	if err != nil {
		return x, err
	}
	x.sent, x.wrong, x.parked = p.got.sent(), len(p.in.wrong(p.want())), parked
	x.fate = follow(p.changes, p.in.sim.PBX.Writes()[writes:], outcomes, decided, shows)
	return x, nil
}

func (p *play) counted(ctx context.Context) (door, opened counters, err error) {
	if door, err = p.in.receiver.counted(ctx, "offhook_notifications_total"); err != nil {
		return nil, nil, err
	}
	opened, err = p.in.receiver.counted(ctx, "offhook_notification_items_total")
	return door, opened, err
}

// written returns how many messages each synced stream and bucket has ever taken.
// Leases are left out: they are renewed by the clock, not by changes.
func (p *play) written(ctx context.Context) (map[string]int, error) {
	var names []string
	for _, s := range topology.Streams() {
		if s.Synced {
			names = append(names, string(s.Name))
		}
	}
	for _, k := range topology.Buckets() {
		if k.Name != topology.Leases {
			for _, part := range k.Name.Parts() {
				names = append(names, "KV_"+part)
			}
		}
	}
	written := map[string]int{}
	for _, name := range names {
		s, err := state(ctx, p.in.bus, name)
		if err != nil {
			return nil, err
		}
		written[name] = int(s.LastSeq)
	}
	return written, nil
}

// told returns what the writer said that it did, when it was decided, by the
// decisions' ids, and why messages were parked.
func (p *play) told(ctx context.Context) (outcomes []wire.Outcome, decided map[string]time.Time, parked map[string]int, err error) {
	err = p.in.bus.History(ctx, topology.Outcomes, "outcome.>", func(m bus.Message) error {
		o, err := wire.DecodeOutcome(m.Data)
		outcomes = append(outcomes, o)
		return err
	})
	if err != nil {
		return nil, nil, nil, err
	}
	decided = map[string]time.Time{}
	err = p.in.bus.History(ctx, topology.Decisions, "decision.>", func(m bus.Message) error {
		d, err := wire.DecodeDecision(m.Data)
		decided[d.ID] = d.At
		return err
	})
	if err != nil {
		return nil, nil, nil, err
	}
	parked = map[string]int{}
	err = p.in.bus.History(ctx, topology.ParkedMsg, "parked.>", func(m bus.Message) error {
		parked[m.Subject+": "+m.Header.Get("Offhook-Parked-Reason")]++
		return nil
	})
	return outcomes, decided, parked, err
}
