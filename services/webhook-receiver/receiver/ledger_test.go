package receiver

import (
	"bytes"
	"crypto/tls"
	"encoding/base64"
	"encoding/json"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/secret"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/topology"
)

const users = 25

// tenant is a simulated Microsoft 365 with one rich presence subscription.
type tenant struct {
	*graphsim.Tenant
	server *graphsim.Server
	client *http.Client
}

func (s *stage) simulate(delivery graphsim.Delivery, scale float64) *tenant {
	s.t.Helper()
	server, err := graphsim.Start(s.t.Context(), graphsim.Config{Seed: 1, Delivery: delivery, TimeScale: scale, Tenants: []graphsim.TenantConfig{{
		DirectoryID: directory, Domain: "contoso.example", Users: users, Apps: []graphsim.App{{ClientID: app, PublicClient: true}},
		Accounts: []graphsim.Account{{User: "anna", RefreshToken: secret.NewValue("first")}},
	}}})
	must(s.t, err)
	s.t.Cleanup(func() { _ = server.Close() })
	return &tenant{server.Tenant("contoso"), server, &http.Client{Transport: &http.Transport{
		TLSClientConfig: &tls.Config{RootCAs: server.Authority().Pool(), MinVersion: tls.VersionTLS12}}}}
}

// subscribe creates the subscription that l's record stands for.
func (g *tenant) subscribe(t testing.TB, s *stage, l lane, address string) {
	t.Helper()
	resp, err := g.client.PostForm(g.server.LoginURL()+"/"+directory+"/oauth2/v2.0/token", url.Values{"grant_type": {"refresh_token"},
		"client_id": {app}, "refresh_token": {"first"}, "scope": {g.server.GraphURL() + "/.default"}})
	must(t, err)
	var token struct {
		Access string `json:"access_token"`
	}
	read(t, resp, http.StatusOK, &token)
	c := s.certificate()
	x509, err := c.X509()
	must(t, err)
	endpoint := "https://" + address + "/graph/" + l.key
	request, err := json.Marshal(map[string]any{"changeType": "updated", "clientState": l.state,
		"notificationUrl": endpoint + "/notifications", "lifecycleNotificationUrl": endpoint + "/lifecycle",
		"resource":           "/communications/presences?$filter=id in ('" + strings.Join(g.UserIDs(), "','") + "')",
		"expirationDateTime": time.Now().Add(58 * time.Minute).UTC().Format(time.RFC3339), "includeResourceData": true,
		"encryptionCertificate": base64.StdEncoding.EncodeToString(x509.Raw), "encryptionCertificateId": c.ID})
	must(t, err)
	req, err := http.NewRequestWithContext(t.Context(), http.MethodPost, g.server.GraphURL()+"/v1.0/subscriptions", bytes.NewReader(request))
	must(t, err)
	req.Header.Set("Authorization", "Bearer "+token.Access)
	req.Header.Set("Content-Type", "application/json")
	resp, err = g.client.Do(req)
	must(t, err)
	read(t, resp, http.StatusCreated, &struct{}{})
}

func read(t testing.TB, resp *http.Response, status int, into any) {
	t.Helper()
	defer resp.Body.Close()
	text, err := io.ReadAll(resp.Body)
	must(t, err)
	if resp.StatusCode != status {
		t.Fatalf("%s: %d %s", resp.Request.URL.Path, resp.StatusCode, text)
	}
	must(t, json.Unmarshal(text, into))
}

// The books of both sides are laid side by side: every item that the simulator
// posted is counted by the door exactly once, and every accepted one is found again
// behind the queue, while the stream is full for a part of the time.
func TestTheLedgerBalancesToTheUnit(t *testing.T) {
	for _, batch := range []int{1, 20} {
		t.Run(fmt.Sprintf("%d in a POST", batch), func(t *testing.T) {
			t.Parallel()
			s := newStage(t)
			g := s.simulate(graphsim.Delivery{Batch: batch, Backoff: 2 * time.Second}, 20)
			o := s.options("vault")
			o.Logins = map[identity.Tenant]Login{contoso: {URL: g.server.LoginURL(), Roots: g.server.Authority().Pool()}}
			at := s.runWith(o, g.server.Authority())
			l := s.subscribe(func(rec *subscription.Record) { rec.ID = "" }) // as long as the create call lasts
			g.subscribe(t, s, l, at.address)
			l.record.ID = g.Subscriptions()[0].ID
			_, err := s.bucket(topology.Subscriptions).Put(t.Context(), subscription.KeyOf(l.key), l.record.Encode())
			must(t, err)
			if n := counted(t, at.telemetry, "offhook_handshakes_total", echoed); n != 2 {
				t.Errorf("%d handshakes", n)
			}
			_, err = g.Fault(graphsim.Fault{Kind: graphsim.FaultDouble, Probability: 0.2})
			must(t, err)
			storm := func(seed uint64) {
				_, err := g.Storm(t.Context(), graphsim.Storm{Changes: 150, Rate: 300, Seed: seed})
				must(t, err)
			}
			storm(1)
			full := s.resize(1)
			storm(2)
			s.resize(full)
			storm(3)
			bustest.Eventually(t, 30*time.Second, func() string {
				if l := g.Ledger().Total; l.Pending > 0 {
					return fmt.Sprintf("%+v", l)
				}
				return ""
			})
			tally := g.Ledger().Total
			t.Logf("%+v", tally)
			door := func(result string) int {
				return counted(t, at.telemetry, "offhook_notifications_total", result)
			}
			if tally.Due != 450 || tally.Accepted != tally.Due+tally.Doubled || tally.GivenUp+tally.Lost+tally.Dropped+tally.Other != 0 {
				t.Errorf("the simulator did not deliver everything: %+v", tally)
			}
			if tally.Accepted != door(stored) || tally.Refused != door(refused) || tally.Attempts != door(stored)+door(refused) {
				t.Errorf("accepted %d, stored %d; refused %d, counted %d; attempts %d", tally.Accepted, door(stored), tally.Refused, door(refused), tally.Attempts)
			}
			if door(refused) == 0 {
				t.Error("nothing was refused: the full stream was not met")
			}
			s.settled(t, at, tally.Accepted)
		})
	}
}

// settled waits until what was stored is opened and balances the books behind the
// queue: each accepted item became a fact or a hint, or was overtaken by one.
func (s *stage) settled(t *testing.T, at *running, accepted int) {
	t.Helper()
	items := func(result string) int {
		return counted(t, at.telemetry, "offhook_notification_items_total", result)
	}
	bustest.Eventually(t, 20*time.Second, func() string {
		sum := items("fact") + items("overtaken") + items("late")
		if sum < accepted || s.held(topology.Ingress) > 0 {
			return fmt.Sprintf("%d of %d opened", sum, accepted)
		}
		return ""
	})
	if sum := items("fact") + items("overtaken") + items("late"); sum != accepted {
		t.Errorf("%d opened of %d accepted", sum, accepted)
	}
	for _, result := range []string{"forged", "undecryptable", "foreign-tenant", "not-presence", "basic", "forgotten-subscription"} {
		if n := items(result); n != 0 {
			t.Errorf("%d %s", n, result)
		}
	}
}

// resize bounds the ingress stream and returns the bound before.
func (s *stage) resize(bytes int64) int64 {
	s.t.Helper()
	js, err := s.bus.JetStream().Stream(s.t.Context(), string(topology.Ingress))
	must(s.t, err)
	config := js.CachedInfo().Config
	before := config.MaxBytes
	config.MaxBytes = bytes
	_, err = s.bus.JetStream().UpdateStream(s.t.Context(), config)
	must(s.t, err)
	return before
}
