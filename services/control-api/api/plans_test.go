package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/plans"
	"offhook.dev/libs/store"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
	controlv1 "offhook.dev/proto/gen/offhook/control/v1"
	"offhook.dev/services/control-api/api"
	"offhook.dev/services/control-api/apitest"
)

const thePlan = "contoso-users-1a2b3c4d5e"

// many makes a plan of so many changes.
func many(id string, n int) plans.Head {
	h := plans.Head{Tenant: "contoso", Kind: wire.SyncUsers, Plan: plan.Plan{ID: id}}
	for i := range n {
		h.Changes = append(h.Changes, plan.Change{Op: plan.Create, Object: apitest.Person("contoso", i).String(), Line: fmt.Sprintf("hq/%d", i), Name: fmt.Sprintf("user%d@contoso.example", i),
			Reason: "new", Fields: []plan.FieldChange{{Name: "first_name", To: fmt.Sprint("User ", i)}}})
	}
	return h
}

func TestAPlanIsServedAsItWasMade(t *testing.T) {
	s := scene(t)
	made := s.Planned(t, apitest.APlan(thePlan))
	code, p := get[api.Plan](t, s.URL+"/api/v1/plans/"+thePlan)
	if code != 200 || p.ID != thePlan || p.Tenant != "contoso" || p.Kind != "users" || p.State != "planned" || p.Total != 4 || !p.Made.Equal(made.Made) || !p.Expires.Equal(made.Expires) ||
		p.Basis["users"] != 15 || p.Brake != (plan.State{Tripped: true, Removed: 5, Linked: 40, Held: 2}) {
		t.Errorf("%d %+v", code, p)
	}
	if got, want := fmt.Sprint(p.Changes), fmt.Sprint(made.Changes); got != want {
		t.Errorf("changes\n%s, want\n%s", got, want)
	}
	code, list := get[[]api.Plan](t, s.URL+"/api/v1/plans?tenant=contoso")
	if code != 200 || len(list) != 1 || list[0].ID != thePlan || list[0].Changes != nil || !list[0].Brake.Tripped {
		t.Errorf("%d %+v", code, list)
	}
	if code, list := get[[]api.Plan](t, s.URL+"/api/v1/plans?tenant=fabrikam"); code != 200 || len(list) != 0 {
		t.Errorf("another tenant's: %d %+v", code, list)
	}
}

func TestPlansAreListedTheNewestFirstWithHowFarTheyAre(t *testing.T) {
	s := scene(t)
	now := s.Bus.Now()
	s.Planned(t, plans.Head{Tenant: "contoso", Kind: wire.SyncUsers, Plan: plan.Plan{ID: "contoso-users-00000000a1"}, Made: now.Add(-2 * time.Hour)})
	s.Planned(t, plans.Head{Tenant: "contoso", Kind: wire.SyncUsers, Plan: plan.Plan{ID: "contoso-users-00000000a2"}, Made: now.Add(-time.Minute), State: wire.SyncApplying, Total: 9, Done: 5, Failed: 1})
	s.PlannedBooks(t, "contoso", "contoso-contacts-00000000a5", plan.Change{Op: plan.Create, Object: "contoso/1/a", Line: "hq/204"})
	s.PlannedBooks(t, "strangers", "strangers-contacts-00000000a6")
	s.Planned(t, plans.Head{Tenant: "fabrikam", Kind: wire.SyncUsers, Plan: plan.Plan{ID: "fabrikam-users-00000000a3"}, Made: now.Add(-time.Hour / 2), State: wire.SyncBraked})
	s.Planned(t, plans.Head{Tenant: "strangers", Kind: wire.SyncUsers, Plan: plan.Plan{ID: "strangers-users-00000000a4"}, Made: now})
	_, list := get[[]api.Plan](t, s.URL+"/api/v1/plans")
	var got []string
	for _, p := range list {
		got = append(got, fmt.Sprintf("%s %s %s %d/%d/%d", p.Tenant, p.Kind, p.State, p.Total, p.Done, p.Failed))
	}
	if want := "[contoso contacts planned 1/0/0 contoso users applying 9/5/1 fabrikam users braked 0/0/0 contoso users expired 0/0/0]"; fmt.Sprint(got) != want {
		t.Errorf("%v, want %s", got, want)
	}
	// A plan without a change is a list without an entry, not one that is left out.
	answer, err := http.Get(s.URL + "/api/v1/plans/contoso-users-00000000a1")
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	if text, err := io.ReadAll(answer.Body); err != nil || !bytes.Contains(text, []byte(`"changes":[]`)) {
		t.Errorf("%s, %v", text, err)
	}
}

func TestAPlanForPhonebooksIsServedAsContactSyncKeepsIt(t *testing.T) {
	s := scene(t)
	const id = "contoso-contacts-1a2b3c4d5e"
	var changes []plan.Change
	for i := range 10_020 {
		changes = append(changes, plan.Change{Op: plan.Create, Object: fmt.Sprintf("%s/contact-%d", apitest.Anna, i), Line: "hq/204", Reason: "new"})
	}
	changes[0] = plan.Change{Op: plan.Delete, Object: apitest.Anna.String() + "/gone", Line: "hq/204", Reason: "gone", Held: true}
	made := s.PlannedBooks(t, "contoso", id, changes...)
	code, p := get[api.Plan](t, s.URL+"/api/v1/plans/"+id)
	if code != 200 || p.Kind != "contacts" || p.State != "planned" || p.Total != 10_019 || p.Unlisted != 20 || len(p.Changes) != 10_000 || p.Brake.Held != 1 || !p.Brake.Tripped || p.Basis["books"] != 7 || !p.Made.Equal(made.Made) {
		t.Errorf("%d, %d changes of %d, %d unlisted, %+v", code, len(p.Changes), p.Total, p.Unlisted, p.Brake)
	}
	for _, c := range []struct {
		query       string
		first, want int
	}{{"?limit=2", 0, 2}, {"?offset=3999&limit=3000", 3999, 3000}, {"?offset=9990", 9990, 10}, {"?offset=10000", 0, 0}} {
		_, p := get[api.Plan](t, s.URL+"/api/v1/plans/"+id+c.query)
		if len(p.Changes) != c.want || c.want > 1 && p.Changes[1].Object != changes[c.first+1].Object {
			t.Errorf("%s: %d changes, want %d", c.query, len(p.Changes), c.want)
		}
	}
	if code, order, problem := post(t, s.URL+"/api/v1/plans/"+id+"/apply", `{}`); code != 200 || order.What != "contacts" || order.Tenant != "contoso" || order.Plan != id {
		t.Errorf("%d %+v %+v", code, order, problem)
	}
}

func TestWhatIsNoPlanIsRefused(t *testing.T) {
	s := scene(t)
	s.Planned(t, apitest.APlan(thePlan))
	s.Planned(t, plans.Head{Tenant: "fabrikam", Kind: wire.SyncUsers, Plan: plan.Plan{ID: "contoso-users-fabrikams0"}})
	for _, c := range []struct {
		name, path string
		code       int
		says       string
	}{
		{"a plan that there is not", "contoso-users-0000000000", 404, api.CodePlanUnknown},
		{"a name that no plan has", "anna", 404, api.CodePlanUnknown},
		{"a name that would be another key", "contoso-users-%2A", 404, api.CodePlanUnknown},
		{"a plan of a tenant that is not configured", "nowhere-users-1a2b3c4d5e", 404, api.CodeTenantUnknown},
		{"a plan that says it is another tenant's", "contoso-users-fabrikams0", 404, api.CodePlanUnknown},
		{"part of a plan from where it cannot begin", thePlan + "?offset=-1", 400, api.CodeRequest},
		{"a number of changes that is none", thePlan + "?limit=many", 400, api.CodeRequest},
		{"a parameter that there is not", thePlan + "?from=1", 400, api.CodeRequest},
	} {
		if code, problem := get[api.Problem](t, s.URL+"/api/v1/plans/"+c.path); code != c.code || problem.Code != c.says || problem.Fix == "" {
			t.Errorf("%s: %d %+v", c.name, code, problem)
		}
	}
}

func TestALargePlanCanBeReadInParts(t *testing.T) {
	s := scene(t)
	const n = 1234 // not a whole number of values
	s.Planned(t, many(thePlan, n))
	for _, c := range []struct {
		query       string
		first, want int
	}{
		{"", 0, n}, {"?limit=0", 0, 0}, {"?limit=1", 0, 1}, {"?limit=500", 0, 500}, {"?offset=499&limit=2", 499, 2}, {"?offset=1000", 1000, 234},
		{"?offset=1233&limit=10", 1233, 1}, {"?offset=1234", 0, 0}, {"?offset=2000000000", 0, 0}, {"?limit=2000000000", 0, n},
	} {
		code, p := get[api.Plan](t, s.URL+"/api/v1/plans/"+thePlan+c.query)
		if code != 200 || p.Total != n || len(p.Changes) != c.want || c.want > 0 && (p.Changes[0].Line != fmt.Sprintf("hq/%d", c.first) || p.Changes[c.want-1].Line != fmt.Sprintf("hq/%d", c.first+c.want-1)) {
			t.Errorf("%q: %d, %d changes", c.query, code, len(p.Changes))
		}
	}
}

// A plan is sent while it is read, so that the service needs no room for the whole. Who
// gets only a part can tell.
func TestAPlanThatBreaksOffIsNotTakenForAWholeOne(t *testing.T) {
	s := scene(t)
	s.Planned(t, many(thePlan, 1100))
	bucket, err := store.Open(t.Context(), s.Bus.JetStream(), topology.Plans)
	if err != nil {
		t.Fatal(err)
	}
	forget := func(part string) {
		e, err := bucket.Get(t.Context(), topology.Join(thePlan, part))
		if err == nil {
			err = bucket.Delete(t.Context(), e.Key, e.Revision)
		}
		if err != nil {
			t.Fatal(err)
		}
	}
	forget("2")
	answer, err := http.Get(s.URL + "/api/v1/plans/" + thePlan)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	text, err := io.ReadAll(answer.Body)
	if answer.StatusCode != 200 || err == nil || !bytes.Contains(text, []byte(`"hq/999"`)) || json.Valid(text) {
		t.Errorf("%s with %d bytes that are whole: %v, %v", answer.Status, len(text), json.Valid(text), err)
	}
	forget("0") // nothing is sent yet: it can still be said
	if code, problem := get[api.Problem](t, s.URL+"/api/v1/plans/"+thePlan); code != 503 || problem.Code != api.CodeBroker {
		t.Errorf("%d %+v", code, problem)
	}
	client := controlv1.NewControlServiceClient(dial(t, s))
	stream, err := client.GetPlan(t.Context(), &controlv1.GetPlanRequest{Id: thePlan, Offset: 500})
	for err == nil {
		_, err = stream.Recv()
	}
	if status.Code(err) != codes.Unavailable {
		t.Errorf("over gRPC: %v", err)
	}
}

func TestPlansOverGRPC(t *testing.T) {
	s := scene(t)
	s.Planned(t, apitest.APlan(thePlan))
	large := s.Planned(t, many("contoso-users-00000large", 1100))
	client := controlv1.NewControlServiceClient(dial(t, s))
	list, err := client.ListPlans(t.Context(), &controlv1.ListPlansRequest{Tenant: "contoso"})
	if err != nil || len(list.Plans) != 2 || list.Plans[1].Id != thePlan || !list.Plans[1].Brake.Tripped || list.Plans[1].Brake.Held != 2 || list.Plans[1].Basis["users"] != 15 {
		t.Errorf("%v, %v", list, err)
	}
	read := func(r *controlv1.GetPlanRequest) (head *controlv1.Plan, changes []*controlv1.PlannedChange, messages int, err error) {
		stream, err := client.GetPlan(t.Context(), r)
		for err == nil {
			var m *controlv1.GetPlanResponse
			if m, err = stream.Recv(); err != nil {
				break
			}
			if m.Plan != nil {
				head = m.Plan
			}
			changes = append(changes, m.Changes...)
			messages++
		}
		if err == io.EOF {
			err = nil
		}
		return head, changes, messages, err
	}
	head, changes, messages, err := read(&controlv1.GetPlanRequest{Id: large.ID})
	if err != nil || head.GetTotal() != 1100 || len(changes) != 1100 || messages != 4 || changes[1099].Line != "hq/1099" || changes[0].Fields[0].To != "User 0" {
		t.Errorf("%v, %d changes in %d messages, %v", head, len(changes), messages, err)
	}
	two := uint32(2)
	head, changes, _, err = read(&controlv1.GetPlanRequest{Id: large.ID, Offset: 499, Limit: &two})
	if err != nil || head == nil || len(changes) != 2 || changes[0].Line != "hq/499" {
		t.Errorf("%v %v, %v", head, changes, err)
	}
	if _, _, _, err := read(&controlv1.GetPlanRequest{Id: "contoso-users-0000000000"}); status.Code(err) != codes.NotFound {
		t.Errorf("%v", err)
	}
	if _, err := client.ListPlans(t.Context(), &controlv1.ListPlansRequest{Tenant: "nowhere"}); status.Code(err) != codes.NotFound {
		t.Errorf("%v", err)
	}
}
