package poller

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"hash/fnv"
	"maps"
	"slices"
	"sync"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// photosTogether is how many users are asked for their photos in one call. Photos come
// after everything else: one call at a time.
const photosTogether = 100

// photoReader reads the photos of linked users, while the lease is held: which one
// somebody has once a day, and the photo itself when it is another, or when the user has
// other extensions. What was published is in the bucket `cursors`.
type photoReader struct {
	t *tenant

	mu sync.Mutex // guards lines
	// lines stands for the extensions that a user's photo was last read for.
	lines map[identity.User]uint64
}

// photoState is a value of the bucket `cursors`: what was last published of a user.
type photoState struct {
	ETag  string `json:"e,omitempty"` // "": no photo
	Lines uint64 `json:"l,omitempty"`
	// Bad is the etag of a photo that is of no use, so that it is read once.
	Bad string `json:"b,omitempty"`
}

func newPhotoReader(t *tenant) *photoReader {
	return &photoReader{t: t, lines: map[identity.User]uint64{}}
}

// run reads until ctx ends: at once who has other extensions than before, everyone once a
// day. Which turn of the day it is says the clock, so that restarts leave nobody out.
func (r *photoReader) run(ctx context.Context) error {
	if !r.t.conf.Photos {
		<-ctx.Done()
		return nil
	}
	if err := r.load(ctx); err != nil {
		return err
	}
	n := turns(r.t.conf.PhotosEvery)
	length := r.t.conf.PhotosEvery / time.Duration(n)
	turnAt := func(at time.Time) int { return int(at.UnixNano() / int64(length) % int64(n)) }
	tick := time.NewTicker(length)
	defer tick.Stop()
	soon := r.t.conf.Keep.Retry
	wait := soon
	for {
		relinked := r.t.p.relinked.next()
		r.read(ctx, r.relined())
		var retry <-chan time.Time
		if len(r.relined()) > 0 { // who could not be read
			retry = time.After(wait)
			wait = min(2*wait, max(soon, min(length, longestPause)))
		} else {
			wait = soon
		}
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
			now := turnAt(time.Now())
			r.read(ctx, slices.DeleteFunc(r.linked(), func(user identity.User) bool { return turnOf(user, n) != now }))
		case <-retry:
		case <-relinked:
			select { // links come in numbers
			case <-ctx.Done():
				return nil
			case <-time.After(r.t.gather()):
			}
		}
	}
}

func (t *tenant) photoKey(user identity.User) string {
	return topology.Join(string(t.conf.ID), "photo", string(user))
}

// load takes up for which extensions photos were read.
func (r *photoReader) load(ctx context.Context) error {
	prefix := topology.Join(string(r.t.conf.ID), "photo") + "."
	return r.t.p.cursors.Each(ctx, prefix+"*", func(e store.Entry) error {
		var state photoState
		if json.Unmarshal(e.Value, &state) != nil {
			return nil
		}
		user, err := identity.ParseUser(e.Key[len(prefix):])
		if err != nil {
			return nil
		}
		r.mark(user, state.Lines)
		return nil
	})
}

func (r *photoReader) linked() []identity.User {
	people := r.t.p.links.People(r.t.conf.ID)
	users := make([]identity.User, len(people))
	for i, person := range people {
		users[i] = person.User
	}
	slices.Sort(users)
	return users
}

// relined lists who has other extensions than those that their photo was read for, and
// forgets who has none: their photo is published again when they come back.
func (r *photoReader) relined() []identity.User {
	linked := r.linked()
	r.mu.Lock()
	defer r.mu.Unlock()
	maps.DeleteFunc(r.lines, func(user identity.User, _ uint64) bool {
		_, there := slices.BinarySearch(linked, user)
		return !there
	})
	return slices.DeleteFunc(linked, func(user identity.User) bool { return r.lines[user] == r.linesOf(user) })
}

// linesOf stands for a user's pairings with extensions; it is never 0.
func (r *photoReader) linesOf(user identity.User) uint64 {
	h := fnv.New64a()
	for _, line := range r.t.p.links.Of(r.t.person(user)) {
		fmt.Fprintf(h, "%s/%s/%d\n", line.System, line.Extension, line.Revision)
	}
	return max(h.Sum64(), 1)
}

// read asks which photos users have and publishes what is news. Who cannot be read now is
// read the next time.
func (r *photoReader) read(ctx context.Context, users []identity.User) {
	users = slices.DeleteFunc(users, func(user identity.User) bool { return !r.told(ctx, user) })
	for chunk := range slices.Chunk(users, photosTogether) {
		results := map[string]int{}
		for tag := range r.t.client.PhotoTags(ctx, chunk) {
			result, err := r.settle(ctx, tag)
			if ctx.Err() != nil {
				return
			}
			if err != nil {
				kind := fault.KindOf(err)
				if result = kind.String(); !kind.Retryable() { // a person has to mend something first
					r.mark(tag.User, r.linesOf(tag.User))
				}
				r.t.log.Debug("a photo cannot be read", "user", tag.User, "kind", fault.KindOf(err), "error", err)
			}
			results[result]++
		}
		r.t.p.people.photos(ctx, r.t.conf.ID, results)
	}
}

// told says whether the directory has told of a user. The fact that names a photo is its:
// who is read before it is there would be without a photo until there is another one.
func (r *photoReader) told(ctx context.Context, user identity.User) bool {
	stored, err := r.t.storedUser(ctx, user)
	if err != nil {
		r.t.log.Debug("a photo cannot be read", "user", user, "kind", fault.KindOf(err), "error", err)
	}
	return err == nil && stored.sequence > 0
}

// settle publishes a photo if it is another than the one published last, or for other
// extensions, or if it did not get to all of them. The fact follows the photo, and what is remembered follows both.
func (r *photoReader) settle(ctx context.Context, tag graph.PhotoTag) (result string, err error) {
	if tag.Err != nil {
		return "", tag.Err
	}
	state, err := r.published(ctx, tag.User)
	if err != nil {
		return "", err
	}
	next := photoState{ETag: state.ETag, Lines: r.linesOf(tag.User), Bad: state.Bad}
	result = "unchanged"
	due := r.t.p.links.PhotoDue(r.t.person(tag.User))
	switch again := due || next.Lines != state.Lines; {
	case tag.ETag == "":
		if result = "none"; due || state.ETag != "" {
			result, err = "removed", r.publish(ctx, tag.User, wire.Photo{})
		}
		next.ETag, next.Bad = "", ""
	case tag.ETag == state.Bad, tag.ETag == state.ETag && !again:
	default:
		result, err = r.changed(ctx, tag, &next)
	}
	if err == nil {
		err = r.keep(ctx, tag.User, next, state)
	}
	return result, err
}

// published is what was last published of a user; the zero state where nothing was.
func (r *photoReader) published(ctx context.Context, user identity.User) (state photoState, err error) {
	e, err := r.t.p.cursors.Get(ctx, r.t.photoKey(user))
	if err != nil {
		if fault.KindOf(err) == fault.NotFound {
			err = nil
		}
		return photoState{}, err
	}
	_ = json.Unmarshal(e.Value, &state) // else as if nothing was published
	return state, nil
}

// changed reads a photo and publishes it. One that is of no use is remembered as such;
// what was published before stays.
func (r *photoReader) changed(ctx context.Context, tag graph.PhotoTag, next *photoState) (result string, err error) {
	data, err := r.t.client.Photo(ctx, tag.User)
	var photo wire.Photo
	switch kind := fault.KindOf(err); {
	case err == nil:
		photo.Image, photo.MIME, err = avatar(data)
	case kind == fault.Unsupported:
		err = errTooLarge
	case kind == fault.NotFound: // it was removed just now
		return "none", nil
	default:
		return "", err
	}
	if err != nil {
		result = "not-a-picture"
		if errors.Is(err, errTooLarge) {
			result = "too-large"
		}
		r.t.log.Info("a user's photo is of no use to phone systems; it is looked at again when there is another one", "user", tag.User, "why", err)
		next.Bad = tag.ETag
		return result, nil
	}
	photo.ETag = tag.ETag
	next.ETag, next.Bad = tag.ETag, ""
	return "changed", r.publish(ctx, tag.User, photo)
}

// publish publishes a photo, or that there is none any more, and puts its etag into the
// user's fact.
func (r *photoReader) publish(ctx context.Context, user identity.User, photo wire.Photo) error {
	photo.Person, photo.SeenAt = r.t.person(user), r.t.p.bus.Now()
	if err := r.t.p.publish(ctx, photo); err != nil {
		return err
	}
	return r.t.changeUser(ctx, user, false, func(old wire.User) wire.User {
		if old.Person.User == "" { // nothing is known of them: then they are as good as gone
			return wire.User{Person: photo.Person, Gone: true, SeenAt: photo.SeenAt}
		}
		if !old.Gone && old.Photo != photo.ETag {
			old.Photo, old.SeenAt = photo.ETag, photo.SeenAt
		}
		return old
	})
}

func (r *photoReader) keep(ctx context.Context, user identity.User, state, was photoState) error {
	if state != was {
		value, err := json.Marshal(state)
		if err != nil {
			panic("photo state: " + err.Error()) // plain fields: cannot fail
		}
		if _, err := r.t.p.cursors.Put(ctx, r.t.photoKey(user), value); err != nil {
			return err
		}
	}
	r.mark(user, state.Lines)
	return nil
}

func (r *photoReader) mark(user identity.User, lines uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	r.lines[user] = lines
}
