package directory_test

import (
	"fmt"
	"maps"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/plan"
)

// bookPlanner is PlanBook, or one with a fault.
type bookPlanner func(directory.BookView) (directory.BookResult, error)

// mailbox is folders of contacts, by source, and who reads them.
type mailbox struct {
	r       *rand.Rand
	plan    bookPlanner
	shelf   *shelf
	folders map[string]map[string]directory.Contact
	changed map[string]map[string]bool // what changed in a folder since it was read
	round   uint32
	made    int
	late    []directory.ContactOutcome // that are still on their way
	gone    map[string]time.Time       // what was deleted, and when
	wrong   string
}

func newMailbox(t *testing.T, r *rand.Rand, p bookPlanner) *mailbox {
	m := &mailbox{r: r, plan: p, shelf: newShelf(t), folders: map[string]map[string]directory.Contact{"in": {}, "out": {}}, changed: map[string]map[string]bool{"in": {}, "out": {}}, gone: map[string]time.Time{}}
	m.shelf.has["foreign"] = directory.Contact{ID: "foreign", FirstName: "door"}
	m.shelf.view.Feeds = []string{"in", "out"}
	for range r.IntN(12) {
		m.add()
	}
	return m
}

func (m *mailbox) folder() string { return one(m.r, "in", "out") }

func one[T any](r *rand.Rand, all ...T) T { return all[r.IntN(len(all))] }

func (m *mailbox) set(folder string, c directory.Contact) {
	m.folders[folder][c.Source], m.changed[folder][c.Source] = c, true
}

func (m *mailbox) remove(folder, source string) {
	delete(m.folders[folder], source)
	m.changed[folder][source] = true
}

func (m *mailbox) add() {
	m.made++
	m.set(m.folder(), m.content(fmt.Sprintf("c%03d", m.made)))
}

func (m *mailbox) content(source string) directory.Contact {
	return directory.Contact{Source: source, FirstName: one(m.r, "Anna", "Ben", "Cid"), Numbers: directory.NumbersOf(one(m.r, "", "0171 1"), []string{one(m.r, "030 1", "030 2")}, nil)}
}

// happens lets one thing happen to the mailbox or the phone system.
func (m *mailbox) happens() string {
	folder := m.folder()
	sources := slices.Sorted(maps.Keys(m.folders[folder]))
	if len(sources) == 0 {
		m.add()
		return "added"
	}
	source := sources[m.r.IntN(len(sources))]
	switch m.r.IntN(12) {
	case 0, 1, 2:
		m.add()
		return "added"
	case 3, 4:
		m.set(folder, m.content(source))
		return source + " changed"
	case 5, 6:
		m.remove(folder, source)
		return source + " removed"
	case 7, 8:
		c := m.folders[folder][source]
		m.remove(folder, source)
		m.set(map[string]string{"in": "out", "out": "in"}[folder], c)
		return source + " moved"
	case 9:
		if m.r.IntN(4) > 0 {
			return "nothing"
		}
		for _, source := range sources {
			m.remove(folder, source)
		}
		return folder + " emptied"
	case 10:
		m.shelf.view.Now = m.shelf.view.Now.Add(time.Duration(m.r.IntN(30)) * time.Hour)
		return "time passes"
	}
	m.deliver([]directory.Page{{Feed: folder, Trouble: directory.ReadDenied}})
	return folder + " cannot be read"
}

// whole is a reading of a folder as a whole, in pages.
func (m *mailbox) whole(folder string) []directory.Page {
	m.round++
	var pages []directory.Page
	sources := slices.Collect(maps.Keys(m.folders[folder]))
	slices.Sort(sources)
	m.r.Shuffle(len(sources), func(i, j int) { sources[i], sources[j] = sources[j], sources[i] })
	for {
		p := directory.Page{Feed: folder, Round: m.round, Index: len(pages)}
		n := min(len(sources), 1+m.r.IntN(4))
		for _, source := range sources[:n] {
			p.Contacts = append(p.Contacts, m.folders[folder][source])
		}
		sources = sources[n:]
		p.Last = len(sources) == 0
		pages = append(pages, p)
		if p.Last {
			clear(m.changed[folder])
			return pages
		}
	}
}

// changes is a reading of what changed in a folder.
func (m *mailbox) changes(folder string) []directory.Page {
	p := directory.Page{Feed: folder, Last: true}
	for _, source := range slices.Sorted(maps.Keys(m.changed[folder])) {
		if c, there := m.folders[folder][source]; there {
			p.Contacts = append(p.Contacts, c)
		} else {
			p.Removed = append(p.Removed, source)
		}
	}
	clear(m.changed[folder])
	return []directory.Page{p}
}

// deliver plans for each page and does what is planned. Now and then the process is
// killed: before anything is stored, before anything or after some of it is sent, or
// before the answers are heard, which come later or never; then the page comes again.
func (m *mailbox) deliver(pages []directory.Page) {
	for _, p := range pages {
		for m.wrong == "" && !m.once(p) {
		}
	}
}

func (m *mailbox) once(p directory.Page) (done bool) {
	s := m.shelf
	if m.r.IntN(3) == 0 {
		m.hear()
	}
	s.view.Pages = []directory.Page{p}
	today := m.today()
	r, err := m.plan(s.view)
	if err != nil {
		m.wrong = err.Error()
		return true
	}
	kill := m.r.IntN(8)
	if kill == 0 {
		return false
	}
	s.view.Record = r.Record
	if kill == 1 {
		return false
	}
	var outcomes []directory.ContactOutcome
	for _, step := range r.Steps {
		if step.Held {
			continue
		}
		if kill == 2 && m.r.IntN(2) == 0 {
			break
		}
		if step.Op == plan.Delete {
			m.gone[step.Source] = s.view.Now
		}
		outcomes = append(outcomes, s.write(step))
	}
	if now := m.today(); now > today && now > max(3, len(r.Record.Entries)*5/100) {
		m.wrong = fmt.Sprintf("%d were deleted within a day, of %d", now, len(r.Record.Entries))
	}
	if kill == 2 || kill == 3 {
		if m.r.IntN(2) == 0 {
			m.late = append(m.late, outcomes...)
		}
		return false
	}
	m.hear()
	s.view.Record = s.view.Record.Settle(outcomes, s.view.Now)
	return true
}

// today is how many were deleted within the day.
func (m *mailbox) today() (n int) {
	for _, at := range m.gone {
		if m.shelf.view.Now.Sub(at) < plan.Window {
			n++
		}
	}
	return n
}

// hear lets the answers arrive that were on their way.
func (m *mailbox) hear() {
	m.shelf.view.Record = m.shelf.view.Record.Settle(m.late, m.shelf.view.Now)
	m.late = nil
}

// truth is what the book should have.
func (m *mailbox) truth() string {
	t := shelf{has: map[string]directory.Contact{"foreign": {FirstName: "door"}}}
	for _, folder := range m.folders {
		for source, c := range folder {
			t.has[source] = c
		}
	}
	return t.content()
}

// settle reads both folders as a whole, without being killed, with everything confirmed
// that the brake holds back, and says what is wrong then.
func (m *mailbox) settle() {
	s := m.shelf
	m.hear()
	s.view.Force = true
	for range 2 {
		for _, folder := range []string{"in", "out"} {
			for _, p := range m.whole(folder) {
				s.view.Pages = []directory.Page{p}
				r, err := m.plan(s.view)
				if err != nil {
					m.wrong = err.Error()
					return
				}
				s.view.Record = r.Record
				s.apply(r.Steps)
				for _, step := range r.Steps {
					if step.Op == plan.Delete {
						m.gone[step.Source] = s.view.Now
					}
				}
			}
		}
	}
	s.view.Force = false
	switch {
	case s.content() != m.truth():
		m.wrong = "the book has " + s.content() + "\ninstead of " + m.truth()
	case s.view.Record.Unsettled() != 0:
		m.wrong = fmt.Sprintf("something is unsettled: %+v", s.view.Record)
	}
	for _, folder := range []string{"in", "out"} {
		for _, p := range m.whole(folder) {
			s.view.Pages = []directory.Page{p}
			r, err := m.plan(s.view)
			if err != nil || len(r.Steps) > 0 {
				m.wrong = fmt.Sprintf("reading again plans %s, %v", bookWords(r), err)
				return
			}
			s.view.Record = r.Record
		}
	}
}

// readings plays mailboxes until something is wrong, and returns that. held is how many
// deletions were held back on the way.
func readings(t *testing.T, r *rand.Rand, p bookPlanner, mailboxes int) string {
	for range mailboxes {
		m := newMailbox(t, r, p)
		var story []string
		for range 12 {
			for range 1 + r.IntN(3) {
				story = append(story, m.happens())
			}
			folder := m.folder()
			switch n := r.IntN(4); {
			case n == 0:
				pages := m.whole(folder)
				pages = pages[:1+r.IntN(len(pages))] // it is cut off now and then, and the cursor lost
				m.deliver(pages)
				story = append(story, fmt.Sprintf("%d pages of %s read", len(pages), folder))
			case n == 1:
				m.settle()
				story = append(story, "all read")
			default:
				m.deliver(m.changes(folder))
				story = append(story, "changes of "+folder+" read")
			}
			if m.wrong != "" {
				return strings.Join(story, ", ") + "\n" + m.wrong
			}
		}
	}
	return ""
}

func TestABookIsWhatItsFoldersAreWhateverHappens(t *testing.T) {
	held, deleted := 0, 0
	counting := func(v directory.BookView) (directory.BookResult, error) {
		r, err := directory.PlanBook(v)
		held += r.Brake.Held
		for _, s := range r.Steps {
			if s.Op == plan.Delete {
				deleted++
			}
		}
		return r, err
	}
	if wrong := readings(t, random(t), counting, 400); wrong != "" {
		t.Fatal(wrong)
	}
	if held < 100 || deleted < 1_000 {
		t.Errorf("only %d deletions, %d held", deleted, held)
	}
}

// spoilt is PlanBook that sees something else than there is, and whose result is spoilt.
func spoilt(see func(*directory.BookView), do func(*directory.BookResult)) bookPlanner {
	return func(v directory.BookView) (directory.BookResult, error) {
		v.Record.Entries, v.Pages = slices.Clone(v.Record.Entries), slices.Clone(v.Pages)
		v.Record.Feeds = slices.Clone(v.Record.Feeds)
		if see != nil {
			see(&v)
		}
		r, err := directory.PlanBook(v)
		if do != nil {
			do(&r)
		}
		return r, err
	}
}

func TestEachFaultOfBooksIsFound(t *testing.T) {
	for _, c := range []struct {
		name string
		see  func(*directory.BookView)
		do   func(*directory.BookResult)
	}{
		{"nothing is remembered", func(v *directory.BookView) { v.Record = directory.BookRecord{} }, nil},
		{"no brake", func(v *directory.BookView) { v.Brake = plan.Brake{Count: 1000} }, nil},
		{"a brake without memory", func(v *directory.BookView) { v.Record.Removed = nil }, nil},
		{"everything is held", nil, func(r *directory.BookResult) {
			for i := range r.Steps {
				r.Steps[i].Held = r.Steps[i].Op == plan.Delete
			}
		}},
		{"what is held is done", nil, func(r *directory.BookResult) {
			for i := range r.Steps {
				r.Steps[i].Held = false
			}
		}},
		{"nothing is deleted", nil, func(r *directory.BookResult) {
			r.Steps = slices.DeleteFunc(r.Steps, func(s directory.ContactStep) bool { return s.Op == plan.Delete })
		}},
		{"nothing is updated", nil, func(r *directory.BookResult) {
			r.Steps = slices.DeleteFunc(r.Steps, func(s directory.ContactStep) bool { return s.Op == plan.Update })
		}},
		{"every page is the last", func(v *directory.BookView) {
			for i := range v.Pages {
				v.Pages[i].Last = true
			}
		}, nil},
		{"no page is the last", func(v *directory.BookView) {
			for i := range v.Pages {
				v.Pages[i].Last = false
			}
		}, nil},
		{"what is on its way is believed to be there", nil, func(r *directory.BookResult) {
			for _, s := range r.Steps {
				for i := range r.Record.Entries {
					if e := &r.Record.Entries[i]; e.Source == s.Source && s.Op != plan.Delete {
						e.Print = s.Print
					}
				}
			}
		}},
		{"folders are not told apart", func(v *directory.BookView) {
			v.Feeds = nil
			for i := range v.Pages {
				v.Pages[i].Feed = "in"
			}
		}, nil},
		{"trouble is an empty folder", func(v *directory.BookView) {
			for i := range v.Pages {
				if p := &v.Pages[i]; p.Trouble != "" {
					v.Brake = plan.Brake{Count: 1000}
					for _, e := range v.Record.Entries {
						p.Removed = append(p.Removed, e.Source)
					}
					p.Trouble, p.Last = "", true
				}
			}
		}, nil},
		{"removed numbers stay", func(v *directory.BookView) {
			for i := range v.Pages {
				v.Pages[i].Contacts = slices.Clone(v.Pages[i].Contacts)
				for j := range v.Pages[i].Contacts {
					if c := &v.Pages[i].Contacts[j]; len(c.Numbers) == 1 {
						c.Numbers = append(slices.Clone(c.Numbers), directory.Number{Kind: directory.MobileNumber, Text: "0171 1"})
					}
				}
			}
		}, nil},
		{"strangers are deleted", nil, func(r *directory.BookResult) {
			r.Steps = append(r.Steps, directory.ContactStep{Op: plan.Delete, ID: "foreign"})
		}},
	} {
		t.Run(c.name, func(t *testing.T) {
			if readings(t, rand.New(rand.NewPCG(1, 0)), spoilt(c.see, c.do), 400) == "" {
				t.Error("nothing was found")
			}
		})
	}
}
