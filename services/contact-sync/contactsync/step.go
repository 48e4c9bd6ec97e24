package contactsync

import (
	"context"
	"strconv"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// stepping is one book that a visit works on.
type stepping struct {
	*visit
	where    directory.Book
	stands   standing
	rules    rules
	key      string
	book     *book
	revision uint64 // of the value; 0: there is none
	dirty    bool   // the book is not as its value
}

// step does for one book what can be done now: it settles the series that is on its
// way, folds pages until one leads to changes, or sends deletions. At most one series
// is on its way.
func (v *visit) step(ctx context.Context, where directory.Book) error {
	s := &stepping{visit: v, where: where, stands: v.stands[where], rules: v.t.rules(), key: bookKey(v.who, where)}
	if !s.due() {
		return nil
	}
	if err := s.load(ctx); err != nil {
		return err
	}
	if s.book.flight != "" {
		landed, err := s.settle(ctx)
		if err != nil {
			return err
		}
		if !landed {
			return s.wait(ctx)
		}
	}
	var err error
	switch {
	case s.stands.served:
		err = s.fill(ctx)
	default:
		err = s.rest(ctx)
	}
	if err != nil {
		return err
	}
	return s.save(ctx)
}

// due says from memory whether there can be anything to do.
func (s *stepping) due() bool {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	b, known := s.m.books[s.where]
	if !known {
		return s.stands.wanted && len(s.m.pages) > 0
	}
	if s.waits(b) {
		return false
	}
	if n := len(s.m.pages); n > 0 && (b.at < s.m.pages[n-1].sequence || b.open) {
		return true
	}
	return b.flight != "" || b.open || b.Deletes > 0 || b.Trouble > 0 || s.stands.wanted != b.left.IsZero() || s.stands.leave != stay
}

// waits says whether the page that is being folded leads to a series for which there was
// no place yet, and nothing else is to be done; t.mu is held.
func (s *stepping) waits(b brief) bool {
	return b.open && b.flight == "" && s.stands.served && b.left.IsZero() && s.t.line(s.where.System).in[waiter{s.who.User, s.where}] &&
		s.t.lined(s.who.User, s.m, s.t.s.bus.Now())
}

// load reads the value; there may be none yet.
func (s *stepping) load(ctx context.Context) error {
	e, err := s.t.s.books.Get(ctx, s.key)
	switch {
	case fault.KindOf(err) == fault.NotFound && err != nil:
		s.book = &book{shared: s.where.Company(), unread: s.missing()}
		return nil
	case err != nil:
		return err
	}
	s.revision = e.Revision
	if s.book, err = decodeBook(e.Value); err != nil {
		// Every entry is looked for before it is made, as in any book whose folders were
		// never read whole.
		s.t.log.Error("what is known of a phonebook cannot be read; it is made anew", "mailbox", s.who.User, "book", s.where.String(), "error", err)
		s.book = &book{shared: s.where.Company(), unread: s.t.s.bus.Now()}
	}
	return nil
}

// missing returns after when a reading must begin to bring everything that belongs into
// a new book. Of an extension's, that is since it was linked. Of the company's, the first
// reading of a mailbox is enough.
func (s *stepping) missing() time.Time {
	switch {
	case !s.stands.since.IsZero():
		return s.stands.since
	case s.virgin && !s.began.IsZero():
		return s.began
	}
	return s.t.s.bus.Now()
}

// save writes the value if the book changed, and notes how it stands.
func (s *stepping) save(ctx context.Context) error {
	if s.dirty && s.book.empty() && !s.stands.wanted {
		return s.forgetBook(ctx)
	}
	if s.dirty {
		err := s.t.s.opts.effects.Around("save", func() (err error) {
			s.revision, err = s.t.s.books.Set(ctx, s.key, s.book.encode(), s.revision)
			return err
		})
		if err != nil {
			return err
		}
		s.dirty = false
	}
	s.note()
	return nil
}

// forgetBook takes away the value of a book that has nothing of the mailbox any more.
func (s *stepping) forgetBook(ctx context.Context) error {
	if s.revision != 0 {
		err := s.t.s.opts.effects.Around("forget", func() error { return s.t.s.books.Delete(ctx, s.key, s.revision) })
		if err != nil {
			return err
		}
	}
	s.revision, s.dirty = 0, false
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	s.t.put(s.m, s.where, brief{})
	delete(s.m.books, s.where)
	return nil
}

// note keeps in memory how the book stands at rest, by the rules of this moment: an order
// that has come since must find what it is to do.
func (s *stepping) note() {
	if s.revision == 0 {
		return // it is not there
	}
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	now := s.t.s.bus.Now()
	s.t.put(s.m, s.where, s.book.brief(s.revision, s.t.braked(s.t.rulesNow(), s.who.User, s.where, now), now))
}

// fill folds the pages that wait and does what they lead to.
func (s *stepping) fill(ctx context.Context) error {
	now := s.t.s.bus.Now()
	if !s.book.left.IsZero() { // it is asked for again
		s.book.left, s.dirty = time.Time{}, true
		if now.After(s.book.unread) {
			s.book.unread = now // whatever was changed meanwhile
		}
	}
	if s.book.retry(s.rules, now, s.t.s.opts.Retry) {
		s.dirty = true
	}
	for {
		w, waits := s.nextPage()
		if !waits {
			break
		}
		err := s.fetch(ctx, w)
		switch {
		case s.bad[w.sequence] != nil:
			s.book.pass(w.sequence, w.at)
			s.dirty = true
			continue
		case err != nil && fault.KindOf(err) == fault.NotFound:
			continue // it was forgotten
		case err != nil:
			return err
		}
		if s.book.at != w.sequence {
			s.dirty = true
		}
		if s.page.Problem != "" && s.page.Problem != s.book.problem {
			s.t.log.Warn("a mailbox cannot be read", "mailbox", s.who.User, "why", s.page.Problem)
		}
		items, blank, said := project(s.page.Contacts, s.stands.takes, s.t.conf.Region, s.numbers().page(s.page))
		if !s.book.fold(readingOf(w.sequence, s.page, items, blank)) {
			s.t.log.Info("a page of an older reading is left out", "mailbox", s.who.User, "book", s.where.String())
		}
		if changes := s.book.upserts(items, s.rules); len(changes) > 0 {
			return s.launch(ctx, changes)
		}
		s.t.s.metrics.remarked(ctx, s.where.System, said)
		s.book.open, s.dirty = false, true
	}
	if s.book.open { // the page that was being folded is gone
		s.book.pass(s.book.at, now)
		s.dirty = true
	}
	return s.reap(ctx, now)
}

// numbers are those of the mailbox that is being read.
func (v *visit) numbers() *numbers {
	v.t.mu.Lock()
	defer v.t.mu.Unlock()
	if v.m.numbers == nil {
		v.m.numbers = newNumbers(&v.t.s.numbers)
	}
	return v.m.numbers
}

// nextPage returns the first page that the book has not done with.
func (s *stepping) nextPage() (waiting, bool) {
	for _, w := range s.pages() {
		if w.sequence > s.book.at || w.sequence == s.book.at && s.book.open {
			return w, true
		}
	}
	return waiting{}, false
}

// reap sends deletions, when no page waits that could show what seems to be gone, and
// none has come for a while.
func (s *stepping) reap(ctx context.Context, now time.Time) error {
	is := s.book.brake(s.rules, now)
	if is.due == 0 || !s.rules.allows(plan.Delete) || s.revision == 0 {
		return nil
	}
	early := s.claim(is, now)
	changes := s.book.deletions(s.rules, now)
	if early || len(changes) == 0 {
		return nil
	}
	return s.launch(ctx, changes)
}

// claim has whoever works on another mailbox meanwhile count the deletions of this one, and
// learns what those of the others are. It says whether it is too early to send any.
func (s *stepping) claim(is braking, now time.Time) (early bool) {
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	s.rules = s.t.braked(s.rules, s.who.User, s.where, now)
	atRest := s.m.books[s.where]
	atRest.pending = is.pending
	s.t.put(s.m, s.where, atRest)
	wait := s.t.s.opts.Linger - now.Sub(s.m.last)
	if wait > 0 {
		s.t.lookAgain(s.who.User, s.m, wait)
	}
	return wait > 0
}

// rest is for a book that the mailbox does not fill at the moment: pages go by, and what
// is to leave leaves. For a phone system that was never seen they wait for a while.
func (s *stepping) rest(ctx context.Context) error {
	now := s.t.s.bus.Now()
	old := now
	if s.stands.wanted && s.stands.why == whyUnknown {
		old = now.Add(-s.t.s.opts.Patience)
	}
	s.passBefore(old)
	if s.book.left.IsZero() != s.stands.wanted {
		s.book.left, s.dirty = now, true
		if s.stands.wanted {
			s.book.left = time.Time{}
		}
	}
	if !s.stands.writable {
		return nil
	}
	if s.stands.leave == leaveNow || s.stands.leave == wait && now.Sub(s.book.left) >= s.t.conf.Hold {
		s.book.leave()
		s.book.retry(s.rules, now, s.t.s.opts.Retry)
		s.dirty = true
	}
	if changes := s.book.farewell(s.rules); len(changes) > 0 {
		return s.launch(ctx, changes)
	}
	return nil
}

// passBefore lets pages go by that arrived before a time.
func (s *stepping) passBefore(old time.Time) {
	for _, w := range s.pages() {
		if !w.at.After(old) && (w.sequence > s.book.at || w.sequence == s.book.at && s.book.open) {
			s.book.pass(w.sequence, w.at)
			s.dirty = true
		}
	}
}

// wait is for a book whose series is on its way. A page that has waited for too long goes
// by, so that nobody's contacts lie around while a phone system is away.
func (s *stepping) wait(ctx context.Context) error {
	s.passBefore(s.t.s.bus.Now().Add(-s.t.s.opts.Patience))
	return s.save(ctx)
}

// launch sends a series: intent before effect.
func (s *stepping) launch(ctx context.Context, changes []wire.ContactChange) error {
	if !s.t.place(waiter{s.who.User, s.where}) {
		return s.wait(ctx)
	}
	ctx, cancel := s.t.lease.Deadline(ctx)
	defer cancel()
	at := s.t.s.bus.Now()
	id := strconv.FormatInt(max(at.UnixMicro(), s.book.sent.UnixMicro()+1), 36)
	again := s.book.launch(id, at, changes)
	s.dirty = true
	if err := s.save(ctx); err != nil {
		return err
	}
	want := wire.ContactsWant{ID: id, Mailbox: s.who, Book: s.where, Chunk: chunk(s.who), Changes: changes, Again: again, Plan: s.t.planID(), WantedAt: at}
	subject, data := want.Encode()
	err := s.t.s.opts.effects.Around("send", func() error {
		_, err := s.t.s.bus.Publish(bus.After(ctx, s.message), bus.Message{Subject: subject, Data: data, ID: id})
		return err
	})
	if err != nil {
		return err
	}
	s.t.s.metrics.sent(ctx, s.where.System)
	return nil
}

// settle learns what came of the series that is on its way. It returns false while
// nothing has. Where there is neither the want nor an outcome, nobody knows: the same is
// sent again in words that make the phone system be looked at first.
func (s *stepping) settle(ctx context.Context) (bool, error) {
	landed, err := s.land(ctx)
	if landed || err != nil {
		return landed, err
	}
	subject := wire.ContactsWantSubject(s.where, chunk(s.who))
	_, err = s.t.s.bus.Last(ctx, topology.Changes, subject)
	switch {
	case err == nil:
		return false, nil // it is on its way
	case fault.KindOf(err) != fault.NotFound:
		return false, err
	}
	// The outcome is there before the want is taken away.
	if landed, err = s.land(ctx); landed || err != nil {
		return landed, err
	}
	s.t.log.Info("nobody knows what came of a series of contacts; it is sent again", "mailbox", s.who.User, "book", s.where.String())
	s.book.lost()
	s.dirty = true
	return true, nil
}

// land takes in the outcome if it is there.
func (s *stepping) land(ctx context.Context) (bool, error) {
	m, err := s.t.s.bus.Last(ctx, topology.Outcomes, "outcome.contact."+topology.Join(string(s.where.System), string(s.where.Owner), chunk(s.who)))
	if err != nil {
		if fault.KindOf(err) == fault.NotFound {
			return false, nil
		}
		return false, err
	}
	o, err := wire.DecodeContactsOutcome(m.Data)
	if err != nil || o.ID != s.book.flight {
		return false, nil
	}
	s.t.wrong(stored{who: s.who, where: s.where}, o)
	s.book.land(o)
	s.dirty = true
	s.t.s.metrics.landed(ctx, o)
	return true, nil
}

// chunk names the series of a mailbox, so that each of its phonebooks has one on its way.
func chunk(who identity.Person) string { return string(who.Tenant) + "-" + string(who.User) }
