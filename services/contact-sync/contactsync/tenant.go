package contactsync

import (
	"context"
	"log/slog"
	"slices"
	"sync"
	"time"

	"golang.org/x/sync/errgroup"

	"offhook.dev/libs/books"
	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/run"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// tenant is a tenant whose lease is held. It keeps little of a mailbox in memory: what
// waits for it, and of each phonebook a brief.
type tenant struct {
	s     *service
	conf  Tenant
	lease store.Lease
	log   *slog.Logger
	told  []byte // the state that was told last

	mu        sync.Mutex // guards what follows
	mailboxes map[identity.User]*mailbox
	queue     []identity.User // to be worked on, the first first
	first     []identity.User // that take turns with queue: for whom a phone system waits
	turn      bool            // it is queue's
	ready     chan struct{}   // has one when the queue is not empty
	flights   map[identity.System]int
	balances  map[identity.System]*balance
	lines     map[identity.System]*line
	job       *job // what was ordered and is under way, or nil
}

// mailbox is what is known of a mailbox.
type mailbox struct {
	pages  []waiting // in order
	last   time.Time // when the last page came
	books  map[directory.Book]brief
	shared bool
	queued bool // in the queue
	busy   bool // with a worker
	again  bool // to be worked on again when the worker is done
	alarm  bool // it is looked at again before long, whatever comes
	// numbers are those that were read lately, or nil.
	numbers *numbers
	// asked is since when a full reading is wanted of whoever reads mailboxes; zero: none
	// is. lacking is since when something has been missing.
	asked, lacking time.Time
	askedRevision  uint64
}

// waiting is a page that waits.
type waiting struct {
	sequence uint64
	at       time.Time
}

// brief is what is kept in memory of a book.
type brief struct {
	revision uint64
	at       uint64
	open     bool
	flight   string
	sent     time.Time
	unread   time.Time
	left     time.Time
	problem  string
	pending  int // see braking
	wide     bool
	removed  []removal
	books.Counts
}

// count tells what is to be done, by the rules.
func (b *book) count(r rules, now time.Time) (books.Counts, braking) {
	c := books.Counts{Over: b.over}
	for i := range b.entries {
		e := &b.entries[i]
		if e.exists() {
			c.Entries++
		}
		op := e.todo()
		switch {
		case op == "":
		case e.trouble != noTrouble:
			c.Trouble++
		case !r.allows(op):
		case op == plan.Create:
			c.Creates++
		case op == plan.Update:
			c.Updates++
		}
	}
	if !r.allows(plan.Delete) {
		return c, braking{}
	}
	s := b.brake(r, now)
	c.Deletes, c.Held = s.due, s.held
	return c, s
}

func (b *book) brief(revision uint64, r rules, now time.Time) brief {
	counts, s := b.count(r, now)
	return brief{revision: revision, at: b.at, open: b.open, flight: b.flight, sent: b.sent, unread: b.unread, left: b.left, problem: b.problem,
		pending: s.pending, wide: s.wide, removed: b.removed, Counts: counts}
}

func newTenant(s *service, lease store.Lease, conf Tenant) *tenant {
	return &tenant{
		s: s, conf: conf, lease: lease, log: s.log.With("tenant", string(conf.ID)), mailboxes: map[identity.User]*mailbox{}, ready: make(chan struct{}, 1),
		flights: map[identity.System]int{}, balances: map[identity.System]*balance{}, lines: map[identity.System]*line{},
	}
}

// bookKey is the key of a book in its bucket.
func bookKey(mailbox identity.Person, b directory.Book) string {
	return topology.Join(string(mailbox.Tenant), string(mailbox.User), string(b.System), string(b.Owner))
}

func parseBookKey(key string) (identity.Person, directory.Book, error) {
	ids, err := topology.Split(key)
	if err != nil || len(ids) != 4 {
		return identity.Person{}, directory.Book{}, fault.Errorf(fault.Invalid, "book key", "%q is not tenant.mailbox.system.owner", key)
	}
	return identity.Person{Tenant: identity.Tenant(ids[0]), User: identity.User(ids[1])}, directory.Book{System: identity.System(ids[2]), Owner: identity.Extension(ids[3])}, nil
}

// load reads what is at rest, one value at a time.
func (t *tenant) load(ctx context.Context) error {
	if err := t.resume(ctx); err != nil {
		return err
	}
	now, r := t.s.bus.Now(), t.rules()
	err := t.s.books.Each(ctx, topology.Token(string(t.conf.ID))+".*.*.*", func(e store.Entry) error {
		who, where, err := parseBookKey(e.Key)
		if err != nil {
			return nil // a later version keeps something else here
		}
		b, err := decodeBook(e.Value)
		if err != nil {
			t.log.Error("what is known of a phonebook cannot be read; it is made anew", "mailbox", who.User, "book", where.String(), "error", err)
			b = &book{shared: where.Company(), unread: now}
		}
		m := t.mailbox(who.User)
		m.shared = m.shared || b.shared
		t.put(m, where, b.brief(e.Revision, r, now))
		return nil
	})
	if err != nil {
		return err
	}
	return t.s.books.Each(ctx, books.LacksOf(t.conf.ID), func(e store.Entry) error {
		who, after, err := books.DecodeLacks(e)
		if err != nil {
			return nil
		}
		m := t.mailbox(who.User)
		m.asked, m.askedRevision = after, e.Revision
		return nil
	})
}

// mailbox returns what is known of a mailbox; t.mu is held, or nobody else has t.
func (t *tenant) mailbox(user identity.User) *mailbox {
	m := t.mailboxes[user]
	if m == nil {
		m = &mailbox{books: map[directory.Book]brief{}}
		t.mailboxes[user] = m
	}
	return m
}

// put notes how a book stands; t.mu is held, or nobody else has t.
func (t *tenant) put(m *mailbox, where directory.Book, b brief) {
	before := m.books[where]
	if (before.flight == "") != (b.flight == "") {
		if b.flight != "" {
			t.flights[where.System]++
		} else {
			t.flights[where.System]--
		}
	}
	all := t.balances[where.System]
	if all == nil {
		all = &balance{removed: map[time.Time]int{}}
		t.balances[where.System] = all
	}
	all.add(before, -1)
	all.add(b, 1)
	m.books[where] = b
}

// push puts a mailbox into the queue; t.mu is held.
func (t *tenant) push(user identity.User) {
	m := t.mailbox(user)
	if m.busy {
		m.again = true
		return
	}
	if m.queued {
		return
	}
	m.queued = true
	t.queue = append(t.queue, user)
	t.alert()
}

// hurry puts a mailbox before those of which nobody knows whether anything follows from
// them: something has come back from a phone system, which waits for more. t.mu is held.
func (t *tenant) hurry(user identity.User) {
	m := t.mailbox(user)
	if m.busy {
		m.again = true
		return
	}
	m.queued = true // it may be in the queue as well, where it is passed over then
	t.first = append(t.first, user)
	t.alert()
}

// alert lets a worker look at the queue; t.mu is held.
func (t *tenant) alert() {
	select {
	case t.ready <- struct{}{}:
	default:
	}
}

// wake has a mailbox looked at.
func (t *tenant) wake(user identity.User) {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.push(user)
}

// lookAgain has a mailbox looked at after a while; t.mu is held.
func (t *tenant) lookAgain(user identity.User, m *mailbox, after time.Duration) {
	if m.alarm {
		return
	}
	m.alarm = true
	time.AfterFunc(after, func() {
		t.mu.Lock()
		defer t.mu.Unlock()
		m.alarm = false
		t.push(user)
	})
}

// wakeAll has every mailbox looked at: those that something is known of, and those of
// whoever has an extension.
func (t *tenant) wakeAll() {
	people := t.s.links.People(t.conf.ID)
	t.mu.Lock()
	defer t.mu.Unlock()
	for user := range t.mailboxes {
		t.push(user)
	}
	for _, who := range people {
		t.push(who.User)
	}
}

// landed is told of an outcome.
func (t *tenant) landed(o wire.ContactsOutcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if m := t.mailboxes[o.Mailbox.User]; m != nil && m.books[o.Book].flight == o.ID {
		t.hurry(o.Mailbox.User)
	}
}

// run works until ctx ends.
func (t *tenant) run(ctx context.Context) error {
	t.wakeAll()
	g, gctx := errgroup.WithContext(ctx)
	g.Go(func() error { return run.Ended(gctx, t.followPages(gctx)) })
	g.Go(func() error { return run.Ended(gctx, t.consumeOrders(gctx)) })
	g.Go(func() error { t.tick(gctx); return nil })
	g.Go(func() error { t.supervise(gctx); return nil })
	for range t.s.opts.Workers {
		g.Go(func() error { t.work(gctx); return nil })
	}
	return run.Ended(ctx, g.Wait())
}

// followPages learns which pages wait.
func (t *tenant) followPages(ctx context.Context) error {
	filter := "m365.fact.contacts." + topology.Token(string(t.conf.ID)) + ".*"
	durable := topology.Token(string(topology.ContactSync) + "-" + string(t.conf.ID))
	return t.s.bus.Heads(ctx, topology.Pages, durable, []string{filter}, func(m bus.Message) error {
		who, err := wire.ParsePersonKey(m.Subject[len("m365.fact.contacts."):])
		if err != nil {
			t.log.Warn("a page of no mailbox is taken away", "error", err)
			return t.s.bus.Remove(ctx, topology.Pages, m.Sequence)
		}
		t.arrived(who.User, waiting{m.Sequence, m.Time})
		return nil
	})
}

// arrived notes a page that waits; it may be known.
func (t *tenant) arrived(user identity.User, page waiting) {
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.mailbox(user)
	i, known := slices.BinarySearchFunc(m.pages, page.sequence, func(w waiting, sequence uint64) int { return int(w.sequence) - int(sequence) })
	if !known {
		m.pages = slices.Insert(m.pages, i, page)
		if page.at.After(m.last) {
			m.last = page.at
		}
	}
	t.push(user)
}

// work works on one mailbox after the other.
func (t *tenant) work(ctx context.Context) {
	for {
		user, ok := t.next(ctx)
		if !ok {
			return
		}
		select {
		case <-ctx.Done():
			return
		case t.s.busy <- struct{}{}:
		}
		err := t.advance(ctx, user)
		<-t.s.busy
		t.done(ctx, user, err)
	}
}

// next waits for a mailbox to work on.
func (t *tenant) next(ctx context.Context) (identity.User, bool) {
	for {
		select {
		case <-ctx.Done():
			return "", false
		case <-t.ready:
		}
		if user, ok := t.pop(); ok {
			return user, true
		}
	}
}

func (t *tenant) pop() (identity.User, bool) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.first)+len(t.queue) > 0 {
		from := &t.first
		if len(t.first) == 0 || t.turn && len(t.queue) > 0 {
			from = &t.queue
		}
		user := (*from)[0]
		*from = (*from)[1:]
		m := t.mailboxes[user]
		if m == nil || !m.queued {
			continue // it was in both
		}
		t.turn = from == &t.first
		m.queued, m.busy, m.again = false, true, false
		if len(t.first)+len(t.queue) > 0 {
			t.alert()
		}
		return user, true
	}
	return "", false
}

// after failing, a mailbox is looked at again after a pause.
const pause = time.Second

func (t *tenant) done(ctx context.Context, user identity.User, err error) {
	if err != nil && ctx.Err() == nil {
		level := slog.LevelWarn
		if fault.KindOf(err) == fault.Conflict {
			level = slog.LevelInfo
		}
		t.log.Log(ctx, level, "a mailbox's phonebooks are looked at again", "mailbox", user, "kind", fault.KindOf(err), "error", err)
		time.AfterFunc(pause, func() { t.wake(user) })
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	m := t.mailboxes[user]
	m.busy = false
	t.free(user)
	switch {
	case m.again:
		m.again = false
		t.push(user)
	case len(m.books) == 0 && len(m.pages) == 0 && m.asked.IsZero() && m.lacking.IsZero():
		if m.numbers != nil {
			m.numbers.forget()
		}
		delete(t.mailboxes, user) // nothing is known of it
	}
}

// tick looks now and then at what waits.
func (t *tenant) tick(ctx context.Context) {
	every := time.NewTicker(t.s.opts.Tick)
	defer every.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-every.C:
		}
		t.wakeRestless(t.s.bus.Now())
		t.report(ctx)
	}
}

// wakeRestless has those mailboxes looked at for which time may change something.
func (t *tenant) wakeRestless(now time.Time) {
	t.mu.Lock()
	defer t.mu.Unlock()
	for user, m := range t.mailboxes {
		if m.numbers != nil && !m.busy && len(m.pages) == 0 && now.Sub(m.last) > numbersFor {
			m.numbers.forget()
			m.numbers = nil
		}
		restless := len(m.pages) > 0 && !t.lined(user, m, now) || !m.asked.IsZero() || !m.lacking.IsZero()
		for _, b := range m.books {
			overdue := b.flight != "" && now.Sub(b.sent) > t.s.opts.Tick/2
			restless = restless || overdue || b.Deletes > 0 || b.Trouble > 0 || !b.left.IsZero() || !b.unread.IsZero()
		}
		if restless {
			t.push(user)
		}
	}
}
