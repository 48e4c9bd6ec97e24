package doctor

import (
	"context"
	"errors"
	"strings"
	"testing"

	"offhook.dev/libs/books"
	pbxbook "offhook.dev/libs/core/directory"
)

func TestPhonebooksThatNeedAPersonAreSaid(t *testing.T) {
	standing := func(why, detail string) books.Standing {
		return books.Standing{Mailbox: "anna", Book: pbxbook.Book{System: "hq", Owner: "204"}, Why: why, Detail: detail}
	}
	for _, c := range []struct {
		claim     string
		attention []books.Standing
		err       error
		level     string // "": nothing is said
		cause     string
	}{
		{"all is well", nil, nil, "ok", ""},
		{"what goes on by itself needs nobody", []books.Standing{standing(books.Unread, ""), standing(books.PolicyOff, "plan and apply do it")}, nil, "ok", ""},
		{"several are in the way of one another", []books.Standing{standing(books.Unread, ""), standing("mailbox cannot be read", "denied: what the phonebook has stays"), standing("deletions held back", "7 of 9"),
			standing("mailbox cannot be read", "gone")}, nil, "warning",
			"1 deletions held back, 2 mailbox cannot be read; the first is hq/204 of mailbox anna: mailbox cannot be read: denied: what the phonebook has stays"},
		{"nobody can be asked, which another check says", nil, errors.New("nobody answers"), "", ""},
	} {
		d := &run{o: Options{Phonebooks: func(context.Context) ([]books.State, error) {
			return []books.State{{Tenant: "contoso", Attention: c.attention}}, c.err
		}}}
		d.books(t.Context())
		if len(d.checks) != min(1, len(c.level)) || len(d.checks) > 0 && (d.checks[0].Code != "OH-BOOK-001" || d.checks[0].Level != c.level || d.checks[0].Cause != c.cause ||
			c.level == "warning" && !strings.Contains(d.checks[0].Fix, "offhook plan contacts --tenant contoso")) {
			t.Errorf("%s: %+v", c.claim, d.checks)
		}
	}
	d := &run{}
	if d.books(t.Context()); len(d.checks) > 0 {
		t.Errorf("where nobody can be asked: %+v", d.checks)
	}
}
