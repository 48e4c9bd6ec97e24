package cli

import (
	"bytes"
	"context"
	"encoding/json"
	"fmt"
	"io"
	"strings"
	"time"

	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/wire"
	"offhook.dev/services/control-api/api"
)

const (
	// planBlock is how many changes are put in columns together: a plan can have a hundred
	// thousand.
	planBlock = 1000
	// planNames is how many are named of those to whom nothing is done for one reason,
	// planConflicts of those about whom somebody has to decide.
	planNames, planConflicts = 5, 50
)

// printPlanJSON prints a plan as it comes, as printJSON would print the whole.
func printPlanJSON(ctx context.Context, w io.Writer, client client, id string) error {
	between := "\n"
	err := client.readPlan(ctx, id, func(p api.Plan) error {
		text, err := indented(p, "")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "%s,\n  \"changes\": [", strings.TrimSuffix(text, "\n}"))
		return err
	}, func(c plan.Change) error {
		text, err := indented(c, "    ")
		if err != nil {
			return err
		}
		_, err = fmt.Fprintf(w, "%s    %s", between, text)
		between = ",\n"
		return err
	})
	if err != nil {
		return err
	}
	if between == "\n" {
		_, err = fmt.Fprint(w, "]\n}\n")
		return err
	}
	_, err = fmt.Fprint(w, "\n  ]\n}\n")
	return err
}

func indented(v any, prefix string) (string, error) {
	var text bytes.Buffer
	encoder := json.NewEncoder(&text)
	encoder.SetIndent(prefix, "  ")
	encoder.SetEscapeHTML(false)
	err := encoder.Encode(v)
	return strings.TrimSuffix(text.String(), "\n"), err
}

// printPlan prints a plan for people: what would be done, what not and why, and what to
// do now.
func (a *app) printPlan(ctx context.Context, w io.Writer, client client, id string) error {
	t := &planTable{w: w, counts: map[plan.Op]int{}, clock: a.clock, skipped: &reasonList{limit: planNames}, conflicts: &reasonList{limit: planConflicts, apart: true},
		failed: &reasonList{limit: planConflicts, apart: true}, remarked: &reasonList{limit: planNames}}
	if err := client.readPlan(ctx, id, func(p api.Plan) error { t.plan = p; return a.printPlanHead(w, p) }, t.add); err != nil {
		return err
	}
	if err := t.end(); err != nil || t.plan.Kind != string(wire.SyncContacts) {
		return err
	}
	return printPhonebooks(ctx, w, client, t.plan.Tenant)
}

func (a *app) printPlanHead(w io.Writer, p api.Plan) error {
	_, err := fmt.Fprintf(w, "plan %s for %s of %s, made %s\n", plain(p.ID), plain(p.Kind), plain(p.Tenant), a.clock(p.Made))
	if applied(p) {
		_, err = fmt.Fprintf(w, "it is applied: %s\n", progress(p.Total, p.Done, p.Failed))
	}
	return err
}

// planTable puts a plan in columns as it comes.
type planTable struct {
	w      io.Writer
	plan   api.Plan
	rows   [][]string // of the block
	counts map[plan.Op]int
	clock  func(time.Time) string
	// skipped are those to whom nothing is done, conflicts those about whom somebody has to
	// decide; failed is what was not done when the plan was applied, and remarked are the
	// values that are not as Microsoft 365 has them.
	skipped, conflicts, failed, remarked *reasonList
}

// applied says whether a plan is being applied, or was.
func applied(p api.Plan) bool {
	switch wire.SyncState(p.State) {
	case wire.SyncApplying, wire.SyncDone, wire.SyncBraked, wire.SyncFailed:
		return true
	}
	return false
}

// add takes one change.
func (t *planTable) add(c plan.Change) error {
	for _, r := range c.Remarks {
		t.remarked.add(reasonOf(r.Reason), remark(c, r))
	}
	if c.Op == plan.Skip && c.Reason == same {
		return nil
	}
	t.counts[c.Op]++
	switch c.Op {
	case plan.Skip:
		t.skipped.add(reasonWords(t.plan.Kind, c), name(c))
		return nil
	case plan.Conflict:
		t.conflicts.add(reasonWords(t.plan.Kind, c), strings.TrimSuffix(name(c)+": "+c.Detail, ": "))
		return nil
	}
	if len(t.rows) == 0 {
		t.rows = append(t.rows, []string{"DOES", t.where(), "WHO", "WHY", "WHAT"})
		if t.results() {
			t.rows[0] = append(t.rows[0], "RESULT")
		}
	}
	does := string(c.Op)
	if c.Held {
		does += " (held)"
	}
	row := []string{does, t.line(c.Line), name(c), or(t.why(c)), or(fields(c))}
	if t.results() {
		row = append(row, t.result(c))
	}
	t.rows = append(t.rows, row)
	if len(t.rows) > planBlock {
		return t.flush()
	}
	return nil
}

// where is what a line is called.
func (t *planTable) where() string {
	if t.plan.Kind == string(wire.SyncContacts) {
		return "PHONEBOOK"
	}
	return "EXTENSION"
}

// flush prints the rows.
func (t *planTable) flush() error {
	if len(t.rows) == 0 {
		return nil
	}
	fmt.Fprintln(t.w)
	err := printTable(t.w, t.rows)
	t.rows = t.rows[:0]
	return err
}

// end prints what comes behind the rows.
func (t *planTable) end() error {
	if err := t.flush(); err != nil {
		return err
	}
	if err := t.skipped.print(t.w, "Nothing is done for"); err != nil {
		return err
	}
	if err := t.conflicts.print(t.w, "Somebody has to decide about"); err != nil {
		return err
	}
	if err := t.failed.print(t.w, "Not done"); err != nil {
		return err
	}
	t.remarked.all(t.plan.Remarks)
	if err := t.remarked.print(t.w, "To be known of values"); err != nil {
		return err
	}
	_, err := fmt.Fprintf(t.w, "\n%s\n%s%s%s", t.summary(), t.lacks(), t.brake(), t.next())
	return err
}

// summary counts what would be done.
func (t *planTable) summary() string {
	var words []string
	for _, op := range []plan.Op{plan.Create, plan.Adopt, plan.Update, plan.Return, plan.Disable, plan.Delete} {
		if n := t.counts[op]; n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n, op))
		}
	}
	if len(words) == 0 {
		words = append(words, "nothing to do")
	}
	for _, each := range []struct {
		op   plan.Op
		word string
	}{{plan.Skip, "skipped"}, {plan.Conflict, "in conflict"}} {
		if n := t.counts[each.op]; n > 0 {
			words = append(words, fmt.Sprintf("%d %s", n, each.word))
		}
	}
	return strings.Join(words, ", ")
}

// lacks says what the plan does not show.
func (t *planTable) lacks() (text string) {
	if n := t.plan.Unlisted; n > 0 {
		text = fmt.Sprintf("%d more changes are counted only: %d are to be done in all.\n", n, t.plan.Total)
	}
	if why := t.plan.Incomplete; why != "" {
		text += "It may not be all: " + plain(why) + ".\n"
	}
	return text
}

// brake says in plain words what the brake holds back, and what to do.
func (t *planTable) brake() string {
	b, setting := t.plan.Brake, t.plan.Kind+".brake"
	switch {
	case b.Tripped:
		return fmt.Sprintf("The brake holds %d back: with them %d of %d would be disabled or deleted within 24 hours, more than\n"+
			"%s allows. See why so many are to go: somebody may have changed a group, a filter or a licence.\n", b.Held, b.Removed, b.Linked, setting)
	case b.Forced:
		return fmt.Sprintf("The brake is lifted: %d of %d are disabled or deleted within 24 hours, more than %s allows.\n", b.Removed, b.Linked, setting)
	}
	return ""
}

// next says what to do with the plan.
func (t *planTable) next() string {
	apply := "offhook apply " + plain(t.plan.ID)
	again := "Make a new plan with `offhook plan " + plain(t.plan.Kind) + " --tenant " + plain(t.plan.Tenant) + "`.\n"
	switch wire.SyncState(t.plan.State) {
	case wire.SyncPlanned:
	case wire.SyncExpired:
		return "It has expired. " + again
	case wire.SyncApplying:
		return ""
	default:
		return again
	}
	switch {
	case t.plan.Brake.Tripped && t.plan.Total == 0:
		return "Do it with `" + apply + " --force`.\n"
	case t.plan.Brake.Tripped:
		return "Do the rest with `" + apply + "`, all of it with `" + apply + " --force`.\n"
	case t.plan.Total > 0:
		return "Do it with `" + apply + "`.\n"
	}
	return ""
}

// reasonList counts by reason, and keeps the first names of each.
type reasonList struct {
	limit   int
	apart   bool     // each name has a line of its own
	reasons []string // in the order in which they came
	counts  map[string]int
	names   map[string][]string
}

func (l *reasonList) add(reason, name string) {
	if l.counts == nil {
		l.counts, l.names = map[string]int{}, map[string][]string{}
	}
	reason = or(reason)
	if l.counts[reason]++; l.counts[reason] == 1 {
		l.reasons = append(l.reasons, reason)
	}
	if len(l.names[reason]) < l.limit {
		l.names[reason] = append(l.names[reason], plain(name))
	}
}

// print prints the reasons with how many there are of each and who they are.
func (l *reasonList) print(w io.Writer, title string) error {
	var text strings.Builder
	all := 0
	for _, reason := range l.reasons {
		n, names := l.counts[reason], l.names[reason]
		all += n
		if more := n - len(names); more > 0 {
			names = append(names, fmt.Sprintf("and %d more (-o json lists all)", more))
		}
		before, between := " ", ", "
		if l.apart {
			before, between = "\n    ", "\n    "
		}
		fmt.Fprintf(&text, "  %d because %s:%s%s\n", n, plain(reason), before, strings.Join(names, between))
	}
	if all == 0 {
		return nil
	}
	_, err := fmt.Fprintf(w, "\n%s %d:\n%s", title, all, &text)
	return err
}

// name is what people call the object of a change.
func name(c plan.Change) string {
	if c.Name != "" {
		return c.Name
	}
	return c.Object
}

// line words "hq/204" as other commands do. A phonebook without an extension is the
// company's.
func (t *planTable) line(text string) string {
	system, number, ok := strings.Cut(text, "/")
	switch {
	case ok:
		return number + "@" + system
	case t.plan.Kind == string(wire.SyncContacts) && text != "":
		return "company@" + system
	}
	return or(text)
}

// fields words the fields of a change: what they become, and what they were.
func fields(c plan.Change) string {
	var words []string
	for _, f := range c.Fields {
		word := f.Name + " " + or(f.To)
		if c.Op != plan.Create {
			word = f.Name + " " + or(f.From) + " -> " + or(f.To)
		}
		words = append(words, word)
	}
	return strings.Join(words, "; ")
}
