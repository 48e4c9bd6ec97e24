package api_test

import (
	"bytes"
	"encoding/json"
	"fmt"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/core/plan"
	"offhook.dev/libs/plans"
	"offhook.dev/libs/wire"
	controlv1 "offhook.dev/proto/gen/offhook/control/v1"
	"offhook.dev/services/control-api/api"
	"offhook.dev/services/control-api/apitest"
)

// post asks for something and returns the status, and the order or the problem.
func post(t *testing.T, url, body string) (int, api.Order, api.Problem) {
	t.Helper()
	answer, err := http.Post(url, "application/json", strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	var data bytes.Buffer
	if _, err := data.ReadFrom(answer.Body); err != nil {
		t.Fatal(err)
	}
	var order api.Order
	var problem api.Problem
	var into any = &order
	if answer.StatusCode != http.StatusOK {
		into = &problem
	}
	if err := json.Unmarshal(data.Bytes(), into); err != nil {
		t.Fatalf("%v in %s", err, &data)
	}
	return answer.StatusCode, order, problem
}

// ended asks how far an order is until it has ended.
func ended(t *testing.T, s *apitest.Stage, id string) (order api.Order) {
	t.Helper()
	bustest.Eventually(t, 20*time.Second, func() string {
		if _, order = get[api.Order](t, s.URL+ordersPath+"contoso/"+id); !order.Ended {
			return fmt.Sprintf("not ended: %+v", order)
		}
		return ""
	})
	return order
}

// orderLog collects orders.
type orderLog struct {
	mu  sync.Mutex
	all []string // "read users my-order-1.read"
}

func (c *orderLog) note(o wire.SyncOrder) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.all = append(c.all, strings.TrimSpace(fmt.Sprintf("%s %s %s %s", o.Op, o.Kind, o.ID, o.Plan)))
}

func (c *orderLog) String() string {
	c.mu.Lock()
	defer c.mu.Unlock()
	return strings.Join(c.all, "; ")
}

func TestAPlanIsOrderedOnceAndItsOrderSaysWhichCameOfIt(t *testing.T) {
	s := scene(t)
	const body = `{"tenant":"contoso","kind":"users","id":"my-order-1"}`
	for range 3 { // a request that is repeated, after its answer was lost
		code, order, problem := post(t, s.URL+"/api/v1/plans", body)
		if code != 200 || order.State != api.OrderWaiting || order.Ended || order.ID != "my-order-1" || order.Kind != "plan" || order.What != "users" || !strings.Contains(order.Detail, "user-sync") {
			t.Fatalf("%d %+v %+v", code, order, problem)
		}
	}
	if n := queued(t, s); n != 1 {
		t.Errorf("%d orders wait", n)
	}
	for _, other := range []string{`{"tenant":"contoso","kind":"contacts","id":"my-order-1"}`} {
		if code, _, problem := post(t, s.URL+"/api/v1/plans", other); code != 409 || problem.Code != api.CodeOrder {
			t.Errorf("the same id for something else: %d %+v", code, problem)
		}
	}
	if code, _, problem := post(t, s.URL+"/api/v1/sync", body); code != 409 || problem.Code != api.CodeOrder {
		t.Errorf("the same id for something else: %d %+v", code, problem)
	}
	if code, _, problem := putOrder(t, s.URL+ordersPath+"contoso/my-order-1", `{"kind":"authorize"}`); code != 409 || problem.Code != api.CodeOrder {
		t.Errorf("the same id for something else: %d %+v", code, problem)
	}
	s.Synchronises(t, func(o wire.SyncOrder) []wire.SyncOutcome {
		if left := o.Expires.Sub(o.AskedAt); o.Op != wire.SyncPlan || o.ID != "my-order-1" || left <= 0 {
			t.Errorf("the order %+v", o)
		}
		return []wire.SyncOutcome{{State: wire.SyncPlanned, Plan: thePlan, Total: 4, Detail: "1 create"}}
	})
	if order := ended(t, s, "my-order-1"); order.State != "planned" || order.Plan != thePlan || order.Total != 4 || order.Detail != "1 create" {
		t.Errorf("%+v", order)
	}
	noneWait(t, s) // the order is acknowledged after its outcome
	if code, order, _ := post(t, s.URL+"/api/v1/plans", body); code != 200 || order.State != "planned" || !order.Ended {
		t.Errorf("asked again after its end: %d %+v", code, order)
	}
	// It leaves the queue when it has been answered, which is a moment later.
	bustest.Eventually(t, 10*time.Second, func() string {
		if n := queued(t, s); n != 0 {
			return fmt.Sprintf("%d orders wait", n)
		}
		return ""
	})
}

func TestAPlanIsAppliedAndSaysHowFarItIs(t *testing.T) {
	s := scene(t)
	s.Planned(t, apitest.APlan(thePlan))
	goOn := make(chan struct{})
	var orders orderLog
	s.Synchronises(t, func(o wire.SyncOrder) []wire.SyncOutcome {
		orders.note(o)
		if !o.Force {
			return []wire.SyncOutcome{{State: wire.SyncApplying, Plan: o.Plan, Total: 4, Done: 1}}
		}
		<-goOn
		return []wire.SyncOutcome{{State: wire.SyncDone, Plan: o.Plan, Total: 6, Done: 6, Failed: 1}}
	})
	if code, order, problem := post(t, s.URL+"/api/v1/plans/"+thePlan+"/apply", `{"id":"my-order-1"}`); code != 200 || order.Kind != "apply" || order.Plan != thePlan || order.What != "users" {
		t.Fatalf("%d %+v %+v", code, order, problem)
	}
	bustest.Eventually(t, 20*time.Second, func() string {
		if _, order := get[api.Order](t, s.URL+ordersPath+"contoso/my-order-1"); order.State != "applying" || order.Total != 4 || order.Done != 1 || order.Ended {
			return fmt.Sprintf("%+v", order)
		}
		return ""
	})
	post(t, s.URL+"/api/v1/plans/"+thePlan+"/apply", `{"force":true,"id":"my-order-2"}`)
	close(goOn)
	if order := ended(t, s, "my-order-2"); order.State != "done" || order.Total != 6 || order.Done != 6 || order.Failed != 1 {
		t.Errorf("%+v", order)
	}
	if want := "apply users my-order-1 " + thePlan + "; apply users my-order-2 " + thePlan; orders.String() != want {
		t.Errorf("ordered %s, want %s", &orders, want)
	}
}

func TestToSynchroniseIsToReadFirst(t *testing.T) {
	s := scene(t)
	var orders orderLog
	read := make(chan struct{})
	s.Synchronises(t, func(o wire.SyncOrder) []wire.SyncOutcome {
		orders.note(o)
		if o.Op == wire.SyncRead {
			<-read
			return []wire.SyncOutcome{{State: wire.SyncReading, Total: 10, Done: 3}, {State: wire.SyncDone, Total: 10, Done: 10}}
		}
		return []wire.SyncOutcome{{State: wire.SyncPlanned, Plan: thePlan, Total: 2}, {State: wire.SyncApplying, Plan: thePlan, Total: 2}, {State: wire.SyncDone, Plan: thePlan, Total: 2, Done: 2}}
	})
	const body = `{"tenant":"contoso","kind":"contacts","id":"my-order-1"}`
	if code, order, problem := post(t, s.URL+"/api/v1/sync", body); code != 200 || order.State != api.OrderWaiting || order.ID != "my-order-1" || order.Kind != "sync" || order.What != "contacts" || !strings.Contains(order.Detail, "graph-poller") {
		t.Fatalf("%d %+v %+v", code, order, problem)
	}
	if code, order, problem := post(t, s.URL+"/api/v1/sync", body); code != 200 || order.ID != "my-order-1" {
		t.Fatalf("repeated: %d %+v %+v", code, order, problem)
	}
	close(read)
	if order := ended(t, s, "my-order-1"); order.State != "done" || order.Plan != thePlan || order.Total != 2 || order.Done != 2 {
		t.Errorf("%+v", order)
	}
	if want := "read contacts my-order-1.read; sync contacts my-order-1"; orders.String() != want {
		t.Errorf("ordered %s, want %s", &orders, want)
	}
}

// What was read while this service was away is synchronised when it comes back, once.
func TestWhoAsksToSynchroniseNeedNotStay(t *testing.T) {
	var orders orderLog
	s := apitest.Start(t, func(s *apitest.Stage) {
		apitest.Scene(t, s)
		now := s.Bus.Now()
		reading := wire.SyncOutcome{Tenant: "contoso", Kind: wire.SyncUsers, Op: wire.SyncRead, State: wire.SyncDone, At: now}
		fresh, old, failed, others, done := reading, reading, reading, reading, reading
		fresh.ID = "fresh-order.read"
		old.ID, old.At = "old-order-1.read", now.Add(-time.Hour)
		failed.ID, failed.State = "failed-order.read", wire.SyncFailed
		others.ID = "somebody-elses" // who asks only to read
		done.ID = "done-order.read"
		s.Publish(t, fresh, old, failed, others, done,
			wire.SyncOutcome{ID: "done-order", Tenant: "contoso", Kind: wire.SyncUsers, Op: wire.SyncNow, State: wire.SyncDone, Plan: thePlan, At: now})
	})
	s.Synchronises(t, func(o wire.SyncOrder) []wire.SyncOutcome {
		orders.note(o)
		return []wire.SyncOutcome{{State: wire.SyncDone}}
	})
	if order := ended(t, s, "fresh-order"); order.State != "done" {
		t.Errorf("%+v", order)
	}
	if order := ended(t, s, "failed-order"); order.State != "failed" || !strings.Contains(order.Detail, "could not be read") {
		t.Errorf("%+v", order)
	}
	if order := ended(t, s, "old-order-1"); order.State != "interrupted" {
		t.Errorf("%+v", order)
	}
	post(t, s.URL+"/api/v1/plans", `{"tenant":"contoso","kind":"users","id":"the-last-one"}`) // comes after what came before
	ended(t, s, "the-last-one")
	if want := "sync users fresh-order; plan users the-last-one"; orders.String() != want {
		t.Errorf("ordered %s, want %s", &orders, want)
	}
}

func TestWhatCannotBeSynchronisedIsRefused(t *testing.T) {
	s := scene(t)
	now := s.Bus.Now()
	s.Planned(t, apitest.APlan(thePlan))
	for id, state := range map[string]wire.SyncState{"contoso-users-0000expired": wire.SyncPlanned, "contoso-users-0000000done": wire.SyncDone, "contoso-users-00000braked": wire.SyncBraked} {
		s.Planned(t, plans.Head{Tenant: "contoso", Kind: wire.SyncUsers, State: state, Made: now.Add(-2 * time.Hour), Plan: plan.Plan{ID: id}})
	}
	for _, c := range []struct {
		name, path, body string
		code             int
		says             string
	}{
		{"no tenant, of several", "plans", `{"kind":"users"}`, 400, api.CodeTenantMissing},
		{"a tenant that is not configured", "plans", `{"kind":"users","tenant":"nowhere"}`, 404, api.CodeTenantUnknown},
		{"a tenant that can be none", "plans", `{"kind":"users","tenant":"a b"}`, 400, api.CodeRequest},
		{"a kind that there is not", "plans", `{"kind":"cats","tenant":"contoso"}`, 400, api.CodeOrder},
		{"no kind", "sync", `{"tenant":"contoso"}`, 400, api.CodeOrder},
		{"contacts of a tenant that has them in no phonebook", "sync", `{"kind":"contacts","tenant":"fabrikam"}`, 409, api.CodeNoContacts},
		{"the same as a plan", "plans", `{"kind":"contacts","tenant":"fabrikam"}`, 409, api.CodeNoContacts},
		{"an id that could be guessed", "sync", `{"kind":"users","tenant":"contoso","id":"1"}`, 400, api.CodeOrder},
		{"the id of another's reading", "plans", `{"kind":"users","tenant":"contoso","id":"my-order-1.read"}`, 400, api.CodeOrder},
		{"a word that is unknown", "sync", `{"kind":"users","tenant":"contoso","force":true}`, 400, api.CodeBody},
		{"no JSON", "sync", `kind=users`, 400, api.CodeBody},
		{"a plan that there is not", "plans/contoso-users-0000000000/apply", `{}`, 404, api.CodePlanUnknown},
		{"a plan that expired", "plans/contoso-users-0000expired/apply", `{}`, 409, api.CodePlanOver},
		{"a plan that was applied", "plans/contoso-users-0000000done/apply", `{}`, 409, api.CodePlanOver},
		{"a plan that was applied as far as the brake let it", "plans/contoso-users-00000braked/apply", `{"force":true}`, 409, api.CodePlanOver},
		{"an order without an id that is one", "plans/" + thePlan + "/apply", `{"id":"?"}`, 400, api.CodeOrder},
	} {
		if code, _, problem := post(t, s.URL+"/api/v1/"+c.path, c.body); code != c.code || problem.Code != c.says || problem.Fix == "" {
			t.Errorf("%s: %d %+v", c.name, code, problem)
		}
	}
	if n := queued(t, s); n != 0 {
		t.Errorf("%d orders wait", n)
	}
	// A page of another origin is refused, whatever it asks for.
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.URL+"/api/v1/plans/"+thePlan+"/apply", strings.NewReader(`{"force":true}`))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	r.Header.Set("Sec-Fetch-Site", "cross-site")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	answer.Body.Close()
	if answer.StatusCode != http.StatusForbidden {
		t.Errorf("a foreign page: %s", answer.Status)
	}
}

func TestPlansAreOrderedOverGRPC(t *testing.T) {
	s := scene(t)
	s.Planned(t, apitest.APlan(thePlan))
	client := controlv1.NewControlServiceClient(dial(t, s))
	made, err := client.CreatePlan(t.Context(), &controlv1.CreatePlanRequest{Tenant: "contoso", Kind: "users", Id: "over-grpc-1"})
	if err != nil || made.Order.State != api.OrderWaiting || made.Order.Kind != "plan" || made.Order.What != "users" {
		t.Errorf("%v, %v", made, err)
	}
	applied, err := client.ApplyPlan(t.Context(), &controlv1.ApplyPlanRequest{Plan: thePlan, Force: true})
	if err != nil || applied.Order.Kind != "apply" || applied.Order.Plan != thePlan || applied.Order.Id == "" {
		t.Errorf("%v, %v", applied, err)
	}
	synced, err := client.Sync(t.Context(), &controlv1.SyncRequest{Tenant: "contoso", Kind: "contacts"})
	if err != nil || synced.Order.Kind != "sync" || synced.Order.Id == applied.Order.Id {
		t.Errorf("%v, %v", synced, err)
	}
	s.Publish(t, wire.SyncOutcome{ID: "over-grpc-1", Tenant: "contoso", Kind: wire.SyncUsers, Op: wire.SyncPlan, State: wire.SyncPlanned, Plan: thePlan, Total: 4, Done: 3, Failed: 2})
	is, err := client.GetOrder(t.Context(), &controlv1.GetOrderRequest{Tenant: "contoso", Id: "over-grpc-1"})
	if o := is.GetOrder(); err != nil || o.Plan != thePlan || o.Total != 4 || o.Done != 3 || o.Failed != 2 || !o.Ended {
		t.Errorf("%v, %v", is, err)
	}
	_, missing := client.CreatePlan(t.Context(), &controlv1.CreatePlanRequest{Kind: "users"})
	_, unknown := client.ApplyPlan(t.Context(), &controlv1.ApplyPlanRequest{Plan: "contoso-users-0000000000"})
	_, off := client.Sync(t.Context(), &controlv1.SyncRequest{Tenant: "fabrikam", Kind: "contacts"})
	for want, err := range map[codes.Code]error{codes.InvalidArgument: missing, codes.NotFound: unknown, codes.FailedPrecondition: off} {
		if status.Code(err) != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
