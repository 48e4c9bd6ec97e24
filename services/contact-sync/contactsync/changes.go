package contactsync

import (
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/wire"
)

// series is how many changes travel in one want.
const series = 100

// rules limit what is done to a book.
type rules struct {
	policy plan.Policy
	brake  plan.Brake
	others tally // what the brake counts beside the book
}

// allows says whether something may be done; nothing is never to be done.
func (r rules) allows(op plan.Op) bool { return op != "" && r.policy.Allows(op) }

// upserts returns up to a series of creations and updates for what a page has.
func (b *book) upserts(items []item, r rules) []wire.ContactChange {
	var changes []wire.ContactChange
	taken := map[string]bool{}
	for _, it := range items {
		if len(changes) == series {
			break
		}
		e := b.find(it.contact.Source)
		if e == nil || e.seen != it.print || e.trouble != noTrouble || taken[e.source] {
			continue
		}
		op := e.todo()
		if !r.allows(op) {
			continue
		}
		taken[e.source] = true
		c := it.contact
		c.ID = e.id
		changes = append(changes, wire.ContactChange{Op: changeOps[op], Contact: c})
	}
	return changes
}

var changeOps = map[plan.Op]wire.ChangeOp{plan.Create: wire.OpCreate, plan.Update: wire.OpUpdate, plan.Delete: wire.OpDelete}

// braking is what the brake says to the deletions of a book.
type braking struct {
	due, held int  // deletions that are to be done, and those of them that wait for a person
	pending   int  // those that nobody has lifted
	wide      bool // they wait because of what other mailboxes lose as well
	recent    int  // done within a day
	linked    int  // entries that the phone system has of ours, and had a day ago
	refused   int  // deletions in trouble
}

// brake counts the deletions of a book. They are held back where they are too many for the
// book, or with those of all others for the phone system. What a person lifted is not
// counted, neither now nor when it is done.
func (b *book) brake(r rules, now time.Time) braking {
	var s braking
	for i := range b.entries {
		e := &b.entries[i]
		if e.exists() {
			s.linked++
		}
		switch {
		case e.todo() != plan.Delete:
		case e.trouble != noTrouble:
			s.refused++
		default:
			s.due++
			if !e.lifted {
				s.pending++
			}
		}
	}
	s.recent = recently(b.removed, now)
	s.linked += s.recent
	removed := s.recent + s.pending
	alone := r.brake.Exceeded(removed, s.linked)
	if alone || r.brake.Exceeded(removed+r.others.removed, s.linked+r.others.linked) {
		s.held, s.wide = s.pending, s.pending > 0 && !alone
	}
	return s
}

// deletions returns up to a series of those that may be done now. They need no content,
// so they wait until no page is left that might show what seems to be gone in another
// folder.
func (b *book) deletions(r rules, now time.Time) []wire.ContactChange {
	held := b.brake(r, now).held > 0
	return b.delete(r, func(e *entry) bool { return e.lifted || !held })
}

// farewell returns up to a series of the deletions that are to be done whatever the brake
// says.
func (b *book) farewell(r rules) []wire.ContactChange {
	return b.delete(r, func(e *entry) bool { return e.lifted })
}

func (b *book) delete(r rules, which func(*entry) bool) []wire.ContactChange {
	var changes []wire.ContactChange
	for i := range b.entries {
		if len(changes) == series || !r.allows(plan.Delete) {
			break
		}
		if e := &b.entries[i]; e.todo() == plan.Delete && e.trouble == noTrouble && which(e) {
			changes = append(changes, wire.ContactChange{Op: wire.OpDelete, Contact: directory.Contact{ID: e.id, Source: e.source}})
		}
	}
	return changes
}

// launch notes that changes are about to be sent, before they are. It returns whether the
// phone system may know some of them already.
func (b *book) launch(id string, at time.Time, changes []wire.ContactChange) (again bool) {
	b.flight, b.sent = id, at
	for _, c := range changes {
		e := b.find(c.Contact.Source)
		e.flying = true
		again = again || e.unsure
	}
	return again
}

// land notes what came of the want that was on its way. What the outcome does not
// mention may or may not be done.
func (b *book) land(o wire.ContactsOutcome) {
	for _, r := range o.Results {
		e := b.find(r.Source)
		if e == nil || !e.flying {
			continue
		}
		e.flying = false
		switch {
		case r.Result.Well() && e.seen == 0:
			if !e.lifted {
				b.countRemoval(o.At)
			}
			*e = entry{source: e.source, folder: e.folder}
		case r.Result.Well():
			e.written, e.unsure = e.seen, false
			if r.ID != "" {
				e.id = r.ID
			}
		default:
			b.troubled(e, r.Result, o.At)
		}
	}
	b.lost()
}

func (b *book) troubled(e *entry, result wire.ChangeResult, at time.Time) {
	if b.troubleAt.IsZero() {
		b.troubleAt = at
	}
	switch result {
	case wire.ChangeRefused:
		e.trouble = refused
	case wire.ChangeFull:
		e.trouble = full
	case wire.ChangeForeign:
		// It is not ours any more: there is nothing to delete, and a new one to make.
		e.trouble, e.id, e.written, e.unsure = foreign, "", 0, false
	default:
		e.trouble, e.unsure = failed, true
	}
}

// countRemoval counts a deletion, by the hour.
func (b *book) countRemoval(at time.Time) {
	hour := at.UTC().Truncate(time.Hour)
	var kept []removal
	for _, r := range b.removed {
		if r.recently(at) > 0 {
			kept = append(kept, r)
		}
	}
	b.removed = kept
	for i := range b.removed {
		if b.removed[i].hour.Equal(hour) {
			b.removed[i].count++
			return
		}
	}
	b.removed = append(b.removed, removal{hour, 1})
}

// lost notes that nobody knows what came of what is still on its way.
func (b *book) lost() {
	for i := range b.entries {
		if e := &b.entries[i]; e.flying {
			e.flying, e.unsure, e.written = false, true, 0
		}
	}
	b.flight = ""
	b.sort()
}

// lift lets the deletions be done that the brake holds back now, and tries again those
// that went wrong.
func (b *book) lift() {
	for i := range b.entries {
		if e := &b.entries[i]; e.todo() == plan.Delete {
			e.lifted, e.trouble = true, noTrouble
		}
	}
}

// forgive has everything tried again that went wrong and that the rules allow, and returns
// what that is, by source. A deletion is under the brake like any other; a creation or an
// update needs its contact read again, which lacking asks for.
func (b *book) forgive(r rules) map[string]trouble {
	var forgiven map[string]trouble
	for i := range b.entries {
		e := &b.entries[i]
		if e.trouble == noTrouble || !r.allows(e.todo()) {
			continue
		}
		if forgiven == nil {
			forgiven = map[string]trouble{}
		}
		forgiven[e.source], e.trouble = e.trouble, noTrouble
	}
	if forgiven != nil {
		b.troubleAt = time.Time{}
	}
	return forgiven
}

// retry is forgive for a book in which something went wrong so long ago, and says whether
// there is anything to do.
func (b *book) retry(r rules, now time.Time, after time.Duration) bool {
	return now.Sub(b.troubleAt) >= after && b.forgive(r) != nil
}

// leave notes that the book is not to have anything of this mailbox any more: all of it
// is deleted, whatever the brake says. What the phone system will not delete is let go.
func (b *book) leave() {
	for i := range b.entries {
		e := &b.entries[i]
		e.seen, e.lifted = 0, true
		if e.trouble == refused || e.trouble == foreign {
			*e = entry{source: e.source, folder: e.folder}
		}
	}
	b.open = false
	b.sort()
}
