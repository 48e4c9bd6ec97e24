package cli

import (
	"context"
	"encoding/json"
	"io"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/logtest"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
	"offhook.dev/services/control-api/api"
	"offhook.dev/services/control-api/apitest"
)

// carriesOut carries out orders as graph-poller does, but for Microsoft: it publishes these
// outcomes of each, one after the other.
func carriesOut(t *testing.T, s *apitest.Stage, outcomes ...wire.AccountOutcome) {
	t.Helper()
	ctx, stop := context.WithCancel(t.Context())
	ended := make(chan error, 1)
	go func() {
		ended <- s.Bus.Consume(ctx, bus.Consumer{Stream: topology.Orders, Durable: "poller", Filters: []string{"order.account.contoso.*"}, Workers: 1}, func(ctx context.Context, m bus.Message) error {
			order, err := wire.DecodeAccountOrder(m.Data)
			if err != nil {
				return err
			}
			for _, o := range outcomes {
				o.ID, o.Tenant, o.Kind, o.At = order.ID, order.Tenant, order.Kind, s.Bus.Now()
				if o.Account == "" {
					o.Account = order.Account
				}
				subject, data := o.Encode()
				if _, err := s.Bus.Publish(ctx, bus.Message{Subject: subject, Data: data}); err != nil {
					return err
				}
			}
			return nil
		})
	}()
	t.Cleanup(func() {
		stop()
		if err := <-ended; err != nil && fault.KindOf(err) != fault.Cancelled {
			t.Error(err)
		}
	})
}

func TestHowOrdersAboutAccountsEnd(t *testing.T) {
	code := wire.AccountOutcome{State: wire.OrderCode, UserCode: "ABCD1234E", URL: "https://login.example/device", CodeExpires: time.Now().Add(time.Hour)}
	for _, c := range []struct {
		name, line string
		outcomes   []wire.AccountOutcome
		code       int
		out, errs  string
	}{
		{"a person signs in", "authorize --tenant contoso", []wire.AccountOutcome{{State: wire.OrderAuthorised, Account: "zoe@contoso.example", Detail: "a new account"}}, 0,
			"zoe@contoso.example is authorised: a new account", ""},
		{"a person says no", "authorize --tenant contoso", []wire.AccountOutcome{{State: wire.OrderRefused, Detail: "login refused: authorization_declined"}}, 1,
			"", "OH-ORDER-REFUSED the sign-in was refused: login refused: authorization_declined"},
		{"nobody comes", "authorize --tenant contoso", []wire.AccountOutcome{{State: wire.OrderExpired, Detail: "nobody signed in before the code ended"}}, 1, "", "OH-ORDER-EXPIRED"},
		{"graph-poller dies", "authorize --tenant contoso", []wire.AccountOutcome{{State: wire.OrderInterrupted, Detail: "graph-poller ended"}}, 1, "", "OH-ORDER-INTERRUPTED"},
		{"the login host is away", "authorize --tenant contoso", []wire.AccountOutcome{{State: wire.OrderFailed, Detail: "login: no route"}}, 1, "", "OH-ORDER-FAILED authorize failed: login: no route"},
		{"an account is given up", "deauthorize --tenant contoso zoe@contoso.example", []wire.AccountOutcome{{State: wire.OrderRemoved, Detail: "its token is gone"}}, 0,
			"zoe@contoso.example is given up: its token is gone", ""},
		{"one of the configuration", "deauthorize --tenant contoso anna", []wire.AccountOutcome{{State: wire.OrderFailed, Detail: "stands in the configuration"}}, 1,
			"", "deauthorize failed: stands in the configuration"},
		{"no such tenant", "authorize --tenant nowhere", nil, 1, "", "OH-API-TENANT-UNKNOWN"},
		{"no tenant", "authorize", nil, 2, "", "--tenant"},
		{"a tenant without lanes", "authorize --tenant fabrikam", nil, 1, "", "OH-API-NO-LANES"},
	} {
		t.Run(c.name, func(t *testing.T) {
			home(t)
			stage := apitest.Start(t, nil)
			carriesOut(t, stage, c.outcomes...)
			stdout, stderr, code := command(t, "offhook "+c.line+" --api "+stage.URL)
			if code != c.code || !strings.Contains(stdout, c.out) || !strings.Contains(stderr, c.errs) || code != 0 && !strings.Contains(stderr, "fix:") {
				t.Errorf("exit %d\n%s%s", code, stdout, stderr)
			}
		})
	}
	t.Run("the code is shown before it ends, and a script gets JSON", func(t *testing.T) {
		home(t)
		stage := apitest.Start(t, nil)
		carriesOut(t, stage, code)
		said, out := &logtest.Log{}, &logtest.Log{}
		ended := make(chan int, 1)
		go func() {
			ended <- (&app{now: time.Now, zone: time.UTC}).run(t.Context(), words("offhook authorize --tenant contoso -o json --api "+stage.URL), out, said)
		}()
		bustest.Eventually(t, 20*time.Second, func() string {
			if text := said.String(); !strings.Contains(text, "https://login.example/device") || !strings.Contains(text, "ABCD1234E") {
				return "nothing to enter is shown: " + text
			}
			return ""
		})
		select {
		case code := <-ended:
			t.Fatalf("it ended with %d before anybody signed in", code)
		default:
		}
		var id string
		if err := stage.Bus.Each(t.Context(), topology.Outcomes, "outcome.account.contoso.*", func(m bus.Message) error {
			o, err := wire.DecodeAccountOutcome(m.Data)
			id = o.ID
			return err
		}); err != nil {
			t.Fatal(err)
		}
		stage.Publish(t, wire.AccountOutcome{ID: id, Tenant: "contoso", Kind: wire.Authorize, State: wire.OrderAuthorised, Account: "zoe@contoso.example"})
		if code := <-ended; code != 0 {
			t.Fatalf("exit %d: %s", code, said)
		}
		var order api.Order
		if err := json.Unmarshal([]byte(out.String()), &order); err != nil || order.State != "authorised" || order.Account != "zoe@contoso.example" || !order.Ended || order.UserCode != "" {
			t.Errorf("%v in %s", err, out)
		}
	})
}

func TestAnOrderIsWaitedForWhileTheControlAPIIsAway(t *testing.T) {
	a := &app{now: time.Now, zone: time.UTC}
	now := time.Now()
	a.now = func() time.Time { now = now.Add(25 * time.Second); return now }
	_, err := a.awaitOrder(t.Context(), io.Discard, client{base: "http://127.0.0.1:1", who: "the control API", fix: "x"}, "/", api.Order{State: "code"})
	if err == nil || !strings.Contains(err.Error(), "OH-CLI-UNREACHABLE") {
		t.Errorf("%v, want to hear in the end that nobody answers", err)
	}
}
