package poller

import (
	"context"
	"maps"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/notification"
	"offhook.dev/libs/run"
	"offhook.dev/libs/store"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// clockSkew is by how much Graph's clock may differ from the broker's.
const clockSkew = 5 * time.Minute

// askEventLife is the life asked for: with a clock that is behind by clockSkew it is
// still one that Graph accepts.
const askEventLife = graph.MaxEventLife - clockSkew

// eventJobs is how many subscriptions are worked at at the same time. How fast that
// is decides the client's budget.
const eventJobs = 8

// everybody stands among the users of an eventKeeper for all that the directory has:
// the subscription to them is kept as those to one user's events are.
const everybody identity.User = "everybody"

// userOf is whom the subscription of a record is about; false: that is not told, or it
// is none that an eventKeeper keeps.
func userOf(r subscription.Record) (identity.User, bool) {
	switch {
	case r.Resource == subscription.ResourceUsers:
		return everybody, true
	case r.Resource == subscription.ResourceEvent && len(r.Users) == 1:
		return r.Users[0], true
	}
	return "", false
}

// userOfResource is userOf by what Graph says.
func userOfResource(resource string) (identity.User, bool) {
	if graph.IsUsersResource(resource) {
		return everybody, true
	}
	return graph.EventUser(resource)
}

// recordOf is the record of a subscription about a user, without what its making adds.
func (t *tenant) recordOf(user identity.User) subscription.Record {
	r := subscription.Record{Tenant: t.conf.ID, Directory: t.conf.Directory, App: t.conf.App, URL: t.conf.PublicURL}
	if user == everybody {
		r.Resource = subscription.ResourceUsers
		return r
	}
	r.Resource, r.Users = subscription.ResourceEvent, []identity.User{user}
	return r
}

// eventKeeper holds a subscription to the events of each linked user whose calendar
// can be read, and one to the users of the directory, for one tenant, while its lease
// is held. It has one goroutine of its
// own, whatever the number of users: each pass compares what should be with what is
// (plan, in eventplan.go) and does what is due. What it knows survives it in the
// records; what Graph has is listed now and then (eventlist.go).
type eventKeeper struct {
	t      *tenant
	reader *calendars // reads whose subscription was lost for a time
	wake   chan struct{}

	listings sync.WaitGroup
	mu       sync.Mutex // guards what follows
	held     map[identity.User]*heldEvent
	users    map[string]identity.User // of held, by the keys of their records
	readable map[identity.User]bool   // by the stored calendars; not there: not read yet
	strays   []generation             // at Graph or in the bucket, and to go
	list     listState
	trouble  trouble
	foreign  int // subscriptions of somebody else's that are in the way, at the last list
}

// heldEvent is what is known about the subscription to one user's events.
type heldEvent struct {
	generation
	said    notification.Lifecycle // what Graph said and nobody acted on yet
	doubt   bool                   // the list did not have it
	touched time.Time              // when Graph last confirmed it
	pause   pause
}

// keepEvents holds the subscriptions until ctx ends. Where there should be none, it
// only ends those that an earlier configuration left.
func (t *tenant) keepEvents(ctx context.Context) error {
	k := &eventKeeper{t: t, reader: newCalendars(t, wire.ShardAll), wake: make(chan struct{}, 1),
		held: map[identity.User]*heldEvent{}, users: map[string]identity.User{}, readable: map[identity.User]bool{everybody: true}}
	if err := k.load(ctx); err != nil {
		return run.Ended(ctx, err)
	}
	defer k.listings.Wait()
	if !t.subscribes() && !t.subscribesUsers() {
		k.loop(ctx, nil)
		return nil
	}
	g, ctx := errgroup.WithContext(ctx)
	var current chan struct{}
	if t.subscribes() {
		current = make(chan struct{})
		g.Go(func() error { return run.Ended(ctx, k.followCalendars(ctx, sync.OnceFunc(func() { close(current) }))) })
	}
	g.Go(func() error { return k.lifecycle(ctx) })
	g.Go(func() error { k.loop(ctx, current); return nil })
	return g.Wait()
}

// subscribes says whether there should be subscriptions to events.
func (t *tenant) subscribes() bool {
	return t.conf.Calendar && t.conf.Subscribe && t.conf.PublicURL != ""
}

// subscribesUsers says whether there should be a subscription to the directory.
func (t *tenant) subscribesUsers() bool { return t.conf.SubscribeUsers && t.conf.PublicURL != "" }

// load takes over the records of an earlier life: what they name goes on. A record
// whose create call did not come back may be about nothing; it goes, and if there is
// something at Graph, the list finds it. Of two generations the older one goes.
func (k *eventKeeper) load(ctx context.Context) error {
	return k.t.p.subscriptions.Each(ctx, ">", func(e store.Entry) error {
		record, err := subscription.Decode(e.Value)
		if err != nil || record.Tenant != k.t.conf.ID || record.Resource != subscription.ResourceEvent && record.Resource != subscription.ResourceUsers {
			return nil
		}
		g := generation{e.Key, record}
		user, told := userOf(record)
		if !told || record.ID == "" {
			k.strays = append(k.strays, g)
			return nil
		}
		old := k.held[user]
		if old != nil && old.record.Made.After(record.Made) {
			k.strays = append(k.strays, g)
			return nil
		}
		if old != nil {
			k.strays = append(k.strays, old.generation)
		}
		k.hold(user, g)
		return nil
	})
}

// hold notes a user's generation instead of the one before; the zero one: none. k.mu
// is held, or nobody else is there yet.
func (k *eventKeeper) hold(user identity.User, g generation) *heldEvent {
	h := k.held[user]
	if h == nil {
		h = &heldEvent{}
		k.held[user] = h
	}
	delete(k.users, h.key)
	h.generation, h.doubt, h.said = g, false, ""
	if g.key != "" {
		k.users[g.key] = user
		h.touched = later(g.record.Made, g.record.Renewed)
	}
	return h
}

func later(a, b time.Time) time.Time {
	if a.After(b) {
		return a
	}
	return b
}

// followCalendars learns from the stored facts whose calendar can be read. Asking for
// a subscription to another one is useless, and would look like a lack of rights.
func (k *eventKeeper) followCalendars(ctx context.Context, current func()) error {
	filter := topology.Wildcard("m365.fact.calendar." + topology.Token(string(k.t.conf.ID)) + ".<user>")
	return k.t.p.bus.Follow(ctx, topology.Facts, []string{filter}, func(m bus.Message) error {
		fact, err := wire.DecodeCalendar(m.Data)
		if err != nil {
			return nil // somebody else's to complain about
		}
		k.mu.Lock()
		was := k.readable[fact.Person.User]
		k.readable[fact.Person.User] = fact.Problem == ""
		k.mu.Unlock()
		if !was && fact.Problem == "" {
			k.awake()
		}
		return nil
	}, current)
}

func (k *eventKeeper) awake() {
	select {
	case k.wake <- struct{}{}:
	default:
	}
}

// lifecycle notes what Graph says about subscriptions. Nothing is lost with a note:
// Graph says it again, or the list shows it.
func (k *eventKeeper) lifecycle(ctx context.Context) error {
	return k.t.p.bus.Consume(ctx, bus.Consumer{
		Stream: topology.Hints, Durable: topology.Token("graph-poller-" + string(k.t.conf.ID) + "-" + subscription.HintEventSubscription),
		Filters: []string{topology.Wildcard("m365.hint." + subscription.HintEventSubscription + "." + topology.Token(string(k.t.conf.ID)) + ".<id>")},
	}, func(_ context.Context, m bus.Message) error {
		hint, err := wire.DecodeHint(m.Data)
		if err != nil {
			return err
		}
		k.mu.Lock()
		defer k.mu.Unlock()
		user, ours := k.users[hint.ID]
		if !ours {
			return nil // of an earlier generation
		}
		h := k.held[user]
		if h.said != notification.SubscriptionRemoved { // which counts more
			h.said = notification.Lifecycle(hint.Cause)
		}
		k.awake()
		return nil
	})
}

// loop makes one pass after the other until ctx ends. current is closed when it is
// known whose calendar can be read; nil: there is nothing to subscribe to.
func (k *eventKeeper) loop(ctx context.Context, current <-chan struct{}) {
	if current != nil {
		select {
		case <-ctx.Done():
			return
		case <-current:
		}
	}
	for {
		relinked := k.t.p.relinked.next()
		next := k.pass(ctx)
		select {
		case <-ctx.Done():
			return
		case <-time.After(next):
		case <-k.wake:
		case <-relinked:
		}
		select { // links, facts and hints come in numbers
		case <-ctx.Done():
			return
		case <-time.After(k.t.gather()):
		}
	}
}

// pass does what is due now and returns when to look again.
func (k *eventKeeper) pass(ctx context.Context) time.Duration {
	if wait := k.tenantPause(k.t.p.bus.Now()); wait > 0 {
		return wait
	}
	if k.t.subscribes() || k.t.subscribesUsers() {
		k.startList(ctx)
	}
	jobs, next := k.plan(k.t.p.bus.Now(), k.wanted())
	k.readLost(ctx, k.work(ctx, jobs))
	k.tell(ctx)
	if wait := k.tenantPause(k.t.p.bus.Now()); wait > 0 {
		return wait
	}
	return next
}

// readLost reads whose changes may have been lost. The sweep reads whom this does not,
// and the directory where another process reads it.
func (k *eventKeeper) readLost(ctx context.Context, users []identity.User) {
	if i := slices.Index(users, everybody); i >= 0 {
		k.t.tellUsers()
		users = slices.Delete(users, i, i+1)
	}
	ctx, cancel := context.WithTimeout(ctx, readTime)
	defer cancel()
	k.reader.read(ctx, users, func(identity.User, error) {})
}

// wanted is who should have a subscription.
func (k *eventKeeper) wanted() map[identity.User]bool {
	wanted := map[identity.User]bool{}
	if k.t.subscribes() {
		for _, user := range k.t.whose(wire.ShardAll, readsCalendars) {
			wanted[user] = true
		}
	}
	if k.t.subscribesUsers() {
		wanted[everybody] = true
	}
	return wanted
}

// work does jobs, several at a time, until something more urgent may have come up,
// the tenant needs a pause, or the next pass is due. It returns whose changes may have
// been lost: there was no subscription until now, be it that a first reading came
// before it.
func (k *eventKeeper) work(ctx context.Context, jobs []job) (lost []identity.User) {
	var mu sync.Mutex // guards lost
	began := time.Now()
	do := func(j job) {
		if k.do(ctx, j) {
			mu.Lock()
			defer mu.Unlock()
			lost = append(lost, j.user)
		}
	}
	var g errgroup.Group
	g.SetLimit(eventJobs)
	for i, j := range jobs {
		if ctx.Err() != nil || k.tenantPause(k.t.p.bus.Now()) > 0 {
			break
		}
		if time.Since(began) > min(k.t.conf.Events.Look, passTime) {
			k.awake() // for what is left
			break
		}
		if i == 0 && k.inTrouble() {
			do(j) // one to see whether it is over
			continue
		}
		g.Go(func() error { do(j); return nil })
	}
	_ = g.Wait()
	return lost
}

// passTime bounds a pass: then it is looked what is most urgent now.
const passTime = 2 * time.Second

// tell reports all subscriptions as one.
func (k *eventKeeper) tell(ctx context.Context) {
	wanted, now := k.wanted(), k.t.p.bus.Now()
	k.mu.Lock()
	held, missing, left := 0, 0, askEventLife
	for user := range maps.Keys(wanted) {
		h := k.held[user]
		switch {
		case user == everybody:
			k.t.p.people.heard(ctx, k.t.conf.ID, h != nil && h.key != "")
		case h != nil && h.key != "":
			held++
			left = min(left, h.record.Expires.Sub(now))
		case k.readable[user]:
			missing++
		}
	}
	foreign := k.foreign
	k.mu.Unlock()
	k.t.p.metrics.eventSubscriptions(ctx, k.t.conf.ID, held, missing, foreign, max(0, left))
}
