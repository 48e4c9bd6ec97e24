package contactsync

import (
	"hash/maphash"
	"slices"
	"sync/atomic"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/wire"
)

// notes are what is to be told of a contact's values, a bit for each reason: nothing of
// what they are.
type notes uint8

// noted are the reasons of the bits, in order. Values at rest hold them: the order stays.
var noted = [...]directory.Reason{directory.Shortened, directory.TooLong, directory.NoDigits, directory.OnlyAnExtension,
	directory.NotANumber, directory.Doubled, directory.NoPlace, directory.Shared}

// with adds a reason; one that has no bit is not kept.
func (n notes) with(why directory.Reason) notes {
	if i := slices.Index(noted[:], why); i >= 0 {
		return n | 1<<i
	}
	return n
}

// remarks are the notes as plans show them.
func (n notes) remarks() (all []plan.Remark) {
	for i, why := range noted {
		if n&(1<<i) != 0 {
			all = append(all, plan.Remark{Reason: string(why)})
		}
	}
	return all
}

// twins counts the entries of each fingerprint that Microsoft 365 shows: contacts that
// say all the same have the same, in whichever folder they are and whenever they came.
func (b *book) twins() map[uint64]int {
	counts := make(map[uint64]int, len(b.entries))
	for i := range b.entries {
		if print := b.entries[i].seen; print != 0 {
			counts[print]++
		}
	}
	return counts
}

const (
	// mostNumbers is how many numbers are remembered of one mailbox while it is read, and
	// mostNumbersOfAll of all of them, with some 40 bytes each. What is beyond is compared
	// within its page only.
	mostNumbers, mostNumbersOfAll = 1 << 15, 1 << 20
	// numbersFor is how long they are remembered after the last page.
	numbersFor = 10 * time.Minute
)

// numbers are those of a mailbox whose contacts are being read whole, and whose they are:
// two hashes that nobody can turn back, in memory, for as long as that goes on. They
// belong to the worker that has the mailbox.
type numbers struct {
	owners  map[uint64]uint64
	folders map[string]uint64 // the rounds that they are of
	count   *atomic.Int64     // of all mailboxes; nil: they are not counted
	seed    maphash.Seed
}

func newNumbers(count *atomic.Int64) *numbers {
	return &numbers{owners: map[uint64]uint64{}, folders: map[string]uint64{}, count: count, seed: maphash.MakeSeed()}
}

// page returns what project asks while it reads a page. A page of a full reading is
// compared with the pages before it, of all folders; another round of a folder begins
// anew. A page of changes is compared within itself: what was read before may have changed.
func (n *numbers) page(p wire.ContactsPage) func(key, source string) bool {
	if !p.Full {
		return newNumbers(nil).others
	}
	if round, known := n.folders[p.Folder]; known && round != p.Round {
		n.forget()
	}
	n.folders[p.Folder] = p.Round
	return n.others
}

// others says whether another contact has a number, and remembers whose it is.
func (n *numbers) others(key, source string) bool {
	number, who := maphash.String(n.seed, key), maphash.String(n.seed, source)
	owner, known := n.owners[number]
	switch {
	case known:
		return owner != who
	case n.count == nil:
	case len(n.owners) >= mostNumbers || n.count.Load() >= mostNumbersOfAll:
		return false
	default:
		n.count.Add(1)
	}
	n.owners[number] = who
	return false
}

// forget begins anew.
func (n *numbers) forget() {
	if n.count != nil {
		n.count.Add(-int64(len(n.owners)))
	}
	clear(n.owners)
	clear(n.folders)
}
