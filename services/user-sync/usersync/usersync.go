package usersync

import (
	"cmp"
	"context"
	"encoding/json"
	"errors"
	"reflect"
	"slices"
	"strings"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/links"
	"offhook.dev/libs/run"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// Options of the service.
type Options struct {
	// Serves lists the tenants of each phone system.
	Serves   map[identity.System][]identity.Tenant
	Explicit []Explicit
	// Settle is how long to wait for more changes before pairing; 0: 200 ms.
	Settle time.Duration
}

// Sync is the service.
type Sync struct {
	deps   run.Deps
	opts   Options
	bucket *store.Bucket

	mu    sync.Mutex // guards what follows
	users map[identity.Person]wire.User
	lines map[identity.Line]wire.Inventory
	dirty chan struct{}
}

// Run runs the service until ctx ends or something breaks. One replica at a time
// pairs; the others wait for its lease.
func Run(ctx context.Context, deps run.Deps, opts Options) error {
	if opts.Settle == 0 {
		opts.Settle = 200 * time.Millisecond
	}
	bucket, err := store.Open(ctx, deps.Bus.JetStream(), topology.Links)
	if err != nil {
		return err
	}
	leases, err := store.Open(ctx, deps.Bus.JetStream(), topology.Leases)
	if err != nil {
		return err
	}
	holder := store.Leases{Bucket: leases, Holder: string(topology.UserSync) + "/" + deps.Instance, Log: deps.Log}
	return holder.Hold(ctx, topology.Join("user-sync"), func(ctx context.Context, _ store.Lease) error {
		s := &Sync{deps: deps, opts: opts, bucket: bucket, users: map[identity.Person]wire.User{}, lines: map[identity.Line]wire.Inventory{}, dirty: make(chan struct{}, 1)}
		g, ctx := errgroup.WithContext(ctx)
		current := make(chan struct{})
		g.Go(func() error { return run.Ended(ctx, s.follow(ctx, func() { close(current) })) })
		g.Go(func() error { return run.Ended(ctx, s.keep(ctx, current)) })
		return g.Wait()
	})
}

// follow mirrors users and extensions.
func (s *Sync) follow(ctx context.Context, current func()) error {
	filters := []string{topology.Wildcard("m365.fact.user.<tenant>.<user>"), topology.Wildcard("pbx.fact.inventory.<system>.<ext>")}
	return s.deps.Bus.Follow(ctx, topology.Directory, filters, func(m bus.Message) error {
		s.mu.Lock()
		defer s.mu.Unlock()
		if strings.HasPrefix(m.Subject, "m365.") {
			if user, err := wire.DecodeUser(m.Data); err == nil {
				s.users[user.Person] = user
			}
		} else if line, err := wire.DecodeInventory(m.Data); err == nil {
			s.lines[line.Line] = line
		}
		select {
		case s.dirty <- struct{}{}:
		default:
		}
		return nil
	}, current)
}

// keep pairs whenever something changed and has been quiet for a moment.
func (s *Sync) keep(ctx context.Context, current <-chan struct{}) error {
	select {
	case <-ctx.Done():
		return nil
	case <-current:
	}
	for {
		if err := s.pair(ctx); err != nil {
			if ctx.Err() != nil {
				return nil
			}
			s.deps.Log.Warn("pairing", "error", err)
		}
		select {
		case <-ctx.Done():
			return nil
		case <-s.dirty:
		case <-time.After(time.Minute): // the repair of what failed
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(s.opts.Settle):
		}
	}
}

// pair compares the pairs that should be with those in the bucket and writes the
// difference, one person at a time.
func (s *Sync) pair(ctx context.Context) error {
	records := map[identity.Person]links.Record{}
	revisions := map[identity.Person]uint64{}
	existing := map[identity.Line]identity.Person{}
	since := map[identity.Line]map[identity.Person]links.Line{}
	err := s.bucket.Each(ctx, ">", func(e store.Entry) error {
		person, err := wire.ParsePersonKey(e.Key)
		if err != nil {
			return nil
		}
		var record links.Record
		if err := json.Unmarshal(e.Value, &record); err != nil {
			// Replaced or removed below like any record that is not as it should be.
			s.deps.Log.Error("links cannot be read; they are made anew", "tenant", person.Tenant, "user", person.User, "error", err)
		}
		records[person], revisions[person] = record, e.Revision
		for _, line := range record.Lines {
			existing[line.Line] = person
			if since[line.Line] == nil {
				since[line.Line] = map[identity.Person]links.Line{}
			}
			since[line.Line][person] = line
		}
		return nil
	})
	if err != nil {
		return err
	}
	v, lines := s.view(existing)
	pairs, conflicts := match(v)
	s.report(conflicts)

	desired := map[identity.Person]links.Record{}
	now := s.deps.Bus.Now()
	for _, p := range pairs {
		line, kept := since[p.Line][p.Person]
		if !kept {
			line = links.Line{Line: p.Line, Revision: uint64(now.UnixMicro()), Since: now}
			for _, former := range since[p.Line] { // a clock that was set back must not make it older
				line.Revision = max(line.Revision, former.Revision+1)
			}
		}
		line.How = p.How
		if known, ok := lines[p.Line]; ok {
			line.Powers = known.Powers
		}
		record := desired[p.Person]
		record.Lines = append(record.Lines, line)
		desired[p.Person] = record
	}
	return s.write(ctx, records, revisions, desired)
}

// write stores the records that differ. Removals go first, so that a line that
// moves from one person to another never has two owners.
func (s *Sync) write(ctx context.Context, records map[identity.Person]links.Record, revisions map[identity.Person]uint64, desired map[identity.Person]links.Record) error {
	var errs []error
	for person := range records {
		if _, stays := desired[person]; !stays {
			errs = append(errs, s.bucket.Delete(ctx, wire.PersonKey(person), revisions[person]))
			s.deps.Log.Info("link removed", "tenant", person.Tenant, "user", person.User)
		}
	}
	for person, record := range desired {
		if reflect.DeepEqual(normal(record), normal(records[person])) {
			continue
		}
		value, err := json.Marshal(record)
		if err != nil {
			return err
		}
		_, err = s.bucket.Set(ctx, wire.PersonKey(person), value, revisions[person])
		errs = append(errs, err)
	}
	return errors.Join(errs...)
}

// normal makes two records of the same content equal.
func normal(r links.Record) links.Record {
	lines := slices.Clone(r.Lines)
	slices.SortFunc(lines, func(a, b links.Line) int { return cmp.Compare(a.Line.String(), b.Line.String()) })
	for i := range lines {
		lines[i].Since = lines[i].Since.UTC().Truncate(time.Microsecond)
	}
	return links.Record{Lines: lines}
}

func (s *Sync) view(existing map[identity.Line]identity.Person) (view, map[identity.Line]wire.Inventory) {
	s.mu.Lock()
	defer s.mu.Unlock()
	v := view{serves: s.opts.Serves, explicit: s.opts.Explicit, existing: existing}
	lines := map[identity.Line]wire.Inventory{}
	for _, user := range s.users {
		v.users = append(v.users, user)
	}
	for id, line := range s.lines {
		v.lines = append(v.lines, line)
		lines[id] = line
	}
	return v, lines
}

func (s *Sync) report(conflicts []Conflict) {
	for _, c := range conflicts {
		s.deps.Log.Warn("not linked: conflict", "tenant", c.Person.Tenant, "user", c.Person.User, "system", c.System, "why", c.Why)
	}
}
