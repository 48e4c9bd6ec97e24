package directory_test

import (
	"encoding/json"
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/plan"
)

// contact is "a=Anna:030 1/0171 2": source, first name, business and mobile number.
func contact(s string) directory.Contact {
	source, rest, _ := strings.Cut(s, "=")
	name, phones, _ := strings.Cut(rest, ":")
	business, mobile, _ := strings.Cut(phones, "/")
	return directory.Contact{Source: source, FirstName: name, Numbers: directory.NumbersOf(mobile, []string{business}, nil)}
}

// page is "feed round.index! a=Anna -b": a full reading's page, the last one with "!"; a
// round of 0 are changes; "-b" is removed; "denied" is a trouble.
func page(s string) directory.Page {
	words := strings.Fields(s)
	p := directory.Page{Feed: words[0], Last: strings.HasSuffix(words[1], "!")}
	fmt.Sscanf(words[1], "%d.%d", &p.Round, &p.Index)
	for _, w := range words[2:] {
		switch {
		case w == string(directory.ReadDenied) || w == string(directory.MailboxGone):
			p.Trouble = directory.Trouble(w)
		case w[0] == '-':
			p.Removed = append(p.Removed, w[1:])
		default:
			p.Contacts = append(p.Contacts, contact(w))
		}
	}
	return p
}

// shelf is a book being kept: its record, and what the phone system has.
type shelf struct {
	t    *testing.T
	view directory.BookView
	has  map[string]directory.Contact // by ID
	made int
}

func newShelf(t *testing.T) *shelf {
	return &shelf{t: t, has: map[string]directory.Contact{}, view: directory.BookView{Book: directory.Book{System: "hq", Owner: "204"}, Now: noon, Brake: plan.Brake{Count: 3, Percent: 5}}}
}

// read plans for pages, applies what is planned and returns it in words.
func (s *shelf) read(pages ...string) string {
	s.t.Helper()
	r := s.plan(pages...)
	s.apply(r.Steps)
	return bookWords(r)
}

func (s *shelf) plan(pages ...string) directory.BookResult {
	s.t.Helper()
	s.view.Pages = nil
	for _, p := range pages {
		s.view.Pages = append(s.view.Pages, page(p))
	}
	r, err := directory.PlanBook(s.view)
	if err != nil {
		s.t.Fatal(err)
	}
	s.view.Record = r.Record
	return r
}

func (s *shelf) apply(steps []directory.ContactStep) {
	var outcomes []directory.ContactOutcome
	for _, step := range steps {
		if !step.Held {
			outcomes = append(outcomes, s.write(step))
		}
	}
	s.view.Record = s.view.Record.Settle(outcomes, s.view.Now)
}

// write is what a phone system does with a step, by the words of ContactStep.
func (s *shelf) write(step directory.ContactStep) directory.ContactOutcome {
	o := directory.ContactOutcome{Op: step.Op, Source: step.Source, ID: step.ID, Print: step.Print}
	if step.Op == plan.Delete {
		for id, c := range s.has {
			if id == step.ID || step.ID == "" && c.Source == step.Source {
				delete(s.has, id)
			}
		}
		return o
	}
	if _, there := s.has[o.ID]; !there {
		o.ID = ""
		for id, c := range s.has {
			if c.Source == step.Source {
				o.ID = id
			}
		}
	}
	if o.ID == "" {
		s.made++
		o.ID = fmt.Sprintf("id%d", s.made)
	}
	c := step.Contact
	c.ID = o.ID
	s.has[o.ID] = c
	return o
}

// content is what the phone system has, in words.
func (s *shelf) content() string {
	var all []string
	for _, c := range s.has {
		w := c.Source + "=" + c.FirstName
		for _, n := range c.Numbers {
			w += ":" + n.Text
		}
		all = append(all, w)
	}
	slices.Sort(all)
	return strings.Join(all, " ")
}

func bookWords(r directory.BookResult) string {
	var all []string
	for _, s := range r.Steps {
		w := fmt.Sprintf("%s %s %s", s.Op, s.Source, s.Reason)
		if s.Held {
			w += " held"
		}
		all = append(all, w)
	}
	return strings.Join(all, "; ")
}

func states(r directory.BookResult) string {
	var all []string
	for _, s := range r.States {
		all = append(all, fmt.Sprintf("%s %s %d/%d", s.Feed, s.State, s.Held, s.Entries))
	}
	return strings.Join(all, "; ")
}

const eight = " a=A b=B c=C d=D e=E f=F g=G h=H"

// TestBooks plays readings one after the other and checks the words of the last plan, its
// states, and what the phone system has in the end.
func TestBooks(t *testing.T) {
	for _, c := range []struct {
		name             string
		pages            []string
		want, state, has string
	}{
		{"what is read is made", []string{"in 1.0! a=Anna:030-1 b=Ben"}, "create a new; create b new", "in current 0/2", "a=Anna:030-1 b=Ben"},
		{"what is read again is left alone", []string{"in 1.0! a=Anna b=Ben", "in 2.0! a=Anna b=Ben"}, "", "in current 0/2", "a=Anna b=Ben"},
		{"what changed is updated", []string{"in 1.0! a=Anna b=Ben", "in 0.0! a=Anne"}, "update a differs", "in current 0/2", "a=Anne b=Ben"},
		{"a removed number disappears", []string{"in 1.0! a=Anna:030-1/0171-2", "in 0.0! a=Anna:030-1"}, "update a differs", "in current 0/1", "a=Anna:030-1"},
		{"what was removed is deleted", []string{"in 1.0! a=Anna b=Ben", "in 0.0! -a"}, "delete a removed", "in current 0/1", "b=Ben"},
		{"at the end of the reading only", []string{"in 1.0! a=Anna b=Ben", "in 0.0 -a"}, "", "in current 0/2", "a=Anna b=Ben"},
		{"what was not seen is deleted", []string{"in 1.0! a=Anna b=Ben", "in 2.0! a=Anna"}, "delete b not-seen", "in current 0/1", "a=Anna"},
		{"not before the last page", []string{"in 1.0! a=Anna b=Ben", "in 2.0 a=Anna"}, "", "in reading 0/2", "a=Anna b=Ben"},
		{"what an earlier page had was seen", []string{"in 1.0! a=Anna b=Ben", "in 2.0 a=Anna", "in 2.1! b=Ben"}, "", "in current 0/2", "a=Anna b=Ben"},
		{"a reading that was cut off and began again deletes nothing", []string{"in 1.0! a=Anna b=Ben", "in 2.0 a=Anna", "in 3.0 b=Ben", "in 3.1! a=Anna"}, "", "in current 0/2", "a=Anna b=Ben"},
		{"the removal of what nobody knows is nothing", []string{"in 0.0! -z"}, "", "in reading 0/0", ""},
		{"a page that comes again changes nothing", []string{"in 1.0 a=Anna", "in 1.0 a=Anna", "in 1.1! b=Ben"}, "create b new", "in current 0/2", "a=Anna b=Ben"},
		{"an older page that comes again is not believed", []string{"in 1.0 a=Anna", "in 1.1! b=Ben", "in 0.0! -a", "in 1.0 a=Anna"}, "", "in current 0/1", "b=Ben"},
		{"nor one of an older reading", []string{"in 1.0! a=Anna", "in 3.0! b=Ben", "in 2.0! a=Anna"}, "", "in current 0/1", "b=Ben"},
		{"a contact that moved to another folder first there stays", []string{"in 1.0! a=Anna", "out 0.0! a=Anna", "in 0.0! -a"}, "", "in current 0/0; out reading 0/1", "a=Anna"},
		{"first gone here is made again", []string{"in 1.0! a=Anna", "in 0.0! -a", "out 0.0! a=Anna"}, "create a new", "in current 0/0; out reading 0/1", "a=Anna"},
		{"a folder is swept by its own readings alone", []string{"in 1.0! a=Anna", "out 1.0! b=Ben", "in 2.0! a=Anna"}, "", "in current 0/1; out current 0/1", "a=Anna b=Ben"},
		{"an emptied folder deletes nothing", []string{"in 1.0!" + eight, "in 2.0!"},
			"delete a not-seen held; delete b not-seen held; delete c not-seen held; delete d not-seen held; delete e not-seen held; delete f not-seen held; delete g not-seen held; delete h not-seen held",
			"in emptied 8/8", strings.TrimSpace(eight)},
		{"and when it is filled again all is as before", []string{"in 1.0!" + eight, "in 2.0!", "in 3.0!" + eight},
			"update a differs; update b differs; update c differs; update d differs; update e differs; update f differs; update g differs; update h differs",
			"in current 0/8", strings.TrimSpace(eight)},
		{"a few go", []string{"in 1.0!" + eight, "in 0.0! -a -b -c"}, "delete a removed; delete b removed; delete c removed", "in current 0/5", "d=D e=E f=F g=G h=H"},
		{"not one after the other", []string{"in 1.0!" + eight, "in 0.0! -a -b", "in 0.0! -c -d"}, "delete c removed held; delete d removed held", "in held 2/6", "c=C d=D e=E f=F g=G h=H"},
		{"while the rest goes on", []string{"in 1.0!" + eight, "in 0.0! -a -b", "in 0.0! -c -d e=Eve i=I"}, "delete c removed held; delete d removed held; update e differs; create i new", "in held 2/7", "c=C d=D e=Eve f=F g=G h=H i=I"},
		{"permission withdrawn leaves everything", []string{"in 1.0!" + eight, "in 2.0! denied"}, "", "in denied 0/8", strings.TrimSpace(eight)},
		{"a mailbox that is gone leaves everything", []string{"in 1.0!" + eight, "in 0.0! mailbox-gone"}, "", "in mailbox-gone 0/8", strings.TrimSpace(eight)},
		{"and what can be read again is", []string{"in 1.0! a=A b=B", "in 0.0! denied", "in 0.0! a=Anna"}, "update a differs", "in current 0/2", "a=Anna b=B"},
		{"a contact of nothing is none", []string{"in 1.0! a= b=Ben"}, "create b new", "in current 0/1", "b=Ben"},
		{"one that becomes nothing goes", []string{"in 1.0! a=Anna b=Ben", "in 0.0! a="}, "delete a blank", "in current 0/1", "b=Ben"},
		{"a key that no marker can hold is left out", []string{"in 1.0! A_B=Anna b=Ben"}, "create b new", "in current 0/1", "b=Ben"},
		{"of the same contact twice the last counts", []string{"in 1.0! a=Anna a=Anne"}, "create a new", "in current 0/1", "a=Anne"},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := newShelf(t)
			s.has["foreign"] = directory.Contact{ID: "foreign", FirstName: "door"}
			var r directory.BookResult
			for _, p := range c.pages {
				r = s.plan(p)
				s.apply(r.Steps)
			}
			delete(s.has, "foreign")
			if got := bookWords(r); got != c.want {
				t.Errorf("planned %s\nwant    %s", got, c.want)
			}
			// The states are those after what was planned was done.
			s.view.Pages = nil
			now, err := directory.PlanBook(s.view)
			if err != nil || states(now) != c.state || s.content() != c.has {
				t.Errorf("%v; state %s; has %s\nwant %s; has %s", err, states(now), s.content(), c.state, c.has)
			}
		})
	}
}

func TestSeveralPagesAtOnce(t *testing.T) {
	s := newShelf(t)
	if got := s.read("in 1.0 a=Anna b=Ben", "in 1.1! c=Cid", "in 0.0! -a b=Bob"); got != "delete a removed; create b new; create c new" || s.content() != "b=Bob c=Cid" || s.view.Record.Unsettled() != 0 {
		t.Errorf("%s, then %s", got, s.content())
	}
}

// A record that was written in another order is put in order.
func TestARecordInAnyOrderIsOne(t *testing.T) {
	s := newShelf(t)
	s.read("in 1.0! a=A b=B c=C")
	slices.Reverse(s.view.Record.Entries)
	if got := s.read("in 2.0! a=A b=Bob c=C"); got != "update b differs" {
		t.Errorf("%s", got)
	}
	if kinds := directory.NumberKinds(); len(kinds) != 9 || kinds[0] != directory.MobileNumber {
		t.Errorf("%v", kinds)
	}
}

func TestWhatTheBrakeHoldsGoesWhenItMay(t *testing.T) {
	s := newShelf(t)
	s.read("in 1.0!" + eight)
	s.read("in 2.0! a=A b=B")
	if s.view.Force = true; s.read() != "delete c not-seen; delete d not-seen; delete e not-seen; delete f not-seen; delete g not-seen; delete h not-seen" || s.content() != "a=A b=B" {
		t.Errorf("forced: %s", s.content())
	}
	if n := len(s.view.Record.Removed); n != 6 {
		t.Errorf("%d removals are remembered", n)
	}
	s.view.Force = false
	if got := s.read("in 0.0! -a"); got != "delete a removed held" {
		t.Errorf("the same day: %s", got)
	}
	s.view.Now = noon.Add(24 * time.Hour)
	if got := s.read(); got != "delete a removed" || s.content() != "b=B" || len(s.view.Record.Removed) != 1 {
		t.Errorf("a day later: %s, then %s, %+v", got, s.content(), s.view.Record.Removed)
	}
}

func TestFoldersThatAreNoLongerAskedFor(t *testing.T) {
	s := newShelf(t)
	s.read("in 1.0! a=A b=B", "out 1.0! c=C")
	s.view.Feeds = []string{"in"}
	if got := s.read(); got != "delete c feed-over" || s.content() != "a=A b=B" {
		t.Errorf("%s, then %s", got, s.content())
	}
	r := s.plan("out 2.0! c=C")
	if bookWords(r) != "" || states(r) != "in current 0/2" || r.Problems[0].Reason != directory.FeedOver {
		t.Errorf("a late page: %s; %s; %+v", bookWords(r), states(r), r.Problems)
	}
}

func TestAPageThatIsMissingIsAskedFor(t *testing.T) {
	s := newShelf(t)
	s.read("in 1.0! a=A b=B", "in 2.0 a=A")
	for _, p := range []string{"in 2.2! c=C", "in 3.1! c=C"} {
		s.view.Pages = []directory.Page{page(p)}
		if _, err := directory.PlanBook(s.view); fault.KindOf(err) != fault.Conflict || !fault.KindOf(err).Retryable() {
			t.Errorf("%s: %v", p, err)
		}
	}
	if got := s.read("in 2.1! b=B"); got != "" || s.content() != "a=A b=B" {
		t.Errorf("%s, then %s", got, s.content())
	}
}

func TestAPhoneSystemThatTakesNoMoreEntries(t *testing.T) {
	s := newShelf(t)
	s.view.Limits.Entries = 2
	r := s.plan("in 1.0! a=A b=B c=C")
	if bookWords(r) != "create a new; create b new" || len(r.Problems) != 1 || r.Problems[0] != (directory.Problem{Object: "hq/204 c", Reason: directory.BookFull, Detail: "C"}) {
		t.Errorf("%s, %+v", bookWords(r), r.Problems)
	}
}

func TestRecoverBook(t *testing.T) {
	s := newShelf(t)
	s.read("in 1.0!" + eight)
	id := func(source string) string {
		for id, c := range s.has {
			if c.Source == source {
				return id
			}
		}
		t.Fatalf("no %s", source)
		return ""
	}
	delete(s.has, id("a")) // by hand
	b := s.has[id("b")]
	b.FirstName = "Bob"
	s.has[b.ID] = b
	c := s.has[id("c")]
	kept := c.ID
	c.ID = "aaa" // before the one that the record knows
	s.has["aaa"] = c
	s.has["foreign"] = directory.Contact{ID: "foreign", FirstName: "door"}
	recovered := func(record directory.BookRecord) string {
		var listing []directory.Contact
		for _, c := range s.has {
			listing = append(listing, c)
		}
		r, steps := directory.RecoverBook(s.view.Book, record, listing)
		s.view.Record = r
		s.apply(steps)
		return bookWords(directory.BookResult{Steps: steps})
	}
	if got := recovered(s.view.Record); got != "delete c doubled" || s.has["aaa"].ID != "" || s.has[kept].ID == "" {
		t.Errorf("%s, %+v", got, s.has)
	}
	if got := s.read("in 2.0!" + eight); got != "create a new; update b differs" {
		t.Errorf("read again: %s", got)
	}
	// What the record lost is not deleted before its folder has been read as a whole.
	lost := s.view.Record
	lost.Entries = slices.Clone(lost.Entries[:6])
	if got := recovered(lost); got != "" {
		t.Errorf("%s", got)
	}
	if got := s.read("in 0.0! a=A"); got != "" || states(s.plan()) != "in reading 0/6" {
		t.Errorf("changes are read: %s; %s", got, states(s.plan()))
	}
	// From nothing, a listing alone is enough; what is in no folder goes.
	if got := recovered(directory.BookRecord{}); got != "" {
		t.Errorf("%s", got)
	}
	if got := s.read("in 3.0! a=A b=B c=C d=D e=E f=F g=G"); got != "delete h not-seen" || s.content() != "=door a=A b=B c=C d=D e=E f=F g=G" {
		t.Errorf("read again: %s, then %s", got, s.content())
	}
	if s.view.Record.Unsettled() != 0 {
		t.Errorf("%+v", s.view.Record)
	}
}

func TestOutcomesThatAreLate(t *testing.T) {
	s := newShelf(t)
	created := s.plan("in 1.0! a=A")
	if s.view.Record.Unsettled() != 1 {
		t.Errorf("%+v", s.view.Record)
	}
	// Nothing was heard of it: it is asked for again, with what the contact is now.
	changed := s.plan("in 0.0! a=Anna")
	if bookWords(changed) != "create a new" {
		t.Errorf("%s", bookWords(changed))
	}
	s.apply(created.Steps)
	s.apply(changed.Steps)
	if s.content() != "a=Anna" || s.view.Record.Unsettled() != 0 {
		t.Errorf("%s, %+v", s.content(), s.view.Record)
	}
	// A contact that comes back while it is deleted is made again.
	deleted := s.plan("in 0.0! -a")
	back := s.plan("in 0.0! a=Anna")
	s.apply(deleted.Steps)
	s.apply(back.Steps)
	if s.content() != "a=Anna" || s.view.Record.Unsettled() != 0 {
		t.Errorf("%s, %+v", s.content(), s.view.Record)
	}
	// Whose deletion is answered after it was written is made again when it is read.
	deleted = s.plan("in 0.0! -a")
	back = s.plan("in 0.0! a=Anna")
	s.apply(back.Steps)
	s.apply(deleted.Steps)
	if s.content() != "" || s.read("in 2.0! a=Anna") != "create a new" || s.content() != "a=Anna" {
		t.Errorf("%s, %+v", s.content(), s.view.Record)
	}
	// What failed stays unsettled, and is asked for at the next reading.
	failed := s.plan("in 0.0! a=Anne")
	s.view.Record = s.view.Record.Settle([]directory.ContactOutcome{{Op: failed.Steps[0].Op, Source: "a", Failed: true}, {Op: plan.Update, Source: "z"}}, noon)
	if s.view.Record.Unsettled() != 1 || s.read("in 3.0! a=Anne") != "update a differs" || s.view.Record.Unsettled() != 0 {
		t.Errorf("%s, %+v", s.content(), s.view.Record)
	}
}

func TestAContactStepAsPlansShowIt(t *testing.T) {
	s := newShelf(t)
	first := s.plan("in 1.0! a=Anna:030-1")
	s.apply(first.Steps)
	second := s.plan("in 0.0! a=Anne:030-1")
	c := second.Steps[0].Change()
	if c.Object != "a" || c.Line != "hq/204" || c.Name != "Anne" || c.Op != plan.Update || len(c.Fields) != 1 || c.Fields[0].From == "" || c.Fields[0].From == c.Fields[0].To {
		t.Errorf("%+v", c)
	}
	if first := first.Steps[0].Change(); first.Fields[0].From != "" || first.Fields[0].To != c.Fields[0].From {
		t.Errorf("%+v", first)
	}
	if company := (directory.Book{System: "hq"}); company.String() != "hq" || !company.Company() {
		t.Error("a company's book")
	}
}

func TestARecordAtRest(t *testing.T) {
	s := newShelf(t)
	key := directory.SourceKey("AAMkAGI2TG93AAA=")
	s.read("in 1.0! " + key + "=Anna")
	text, err := json.Marshal(s.view.Record)
	if err != nil || strings.Contains(string(text), "Anna") {
		t.Errorf("%s, %v", text, err)
	}
	var back directory.BookRecord
	if err := json.Unmarshal(text, &back); err != nil || len(back.Entries) != 1 || back.Entries[0] != s.view.Record.Entries[0] || back.Feeds[0] != s.view.Record.Feeds[0] {
		t.Errorf("%+v, %v", back, err)
	}
}
