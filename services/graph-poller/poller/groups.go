package poller

import (
	"context"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

const (
	// groupsAtOnce bounds how many groups are read at a time.
	groupsAtOnce = 4
	// confirmAbsent is how many reads in a row must find no such group before nobody is
	// in it.
	confirmAbsent = 2
)

// groups reads who is in the groups on which something depends, while the lease is
// held: those with options of their own, those whose members get extensions, and those
// with priority. Of others nothing is read.
type groups struct {
	t *tenant

	mu    sync.Mutex // guards known
	known map[identity.Group]groupState
}

// groupState is what became of reading a group in this term.
type groupState struct {
	due    time.Time     // when it is read next, broker time
	pause  time.Duration // the last one after a failure
	absent int           // how many reads in a row found no such group
	result groupResult   // of the last read
}

// groupResult is a label of metrics.
type groupResult string

// The results; "": not read yet.
const (
	groupRead   groupResult = "read"
	groupGone   groupResult = "gone" // there is no such group
	groupDenied groupResult = "denied"
	groupFailed groupResult = "failed" // in passing, or too large
)

// groupsLoop reads groups at once when something names them, and then as often as the
// directory.
func (t *tenant) groupsLoop(ctx context.Context) error {
	g := &groups{t: t, known: map[identity.Group]groupState{}}
	for {
		relinked := t.p.relinked.next()
		next, err := g.round(ctx)
		if err != nil && ctx.Err() == nil {
			t.log.Warn("groups", "kind", fault.KindOf(err), "error", err)
			next = t.conf.Keep.Retry
		}
		select {
		case <-ctx.Done():
			return nil
		case <-time.After(next):
		case <-relinked:
			select { // links come in numbers
			case <-ctx.Done():
				return nil
			case <-time.After(t.gather()):
			}
		}
	}
}

// round reads every group that is due and returns after how long the next one is.
func (g *groups) round(ctx context.Context) (time.Duration, error) {
	named, all, err := g.t.namedGroups(ctx)
	if err != nil {
		return 0, err
	}
	if all {
		if err := g.forget(ctx, named); err != nil {
			return 0, err
		}
	}
	reads, rctx := errgroup.WithContext(ctx)
	reads.SetLimit(groupsAtOnce)
	now := g.t.p.bus.Now()
	for _, id := range named {
		if state := g.state(id); !state.due.After(now) {
			reads.Go(func() error { return g.read(rctx, id, state) })
		}
	}
	err = reads.Wait()
	next, counts := g.t.conf.Users, map[groupResult]int{}
	now = g.t.p.bus.Now()
	for _, id := range named {
		state := g.state(id)
		next = min(next, max(0, state.due.Sub(now)))
		counts[state.result]++
	}
	g.t.p.groups.known(ctx, g.t.conf.ID, counts)
	next = min(next, g.t.names.next(ctx, now))
	if !all {
		next = min(next, g.t.conf.Keep.Retry)
	}
	return next, err
}

func (g *groups) state(id identity.Group) groupState {
	g.mu.Lock()
	defer g.mu.Unlock()
	return g.known[id]
}

func (g *groups) keep(id identity.Group, state groupState) {
	g.mu.Lock()
	defer g.mu.Unlock()
	g.known[id] = state
}

// forget empties what is stored of groups that nothing names any more, so that nobody
// is in one by what it was long ago when it is named again.
func (g *groups) forget(ctx context.Context, named []identity.Group) error {
	for id, known := range g.t.p.options.Memberships(g.t.conf.ID) {
		if slices.Contains(named, id) || known.Problem == wire.GroupUnnamed {
			continue
		}
		g.mu.Lock()
		delete(g.known, id)
		g.mu.Unlock()
		changed, err := g.store(ctx, wire.Group{Tenant: g.t.conf.ID, ID: id, Problem: wire.GroupUnnamed, SeenAt: g.t.p.bus.Now()})
		if err != nil {
			return err
		}
		if changed {
			g.t.log.Info("nothing names a group any more; its members are forgotten", "group", id, "name", known.Name)
		}
	}
	return nil
}

// read reads one group and publishes what differs. Its failure is nobody else's; what
// is returned is the broker's.
func (g *groups) read(ctx context.Context, id identity.Group, state groupState) error {
	began := g.t.p.bus.Now()
	is, err := g.t.client.GroupMembers(ctx, id)
	if ctx.Err() != nil {
		return nil
	}
	if err != nil {
		return g.failed(ctx, id, state, began, err)
	}
	changed, err := g.store(ctx, wire.Group{Tenant: g.t.conf.ID, ID: id, Name: is.Name, Members: is.Members, SeenAt: began})
	if err != nil {
		return err
	}
	result := "read"
	if changed {
		result = "changed"
		g.t.log.Info("members of a group", "group", id, "name", is.Name, "users", len(is.Members))
	}
	g.t.p.groups.read(ctx, g.t.conf.ID, result)
	g.keep(id, groupState{due: began.Add(g.t.conf.Users), result: groupRead})
	return nil
}

// failed says what a read in vain means: as long as it may be a mishap, nothing. Who
// was in the group last stays in it, unless the group is confirmed to be gone.
func (g *groups) failed(ctx context.Context, id identity.Group, state groupState, began time.Time, err error) error {
	kind := fault.KindOf(err)
	g.t.p.groups.read(ctx, g.t.conf.ID, kind.String())
	state.pause = min(max(2*state.pause, g.t.conf.Keep.Retry), g.t.conf.Users)
	next, absent := max(state.pause, fault.RetryAfter(err)), 0
	var broken error
	switch kind {
	case fault.NotFound:
		absent = state.absent + 1
		if absent < confirmAbsent {
			next = min(g.t.conf.Again, g.t.conf.Users)
			g.t.log.Info("Graph knows no such group; it is asked once more", "group", id)
			break
		}
		next, state.result = g.t.conf.Users, groupGone
		broken = g.gone(ctx, id, began)
	case fault.Denied:
		state.result = groupDenied
		g.t.log.Warn("members of a group may not be read, so those that were known stay; grant the application permission GroupMember.Read.All, "+
			"and Member.Read.Hidden for a group that hides its members", "group", id, "error", err)
		broken = g.doubtful(ctx, id, wire.GroupDenied, began)
	case fault.Unsupported:
		next, state.result = g.t.conf.Users, groupFailed
		g.t.log.Warn("a group is too large to be read, so its members that were known stay", "group", id, "error", err)
		broken = g.doubtful(ctx, id, wire.GroupTooLarge, began)
	default:
		state.result = groupFailed
		g.t.log.Warn("members of a group cannot be read, so those that were known stay", "group", id, "kind", kind, "error", err)
	}
	state.due, state.absent = began.Add(next), absent
	g.keep(id, state)
	return broken
}

// gone lets nobody be in a group that there is not any more. What was never there and
// has priority alone may be a user who is not known yet: of that nothing is stored.
func (g *groups) gone(ctx context.Context, id identity.Group, began time.Time) error {
	old, err := g.t.storedGroup(ctx, id)
	if err != nil {
		return err
	}
	if old.sequence == 0 && !slices.Contains(g.t.neededGroups(), id) {
		return nil
	}
	changed, err := g.store(ctx, wire.Group{Tenant: g.t.conf.ID, ID: id, Name: old.fact.Name, Problem: wire.GroupGone, SeenAt: began})
	if changed {
		g.t.log.Warn("there is no such group any more: nobody is in it", "group", id, "name", old.fact.Name)
	}
	return err
}

// doubtful notes beside who was in a group last why this may not be so now.
func (g *groups) doubtful(ctx context.Context, id identity.Group, why string, began time.Time) error {
	old, err := g.t.storedGroup(ctx, id)
	if err != nil {
		return err
	}
	fact := old.fact
	if fact.Problem == wire.GroupUnnamed || fact.SeenAt.IsZero() {
		fact.SeenAt = began
	}
	fact.Tenant, fact.ID, fact.Problem = g.t.conf.ID, id, why
	_, err = g.store(ctx, fact)
	return err
}

// store publishes a fact if it says something else than the stored one.
func (g *groups) store(ctx context.Context, fact wire.Group) (changed bool, err error) {
	old, err := g.t.storedGroup(ctx, fact.ID)
	if err != nil {
		return false, err
	}
	if old.sequence > 0 && old.fact.Name == fact.Name && old.fact.Problem == fact.Problem && slices.Equal(old.fact.Members, fact.Members) {
		return false, nil
	}
	_, err = g.t.p.publishOver(ctx, fact, old.sequence)
	return err == nil, err
}

// storedGroup is a group's fact as the stream has it, with its sequence; 0: there is
// none.
type storedGroup struct {
	fact     wire.Group
	sequence uint64
}

func (t *tenant) storedGroup(ctx context.Context, id identity.Group) (storedGroup, error) {
	last, err := t.p.bus.Last(ctx, topology.Directory, wire.GroupSubject(t.conf.ID, id))
	if fault.KindOf(err) == fault.NotFound {
		return storedGroup{}, nil
	}
	if err != nil {
		return storedGroup{}, err
	}
	fact, err := wire.DecodeGroup(last.Data)
	if err != nil {
		return storedGroup{fact: wire.Group{Problem: "unreadable"}, sequence: last.Sequence}, nil // to be written over
	}
	return storedGroup{fact, last.Sequence}, nil
}

// neededGroups lists the groups that are groups for certain: those with options, and
// those whose members get extensions.
func (t *tenant) neededGroups() []identity.Group {
	needed := t.p.options.Groups(t.conf.ID)
	for _, id := range t.conf.Groups {
		if !slices.Contains(needed, id) {
			needed = append(needed, id)
		}
	}
	return needed
}

// namedGroups lists the groups on which something depends. An object id that has
// priority is a group's unless the directory has a user of that id; all is false as
// long as not everything can be told, because the directory was never read or a name could
// not be looked up.
func (t *tenant) namedGroups(ctx context.Context) (named []identity.Group, all bool, err error) {
	named, all = t.neededGroups(), true
	if len(t.conf.Priority) > 0 {
		if all, err = t.directoryRead(ctx); err != nil || !all {
			return named, all, err
		}
	}
	for _, who := range t.conf.Priority {
		id, told, err := t.prioritised(ctx, who)
		if err != nil {
			return nil, false, err
		}
		all = all && told
		if id != "" && !slices.Contains(named, id) {
			named = append(named, id)
		}
	}
	slices.Sort(named)
	return named, all, nil
}

// prioritised returns the group that a priority names, "" where it names a user, or
// nobody; told is false where that is not known.
func (t *tenant) prioritised(ctx context.Context, who string) (id identity.Group, told bool, err error) {
	user, err := identity.ParseUser(who)
	if err != nil {
		is, err := t.names.of(ctx, who)
		return is.group, is.told(), err
	}
	_, err = t.p.bus.Last(ctx, topology.Directory, "m365.fact.user."+wire.PersonKey(identity.Person{Tenant: t.conf.ID, User: user}))
	switch {
	case err == nil:
		return "", true, nil
	case fault.KindOf(err) == fault.NotFound:
		return identity.Group(user), true, nil
	}
	return "", false, err
}

// directoryRead says whether the users were ever read to the end.
func (t *tenant) directoryRead(ctx context.Context) (bool, error) {
	_, err := t.p.cursors.Get(ctx, t.usersKey())
	if fault.KindOf(err) == fault.NotFound {
		return false, nil
	}
	return err == nil, err
}

// membersOf lists who is known to be in a group that a priority names; nobody for what
// names no group.
func (t *tenant) membersOf(ctx context.Context, who string) ([]identity.User, error) {
	id, err := identity.ParseGroup(who)
	if err != nil {
		is, err := t.names.of(ctx, who)
		if err != nil || is.group == "" {
			return nil, err
		}
		id = is.group
	}
	return t.p.options.Members(t.conf.ID, id), nil
}
