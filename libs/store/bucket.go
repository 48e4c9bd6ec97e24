package store

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/nats-io/nats.go"
	"github.com/nats-io/nats.go/jetstream"
	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/listing"
	"offhook.dev/libs/topology"
)

// timeout bounds one operation on the broker.
const timeout = 5 * time.Second

// Bucket is one key-value bucket, in one or more streams. Keys are made by
// topology.Join.
type Bucket struct {
	name  topology.Bucket
	parts []part // as topology.Bucket.Parts
}

// part is one stream of a bucket.
type part struct {
	jetstream.KeyValue
	stream jetstream.Stream
}

// Entry is one value of a bucket.
type Entry struct {
	Key      string
	Value    []byte
	Revision uint64    // grows with every change of the key
	Created  time.Time // when this revision was stored, in broker time
	Deleted  bool      // of watches only
}

// Open opens a bucket that bus.Apply has made.
func Open(ctx context.Context, js jetstream.JetStream, bucket topology.Bucket) (*Bucket, error) {
	b := &Bucket{name: bucket}
	for _, name := range bucket.Parts() {
		kv, err := js.KeyValue(ctx, name)
		if err != nil {
			return nil, classify("store: open "+name, err)
		}
		stream, err := js.Stream(ctx, "KV_"+name) // as ADR-8 of NATS names it
		if err != nil {
			return nil, classify("store: open "+name, err)
		}
		b.parts = append(b.parts, part{kv, stream})
	}
	return b, nil
}

// part is where a key is.
func (b *Bucket) part(key string) part { return b.parts[b.name.Part(key)] }

// Get returns the newest value, or a fault of kind NotFound.
func (b *Bucket) Get(ctx context.Context, key string) (Entry, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	e, err := b.part(key).Get(ctx, key)
	if err != nil {
		return Entry{}, classify(b.op("get from"), err)
	}
	return Entry{Key: key, Value: e.Value(), Revision: e.Revision(), Created: e.Created()}, nil
}

// Set stores value if the key still has the given revision (0: does not exist),
// and returns the new one. Else a fault of kind Conflict.
func (b *Bucket) Set(ctx context.Context, key string, value []byte, revision uint64) (uint64, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	var now uint64
	var err error
	if revision == 0 {
		now, err = b.part(key).Create(ctx, key, value)
	} else {
		now, err = b.part(key).Update(ctx, key, value, revision)
	}
	if err != nil {
		return 0, classify(b.op("set in"), err)
	}
	return now, nil
}

// Put stores value whatever was there: for values that only their owner knows.
func (b *Bucket) Put(ctx context.Context, key string, value []byte) (uint64, error) {
	ctx, cancel := bounded(ctx)
	defer cancel()
	now, err := b.part(key).Put(ctx, key, value)
	if err != nil {
		return 0, classify(b.op("put in"), err)
	}
	return now, nil
}

// Delete removes a key if it still has the given revision. A key that is not
// there is no error.
func (b *Bucket) Delete(ctx context.Context, key string, revision uint64) error {
	ctx, cancel := bounded(ctx)
	defer cancel()
	err := b.part(key).Delete(ctx, key, jetstream.LastRevision(revision))
	if err != nil && !errors.Is(err, jetstream.ErrKeyNotFound) {
		return classify(b.op("delete from"), err)
	}
	return nil
}

// Each calls do for every key that matches filter (a key with NATS wildcards, ">"
// for all) and returns when all that were there at the start have been seen.
func (b *Bucket) Each(ctx context.Context, filter string, do func(Entry) error) error {
	done := errors.New("done")
	there := func(e Entry) error {
		if e.Deleted {
			return nil
		}
		return do(e)
	}
	for _, part := range b.parts {
		if err := b.watch(ctx, part, filter, there, func() error { return done }); !errors.Is(err, done) {
			return err
		}
	}
	return nil
}

// Watch calls do for every matching key, then current once, then do for each
// change, deletions included, until ctx ends. It calls one of them at a time.
func (b *Bucket) Watch(ctx context.Context, filter string, do func(Entry) error, current func()) error {
	g, ctx := errgroup.WithContext(ctx)
	var mu sync.Mutex // one call at a time
	behind := len(b.parts)
	for _, part := range b.parts {
		g.Go(func() error {
			return b.watch(ctx, part, filter, func(e Entry) error {
				mu.Lock()
				defer mu.Unlock()
				return do(e)
			}, func() error {
				mu.Lock()
				defer mu.Unlock()
				if behind--; behind == 0 {
					current()
				}
				return nil
			})
		})
	}
	return g.Wait()
}

func (b *Bucket) watch(ctx context.Context, part part, filter string, do func(Entry) error, current func() error) error {
	w, err := part.Watch(ctx, filter)
	if err != nil {
		return classify(b.op("watch"), err)
	}
	defer func() { _ = w.Stop() }()
	end := listing.NewEnd(part.stream, []string{"$KV." + part.Bucket() + "." + filter}, current)
	idle := time.NewTimer(listing.Patience)
	defer idle.Stop()
	for {
		if !end.Reached() {
			idle.Reset(listing.Patience)
		}
		select {
		case <-ctx.Done():
			return fault.New(fault.Cancelled, b.op("watch"), context.Cause(ctx))
		case <-idle.C:
			err = end.Look(ctx)
		case e, open := <-w.Updates():
			switch {
			case !open && ctx.Err() != nil: // both at once: it ended because it was asked to
				return fault.New(fault.Cancelled, b.op("watch"), context.Cause(ctx))
			case !open:
				return fault.Errorf(fault.Unavailable, b.op("watch"), "the broker ended the watch")
			case e == nil: // the client has counted what came, which is not the end yet
				err = end.Look(ctx)
			default:
				err = do(entryOf(e))
				if err == nil {
					err = end.Saw(ctx, e.Revision(), e.Delta())
				}
			}
		}
		if err != nil {
			return err
		}
	}
}

func entryOf(e jetstream.KeyValueEntry) Entry {
	return Entry{Key: e.Key(), Value: e.Value(), Revision: e.Revision(), Created: e.Created(),
		Deleted: e.Operation() != jetstream.KeyValuePut}
}

func (b *Bucket) op(verb string) string { return "store: " + verb + " " + string(b.name) }

func bounded(ctx context.Context) (context.Context, context.CancelFunc) {
	return context.WithTimeoutCause(ctx, timeout, errors.New("no answer from the broker"))
}

func classify(op string, err error) error {
	var api *jetstream.APIError
	switch {
	case errors.Is(err, jetstream.ErrKeyNotFound), errors.Is(err, jetstream.ErrBucketNotFound):
		return fault.New(fault.NotFound, op, err)
	case errors.Is(err, jetstream.ErrKeyExists),
		errors.As(err, &api) && (api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequence || api.ErrorCode == jetstream.JSErrCodeStreamWrongLastSequenceConstant):
		return fault.New(fault.Conflict, op, err)
	case errors.Is(err, jetstream.ErrInvalidKey):
		return fault.New(fault.Invalid, op, err)
	case errors.Is(err, context.DeadlineExceeded), errors.Is(err, nats.ErrTimeout):
		return fault.New(fault.Timeout, op, err)
	case errors.Is(err, context.Canceled):
		return fault.New(fault.Cancelled, op, err)
	}
	return fault.New(fault.Unavailable, op, err)
}
