package contactsync

import (
	"encoding/json"
	"slices"
	"testing"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/links"
)

func linesOf(t testing.TB, value []byte) (lines []identity.Line) {
	t.Helper()
	var r links.Record
	if err := json.Unmarshal(value, &r); err != nil {
		t.Fatal(err)
	}
	for _, l := range r.Lines {
		lines = append(lines, l.Line)
	}
	return lines
}

func lineOf(system identity.System, ext identity.Extension) identity.Line {
	return identity.Line{System: system, Extension: ext}
}

func bookOf(system identity.System, owner identity.Extension) directory.Book {
	return directory.Book{System: system, Owner: owner}
}

func TestTheContactsOfAMailboxAreInThePhonebookOfItsExtension(t *testing.T) {
	t.Parallel()
	s := newStage(t)
	phones := s.system(hq, nil)
	phones.foreign(bookOf(hq, "204"), "Grandma")
	s.link(person(1), lineOf(hq, "204"))
	o := s.mailbox(person(1), false)
	o.many("contacts", 0, 250, 1)
	s.start()
	o.full()
	s.synced()
	if creates, updates, deletes := phones.written(); creates != 250 || updates != 0 || deletes != 0 {
		t.Errorf("%d created, %d updated, %d deleted", creates, updates, deletes)
	}

	o.many("contacts", 10, 12, 2)
	o.remove("contacts", 20, 21)
	o.many("contacts", 250, 253, 1)
	o.delta()
	s.synced()
	o.full() // nothing is new
	s.synced()
	if creates, updates, deletes := phones.written(); creates != 253 || updates != 2 || deletes != 2 {
		t.Errorf("%d created, %d updated, %d deleted", creates, updates, deletes)
	}
	if names := phones.strangers(bookOf(hq, "204")); !slices.Equal(names, []string{"Grandma"}) {
		t.Errorf("strangers %v", names)
	}
}
