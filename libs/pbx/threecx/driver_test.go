package threecx

import (
	"context"
	"crypto/tls"
	"errors"
	"net/http"
	"net/http/httptest"
	"reflect"
	"slices"
	"strings"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/pbxsim"
	"offhook.dev/libs/secret"
)

func TestOpenFindsOutWhatTheSystemCanDo(t *testing.T) {
	d := open(t, start(t, pbxsim.Config{Version: "20.0.10"}))
	want := pbx.Capabilities{Version: "20.0.10", Extensions: true, NativeSync: true, Several: 20, Powers: presence.Powers{
		Write: presence.All, Read: presence.All, Ring: presence.SetOf(presence.Available, presence.Lunch)},
		Writer: writerPowers, Phonebook: pbx.PhonebookPowers{Company: true, Personal: true, Numbers: numberKinds, Batch: 100, Limits: actions{}.phonebooks().Limits}}
	if got := d.Capabilities(); !reflect.DeepEqual(got, want) {
		t.Errorf("got %+v", got)
	}
}

func TestOpenRefusesAConfigurationThatCannotWork(t *testing.T) {
	good := Config{URL: "https://pbx.example.com", ClientID: "offhook", ClientSecret: secret.NewValue("s3cret")}
	for name, spoil := range map[string]func(*Config){
		"no url":          func(c *Config) { c.URL = "" },
		"plain http":      func(c *Config) { c.URL = "http://pbx.example.com" },
		"a path":          func(c *Config) { c.URL += "/xapi/v1" },
		"a user":          func(c *Config) { c.URL = "https://u:s3cret@pbx.example.com" },
		"no client id":    func(c *Config) { c.ClientID = "" },
		"no secret":       func(c *Config) { c.ClientSecret = secret.Value{} },
		"no url at all":   func(c *Config) { c.URL = "https://s3cret\x7f" },
		"a query is kept": func(c *Config) { c.URL += "?x=1" },
	} {
		t.Run(name, func(t *testing.T) {
			config := good
			spoil(&config)
			_, err := Open(t.Context(), config)
			if err == nil || fault.KindOf(err) != fault.Invalid || strings.Contains(err.Error(), "s3cret") {
				t.Errorf("got %v", err)
			}
		})
	}
}

func TestAProfileOfTheAdministratorsOwnIsUnset(t *testing.T) {
	sim := start(t, pbxsim.Config{})
	d := open(t, sim)
	sim.SetStatus("200", presence.Unset)
	if s, err := d.Status(t.Context(), "200"); s != presence.Unset || err != nil {
		t.Errorf("read %v, %v", s, err)
	}
}

func TestAnExtensionMadeAnewIsFoundUnderItsNewKey(t *testing.T) {
	sim := start(t, pbxsim.Config{})
	d := open(t, sim)
	if err := d.SetStatus(t.Context(), "203", presence.Away); err != nil {
		t.Fatal(err)
	}
	sim.Recreate("203")
	if err := d.SetStatus(t.Context(), "203", presence.DND); err != nil {
		t.Errorf("after it was made anew: %v", err)
	}
	if shown, _ := sim.Shown("203"); shown.Status != presence.DND {
		t.Errorf("it shows %v", shown.Status)
	}
	sim.Remove("203")
	if err := d.SetStatus(t.Context(), "203", presence.DND); fault.KindOf(err) != fault.NotFound {
		t.Errorf("after it was removed: %v", err)
	}
}

func TestTheInventoryHasNamesAndNoSecretIsEverAskedFor(t *testing.T) {
	sim := start(t, pbxsim.Config{People: []pbxsim.Person{{FirstName: "Anna", LastName: "Berg", Mail: "anna@contoso.example"}}})
	d := open(t, sim)
	var first directory.Extension
	err := d.Extensions(t.Context(), func(e directory.Extension) error {
		if first.Number == "" {
			first = e
		}
		return nil
	})
	want := directory.Extension{Number: "200", Enabled: true,
		Fields: directory.Fields{FirstName: "Anna", LastName: "Berg", DisplayName: "Anna Berg", Mail: "anna@contoso.example"}}
	if err != nil || first != want {
		t.Errorf("got %+v, %v", first, err)
	}
	_ = d.SetStatus(t.Context(), "200", presence.DND)
	_, _ = d.Status(t.Context(), "201")
	_, _ = d.NativeSync(t.Context())
	if n := sim.Stats().SecretsServed; n != 0 {
		t.Errorf("%d answers carried passwords", n)
	}
}

func TestTheVendorsOwnSyncIsSeen(t *testing.T) {
	sim := start(t, pbxsim.Config{})
	d := open(t, sim)
	for _, want := range []pbx.SyncState{
		{}, {Users: true}, {Contacts: true}, {Mailboxes: true}, {Photos: true}, {Calendar: true}, {Presence: true},
	} {
		sim.SetNativeSync(want)
		if got, err := d.NativeSync(t.Context()); err != nil || got != want {
			t.Errorf("want %+v, got %+v, %v", want, got, err)
		}
	}
}

func TestAPhoneSystemWithoutASyncOfItsOwnHasNone(t *testing.T) {
	for name, c := range map[string]struct {
		status int
		answer string
		kind   fault.Kind // 0: it has none
	}{
		"there is no such resource":    {http.StatusNotFound, ``, 0},
		"there is nothing to be told":  {http.StatusOK, `{}`, 0},
		"the role may not see it":      {http.StatusForbidden, ``, fault.Denied},
		"it is told another time":      {http.StatusServiceUnavailable, ``, fault.Unavailable},
		"a page for people is no word": {http.StatusOK, `<html>`, fault.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			d := scripted(t, root+"/Microsoft365Integration", func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.answer))
			})
			got, err := d.NativeSync(t.Context())
			if got != (pbx.SyncState{}) || (err != nil) != (c.kind != 0) || err != nil && fault.KindOf(err) != c.kind {
				t.Errorf("%+v, %v", got, err)
			}
		})
	}
}

func TestConnectionsAreReusedWhateverTheAnswer(t *testing.T) {
	sim := start(t, pbxsim.Config{})
	d := open(t, sim)
	before := sim.Stats().Connections
	for range 10 {
		for _, kind := range []pbxsim.FaultKind{pbxsim.Throttle, pbxsim.Unavailable, pbxsim.Broken, pbxsim.Deny, pbxsim.Garbage} {
			sim.Inject(pbxsim.Fault{Kind: kind, Times: 1})
			if _, err := d.Status(t.Context(), "200"); err == nil {
				t.Errorf("%s: no error", kind)
			}
		}
		if err := d.SetStatus(t.Context(), "201", presence.Away); err != nil {
			t.Error(err)
		}
	}
	if n := sim.Stats().Connections - before; n != 0 {
		t.Errorf("%d new connections were opened", n)
	}
}

func TestLicenceBlockAndDownAreToldApart(t *testing.T) {
	sim := start(t, pbxsim.Config{})
	d := open(t, sim)
	_ = d.SetStatus(t.Context(), "200", presence.Available)

	sim.Inject(pbxsim.Fault{Kind: pbxsim.Unlicensed, Times: 1})
	_, err := d.Status(t.Context(), "200")
	if fault.KindOf(err) != fault.Denied || !errors.Is(err, pbx.ErrLicence) {
		t.Errorf("licence: %v", err)
	}
	sim.Inject(pbxsim.Fault{Kind: pbxsim.Deny, Times: 1})
	_, err = d.Status(t.Context(), "200")
	if fault.KindOf(err) != fault.Denied || errors.Is(err, pbx.ErrLicence) {
		t.Errorf("role: %v", err)
	}
	sim.Inject(pbxsim.Fault{Kind: pbxsim.Unavailable, Times: 1})
	_, err = d.Status(t.Context(), "200")
	if fault.KindOf(err) != fault.Unavailable || errors.Is(err, pbx.ErrRefused) {
		t.Errorf("503: %v", err)
	}
	sim.Down()
	for name, err := range map[string]error{
		"read": func() error { _, err := d.Status(t.Context(), "200"); return err }(), "write": d.SetStatus(t.Context(), "200", presence.DND),
	} {
		if fault.KindOf(err) != fault.Unavailable || !errors.Is(err, pbx.ErrRefused) {
			t.Errorf("refused %s: %v", name, err)
		}
	}
	if err := sim.Up(); err != nil {
		t.Fatal(err)
	}
	if err := d.SetStatus(t.Context(), "200", presence.DND); err != nil {
		t.Errorf("up again: %v", err)
	}
}

// What is answered to a secret may repeat it, so it is understood and not quoted.
func TestALicenceThatDoesNotLetUsSignInIsToldFromARight(t *testing.T) {
	for kind, licence := range map[pbxsim.FaultKind]bool{pbxsim.Unlicensed: true, pbxsim.Deny: false} {
		sim := start(t, pbxsim.Config{})
		d := open(t, sim)
		sim.ForgetTokens()
		sim.Inject(pbxsim.Fault{Kind: kind, Only: "token"})
		_, err := d.Status(t.Context(), "200")
		if fault.KindOf(err) != fault.Denied || errors.Is(err, pbx.ErrLicence) != licence || !strings.Contains(err.Error(), "HTTP 403") {
			t.Errorf("%s: %v", kind, err)
		}
		for _, quoted := range []string{"LicenseLimitation", "use of the API", "does not permit"} {
			if strings.Contains(err.Error(), quoted) {
				t.Errorf("%s: the answer is quoted: %v", kind, err)
			}
		}
	}
}

func TestACertificateOfSomebodyElseIsDenied(t *testing.T) {
	sim := start(t, pbxsim.Config{})
	config := configFor(sim)
	stranger, err := secret.NewAuthority("stranger", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	config.Authorities = stranger.Pool()
	if _, err := Open(t.Context(), config); fault.KindOf(err) != fault.Denied {
		t.Errorf("got %v", err)
	}
}

func TestAnAnswerThatTakesTooLongIsATimeout(t *testing.T) {
	sim := start(t, pbxsim.Config{})
	d := open(t, sim)
	d.wire.config.Timeout = 20 * time.Millisecond
	sim.Inject(pbxsim.Fault{Kind: pbxsim.Hang})
	if _, err := d.Status(t.Context(), "200"); fault.KindOf(err) != fault.Timeout || !errors.Is(err, errNoAnswer) {
		t.Errorf("got %v", err)
	}
}

func TestAClosedDriverFails(t *testing.T) {
	d := open(t, start(t, pbxsim.Config{}))
	d.Close()
	if _, err := d.Status(t.Context(), "200"); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("got %v", err)
	}
}

// scripted is a 3CX that answers one path in a way of the test's own.
func scripted(t *testing.T, path string, answer http.HandlerFunc) *Driver {
	t.Helper()
	return scriptedAll(t, map[string]http.HandlerFunc{path: answer})
}

// scriptedAll is one that answers some paths so.
func scriptedAll(t *testing.T, answers map[string]http.HandlerFunc) *Driver {
	t.Helper()
	sim := start(t, pbxsim.Config{})
	d := open(t, sim)
	certificate, err := authority.Issue("127.0.0.1")
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		answer, ok := answers[r.URL.Path]
		switch {
		case r.URL.Path == "/connect/token":
			w.Write([]byte(`{"access_token":"opaque","expires_in":60}`))
		case ok:
			answer(w, r)
		default:
			http.NotFound(w, r)
		}
	}))
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.StartTLS()
	t.Cleanup(server.Close)
	d.wire.base.Host = strings.TrimPrefix(server.URL, "https://")
	d.wire.tokens.current = token{}
	return d
}

func TestARedirectIsNotFollowed(t *testing.T) {
	var visits atomic.Int32
	elsewhere := httptest.NewServer(http.HandlerFunc(func(http.ResponseWriter, *http.Request) { visits.Add(1) }))
	t.Cleanup(elsewhere.Close)
	d := scripted(t, "/xapi/v1/Users(Number='200')", func(w http.ResponseWriter, r *http.Request) {
		http.Redirect(w, r, elsewhere.URL, http.StatusTemporaryRedirect)
	})
	if _, err := d.Status(t.Context(), "200"); fault.KindOf(err) != fault.Invalid {
		t.Errorf("got %v", err)
	}
	if visits.Load() != 0 {
		t.Error("the other host was visited")
	}
}

func TestAnAnswerWithoutEndIsCut(t *testing.T) {
	d := scripted(t, "/xapi/v1/Users(Number='200')", func(w http.ResponseWriter, r *http.Request) {
		for r.Context().Err() == nil {
			if _, err := w.Write(make([]byte, 64<<10)); err != nil {
				return
			}
		}
	})
	if _, err := d.Status(t.Context(), "200"); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("got %v", err)
	}
}

func TestAWriteIsOnlyDoneWhenTheAnswerSaysSo(t *testing.T) {
	d := scripted(t, "/xapi/v1/Users(21)", func(w http.ResponseWriter, r *http.Request) {
		w.Write([]byte("<html>please sign in to this network</html>"))
	})
	d.remember(user{ID: 21, ext: "200"})
	if err := d.SetStatus(t.Context(), "200", presence.DND); fault.KindOf(err) != fault.Timeout {
		t.Errorf("got %v", err)
	}
}

func TestAWriteThatNeverGotATokenNeverHappened(t *testing.T) {
	sim := start(t, pbxsim.Config{})
	d := open(t, sim)
	sim.ForgetTokens()
	sim.Inject(pbxsim.Fault{Kind: pbxsim.LostAnswer, Only: "token"})
	if err := d.SetStatus(t.Context(), "200", presence.DND); fault.KindOf(err) != fault.Unavailable || len(sim.Writes()) != 0 {
		t.Errorf("%v, %d writes", err, len(sim.Writes()))
	}
}

func TestPages(t *testing.T) {
	row := func(id string) string { return `{"Id":` + id + `,"Number":"` + id + `","CurrentProfileName":"Away"}` }
	for name, c := range map[string]struct {
		pages []string // by request; the last repeats
		want  []identity.Extension
		kind  fault.Kind // 0: no error
	}{
		"an empty system has none":            {pages: []string{`{"value":[]}`}},
		"a capped page is followed by skip":   {pages: []string{`{"value":[` + row("1") + `],"@odata.nextLink":"/xapi/v1/Users?$skip=1"}`, `{"value":[` + row("2") + `]}`}, want: []identity.Extension{"1", "2"}},
		"an unusable number costs no other":   {pages: []string{`{"value":[` + row("1") + `,{"Id":2,"Number":"a b"},` + row("3") + `]}`}, want: []identity.Extension{"1", "3"}},
		"a foreign next page is refused":      {pages: []string{`{"value":[` + row("1") + `],"@odata.nextLink":"https://evil.example/xapi/v1/Users"}`}, kind: fault.Invalid},
		"a foreign host without scheme too":   {pages: []string{`{"value":[` + row("1") + `],"@odata.nextLink":"//evil.example/Users"}`}, kind: fault.Invalid},
		"pages that repeat end in an error":   {pages: []string{`{"value":[` + row("1") + `],"@odata.nextLink":"/x"}`}, want: []identity.Extension{"1"}, kind: fault.Unavailable},
		"a senseless row is a senseless page": {pages: []string{`{"value":[{"Id":"one"}]}`}, kind: fault.Unavailable},
		"an endless answer is cut":            {pages: []string{`{"value":"` + strings.Repeat("x", bodyLimit) + `"}`}, kind: fault.Unavailable},
	} {
		t.Run(name, func(t *testing.T) {
			requests := 0
			d := scripted(t, "/xapi/v1/Users", func(w http.ResponseWriter, r *http.Request) {
				w.Write([]byte(c.pages[min(requests, len(c.pages)-1)]))
				requests++
			})
			var got []identity.Extension
			err := d.Statuses(t.Context(), func(ext identity.Extension, s presence.Status) error {
				if s != presence.Away {
					t.Errorf("%s is read as %v", ext, s)
				}
				got = append(got, ext)
				return nil
			})
			if !slices.Equal(got, c.want) || (err != nil) != (c.kind != 0) || err != nil && fault.KindOf(err) != c.kind {
				t.Errorf("got %v, %v", got, err)
			}
		})
	}
}

func TestOneTokenForAllCallers(t *testing.T) {
	sim := start(t, pbxsim.Config{OneToken: true})
	d := open(t, sim)
	before := sim.Stats().TokenRequests
	sim.ForgetTokens()
	var callers sync.WaitGroup
	for range 20 {
		callers.Go(func() {
			if _, err := d.Status(t.Context(), "200"); err != nil {
				t.Error(err)
			}
		})
	}
	callers.Wait()
	if n := sim.Stats().TokenRequests - before; n != 1 {
		t.Errorf("%d tokens were asked for", n)
	}
}

func TestWrongCredentialsAreNotTriedAgainAtOnce(t *testing.T) {
	sim := start(t, pbxsim.Config{})
	d := open(t, sim)
	d.wire.config.ClientSecret = secret.NewValue("wr0ng")
	sim.ForgetTokens()
	before := sim.Stats().TokenRequests
	for range 5 {
		_, err := d.Status(t.Context(), "200")
		if fault.KindOf(err) != fault.Denied || strings.Contains(err.Error(), "wr0ng") {
			t.Errorf("got %v", err)
		}
	}
	if n := sim.Stats().TokenRequests - before; n != 1 {
		t.Errorf("the wrong secret was sent %d times", n)
	}
}

func TestAWaitForSomebodyElsesTokenEndsWithTheCaller(t *testing.T) {
	asked, release := make(chan struct{}), make(chan struct{})
	tokens := newTokens(func(context.Context) (token, error) {
		close(asked)
		<-release
		return token{"t", time.Now().Add(time.Hour)}, nil
	})
	owner := make(chan error, 1)
	go func() { _, err := tokens.get(t.Context(), ""); owner <- err }()
	<-asked
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := tokens.get(ctx, ""); fault.KindOf(err) != fault.Cancelled {
		t.Errorf("got %v", err)
	}
	close(release)
	if err := <-owner; err != nil {
		t.Error(err)
	}
}
