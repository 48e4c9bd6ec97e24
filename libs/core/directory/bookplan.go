package directory

import (
	"cmp"
	"fmt"
	"iter"
	"slices"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/plan"
)

// BookView is everything that a plan for one phonebook is made of. Nothing of it is
// changed.
type BookView struct {
	Book   Book
	Now    time.Time
	Record BookRecord
	// Feeds are the names of all folders that the book is made of; nil: those of Record.
	// The entries of any other are deleted.
	Feeds []string
	// Pages in the order in which they were read. Without any, what is left of earlier
	// plans is asked for again: after a start, and when somebody confirmed.
	Pages  []Page
	Limits BookLimits
	// Normalise returns the E.164 form of a number, "" where it has none; nil finds
	// numbers that are written alike only.
	Normalise func(text string) string

	Brake plan.Brake
	Force bool // a person confirmed what the brake holds back
}

// BookResult is what should be done.
type BookResult struct {
	// Record is to be stored before anything is sent.
	Record BookRecord
	// Steps by source. Held ones are shown only.
	Steps    []ContactStep
	Problems []Problem
	Brake    plan.State
	States   []FeedState
}

// Changes are the steps as plans show them, one at a time.
func (r *BookResult) Changes() iter.Seq[plan.Change] {
	return func(yield func(plan.Change) bool) {
		for i := range r.Steps {
			if !yield(r.Steps[i].Change()) {
				return
			}
		}
	}
}

// FeedState is how a folder is doing.
type FeedState struct {
	Feed    string
	State   Condition
	Entries int // of Offhook's, made of it
	Held    int // of those, that are to be deleted and held back
}

// Condition says how a folder is doing in a word.
type Condition string

// The conditions, beside the troubles.
const (
	Current Condition = "current"
	Reading Condition = "reading" // for the first time, or again as a whole
	Braked  Condition = "held"    // more would be deleted than the brake allows
	Emptied Condition = "emptied" // as Braked, and nothing would be left
)

// PlanBook returns what makes a phonebook's entries as the contacts that were read:
//
//	contact                            no entry     entry
//	read, its content as confirmed     created      left alone
//	read, with another content         created      updated
//	removed, in a reading of changes   -            deleted, if the entry is of that folder
//	not read in a whole reading        -            deleted at its end, if of that folder
//	folder cannot be read              -            left alone
//
// A reading of the whole may be cut off and begun again any number of times; nothing is
// deleted before all its pages were seen, in their order. What the brake holds back stays
// marked in the record and goes when the brake allows it. Entries that are not in the
// record are somebody else's; PlanBook knows nothing of them.
//
// An error is fault.Conflict, a page before which another is missing: it is to be read
// or delivered again.
func PlanBook(v BookView) (BookResult, error) {
	p := bookPlanner{BookView: &v, record: v.Record.clone(), fresh: map[string]*Entry{}, at: map[string]int{}, numbers: map[string]string{}}
	p.feeds()
	end := len(v.Pages) == 0
	for i := range v.Pages {
		if err := p.page(&v.Pages[i]); err != nil {
			return BookResult{}, err
		}
		end = end || v.Pages[i].Last
	}
	p.merge()
	p.strays()
	p.remove(end)
	slices.SortFunc(p.result.Steps, func(a, b ContactStep) int { return cmp.Compare(a.Source, b.Source) })
	p.result.Record = p.record
	return p.result, nil
}

type bookPlanner struct {
	*BookView
	record  BookRecord
	fresh   map[string]*Entry // new entries by source, until they are merged
	at      map[string]int    // of the source's step
	numbers map[string]string // normalised, and the source that has it
	result  BookResult
}

// wanted says whether the book is made of the feed.
func (p *bookPlanner) wanted(feed string) bool {
	return p.Feeds == nil || slices.Contains(p.Feeds, feed)
}

// feeds marks the entries of folders that are no longer asked for.
func (p *bookPlanner) feeds() {
	over := make([]bool, len(p.record.Feeds)+1)
	for i, f := range p.record.Feeds {
		over[i+1] = !p.wanted(f.Name)
	}
	for i := range p.record.Entries {
		if e := &p.record.Entries[i]; over[e.Feed] && e.Gone == "" {
			e.Gone = FeedOver
		}
	}
	for _, name := range p.Feeds {
		p.record.feed(name)
	}
}

// entry returns that of a source, or nil.
func (p *bookPlanner) entry(source string) *Entry {
	if e := p.fresh[source]; e != nil {
		return e
	}
	if i, known := p.record.find(source); known {
		return &p.record.Entries[i]
	}
	return nil
}

// merge puts new entries where they belong.
func (p *bookPlanner) merge() {
	if len(p.fresh) == 0 {
		return
	}
	for _, e := range p.fresh {
		p.record.Entries = append(p.record.Entries, *e)
	}
	slices.SortFunc(p.record.Entries, compareEntries)
	clear(p.fresh)
}

func (p *bookPlanner) page(g *Page) error {
	if !p.wanted(g.Feed) {
		p.problem("", "", FeedOver, g.Feed)
		return nil
	}
	number := p.record.feed(g.Feed)
	f := &p.record.Feeds[number-1]
	if g.Trouble != "" {
		f.Trouble = g.Trouble
		return nil
	}
	switch ok, err := f.accept(g); {
	case err != nil:
		return err
	case !ok:
		p.problem("", "", OlderRound, fmt.Sprintf("page %d of reading %d of %s", g.Index, g.Round, g.Feed))
		return nil
	}
	f.Trouble = ""
	for i := range g.Contacts {
		p.contact(&g.Contacts[i], number, f.Round)
	}
	for _, source := range g.Removed {
		if e := p.entry(source); e != nil && e.Feed == number {
			p.drop(e, Removed)
		}
	}
	if g.Round != 0 && g.Last {
		p.sweep(number, f.Round)
	}
	return nil
}

// accept notes how far a reading of the whole has come. Of pages that were accepted
// before it takes the newest again, since nobody knows whether its steps were sent.
func (f *Feed) accept(g *Page) (ok bool, err error) {
	switch {
	case g.Round == 0:
		f.Next = -1
		return true, nil
	case g.Round > f.Round && g.Index == 0:
		f.Round, f.Next, f.Whole = g.Round, 0, false
	case g.Round > f.Round:
		return false, fault.Errorf(fault.Conflict, "directory: contacts of "+g.Feed, "page %d of reading %d came before its first", g.Index, g.Round)
	case g.Round < f.Round || g.Index < f.Next-1 || f.Next < 0:
		return false, nil
	case g.Index > f.Next:
		return false, fault.Errorf(fault.Conflict, "directory: contacts of "+g.Feed, "page %d of reading %d came before page %d", g.Index, g.Round, f.Next)
	}
	f.Next = g.Index + 1
	f.Whole = f.Whole || g.Last
	return true, nil
}

// contact plans for a contact that was read.
func (p *bookPlanner) contact(c *Contact, feed uint16, round uint32) {
	if !validSource(c.Source) {
		p.problem("", "", NoSource, c.label())
		return
	}
	e := p.entry(c.Source)
	fitted := p.Limits.fit(c, p.Normalise, func(f Field, why Reason, detail string) { p.problem(c.Source, f, why, detail) })
	switch {
	case fitted.blank():
		p.problem(c.Source, "", Blank, "")
		if e != nil && e.Feed == feed {
			p.drop(e, Blank)
		}
		return
	case e == nil && p.Limits.Entries > 0 && len(p.record.Entries)+len(p.fresh) >= p.Limits.Entries:
		p.problem(c.Source, "", BookFull, fitted.label())
		return
	case e == nil:
		e = &Entry{Source: c.Source}
		p.fresh[c.Source] = e
	}
	p.shared(&fitted)
	if e.Gone != "" { // a deletion may be on its way
		e.Gone, e.Print = "", 0
	}
	e.Feed, e.Round = feed, round
	if print := fitted.Fingerprint(); e.Print != print {
		p.write(e, fitted, print)
	}
}

// write adds the step that makes an entry what it should be. If the same contact was read
// twice the last counts.
func (p *bookPlanner) write(e *Entry, c Contact, print Fingerprint) {
	c.ID = e.ID
	s := ContactStep{Op: plan.Update, Reason: Differs, Book: p.Book, Source: e.Source, ID: e.ID, Contact: c, Print: print, was: e.Print}
	if e.ID == "" {
		s.Op, s.Reason = plan.Create, New
	}
	e.Print = 0
	if at, again := p.at[s.Source]; again {
		s.was = p.result.Steps[at].was
		p.result.Steps[at] = s
		return
	}
	p.at[s.Source] = len(p.result.Steps)
	p.result.Steps = append(p.result.Steps, s)
}

// drop marks an entry as one to be deleted, and forgets what was to be written.
func (p *bookPlanner) drop(e *Entry, why Reason) {
	if e.Gone == "" {
		e.Gone = why
	}
	at, ok := p.at[e.Source]
	if !ok {
		return
	}
	last := len(p.result.Steps) - 1
	p.result.Steps[at] = p.result.Steps[last]
	p.at[p.result.Steps[at].Source] = at
	p.result.Steps = p.result.Steps[:last]
	delete(p.at, e.Source)
}

// sweep marks what was not seen in the reading of a feed that has come to its end.
func (p *bookPlanner) sweep(feed uint16, round uint32) {
	p.merge()
	for i := range p.record.Entries {
		if e := &p.record.Entries[i]; e.Feed == feed && e.Round < round {
			p.drop(e, NotSeen)
		}
	}
}

// strays marks what was found on the phone system and is in no folder, when all of them
// have been read.
func (p *bookPlanner) strays() {
	if len(p.record.Feeds) == 0 || slices.ContainsFunc(p.record.Feeds, func(f Feed) bool { return p.wanted(f.Name) && !f.Whole }) {
		return
	}
	for i := range p.record.Entries {
		if e := &p.record.Entries[i]; e.Feed == 0 {
			p.drop(e, NotSeen)
		}
	}
}

// remove adds the steps that delete, at the end of a reading, and says how each folder is
// doing.
func (p *bookPlanner) remove(end bool) {
	entries := p.record.Entries
	var planned []string
	for i := range entries {
		if entries[i].Gone != "" {
			planned = append(planned, entries[i].Source)
		}
	}
	var held func(string) bool
	p.result.Brake, held = p.Brake.Check(planned, plan.Recent(p.record.Removed, p.Now), len(entries), p.Force)
	states := make([]FeedState, len(p.record.Feeds)+1)
	for i := range entries {
		e := &entries[i]
		states[e.Feed].Entries++
		if e.Gone == "" {
			continue
		}
		braked := held(e.Source)
		if braked {
			states[e.Feed].Held++
		}
		if end {
			p.result.Steps = append(p.result.Steps, ContactStep{Op: plan.Delete, Reason: e.Gone, Book: p.Book, Source: e.Source, ID: e.ID,
				Contact: Contact{ID: e.ID, Source: e.Source}, Held: braked})
		}
	}
	for i, f := range p.record.Feeds {
		s := states[i+1]
		if s.Feed = f.Name; p.wanted(f.Name) || s.Entries > 0 {
			s.State = f.condition(s)
			p.result.States = append(p.result.States, s)
		}
	}
}

// condition says how a folder with so many entries is doing.
func (f *Feed) condition(s FeedState) Condition {
	switch {
	case f.Trouble != "":
		return Condition(f.Trouble)
	case s.Held > 0 && s.Held == s.Entries:
		return Emptied
	case s.Held > 0:
		return Braked
	case !f.Whole:
		return Reading
	}
	return Current
}

// shared reports numbers that another contact of these pages has as well.
func (p *bookPlanner) shared(c *Contact) {
	for _, n := range c.Numbers {
		key := n.Text
		if p.Normalise != nil {
			key = p.Normalise(n.Text)
		}
		other, ok := p.numbers[key]
		switch {
		case key == "":
		case ok && other != c.Source:
			p.problem(c.Source, Field(n.Kind), Shared, "with "+other)
		default:
			p.numbers[key] = c.Source
		}
	}
}

func (p *bookPlanner) problem(source string, f Field, why Reason, detail string) {
	object := p.Book.String()
	if source != "" {
		object += " " + source
	}
	p.result.Problems = append(p.result.Problems, Problem{object, string(f), why, detail})
}
