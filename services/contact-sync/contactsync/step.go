package contactsync

import (
	"context"
	"strconv"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
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
		return s.stands.served && len(s.m.pages) > 0
	}
	if n := len(s.m.pages); n > 0 && (b.at < s.m.pages[n-1].sequence || b.open) {
		return true
	}
	return b.flight != "" || b.open || b.deletes > 0 || b.trouble > 0 || s.stands.served != b.left.IsZero() || s.stands.leave != stay || s.t.ordered(s.where)
}

// load reads the value; there may be none yet.
func (s *stepping) load(ctx context.Context) error {
	e, err := s.t.s.books.Get(ctx, s.key)
	switch {
	case fault.KindOf(err) == fault.NotFound && err != nil:
		s.book = &book{shared: s.where.Company(), unread: s.stands.since}
		if s.book.unread.IsZero() {
			s.book.unread = s.firstPage()
		}
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

// firstPage is when the page at hand was read: a reading that begins with it is whole.
func (s *stepping) firstPage() time.Time {
	if s.page.Full && s.page.First {
		return s.page.SeenAt
	}
	return s.t.s.bus.Now()
}

// save writes the value if the book changed, and notes how it stands.
func (s *stepping) save(ctx context.Context) error {
	if s.dirty && s.book.empty() && !s.stands.served {
		err := s.t.s.around("forget", func() error { return s.t.s.books.Delete(ctx, s.key, s.revision) })
		if err != nil {
			return err
		}
		s.t.mu.Lock()
		defer s.t.mu.Unlock()
		s.t.put(s.m, s.where, brief{})
		delete(s.m.books, s.where)
		return nil
	}
	if s.dirty {
		err := s.t.s.around("save", func() (err error) {
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

func (s *stepping) note() {
	if s.revision == 0 {
		return // nothing is at rest
	}
	b := s.book.brief(s.revision, s.rules, s.t.s.bus.Now())
	s.t.mu.Lock()
	defer s.t.mu.Unlock()
	s.t.put(s.m, s.where, b)
}

// fill folds the pages that wait and does what they lead to.
func (s *stepping) fill(ctx context.Context) error {
	now := s.t.s.bus.Now()
	if !s.book.left.IsZero() { // it is asked for again; pages may have gone by
		s.book.left, s.book.unread, s.dirty = time.Time{}, now, true
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
		items, same := s.items()
		if !s.book.fold(s.reading(items)) {
			s.t.log.Info("a page of an older reading is left out", "mailbox", s.who.User, "book", s.where.String())
		}
		if changes := s.book.upserts(items, s.rules); len(changes) > 0 {
			return s.launch(ctx, changes)
		}
		s.t.duplicates(ctx, s.visit, s.where, same)
		s.book.open, s.dirty = false, true
	}
	if s.book.open { // the page that was being folded is gone
		s.book.pass(s.book.at, now)
		s.dirty = true
	}
	return s.reap(ctx, now)
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

// items returns the contacts of the page at hand as the phone system takes them, and how
// many numbers were left out because they stand there twice.
func (s *stepping) items() (items []item, same int) {
	for _, c := range s.page.Contacts {
		if c.Source == "" {
			continue
		}
		projected, twice := project(c, s.stands.kinds, s.t.conf.Region)
		same += twice
		items = append(items, item{projected, fingerprint(projected)})
	}
	return items, same
}

func (s *stepping) reading(items []item) reading {
	p := s.page
	return reading{sequence: s.message.Sequence, folder: p.Folder, round: p.Round, full: p.Full, first: p.First, last: p.Last, items: items, removed: p.Removed,
		problem: p.Problem, folderGone: p.FolderGone, seenAt: p.SeenAt}
}

// reap sends deletions, when no page waits that could show what seems to be gone.
func (s *stepping) reap(ctx context.Context, now time.Time) error {
	if changes := s.book.deletions(s.rules, now); len(changes) > 0 {
		return s.launch(ctx, changes)
	}
	return nil
}

// rest is for a book that the mailbox does not fill at the moment: pages go by, and what
// is to leave leaves.
func (s *stepping) rest(ctx context.Context) error {
	now := s.t.s.bus.Now()
	if pages := s.pages(); len(pages) > 0 {
		if last := pages[len(pages)-1]; last.sequence > s.book.at || s.book.open {
			s.book.pass(max(last.sequence, s.book.at), last.at)
			s.dirty = true
		}
	}
	if s.book.left.IsZero() {
		s.book.left, s.dirty = now, true
	}
	away := s.stands.leave == leaveNow || s.stands.leave == wait && now.Sub(s.book.left) >= s.t.conf.Hold
	if !away {
		return nil
	}
	s.book.leave()
	s.dirty = true
	return s.reap(ctx, now)
}

// wait is for a book whose series is on its way. A page that has waited for too long goes
// by, so that nobody's contacts lie around while a phone system is away.
func (s *stepping) wait(ctx context.Context) error {
	old := s.t.s.bus.Now().Add(-s.t.s.opts.Patience)
	for _, w := range s.pages() {
		if w.at.Before(old) && (w.sequence > s.book.at || w.sequence == s.book.at && s.book.open) {
			s.book.pass(w.sequence, w.at)
			s.dirty = true
		}
	}
	return s.save(ctx)
}

// launch sends a series: intent before effect.
func (s *stepping) launch(ctx context.Context, changes []wire.ContactChange) error {
	if !s.t.place(s.where.System, s.who.User) {
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
	err := s.t.s.around("send", func() error {
		_, err := s.t.s.bus.Publish(bus.After(ctx, s.message), bus.Message{Subject: subject, Data: data, ID: id})
		return err
	})
	if err != nil {
		return err
	}
	s.t.s.metrics.sent(ctx, s.where.System, changes)
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
	s.book.land(o)
	s.dirty = true
	s.t.s.metrics.landed(ctx, s.where.System, o)
	// At rest before anything else happens: what was learned must not be lost.
	return true, s.save(ctx)
}
