package contactsync

import (
	"fmt"
	"slices"
	"testing"
	"time"

	"offhook.dev/libs/books"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/wire"
)

// refusing has a phone system answer so to every change of some contacts.
func (p *phones) refusing(result wire.ChangeResult, numbers ...int) {
	p.set(func(p *phones) {
		p.refuse = func(c wire.ContactChange) wire.ChangeResult {
			if slices.ContainsFunc(numbers, func(i int) bool { return contact(i, 1).Source == c.Contact.Source }) {
				return result
			}
			return ""
		}
	})
}

func TestWhatWentWrongIsTriedAgainByItselfAfterAWhile(t *testing.T) {
	t.Parallel()
	for _, result := range []wire.ChangeResult{wire.ChangeRefused, wire.ChangeFull, wire.ChangeFailed} {
		s := newStage(t)
		p := s.system(hq, nil)
		p.refusing(result, 4, 5)
		s.link(person(1), lineOf(hq, "204"))
		o := s.mailbox(person(1), false)
		o.many("contacts", 0, 19, 1) // 4 and 5 cannot be made
		s.start()
		o.full()
		s.filledBy(hq, "204", 17)
		s.settledAfter()
		p.refusing(result, 1, 2) // the one cannot be changed, the other not deleted
		o.many("contacts", 1, 2, 2)
		o.remove("contacts", 2)
		o.delta()
		const wrong = 4
		s.state(func(state books.State) string {
			if state.Trouble != wrong {
				return fmt.Sprintf("%s: %d changes went wrong, want %d", result, state.Trouble, wrong)
			}
			return ""
		})
		p.set(func(p *phones) { p.refuse = nil })
		s.settledAfter()
		if creates, updates, deletes := p.written(); creates+updates+deletes != 17 {
			t.Errorf("%s: within the while %d are made, %d changed, %d deleted; want what could be", result, creates, updates, deletes)
		}
		s.restart(func(o *Options) { o.Retry = time.Millisecond })
		s.synced() // nothing is read but what the service asks for
	}
}

func TestAnOrderTriesAgainWhatWentWrongAndSaysWhetherItIsWell(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	p := s.system(hq, nil)
	p.refusing(wire.ChangeRefused, 3)
	s.link(person(1), lineOf(hq, "204"))
	o := s.mailbox(person(1), false)
	o.many("contacts", 0, 20, 1)
	s.start()
	o.full()
	s.stands(person(1), bookOf(hq, "204"), whyTrouble)
	s.settledAfter()

	shown := s.shown("p")
	if c := shown.Changes; len(c) != 1 || c[0].Op != plan.Create || c[0].Tried == nil || c[0].Tried.Result != "refused" || c[0].Tried.At.IsZero() {
		t.Errorf("the plan does not say what is to be tried again: %+v", c)
	}
	s.order("still", wire.SyncNow, nil)
	if out := s.ended("still", wire.SyncDone); out.Total != 1 || out.Done != 1 || out.Failed != 1 {
		t.Errorf("while it is refused: %+v", out)
	}
	p.set(func(p *phones) { p.refuse = nil })
	s.order("well", wire.SyncNow, nil)
	if out := s.ended("well", wire.SyncDone); out.Total != 1 || out.Done != 1 || out.Failed != 0 {
		t.Errorf("when it is taken: %+v", out)
	}
	s.synced()
	p.quiet(t, "once", 20, 0, 0)
}

func TestUnderThePolicyOffNothingIsTriedAgainByItself(t *testing.T) {
	b := &book{troubleAt: noon, entries: []entry{{source: "a", seen: 1, trouble: failed}, {source: "b", id: "1", seen: 1, written: 2, trouble: refused}}}
	if b.retry(rules{policy: plan.Off}, noon.Add(48*time.Hour), time.Hour) || b.entries[0].trouble != failed {
		t.Errorf("under off: %+v", b.entries)
	}
	if !b.retry(rules{policy: plan.CreateOnly}, noon.Add(48*time.Hour), time.Hour) || b.entries[0].trouble != noTrouble || b.entries[1].trouble != refused {
		t.Errorf("under create-only: %+v", b.entries)
	}
}

// What goes wrong again and again does not put off what went wrong before.
func TestTheWhileBeginsWithWhatWentWrongFirst(t *testing.T) {
	b := &book{entries: []entry{{source: "a", seen: 1}, {source: "b", seen: 1}}}
	b.troubled(&b.entries[0], wire.ChangeRefused, noon)
	b.troubled(&b.entries[1], wire.ChangeRefused, noon.Add(50*time.Minute))
	if b.retry(rules{}, noon.Add(59*time.Minute), time.Hour) {
		t.Error("tried again too early")
	}
	if !b.retry(rules{}, noon.Add(time.Hour), time.Hour) {
		t.Error("not tried again after an hour")
	}
	b.troubled(&b.entries[0], wire.ChangeRefused, noon.Add(61*time.Minute))
	if b.retry(rules{}, noon.Add(2*time.Hour), time.Hour) {
		t.Error("the next while began before it went wrong again")
	}
}

func TestDeletionsThatAreTriedAgainAreUnderTheBrake(t *testing.T) {
	b := &book{troubleAt: noon}
	for i := range 60 {
		e := entry{source: source(i), id: fmt.Sprint(i), seen: 1, written: 1}
		if i < 20 { // each went wrong by itself, within the brake
			e.seen, e.trouble = 0, failed
		}
		b.entries = append(b.entries, e)
	}
	r := rules{policy: plan.Sync, brake: usual}
	if !b.retry(r, noon.Add(time.Hour), time.Hour) {
		t.Fatal("nothing is tried again")
	}
	if changes, s := b.deletions(r, noon.Add(time.Hour)), b.brake(r, noon.Add(time.Hour)); len(changes) != 0 || s.held != 20 {
		t.Errorf("%d are deleted, %+v", len(changes), s)
	}
}

// A contact that is private is not left to whoever has the extension now because the phone
// system failed once.
func TestWhatIsToLeaveAPhonebookIsTriedAgain(t *testing.T) {
	s, _, p := one(t, 10)
	p.refusing(wire.ChangeFailed, 3)
	s.link(person(1), lineOf(hq, "205"))
	s.filledBy(hq, "204", 1)
	p.set(func(p *phones) { p.refuse = nil })
	s.restart(func(o *Options) { o.Retry = time.Millisecond })
	s.filledBy(hq, "204", 0)
}
