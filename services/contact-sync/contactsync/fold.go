package contactsync

import "time"

// reading is a page as far as one book is concerned.
type reading struct {
	sequence          uint64
	folder            string
	round             uint64
	full, first, last bool
	items             []item
	removed           []string
	problem           string
	folderGone        bool
	seenAt            time.Time
}

// fold notes what a page says of Microsoft 365. Twice is once: a page is folded again
// after a crash. It returns false for a page that an earlier reader left behind, which
// says nothing.
//
//	page              what follows
//	problem           the state says so; nothing else
//	folder gone       what was in it is not there any more
//	contact           is there, in this folder, and seen in this round
//	removed           is not there any more, unless another folder has it by now
//	last of a round   what the round did not show is gone, if the round is full, began
//	                  at its first page and no page of it is missing
//
// Whatever is not there any more is deleted later, by deletions, under the brake.
func (b *book) fold(r reading) bool {
	if b.at == r.sequence {
		return true
	}
	b.at, b.open = r.sequence, true
	if r.problem != "" {
		if b.problem != r.problem {
			b.problem, b.problemAt = r.problem, r.seenAt
		}
		return true
	}
	b.problem, b.problemAt = "", time.Time{}
	f := b.folder(r.folder)
	now := &b.folders[f]
	if r.round < now.round && !r.seenAt.After(now.seen) {
		return false
	}
	now.seen = r.seenAt
	if r.folderGone {
		now.whole, now.gone = false, true
		b.vanish(f, func(e *entry) bool { return true })
		b.sort()
		return true
	}
	b.begin(f, r)
	b.take(f, r)
	b.drop(f, r)
	if r.full && r.last && now.whole {
		b.vanish(f, func(e *entry) bool { return !e.marked })
		now.whole, now.doubt = false, false
		if !now.began.Before(b.unread) {
			b.unread = time.Time{}
		}
	}
	b.sort()
	return true
}

// begin notes which round of a folder the page is of.
func (b *book) begin(f int, r reading) {
	now := &b.folders[f]
	if now.round == r.round {
		return
	}
	now.round, now.began, now.whole = r.round, r.seenAt, r.full && r.first
	for i := range b.entries {
		if b.entries[i].folder == f {
			b.entries[i].marked = false
		}
	}
	if now.whole {
		b.over = 0
	}
}

// take notes the contacts of a page.
func (b *book) take(f int, r reading) {
	room, each := b.room()
	added := map[string]int{}
	sorted := len(b.entries)
	for _, it := range r.items {
		source := it.contact.Source
		e := findIn(b.entries[:sorted], source)
		if e == nil {
			if i, ok := added[source]; ok {
				e = &b.entries[i]
			} else if room < each {
				b.over++
				continue
			} else {
				room -= each
				added[source] = len(b.entries)
				b.entries = append(b.entries, entry{source: source, unsure: b.folders[f].doubt})
				e = &b.entries[len(b.entries)-1]
			}
		}
		e.seen, e.folder, e.marked, e.lifted, e.trouble = it.print, f, true, false, noTrouble
		e.notes = it.notes
	}
}

// drop notes what a page says is gone. A contact that the same page shows is there: it
// was taken away and came back, or moved out and in.
func (b *book) drop(f int, r reading) {
	if len(r.removed) == 0 {
		return
	}
	b.sort()
	shown := map[string]bool{}
	for _, it := range r.items {
		shown[it.contact.Source] = true
	}
	for _, source := range r.removed {
		if e := b.find(source); e != nil && e.folder == f && !shown[source] {
			e.vanish()
		}
	}
}

// vanish notes that entries of a folder are not in Microsoft 365 any more.
func (b *book) vanish(f int, which func(*entry) bool) {
	for i := range b.entries {
		if e := &b.entries[i]; e.folder == f && e.seen != 0 && which(e) {
			e.vanish()
		}
	}
}

func (e *entry) vanish() { e.seen, e.lifted, e.trouble, e.notes = 0, false, noTrouble, 0 }

// pass lets a page go by unread, because it cannot be read, or nothing can be made of it
// now. No round that is being read is whole any more, so none of them makes anything
// disappear.
func (b *book) pass(sequence uint64, at time.Time) {
	b.at, b.open = sequence, false
	for i := range b.folders {
		b.folders[i].whole = false
	}
	if at.After(b.unread) {
		b.unread = at
	}
}
