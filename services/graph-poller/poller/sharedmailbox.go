package poller

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// followShared keeps up who the mailboxes are that the configuration says are everybody's:
// by object id, or by the name that the directory has for them now. It reads this
// service's own facts, because another instance may have written them.
func (r *contactReader) followShared(ctx context.Context) error {
	named := map[string]bool{} // by names in lower case
	r.mu.Lock()
	for _, name := range r.t.conf.Shared {
		if user, err := identity.ParseUser(name); err == nil {
			r.shared[strings.ToLower(name)] = user
		} else {
			named[strings.ToLower(name)] = true
		}
	}
	r.mu.Unlock()
	ready := sync.OnceFunc(func() { close(r.resolved) })
	if len(named) == 0 {
		ready()
		<-ctx.Done()
		return nil
	}
	filter := topology.Wildcard("m365.fact.user." + topology.Token(string(r.t.conf.ID)) + ".<user>")
	return r.t.p.bus.Follow(ctx, topology.Directory, []string{filter}, func(m bus.Message) error {
		if fact, err := wire.DecodeUser(m.Data); err == nil && r.name(fact, named) {
			r.renamed.give()
		}
		return nil
	}, ready)
}

// sharedPatience is how long it is waited for names that the directory may have.
const sharedPatience = time.Minute

// awaitShared waits until the names of shared mailboxes are known, or the directory was
// read and does not have them: what is everybody's is not to begin as somebody's.
func (r *contactReader) awaitShared(ctx context.Context) {
	over := time.After(sharedPatience)
	for r.unresolved() > 0 {
		read, err := r.t.directoryRead(ctx)
		last := err == nil && read
		select {
		case <-ctx.Done():
			return
		case <-over:
			last = true
		case <-time.After(gatherLinks): // also for facts that are on their way
		}
		if last {
			break
		}
	}
	for _, name := range r.strangers() {
		r.t.log.Warn("a shared mailbox is not known in the directory; if that stays so, correct contacts.shared_mailboxes", "mailbox", name)
	}
}

// name notes what a user's fact says about the names of shared mailboxes, and whether
// that is news.
func (r *contactReader) name(fact wire.User, named map[string]bool) (news bool) {
	upn := strings.ToLower(fact.UPN)
	r.mu.Lock()
	defer r.mu.Unlock()
	for name, user := range r.shared {
		if named[name] && user == fact.Person.User && (fact.Gone || name != upn) {
			delete(r.shared, name)
			news = true
		}
	}
	if !fact.Gone && named[upn] && r.shared[upn] != fact.Person.User {
		r.shared[upn] = fact.Person.User
		news = true
	}
	return news
}

// isShared says whether the contacts of a mailbox are everybody's.
func (r *contactReader) isShared(user identity.User) bool {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, is := range r.shared {
		if is == user {
			return true
		}
	}
	return false
}

// strangers lists the names of shared mailboxes that nobody has.
func (r *contactReader) strangers() (names []string) {
	r.mu.Lock()
	defer r.mu.Unlock()
	for _, name := range r.t.conf.Shared {
		if _, known := r.shared[strings.ToLower(name)]; !known {
			names = append(names, name)
		}
	}
	slices.Sort(names)
	return names
}

func (r *contactReader) unresolved() int { return len(r.strangers()) }
