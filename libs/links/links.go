// Package links mirrors in memory which Microsoft user is which extension. The
// bucket `links` is written by user-sync; the mapper, the writer, the poller and
// the control API watch it through a Mirror.
//
// A line belongs to one person at a time. Its link has a revision that grows with
// every new pairing, so that what was decided for an older one can be refused.
package links

import (
	"cmp"
	"context"
	"encoding/json"
	"slices"
	"strings"
	"sync"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/store"
	"offhook.dev/libs/wire"
)

// Record is the value of one person's key in the bucket.
type Record struct {
	Lines []Line `json:"lines"`
	// Owned is what Offhook made, adopted or reserved for the person, also after they left
	// until the hold is over; no pairing follows from it.
	Owned []directory.Record `json:"owned,omitempty"`
	// History are the last pairings that ended, the newest first.
	History []Former `json:"history,omitempty"`
}

// Former is a pairing that ended.
type Former struct {
	identity.Line
	How   string    `json:"how"`
	Since time.Time `json:"since"`
	Until time.Time `json:"until"`
}

func compare(a, b identity.Line) int {
	return cmp.Or(cmp.Compare(a.System, b.System), cmp.Compare(a.Extension, b.Extension))
}

// Line is one pairing.
type Line struct {
	identity.Line
	// Revision of this pairing: broker time in microseconds when it was made.
	Revision uint64          `json:"revision"`
	Powers   presence.Powers `json:"powers"`
	How      string          `json:"how"` // "configured" or "mail"
	Since    time.Time       `json:"since"`
}

// Mirror is the bucket in memory. It is the most that a service keeps of each person:
// names that many share are kept once, and a person once.
type Mirror struct {
	mu      sync.RWMutex // guards what follows
	people  map[block]map[identity.User]*member
	lines   map[identity.System]map[identity.Extension]*member
	left    map[identity.Person][]directory.Record // what is kept for those who left
	due     map[identity.Person]bool               // whose photo has to be read once more
	current chan struct{}
	once    sync.Once
}

// block is the people of a tenant whose ids begin with the same byte: who looks for a part
// of a large tenant need not go over all of it.
type block struct {
	tenant identity.Tenant
	first  byte // 0: the id is empty
}

func blockOf(person identity.Person) block {
	if person.User == "" {
		return block{tenant: person.Tenant}
	}
	return block{person.Tenant, person.User[0]}
}

// member is a person who has lines, or had some.
type member struct {
	person   identity.Person
	revision uint64 // of the person's record, also of a deleted one
	lines    []Line
}

// revisionOf returns the revision of the pairing with a line of the member's, or 0.
func (p *member) revisionOf(line identity.Line) uint64 {
	for i := range p.lines {
		if p.lines[i].Line == line {
			return p.lines[i].Revision
		}
	}
	return 0
}

// Owner is the person that a line belongs to.
type Owner struct {
	Person   identity.Person
	Revision uint64
}

// NewMirror returns an empty mirror; Run fills it.
func NewMirror() *Mirror {
	return &Mirror{people: map[block]map[identity.User]*member{}, lines: map[identity.System]map[identity.Extension]*member{},
		left: map[identity.Person][]directory.Record{}, due: map[identity.Person]bool{}, current: make(chan struct{})}
}

// Run keeps the mirror current until ctx ends. changed, unless nil, is called after
// each change of what the mirror tells with the person and the lines that they have or
// had; during the first fill as well. That user-sync stored something else about them is
// no change.
func (m *Mirror) Run(ctx context.Context, b *store.Bucket, changed func(identity.Person, []identity.Line)) error {
	return b.Watch(ctx, ">", func(e store.Entry) error {
		person, err := wire.ParsePersonKey(e.Key)
		if err != nil {
			return nil // not a person's key: a later version keeps something else here
		}
		var record Record
		if !e.Deleted {
			if err := json.Unmarshal(e.Value, &record); err != nil {
				return nil // what was known of this person stays; the others go on
			}
		}
		if touched, news := m.set(person, record, e.Revision); news && changed != nil {
			changed(person, touched)
		}
		return nil
	}, func() { m.once.Do(func() { close(m.current) }) })
}

// Current waits until the mirror has all that was there when Run began.
func (m *Mirror) Current(ctx context.Context) error {
	select {
	case <-m.current:
		return nil
	case <-ctx.Done():
		return fault.New(fault.Cancelled, "links: first fill", context.Cause(ctx))
	}
}

// set takes in a record. It returns the lines that the person has or had, and whether
// anything is different now.
func (m *Mirror) set(person identity.Person, record Record, revision uint64) (touched []identity.Line, news bool) {
	m.mu.Lock()
	defer m.mu.Unlock()
	p := m.member(person)
	news = m.setOwned(p.person, record.Owned)
	before, owned := p.lines, 0 // owned: how many lines more are the person's than before
	for _, old := range before {
		touched = append(touched, old.Line)
		if m.lines[old.System][old.Extension] == p {
			delete(m.lines[old.System], old.Extension)
			owned--
		}
	}
	p.revision, p.lines = revision, nil
	if len(record.Lines) > 0 {
		p.lines = slices.Clone(record.Lines) // as long as it needs to be
	}
	for i := range p.lines {
		line := &p.lines[i]
		line.System, line.How = identity.Shared(line.System), identity.Shared(line.How)
		if !slices.Contains(touched, line.Line) {
			touched = append(touched, line.Line)
		}
		// Two people's records can overlap for the moment of a hand-over: the newer pairing wins.
		if owner := m.lines[line.System][line.Extension]; owner == nil || owner.revisionOf(line.Line) <= line.Revision {
			m.own(line.Line, p)
			owned++
		}
	}
	return touched, news || owned != 0 || !slices.Equal(before, p.lines)
}

// setOwned takes in what is kept of a person beside pairings, and says whether that may be
// different now.
func (m *Mirror) setOwned(person identity.Person, owned []directory.Record) (news bool) {
	due := slices.ContainsFunc(owned, func(r directory.Record) bool { return r.Active() && r.PhotoDue })
	news = due != m.due[person] || len(m.left[person]) > 0
	delete(m.left, person)
	delete(m.due, person)
	if due {
		m.due[person] = true
	}
	if gone := slices.DeleteFunc(owned, func(r directory.Record) bool { return r.Left.IsZero() }); len(gone) > 0 {
		m.left[person] = gone
		news = true
	}
	return news
}

// member returns what is kept of a person, which is begun if there is nothing.
func (m *Mirror) member(person identity.Person) *member {
	in := blockOf(person)
	p := m.people[in][person.User]
	if p == nil {
		// The names are parts of a longer key, which would be kept as well.
		in.tenant = identity.Shared(person.Tenant)
		p = &member{person: identity.Person{Tenant: in.tenant, User: identity.User(strings.Clone(string(person.User)))}}
		if m.people[in] == nil {
			m.people[in] = map[identity.User]*member{}
		}
		m.people[in][p.person.User] = p
	}
	return p
}

// own makes a line the member's.
func (m *Mirror) own(line identity.Line, p *member) {
	if m.lines[line.System] == nil {
		m.lines[line.System] = map[identity.Extension]*member{}
	}
	m.lines[line.System][line.Extension] = p
}

// Of returns a person's lines. The slice is not to be changed.
func (m *Mirror) Of(person identity.Person) []Line {
	lines, _ := m.List(person)
	return lines
}

// Left returns what is kept for a person who left: extensions that are disabled, and since
// when they are nobody's. The slice is not to be changed.
func (m *Mirror) Left(person identity.Person) []directory.Record {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.left[person]
}

// PhotoDue says whether an extension of a person's lacks the photo that the person has.
func (m *Mirror) PhotoDue(person identity.Person) bool {
	m.mu.RLock()
	defer m.mu.RUnlock()
	return m.due[person]
}

// List is Of with the revision of the list, which grows with every change of it; 0
// for a person who never had a line.
func (m *Mirror) List(person identity.Person) ([]Line, uint64) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	p := m.people[blockOf(person)][person.User]
	if p == nil {
		return nil, 0
	}
	return p.lines, p.revision
}

// Who returns whose line this is.
func (m *Mirror) Who(line identity.Line) (Owner, bool) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	p := m.lines[line.System][line.Extension]
	if p == nil {
		return Owner{}, false
	}
	return Owner{p.person, p.revisionOf(line)}, true
}

// People lists everyone with a line, of one tenant or of all ("").
func (m *Mirror) People(tenant identity.Tenant) []identity.Person {
	return m.Those(tenant, "", func(identity.Person) bool { return true })
}

// Those is People, but only those whose id begins with prefix and for whom is says true:
// who wants few of many takes memory for those alone. is must not ask the mirror.
func (m *Mirror) Those(tenant identity.Tenant, prefix string, is func(identity.Person) bool) []identity.Person {
	m.mu.RLock()
	defer m.mu.RUnlock()
	var people []identity.Person
	for in, users := range m.people {
		if tenant != "" && in.tenant != tenant || prefix != "" && in.first != prefix[0] {
			continue
		}
		for _, p := range users {
			if len(p.lines) > 0 && strings.HasPrefix(string(p.person.User), prefix) && is(p.person) {
				people = append(people, p.person)
			}
		}
	}
	return people
}

// Size is about how many people of a tenant have a line: who had one may count as well.
func (m *Mirror) Size(tenant identity.Tenant) (n int) {
	m.mu.RLock()
	defer m.mu.RUnlock()
	for in, users := range m.people {
		if in.tenant == tenant {
			n += len(users)
		}
	}
	return n
}

// LinesOf lists the linked lines of a system.
func (m *Mirror) LinesOf(system identity.System) []identity.Line {
	m.mu.RLock()
	defer m.mu.RUnlock()
	lines := make([]identity.Line, 0, len(m.lines[system]))
	for extension := range m.lines[system] {
		lines = append(lines, identity.Line{System: system, Extension: extension})
	}
	return lines
}
