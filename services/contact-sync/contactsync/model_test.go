package contactsync

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strconv"
	"testing"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/wire"
)

// model is one book with a mailbox before it and a phone system behind it, in one thread
// and in its own time. It does what step.go does, without the broker.
type model struct {
	r    *rand.Rand
	now  time.Time
	book *book

	folders map[string]map[string]uint64 // what Microsoft 365 has: folder, source, content
	changed map[string]map[string]bool   // since the last reading
	queue   []reading
	serial  uint64
	round   uint64

	entries  map[string]directory.Contact // the phone system's, by id; Company holds the content
	lastID   int
	deletes  []time.Time // that nobody lifted
	torn     bool        // pages were lost since everything was read
	problems []string
	mutant   mutant
}

// mutant takes a guard away.
type mutant struct {
	name   string
	fold   func(*book, reading) // before a page is folded
	lost   func(*book)          // instead of lost
	doubt  bool                 // nothing is ever unsure
	brake  plan.Brake
	forget bool // deletions are not counted
}

var usual = plan.Brake{Count: 3, Percent: 5}

func newModel(r *rand.Rand, m mutant) *model {
	if m.brake == (plan.Brake{}) {
		m.brake = usual
	}
	return &model{r: r, now: noon, book: &book{}, folders: map[string]map[string]uint64{"a": {}, "b": {}}, changed: map[string]map[string]bool{"a": {}, "b": {}},
		entries: map[string]directory.Contact{}, mutant: m}
}

func (m *model) rules() rules { return rules{policy: plan.Sync, brake: m.mutant.brake} }

func source(i int) string { return "s" + strconv.Itoa(1000+i) }

// put gives a contact a content, in one folder only.
func (m *model) put(folder string, i int, content uint64) {
	for name, contacts := range m.folders {
		if _, there := contacts[source(i)]; there && name != folder {
			m.remove(name, i)
		}
	}
	m.folders[folder][source(i)] = content
	m.changed[folder][source(i)] = true
}

func (m *model) remove(folder string, i int) {
	if _, there := m.folders[folder][source(i)]; there {
		delete(m.folders[folder], source(i))
		m.changed[folder][source(i)] = true
	}
}

func (m *model) item(folder, source string) item {
	content := m.folders[folder][source]
	return item{contact: directory.Contact{Source: source, Company: fmt.Sprint(content)}, print: content}
}

// page puts a page into the queue.
func (m *model) page(r reading) {
	m.serial++
	r.sequence, r.seenAt, r.round = m.serial, m.now, m.round
	m.queue = append(m.queue, r)
}

func (m *model) delta() {
	m.round++
	for _, folder := range slices.Sorted(maps.Keys(m.changed)) {
		r := reading{folder: folder, first: true, last: true}
		for _, s := range slices.Sorted(maps.Keys(m.changed[folder])) {
			if _, there := m.folders[folder][s]; there {
				r.items = append(r.items, m.item(folder, s))
			} else {
				r.removed = append(r.removed, s)
			}
		}
		if len(m.changed[folder]) > 0 {
			m.page(r)
		}
		m.changed[folder] = map[string]bool{}
	}
}

// full reads everything, or as many pages as there are before it is cut off.
func (m *model) full(pages int) {
	m.round++
	for _, folder := range slices.Sorted(maps.Keys(m.folders)) {
		size := 1 + m.r.IntN(20)
		r := reading{folder: folder, full: true, first: true}
		for _, s := range slices.Sorted(maps.Keys(m.folders[folder])) {
			if len(r.items) == size {
				if pages--; pages < 0 {
					return
				}
				m.page(r)
				r.items, r.first = nil, false
			}
			r.items = append(r.items, m.item(folder, s))
		}
		if pages--; pages < 0 {
			return
		}
		r.last = true
		m.page(r)
		m.changed[folder] = map[string]bool{}
	}
	m.torn = false
}

// work folds what waits and applies what follows. Outcomes are lost now and then, and so
// is what was not stored when the service died.
func (m *model) work(lossy bool) {
	for len(m.queue) > 0 {
		r := m.queue[0]
		if m.mutant.fold != nil {
			m.mutant.fold(m.book, r)
		}
		m.book.fold(r)
		if m.mutant.doubt {
			for i := range m.book.entries {
				m.book.entries[i].unsure = false
			}
		}
		for {
			changes := m.book.upserts(r.items, m.rules())
			if len(changes) == 0 {
				break
			}
			m.apply(changes, lossy)
		}
		m.book.open = false
		m.queue = m.queue[1:]
	}
	for {
		changes := m.book.deletions(m.rules(), m.now)
		if len(changes) == 0 {
			return
		}
		m.apply(changes, lossy)
	}
}

// apply sends a series and takes in what came of it.
func (m *model) apply(changes []wire.ContactChange, lossy bool) {
	again := m.book.launch("x", m.now, changes)
	stored, err := decodeBook(m.book.encode())
	if err != nil {
		m.problems = append(m.problems, err.Error())
		return
	}
	o := wire.ContactsOutcome{At: m.now}
	arrives := !lossy || m.r.IntN(8) > 0 // else the service dies before it is sent
	if arrives {
		allowed := max(m.mutant.brake.Count, m.mutant.brake.Percent*len(m.entries)/100)
		for _, c := range changes {
			o.Results = append(o.Results, m.change(c, again))
		}
		m.count(max(allowed, usual.Count, usual.Percent*(len(m.entries)+len(m.deletes))/100))
	}
	if !arrives || lossy && m.r.IntN(8) == 0 {
		m.book = stored
		if m.mutant.lost != nil {
			m.mutant.lost(m.book)
		}
		m.book.lost()
		return
	}
	m.book.land(o)
	if m.mutant.forget {
		m.book.removed = nil
	}
}

func (m *model) change(c wire.ContactChange, again bool) wire.ContactResult {
	id := c.Contact.ID
	if id == "" && again {
		for there, entry := range m.entries {
			if entry.Source == c.Contact.Source {
				id = there
			}
		}
	}
	r := wire.ContactResult{Op: c.Op, Source: c.Contact.Source, ID: id, Result: wire.ChangeDone}
	if c.Op == wire.OpDelete {
		if _, there := m.entries[id]; there {
			m.deletes = append(m.deletes, m.now)
		}
		delete(m.entries, id)
		return r
	}
	if _, there := m.entries[id]; !there {
		m.lastID++
		r.ID = strconv.Itoa(m.lastID)
	}
	m.entries[r.ID] = c.Contact
	return r
}

// count notes how many were deleted within a day. allowed is what the brake could let.
func (m *model) count(allowed int) {
	n := 0
	for _, at := range m.deletes {
		if m.now.Sub(at) < plan.Window-time.Hour { // it counts by the hour
			n++
		}
	}
	if n > allowed {
		m.problems = append(m.problems, fmt.Sprintf("%d were deleted within a day, %d may be", n, allowed))
	}
}

// compare says how the phone system differs from the mailbox.
func (m *model) compare() {
	want, has := map[string]string{}, map[string]string{}
	for _, contacts := range m.folders {
		for s, content := range contacts {
			want[s] = fmt.Sprint(content)
		}
	}
	for _, e := range m.entries {
		if _, twice := has[e.Source]; twice {
			m.problems = append(m.problems, e.Source+" is there twice")
		}
		has[e.Source] = e.Company
	}
	if !maps.Equal(want, has) {
		m.problems = append(m.problems, fmt.Sprintf("the phone system has %d entries %v, the mailbox %d", len(has), has, len(want)))
	}
}

// happens lets something happen.
func (m *model) happens() {
	folder := []string{"a", "b"}[m.r.IntN(2)]
	m.now = m.now.Add(time.Duration(m.r.IntN(120)) * time.Minute)
	switch m.r.IntN(10) {
	case 0, 1:
		from := m.r.IntN(60)
		for i := range m.r.IntN(40) {
			m.put(folder, from+i, 1+m.r.Uint64N(3))
		}
	case 2, 3:
		for range m.r.IntN(4) {
			m.remove(folder, m.r.IntN(100))
		}
	case 4:
		m.delta()
	case 5:
		m.full(1_000)
	case 6:
		m.full(m.r.IntN(6)) // cut off
	case 7:
		m.serial++
		m.book.pass(m.serial, m.now) // a page that cannot be read
		m.queue, m.torn = nil, true
	case 8:
		m.quiet()
	default:
		m.work(true)
	}
}

// quiet lets everything be read and done. If the book then says that nothing is left, it
// has to be true.
func (m *model) quiet() {
	m.work(false)
	m.delta()
	m.work(false)
	if !m.torn && !slices.ContainsFunc(m.book.entries, func(e entry) bool { return e.todo() != "" }) {
		m.compare()
	}
}

// live lets a random history happen and returns what went wrong.
func live(seed uint64, mu mutant) []string {
	m := newModel(rand.New(rand.NewPCG(seed, 0)), mu)
	for range 40 {
		m.happens()
	}
	m.full(1_000)
	m.work(false)
	m.book.lift() // somebody lets go what the brake holds
	counted := len(m.problems)
	m.work(false)
	m.problems = m.problems[:counted] // what was lifted may be many
	m.full(1_000)
	m.work(false)
	m.compare()
	return m.problems
}

const lives = 400

func TestABookEndsAsItsMailboxWhateverHappens(t *testing.T) {
	t.Parallel()
	first := seed(t)
	for i := range uint64(lives) {
		if problems := live(first+i, mutant{}); len(problems) > 0 {
			t.Fatalf("life %d: %v", first+i, problems)
		}
	}
}

// Without any of its guards a book goes wrong in some life, and the judge sees it.
func TestEachGuardOfABookIsNeeded(t *testing.T) {
	for _, mu := range []mutant{
		{name: "a reading counts as whole whatever is missing of it", fold: func(b *book, r reading) {
			for i := range b.folders {
				if f := &b.folders[i]; f.id == r.folder && r.full && r.last && f.round == r.round {
					f.whole = true
				}
			}
		}, brake: plan.Brake{Percent: 100}},
		{name: "what one folder lost is gone, whoever has it", fold: func(b *book, r reading) {
			for _, s := range r.removed {
				if e := b.find(s); e != nil {
					e.folder = b.folder(r.folder)
				}
			}
		}},
		{name: "what nobody knows counts as not done", lost: func(b *book) {
			for i := range b.entries {
				b.entries[i].flying = false
			}
		}, doubt: true},
		{name: "deletions are not remembered", forget: true},
	} {
		caught := false
		for i := range uint64(lives) {
			caught = caught || len(live(i, mu)) > 0
		}
		if !caught {
			t.Errorf("%s: nothing goes wrong in %d lives", mu.name, lives)
		}
	}
}
