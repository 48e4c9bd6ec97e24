package contactsync

import (
	"bytes"
	"cmp"
	"context"
	"encoding/json"
	"fmt"
	"maps"
	"slices"

	"go.opentelemetry.io/otel/metric"

	"offhook.dev/libs/books"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
)

// report tells how the tenant's phonebooks stand, if that changed.
func (t *tenant) report(ctx context.Context) {
	state := t.state()
	t.measure(ctx, state)
	value, err := json.Marshal(state)
	if err == nil && bytes.Equal(value, t.told) {
		return
	}
	told := value
	if err == nil {
		state.At = t.s.bus.Now().UTC()
		value, err = json.Marshal(state)
	}
	if err == nil {
		_, err = t.s.plans.Put(ctx, books.StateKey(t.conf.ID), value)
	}
	if err != nil {
		if ctx.Err() == nil {
			t.log.Warn("the state of phonebooks cannot be told", "error", err)
		}
		return
	}
	t.told = told
}

// state returns how the tenant's phonebooks stand, without the time.
func (t *tenant) state() books.State {
	state := books.State{Tenant: t.conf.ID, Standings: map[string]int{}}
	t.mu.Lock()
	users := slices.Sorted(maps.Keys(t.mailboxes))
	t.mu.Unlock()
	for _, user := range users {
		t.describe(user, &state)
	}
	slices.SortFunc(state.Attention, func(a, b books.Standing) int {
		return cmp.Or(cmp.Compare(a.Mailbox, b.Mailbox), compareBooks(a.Book, b.Book))
	})
	state.Attention = state.Attention[:min(len(state.Attention), books.MostAttention)]
	return state
}

// describe adds a mailbox to the state.
func (t *tenant) describe(user identity.User, state *books.State) {
	t.mu.Lock()
	m := t.mailboxes[user]
	if m == nil {
		t.mu.Unlock()
		return
	}
	known := maps.Clone(m.books)
	state.Pages += len(m.pages)
	if !m.asked.IsZero() {
		state.Unread++
	}
	t.mu.Unlock()
	state.Mailboxes++
	stands := t.standings(identity.Person{Tenant: t.conf.ID, User: user}, m)
	for where, b := range known {
		state.Books++
		state.Add(b.Counts)
		s := books.Standing{Mailbox: user, Book: where, Counts: b.Counts}
		s.Why, s.Detail = t.why(stands[where], b)
		state.Standings[s.Why]++
		if s.Why != whySynced && s.Why != whyInProgress {
			state.Attention = append(state.Attention, s)
		}
	}
	for where, stand := range stands {
		if _, there := known[where]; !there && stand.wanted {
			state.Books++
			why := stand.why
			if stand.served {
				why = whyUnread
			}
			state.Standings[why]++
		}
	}
}

// why says in a word, and in words, how a book stands: the worst first.
func (t *tenant) why(stands standing, b brief) (why, detail string) {
	switch {
	case !stands.wanted && b.Entries > 0 && stands.leave == stay:
		return stands.why, fmt.Sprintf("%d entries stay; --force removes them", b.Entries)
	case !stands.wanted && stands.leave == wait:
		return stands.why, fmt.Sprintf("%d entries are removed at %s", b.Entries, b.left.Add(t.conf.Hold).UTC().Format("2006-01-02 15:04"))
	case !stands.served:
		return stands.why, "nothing is written"
	case b.problem != "":
		return whyProblem, b.problem + ": what the phonebook has stays"
	case b.Held > 0 && b.wide:
		return whyHeld, fmt.Sprintf("%d of %d entries would be deleted, and with those of other mailboxes that is more than the brake allows for a phone system in a day; --force deletes them", b.Held, b.Entries)
	case b.Held > 0:
		return whyHeld, fmt.Sprintf("%d of %d entries would be deleted, more than the brake allows in a day; --force deletes them", b.Held, b.Entries)
	case b.Over > 0:
		return whyFull, fmt.Sprintf("%d contacts found no room: one mailbox can have about 13,000 to 21,000 in a phonebook, by the length of its ids", b.Over)
	case b.Trouble > 0:
		return whyTrouble, fmt.Sprintf("%d changes were not taken", b.Trouble)
	case t.conf.Policy == plan.Off:
		return whyPolicy, "plan and apply do it"
	case !b.unread.IsZero():
		return whyUnread, ""
	case b.flight != "" || b.Creates+b.Updates+b.Deletes > 0:
		return whyInProgress, ""
	}
	return whySynced, ""
}

func (t *tenant) measure(ctx context.Context, s books.State) {
	x, tenant := t.s.metrics, of("tenant", string(t.conf.ID))
	x.entries.Record(ctx, int64(s.Entries), metric.WithAttributes(tenant))
	for kind, n := range map[string]int{"create": s.Creates, "update": s.Updates, "delete": s.Deletes - s.Held, "held": s.Held, "trouble": s.Trouble, "over": s.Over} {
		x.todo.Record(ctx, int64(n), metric.WithAttributes(tenant, of("kind", kind)))
	}
	for _, why := range everyWhy {
		x.books.Record(ctx, int64(s.Standings[why]), metric.WithAttributes(tenant, of("standing", why)))
	}
	x.waits.Record(ctx, int64(s.Pages), metric.WithAttributes(tenant, of("what", "page")))
	x.waits.Record(ctx, int64(s.Unread), metric.WithAttributes(tenant, of("what", "mailbox")))
}
