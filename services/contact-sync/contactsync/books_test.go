package contactsync

import (
	"fmt"
	"testing"
	"time"

	"offhook.dev/libs/books"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/wire"
)

// one is a person with an extension of hq, a mailbox of n contacts, and everything synced.
func one(t *testing.T, n int) (s *stage, o *outlook, p *phones) {
	t.Helper()
	s = newStage(t)
	p = s.system(hq, nil)
	s.link(person(1), lineOf(hq, "204"))
	o = s.mailbox(person(1), false)
	o.many("contacts", 0, n, 1)
	s.start()
	o.full()
	s.synced()
	return s, o, p
}

// quiet fails if a phone system was written to since it was told.
func (p *phones) quiet(t *testing.T, why string, creates, updates, deletes int) {
	t.Helper()
	if c, u, d := p.written(); c != creates || u != updates || d != deletes {
		t.Errorf("%s: %d created, %d updated, %d deleted; want %d, %d, %d", why, c, u, d, creates, updates, deletes)
	}
}

func TestASharedMailboxFillsTheCompanysBookOfEveryPhoneSystem(t *testing.T) {
	s := newStage(t)
	s.system(hq, nil)
	s.system(branch, nil)
	info, press := s.mailbox(person(1), true), s.mailbox(person(2), true)
	info.many("contacts", 0, 120, 1)
	press.many("contacts", 200, 230, 1)
	s.start()
	info.full()
	press.full()
	s.synced()
	info.remove("contacts", 3)
	info.delta()
	s.synced()
}

// Deletions once waited for the next look at everything, which is up to a minute away.
func TestADeletionIsSentAsSoonAsItHasBeenQuiet(t *testing.T) {
	s, o, p := one(t, 30)
	s.restart(func(o *Options) { o.Tick, o.Linger = time.Hour, 300*time.Millisecond })
	o.remove("contacts", 3)
	o.delta()
	s.synced()
	p.quiet(t, "a deletion", 30, 0, 1)
}

func TestEachExtensionOfAPersonHasTheirContacts(t *testing.T) {
	s, _, _ := one(t, 30)
	s.system(branch, nil)
	s.link(person(1), lineOf(hq, "204"), lineOf(hq, "205"), lineOf(branch, "11"))
	s.synced() // the mailbox was read again, because nothing of it was kept
}

func TestABookFollowsItsPersonToAnotherExtension(t *testing.T) {
	s, _, p := one(t, 30)
	s.link(person(1), lineOf(hq, "205"))
	s.synced()
	p.quiet(t, "moved", 60, 0, 30)
	if s.stored(person(1), bookOf(hq, "204")) != nil {
		t.Error("something is still known of the book that was left")
	}
}

func TestAnExtensionThatPassesToSomebodyElseLosesTheOthersContacts(t *testing.T) {
	s, _, _ := one(t, 30)
	other := s.mailbox(person(2), false)
	other.many("contacts", 500, 510, 1)
	s.link(person(1))
	s.link(person(2), lineOf(hq, "204"))
	s.synced()
}

func TestTheBookOfWhoLeftStaysForTheHold(t *testing.T) {
	s, o, p := one(t, 30)
	s.link(person(1))
	stands := s.stands(person(1), bookOf(hq, "204"), whyUnlinked)
	if stands.Entries != 30 {
		t.Errorf("%+v", stands)
	}
	p.quiet(t, "left", 30, 0, 0)
	// Back within the hold: unharmed, and what changed meanwhile comes too.
	o.many("contacts", 5, 6, 2)
	s.link(person(1), lineOf(hq, "204"))
	s.synced()
	p.quiet(t, "back", 30, 1, 0)
}

func TestTheBookOfWhoLeftIsEmptiedAfterTheHold(t *testing.T) {
	s := newStage(t)
	s.opts.Tenants[0].Hold = 100 * time.Millisecond
	p := s.system(hq, nil)
	p.foreign(bookOf(hq, "204"), "Grandma")
	s.link(person(1), lineOf(hq, "204"))
	o := s.mailbox(person(1), false)
	o.many("contacts", 0, 130, 1)
	s.start()
	o.full()
	s.synced()
	s.link(person(1))
	s.synced()
	p.quiet(t, "after the hold", 130, 0, 130)
	if len(p.strangers(bookOf(hq, "204"))) != 1 {
		t.Error("a stranger was deleted")
	}
}

func TestABookThatThePhoneSystemsOwnSyncKeepsIsNotWritten(t *testing.T) {
	s := newStage(t)
	kept := func(f *wire.System) { f.BooksKept = true }
	p := s.system(hq, kept)
	s.link(person(1), lineOf(hq, "204"))
	o := s.mailbox(person(1), false)
	o.many("contacts", 0, 10, 1)
	s.start()
	o.full()
	if stands := s.stands(person(1), bookOf(hq, "204"), whyKept); stands.Detail != "nothing is written" {
		t.Errorf("%+v", stands)
	}
	p.quiet(t, "kept", 0, 0, 0)
	// Somebody switched it off: what went by is read again.
	s.system(hq, nil)
	s.synced()
	// And on again: what is there stays.
	s.system(hq, kept)
	s.stands(person(1), bookOf(hq, "204"), whyKept) // it is known before the page comes
	o.many("contacts", 0, 10, 2)
	o.delta()
	s.stands(person(1), bookOf(hq, "204"), whyKept)
	p.quiet(t, "kept again", 10, 0, 0)
	s.system(hq, nil)
	s.synced()
}

func TestAPhoneSystemWithoutPersonalBooksHasNone(t *testing.T) {
	s := newStage(t)
	p := s.system(hq, func(f *wire.System) { f.PersonalBooks = false })
	s.link(person(1), lineOf(hq, "204"))
	o := s.mailbox(person(1), false)
	o.many("contacts", 0, 10, 1)
	s.start()
	o.full()
	s.stands(person(1), bookOf(hq, "204"), whyNoBook)
	p.quiet(t, "no books", 0, 0, 0)
	s.system(hq, nil) // after an upgrade
	s.synced()
}

// The fact of the phone system, and the link, may come after the first page.
func TestPagesWaitForWhatIsNotKnownYet(t *testing.T) {
	s := newStage(t)
	s.opts.Reread = 10 * time.Second
	o := s.mailbox(person(1), false)
	o.silence(true)
	o.many("contacts", 0, 10, 1)
	s.start()
	o.full()
	s.link(person(1), lineOf(hq, "204"))
	s.state(func(state books.State) string {
		if state.Standings[whyUnknown] != 1 || state.Pages != 1 {
			return "no book waits for its phone system"
		}
		return ""
	})
	s.system(hq, nil)
	s.synced()
}

func TestPagesOfNobodyGo(t *testing.T) {
	s := newStage(t)
	p := s.system(hq, nil)
	o := s.mailbox(person(1), false)
	o.many("contacts", 0, 10, 1)
	s.start()
	o.full()
	s.synced()
	p.quiet(t, "nobody's", 0, 0, 0)
}

func TestWhatTheConfigurationDoesNotAskForStaysUntilItIsOrderedAway(t *testing.T) {
	s := newStage(t)
	p := s.system(hq, nil)
	s.link(person(1), lineOf(hq, "204"))
	o := s.mailbox(person(1), false)
	o.many("contacts", 0, 40, 1)
	l := s.start()
	o.full()
	s.synced()
	l.stop()
	s.opts.Tenants[0].Personal = false
	s.start()
	s.stands(person(1), bookOf(hq, "204"), whyOff)
	p.quiet(t, "off", 40, 0, 0)
	s.order("away", wire.SyncNow, func(o *wire.SyncOrder) { o.Force = true })
	s.ended("away", wire.SyncDone)
	s.eventually(func() string {
		if has, _ := p.has(bookOf(hq, "204")); len(has) > 0 {
			return fmt.Sprintf("%d entries are left", len(has))
		}
		return ""
	})
}

func TestAPhoneSystemThatIsAwayHoldsUpNoOther(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	p := s.system(hq, nil)
	s.system(branch, nil)
	p.goAway(true)
	s.link(person(1), lineOf(hq, "204"), lineOf(branch, "11"))
	o := s.mailbox(person(1), false)
	o.many("contacts", 0, 250, 1)
	s.start()
	o.full()
	s.filledBy(branch, "11", 250)
	o.many("contacts", 250, 300, 1)
	o.delta()
	s.filledBy(branch, "11", 300)
	p.quiet(t, "away", 0, 0, 0)
	p.goAway(false)
	s.synced()
}

// filledBy waits until an extension's book has so many entries of ours.
func (s *stage) filledBy(system identity.System, ext identity.Extension, n int) {
	s.t.Helper()
	s.eventually(func() string {
		if has, _ := s.systems[system].has(bookOf(system, ext)); len(has) != n {
			return fmt.Sprintf("%d entries, want %d", len(has), n)
		}
		return ""
	})
}

func TestPagesDoNotWaitForAPhoneSystemForEver(t *testing.T) {
	s := newStage(t)
	s.opts.Patience = 200 * time.Millisecond
	p := s.system(hq, nil)
	p.goAway(true)
	s.link(person(1), lineOf(hq, "204"))
	o := s.mailbox(person(1), false)
	o.many("contacts", 0, 250, 1)
	s.start()
	o.full()
	s.state(func(state books.State) string {
		if state.Pages > 0 || state.Books != 1 {
			return "the page waits"
		}
		return ""
	})
	p.goAway(false)
	s.synced()
	if c, _, _ := p.written(); c != 250 {
		t.Errorf("%d created", c)
	}
}

// The number of series that wait for a phone system is bounded, and nobody is forgotten.
func TestMailboxesTakeTurns(t *testing.T) {
	s := newStage(t)
	s.opts.InFlight, s.opts.Tick = 2, time.Minute
	p := s.system(hq, nil)
	p.goAway(true)
	const people = 12
	for i := range people {
		s.link(person(i), lineOf(hq, identity.Extension(fmt.Sprint(200+i))))
		o := s.mailbox(person(i), false)
		o.many("contacts", 10*i, 10*i+10, 1)
	}
	s.start()
	for _, o := range s.mailboxes {
		o.full()
	}
	s.eventually(func() string {
		if n := s.waiting(); n < 2 {
			return fmt.Sprintf("%d series wait", n)
		}
		return ""
	})
	if n, most := s.waiting(), 2+s.opts.withDefaults().Workers; n > most {
		t.Errorf("%d series wait, more than %d", n, most)
	}
	p.goAway(false)
	s.synced()
}
