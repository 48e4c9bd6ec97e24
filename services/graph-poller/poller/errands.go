package poller

import (
	"context"
	"slices"
	"sync"

	"offhook.dev/libs/core/identity"
)

// errands are the mailboxes that are to be read, each of them once at a time and in the
// order in which they were asked for.
type errands struct {
	more chan struct{} // has one when somebody may be waiting

	mu    sync.Mutex // guards what follows
	order []identity.User
	asked map[identity.User]*errand // of those in order
	busy  map[identity.User]bool
}

// errand is what is to be read of a mailbox, and who waits for it.
type errand struct {
	whole bool // everything, and not changes alone
	done  []func(error)
}

func newErrands() *errands {
	return &errands{more: make(chan struct{}, 1), asked: map[identity.User]*errand{}, busy: map[identity.User]bool{}}
}

// add asks for a mailbox to be read. Several who ask before it begins get one reading;
// done, unless nil, is told how it went.
func (e *errands) add(user identity.User, whole bool, done func(error)) {
	e.mu.Lock()
	one := e.asked[user]
	if one == nil {
		one = &errand{}
		e.asked[user] = one
		e.order = append(e.order, user)
	}
	one.whole = one.whole || whole
	if done != nil {
		one.done = append(one.done, done)
	}
	e.mu.Unlock()
	e.signal()
}

func (e *errands) signal() {
	select {
	case e.more <- struct{}{}:
	default:
	}
}

// next waits for a mailbox that nobody reads and takes it; finished follows. It returns
// false when ctx has ended.
func (e *errands) next(ctx context.Context) (user identity.User, one *errand, ok bool) {
	for ctx.Err() == nil {
		if user, one = e.take(); one != nil {
			e.signal() // perhaps there is more for another one
			return user, one, true
		}
		select {
		case <-ctx.Done():
		case <-e.more:
		}
	}
	return "", nil, false
}

func (e *errands) take() (identity.User, *errand) {
	e.mu.Lock()
	defer e.mu.Unlock()
	i := slices.IndexFunc(e.order, func(user identity.User) bool { return !e.busy[user] })
	if i < 0 {
		return "", nil
	}
	user := e.order[i]
	e.order = slices.Delete(e.order, i, i+1)
	one := e.asked[user]
	delete(e.asked, user)
	e.busy[user] = true
	return user, one
}

// finished gives a mailbox free and tells those who waited for it.
func (e *errands) finished(user identity.User, one *errand, err error) {
	e.mu.Lock()
	delete(e.busy, user)
	e.mu.Unlock()
	e.signal()
	for _, done := range one.done {
		done(err)
	}
}

// waiting is how many mailboxes are to be read or are being read.
func (e *errands) waiting() int {
	e.mu.Lock()
	defer e.mu.Unlock()
	return len(e.order) + len(e.busy)
}
