package contactsync

import (
	"fmt"
	"maps"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"testing"
	"unicode/utf8"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/plans"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// remarked is "a shortened; b no-place, shared" of what a plan tells of contacts by name.
func remarked(p plans.Head, names map[string]string) string {
	var all []string
	for _, c := range p.Changes {
		if len(c.Remarks) == 0 {
			continue
		}
		var why []string
		for _, r := range c.Remarks {
			why = append(why, r.Reason)
		}
		all = append(all, names[c.Object[strings.LastIndex(c.Object, "/")+1:]]+" "+strings.Join(why, ", "))
	}
	slices.Sort(all)
	return strings.Join(all, "; ")
}

// Contacts that cannot be as they are written are taken as far as they can be, and the plan
// says which and why. Duplicates are found wherever they are in the mailbox.
func TestWhatIsToldOfContactsIsInThePlan(t *testing.T) {
	s := newStage(t)
	p := s.system(hq, func(f *wire.System) {
		f.BookLimits = map[directory.Field]int{directory.Company: 255, directory.Mail: 128, directory.PhoneText: 40}
	})
	p.set(func(p *phones) {
		p.refuse = func(c wire.ContactChange) wire.ChangeResult {
			if utf8.RuneCountInString(c.Contact.Company) > 255 || len(c.Contact.Mail) > 128 {
				return wire.ChangeRefused
			}
			return ""
		}
	})
	s.link(person(1), lineOf(hq, "204"))
	o := s.mailbox(person(1), false)
	o.size = 1 // no page has two
	names := map[string]string{}
	add := func(folder, name string, change func(*directory.Contact)) {
		c := contact(100+len(names), 1)
		names[c.Source] = name
		change(&c)
		o.put(folder, c)
	}
	mobile := func(text string) []directory.Number {
		return []directory.Number{{Kind: directory.MobileNumber, Text: text}}
	}
	add("contacts", "plain", func(*directory.Contact) {})
	add("contacts", "long", func(c *directory.Contact) {
		c.Company, c.Mail = strings.Repeat("Ü", 300), strings.Repeat("m", 300)+"@x"
	})
	add("contacts", "fax", func(c *directory.Contact) {
		c.Numbers = append(c.Numbers, directory.Number{Kind: directory.FaxNumber, Text: "030 111111"})
	})
	add("contacts", "odd", func(c *directory.Contact) { c.Numbers = mobile("call me") })
	add("family", "endless", func(c *directory.Contact) { c.Numbers = mobile("+49 171 1234567" + strings.Repeat(" ", 30) + "89") })
	for _, folder := range []string{"contacts", "family"} {
		add(folder, "twin", func(c *directory.Contact) { c.FirstName, c.LastName, c.Company, c.Numbers = "Zoe", "Twin", "", nil })
		add(folder, "mate", func(c *directory.Contact) { c.Numbers = mobile("0171 9999999") })
	}
	s.start()
	o.full()
	s.filledBy(hq, "204", len(names))
	s.settledAfter()
	const want = "endless too-long; fax no-place; long shortened, too-long; mate shared; odd not-a-number; twin twice; twin twice"
	shown := s.shown("1")
	if got := remarked(shown, names); got != want || shown.Total != 0 || shown.Unlisted != 0 {
		t.Errorf("told\n%s, want\n%s\nof %+v", got, want, shown)
	}
	if got := fmt.Sprint(shown.Remarks); got != "map[no-place:1 not-a-number:1 shared:1 shortened:1 too-long:2 twice:2]" {
		t.Errorf("counted %s", got)
	}
	own, _ := p.has(bookOf(hq, "204"))
	for source, name := range names {
		if c := own[source]; name == "long" && (utf8.RuneCountInString(c.Company) != 255 || c.Mail != "" || len(c.Numbers) != 2) {
			t.Errorf("the long one is there as %+v", c)
		}
	}
	s.restart(func(*Options) {}) // what was told is at rest with the entry
	if got := remarked(s.shown("2"), names); got != want {
		t.Errorf("after a restart\n%s, want\n%s", got, want)
	}
	// Once it is as it should be, nothing is told any more.
	for _, source := range slices.Collect(maps.Keys(names)) {
		if names[source] == "long" {
			o.put("contacts", directory.Contact{Source: source, FirstName: "Short"})
		}
	}
	o.delta()
	s.settledAfter()
	s.eventually(func() string {
		if got := remarked(s.shown("3"+strconv.FormatInt(s.bus.Now().UnixNano(), 36)), names); got != strings.ReplaceAll(want, "long shortened, too-long; ", "") {
			return got
		}
		return ""
	})
}

// A mailbox of which much is to be told leaves room for what is to be done.
func TestRemarksDoNotCrowdOutChanges(t *testing.T) {
	b := &book{folders: []folder{{id: "f"}}}
	for i := range mostRemarked + 50 {
		b.entries = append(b.entries, entry{source: directory.SourceKey(strconv.Itoa(i)), id: "1", seen: uint64(i + 1), written: uint64(i + 1), notes: notes(0).with(directory.NoPlace)})
	}
	b.entries = append(b.entries, entry{source: "z", seen: 1 << 40})
	b.sort()
	s := newStage(t)
	_, err := s.stores[topology.Books].Put(t.Context(), bookKey(person(1), bookOf(hq, "204")), b.encode())
	s.must(err)
	s.system(hq, nil)
	s.link(person(1), lineOf(hq, "204"))
	s.mailbox(person(1), false).silence(true)
	s.start()
	p := s.shown("1")
	if len(p.Changes) != mostRemarked+1 || p.Total != 1 || p.Remarks[string(directory.NoPlace)] != mostRemarked+50 || p.Unlisted != 0 ||
		!slices.ContainsFunc(p.Changes, func(c plan.Change) bool { return c.Op == plan.Create }) {
		t.Errorf("%d changes, %d to be done, remarks %v, %d unlisted", len(p.Changes), p.Total, p.Remarks, p.Unlisted)
	}
}

func TestNumbersAreRememberedWhileAMailboxIsRead(t *testing.T) {
	var count atomic.Int64
	n := newNumbers(&count)
	page := func(folder string, round uint64, full bool) func(string, string) bool {
		return n.page(wire.ContactsPage{Folder: folder, Round: round, Full: full})
	}
	for _, c := range []struct {
		name        string
		folder      string
		round       uint64
		full        bool
		key, source string
		want        bool
	}{
		{"the first", "a", 1, true, "+491", "anna", false},
		{"the same page again", "a", 1, true, "+491", "anna", false},
		{"another contact of the next page", "a", 1, true, "+491", "ben", true},
		{"another folder", "b", 1, true, "+491", "carl", true},
		{"another number", "b", 1, true, "+492", "carl", false},
		{"a change, which is compared within its page", "a", 2, false, "+491", "dora", false},
		{"the next round of a folder begins anew", "a", 3, true, "+491", "ben", false},
		{"and has forgotten the other folder", "a", 3, true, "+492", "dora", false},
	} {
		if got := page(c.folder, c.round, c.full)(c.key, c.source); got != c.want {
			t.Errorf("%s: %v", c.name, got)
		}
	}
	within := page("a", 4, false)
	if within("+493", "anna") || !within("+493", "ben") {
		t.Error("a page of changes is not compared within itself")
	}
	if count.Load() != 2 {
		t.Errorf("%d numbers are counted, 2 are remembered", count.Load())
	}
	n.forget()
	if count.Load() != 0 {
		t.Errorf("%d numbers are counted after they were forgotten", count.Load())
	}
	read := page("a", 5, true)
	for i := range mostNumbers + 10 {
		read(strconv.Itoa(i), strconv.Itoa(i))
	}
	if len(n.owners) != mostNumbers || count.Load() != mostNumbers || !read("0", "x") || read(strconv.Itoa(mostNumbers+5), "x") {
		t.Errorf("%d numbers are remembered, %d are the most", len(n.owners), mostNumbers)
	}
	count.Store(mostNumbersOfAll)
	other := newNumbers(&count)
	if other.others("1", "a") || len(other.owners) != 0 {
		t.Error("more is remembered than all together may be")
	}
}

// The bits are at rest: a reason that is put between the others would change what they say.
func TestTheBitsOfNotesStayWhatTheyAre(t *testing.T) {
	want := []directory.Reason{"shortened", "too-long", "no-digits", "only-an-extension", "not-a-number", "doubled", "no-place", "shared"}
	for i, why := range want {
		if got := notes(0).with(why); got != 1<<i || len(got.remarks()) != 1 || got.remarks()[0].Reason != string(why) {
			t.Errorf("%s is %08b", why, got)
		}
	}
	if notes(0).with(directory.Blank) != 0 {
		t.Error("what has no bit is kept")
	}
}
