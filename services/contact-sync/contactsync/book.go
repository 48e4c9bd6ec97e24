package contactsync

import (
	"cmp"
	"slices"
	"strings"
	"time"

	"offhook.dev/libs/core/plan"
)

// book is what Offhook knows of one phonebook as far as one mailbox fills it: which
// entries are its own, what Microsoft 365 was last seen to have and what the phone
// system was last made to have, both as fingerprints. It is a value of the bucket
// `books`. Its methods are pure.
//
// Both sides stand side by side, so what is left to do can be told at any time without
// any content: seen and not written is a creation, seen otherwise an update, written
// and not seen a deletion. Content is needed to do the first two, and comes with a page.
type book struct {
	shared bool // the mailbox is everybody's, and the book the company's
	// at is the page that was folded last, by its sequence; open: something of it is
	// left to do.
	at   uint64
	open bool
	// unread is not zero where pages went by: only a full reading that began after it
	// brings what is missing.
	unread time.Time
	flight string    // the id of the want that is on its way, or ""
	sent   time.Time // when it was sent
	// problem is why the mailbox cannot be read, or ""; nothing follows from it.
	problem   string
	problemAt time.Time
	left      time.Time // since when nobody asks for this book; zero: somebody does
	over      int       // contacts without room, since the last full reading began
	// troubleAt is when something went wrong first since all that had was tried again.
	troubleAt time.Time
	folders   []folder
	removed   []removal // what was deleted lately, for the brake
	entries   []entry   // by source
}

// folder is a contact folder of the mailbox.
type folder struct {
	id    string
	round uint64    // being read, or read last
	began time.Time // when its first page was read
	seen  time.Time // when the last page was read
	whole bool      // no page of the round is missing so far
	// doubt: it was never read whole, so nobody knows whether the phone system has
	// entries of it already, from before this value was lost.
	doubt bool
	gone  bool
}

// removal counts deletions within an hour.
type removal struct {
	hour  time.Time
	count int
}

// entry is one contact.
type entry struct {
	source  string
	id      string // the phone system's, or ""
	seen    uint64 // fingerprint of what Microsoft 365 has; 0: it is not there
	written uint64 // fingerprint of what the phone system has; 0: nothing, or nobody knows
	folder  int    // index of the folder that it was last seen in
	marked  bool   // it was seen in the round of its folder
	flying  bool   // it is in the want that is on its way
	unsure  bool   // the phone system may have it, whatever else stands here
	lifted  bool   // a person said that it may be deleted, whatever the brake says
	trouble trouble
	notes   notes // what is to be told of its values
}

// trouble is why a change is not tried again for a while.
type trouble uint8

const (
	noTrouble trouble = iota
	refused           // the phone system will not have the contact as it is
	full              // the phonebook has no room
	failed            // it was tried for as long as there was hope
	foreign           // the entry is somebody else's now
)

var troubleNames = [...]string{"", "refused", "full", "failed", "foreign"}

func (t trouble) String() string { return troubleNames[t] }

// exists says whether the phone system has the entry, as far as is known.
func (e *entry) exists() bool { return e.id != "" || e.written != 0 }

// todo is what has to be done to make both sides the same; "": nothing.
func (e *entry) todo() plan.Op {
	switch {
	case e.seen == 0 && (e.exists() || e.unsure):
		return plan.Delete
	case e.seen == 0 || e.seen == e.written:
		return ""
	case e.exists():
		return plan.Update
	}
	return plan.Create
}

func bySource(e entry, source string) int { return strings.Compare(e.source, source) }

// find returns the entry of a source, or nil.
func (b *book) find(source string) *entry { return findIn(b.entries, source) }

func findIn(sorted []entry, source string) *entry {
	i, ok := slices.BinarySearchFunc(sorted, source, bySource)
	if !ok {
		return nil
	}
	return &sorted[i]
}

// sort puts the entries in order and drops those that neither side has.
func (b *book) sort() {
	b.entries = slices.DeleteFunc(b.entries, func(e entry) bool { return e.seen == 0 && !e.exists() && !e.unsure })
	slices.SortFunc(b.entries, func(x, y entry) int { return cmp.Compare(x.source, y.source) })
	b.tidyFolders()
}

// tidyFolders forgets folders that are gone and have no entry left.
func (b *book) tidyFolders() {
	if !slices.ContainsFunc(b.folders, func(f folder) bool { return f.gone }) {
		return
	}
	used := make([]bool, len(b.folders))
	for _, e := range b.entries {
		used[e.folder] = true
	}
	moved := make([]int, len(b.folders))
	var kept []folder
	for i, f := range b.folders {
		moved[i] = len(kept)
		if !f.gone || used[i] {
			kept = append(kept, f)
		}
	}
	for i := range b.entries {
		b.entries[i].folder = moved[b.entries[i].folder]
	}
	b.folders = kept
}

// folder returns the index of a folder, which is made if it is new.
func (b *book) folder(id string) int {
	for i, f := range b.folders {
		if f.id == id {
			b.folders[i].gone = false
			return i
		}
	}
	b.folders = append(b.folders, folder{id: id, doubt: true})
	return len(b.folders) - 1
}

// empty says whether nothing would be lost if the value were.
func (b *book) empty() bool { return len(b.entries) == 0 && b.flight == "" && len(b.removed) == 0 }
