package usersync

import (
	"context"
	"encoding/json"
	"reflect"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/links"
	"offhook.dev/libs/store"
	"offhook.dev/libs/wire"
)

// records are the values of the bucket `links`, of which this service is the only
// writer, in memory. They belong to the goroutine that plans.
type records struct {
	bucket *store.Bucket
	known  map[identity.Person]kept
}

type kept struct {
	links.Record
	revision uint64
	broken   bool // it could not be read: whatever is written differs from it
}

// writing is how many records are written side by side: the broker brings those that
// wait to disk together.
const writing = 16

// load reads everything. A record that cannot be read is made anew.
func (r *records) load(ctx context.Context, unread func(identity.Person, error)) error {
	r.known = map[identity.Person]kept{}
	return r.bucket.Each(ctx, ">", func(e store.Entry) error {
		person, err := wire.ParsePersonKey(e.Key)
		if err != nil {
			return nil
		}
		k := kept{revision: e.Revision}
		if err := json.Unmarshal(e.Value, &k.Record); err != nil {
			k.broken = true
			unread(person, err)
		}
		for i := range k.Owned {
			k.Owned[i].Person = person
		}
		r.known[person] = k
		return nil
	})
}

// store writes what differs from what is known, one person at a time and several side by
// side. After an error some are written, and known says which.
func (r *records) store(ctx context.Context, next map[identity.Person]links.Record) error {
	type written struct {
		person identity.Person
		kept   kept
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(writing)
	done := make(chan written, len(next))
	for person, record := range next {
		is := r.known[person]
		record = record.Normal()
		if !is.broken && reflect.DeepEqual(record, is.Record.Normal()) {
			continue
		}
		g.Go(func() error {
			revision, err := r.write(ctx, person, record, is.revision)
			if err == nil {
				done <- written{person, kept{Record: record, revision: revision}}
			}
			return err
		})
	}
	err := g.Wait()
	close(done)
	for w := range done {
		if w.kept.revision == 0 {
			delete(r.known, w.person)
		} else {
			r.known[w.person] = w.kept
		}
	}
	return err
}

// write returns the revision of what was written; 0 if it was removed.
func (r *records) write(ctx context.Context, person identity.Person, record links.Record, revision uint64) (uint64, error) {
	key := wire.PersonKey(person)
	if record.Empty() && len(record.History) == 0 {
		if revision == 0 {
			return 0, nil
		}
		return 0, r.bucket.Delete(ctx, key, revision)
	}
	value, err := json.Marshal(record)
	if err != nil {
		return 0, err
	}
	return r.bucket.Set(ctx, key, value, revision)
}

// owned are the records of a phone system.
func (r *records) owned(system identity.System) (all []*directory.Record) {
	for _, k := range r.known {
		for i := range k.Owned {
			if k.Owned[i].Line.System == system {
				owned := k.Owned[i]
				all = append(all, &owned)
			}
		}
	}
	return all
}

// revision is that of the record that was written last.
func (r *records) revision() (newest uint64) {
	for _, k := range r.known {
		newest = max(newest, k.revision)
	}
	return newest
}

// formerly is how many pairings that ended are remembered of a person.
const formerly = 10

// ended adds the pairings of before that are not in record to its history.
func ended(record, before links.Record, now time.Time) links.Record {
	stays := map[identity.Line]bool{}
	for _, line := range record.Lines {
		stays[line.Line] = true
	}
	var history []links.Former
	for _, line := range before.Lines {
		if !stays[line.Line] {
			history = append(history, links.Former{Line: line.Line, How: line.How, Since: line.Since, Until: now})
		}
	}
	history = append(history, before.History...)
	record.History = history[:min(len(history), formerly)]
	return record
}
