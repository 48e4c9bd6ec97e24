package poller

import (
	"context"
	"crypto/sha256"
	"encoding/binary"
	"fmt"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/wire"
)

// folderRound is one reading of a folder, which becomes pages on the bus. A page is
// published when it is known whether another one follows.
type folderRound struct {
	m      *mailboxReading
	folder string // in pages
	number uint64
	// full: everything in the folder is read. It ends to be so when something could not be
	// read: then nothing follows from what is not on the pages.
	full  bool
	any   bool // a page is published
	ahead *wire.ContactsPage
}

// begin starts a round, whose number is higher than any of the mailbox before.
func (m *mailboxReading) begin(folder string, full bool) *folderRound {
	m.state.Round = max(m.state.Round+1, uint64(m.r.t.p.bus.Now().UnixMilli()))
	return &folderRound{m: m, folder: folder, number: m.state.Round, full: full}
}

func (r *folderRound) page(seen time.Time) *wire.ContactsPage {
	return &wire.ContactsPage{Mailbox: r.m.who, Shared: r.m.shared, Folder: r.folder, Round: r.number, SeenAt: seen}
}

// take adds what Graph answered at once.
func (r *folderRound) take(ctx context.Context, from graph.ContactPage, seen time.Time) error {
	all, large := parts(from)
	if lost := from.Dropped + large; lost > 0 {
		r.full = false
		r.m.dropped += lost
	}
	for _, part := range all {
		if err := r.flush(ctx); err != nil {
			return err
		}
		r.ahead = r.page(seen)
		r.ahead.Contacts, r.ahead.Removed = part.contacts, part.removed
	}
	return nil
}

// flush publishes the page that another one follows.
func (r *folderRound) flush(ctx context.Context) error {
	if r.ahead == nil {
		return nil
	}
	page := r.ahead
	page.Full, page.First = r.full, !r.any
	if err := r.m.publish(ctx, *page); err != nil {
		return err
	}
	r.any, r.ahead = true, nil
	return nil
}

// end publishes the last page. A full round has one even when nothing is in the folder;
// of changes there is none where there are none.
func (r *folderRound) end(ctx context.Context, seen time.Time) error {
	if r.ahead == nil && (r.full || r.any) {
		r.ahead = r.page(seen)
	}
	if r.ahead != nil {
		r.ahead.Last = true
	}
	return r.flush(ctx)
}

// changes reads a folder by its changes: those since the cursor, or everything. It
// returns where to go on.
func (m *mailboxReading) changes(ctx context.Context, f folderState, everything bool) (folderState, error) {
	t := m.r.t
	if f.id() == "" { // nothing is in it, and it is enough to have said so once
		if !everything {
			return f, nil
		}
		return f, m.begin(f.Name, true).end(ctx, t.p.bus.Now())
	}
	at := t.lengthen(m.who.User, f.At)
	if everything {
		at = ""
	}
	began := at
	round := m.begin(f.Name, at == "")
	for {
		seen := t.p.bus.Now()
		page, err := t.client.ContactChanges(ctx, m.who.User, f.id(), at)
		if err != nil && at != "" && fault.KindOf(err) == fault.Invalid {
			page, err = graph.ContactPage{Reset: true}, nil // a cursor of another Graph host
		}
		switch {
		case err != nil:
			return f, err
		case page.Reset && began == "":
			return f, fault.Errorf(fault.Unavailable, "read contacts", "the cursor expired while everything was read")
		case page.Reset:
			t.p.people.reset(ctx, t.conf.ID)
			return m.changes(ctx, f, true)
		}
		if err := round.take(ctx, page, seen); err != nil {
			return f, err
		}
		if page.Next == "" {
			f.At = t.shorten(m.who.User, page.Delta)
			return f, round.end(ctx, seen)
		}
		at = page.Next
	}
}

// list reads a folder where the cloud has no changes: everything, unless ids and change
// keys are as they were.
func (m *mailboxReading) list(ctx context.Context, f folderState, everything bool) (folderState, error) {
	t := m.r.t
	if f.id() == "" {
		return m.changes(ctx, f, everything)
	}
	if !everything && f.At != "" {
		keys, err := m.each(ctx, f, t.client.ContactKeys, func(graph.ContactPage, time.Time) error { return nil })
		if err != nil || keys.text() == f.At {
			return f, err
		}
	}
	round := m.begin(f.Name, true)
	seen := t.p.bus.Now()
	read, err := m.each(ctx, f, t.client.ContactList, func(page graph.ContactPage, seen time.Time) error { return round.take(ctx, page, seen) })
	if err != nil {
		return f, err
	}
	f.At = read.text()
	return f, round.end(ctx, seen)
}

// each reads the pages of a list to their end and returns the digest of what is on them.
func (m *mailboxReading) each(ctx context.Context, f folderState, read listReader, do func(graph.ContactPage, time.Time) error) (sum digest, err error) {
	for at, first := graph.Cursor(""), true; first || at != ""; first = false {
		seen := m.r.t.p.bus.Now()
		page, err := read(ctx, m.who.User, f.id(), at)
		if err == nil {
			err = do(page, seen)
		}
		if err != nil {
			return sum, err
		}
		for _, c := range page.Contacts {
			sum.add(c)
		}
		at = page.Next
	}
	return sum, nil
}

// digest stands for which contacts there are and in which version, in any order.
type digest struct{ count, high, low uint64 }

func (d *digest) add(c graph.Contact) {
	sum := sha256.Sum256([]byte(c.ID + "\x00" + c.ChangeKey))
	d.count++
	d.high += binary.BigEndian.Uint64(sum[:8])
	d.low += binary.BigEndian.Uint64(sum[8:16])
}

func (d digest) text() string { return fmt.Sprintf("#%x.%x.%x", d.count, d.high, d.low) }
