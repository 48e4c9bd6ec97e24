package poller

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/books"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/run"
	"offhook.dev/libs/store"
)

const (
	// mailboxesAtOnce is how many mailboxes are read at a time, each with one request.
	mailboxesAtOnce = 32
	// mailboxTime bounds the reading of one: a shared mailbox may have a thousand pages.
	mailboxTime = 10 * time.Minute
	// longestMailboxPause between two tries for one mailbox.
	longestMailboxPause = 15 * time.Minute
)

// contactReader reads the contacts of a tenant's mailboxes, while the lease is held: those
// of every linked user and those that are everybody's. What it knows of a mailbox is in
// the bucket `cursors`; in memory there is who was read, and who could not be.
type contactReader struct {
	t        *tenant
	errands  *errands
	renamed  *signal       // shared mailboxes are others than before
	resolved chan struct{} // closed when the shared mailboxes are known

	mu      sync.Mutex // guards what follows
	seen    map[identity.User]bool
	failing map[identity.User]pause
	shared  map[string]identity.User    // by the names of the configuration
	lacking map[identity.User]time.Time // who has to be read whole, by a reading that begins after this
}

func newContactReader(t *tenant) *contactReader {
	return &contactReader{t: t, errands: newErrands(), renamed: newSignal(), resolved: make(chan struct{}), seen: map[identity.User]bool{},
		failing: map[identity.User]pause{}, shared: map[string]identity.User{}, lacking: map[identity.User]time.Time{}}
}

// run reads until ctx ends: at once who is new, everyone once an hour, and in between
// who has to be read whole, or whom somebody asked for.
func (r *contactReader) run(ctx context.Context) error {
	g, ctx := errgroup.WithContext(ctx)
	current := make(chan struct{})
	g.Go(func() error { return run.Ended(ctx, r.followShared(ctx)) })
	g.Go(func() error {
		return run.Ended(ctx, books.Watch(ctx, r.t.p.books, r.noteLack, sync.OnceFunc(func() { close(current) })))
	})
	g.Go(func() error {
		for _, ready := range []chan struct{}{r.resolved, current} {
			select {
			case <-ctx.Done():
				return nil
			case <-ready:
			}
		}
		r.awaitShared(ctx)
		for range mailboxesAtOnce {
			g.Go(func() error { r.work(ctx); return nil })
		}
		g.Go(func() error { r.newcomers(ctx); return nil })
		g.Go(func() error { r.retries(ctx); return nil })
		return run.Ended(ctx, r.sweeps(ctx))
	})
	return g.Wait()
}

// mailboxes lists whose contacts are read, in a fixed order.
func (r *contactReader) mailboxes() []identity.User {
	var users []identity.User
	if r.t.conf.Personal {
		for _, person := range r.t.p.links.People(r.t.conf.ID) {
			users = append(users, person.User)
		}
	}
	r.mu.Lock()
	users = slices.AppendSeq(users, maps.Values(r.shared))
	r.mu.Unlock()
	slices.Sort(users)
	return slices.Compact(users)
}

// wants says whether the contacts of a mailbox are read.
func (r *contactReader) wants(user identity.User) bool {
	return r.t.conf.Personal && len(r.t.p.links.Of(r.t.person(user))) > 0 || r.isShared(user)
}

// work reads one mailbox after the other.
func (r *contactReader) work(ctx context.Context) {
	for {
		user, one, ok := r.errands.next(ctx)
		if !ok {
			return
		}
		err := r.readOne(ctx, user, one.whole)
		r.errands.finished(user, one, err)
	}
}

func (r *contactReader) readOne(ctx context.Context, user identity.User, whole bool) error {
	if !r.wants(user) {
		return nil
	}
	bounded, cancel := context.WithTimeout(ctx, mailboxTime)
	defer cancel()
	result, err := r.read(bounded, user, whole)
	if ctx.Err() != nil {
		return fault.New(fault.Cancelled, "read contacts", context.Cause(ctx))
	}
	r.mu.Lock()
	r.seen[user] = true
	if err != nil {
		result = fault.KindOf(err).String()
		rest := r.failing[user]
		rest.note(err, time.Now(), r.t.conf.Keep.Retry, longestMailboxPause)
		r.failing[user] = rest
	} else {
		delete(r.failing, user)
	}
	r.mu.Unlock()
	if err != nil {
		r.t.log.Warn("contacts of a mailbox cannot be read", "mailbox", user, "kind", fault.KindOf(err), "error", err)
	}
	r.t.p.people.contacts(ctx, r.t.conf.ID, result)
	return err
}

// newcomers has everybody read at once who was not read in this term, and forgets who is
// not to be read any more: they are new when they come back.
func (r *contactReader) newcomers(ctx context.Context) {
	for {
		relinked, renamed := r.t.p.relinked.next(), r.renamed.next()
		there := map[identity.User]bool{}
		var fresh []identity.User
		users := r.mailboxes()
		r.mu.Lock()
		for _, user := range users {
			if there[user] = true; !r.seen[user] {
				r.seen[user] = true
				fresh = append(fresh, user)
			}
		}
		maps.DeleteFunc(r.seen, func(user identity.User, _ bool) bool { return !there[user] })
		maps.DeleteFunc(r.failing, func(user identity.User, _ pause) bool { return !there[user] })
		r.mu.Unlock()
		for _, user := range fresh {
			r.errands.add(user, false, nil)
		}
		select {
		case <-ctx.Done():
			return
		case <-relinked:
		case <-renamed:
		}
		select { // links come in numbers
		case <-ctx.Done():
			return
		case <-time.After(r.t.gather()):
		}
	}
}

// sweeps has everybody read once in an interval, spread over it, and once in each forgets
// how far those were read who are not read any more.
func (r *contactReader) sweeps(ctx context.Context) error {
	n := turns(r.t.conf.Contacts)
	tick := time.NewTicker(r.t.conf.Contacts / time.Duration(n))
	defer tick.Stop()
	for turn := 0; ; turn = (turn + 1) % n {
		select {
		case <-ctx.Done():
			return nil
		case <-tick.C:
		}
		for _, user := range r.mailboxes() {
			if turnOf(user, n) == turn {
				r.errands.add(user, false, nil)
			}
		}
		r.t.p.people.waiting(ctx, r.t.conf.ID, r.errands.waiting())
		if turn == 0 {
			if err := r.tidy(ctx); err != nil {
				return err
			}
		}
	}
}

// retries has mailboxes read again that could not be.
func (r *contactReader) retries(ctx context.Context) {
	tick := time.NewTicker(r.t.conf.Keep.Retry)
	defer tick.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-tick.C:
		}
		now := time.Now()
		var due []identity.User
		r.mu.Lock()
		for user, rest := range r.failing {
			if !rest.until.After(now) {
				rest.until = now.Add(mailboxTime) // until it is read
				r.failing[user] = rest
				due = append(due, user)
			}
		}
		r.mu.Unlock()
		slices.Sort(due)
		for _, user := range due {
			r.errands.add(user, false, nil)
		}
	}
}

// tidy forgets how far the contacts of those were read who are not read any more. Who
// comes back is read whole.
func (r *contactReader) tidy(ctx context.Context) error {
	keep := map[string]bool{}
	for _, user := range r.mailboxes() {
		keep[r.t.contactsKey(user)] = true
	}
	if r.unresolved() > 0 { // it may be one of them, under a name that is not known yet
		return nil
	}
	return r.t.p.cursors.Each(ctx, r.t.contactsKey("*"), func(e store.Entry) error {
		if keep[e.Key] {
			return nil
		}
		return r.t.p.cursors.Delete(ctx, e.Key, e.Revision)
	})
}

// noteLack takes up that a mailbox has to be read whole, or (zero) not any more.
func (r *contactReader) noteLack(mailbox identity.Person, after time.Time) {
	if mailbox.Tenant != r.t.conf.ID {
		return
	}
	r.mu.Lock()
	if after.IsZero() {
		delete(r.lacking, mailbox.User)
	} else {
		r.lacking[mailbox.User] = after
	}
	r.mu.Unlock()
	if !after.IsZero() {
		r.errands.add(mailbox.User, false, nil)
	}
}

// lacks says whether a mailbox has to be read whole, as the newest reading of everything
// began too early.
func (r *contactReader) lacks(user identity.User, whole time.Time) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	after := r.lacking[user]
	return !after.IsZero() && !whole.After(after)
}
