package cli

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/books"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/plans"
	"offhook.dev/libs/wire"
	"offhook.dev/services/control-api/apitest"
)

// tried is a plan of four users, one of whom was refused before.
func tried(state wire.SyncState) plans.Head {
	h := plans.Head{Tenant: "contoso", Kind: wire.SyncUsers, State: state, Total: 3, Plan: plan.Plan{ID: thePlan}}
	for i := range 4 {
		h.Changes = append(h.Changes, plan.Change{Op: plan.Create, Object: apitest.Person("contoso", 50+i).String(), Line: fmt.Sprintf("hq/%d", 600+i), Name: fmt.Sprintf("u%d@x", i), Reason: "new"})
	}
	h.Changes[1].Tried = &plan.Attempt{At: time.Date(2025, 6, 2, 9, 30, 0, 0, time.UTC), Result: "refused", Detail: "Name is too odd"}
	h.Changes[2].Remarks = []plan.Remark{{Field: "first_name", Reason: "shortened", Detail: "to 255 characters"}, {Field: "mobile", Reason: "not-a-number", Detail: "call me"}}
	h.Changes[3] = plan.Change{Op: plan.Skip, Object: apitest.Person("contoso", 53).String(), Name: "u3@x", Reason: "same", Remarks: []plan.Remark{{Field: "mobile", Reason: "not-a-number"}}}
	h.Remarks = map[string]int{"shortened": 1, "not-a-number": 2}
	return h
}

func TestAPlanSaysWhatWasTriedAndWhatIsNotAsItShouldBe(t *testing.T) {
	home(t)
	stage := apitest.Start(t, nil)
	stage.Planned(t, tried(wire.SyncPlanned))
	stdout, stderr, code := command(t, "offhook plan "+thePlan+" --api "+stage.URL)
	text := normal(stdout)
	for _, want := range []string{
		"\ncreate  600@hq  u0@x  there is none yet  -\n", "\ncreate  601@hq  u1@x  there is none yet; was tried <clock> and refused: Name is too odd  -\n",
		"\nTo be known of values 3:\n  1 because it is longer than the phone system takes, and shortened: u2@x (first name: to 255 characters)\n  2 because the phone number has letters: u2@x (mobile: call me), u3@x (mobile)\n",
		"\n3 create\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("exit %d, %s; no %q in\n%s", code, stderr, want, text)
		}
	}
	if strings.Contains(text, "RESULT") || strings.Contains(text, "skipped") || strings.Contains(text, "Nothing is done") || strings.Contains(text, "Not done") {
		t.Errorf("it says what is not so:\n%s", text)
	}
}

func TestAnAppliedPlanSaysWhatCameOfIt(t *testing.T) {
	home(t)
	stage := apitest.Start(t, nil)
	said := func(i int, result wire.ChangeResult, detail string) wire.ExtensionOutcome {
		return wire.ExtensionOutcome{ID: "w", Person: apitest.Person("contoso", 50+i), Line: identity.Line{System: "hq", Extension: identity.Extension(fmt.Sprint(600 + i))},
			Op: wire.OpCreate, Result: result, Detail: detail, Plan: thePlan, At: stage.Bus.Now()}
	}
	stage.Planned(t, tried(wire.SyncApplying))
	stage.Publish(t, said(0, wire.ChangeDone, ""), said(1, wire.ChangeRefused, "Name is too odd"))
	stdout, stderr, code := command(t, "offhook plan "+thePlan+" --api "+stage.URL)
	text := normal(stdout)
	for _, want := range []string{
		"DOES  EXTENSION  WHO  WHY  WHAT  RESULT\ncreate  600@hq  u0@x  there is none yet  -  done\n", " -  refused: Name is too odd\n", "\ncreate  602@hq  u2@x  there is none yet  -  on its way\n",
		"\nNot done 1:\n  1 because it was refused: Name is too odd:\n    create 601@hq for u1@x\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("exit %d, %s; no %q in\n%s", code, stderr, want, text)
		}
	}
	// Who applies a plan is told at once.
	stage.Synchronises(t, func(o wire.SyncOrder) []wire.SyncOutcome {
		return []wire.SyncOutcome{{State: wire.SyncDone, Plan: o.Plan, Total: 3, Done: 3, Failed: 1}}
	})
	stdout, stderr, code = command(t, "offhook apply "+thePlan+" --api "+stage.URL)
	if text := normal(stdout); code != 1 || !strings.Contains(text, "2 of 3 changes done, 1 failed\n\nNot done 1:\n  1 because it was refused: Name is too odd:\n    create 601@hq for u1@x\n") ||
		!strings.Contains(stderr, "OH-ORDER-INCOMPLETE") {
		t.Errorf("exit %d, %s\n%s", code, stderr, text)
	}
}

func TestEveryResultHasWords(t *testing.T) {
	for _, r := range []wire.ChangeResult{wire.ChangeDone, wire.ChangeAlready, wire.ChangeTaken, wire.ChangeForeign, wire.ChangeFull, wire.ChangeRefused, wire.ChangeFailed, wire.ChangeLost} {
		if attempts[string(r)] == "" {
			t.Errorf("no words for %s", r)
		}
	}
	if got := attempt("users", &plan.Attempt{Result: "of-a-later-version", Detail: "why"}); got != "of-a-later-version: why" {
		t.Error(got)
	}
}

func TestAPlanForPhonebooksSaysAtItsEndWhatCameOfIt(t *testing.T) {
	home(t)
	const id = "contoso-contacts-1a2b3c4d5e"
	at := time.Date(2025, 6, 2, 9, 30, 0, 0, time.UTC)
	stage := apitest.Start(t, func(s *apitest.Stage) {
		s.PlannedBooks(t, "contoso", id,
			plan.Change{Op: plan.Create, Object: "contoso/a/1", Line: "hq/204", Reason: "new", Result: &plan.Attempt{At: at, Result: "done"}},
			plan.Change{Op: plan.Update, Object: "contoso/a/2", Line: "hq/204", Reason: "changed", Result: &plan.Attempt{At: at, Result: "full"}},
			plan.Change{Op: plan.Delete, Object: "contoso/a/3", Line: "hq/204", Reason: "gone"})
		s.Ended(t, id, wire.SyncFailed, 3, 2, 1)
	})
	stdout, stderr, code := command(t, "offhook plan "+id+" --api "+stage.URL)
	text := normal(stdout)
	for _, want := range []string{
		"\nit is applied: 1 of 3 changes done, 1 failed", "DOES  PHONEBOOK  WHO  WHY  WHAT  RESULT\ncreate  204@hq  contoso/a/1  the phonebook does not have it yet  -  done\n",
		"  -  turned away, since the phonebook is full\n", "delete  204@hq  contoso/a/3  it is not in the mailbox any more  -  -\n",
		"\nNot done 1:\n  1 because it was turned away, since the phonebook is full:\n    update 204@hq for contoso/a/2\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("exit %d, %s; no %q in\n%s", code, stderr, want, text)
		}
	}
}

func TestAPlanForPhonebooksSaysHowTheyStand(t *testing.T) {
	home(t)
	const id = "contoso-contacts-1a2b3c4d5e"
	state := books.State{Tenant: "contoso", Mailboxes: 3, Counts: books.Counts{Entries: 70}, Standings: map[string]int{books.Synced: 1, books.Unread: 1, "mailbox cannot be read": 1}, Attention: []books.Standing{
		{Mailbox: "m1", Book: directory.Book{System: "hq", Owner: "204"}, Why: "mailbox cannot be read", Detail: "denied: what the phonebook has stays"},
		{Mailbox: "m2", Book: directory.Book{System: "hq"}, Why: books.Unread}}}
	stage := apitest.Start(t, func(s *apitest.Stage) { s.PlannedBooks(t, "contoso", id); s.Stand(t, state) })
	stdout, stderr, code := command(t, "offhook plan "+id+" --api "+stage.URL)
	if want := "\nPhonebooks of contoso: 70 entries of 3 mailboxes\n  1 mailbox cannot be read\n  1 synced\n  1 waiting for a full reading\n    204@hq of mailbox m1: mailbox cannot be read: denied: what the phonebook has stays\n"; code != 0 || !strings.HasSuffix(stdout, want) {
		t.Errorf("exit %d, %s\n%s\nwant at its end\n%s", code, stderr, stdout, want)
	}
}
