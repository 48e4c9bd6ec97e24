package bench

import (
	"context"
	"fmt"
	"net/http"
	"time"

	"offhook.dev/libs/core/presence"
)

func batchTable() Table {
	return Table{
		Name: "batch", Run: measureBatch,
		What: "A POST of 100 rich items while Graph and its login answer late; each time by a receiver that has just started and knows no keys. Floor: the same with no latency.",
		Aim:  "202 within 50 ms at any latency",
	}
}

// batchItems is how many items a POST of the table holds.
const batchItems = 100

func measureBatch(ctx context.Context, b *Bench) (Report, error) {
	r := Report{Columns: []string{"latency of Graph and login", "POSTs", "p50", "p99", "max", "while the queue is worked off: p50", "max", "items stored"}}
	in, err := b.install(ctx)
	if err != nil {
		return r, err
	}
	defer in.close()
	recorded, err := in.record("Busy", presence.DND)
	if err != nil {
		return r, err
	}
	var hundred [][]byte
	for i := range batchItems {
		hundred = append(hundred, recorded.bodies[i%len(recorded.bodies)])
	}
	body, err := together(hundred)
	if err != nil {
		return r, err
	}
	for _, latency := range []time.Duration{0, 20 * time.Millisecond, 100 * time.Millisecond, time.Second} {
		if err := b.delayed(ctx, in, &r, latency, body); err != nil {
			return r, fmt.Errorf("latency %v: %w", latency, err)
		}
	}
	r.note("Each POST is %s.", text(size(len(body))))
	return r, nil
}

// delayed measures one latency.
func (b *Bench) delayed(ctx context.Context, in *installation, r *Report, latency time.Duration, body []byte) error {
	if err := in.answersAfter(latency); err != nil {
		return err
	}
	if err := in.newReceiver(); err != nil {
		return err
	}
	p := newPoster(in.sim.Graph.Authority().Pool(), 1)
	defer p.close()
	var quiet, busy sample
	for i := range 2 * b.Sizes.Batches {
		if i < b.Sizes.Batches { // quiet: the queue is empty
			if err := in.drained(); err != nil {
				return err
			}
		}
		at := time.Now()
		status, err := p.post(ctx, in.target(), variant(body, uint64(at.UnixNano())))
		took := time.Since(at)
		if err != nil || status != http.StatusAccepted {
			return fmt.Errorf("status %d: %w", status, err)
		}
		if i < b.Sizes.Batches {
			quiet = append(quiet, took)
		} else {
			busy = append(busy, took)
		}
	}
	if err := in.drained(); err != nil {
		return err
	}
	door, err := in.receiver.counted(ctx, "offhook_notifications_total")
	if err != nil {
		return err
	}
	opened, err := in.receiver.counted(ctx, "offhook_notification_items_total")
	if err != nil {
		return err
	}
	quiet.sorted()
	busy.sorted()
	stored := door.of("stored")
	r.row(latency, len(quiet)+len(busy), quiet.at(0.5), quiet.at(0.99), quiet.at(1), busy.at(0.5), busy.at(1), stored)
	r.check(stored == batchItems*2*b.Sizes.Batches, "latency %v: %d items sent, %d stored", latency, batchItems*2*b.Sizes.Batches, stored)
	r.check(opened.total() == stored, "latency %v: %d items stored, %d opened: %v", latency, stored, opened.total(), opened)
	return nil
}
