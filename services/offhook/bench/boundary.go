package bench

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/bus/embedded"
	"offhook.dev/libs/config"
	"offhook.dev/libs/core/calendar"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/links"
	"offhook.dev/libs/options"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
	"offhook.dev/services/presence-mapper/mapper"
)

func boundaryTable() Table {
	return Table{
		Name: "boundary",
		What: "Meetings that all begin at the same instant: from then to the stored want, through the broker's timers and presence-mapper. Floor: the timers alone, due together in the same stream, to a consumer that does nothing. Then everyone's mode is changed: how many are decided again a second, beside the synced writes a second of one value like a memory.",
		Aim:  "2,000 at once: p99 under 1 s, none early; 1,000 decided again a second.",
		Run: func(ctx context.Context, b *Bench) (Report, error) {
			r := Report{Columns: []string{"meetings", "p50", "p99", "max", "early", "floor p50", "floor p99", "p99 of the floor", "decided again/s", "synced writes/s"}}
			for _, people := range b.Sizes.Meetings {
				if err := b.boundary(ctx, people, &r); err != nil {
					return r, err
				}
			}
			r.note("A timer of the broker knows whole seconds, and looks at what is due every 250 ms.")
			return r, nil
		},
	}
}

// calendars is presence-mapper with a broker and people who have nothing but calendars.
type calendars struct {
	broker *embedded.Server
	bus    *bus.Bus
	people int

	mu    sync.Mutex // guards all
	since map[int]time.Time
	shown map[int]presence.Status
	count map[presence.Status]int // of shown
}

func (b *Bench) boundary(ctx context.Context, people int, r *Report) (err error) {
	ctx, stop := context.WithCancel(ctx)
	defer stop()
	c := &calendars{people: people, since: map[int]time.Time{}, shown: map[int]presence.Status{}, count: map[presence.Status]int{}}
	if c.broker, c.bus, err = startBroker(ctx, b.path(fmt.Sprintf("nats-%d", people))); err != nil {
		return err
	}
	defer c.broker.Close()
	defer c.bus.Close()
	if err := c.bus.Apply(ctx, bus.Layout{}); err != nil {
		return err
	}
	floor, err := c.timersAlone(ctx)
	if err != nil {
		return err
	}
	writes, err := c.syncedWrites(ctx)
	if err != nil {
		return err
	}
	if err := c.populate(ctx, true); err != nil {
		return err
	}
	log, err := b.logFile()
	if err != nil {
		return err
	}
	defer func() { _ = log.Close() }()
	service := start(ctx, b.calendarsOnly(), c.broker, log, mapper.Part())
	defer func() { err = errors.Join(err, service.halt()) }()
	return c.measure(ctx, b, r, floor, writes)
}

// calendarsOnly is a configuration in which calendars alone decide, at once.
func (b *Bench) calendarsOnly() config.Config {
	tenant := config.DefaultTenant()
	tenant.ID, tenant.Presence.Mode, tenant.Presence.Damping = "contoso", string(presence.Calendar), 0
	return config.Config{DataDir: b.dir, Telemetry: config.Telemetry{MetricsListen: "127.0.0.1:0", LogLevel: "warn"}, Tenants: []config.Tenant{tenant}}
}

// measure lets everyone's meeting begin, and then changes everyone's mode.
func (c *calendars) measure(ctx context.Context, b *Bench, r *Report, floor sample, writes float64) error {
	following, end := context.WithCancel(ctx)
	g, following := errgroup.WithContext(following)
	g.Go(func() error { return c.follow(following) })
	err := func() error {
		if err := c.await(ctx, presence.Available); err != nil {
			return err
		}
		at := time.Now().Add(5*time.Second + time.Duration(c.people)*time.Millisecond).Truncate(time.Second)
		for i := range c.people {
			if err := c.read(ctx, i, at, at.Add(time.Hour)); err != nil {
				return err
			}
		}
		select {
		case <-time.After(time.Until(at)):
		case <-ctx.Done():
			return ctx.Err()
		}
		spent, err := b.profiled(func() error { return c.await(ctx, presence.DND) })
		if err != nil {
			return err
		}
		r.note("CPU per meeting of %d, from the boundary on: %s.", c.people, costs(spent, c.people))
		late, early := c.late(at)
		r.check(early == 0, "%d of %d wants came before their meeting", early, c.people)
		changed := time.Now()
		if err := c.change(ctx); err != nil {
			return err
		}
		if err := c.await(ctx, presence.Available); err != nil {
			return err
		}
		again, _ := c.late(changed)
		r.row(c.people, late.at(0.5), late.at(0.99), late.at(1), early, floor.at(0.5), floor.at(0.99),
			percent(float64(floor.at(0.99))/float64(late.at(0.99))), float64(c.people)/again.at(1).Seconds(), writes)
		return nil
	}()
	end()
	if ended := g.Wait(); fault.KindOf(ended) != fault.Cancelled {
		err = errors.Join(err, ended)
	}
	return err
}

// populate links everyone to an extension, and to a calendar with nothing in it. shown
// says that it also tells that the extension shows available.
func (c *calendars) populate(ctx context.Context, shown bool) error {
	linked, err := store.Open(ctx, c.bus.JetStream(), topology.Links)
	if err != nil {
		return err
	}
	powers := presence.Powers{Write: presence.All, Read: presence.All, Ring: presence.SetOf(presence.Available)}
	for i := range c.people {
		record, err := json.Marshal(links.Record{Lines: []links.Line{{Line: benchLine(i), Revision: 1, Powers: powers, How: "configured"}}})
		if err == nil {
			_, err = linked.Put(ctx, wire.PersonKey(benchPerson(i)), record)
		}
		now := c.bus.Now()
		if err == nil && shown {
			err = c.publish(ctx, wire.Status{Reading: presence.StatusReading{Line: benchLine(i), Status: presence.Available, Origin: presence.Person, SeenAt: now,
				Observation: now.UnixMicro(), LastPerson: &presence.Choice{Status: presence.Available, Observation: now.UnixMicro(), At: now}}})
		}
		if err == nil {
			err = c.read(ctx, i, time.Time{}, time.Time{})
		}
		if err != nil {
			return err
		}
	}
	return nil
}

// read publishes a calendar with one meeting, or none.
func (c *calendars) read(ctx context.Context, i int, from, to time.Time) error {
	now := c.bus.Now()
	fact := wire.Calendar{Person: benchPerson(i), From: now.Add(-time.Hour), To: now.Add(36 * time.Hour), SeenAt: now}
	if to.After(from) {
		fact.Intervals = []calendar.Interval{{Class: calendar.Busy, From: from, To: to}}
	}
	return c.publish(ctx, fact)
}

// change switches everyone off, by one record of the tenant's options.
func (c *calendars) change(ctx context.Context) error {
	bucket, err := store.Open(ctx, c.bus.JetStream(), topology.Options)
	if err == nil {
		_, err = bucket.Put(ctx, options.Key{Layer: options.Tenant, Tenant: "contoso"}.String(), options.Record{Mode: string(presence.Disabled)}.Encode())
	}
	return err
}

func (c *calendars) publish(ctx context.Context, m wire.Message) error {
	subject, data := m.Encode()
	_, err := c.bus.Publish(ctx, bus.Message{Subject: subject, Data: data})
	return err
}

// follow notes when each line's newest want was stored, by the broker's clock.
func (c *calendars) follow(ctx context.Context) error {
	return c.bus.Follow(ctx, topology.Wants, []string{topology.Wildcard("pbx.want.status.<system>.<ext>")}, func(m bus.Message) error {
		want, err := wire.DecodeWant(m.Data)
		if err != nil {
			return err
		}
		var i int
		if _, err := fmt.Sscan(string(want.Line.Extension), &i); err != nil {
			return err
		}
		c.mu.Lock()
		defer c.mu.Unlock()
		if was, ok := c.shown[i]; ok {
			c.count[was]--
		}
		c.count[want.Status]++
		c.shown[i], c.since[i] = want.Status, m.Time
		return nil
	}, func() {})
}

// await waits until a status is wanted of everyone.
func (c *calendars) await(ctx context.Context, status presence.Status) error {
	why, err := settle(ctx, 5*time.Minute, func() (string, error) {
		c.mu.Lock()
		defer c.mu.Unlock()
		if n := c.count[status]; n < c.people {
			return fmt.Sprintf("%s is wanted of %d of %d", status, n, c.people), nil
		}
		return "", nil
	})
	if err == nil && why != "" {
		err = errors.New(why)
	}
	return err
}

// late returns how long after a moment each newest want was stored, and how many were
// before it.
func (c *calendars) late(at time.Time) (late sample, early int) {
	c.mu.Lock()
	defer c.mu.Unlock()
	for _, since := range c.since {
		if since.Before(at) {
			early++
		}
		late = append(late, since.Sub(at))
	}
	return late.sorted(), early
}

// timersAlone is the floor: as many timers due together as there are people.
func (c *calendars) timersAlone(ctx context.Context) (sample, error) {
	at := time.Now().Add(2*time.Second + time.Duration(c.people)*time.Millisecond).Truncate(time.Second)
	for i := range c.people {
		key := topology.Join("floor", fmt.Sprint(i))
		if err := c.bus.Schedule(ctx, "timer."+key, bus.Message{Subject: "fire." + key}, at); err != nil {
			return nil, err
		}
	}
	fires, stop := context.WithTimeout(ctx, time.Until(at)+time.Minute)
	defer stop()
	var mu sync.Mutex
	var late sample
	err := c.bus.Consume(fires, bus.Consumer{Stream: topology.Timers, Durable: "floor", Filters: []string{"fire.floor.*"}, InFlight: 256, Workers: 16},
		func(context.Context, bus.Message) error {
			mu.Lock()
			defer mu.Unlock()
			if late = append(late, time.Since(at)); len(late) == c.people {
				stop()
			}
			return nil
		})
	if err == nil && len(late) < c.people {
		err = fmt.Errorf("%d of %d timers fired", len(late), c.people)
	}
	return late.sorted(), err
}

// syncedWrites is how many values like a memory the broker takes a second, one for
// each worker of the mapper at a time.
func (c *calendars) syncedWrites(ctx context.Context) (float64, error) {
	bucket, err := store.Open(ctx, c.bus.JetStream(), topology.Memory)
	if err != nil {
		return 0, err
	}
	const writes, workers, size = 2000, 16, 1500
	g, gctx := errgroup.WithContext(ctx)
	began := time.Now()
	for w := range workers {
		g.Go(func() error {
			for i := range writes / workers {
				key := topology.Join("floor", fmt.Sprintf("%d-%d", w, i))
				revision, err := bucket.Put(gctx, key, make([]byte, size))
				if err == nil {
					err = bucket.Delete(gctx, key, revision)
				}
				if err != nil {
					return err
				}
			}
			return nil
		})
	}
	err = g.Wait()
	return 2 * writes / time.Since(began).Seconds(), err // a deletion is a write, too
}

func benchPerson(i int) identity.Person {
	return identity.Person{Tenant: "contoso", User: identity.User(fmt.Sprintf("%08d-0000-4000-8000-000000000000", i))}
}

func benchLine(i int) identity.Line {
	return identity.Line{System: "hq", Extension: identity.Extension(fmt.Sprint(100_000 + i))}
}
