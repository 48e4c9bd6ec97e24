package usersync

import (
	"context"
	"encoding/json"
	"maps"
	"slices"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/links"
	"offhook.dev/libs/run"
	"offhook.dev/libs/store"
	"offhook.dev/libs/wire"
)

// records are the values of the bucket `links`, of which this service is the only
// writer, in memory. They belong to the goroutine that plans.
type records struct {
	words   *words
	bucket  *store.Bucket
	effects run.Effects
	known   map[identity.Tenant]*shelf[packedRecord]
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
	r.known = map[identity.Tenant]*shelf[packedRecord]{}
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
		k.Record = k.Record.Normal()
		r.keep(person.Tenant, packRecord(person.User, k, r.words))
		return nil
	})
}

// keep keeps the record of a user of a tenant.
func (r *records) keep(tenant identity.Tenant, packed packedRecord) {
	shelfOf(r.known, tenant).put(packed)
}

// of is what is kept of a person.
func (r *records) of(person identity.Person) (k kept) {
	if packed, known := r.known[person.Tenant].get(string(person.User)); known {
		k = packed.unpack(person.Tenant, r.words)
	}
	return k
}

// store writes what differs from what is known, one person at a time and several side by
// side; name is what it is to others. After an error some are written, and known says which.
func (r *records) store(ctx context.Context, name string, next map[identity.Person]links.Record) error {
	type written struct {
		person identity.Person
		packed packedRecord // "": it was removed
	}
	g, ctx := errgroup.WithContext(ctx)
	g.SetLimit(writing)
	done := make(chan written, len(next))
	nothing := packContent(links.Record{}, r.words)
	for person, record := range next {
		content, revision := nothing, uint64(0)
		if is, known := r.known[person.Tenant].get(string(person.User)); known {
			content = is.content()
			_, _, _, revision = is.begin()
		}
		record = record.Normal()
		if packContent(record, r.words) == content {
			continue
		}
		g.Go(func() error {
			err := r.effects.Around(name, func() (err error) {
				revision, err = r.write(ctx, person, record, revision)
				return err
			})
			switch {
			case err != nil:
			case revision == 0:
				done <- written{person: person}
			default:
				done <- written{person, packRecord(person.User, kept{Record: record, revision: revision}, r.words)}
			}
			return err
		})
	}
	err := g.Wait()
	close(done)
	for w := range done {
		if w.packed == "" {
			shelfOf(r.known, w.person.Tenant).remove(string(w.person.User))
		} else {
			r.keep(w.person.Tenant, w.packed)
		}
	}
	return err
}

// changing collects changes of records that are to be stored together.
type changing struct {
	records *records
	changed map[identity.Person]links.Record
}

func (r *records) changing() changing {
	return changing{r, map[identity.Person]links.Record{}}
}

// of is what a person's record will be.
func (c changing) of(person identity.Person) links.Record {
	if r, changed := c.changed[person]; changed {
		return r
	}
	return c.records.of(person).Record
}

func (c changing) put(person identity.Person, r links.Record) { c.changed[person] = r }

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

// owned are the records of numbers of a phone system, in order.
func (r *records) owned(system identity.System) recordList {
	list := recordList{words: r.words, system: system}
	for _, tenant := range slices.Sorted(maps.Keys(r.known)) {
		before := len(list.records)
		for _, packed := range r.known[tenant].list() {
			_, n := packed.ownedOf(system, tenant, 0, r.words)
			for range n {
				list.records = append(list.records, packed)
			}
		}
		list.tenants.add(tenant, len(list.records)-before)
	}
	return list
}

// revision is that of the record that was written last.
func (r *records) revision() (newest uint64) {
	for _, records := range r.known {
		for packed := range records.all() {
			_, _, _, revision := packed.begin()
			newest = max(newest, revision)
		}
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
