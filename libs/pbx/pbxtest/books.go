package pbxtest

import (
	"fmt"
	"reflect"
	"slices"
	"strconv"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/pbx"
)

// manyEntries is more than a listing takes in one page.
const manyEntries = 205

// shelf is a driver that writes phonebooks, with what a case needs besides.
type shelf struct {
	Books
	pbx.Phonebook
	powers pbx.PhonebookPowers
	owners []identity.Extension // of the books that there are: the company, two extensions
}

// shelved returns the driver under test as one that writes phonebooks, or false where
// it declares that it does not: implementedIsDeclared sees to it.
func shelved(h Harness) (shelf, bool) {
	phonebook, writes := h.Driver().(pbx.Phonebook)
	books, shows := h.(Books)
	s := shelf{books, phonebook, powers(h).Phonebook, nil}
	for _, owner := range []identity.Extension{"", h.Extensions()[0], h.Extensions()[3]} {
		if s.powers.Has(owner) {
			s.owners = append(s.owners, owner)
		}
	}
	return s, writes && shows && len(s.owners) > 0
}

// sample is an entry of our own with a value everywhere.
func (s shelf) sample(source string) directory.Contact {
	c := directory.Contact{Source: source, FirstName: "Zoë", LastName: "Núñez", Company: "Fabrikam & Söhne", Title: "Head of Cheese",
		Department: "Dairy", Mail: "zoe@fabrikam.example"}
	for i, kind := range s.powers.Numbers {
		c.Numbers = append(c.Numbers, directory.Number{Kind: kind, Text: fmt.Sprintf("+49 (0)30 123-%02d", i)})
	}
	return c
}

// enter adds an entry that must be accepted, and returns it with its id.
func (s shelf) enter(t T, owner identity.Extension, c directory.Contact) directory.Contact {
	t.Helper()
	id, err := s.CreateContact(t.Context(), owner, c)
	if err != nil || id == "" {
		t.Fatalf("create an entry of %q: id %q, %v", owner, id, err)
	}
	c.ID = id
	return c
}

// change changes an entry in a way that must be accepted.
func (s shelf) change(t T, owner identity.Extension, c directory.Contact) {
	t.Helper()
	if err := s.UpdateContact(t.Context(), owner, c); err != nil {
		t.Fatalf("change entry %s of %q: %v", c.ID, owner, err)
	}
}

// listed is a book as the driver lists it, by id.
func (s shelf) listed(t T, owner identity.Extension) map[string]directory.Contact {
	t.Helper()
	all := make(map[string]directory.Contact)
	err := s.Contacts(t.Context(), owner, func(c directory.Contact) error {
		if _, twice := all[c.ID]; twice {
			t.Errorf("entry %s of %q is listed twice", c.ID, owner)
		}
		all[c.ID] = c
		return nil
	})
	if err != nil {
		t.Fatalf("contacts of %q: %v", owner, err)
	}
	return all
}

// has checks an entry from behind and as it is listed.
func (s shelf) has(t T, owner identity.Extension, want directory.Contact) {
	t.Helper()
	at := slices.IndexFunc(s.Book(owner), func(c directory.Contact) bool { return c.ID == want.ID })
	if at < 0 {
		t.Errorf("%q has no entry %s", owner, want.ID)
	} else if got := s.Book(owner)[at]; !same(got, want) {
		t.Errorf("entry of %q is %+v and should be %+v", owner, got, want)
	}
	if got := s.listed(t, owner)[want.ID]; !same(got, want) {
		t.Errorf("entry of %q is listed as %+v and should be %+v", owner, got, want)
	}
}

// same compares entries; the order of their numbers does not matter.
func same(a, b directory.Contact) bool {
	ordered := func(c directory.Contact) directory.Contact {
		kinds := directory.NumberKinds()
		c.Numbers = slices.SortedFunc(slices.Values(c.Numbers), func(x, y directory.Number) int {
			return slices.Index(kinds, x.Kind) - slices.Index(kinds, y.Kind)
		})
		return c
	}
	return reflect.DeepEqual(ordered(a), ordered(b))
}

func entered(t T, h Harness) {
	s, ok := shelved(h)
	if !ok {
		return
	}
	for i, owner := range s.owners {
		source := fmt.Sprintf("k%d", i)
		bare := s.enter(t, owner, directory.Contact{Source: source + "-bare", LastName: "Abel"})
		full := s.enter(t, owner, s.sample(source))
		s.has(t, owner, bare)
		s.has(t, owner, full)
	}
}

func sourceKept(t T, h Harness) {
	s, ok := shelved(h)
	if !ok {
		return
	}
	for _, owner := range s.owners {
		c := s.enter(t, owner, s.sample("abcdefghijklmnopqrstuvwxyz-01234")) // 32 characters
		c.Title, c.Numbers = "Widow", nil
		for _, source := range []string{c.Source, "another-source"} {
			c.Source = source
			s.change(t, owner, c)
			if got := s.listed(t, owner)[c.ID].Source; got != source {
				t.Errorf("the source is %q and should be %q", got, source)
			}
		}
	}
}

func entryChanged(t T, h Harness) {
	s, ok := shelved(h)
	if !ok {
		return
	}
	for _, owner := range s.owners {
		c := s.enter(t, owner, s.sample("k1"))
		c.FirstName, c.Mail = "", ""
		c.Company = "Contoso"
		c.Numbers = []directory.Number{{Kind: s.powers.Numbers[len(s.powers.Numbers)-1], Text: "ext. 12"}}
		s.change(t, owner, c)
		s.has(t, owner, c)
		c.Numbers = nil
		s.change(t, owner, c)
		s.has(t, owner, c)
	}
}

func entryChangedTwice(t T, h Harness) {
	s, ok := shelved(h)
	if !ok {
		return
	}
	for _, owner := range s.owners {
		c := s.enter(t, owner, s.sample("k1"))
		c.Department = "Wine"
		s.change(t, owner, c)
		if err := s.UpdateContact(t.Context(), owner, c); err != nil {
			t.Errorf("the same change again: %v", err)
		}
		if n := len(s.Book(owner)); n != 1 {
			t.Errorf("there are %d entries", n)
		}
		if got := s.listed(t, owner)[c.ID].Department; got != "Wine" {
			t.Errorf("changed twice, it is %q", got)
		}
	}
}

func foreignEntries(t T, h Harness) {
	s, ok := shelved(h)
	if !ok {
		return
	}
	for _, owner := range s.owners {
		foreign := s.sample("")
		foreign.ID = s.Enter(owner, foreign)
		s.has(t, owner, foreign)
		first, second := s.enter(t, owner, s.sample("k1")), s.enter(t, owner, s.sample("k2"))
		last := s.sample("")
		last.ID = s.Enter(owner, last)
		first.LastName = "Changed"
		s.change(t, owner, first)
		if failed, err := s.DeleteContacts(t.Context(), owner, []string{second.ID}); err != nil || len(failed) > 0 {
			t.Errorf("delete: %v, %v", failed, err)
		}
		s.has(t, owner, foreign)
		s.has(t, owner, last)
		if n := len(s.Book(owner)); n != 3 {
			t.Errorf("there are %d entries: two of others and one of ours should be", n)
		}
	}
}

func booksApart(t T, h Harness) {
	s, ok := shelved(h)
	if !ok {
		return
	}
	ours := make(map[identity.Extension]directory.Contact)
	for i, owner := range s.owners {
		ours[owner] = s.enter(t, owner, directory.Contact{Source: fmt.Sprintf("k%d", i), LastName: "Of " + string(owner)})
	}
	for _, owner := range s.owners {
		all := s.listed(t, owner)
		if n := len(s.Book(owner)); len(all) != 1 || n != 1 || !same(all[ours[owner].ID], ours[owner]) {
			t.Errorf("the book of %q has %d entries and is listed as %v", owner, n, all)
		}
	}
}

func entryTexts(t T, h Harness) {
	s, ok := shelved(h)
	if !ok {
		return
	}
	owner := s.owners[len(s.owners)-1]
	for i, name := range names() {
		c := directory.Contact{Source: "k" + strconv.Itoa(i), FirstName: name, LastName: name, Company: name,
			Numbers: []directory.Number{{Kind: s.powers.Numbers[0], Text: "٠٣٠ 123;ext=4"}}}
		before := len(s.Book(owner))
		switch id, err := s.CreateContact(t.Context(), owner, c); {
		case err == nil:
			c.ID = id
			s.has(t, owner, c)
		case fault.KindOf(err) != fault.Invalid:
			t.Errorf("%s: %v", brief(name), describe(err))
		case len(s.Book(owner)) != before:
			t.Errorf("%s was refused, and is there: %v", brief(name), err)
		}
	}
}

func unknownEntry(t T, h Harness) {
	s, ok := shelved(h)
	if !ok {
		return
	}
	for _, owner := range s.owners {
		gone := s.enter(t, owner, s.sample("k1"))
		if _, err := s.DeleteContacts(t.Context(), owner, []string{gone.ID}); err != nil {
			t.Fatalf("delete: %v", err)
		}
		wantKind(t, s.UpdateContact(t.Context(), owner, gone), fault.NotFound, "change what is gone")
		if n := len(s.Book(owner)); n != 0 {
			t.Errorf("there are %d entries", n)
		}
	}
}

func entryDeletedTwice(t T, h Harness) {
	s, ok := shelved(h)
	if !ok {
		return
	}
	for _, owner := range s.owners {
		first, second := s.enter(t, owner, s.sample("k1")), s.enter(t, owner, s.sample("k2"))
		for _, ids := range [][]string{{first.ID}, {first.ID, second.ID}} {
			failed, err := s.DeleteContacts(t.Context(), owner, ids)
			if err != nil {
				t.Errorf("delete %v: %v", ids, err)
			}
			for id, why := range failed {
				if fault.KindOf(why) != fault.NotFound || id != first.ID || len(ids) == 1 {
					t.Errorf("delete %v: %s failed: %v", ids, id, describe(why))
				}
			}
		}
		if n := len(s.Book(owner)); n != 0 {
			t.Errorf("there are %d entries left", n)
		}
	}
}

func entriesBeyondBatch(t T, h Harness) {
	s, ok := shelved(h)
	if !ok {
		return
	}
	owner := s.owners[0]
	c := s.enter(t, owner, s.sample("k1"))
	requests := h.Requests()
	failed, err := s.DeleteContacts(t.Context(), owner, slices.Repeat([]string{c.ID}, s.powers.Batch+1))
	wantKind(t, err, fault.Invalid, "delete too many")
	if sent := h.Requests() - requests; sent != 0 || failed != nil {
		t.Errorf("%d requests were sent, failed %v", sent, failed)
	}
	s.has(t, owner, c)
}

func numberWithoutPlace(t T, h Harness) {
	s, ok := shelved(h)
	if !ok {
		return
	}
	owner := s.owners[0]
	c := s.enter(t, owner, s.sample("k1"))
	requests := h.Requests()
	for _, kind := range append(directory.NumberKinds(), "carrier-pigeon") {
		if slices.Contains(s.powers.Numbers, kind) {
			continue
		}
		changed := c
		changed.Numbers = []directory.Number{{Kind: kind, Text: "1"}}
		_, err := s.CreateContact(t.Context(), owner, changed)
		wantKind(t, err, fault.Unsupported, "create with a "+string(kind))
		wantKind(t, s.UpdateContact(t.Context(), owner, changed), fault.Unsupported, "change to a "+string(kind))
	}
	if sent := h.Requests() - requests; sent != 0 {
		t.Errorf("%d requests were sent", sent)
	}
	s.has(t, owner, c)
}

func unknownBook(t T, h Harness) {
	s, ok := shelved(h)
	if !ok {
		return
	}
	nobody := func(owner identity.Extension, kind fault.Kind) {
		t.Helper()
		err := s.Contacts(t.Context(), owner, func(directory.Contact) error { return nil })
		wantKind(t, err, kind, fmt.Sprintf("contacts of %q", owner))
		_, err = s.CreateContact(t.Context(), owner, s.sample("k1"))
		wantKind(t, err, kind, fmt.Sprintf("create an entry of %q", owner))
	}
	if s.powers.Personal {
		nobody(h.Absent(), fault.NotFound)
	}
	requests := h.Requests()
	for _, owner := range []identity.Extension{"", h.Extensions()[0]} {
		if !s.powers.Has(owner) {
			nobody(owner, fault.Unsupported)
			wantKind(t, s.UpdateContact(t.Context(), owner, directory.Contact{ID: "1"}), fault.Unsupported, "change")
			_, err := s.DeleteContacts(t.Context(), owner, []string{"1"})
			wantKind(t, err, fault.Unsupported, "delete")
		}
	}
	if sent := h.Requests() - requests; sent != 0 {
		t.Errorf("%d requests for books that there are not were sent", sent)
	}
}

func longBook(t T, h Harness) {
	s, ok := shelved(h)
	if !ok {
		return
	}
	for _, owner := range s.owners {
		var ids []string
		for i := range manyEntries {
			ids = append(ids, s.Enter(owner, directory.Contact{LastName: "Entry " + strconv.Itoa(i)}))
		}
		gone, listed := ids[1], make(map[string]int)
		err := s.Contacts(t.Context(), owner, func(c directory.Contact) error {
			if len(listed) == 0 {
				if failed, err := s.DeleteContacts(t.Context(), owner, []string{gone}); err != nil || len(failed) > 0 {
					t.Errorf("delete during the listing: %v, %v", failed, err)
				}
			}
			listed[c.ID]++
			return nil
		})
		if err != nil {
			t.Fatalf("contacts of %q: %v", owner, err)
		}
		delete(listed, gone) // may be in it or not
		for _, id := range ids {
			if listed[id] != 1 && id != gone {
				t.Errorf("entry %s of %q was there all the time and is listed %d times", id, owner, listed[id])
			}
			delete(listed, id)
		}
		if len(listed) > 0 {
			t.Errorf("also listed: %v", listed)
		}
	}
}

func enteringLostAnswer(t T, h Harness) {
	s, ok := shelved(h)
	if !ok {
		return
	}
	warm(t, h)
	for _, owner := range s.owners {
		h.Inject(LostAnswer)
		_, err := s.CreateContact(t.Context(), owner, s.sample("k1"))
		wantKind(t, err, fault.Timeout, "create an entry")
		h.Inject(None)
		found := 0
		for _, c := range s.listed(t, owner) {
			if c.Source == "k1" {
				found++
			}
		}
		if found != 1 {
			t.Errorf("%d entries have the source by which it must be found", found)
		}
	}
}
