package portsip

import (
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"net/http/httputil"
	"net/url"
	"reflect"
	"strings"
	"sync"
	"testing"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/portsipsim"
	"offhook.dev/libs/secret"
)

func TestOpenSaysWhatIsWrong(t *testing.T) {
	sim := start(t, portsipsim.Config{Extensions: 1})
	for name, c := range map[string]struct {
		change func(*Config)
		kind   fault.Kind
		says   string
	}{
		"no encryption":              {func(c *Config) { c.URL = "http://pbx.example.com:8887" }, fault.Invalid, "url: it must be https"},
		"a path":                     {func(c *Config) { c.URL += "/api" }, fault.Invalid, "url: it must be a host and port"},
		"a password in the URL":      {func(c *Config) { c.URL = "https://a:hunter2@pbx" }, fault.Invalid, "url: it must be a host and port"},
		"no domain":                  {func(c *Config) { c.Domain = "" }, fault.Invalid, "domain: it is missing"},
		"nobody":                     {func(c *Config) { c.Admin = Account{} }, fault.Invalid, "client_id"},
		"no such way":                {func(c *Config) { c.Statuses = "all" }, fault.Invalid, "statuses"},
		"as users nobody knows":      {func(c *Config) { c.Statuses = ByOwn }, fault.Invalid, "accounts: statuses are written as the users themselves"},
		"an account without":         {func(c *Config) { c.Accounts["204"] = Account{} }, fault.Invalid, "accounts: the password of 204"},
		"a note too long":            {func(c *Config) { c.Note = strings.Repeat("a", 129) }, fault.Invalid, "note"},
		"another password":           {func(c *Config) { c.Admin.Password = secret.NewValue("hunter2") }, fault.Denied, "is not accepted (HTTP 401)"},
		"another domain":             {func(c *Config) { c.Domain = "other.example.com" }, fault.Denied, "is not accepted"},
		"a certificate of strangers": {func(c *Config) { c.Authorities = nil }, fault.Denied, "certificate is not trusted"},
		"nobody listens":             {func(c *Config) { c.URL = "https://127.0.0.1:1" }, fault.Unavailable, "refuses connections"},
		"a user, no administrator":   {func(c *Config) { c.Admin.Username, c.Admin.Password = sim.CredentialsOf("200") }, fault.Denied, "permission denied"},
	} {
		t.Run(name, func(t *testing.T) {
			config := configFor(sim)
			c.change(&config)
			d, err := Open(t.Context(), config)
			if err == nil {
				d.Close()
				t.Fatal("accepted")
			}
			if fault.KindOf(err) != c.kind || !strings.Contains(err.Error(), c.says) || strings.Contains(err.Error(), "hunter2") {
				t.Errorf("got %v: %v", fault.KindOf(err), err)
			}
		})
	}
}

func TestAnAccountWithASecondFactorIsRefusedWithAdvice(t *testing.T) {
	sim := start(t, portsipsim.Config{Extensions: 1, TwoFactor: true})
	_, err := Open(t.Context(), configFor(sim))
	if fault.KindOf(err) != fault.Denied || !errors.Is(err, errTwoFactor) || !strings.Contains(err.Error(), "create an account for Offhook alone") {
		t.Errorf("got %v", err)
	}
	// It is switched on while the driver lives: the tokens end, and it says why.
	sim.SetTwoFactor(false)
	d := open(t, configFor(sim))
	sim.SetTwoFactor(true)
	sim.ForgetTokens(true)
	for range 5 {
		if _, err := d.Status(t.Context(), "200"); !errors.Is(err, errTwoFactor) {
			t.Errorf("got %v", err)
		}
	}
	if n := sim.Stats().SignIns; n > 5 { // two before, one refresh, one sign-in: a refusal is believed for a while
		t.Errorf("%d sign-ins", n)
	}
}

func TestTokensAreRenewedOnceForAll(t *testing.T) {
	for name, config := range map[string]portsipsim.Config{
		"a refresh token lasts":      {},
		"a refresh token works once": {RefreshOnce: true},
	} {
		t.Run(name, func(t *testing.T) {
			config.Extensions = 1
			sim := start(t, config)
			d := open(t, configFor(sim))
			for _, forget := range []struct {
				refresh bool
				signIns int
			}{{false, 1}, {false, 1}, {true, 2}} { // a refresh; one that is refused, and a sign-in
				sim.ForgetTokens(forget.refresh)
				before := sim.Stats().SignIns
				var callers sync.WaitGroup
				for range 20 {
					callers.Go(func() {
						if _, err := d.Status(t.Context(), "200"); err != nil {
							t.Error(err)
						}
					})
				}
				callers.Wait()
				if n := sim.Stats().SignIns - before; n != forget.signIns {
					t.Errorf("20 callers asked for tokens %d times", n)
				}
			}
		})
	}
}

func TestTooManyRequestsAreThrottled(t *testing.T) {
	for status, kind := range map[int]fault.Kind{http.StatusTooManyRequests: fault.Throttled, http.StatusServiceUnavailable: fault.Unavailable} {
		sim := start(t, portsipsim.Config{Extensions: 1, Limit: 20, LimitStatus: status})
		d := open(t, configFor(sim))
		var err error
		for range 50 { // the minute may end in between, once
			if _, err = d.Status(t.Context(), "200"); err != nil {
				break
			}
		}
		if err == nil || fault.KindOf(err) != kind {
			t.Errorf("HTTP %d is %v", status, err)
		}
	}
}

func TestHowStatusesOfAllAreReadIsFoundOut(t *testing.T) {
	const page = 2 // pages of a list of 105
	for name, c := range map[string]struct {
		sim      portsipsim.Config
		statuses Statuses
		want     technique
		requests int // of a listing
	}{
		"lists tell it":                    {portsipsim.Config{ListsDND: true}, "", byRows, page},
		"lists can be filtered":            {portsipsim.Config{FilterDND: true}, "", byFilter, page + 1},
		"a filter that does nothing":       {portsipsim.Config{}, "", oneByOne, page + users},
		"a filter that is refused":         {portsipsim.Config{Strict: true}, "", oneByOne, page + users},
		"presences are nobody's to filter": {portsipsim.Config{FilterDND: true, ListsDND: true}, ByPresence, oneByOne, page + users},
		"a null is not told":               {portsipsim.Config{Nulls: true, FilterDND: true}, "", byFilter, page + 1},
	} {
		t.Run(name, func(t *testing.T) {
			sim := start(t, c.sim)
			sim.Switch("201", true)
			config := configFor(sim)
			config.Statuses = c.statuses
			d := open(t, config)
			before, seen := sim.Stats().Requests, map[identity.Extension]presence.Status{}
			err := d.Statuses(t.Context(), func(ext identity.Extension, s presence.Status) error { seen[ext] = s; return nil })
			if err != nil || len(seen) != users || seen["201"] != presence.DND || seen["200"] != presence.Available {
				t.Errorf("%d listed, 201 shows %v, 200 shows %v: %v", len(seen), seen["201"], seen["200"], err)
			}
			if n := sim.Stats().Requests - before; d.technique != c.want || n != c.requests {
				t.Errorf("technique %d with %d requests, want %d with %d", d.technique, n, c.want, c.requests)
			}
		})
	}
}

// What we switched on never looks as if a person had switched it off, only because an answer
// does not tell the switch. As the users themselves nobody switches it.
func TestAStatusWithoutTheSwitchIsReadFromTheUser(t *testing.T) {
	for name, c := range map[string]struct {
		phones   portsipsim.Config
		statuses Statuses
	}{
		"each user is asked":       {portsipsim.Config{}, ""},
		"lists tell the switch":    {portsipsim.Config{ListsDND: true}, ""},
		"lists can be filtered":    {portsipsim.Config{FilterDND: true}, ""},
		"with presences":           {portsipsim.Config{}, ByPresence},
		"which the switch changes": {portsipsim.Config{Linked: true, Minor: 3}, ByPresence},
	} {
		t.Run(name, func(t *testing.T) {
			c.phones.Extensions, c.phones.NoSwitch = 2, true
			sim := start(t, c.phones)
			config := configFor(sim)
			config.Statuses = c.statuses
			d := open(t, config)
			if err := d.SetStatus(t.Context(), "200", presence.DND); err != nil {
				t.Fatal(err)
			}
			for ext, want := range map[identity.Extension]presence.Status{"200": presence.DND, "201": presence.Available} {
				if s, err := d.Status(t.Context(), ext); s != want || err != nil {
					t.Errorf("%s shows %v, not %v: %v", ext, s, want, err)
				}
			}
			shows := map[identity.Extension]presence.Status{}
			err := d.Statuses(t.Context(), func(ext identity.Extension, s presence.Status) error { shows[ext] = s; return nil })
			if err != nil || shows["200"] != presence.DND || shows["201"] != presence.Available {
				t.Errorf("listed %v: %v", shows, err)
			}
			sim.SetField("200", "enable_dnd", nil)
			if s, err := d.Status(t.Context(), "200"); fault.KindOf(err) != fault.Unavailable {
				t.Errorf("one that is told nowhere: %v, %v", s, err)
			}
		})
	}
}

// A status is written without the loss of anything else, whatever the phone system does
// with members that are not named, and what is secret does not come back.
func TestAStatusCostsNothingElse(t *testing.T) {
	for name, config := range map[string]portsipsim.Config{
		"what is not named is lost":               {Replace: true},
		"what is not named is kept":               {},
		"members nobody here knows":               {Replace: true, Minor: 3, Retrieval: true},
		"members without a value are told":        {Replace: true, Nulls: true},
		"the switch and the presence are the one": {Replace: true, Linked: true},
	} {
		t.Run(name, func(t *testing.T) {
			config.Extensions = 2
			sim := start(t, config)
			d := open(t, configFor(sim))
			before := sim.Fields("200")
			for _, s := range []presence.Status{presence.DND, presence.DND, presence.Available} {
				if err := d.SetStatus(t.Context(), "200", s); err != nil {
					t.Fatal(err)
				}
				if on := sim.DND("200"); on != (s == presence.DND) {
					t.Errorf("%v was set, the switch is %v", s, on)
				}
			}
			if after := sim.Fields("200"); !reflect.DeepEqual(before, after) {
				t.Errorf("it was %v and is %v", before, after)
			}
		})
	}
}

// The control: with changes that name only what is new, a phone system that takes the
// rest for nothing loses it.
func TestAPartialChangeWhereItIsNotOneLosesTheRest(t *testing.T) {
	sim := start(t, portsipsim.Config{Extensions: 1, Replace: true})
	config := configFor(sim)
	config.Partial = true
	if err := open(t, config).SetStatus(t.Context(), "200", presence.DND); err != nil {
		t.Fatal(err)
	}
	if sim.Fields("200")["work_phone"] != nil {
		t.Error("nothing was lost: the test above proves nothing")
	}
}

// What a phone hides while it is away or in a call is not known: it is not taken for a
// choice that the phone system does not have.
func TestAHiddenPresenceIsAvailableUnlessTheSwitchIsOn(t *testing.T) {
	for _, minor := range []int{2, 3} {
		sim := start(t, portsipsim.Config{Extensions: 1, Minor: minor})
		config := configFor(sim)
		config.Statuses = ByPresence
		d := open(t, config)
		shows := func(when string, want presence.Status) {
			t.Helper()
			if got, err := d.Status(t.Context(), "200"); err != nil || got != want {
				t.Errorf("22.%d, %s: %v (%v), want %v", minor, when, got, err, want)
			}
		}
		sim.Choose("200", presence.Lunch)
		shows("at lunch", presence.Lunch)
		sim.StartCall("200")
		shows("at lunch, in a call", presence.Available)
		sim.Switch("200", true)
		shows("in a call, do not disturb", presence.DND)
		sim.EndCalls("200")
		sim.Switch("200", false)
		shows("the call is over", presence.Lunch)
		sim.Ring("200")
		sim.SetOffline("200", true)
		shows("away", presence.Available)
		sim.Switch("200", true)
		shows("away, do not disturb", presence.DND)
	}
}

func TestAPresenceOfOnesOwnHasANote(t *testing.T) {
	sim := start(t, portsipsim.Config{Extensions: 2})
	config := configFor(sim, "200")
	config.Statuses, config.Note = ByOwn, "In a Teams call"
	d := open(t, config)
	for _, c := range []struct {
		status presence.Status
		note   string
	}{{presence.DND, "In a Teams call"}, {presence.Lunch, "In a Teams call"}, {presence.Available, ""}} {
		if err := d.SetStatus(t.Context(), "200", c.status); err != nil {
			t.Error(err)
		}
		if s, note := sim.Presence("200"); s != c.status || note != c.note {
			t.Errorf("shows %v, %q", s, note)
		}
	}
	// Somebody whose account nobody has is not touched, and not listed.
	if err := d.SetStatus(t.Context(), "201", presence.DND); fault.KindOf(err) != fault.Denied || !strings.Contains(err.Error(), "options.accounts") {
		t.Errorf("without an account: %v", err)
	}
	err := d.Statuses(t.Context(), func(ext identity.Extension, _ presence.Status) error {
		if ext != "200" {
			t.Errorf("%s is listed", ext)
		}
		return nil
	})
	if err != nil {
		t.Error(err)
	}
}

func TestAFilterThatDoesNothingMakesALookUpASearch(t *testing.T) {
	// The filter by number is ignored on the way: the first page is everybody.
	sim := start(t, portsipsim.Config{})
	proxy := ignoring(t, sim.URL(), "filter")
	config := configFor(sim)
	config.URL, config.Statuses = proxy, ByPresence
	d := open(t, config)
	if s, err := d.Status(t.Context(), "304"); err != nil || s != presence.Available {
		t.Errorf("the last of all: %v, %v", s, err)
	}
	if _, err := d.Status(t.Context(), "999"); err == nil || fault.KindOf(err) != fault.NotFound {
		t.Errorf("nobody: %v", err)
	}
}

func TestTheOwnSyncOfThePhoneSystemIsSeen(t *testing.T) {
	sim := start(t, portsipsim.Config{Extensions: 1})
	d := open(t, configFor(sim))
	for _, want := range []pbx.SyncState{{}, {Users: true}, {Users: true, Photos: true}, {Contacts: true}, {Mailboxes: true}, {Calendar: true}} {
		sim.SetNativeSync(want)
		if got, err := d.NativeSync(t.Context()); err != nil || got != want {
			t.Errorf("got %+v (%v), want %+v", got, err, want)
		}
	}
	none := start(t, portsipsim.Config{Extensions: 1, NoMS365: true})
	if got, err := open(t, configFor(none)).NativeSync(t.Context()); err != nil || got.Any() {
		t.Errorf("a tenant without an integration: %+v, %v", got, err)
	}
}

// ignoring is a proxy to a phone system that does not understand an option.
func ignoring(t *testing.T, target, option string) string {
	t.Helper()
	to, err := url.Parse(target)
	if err != nil {
		t.Fatal(err)
	}
	proxy := httputil.NewSingleHostReverseProxy(to)
	proxy.Transport = &http.Transport{TLSClientConfig: &tls.Config{RootCAs: authority.Pool(), MinVersion: tls.VersionTLS12}}
	certificate, err := authority.Issue("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		query := r.URL.Query()
		query.Del(option)
		r.URL.RawQuery = query.Encode()
		proxy.ServeHTTP(w, r)
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}, MinVersion: tls.VersionTLS12}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server.URL
}
