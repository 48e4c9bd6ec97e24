package cli

import (
	"cmp"
	"context"
	"fmt"
	"io"
	"maps"
	"net/url"
	"slices"
	"strings"

	"offhook.dev/libs/books"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/wire"
	"offhook.dev/services/control-api/api"
)

// same is the reason of a skip that is there for its remarks only.
const same = string(directory.Same)

// attempts words what came of a change, as what happened to it. One that is not here is
// of a later version, and is shown as it is.
var attempts = map[string]string{
	string(wire.ChangeDone):    "done",
	string(wire.ChangeAlready): "done", // it was so
	string(wire.ChangeTaken):   "given up, since the number is somebody else's",
	string(wire.ChangeForeign): "left alone, since the extension is not the one that was meant",
	string(wire.ChangeFull):    "turned away, since the licence has no room",
	string(wire.ChangeRefused): "refused",
	string(wire.ChangeFailed):  "given up",
	string(wire.ChangeLost):    "lost",
}

// bookAttempts are the same of plans for phonebooks, where they mean something else there.
var bookAttempts = map[string]string{
	string(wire.ChangeForeign): "left alone, since the entry is not Offhook's any more",
	string(wire.ChangeFull):    "turned away, since the phonebook is full",
}

// attempt is what came of a change of a plan of some kind, for people.
func attempt(kind string, a *plan.Attempt) string {
	words := cmp.Or(attempts[a.Result], a.Result)
	if other, is := bookAttempts[a.Result]; is && kind == string(wire.SyncContacts) {
		words = other
	}
	if a.Detail != "" {
		words += ": " + plain(a.Detail)
	}
	return words
}

// why is why a change is made, and what came of it before.
func (t *planTable) why(c plan.Change) string {
	words := reasonWords(t.plan.Kind, c)
	if c.Tried == nil {
		return words
	}
	return strings.TrimPrefix(words+"; was tried "+t.clock(c.Tried.At)+" and "+attempt(t.plan.Kind, c.Tried), "; ")
}

// results says whether the plan tells what came of its changes: of phonebooks it does when
// it is over.
func (t *planTable) results() bool {
	return applied(t.plan) && (t.plan.Kind == string(wire.SyncUsers) || t.plan.State != string(wire.SyncApplying))
}

// result is what came of a change.
func (t *planTable) result(c plan.Change) string {
	switch {
	case c.Result == nil && c.Held:
		return "held back"
	case c.Result == nil && t.plan.State == string(wire.SyncApplying):
		return "on its way"
	case c.Result == nil:
		return "-" // another run has done something there since
	}
	if !wire.ChangeResult(c.Result.Result).Well() {
		t.failed.add("it was "+attempt(t.plan.Kind, c.Result), string(c.Op)+" "+t.line(c.Line)+" for "+name(c))
	}
	return attempt(t.plan.Kind, c.Result)
}

// remark is whose value a remark is about.
func remark(c plan.Change, r plan.Remark) string {
	about := strings.ReplaceAll(r.Field, "_", " ")
	if r.Detail != "" {
		about = strings.TrimPrefix(about+": "+r.Detail, ": ")
	}
	if about == "" {
		return name(c)
	}
	return name(c) + " (" + about + ")"
}

// all counts those too that are not listed.
func (l *reasonList) all(counts map[string]int) {
	for _, reason := range slices.Sorted(maps.Keys(counts)) {
		words := reasonOf(reason)
		if _, listed := l.counts[words]; !listed {
			l.add(words, "(none is listed)")
		}
		l.counts[words] = max(l.counts[words], counts[reason])
	}
}

// printFailures prints what of a plan was not done, and why.
func (a *app) printFailures(ctx context.Context, w io.Writer, client client, id string) error {
	t := &planTable{w: w, clock: a.clock, failed: &reasonList{limit: planConflicts, apart: true}}
	err := client.readPlan(ctx, id, func(p api.Plan) error { t.plan = p; return nil }, func(c plan.Change) error {
		if c.Result != nil {
			t.result(c)
		}
		return nil
	})
	if err != nil {
		return err
	}
	return t.failed.print(w, "Not done")
}

// printPhonebooks prints how the phonebooks of a tenant stand, and which of them a person
// should look at.
func printPhonebooks(ctx context.Context, w io.Writer, client client, tenant string) error {
	var states []books.State
	if err := client.get(ctx, "/api/v1/phonebooks", url.Values{"tenant": {tenant}}, &states); err != nil {
		return err
	}
	var text strings.Builder
	for _, s := range states {
		fmt.Fprintf(&text, "\nPhonebooks of %s: %d entries of %d mailboxes", plain(string(s.Tenant)), s.Entries, s.Mailboxes)
		for _, why := range slices.Sorted(maps.Keys(s.Standings)) {
			fmt.Fprintf(&text, "\n  %d %s", s.Standings[why], plain(why))
		}
		text.WriteByte('\n')
		alarming := slices.DeleteFunc(slices.Clone(s.Attention), func(b books.Standing) bool { return !b.Alarming() })
		for _, b := range alarming[:min(len(alarming), planConflicts)] {
			where := "company@" + string(b.Book.System)
			if !b.Book.Company() {
				where = string(b.Book.Owner) + "@" + string(b.Book.System)
			}
			fmt.Fprintf(&text, "    %s of mailbox %s: %s\n", plain(where), plain(string(b.Mailbox)), plain(strings.TrimSuffix(b.Why+": "+b.Detail, ": ")))
		}
		if more := len(alarming) - planConflicts; more > 0 {
			fmt.Fprintf(&text, "    and %d more (GET /api/v1/phonebooks lists 200)\n", more)
		}
	}
	_, err := io.WriteString(w, text.String())
	return err
}
