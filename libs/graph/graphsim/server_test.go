package graphsim_test

import (
	"context"
	"net"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/graph/graphsim"
)

func TestCloseEndsWhatIsUnderWay(t *testing.T) {
	s := start(t, nil)
	r := listen(t, s.Authority())
	s.subscribe(s.userToken("anna"), presenceSub(r.URL, s.contoso().UserIDs()...))
	done := make(chan struct{})
	t.Cleanup(func() { close(done) })
	r.set(func(r *receiver) { r.answer = func(string) int { <-done; return http.StatusAccepted } })
	_, err := s.contoso().Storm(t.Context(), graphsim.Storm{Changes: 30})
	check(t, err)
	r.wait(1)
	began := time.Now()
	check(t, s.Close())
	if took := time.Since(began); took > 2*time.Second { // the receiver's allowance is 3 s
		t.Errorf("took %s", took)
	}
	at := s.contoso().Ledger().Total
	if at.Pending != 30 || at.Accepted != 0 {
		t.Errorf("ledger %+v", at)
	}
	checkLaw(t, s.contoso())
	check(t, s.contoso().SetPresence("anna", "Busy", "after the end"))
	if l := s.contoso().Ledger().Total; l.Attempts != at.Attempts {
		t.Errorf("an attempt after Close: %+v", l)
	}
	u, err := url.Parse(s.GraphURL())
	check(t, err)
	if c, err := net.Dial("tcp", u.Host); err == nil {
		c.Close()
		t.Error("the port is still open")
	}
}

func TestTheEndOfTheContextIsTheEnd(t *testing.T) {
	ctx, cancel := context.WithCancel(t.Context())
	s, err := graphsim.Start(ctx, graphsim.Config{Tenants: []graphsim.TenantConfig{{DirectoryID: contoso, Domain: "contoso.example", Users: 1}}})
	check(t, err)
	u, err := url.Parse(s.LoginURL())
	check(t, err)
	cancel()
	eventually(t, "the port is closed", func() bool {
		c, err := net.Dial("tcp", u.Host)
		if err == nil {
			c.Close()
		}
		return err != nil
	})
	check(t, s.Close())
}

func TestListeningEverywhereStillHasAName(t *testing.T) {
	s := start(t, func(c *graphsim.Config) { c.Listen = "0.0.0.0:0" })
	if !strings.HasPrefix(s.LoginURL(), "https://localhost:") {
		t.Errorf("login at %s", s.LoginURL())
	}
	s.appToken(contoso)
}

func TestAnAccountOfNobodyIsAProblem(t *testing.T) {
	_, err := graphsim.Start(t.Context(), graphsim.Config{Tenants: []graphsim.TenantConfig{{DirectoryID: contoso, Domain: "contoso.example",
		Users: 1, Apps: []graphsim.App{{ClientID: appID}}, Accounts: []graphsim.Account{{User: "zoe"}}}}})
	if err == nil || !strings.Contains(err.Error(), `"zoe"`) {
		t.Errorf("got %v", err)
	}
}

func TestAHandshakeOnRenewal(t *testing.T) {
	s := start(t, func(c *graphsim.Config) { c.Tenants[0].Switches.HandshakeOnRenewal = true })
	r := listen(t, s.Authority())
	token := s.userToken("anna")
	path := "/subscriptions/" + s.subscribe(token, presenceSub(r.URL, s.id("ben")))
	r.set(func(r *receiver) {
		r.echo = func(w http.ResponseWriter, _ string) { w.WriteHeader(http.StatusNotFound) }
	})
	if got := s.graph("PATCH", path, token, map[string]any{"expirationDateTime": time.Now().Add(50 * time.Minute)}); got.code() != "ValidationError" {
		t.Errorf("got %d %s", got.status, got.code())
	}
}
