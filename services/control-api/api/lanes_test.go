package api_test

import (
	"context"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"strings"
	"testing"
	"time"

	"google.golang.org/grpc/codes"
	"google.golang.org/grpc/status"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
	controlv1 "offhook.dev/proto/gen/offhook/control/v1"
	"offhook.dev/services/control-api/api"
	"offhook.dev/services/control-api/apitest"
)

const ordersPath = "/api/v1/orders/tenants/"

// putOrder asks for something and returns the status, and the order or the problem.
func putOrder(t *testing.T, url, body string) (int, api.Order, api.Problem) {
	t.Helper()
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPut, url, strings.NewReader(body))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/json")
	answer, err := http.DefaultClient.Do(r)
	if err != nil {
		t.Fatal(err)
	}
	defer answer.Body.Close()
	data, err := io.ReadAll(answer.Body)
	if err != nil {
		t.Fatal(err)
	}
	var order api.Order
	var problem api.Problem
	var into any = &order
	if answer.StatusCode != http.StatusOK {
		into = &problem
	}
	if err := json.Unmarshal(data, into); err != nil {
		t.Fatalf("%v in %s", err, data)
	}
	return answer.StatusCode, order, problem
}

// queued counts the orders that wait.
func queued(t *testing.T, s *apitest.Stage) uint64 {
	t.Helper()
	stream, err := s.Bus.JetStream().Stream(t.Context(), string(topology.Orders))
	if err != nil {
		t.Fatal(err)
	}
	return stream.CachedInfo().State.Msgs
}

// noneWait waits until all orders are carried out.
func noneWait(t *testing.T, s *apitest.Stage) {
	t.Helper()
	bustest.Eventually(t, 20*time.Second, func() string {
		if n := queued(t, s); n != 0 {
			return fmt.Sprintf("%d orders wait", n)
		}
		return ""
	})
}

func TestAnOrderIsGivenOnceAndSaysHowFarItIs(t *testing.T) {
	s := scene(t)
	url := s.URL + ordersPath + "contoso/my-order-1"
	if code, problem := get[api.Problem](t, url); code != 404 || problem.Code != api.CodeOrderUnknown {
		t.Errorf("before it is given: %d %+v", code, problem)
	}
	for range 3 { // a request that is repeated, after its answer was lost
		code, order, problem := putOrder(t, url, `{"kind":"authorize"}`)
		if code != 200 || order.State != api.OrderWaiting || order.Ended || order.ID != "my-order-1" || order.Kind != "authorize" {
			t.Fatalf("%d %+v %+v", code, order, problem)
		}
	}
	if n := queued(t, s); n != 1 {
		t.Errorf("%d orders wait", n)
	}
	if code, _, problem := putOrder(t, url, `{"kind":"deauthorize","account":"zoe"}`); code != 409 || problem.Code != api.CodeOrder {
		t.Errorf("the same id for something else: %d %+v", code, problem)
	}
	// graph-poller takes it, shows a code, and tells the end.
	taken := make(chan wire.AccountOrder, 1)
	ctx, stop := context.WithCancel(t.Context())
	consumed := make(chan error, 1)
	go func() {
		consumed <- s.Bus.Consume(ctx, bus.Consumer{Stream: topology.Orders, Durable: "test", Filters: []string{"order.account.contoso.*"}}, func(_ context.Context, m bus.Message) error {
			order, err := wire.DecodeAccountOrder(m.Data)
			s.Publish(t, wire.AccountOutcome{ID: order.ID, Tenant: order.Tenant, Kind: order.Kind, State: wire.OrderCode, UserCode: "ABCD", URL: "https://login.example",
				CodeExpires: s.Bus.Now().Add(15 * time.Minute), At: s.Bus.Now()})
			taken <- order
			return err
		})
	}()
	order := <-taken
	if left := order.Expires.Sub(order.AskedAt); order.ID != "my-order-1" || order.Tenant != "contoso" || left <= 0 {
		t.Errorf("the order %+v", order)
	}
	if code, is := get[api.Order](t, url); code != 200 || is.State != "code" || is.UserCode != "ABCD" || is.URL != "https://login.example" || is.CodeExpires == nil || is.Ended {
		t.Errorf("%d %+v", code, is)
	}
	noneWait(t, s) // the order is acknowledged after its outcome
	stop()
	if err := <-consumed; err != nil {
		t.Error(err)
	}
	s.Publish(t, wire.AccountOutcome{ID: order.ID, Tenant: order.Tenant, Kind: order.Kind, State: wire.OrderAuthorised, Account: "zoe@contoso.example", At: s.Bus.Now()})
	if code, is, _ := putOrder(t, url, `{"kind":"authorize"}`); code != 200 || is.State != "authorised" || !is.Ended || is.Account != "zoe@contoso.example" || is.UserCode != "" {
		t.Errorf("asked again after its end: %d %+v", code, is)
	}
	if n := queued(t, s); n != 0 {
		t.Errorf("%d orders wait after it was asked for again", n)
	}
}

func TestWhatCannotBeOrderedIsRefused(t *testing.T) {
	s := scene(t)
	for _, c := range []struct {
		name, path, body string
		code             int
		says             string
	}{
		{"a tenant that is not configured", "nowhere/my-order-1", `{"kind":"authorize"}`, 404, api.CodeTenantUnknown},
		{"a tenant that can have no lanes", "fabrikam/my-order-1", `{"kind":"authorize"}`, 409, api.CodeNoLanes},
		{"an id that could be guessed", "contoso/1", `{"kind":"authorize"}`, 400, api.CodeOrder},
		{"an id that would be another subject", "contoso/my.order.%2A", `{"kind":"authorize"}`, 400, api.CodeOrder},
		{"something that nobody does", "contoso/my-order-1", `{"kind":"dance"}`, 400, api.CodeOrder},
		{"nothing", "contoso/my-order-1", `{}`, 400, api.CodeOrder},
		{"a farewell to nobody", "contoso/my-order-1", `{"kind":"deauthorize"}`, 400, api.CodeOrder},
		{"a sign-in for somebody else", "contoso/my-order-1", `{"kind":"authorize","account":"zoe"}`, 400, api.CodeOrder},
		{"a word that is unknown", "contoso/my-order-1", `{"kind":"authorize","password":"x"}`, 400, api.CodeBody},
	} {
		if code, _, problem := putOrder(t, s.URL+ordersPath+c.path, c.body); code != c.code || problem.Code != c.says || problem.Fix == "" {
			t.Errorf("%s: %d %+v", c.name, code, problem)
		}
	}
	if n := queued(t, s); n != 0 {
		t.Errorf("%d orders wait", n)
	}
}

func TestLanesAreListedWithWhatIsWrong(t *testing.T) {
	s := scene(t)
	code, list := get[[]api.Lane](t, s.URL+"/api/v1/lanes")
	if code != 200 || len(list) != 2 || list[0].Account != "anna" || list[1].Account != "zoe@contoso.example" {
		t.Fatalf("%d %+v", code, list)
	}
	if l := list[0]; l.From != "configuration" || l.State != "failing" || !strings.Contains(l.Detail, "sign in again") || l.HeardAt != nil || l.Since == nil {
		t.Errorf("%+v", l)
	}
	if l := list[1]; l.From != "authorised" || l.State != "listening" || l.Users != 2 || l.Silences != 1 || l.HeardAt == nil || l.Expires == nil || l.User == "" {
		t.Errorf("%+v", l)
	}
	if code, list := get[[]api.Lane](t, s.URL+"/api/v1/lanes?tenant=fabrikam"); code != 200 || len(list) != 0 {
		t.Errorf("another tenant's: %d %+v", code, list)
	}
	s.Publish(t, wire.Lane{Tenant: "contoso", Account: "anna", Gone: true}, wire.Lane{Tenant: "strangers", Account: "x", State: wire.LaneListening})
	bustest.Eventually(t, 10*time.Second, func() string {
		if _, list := get[[]api.Lane](t, s.URL+"/api/v1/lanes"); len(list) != 1 || list[0].Account != "zoe@contoso.example" {
			return "a lane that is gone, or of a tenant that is not configured, is listed"
		}
		return ""
	})
}

func TestOrdersAndLanesOverGRPC(t *testing.T) {
	s := scene(t)
	client := controlv1.NewControlServiceClient(dial(t, s))
	lanes, err := client.ListLanes(t.Context(), &controlv1.ListLanesRequest{Tenant: "contoso"})
	if err != nil || len(lanes.Lanes) != 2 || lanes.Lanes[1].Account != "zoe@contoso.example" || lanes.Lanes[1].Users != 2 || lanes.Lanes[1].HeardAt == nil {
		t.Errorf("%v, %v", lanes, err)
	}
	put, err := client.PutOrder(t.Context(), &controlv1.PutOrderRequest{Tenant: "contoso", Id: "over-grpc", Kind: "deauthorize", Account: "zoe@contoso.example"})
	if err != nil || put.Order.State != api.OrderWaiting || put.Order.Account != "zoe@contoso.example" {
		t.Errorf("%v, %v", put, err)
	}
	is, err := client.GetOrder(t.Context(), &controlv1.GetOrderRequest{Tenant: "contoso", Id: "over-grpc"})
	if err != nil || is.Order.Id != "over-grpc" || is.Order.Ended {
		t.Errorf("%v, %v", is, err)
	}
	for want, err := range map[codes.Code]error{
		codes.NotFound: func() error {
			_, err := client.GetOrder(t.Context(), &controlv1.GetOrderRequest{Tenant: "contoso", Id: "nobodys-order"})
			return err
		}(),
		codes.InvalidArgument: func() error {
			_, err := client.PutOrder(t.Context(), &controlv1.PutOrderRequest{Tenant: "contoso", Id: "over-grpc-2", Kind: "dance"})
			return err
		}(),
		codes.FailedPrecondition: func() error {
			_, err := client.PutOrder(t.Context(), &controlv1.PutOrderRequest{Tenant: "fabrikam", Id: "over-grpc-2", Kind: "authorize"})
			return err
		}(),
	} {
		if status.Code(err) != want {
			t.Errorf("%v, want %s", err, want)
		}
	}
}
