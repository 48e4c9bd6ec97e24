package bench

import (
	"context"
	"crypto/rand"
	"crypto/rsa"
	"crypto/sha1" //nolint:gosec // what Graph encrypts keys with
	"errors"
	"fmt"
	"maps"
	"runtime"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"time"
)

func pipelineTable() Table {
	return Table{
		Name: "pipeline", Run: measurePipeline,
		What: "Rich notifications at a steady rate through all services to the request at the 3CX simulator; one of a hundred is forged. Floor: the decryption of the keys alone (RSA-2048), on all CPUs.",
		Aim:  "0 lost; p50 10 ms and p99 250 ms from POST to phone system; at most 4 synced writes per change",
	}
}

func burstTable() Table {
	return Table{
		Name: "burst", Run: measureBurst,
		What: "Rich notifications as fast as they are accepted, on 64 connections, until every phone shows what it should. Floor: the decryption of the keys alone.",
		Aim:  "sent = stored + refused + invalid, every final state right",
	}
}

// forgedEvery says that one of so many posts is forged.
const forgedEvery = 100

const (
	// mostSynced is how many writes a change may cost that are on disk before the ack
	// (docs/design.md): the notification, the memory, the intent and the end.
	mostSynced = 4
	// unrelated is how many such writes may come by meanwhile that no change caused: a
	// renewed subscription, a cursor, somebody's memory after a sweep.
	unrelated = 12
)

// writes counts the synced writes.
func (x performance) writes() (n int) {
	for _, each := range x.synced {
		n += each
	}
	return n
}

// accounts checks and notes what both tables promise.
func (x performance) accounts(r *Report, users int) {
	stored, refused := x.door.of("stored"), x.door.of("refused", "flooded", "cut-off")
	invalid := x.door.total() - stored - refused - x.door.of("repeated") // of which there are none: each post is another
	r.note("Sent %d = stored %d + refused %d + invalid %d (%d were forged); opened: %s.", x.sent, stored, refused, invalid, x.forged, list(x.opened))
	r.note("Changes: %v; extensions that are wrong in the end: %d of %d.", x.fate, x.wrong, users)
	if len(x.parked) > 0 {
		r.note("Parked: %s.", list(x.parked))
	}
	r.check(x.sent == stored+refused+invalid, "sent %d, counted %d", x.sent, x.door.total())
	r.check(invalid == x.forged, "%d forged, %d found invalid", x.forged, invalid)
	r.check(x.opened.total() == stored, "stored %d, opened %d", stored, x.opened.total())
	r.check(x.fate.lost == 0 && x.wrong == 0, "%d changes lost, %d extensions wrong", x.fate.lost, x.wrong)
	r.note("Where the time went, p50/p99: %s.", x.fate.hopTimes())
	synced := x.writes()
	r.note("Synced writes per change: %s (%s).", text(float64(synced)/float64(max(stored, 1))), list(x.synced))
	r.check(synced <= mostSynced*stored+unrelated, "%d synced writes for %d changes: more than %d for each (%s)", synced, stored, mostSynced, list(x.synced))
	r.note("CPU per item: %s.", costs(x.spent, stored))
}

// list writes counts that are not zero, by name.
func list(m map[string]int) string {
	var parts []string
	for _, name := range slices.Sorted(maps.Keys(m)) {
		if m[name] != 0 {
			parts = append(parts, fmt.Sprintf("%s %d", name, m[name]))
		}
	}
	if parts == nil {
		return "nothing"
	}
	return strings.Join(parts, ", ")
}

func measurePipeline(ctx context.Context, b *Bench) (Report, error) {
	r := Report{Columns: []string{"rate", "for", "changes", "p50", "p99", "max", "lost", "synced writes per change", "CPU per item", "RSA alone", "of RSA alone"}}
	alone, err := decryptions(ctx)
	if err != nil {
		return r, err
	}
	p, err := b.rehearse(ctx)
	if err != nil {
		return r, err
	}
	defer p.close()
	var late time.Duration
	x, err := p.perform(ctx, func(ctx context.Context) int {
		var fakes atomic.Int64
		late = pace(ctx, int(float64(b.Sizes.Rate)*b.Sizes.Duration.Seconds()), b.Sizes.Rate, func(i int) {
			p.one(ctx, i)
			if i%forgedEvery == forgedEvery-1 {
				p.send(ctx, p.fake)
				fakes.Add(1)
			}
		})
		return int(fakes.Load())
	})
	if err != nil {
		return r, err
	}
	x.accounts(&r, p.users())
	var cpu time.Duration
	for stage, d := range x.spent {
		if stage != simulators && stage != "load" {
			cpu += d
		}
	}
	stored := max(x.door.of("stored"), 1)
	f := x.fate.applied
	r.row(fmt.Sprintf("%d/s", b.Sizes.Rate), x.took.Round(time.Second), stored, f.at(0.5), f.at(0.99), f.at(1), x.fate.lost,
		float64(x.writes())/float64(stored), cpu/time.Duration(stored), fmt.Sprintf("%.0f/s", alone), percent(float64(stored)/x.took.Seconds()/alone))
	r.note("The load was at most %s behind its moments; latency counts from the change itself.", short(late))
	return r, again(ctx, &r)
}

func measureBurst(ctx context.Context, b *Bench) (Report, error) {
	r := Report{Columns: []string{"notifications", "accepted in", "converged in", "per second", "wrong in the end", "RSA alone", "of RSA alone"}}
	alone, err := decryptions(ctx)
	if err != nil {
		return r, err
	}
	p, err := b.rehearse(ctx)
	if err != nil {
		return r, err
	}
	defer p.close()
	x, err := p.perform(ctx, func(ctx context.Context) int { return p.burst(ctx, b.Sizes.Burst) })
	if err != nil {
		return r, err
	}
	x.accounts(&r, p.users())
	perSecond := float64(x.door.of("stored")) / x.converged.Seconds()
	r.row(x.door.of("stored"), x.took, x.converged, perSecond, x.wrong, fmt.Sprintf("%.0f/s", alone), percent(perSecond/alone))
	return r, again(ctx, &r)
}

// again measures the floor once more: if it differs from the first time, something
// else took the processors meanwhile, and the table says little.
func again(ctx context.Context, r *Report) error {
	alone, err := decryptions(ctx)
	r.note("RSA alone, measured again at the end: %.0f/s.", alone)
	return err
}

// burst posts n changes on many connections. Changes of one user stay in order, as
// Graph keeps them: each connection has users of its own.
func (p *play) burst(ctx context.Context, n int) (fakes int) {
	const connections = 64
	var sent atomic.Int64
	var wg sync.WaitGroup
	for c := range connections {
		wg.Go(func() {
			for i := range n {
				if i%p.users()%connections != c || ctx.Err() != nil {
					continue
				}
				p.one(ctx, i)
				if i%forgedEvery == forgedEvery-1 {
					p.send(ctx, p.fake)
					sent.Add(1)
				}
			}
		})
	}
	wg.Wait()
	return int(sent.Load())
}

// decryptions measures how many data keys a second all CPUs can decrypt: the floor
// under every rich notification.
func decryptions(ctx context.Context) (float64, error) {
	key, err := rsa.GenerateKey(rand.Reader, 2048)
	if err != nil {
		return 0, err
	}
	sealed, err := rsa.EncryptOAEP(sha1.New(), rand.Reader, &key.PublicKey, make([]byte, 32), nil)
	if err != nil {
		return 0, err
	}
	const during = time.Second
	var done, failed atomic.Int64
	began := time.Now()
	var wg sync.WaitGroup
	for range runtime.NumCPU() {
		wg.Go(func() {
			for time.Since(began) < during && ctx.Err() == nil {
				if _, err := rsa.DecryptOAEP(sha1.New(), nil, key, sealed, nil); err != nil {
					failed.Add(1)
					return
				}
				done.Add(1)
			}
		})
	}
	wg.Wait()
	if failed.Load() > 0 {
		return 0, errors.New("RSA decryption failed")
	}
	return float64(done.Load()) / time.Since(began).Seconds(), nil
}
