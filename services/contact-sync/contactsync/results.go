package contactsync

import (
	"context"
	"strings"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/plans"
	"offhook.dev/libs/wire"
)

// mostFailures bounds how many changes that went wrong a plan lists at its end beside those
// that it listed before, and how many details of such are remembered until then.
const mostFailures = 1_000

// wrong remembers in what words a phone system would not take changes, until the order is
// over that they are of. It is in memory: a restart costs the words, and not the result.
func (t *tenant) wrong(v stored, o wire.ContactsOutcome) {
	t.mu.Lock()
	defer t.mu.Unlock()
	if t.job == nil || o.Plan != t.job.Plan {
		return
	}
	for _, r := range o.Results {
		if r.Result.Well() || r.Detail == "" || len(t.job.details) >= mostFailures {
			continue
		}
		if t.job.details == nil {
			t.job.details = map[string]string{}
		}
		t.job.details[v.change(r.Source).Key()] = r.Detail
	}
}

// change is one of a contact, as plans name it.
func (v stored) change(source string) plan.Change {
	return plan.Change{Object: v.object(source), Line: v.where.String()}
}

// applying notes in the plan that it is being applied.
func (t *tenant) applying(ctx context.Context, j *job) error {
	h, err := plans.Read(ctx, t.s.plans, j.Plan)
	if err != nil {
		return err
	}
	h.State, h.Order, h.Op, h.Total, h.Sent = wire.SyncApplying, j.Order.ID, j.Order.Op, j.Total, true
	return plans.Note(ctx, t.s.plans, h)
}

// over notes in the plan what came of it: how it ended, of the changes that it lists what
// became of each, and which others went wrong. Twice is once.
func (t *tenant) over(ctx context.Context, j *job, out wire.SyncOutcome, held int) error {
	h, err := plans.Read(ctx, t.s.plans, j.Plan)
	if err != nil && fault.KindOf(err) == fault.NotFound || err == nil && h.Order == j.Order.ID && h.State == out.State {
		return nil
	}
	if err != nil {
		return err
	}
	told := map[string]bool{} // what is listed and went wrong
	if err := t.revise(ctx, j, h, told); err != nil {
		return err
	}
	if err := t.addFailures(ctx, j, &h, told); err != nil {
		return err
	}
	h.State, h.Order, h.Op, h.Sent = out.State, j.Order.ID, j.Order.Op, true
	h.Total, h.Done, h.Failed, h.Brake.Held = out.Total, out.Done, out.Failed, held
	if err := h.Part(ctx, t.s.plans); err != nil {
		return err
	}
	return plans.Note(ctx, t.s.plans, h)
}

// revise gives the changes that a plan lists their results.
func (t *tenant) revise(ctx context.Context, j *job, h plans.Head, told map[string]bool) error {
	var at stored // changes of one book stand together
	return plans.Revise(ctx, t.s.plans, h, func(c *plan.Change) error {
		who, where, source, ok := parseChange(*c)
		if !ok || !c.Op.Acts() || c.Held && !j.Order.Force {
			return nil
		}
		if at.book == nil || at.who != who || at.where != where {
			at = stored{who: who, where: where, book: &book{}}
			e, err := t.s.books.Get(ctx, bookKey(who, where))
			if err != nil && fault.KindOf(err) != fault.NotFound {
				return err
			}
			if err == nil {
				if at.book, err = decodeBook(e.Value); err != nil {
					at.book = &book{} // it is made anew
				}
			}
		}
		if c.Result = t.result(j, at, source); c.Result != nil && c.Result.Result != string(wire.ChangeDone) {
			told[c.Key()] = true
		}
		return nil
	})
}

// result is what came of a change; nil: nothing yet.
func (t *tenant) result(j *job, v stored, source string) *plan.Attempt {
	now := t.s.bus.Now().UTC()
	switch e := v.book.find(source); {
	case e == nil || e.todo() == "":
		return &plan.Attempt{At: now, Result: string(wire.ChangeDone)}
	case e.trouble == noTrouble:
		return nil
	default:
		t.mu.Lock()
		defer t.mu.Unlock()
		return &plan.Attempt{At: v.book.troubleAt.UTC(), Result: e.trouble.String(), Detail: j.details[v.change(source).Key()]}
	}
}

// addFailures lists changes that went wrong and are not listed.
func (t *tenant) addFailures(ctx context.Context, j *job, h *plans.Head, told map[string]bool) error {
	if t.sum().Trouble <= j.Trouble {
		return nil
	}
	return t.everyBook(ctx, func(v stored) error {
		if !t.standing(v).served {
			return nil
		}
		for i := range v.book.entries {
			e := &v.book.entries[i]
			c := v.change(e.source)
			if e.trouble == noTrouble || told[c.Key()] || len(h.Changes) == mostFailures {
				continue
			}
			c.Op, c.Result = e.todo(), t.result(j, v, e.source)
			c.Reason = reasons[c.Op]
			h.Changes = append(h.Changes, c)
			h.Unlisted = max(0, h.Unlisted-1)
		}
		return nil
	})
}

// parseChange returns what a change of a plan is about.
func parseChange(c plan.Change) (who identity.Person, where directory.Book, source string, ok bool) {
	parts := strings.SplitN(c.Object, "/", 3)
	if len(parts) != 3 {
		return who, where, "", false
	}
	system, owner, _ := strings.Cut(c.Line, "/")
	return identity.Person{Tenant: identity.Tenant(parts[0]), User: identity.User(parts[1])},
		directory.Book{System: identity.System(system), Owner: identity.Extension(owner)}, parts[2], true
}
