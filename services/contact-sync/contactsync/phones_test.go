package contactsync

import (
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"
	"strconv"
	"sync"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

func jsonOf(v any) ([]byte, error) { return json.Marshal(v) }

// phones is a phone system with the part of pbx-writer that applies series of contacts.
// Entries without a source are people's own.
type phones struct {
	s  *stage
	id identity.System

	mu      sync.Mutex // guards what follows
	books   map[directory.Book]map[string]directory.Contact
	last    int            // id given
	flying  map[string]int // series under way, by mailbox and book
	away    bool
	refuse  func(wire.ContactChange) wire.ChangeResult // "" lets it pass
	lose    func(wire.ContactsWant) bool               // the outcome is never heard of
	creates int
	updates int
	deletes int
	again   int
	forgets bool // it does not look first when it is told to: for controls
}

// away makes the phone system answer nothing, or answer again.
func (p *phones) goAway(away bool) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.away = away
}

func (p *phones) set(change func(*phones)) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change(p)
}

// refusal is what phone systems say to what they refuse.
const refusal = "the phone system does not take the entry"

// work applies wants until ctx ends.
func (p *phones) work(ctx context.Context) error {
	return p.s.bus.Consume(ctx, bus.Consumer{
		Stream: topology.Changes, Durable: "writer-" + string(p.id), Filters: []string{"pbx.want.contact." + topology.Token(string(p.id)) + ".*.*"},
	}, func(ctx context.Context, m bus.Message) error {
		want, err := wire.DecodeContactsWant(m.Data)
		if err != nil {
			return err
		}
		outcome, lost, err := p.apply(want)
		if err != nil || lost {
			return err
		}
		subject, data := outcome.Encode()
		_, err = p.s.bus.Publish(ctx, bus.Message{Subject: subject, Data: data})
		return err
	})
}

func (p *phones) apply(want wire.ContactsWant) (outcome wire.ContactsOutcome, lost bool, err error) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.away {
		return outcome, false, fault.After(fault.Unavailable, "phone system", 20_000_000, nil)
	}
	if want.Again {
		p.again++
	}
	outcome = wire.ContactsOutcome{ID: want.ID, Mailbox: want.Mailbox, Book: want.Book, Chunk: want.Chunk, Plan: want.Plan, At: p.s.bus.Now()}
	for _, c := range want.Changes {
		outcome.Results = append(outcome.Results, p.change(want, c))
	}
	return outcome, p.lose != nil && p.lose(want), nil
}

// change carries out one change under the contract of wire.ContactsWant.
func (p *phones) change(want wire.ContactsWant, c wire.ContactChange) wire.ContactResult {
	book := p.books[want.Book]
	if book == nil {
		book = map[string]directory.Contact{}
		p.books[want.Book] = book
	}
	r := wire.ContactResult{Op: c.Op, Source: c.Contact.Source, ID: c.Contact.ID, Result: wire.ChangeDone}
	if p.refuse != nil {
		if result := p.refuse(c); result != "" {
			r.Result, r.Detail = result, refusal
			return r
		}
	}
	if r.ID == "" && want.Again && !p.forgets {
		for id, entry := range book {
			if entry.Source == r.Source {
				r.ID = id
			}
		}
	}
	entry, there := book[r.ID]
	if there && entry.Source != r.Source {
		r.Result = wire.ChangeForeign
		return r
	}
	if c.Op == wire.OpDelete {
		if !there {
			r.Result = wire.ChangeAlready
			return r
		}
		p.deletes++
		delete(book, r.ID)
		return r
	}
	if !there {
		p.last++
		p.creates++
		r.ID = strconv.Itoa(p.last)
	} else {
		p.updates++
	}
	entry = c.Contact
	entry.ID = r.ID
	book[r.ID] = entry
	return r
}

// has returns the entries of a book that are Offhook's, by source.
func (p *phones) has(where directory.Book) (own map[string]directory.Contact, problems []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	own = map[string]directory.Contact{}
	for _, id := range slices.Sorted(maps.Keys(p.books[where])) {
		entry := p.books[where][id]
		if entry.Source == "" {
			continue
		}
		if _, twice := own[entry.Source]; twice {
			problems = append(problems, fmt.Sprintf("%s has %s twice", where, entry.Source))
		}
		own[entry.Source] = entry
	}
	return own, problems
}

// foreign adds somebody's own entry.
func (p *phones) foreign(where directory.Book, name string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.books[where] == nil {
		p.books[where] = map[string]directory.Contact{}
	}
	p.last++
	id := strconv.Itoa(p.last)
	p.books[where][id] = directory.Contact{ID: id, FirstName: name}
}

// strangers lists somebody's own entries.
func (p *phones) strangers(where directory.Book) (names []string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, entry := range p.books[where] {
		if entry.Source == "" {
			names = append(names, entry.FirstName)
		}
	}
	slices.Sort(names)
	return names
}

func (p *phones) written() (creates, updates, deletes int) {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.creates, p.updates, p.deletes
}
