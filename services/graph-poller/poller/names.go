package poller

import (
	"context"
	"strings"
	"sync"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/wire"
)

// names knows which groups presence.priority means where it has names instead of object
// ids: display names and mail addresses. A name that several groups have means none of
// them, and says so; a user principal name is never a group's.
//
// Each instance asks for itself: the leases under which groups are read and lanes are
// planned may be held apart.
type names struct {
	t *tenant

	mu    sync.Mutex // guards known; held while Graph is asked, so that nobody asks twice
	known map[string]meaning
}

// meaning is what a name means.
type meaning struct {
	group  identity.Group // "": none, as far as is known
	result nameResult     // of the last look; "": there was none
	due    time.Time      // when it is looked up next, broker time
	pause  time.Duration  // the last one after a look in vain
	absent int            // how many looks in a row found no such group
}

// nameResult is a label of metrics.
type nameResult string

// The results. With the last three a group that was known before is still meant, with
// nameUnknown only until that is confirmed.
const (
	nameUser      nameResult = "user"
	nameGroup     nameResult = "group"
	nameAmbiguous nameResult = "ambiguous" // several groups are called so
	nameUnknown   nameResult = "unknown"   // nobody is called so
	nameDenied    nameResult = "denied"
	nameFailed    nameResult = "failed" // in passing
)

func newNames(t *tenant) *names { return &names{t: t, known: map[string]meaning{}} }

// of returns what a name means now, looking it up where that is due. An error is the
// broker's.
func (n *names) of(ctx context.Context, name string) (meaning, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	is := n.known[name]
	if is.due.After(n.t.p.bus.Now()) {
		return is, nil
	}
	if read, err := n.t.directoryRead(ctx); err != nil || !read { // whether it is a user's cannot be told
		return is, err
	}
	user, err := n.t.isPrincipal(ctx, name)
	if err != nil {
		return is, err
	}
	next, pause := meaning{result: nameUser}, n.t.conf.Users
	if !user {
		found, err := n.t.client.GroupsCalled(ctx, name)
		if ctx.Err() != nil {
			return is, nil
		}
		next = n.look(is, name, found, err)
		pause = n.again(is, &next, err)
	}
	next.due = n.t.p.bus.Now().Add(pause)
	n.known[name] = next
	return next, nil
}

// again says after how long a name is looked up again: what is right as often as the
// directory, the rest sooner, because who puts it right does not want to wait.
func (n *names) again(was meaning, is *meaning, err error) time.Duration {
	most := n.t.conf.Users
	switch {
	case is.result == nameGroup:
		return most
	case is.result == nameUnknown && is.group != "": // it may be gone
		return min(n.t.conf.Again, most)
	}
	is.pause = min(max(2*was.pause, n.t.conf.Keep.Retry), most)
	return max(is.pause, fault.RetryAfter(err))
}

// look judges what Graph answered for a name and tells people if it means something else
// than before.
func (n *names) look(was meaning, name string, found []graph.Group, err error) (next meaning) {
	next.group = was.group
	log := n.t.log.With("name", name)
	news := func(result nameResult) bool { next.result = result; return was.result != result }
	switch {
	case fault.KindOf(err) == fault.Denied:
		if news(nameDenied) {
			log.Warn("presence.priority: the groups that have this name may not be looked up; grant the application permission GroupMember.Read.All, or write the object id of the group", "error", err)
		}
	case err != nil:
		if news(nameFailed) {
			log.Warn("presence.priority: the group that has this name cannot be looked up; it is tried again", "kind", fault.KindOf(err), "error", err)
		}
	case len(found) > 1:
		next.group = ""
		if news(nameAmbiguous) {
			log.Warn("presence.priority: several groups have this name, so it gives nobody a place before others; write the object id of the one that is meant", "groups", described(found))
		}
	case len(found) == 0:
		if next.absent = was.absent + 1; next.absent >= confirmAbsent {
			next.group = ""
		}
		if news(nameUnknown) {
			log.Warn("presence.priority: no user has this principal name, and no group this display name or mail address; correct it, or write the object id")
		}
	default:
		next.group = found[0].ID
		if news(nameGroup) || next.group != was.group {
			log.Info("presence.priority: a group has this name", "group", next.group)
		}
	}
	return next
}

// next reports what the names mean and returns after how long one is looked up again.
func (n *names) next(ctx context.Context, now time.Time) time.Duration {
	n.mu.Lock()
	defer n.mu.Unlock()
	next, counts := n.t.conf.Users, map[nameResult]int{}
	for _, is := range n.known {
		next = min(next, max(0, is.due.Sub(now)))
		counts[is.result]++
	}
	n.t.p.groups.meant(ctx, n.t.conf.ID, counts)
	return next
}

// described names groups for people.
func described(groups []graph.Group) string {
	var list []string
	for _, g := range groups {
		one := string(g.ID)
		if g.Mail != "" {
			one += " (" + g.Mail + ")"
		}
		list = append(list, one)
	}
	return strings.Join(list, ", ")
}

// told says whether it is known what the name means, nothing included.
func (m meaning) told() bool {
	return m.group != "" || m.result != "" && m.result != nameDenied && m.result != nameFailed
}

// isPrincipal says whether the directory has a user of this principal name.
func (t *tenant) isPrincipal(ctx context.Context, name string) (is bool, err error) {
	if !strings.Contains(name, "@") {
		return false, nil
	}
	err = t.eachUser(ctx, func(u wire.User) { is = is || strings.EqualFold(u.UPN, name) })
	return is, err
}
