package api_test

import (
	"encoding/json"
	"io"
	"slices"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"offhook.dev/libs/books"
	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/plans"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
	controlv1 "offhook.dev/proto/gen/offhook/control/v1"
	"offhook.dev/services/control-api/api"
	"offhook.dev/services/control-api/apitest"
)

func TestAPlanThatIsAppliedSaysWhatCameOfEachChange(t *testing.T) {
	s := scene(t)
	at := s.Bus.Now().UTC().Truncate(time.Millisecond)
	head := func(id string, state wire.SyncState) plans.Head {
		h := many(id, 6)
		h.State = state
		h.Changes[4].Op, h.Changes[4].Held = plan.Disable, true
		h.Changes[5].Tried = &plan.Attempt{At: at.Add(-time.Hour), Result: "full"}
		h.Changes[5].Remarks = []plan.Remark{{Field: "mobile", Reason: "not-a-number"}}
		return h
	}
	applied, other := head(thePlan, wire.SyncApplying), head("contoso-users-00000other", wire.SyncPlanned)
	s.Planned(t, applied)
	s.Planned(t, other)
	said := func(n int, of string, result wire.ChangeResult, detail string) wire.ExtensionOutcome {
		return wire.ExtensionOutcome{ID: "w", Person: apitest.Person("contoso", n), Line: identity.Line{System: "hq", Extension: identity.Extension(rune('0' + n))}, Op: wire.OpCreate, Result: result, Detail: detail, Plan: of, At: at}
	}
	somebody := said(3, thePlan, wire.ChangeDone, "")
	somebody.Person = apitest.Person("contoso", 9)
	s.Publish(t, said(0, thePlan, wire.ChangeDone, ""), said(1, thePlan, wire.ChangeDone, ""), said(1, thePlan, wire.ChangeRefused, "not with this name"),
		said(2, thePlan, wire.ChangeRefused, ""), said(2, "", wire.ChangeDone, ""), somebody, said(4, thePlan, wire.ChangeDone, ""))
	_, p := get[api.Plan](t, s.URL+"/api/v1/plans/"+thePlan)
	want := []*plan.Attempt{{At: at, Result: "done"}, {At: at, Result: "refused", Detail: "not with this name"}, nil, nil, nil, nil}
	for i, c := range p.Changes {
		if is := c.Result; (is == nil) != (want[i] == nil) || is != nil && *is != *want[i] {
			t.Errorf("%d: %+v, want %+v", i, is, want[i])
		}
	}
	if len(p.Changes) != 6 || p.Changes[5].Tried == nil || p.Changes[5].Tried.Result != "full" || !slices.Equal(p.Changes[5].Remarks, []plan.Remark{{Field: "mobile", Reason: "not-a-number"}}) {
		t.Fatalf("%+v", p.Changes)
	}
	client := controlv1.NewControlServiceClient(dial(t, s))
	stream, err := client.GetPlan(t.Context(), &controlv1.GetPlanRequest{Id: thePlan})
	var changes []*controlv1.PlannedChange
	for err == nil {
		var m *controlv1.GetPlanResponse
		if m, err = stream.Recv(); err == nil {
			changes = append(changes, m.Changes...)
		}
	}
	if err != io.EOF || len(changes) != 6 || changes[1].Result.GetResult() != "refused" || !changes[1].Result.GetAt().AsTime().Equal(at) || changes[2].Result != nil ||
		changes[5].Tried.GetResult() != "full" || changes[5].Remarks[0].GetReason() != "not-a-number" {
		t.Errorf("over gRPC: %v, %v", err, changes)
	}
	// A plan that was not applied has no results, whatever is said.
	_, p = get[api.Plan](t, s.URL+"/api/v1/plans/"+other.ID)
	s.Publish(t, said(0, other.ID, wire.ChangeDone, ""))
	if slices.ContainsFunc(p.Changes, func(c plan.Change) bool { return c.Result != nil }) {
		t.Errorf("%+v", p.Changes)
	}
}

func TestHowPhonebooksStandIsServed(t *testing.T) {
	s := scene(t)
	state := books.State{Tenant: "contoso", At: s.Bus.Now().UTC().Truncate(time.Second), Mailboxes: 2, Books: 3, Counts: books.Counts{Entries: 70, Held: 4}, Unread: 1,
		Standings: map[string]int{books.Synced: 2, "mailbox cannot be read": 1},
		Attention: []books.Standing{{Mailbox: apitest.Anna.User, Book: directory.Book{System: "hq", Owner: "204"}, Why: "mailbox cannot be read", Detail: "denied: what the phonebook has stays", Counts: books.Counts{Entries: 60}}}}
	bucket, err := store.Open(t.Context(), s.Bus.JetStream(), topology.BookPlans)
	if err != nil {
		t.Fatal(err)
	}
	for _, tenant := range []identity.Tenant{"contoso", "fabrikam", "strangers"} { // fabrikam has its contacts in none
		kept := state
		kept.Tenant = tenant
		value, err := json.Marshal(kept)
		if err == nil {
			_, err = bucket.Put(t.Context(), books.StateKey(tenant), value)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	for _, query := range []string{"", "?tenant=contoso"} {
		code, all := get[[]books.State](t, s.URL+"/api/v1/phonebooks"+query)
		if code != 200 || len(all) != 1 || all[0].Tenant != "contoso" || !all[0].At.Equal(state.At) || all[0].Entries != 70 || all[0].Held != 4 || all[0].Standings["mailbox cannot be read"] != 1 ||
			len(all[0].Attention) != 1 || all[0].Attention[0] != state.Attention[0] {
			t.Errorf("%q: %d %+v", query, code, all)
		}
	}
	if code, all := get[[]books.State](t, s.URL+"/api/v1/phonebooks?tenant=fabrikam"); code != 200 || len(all) != 0 {
		t.Errorf("%d %+v", code, all)
	}
	if code, problem := get[api.Problem](t, s.URL+"/api/v1/phonebooks?tenant=nowhere"); code != 404 || problem.Code != api.CodeTenantUnknown {
		t.Errorf("%d %+v", code, problem)
	}
	client := controlv1.NewControlServiceClient(dial(t, s))
	list, err := client.ListPhonebooks(t.Context(), &controlv1.ListPhonebooksRequest{})
	if err != nil || len(list.Tenants) != 1 || list.Tenants[0].Counts.Held != 4 || list.Tenants[0].Standings[books.Synced] != 2 || list.Tenants[0].Attention[0].Extension != "204" ||
		list.Tenants[0].Attention[0].Counts.Entries != 60 {
		t.Errorf("%v, %v", list, err)
	}
	if _, err := client.ListPhonebooks(t.Context(), &controlv1.ListPhonebooksRequest{Tenant: "nowhere"}); status.Code(err) != codes.NotFound {
		t.Errorf("%v", err)
	}
}
