package contactsync

import (
	"fmt"
	"runtime"
	"slices"
	"strconv"
	"syscall"
	"testing"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/wire"
)

const (
	perMailbox = 1_000 // contacts
	perPage    = 100
)

// shelf is the mailboxes of a tenant with the phonebooks that they fill. The phone system
// has a place for all kinds of numbers.
type shelf struct {
	books    []*book
	contacts [][]directory.Contact // by mailbox
	sequence uint64                // of the last page
	round    uint64
}

// newShelf has n contacts in mailboxes of a thousand, of which nothing is known yet.
func newShelf(n int) *shelf {
	s := &shelf{}
	for i := range n {
		if i%perMailbox == 0 {
			s.books, s.contacts = append(s.books, &book{}), append(s.contacts, nil)
		}
		m := len(s.contacts) - 1
		s.contacts[m] = append(s.contacts[m], directory.Contact{Source: directory.SourceKey(strconv.Itoa(i)), FirstName: "Anna", LastName: fmt.Sprintf("Berg %d", i), Company: "Contoso",
			Mail: fmt.Sprintf("anna%d@example.com", i), Numbers: []directory.Number{{Kind: directory.MobileNumber, Text: fmt.Sprintf("+49 171 %07d", i)}, {Kind: directory.BusinessNumber, Text: fmt.Sprintf("030 %07d", i)}}})
	}
	return s
}

// read plans for everything as it is read, page by page, and returns how many changes follow.
func (s *shelf) read() (changes int) {
	s.round++
	for m, contacts := range s.contacts {
		numbers := newNumbers(nil)
		for at := 0; at < len(contacts); at += perPage {
			s.sequence++
			page := wire.ContactsPage{Folder: "contacts", Round: s.round, Full: true, First: at == 0, Last: at+perPage >= len(contacts), SeenAt: noon}
			items, blank, _ := project(contacts[at:min(at+perPage, len(contacts))], takes{kinds: directory.NumberKinds()}, "DE", numbers.others)
			s.books[m].fold(readingOf(s.sequence, page, items, blank))
			changes += len(s.books[m].upserts(items, rules{policy: plan.Sync}))
		}
	}
	return changes
}

// settle does what is planned: the phone systems have it.
func (s *shelf) settle() {
	id := 100_000
	for _, b := range s.books {
		for i := range b.entries {
			id++
			b.entries[i].id, b.entries[i].written = strconv.Itoa(id), b.entries[i].seen
		}
	}
}

// BenchmarkPlanContacts plans for 1,000, 10,000 and 100,000 contacts in mailboxes of a
// thousand, from the page that was read to the changes that follow: a first run, one with
// nothing to do, and one after 1 % of the contacts have changed. The objects of which it
// says how many are compared in a second, of the clock and of a processor that does nothing
// else, are contacts.
func BenchmarkPlanContacts(b *testing.B) {
	for _, n := range []int{1_000, 10_000, 100_000} {
		for _, c := range []struct {
			name    string
			make    func() *shelf // called before each run, beside the clock
			changes int
		}{
			{"first run", func() *shelf { return newShelf(n) }, n},
			{"nothing to do", func() *shelf {
				s := newShelf(n)
				s.read()
				s.settle()
				return s
			}, 0},
			{"1 % changed", func() *shelf {
				s := newShelf(n)
				s.read()
				s.settle()
				for _, contacts := range s.contacts {
					for i := 0; i < len(contacts); i += 100 {
						contacts[i].LastName = "Tal"
					}
				}
				return s
			}, n / 100},
		} {
			b.Run(fmt.Sprintf("%s/%d", c.name, n), func(b *testing.B) {
				b.ReportAllocs()
				var took, computed time.Duration
				for b.Loop() {
					b.StopTimer()
					s := c.make()
					b.StartTimer()
					began, busy := time.Now(), processor(b)
					if changes := s.read(); changes != c.changes {
						b.Fatalf("%d changes, want %d", changes, c.changes)
					}
					took, computed = took+time.Since(began), computed+processor(b)-busy
				}
				all := float64(n) * float64(b.N)
				b.ReportMetric(all/took.Seconds(), "objects/s")
				b.ReportMetric(all/computed.Seconds(), "objects/cpu-s")
			})
		}
	}
}

// processor is how long this process has been computing.
func processor(b *testing.B) time.Duration {
	b.Helper()
	var u syscall.Rusage
	if err := syscall.Getrusage(syscall.RUSAGE_SELF, &u); err != nil {
		b.Fatal(err)
	}
	return time.Duration(u.Utime.Nano() + u.Stime.Nano())
}

// bytesEach is how much memory planning takes for each of n contacts that are as they were.
// They have no numbers: to tell their keys is nearly all of it, and what that takes from a
// pool is by chance with the race detector.
func bytesEach(t *testing.T, n int, read func(*shelf) int) uint64 {
	t.Helper()
	s := newShelf(n)
	for _, contacts := range s.contacts {
		for i := range contacts {
			contacts[i].Numbers = nil
		}
	}
	s.read()
	s.settle()
	var before, after runtime.MemStats
	runtime.ReadMemStats(&before)
	changes := read(s)
	runtime.ReadMemStats(&after)
	if changes > 0 {
		t.Fatalf("%d changes", changes)
	}
	return (after.TotalAlloc - before.TotalAlloc) / uint64(n)
}

// mostEach is the memory that planning may take for a contact that has not changed; it is
// given back when the page is done with.
const mostEach = 3_000

func TestPlanningContactsTakesMemoryForEachAndNotForAll(t *testing.T) {
	for _, n := range []int{1_000, 4_000, 16_000} {
		each := bytesEach(t, n, (*shelf).read)
		t.Logf("of %d contacts each costs %d bytes", n, each)
		if each > mostEach {
			t.Errorf("of %d contacts each costs %d bytes", n, each)
		}
	}
}

// The control: who copies everything that is known of a mailbox for each contact is caught.
func TestAPlannerThatCopiesItsBooksIsCaught(t *testing.T) {
	copying := func(s *shelf) int {
		for i, contacts := range s.contacts {
			for range contacts {
				s.books[i].entries = slices.Clone(s.books[i].entries)
			}
		}
		return s.read()
	}
	if each := bytesEach(t, 2_000, copying); each <= mostEach {
		t.Errorf("each costs %d bytes", each)
	}
}
