package poller

import (
	"crypto/tls"
	"encoding/json"
	"log/slog"
	"net/http"
	"net/url"
	"os"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/logtest"
	"offhook.dev/libs/secret"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// Pain 3: an account with a second factor. The person signs in on a page of Microsoft's,
// with whatever is asked there.
func TestAPersonSignsAnAccountInAndItHearsOfPresences(t *testing.T) {
	s := newStage(t, 4, hurried)
	s.run(s.signingIn(3))
	id := s.order(wire.AccountOrder{Kind: wire.Authorize})
	code := s.comes(id, wire.OrderCode)
	if code.UserCode == "" || !strings.HasPrefix(code.URL, "https://") || !code.CodeExpires.After(time.Now()) {
		t.Errorf("%+v", code)
	}
	must(t, s.tenant().ApproveDevice(code.UserCode, "ben"))
	end := s.comes(id, wire.OrderAuthorised)
	if end.Account != "ben@contoso.example" || end.UserCode != "" || end.URL != "" {
		t.Errorf("%+v", end)
	}
	is, record := s.only("")
	if is.Users != 3 || record.Account != end.Account || !slices.Equal(s.heldBy(), []string{"ben@contoso.example"}) {
		t.Errorf("%+v, %+v, held by %v", is, record, s.heldBy())
	}
	lane := s.does(end.Account, wire.LaneListening)
	if lane.User != s.id("ben") || lane.Configured || lane.Users != 3 || lane.Expires.IsZero() || lane.Since.IsZero() || lane.Detail != "" {
		t.Errorf("%+v", lane)
	}
	s.eventually("no gauge of the lane", func() bool {
		return s.metric("offhook_lane_size", end.Account) == 3 && s.metric("offhook_lane_failing", end.Account) == 0 && s.metric("offhook_subscription_expiry_seconds", end.Account) > 0
	})
}

func TestASecondSignInOfAnAccountRenewsIt(t *testing.T) {
	t.Parallel()
	s := newStage(t, 4, shortLived)
	s.run(s.signingIn(2))
	name := s.authorise("ben")
	first, _ := s.only("")
	before := s.accounts()[name]
	if again := s.authorise("ben"); again != name {
		t.Errorf("%s became %s", name, again)
	}
	if all := s.accounts(); len(all) != 1 || !all[name].SignedIn.After(before.SignedIn) {
		t.Errorf("%d accounts, signed in at %v after %v", len(all), all[name].SignedIn, before.SignedIn)
	}
	// It goes on with the new token when the access token ends.
	s.eventually("the new token is not used", func() bool {
		now := s.accounts()[name]
		return s.lane(name).State == wire.LaneListening && len(now.Sealed) > 0 && s.renewedSince(name, now.SignedIn)
	})
	if now, _ := s.only(""); now.ID != first.ID {
		t.Error("the subscription was made anew although it is the same account's")
	}
}

// renewedSince says whether the stored token is another one than the sign-in gave.
func (s *stage) renewedSince(name string, signIn time.Time) bool {
	e, err := s.bucket(topology.Accounts).Get(s.t.Context(), subscription.LaneKey(contoso, name))
	must(s.t, err)
	return e.Created.After(signIn.Add(100 * time.Millisecond))
}

func TestASignInThatComesToNothingSaysWhy(t *testing.T) {
	s := newStage(t, 3, func(c *graphsim.Config) { c.TimeScale = 300 }) // a code ends after three seconds
	s.run(s.signingIn(1))
	declined := s.order(wire.AccountOrder{Kind: wire.Authorize})
	must(t, s.tenant().DeclineDevice(s.comes(declined, wire.OrderCode).UserCode))
	if o := s.comes(declined, wire.OrderRefused); !strings.Contains(o.Detail, "authorization_declined") || o.UserCode != "" {
		t.Errorf("declined: %+v", o)
	}
	nobody := s.order(wire.AccountOrder{Kind: wire.Authorize})
	s.comes(nobody, wire.OrderCode)
	if o := s.comes(nobody, wire.OrderExpired); !strings.Contains(o.Detail, "start again") {
		t.Errorf("nobody came: %+v", o)
	}
	late := s.order(wire.AccountOrder{Kind: wire.Authorize, Expires: time.Now().Add(-time.Second)})
	s.comes(late, wire.OrderExpired)
	_, err := s.tenant().Fault(graphsim.Fault{Kind: graphsim.FaultStatus, Path: "/oauth2/", Status: http.StatusServiceUnavailable, Count: 1})
	must(t, err)
	away := s.order(wire.AccountOrder{Kind: wire.Authorize})
	if o := s.comes(away, wire.OrderFailed); o.Detail == "" {
		t.Errorf("the login host is away: %+v", o)
	}
	s.comes(s.order(wire.AccountOrder{Kind: "dance"}), wire.OrderFailed)
	if n := len(s.accounts()); n != 0 {
		t.Errorf("%d accounts came of it", n)
	}
	// None of it is in the way of the next.
	s.does(s.authorise("ben"), wire.LaneListening)
}

// The code with which Entra is asked is a secret of the process that began.
func TestASignInThatItsServiceDoesNotSurviveIsEnded(t *testing.T) {
	s := newStage(t, 3, func(c *graphsim.Config) { c.TimeScale = 10 })
	conf := s.signingIn(1)
	stop := s.run(conf)
	stopped := s.order(wire.AccountOrder{Kind: wire.Authorize})
	code := s.comes(stopped, wire.OrderCode)
	stop()
	if o := s.comes(stopped, wire.OrderInterrupted); o.UserCode != "" || o.Detail == "" {
		t.Errorf("%+v", o)
	}
	// One that was killed has no last words: the next holder of the lease finds its code.
	subject, data := wire.AccountOutcome{ID: "killed-order", Tenant: contoso, Kind: wire.Authorize, State: wire.OrderCode, UserCode: "ABCD", At: s.bus.Now()}.Encode()
	_, err := s.bus.Publish(t.Context(), bus.Message{Subject: subject, Data: data})
	must(t, err)
	other := wire.AccountOutcome{ID: "ended-order", Tenant: contoso, Kind: wire.Authorize, State: wire.OrderRefused, At: s.bus.Now()}
	subject, data = other.Encode()
	_, err = s.bus.Publish(t.Context(), bus.Message{Subject: subject, Data: data})
	must(t, err)
	s.run(conf)
	s.comes("killed-order", wire.OrderInterrupted)
	s.comes("ended-order", wire.OrderRefused)
	// What the person entered in vain does nothing, and starting again does.
	must(t, s.tenant().ApproveDevice(code.UserCode, "ben"))
	if name := s.authorise("ben"); name != "ben@contoso.example" {
		t.Error(name)
	}
}

func TestAnOrderThatComesAgainIsCarriedOutOnce(t *testing.T) {
	s := newStage(t, 3, func(c *graphsim.Config) { c.TimeScale = 10 })
	s.run(s.signingIn(1))
	id := s.order(wire.AccountOrder{ID: "twice-order", Kind: wire.Authorize})
	code := s.comes(id, wire.OrderCode)
	// The same without the id by which the broker knows a repetition.
	subject, data := wire.AccountOrder{ID: id, Tenant: contoso, Kind: wire.Authorize, Expires: time.Now().Add(time.Minute)}.Encode()
	_, err := s.bus.Publish(t.Context(), bus.Message{Subject: subject, Data: data})
	must(t, err)
	next := s.order(wire.AccountOrder{Kind: wire.Authorize}) // behind it
	s.comes(next, wire.OrderCode)
	s.eventually("the orders are still there", func() bool {
		stream, err := s.bus.JetStream().Stream(t.Context(), string(topology.Orders))
		return err == nil && stream.CachedInfo().State.Msgs == 0
	})
	if n := len(s.tenant().Devices()); n != 2 || s.comes(id, wire.OrderCode).UserCode != code.UserCode {
		t.Errorf("%d sign-ins for two orders", n)
	}
}

// Pains 1 and 3: several accounts, each with a lane; one that is given up leaves its
// users to the others.
func TestAnAccountThatIsGivenUpLeavesItsUsersToTheOthers(t *testing.T) {
	s := newStage(t, 5, hurried)
	s.run(s.signingIn(3))
	ben := s.authorise("ben")
	s.does(ben, wire.LaneListening)
	first, _ := s.only("")
	clara := s.authorise("clara")
	s.does(clara, wire.LaneIdle) // nobody is moved without need
	if now, _ := s.only(""); now.ID != first.ID {
		t.Error("the lane that there was is another one")
	}
	id := s.order(wire.AccountOrder{Kind: wire.Deauthorize, Account: strings.ToUpper(ben)})
	if o := s.comes(id, wire.OrderRemoved); o.Account != ben || o.Detail == "" {
		t.Errorf("%+v", o)
	}
	is, record := s.only(first.ID)
	if is.Users != 3 || record.Account != clara {
		t.Errorf("%+v, %+v", is, record)
	}
	if all := s.accounts(); len(all) != 1 || all[clara].User != s.id("clara") {
		t.Errorf("accounts: %v", all)
	}
	if !s.lane(ben).Gone {
		t.Error("its lane is still told of")
	}
	s.eventually("its consumer is left", func() bool {
		_, err := s.bus.JetStream().Consumer(t.Context(), string(topology.Hints), topology.Token("graph-poller-contoso-subscription-"+ben))
		return err != nil
	})
	// Nobody who is not there can be given up, and it is said who there is.
	if o := s.comes(s.order(wire.AccountOrder{Kind: wire.Deauthorize, Account: ben}), wire.OrderFailed); !strings.Contains(o.Detail, clara) {
		t.Errorf("%+v", o)
	}
	// And coming back is a new sign-in.
	s.does(s.authorise("ben"), wire.LaneIdle)
}

func TestAnAccountIsGivenUpAlsoWhereMicrosoftDoesNotHelp(t *testing.T) {
	t.Parallel()
	s := newStage(t, 4, shortLived)
	s.run(s.signingIn(2))
	name := s.authorise("ben")
	s.does(name, wire.LaneListening)
	must(t, s.tenant().RevokeAccount("ben"))
	s.mustSignIn(name)
	o := s.comes(s.order(wire.AccountOrder{Kind: wire.Deauthorize, Account: string(s.id("ben"))}), wire.OrderRemoved)
	if !strings.Contains(o.Detail, "ends by itself") {
		t.Errorf("%+v", o)
	}
	if n := len(s.records()); n != 0 {
		t.Errorf("%d records are left: what Graph still tells would be believed", n)
	}
}

func TestAccountsOfTheConfigurationAreOnTheListAndCannotBeGivenUp(t *testing.T) {
	t.Parallel()
	s := newStage(t, 4, shortLived)
	conf := s.signingIn(2)
	file := s.vault + ".token"
	must(t, os.WriteFile(file, []byte("first contoso"), 0o600))
	conf.Accounts = []Account{{Name: "listener", Store: graph.RefreshFile(file)}}
	stop := s.run(conf)
	if lane := s.does("listener", wire.LaneListening); !lane.Configured || lane.User != s.id("anna") {
		t.Errorf("%+v", lane)
	}
	o := s.comes(s.order(wire.AccountOrder{Kind: wire.Deauthorize, Account: "Listener"}), wire.OrderFailed)
	if !strings.Contains(o.Detail, "configuration") || !strings.Contains(o.Detail, "microsoft365.accounts") {
		t.Errorf("%+v", o)
	}
	// Its token dies, and the account signs in by code: it is the same lane, not a second
	// one that would fight with it over the one subscription that an account has.
	must(t, s.tenant().RevokeAccount("anna"))
	s.mustSignIn("listener")
	if name := s.authorise("anna"); name != "listener" {
		t.Errorf("it became a second account, %s", name)
	}
	s.does("listener", wire.LaneListening)
	s.only("")
	// Taken out of the configuration, it is gone with all that was kept of it.
	stop()
	conf.Accounts = nil
	s.run(conf)
	s.eventually("it is still there", func() bool { return s.lane("listener").Gone && len(s.accounts()) == 0 && len(s.records()) == 0 })
}

func TestTwoAccountsOfOnePersonDoNotFight(t *testing.T) {
	s := newStage(t, 3, nil)
	for i, account := range []string{"again", "anna"} { // somebody is on each
		value, err := json.Marshal(subscription.Lane{Users: s.users()[i : i+1]})
		must(t, err)
		_, err = s.bucket(topology.Lanes).Put(t.Context(), subscription.LaneKey(contoso, account), value)
		must(t, err)
	}
	s.keep(2, func(c *TenantConfig) {
		c.Keep.Verify = 20 * time.Millisecond
		c.Accounts = append(c.Accounts, Account{Name: "again", Client: c.Accounts[0].Client})
	})
	s.eventually("none of the two gives way", func() bool {
		lane := s.lane("anna")
		return lane.State == wire.LaneFailing && strings.Contains(lane.Detail, "the same person's as again")
	})
	s.does("again", wire.LaneListening)
	is, _ := s.only("")
	for range 20 { // looks of both
		<-time.After(20 * time.Millisecond)
		if now, _ := s.only(""); now.ID != is.ID {
			t.Fatal("they make each other's subscription anew")
		}
	}
}

// Pain 3: if its link breaks, that is shown, nothing else stops, and it recovers by
// itself once the person has signed in.
func TestALaneWhoseTokenIsRevokedIsShownAndRecoversAfterASignIn(t *testing.T) {
	for name, kill := range map[string]func(*graphsim.Tenant) error{
		"a password was changed":       func(t *graphsim.Tenant) error { return t.RevokeAccount("ben") },
		"a second factor is asked for": func(t *graphsim.Tenant) error { return t.RequireMFA("ben") },
	} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			s := newStage(t, 4, shortLived)
			conf := s.signingIn(2)
			conf.Sweep = 50 * time.Millisecond
			s.run(conf)
			account := s.authorise("ben")
			s.does(account, wire.LaneListening)
			must(t, kill(s.tenant()))
			s.mustSignIn(account)
			s.eventually("no gauge says so", func() bool { return s.metric("offhook_lane_failing", account) == 1 })
			s.set(s.users()[0], "Busy", "InACall")
			s.eventually("the sweep does not go on", func() bool { return s.wrong(contoso, s.users()[:2]) == "" })
			s.authorise("ben")
			if lane := s.does(account, wire.LaneListening); lane.Detail != "" || lane.Users != 2 {
				t.Errorf("%+v", lane)
			}
			s.eventually("the gauge still says so", func() bool { return s.metric("offhook_lane_failing", account) == 0 })
		})
	}
}

func TestRefreshTokensAreReplacedWithEveryUseAndSurviveARestart(t *testing.T) {
	t.Parallel()
	s := newStage(t, 4, shortLived)
	conf := s.signingIn(2)
	stop := s.run(conf)
	name := s.authorise("ben")
	s.does(name, wire.LaneListening)
	seen := map[string]bool{s.token(name): true}
	s.eventually("the token is not replaced", func() bool { seen[s.token(name)] = true; return len(seen) > 2 })
	stop()
	for range 2 {
		stop := s.run(conf)
		before := s.token(name)
		s.eventually("the token of before the restart is of no use", func() bool { return s.token(name) != before && s.lane(name).State == wire.LaneListening })
		stop()
	}
}

// Entra gives a new refresh token with every use. The simulator ends the old one at
// once: a process that dies before it has stored the new one has none that works.
func TestATokenThatWasUsedAndNotStoredNeedsASignIn(t *testing.T) {
	s := newStage(t, 4, hurried)
	conf := s.signingIn(2)
	stop := s.run(conf)
	name := s.authorise("ben")
	s.does(name, wire.LaneListening)
	stop()
	form := url.Values{"client_id": {app}, "grant_type": {"refresh_token"}, "refresh_token": {s.token(name)}, "scope": {"Presence.Read.All offline_access"}}
	client := &http.Client{Transport: &http.Transport{TLSClientConfig: &tls.Config{RootCAs: s.graph.Authority().Pool(), MinVersion: tls.VersionTLS12}}}
	answer, err := client.PostForm(s.graph.LoginURL()+"/"+directories[contoso]+"/oauth2/v2.0/token", form)
	must(t, err)
	if answer.Body.Close(); answer.StatusCode != http.StatusOK {
		t.Fatalf("used: %s", answer.Status)
	}
	s.run(conf)
	s.mustSignIn(name)
	s.authorise("ben")
	s.does(name, wire.LaneListening)
}

func TestAVaultKeyThatIsLostIsSaidAndMendedByASignIn(t *testing.T) {
	s := newStage(t, 4, hurried)
	conf := s.signingIn(2)
	stop := s.run(conf)
	name := s.authorise("ben")
	s.does(name, wire.LaneListening)
	stop()
	must(t, os.Remove(s.vault))
	s.run(conf)
	if lane := s.does(name, wire.LaneFailing); !strings.Contains(lane.Detail, "vault.key") {
		t.Errorf("%+v", lane)
	}
	s.authorise("ben")
	s.does(name, wire.LaneListening)
}

// A sign-in while the old token is still in use: what the old one is replaced by must
// not displace the new one.
func TestATokenOfAnEarlierSignInDisplacesNoneOfALaterOne(t *testing.T) {
	s := newStage(t, 3, nil)
	p := &Poller{vaultFile: s.vault, bus: s.bus, accounts: s.bucket(topology.Accounts)}
	own := &tenant{p: p, conf: TenantConfig{ID: contoso}, log: slog.New(slog.DiscardHandler)}
	put := func(token string, at time.Time) {
		sealed, err := p.seal([]byte(token))
		must(t, err)
		_, err = p.accounts.Put(t.Context(), subscription.LaneKey(contoso, "ben"), signedIn{Sealed: sealed, SignedIn: at}.encode())
		must(t, err)
	}
	load := func(k *keptToken) string {
		token, err := k.Load(t.Context())
		must(t, err)
		return token.Reveal()
	}
	first := time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)
	put("first", first)
	old, fresh := &keptToken{t: own, name: "ben"}, &keptToken{t: own, name: "ben"}
	if got := load(old); got != "first" {
		t.Fatal(got)
	}
	must(t, old.Save(t.Context(), secret.NewValue("first's next")))
	put("second", first.Add(time.Hour))
	must(t, old.Save(t.Context(), secret.NewValue("first's last")))
	if got := load(fresh); got != "second" {
		t.Errorf("the bucket has %q", got)
	}
	must(t, p.accounts.Delete(t.Context(), subscription.LaneKey(contoso, "ben"), must1(p.accounts.Get(t.Context(), subscription.LaneKey(contoso, "ben"))).Revision))
	must(t, fresh.Save(t.Context(), secret.NewValue("nobody's")))
	if _, err := p.accounts.Get(t.Context(), subscription.LaneKey(contoso, "ben")); fault.KindOf(err) != fault.NotFound {
		t.Error("an account that was given up came back with its token")
	}
	if _, err := fresh.Load(t.Context()); err == nil {
		t.Error("a token of nobody")
	}
}

func must1[T any](v T, err error) T {
	if err != nil {
		panic(err)
	}
	return v
}

func TestNoRefreshTokenIsOnTheBusOrInALog(t *testing.T) {
	t.Parallel()
	s := newStage(t, 4, shortLived)
	log := &logtest.Log{}
	s.log = slog.New(slog.NewTextHandler(log, &slog.HandlerOptions{Level: slog.LevelDebug}))
	s.run(s.signingIn(2))
	name := s.authorise("ben")
	s.does(name, wire.LaneListening)
	tokens := map[string]bool{s.token(name): true}
	s.eventually("the token is not replaced", func() bool { tokens[s.token(name)] = true; return len(tokens) > 1 })
	must(t, s.tenant().RevokeAccount("ben"))
	s.mustSignIn(name)
	tokens[s.token(name)] = true
	all := s.everything(log)
	for token := range tokens {
		if len(token) < 20 || strings.Contains(all, token) {
			t.Errorf("a refresh token of %d characters is there", len(token))
		}
	}
	for _, there := range []string{"outcome.account.contoso", "m365.fact.lane.contoso", "account order", `"sealed"`, "offhook_lane_failing"} {
		if !strings.Contains(all, there) {
			t.Errorf("control: %s is not found", there)
		}
	}
}
