package cli

import (
	"bytes"
	"encoding/json"
	"fmt"
	"go/ast"
	"go/parser"
	"go/token"
	"net/http"
	"net/http/httptest"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/plans"
	"offhook.dev/libs/wire"
	"offhook.dev/services/control-api/api"
	"offhook.dev/services/control-api/apitest"
)

const thePlan = "contoso-users-1a2b3c4d5e"

// golden answers the orders of the golden file.
func golden(o wire.SyncOrder) []wire.SyncOutcome {
	switch {
	case o.Op == wire.SyncRead:
		return []wire.SyncOutcome{{State: wire.SyncDone, Total: 15, Done: 15}}
	case o.Tenant == "fabrikam":
		return []wire.SyncOutcome{{State: wire.SyncFailed, Detail: "plan: the extensions of phone system branch have not been listed yet"}}
	case o.Op == wire.SyncPlan:
		return []wire.SyncOutcome{{State: wire.SyncPlanned, Plan: thePlan, Total: 4}}
	case o.Op == wire.SyncApply && o.Force:
		return []wire.SyncOutcome{{State: wire.SyncApplying, Plan: o.Plan, Total: 6}, {State: wire.SyncDone, Plan: o.Plan, Total: 6, Done: 6}}
	case o.Op == wire.SyncApply:
		return []wire.SyncOutcome{{State: wire.SyncBraked, Plan: o.Plan, Total: 4, Done: 4, Failed: 1, Detail: "2 changes are held back"}}
	case o.Kind == wire.SyncContacts:
		return []wire.SyncOutcome{{State: wire.SyncDone, Plan: "contoso-contacts-1a2b3c4d5e", Total: 0}}
	}
	return []wire.SyncOutcome{{State: wire.SyncDone, Plan: thePlan, Total: 4, Done: 4}}
}

// many makes a plan of so many changes.
func many(n int) plans.Head {
	h := plans.Head{Tenant: "contoso", Kind: wire.SyncUsers, Plan: plan.Plan{ID: thePlan}}
	for i := range n {
		c := plan.Change{Op: plan.Create, Object: apitest.Person("contoso", i).String(), Line: fmt.Sprintf("hq/%d", i), Name: fmt.Sprintf("<user%d@contoso.example>", i), Reason: "new"}
		if i%3 == 2 {
			c.Op, c.Reason = plan.Skip, "guest"
		}
		h.Changes = append(h.Changes, c)
	}
	return h
}

func TestALargePlanIsPrintedWhole(t *testing.T) {
	home(t)
	stage := apitest.Start(t, nil)
	const n = 5000
	stage.Planned(t, many(n))
	stdout, stderr, code := command(t, "offhook plan "+thePlan+" -o json --api "+stage.URL)
	var p api.Plan
	if err := json.Unmarshal([]byte(stdout), &p); code != 0 || err != nil || len(p.Changes) != n || p.ID != thePlan || p.Changes[n-1].Line != fmt.Sprintf("hq/%d", n-1) {
		t.Errorf("exit %d, %s, %v, %d changes", code, stderr, err, len(p.Changes))
	}
	var whole bytes.Buffer // it is as if it had been in memory
	if err := printJSON(&whole, p); err != nil || whole.String() != stdout {
		t.Errorf("%v, differs from what is printed of the whole", err)
	}
	stdout, stderr, code = command(t, "offhook plan "+thePlan+" --api "+stage.URL)
	if rows := strings.Count(stdout, "\ncreate "); code != 0 || rows != n-n/3 || !strings.Contains(stdout, fmt.Sprintf("%d because guests get none (users.guests): <user2@contoso.example>, ", n/3)) {
		t.Errorf("exit %d, %s, %d rows of %d:\n%s", code, stderr, rows, n-n/3, stdout[max(0, len(stdout)-500):])
	}
}

func TestAnEmptyPlanIsAListWithoutEntries(t *testing.T) {
	home(t)
	stage := apitest.Start(t, nil)
	stage.Planned(t, many(0))
	stdout, _, code := command(t, "offhook plan "+thePlan+" -o json --api "+stage.URL)
	if !json.Valid([]byte(stdout)) || !strings.Contains(stdout, `"changes": []`) || code != 0 {
		t.Errorf("exit %d, %s", code, stdout)
	}
	if stdout, _, _ := command(t, "offhook plan "+thePlan+" --api "+stage.URL); !strings.Contains(stdout, "\nnothing to do\n") || strings.Contains(stdout, "apply") {
		t.Error(stdout)
	}
}

func TestAPlanForPhonebooksSaysWhatItDoesNotShow(t *testing.T) {
	home(t)
	const id = "contoso-contacts-1a2b3c4d5e"
	stage := apitest.Start(t, func(s *apitest.Stage) {
		changes := []plan.Change{{Op: plan.Delete, Object: "contoso/a/1", Line: "hq/204", Reason: "gone", Held: true}, {Op: plan.Skip, Object: "contoso/a/2", Line: "hq/204", Reason: "full", Detail: "create was tried"}}
		for range 10_005 {
			changes = append(changes, plan.Change{Op: plan.Create, Object: "contoso/a/3", Line: "hq", Reason: "new"})
		}
		s.PlannedBooks(t, "contoso", id, changes...)
	})
	stdout, stderr, code := command(t, "offhook plan "+id+" --api "+stage.URL)
	text := normal(stdout)
	for _, want := range []string{
		"DOES  PHONEBOOK  WHO  WHY  WHAT\ndelete (held)  204@hq  contoso/a/1  it is not in the mailbox any more  -\n", "\ncreate  company@hq  contoso/a/3  the phonebook does not have it yet  -\n",
		"  1 because the phonebook is full: contoso/a/2\n", "\n7 more changes are counted only: 10005 are to be done in all.\n", "contacts.brake allows",
		"Do the rest with `offhook apply " + id + "`, all of it with `offhook apply " + id + " --force`.\n",
	} {
		if !strings.Contains(text, want) {
			t.Errorf("exit %d, %s; no %q in\n%s\n...\n%s", code, stderr, want, text[:min(len(text), 500)], text[max(0, len(text)-900):])
		}
	}
	if got := (&planTable{plan: api.Plan{Incomplete: "3 mailboxes wait for a full reading"}}).lacks(); got != "It may not be all: 3 mailboxes wait for a full reading.\n" {
		t.Error(got)
	}
}

func TestWhatIsNoWholePlanIsSaid(t *testing.T) {
	home(t)
	whole := `{"id":"` + thePlan + `","kind":"users","changes":[{"op":"create","object":"contoso/1"},{"op":"create","object":"contoso/2"}]}`
	for name, c := range map[string]struct{ text, says string }{
		"a plan":                         {whole, ""},
		"one whose changes come first":   {`{"changes":[]}`, ""},
		"half a plan":                    {whole[:len(whole)-20], "OH-CLI-UNREACHABLE"},
		"a plan without its end":         {whole[:len(whole)-1], "OH-CLI-UNREACHABLE"},
		"a plan that has only a head":    {`{"id":"x","kind":"users"`, "OH-CLI-UNREACHABLE"},
		"something else":                 {`<html>`, "OH-CLI-ANSWER"},
		"changes that are none":          {`{"id":"x","changes":[7]}`, "OH-CLI-"},
		"nothing":                        {``, "OH-CLI-UNREACHABLE"},
		"a plan without a list at all":   {`{"id":"x"}`, "OH-CLI-"},
		"a list in the place of an plan": {`[]`, "OH-CLI-"},
	} {
		for _, format := range []string{"table", "json"} {
			server := httptest.NewServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) { fmt.Fprint(w, c.text) }))
			_, stderr, code := command(t, "offhook plan "+thePlan+" -o "+format+" --api "+server.URL)
			server.Close()
			if (code == 0) != (c.says == "") || !strings.Contains(stderr, c.says) {
				t.Errorf("%s as %s: exit %d, %s", name, format, code, stderr)
			}
		}
	}
}

func TestHowOrdersAboutUsersAndContactsEnd(t *testing.T) {
	home(t)
	stage := apitest.Start(t, func(s *apitest.Stage) {
		s.Planned(t, apitest.APlan(thePlan))
		s.Planned(t, plans.Head{Tenant: "contoso", Kind: wire.SyncUsers, State: wire.SyncDone, Plan: plan.Plan{ID: "contoso-users-00applied"}})
	})
	var answer []wire.SyncOutcome
	reading := []wire.SyncOutcome{{State: wire.SyncDone}}
	stage.Synchronises(t, func(o wire.SyncOrder) []wire.SyncOutcome {
		if o.Op == wire.SyncRead {
			return reading
		}
		return answer
	})
	for _, c := range []struct {
		name, line string
		answer     wire.SyncOutcome
		code       int
		out, errs  string
	}{
		{"all is done", "apply " + thePlan, wire.SyncOutcome{State: wire.SyncDone, Total: 4, Done: 4}, 0, "users of contoso: 4 of 4 changes done", ""},
		{"some of it failed", "apply " + thePlan, wire.SyncOutcome{State: wire.SyncDone, Total: 4, Done: 4, Failed: 1}, 1, "3 of 4 changes done, 1 failed", "OH-ORDER-INCOMPLETE 1 of 4 changes failed"},
		{"the brake holds", "apply " + thePlan, wire.SyncOutcome{State: wire.SyncBraked, Total: 4, Done: 4, Detail: "2 are held"}, 1, "4 of 4 changes done", "OH-ORDER-BRAKED the brake held changes back: 2 are held"},
		{"the world has moved on", "apply " + thePlan, wire.SyncOutcome{State: wire.SyncStale, Detail: "another one"}, 1, "", "OH-ORDER-STALE"},
		{"nobody had time", "plan users --tenant contoso", wire.SyncOutcome{State: wire.SyncExpired, Detail: "nobody took it"}, 1, "", "OH-ORDER-EXPIRED"},
		{"nothing can be planned", "plan users --tenant contoso", wire.SyncOutcome{State: wire.SyncFailed, Detail: "not listed yet"}, 1, "", "OH-ORDER-FAILED plan failed: not listed yet"},
		{"the service would not", "sync now users --tenant contoso", wire.SyncOutcome{State: wire.SyncRefused, Detail: "another order is under way"}, 1, "", "OH-ORDER-REFUSED it was refused: another order is under way"},
		{"synchronised", "sync now users --tenant contoso", wire.SyncOutcome{State: wire.SyncDone, Total: 2, Done: 2}, 0, "users of contoso: 2 of 2 changes done", ""},
		{"both are synchronised", "sync now --tenant contoso", wire.SyncOutcome{State: wire.SyncDone}, 0, "users of contoso: nothing to do\ncontacts of contoso: nothing to do\n", ""},
		{"a tenant without contacts", "sync now --tenant fabrikam", wire.SyncOutcome{State: wire.SyncDone}, 0, "users of fabrikam: nothing to do\n", ""},
		{"its contacts by name", "sync now contacts --tenant fabrikam", wire.SyncOutcome{}, 1, "", "OH-API-NO-CONTACTS"},
		{"several tenants", "sync now", wire.SyncOutcome{}, 2, "", "OH-API-TENANT-MISSING it is not said of which tenant; there are contoso, fabrikam"},
		{"no such tenant", "plan contacts --tenant nowhere", wire.SyncOutcome{}, 1, "", "OH-API-TENANT-UNKNOWN"},
		{"a plan that there is not", "apply contoso-users-0000000000", wire.SyncOutcome{}, 1, "", "OH-API-PLAN-UNKNOWN"},
		{"the same to print", "plan contoso-users-0000000000", wire.SyncOutcome{}, 1, "", "OH-API-PLAN-UNKNOWN"},
		{"a plan that was applied", "apply contoso-users-00applied", wire.SyncOutcome{}, 1, "", "OH-API-PLAN-OVER"},
	} {
		answer = []wire.SyncOutcome{c.answer}
		stdout, stderr, code := command(t, "offhook "+c.line+" --api "+stage.URL)
		if code != c.code || !strings.Contains(stdout, c.out) || !strings.Contains(stderr, c.errs) || code != 0 && !strings.Contains(stderr, "fix:") {
			t.Errorf("%s: exit %d\n%s%s", c.name, code, stdout, stderr)
		}
		if code != 0 && c.code != 2 && !strings.Contains(stderr, "where:") {
			t.Errorf("%s: it is not said where: %s", c.name, stderr)
		}
	}
	reading = []wire.SyncOutcome{{State: wire.SyncFailed, Detail: "Graph refuses"}}
	if _, stderr, code := command(t, "offhook sync now --tenant contoso --api "+stage.URL); code != 1 || !strings.Contains(stderr, "Microsoft 365 could not be read: Graph refuses") {
		t.Errorf("exit %d, %s", code, stderr)
	}
	reading, answer = []wire.SyncOutcome{{State: wire.SyncDone}}, []wire.SyncOutcome{{State: wire.SyncBraked, Total: 3, Done: 3, Failed: 1}}
	stdout, _, code := command(t, "offhook sync now --tenant contoso -o json --api "+stage.URL)
	var orders []api.Order
	if err := json.Unmarshal([]byte(stdout), &orders); err != nil || code != 1 || len(orders) != 2 || orders[0].What != "users" || orders[1].What != "contacts" || orders[1].State != "braked" || orders[1].Failed != 1 {
		t.Errorf("exit %d, %v in %s", code, err, stdout)
	}
}

func TestTheProgressOfAnOrderIsShownOnATerminal(t *testing.T) {
	now := time.Date(2026, 6, 2, 9, 30, 0, 0, time.UTC)
	var out bytes.Buffer
	s := &syncProgress{app: &app{now: func() time.Time { return now }, zone: time.UTC, live: true}, w: &out}
	for _, c := range []struct {
		after time.Duration
		order api.Order
		line  string
	}{
		{0, api.Order{State: "reading"}, "reading Microsoft 365 ..."},
		{2 * time.Second, api.Order{State: "reading", Total: 100, Done: 40, Failed: 1}, "reading Microsoft 365 ... 40 of 100, 1 failed, about 3 s left"},
		{time.Second, api.Order{State: "planned", Detail: "12 create"}, "planned: 12 create"},
		{time.Second, api.Order{State: "applying", Total: 1000, Done: 200}, "applying ... 200 of 1000"}, // was begun before this was asked
		{10 * time.Second, api.Order{State: "applying", Total: 1000, Done: 210}, "applying ... 210 of 1000, about 13 min left"},
		{10 * time.Second, api.Order{State: "applying", Total: 1000, Done: 600, Failed: 2}, "applying ... 600 of 1000, 2 failed, about 20 s left"},
		{0, api.Order{State: "applying", Total: 1000, Done: 1000, Failed: 2}, "applying ... 1000 of 1000, 2 failed"},
		{0, api.Order{State: "of-a-later-version"}, "of-a-later-version ..."},
	} {
		now = now.Add(c.after)
		before := len([]rune(strings.TrimPrefix(out.String(), "\r")))
		out.Reset()
		if err := s.show(c.order, 0); err != nil {
			t.Fatal(err)
		}
		if got := strings.TrimRight(out.String(), " "); got != "\r"+c.line {
			t.Errorf("%+v: %q, want %q", c.order, got, c.line)
		}
		if len([]rune(strings.TrimPrefix(out.String(), "\r"))) < len([]rune(c.line)) || before > 0 && out.Len() == 0 {
			t.Errorf("%+v: nothing is shown", c.order)
		}
	}
	out.Reset()
	s.end()
	s.end()
	if out.String() != "\n" {
		t.Errorf("the end of the line: %q", &out)
	}
	// What was longer before is wiped.
	out.Reset()
	s.line("long enough")
	s.line("short")
	if got := out.String(); got != "\rlong enough\rshort      " {
		t.Errorf("%q", got)
	}
}

func TestElsewhereOnlyAWaitIsSaid(t *testing.T) {
	var out bytes.Buffer
	s := &syncProgress{app: &app{now: time.Now, zone: time.UTC}, w: &out}
	waiting := api.Order{State: api.OrderWaiting, Detail: "user-sync has not answered yet"}
	for _, since := range []time.Duration{0, time.Second, 3 * time.Second, 4 * time.Second} {
		if err := s.show(waiting, since); err != nil {
			t.Fatal(err)
		}
	}
	if err := s.show(api.Order{State: "applying", Total: 3, Done: 1}, 0); err != nil {
		t.Fatal(err)
	}
	s.end()
	if out.String() != "Waiting: user-sync has not answered yet ...\n" {
		t.Errorf("%q", &out)
	}
}

// A reason that has no words is shown as the word that programs get, so none is to be
// forgotten.
func TestEveryReasonHasWords(t *testing.T) {
	file, err := parser.ParseFile(token.NewFileSet(), "../../../libs/core/directory/reason.go", nil, 0)
	if err != nil {
		t.Fatal(err)
	}
	seen := 0
	ast.Inspect(file, func(n ast.Node) bool {
		spec, ok := n.(*ast.ValueSpec)
		if !ok {
			return true
		}
		for _, v := range spec.Values {
			if literal, ok := v.(*ast.BasicLit); ok && literal.Kind == token.STRING {
				seen++
				if reason := strings.Trim(literal.Value, `"`); reasons[reason] == "" {
					t.Errorf("no words for the reason %s", reason)
				}
			}
		}
		return true
	})
	if seen < 40 {
		t.Errorf("only %d reasons were found", seen)
	}
	if got := reasonWords("users", plan.Change{Op: plan.Update, Reason: "of-a-later-version", Detail: "why"}); got != "of-a-later-version: why" {
		t.Error(got)
	}
}

func TestWhatToDoWithAPlanIsSaid(t *testing.T) {
	for _, c := range []struct {
		name string
		plan api.Plan
		want string
	}{
		{"something to do", api.Plan{State: "planned", Total: 3}, "Do it with `offhook apply p`.\n"},
		{"nothing to do", api.Plan{State: "planned"}, ""},
		{"held back in part", api.Plan{State: "planned", Total: 3, Brake: plan.State{Tripped: true}}, "Do the rest with `offhook apply p`, all of it with `offhook apply p --force`.\n"},
		{"held back", api.Plan{State: "planned", Brake: plan.State{Tripped: true}}, "Do it with `offhook apply p --force`.\n"},
		{"too old", api.Plan{State: "expired", Total: 3}, "It has expired. Make a new plan with `offhook plan users --tenant contoso`.\n"},
		{"being applied", api.Plan{State: "applying", Total: 3}, ""},
		{"applied", api.Plan{State: "braked", Total: 3}, "Make a new plan with `offhook plan users --tenant contoso`.\n"},
	} {
		c.plan.ID, c.plan.Tenant, c.plan.Kind = "p", "contoso", "users"
		if got := (&planTable{plan: c.plan}).next(); got != c.want {
			t.Errorf("%s: %q, want %q", c.name, got, c.want)
		}
	}
	for state, want := range map[plan.State]string{
		{}: "", {Tripped: true, Held: 7, Removed: 9, Linked: 40}: "The brake holds 7 back: with them 9 of 40 would be disabled or deleted within 24 hours, more than\nusers.brake allows.",
		{Forced: true, Removed: 9, Linked: 40}: "The brake is lifted: 9 of 40",
	} {
		if got := (&planTable{plan: api.Plan{Kind: "users", Brake: state}}).brake(); !strings.HasPrefix(got, want) || want == "" && got != "" {
			t.Errorf("%+v: %q", state, got)
		}
	}
}
