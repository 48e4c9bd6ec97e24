package msgraph

import (
	"context"
	"encoding/base64"
	"fmt"
	"net/http"
	"net/http/httptest"
	"net/url"
	"strings"
	"sync"
	"testing"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/secret"
)

const (
	deviceDirectory = "11111111-1111-1111-1111-111111111111"
	deviceApp       = "22222222-2222-2222-2222-222222222222"
	deviceStart     = `{"device_code":"the-device-code","user_code":"ABC-DEF","verification_uri":"https://microsoft.com/devicelogin","expires_in":900,"interval":0.01}`
)

// loginHost answers a device-code sign-in: first start, then one answer after the
// other, the last one for ever.
type loginHost struct {
	*httptest.Server

	mu    sync.Mutex
	asked []url.Values // of the token endpoint
}

func newLoginHost(t *testing.T, start string, answers ...string) (*loginHost, DeviceConfig) {
	t.Helper()
	host := &loginHost{}
	host.Server = httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
		w.Header().Set("Content-Type", "application/json")
		if err := r.ParseForm(); err != nil || r.Method != http.MethodPost {
			t.Errorf("%s: %v", r.Method, err)
		}
		switch r.URL.Path {
		case "/" + deviceDirectory + "/oauth2/v2.0/devicecode":
			if got := r.PostForm.Get("scope"); got != "https://graph.microsoft.com/Presence.Read.All offline_access" || r.PostForm.Get("client_id") != deviceApp {
				t.Errorf("asked for %q by %q", got, r.PostForm.Get("client_id"))
			}
			fmt.Fprint(w, start)
		case "/" + deviceDirectory + "/oauth2/v2.0/token":
			host.mu.Lock()
			answer := answers[min(len(host.asked), len(answers)-1)]
			host.asked = append(host.asked, r.PostForm)
			host.mu.Unlock()
			status, body, _ := strings.Cut(answer, " ")
			w.WriteHeader(map[string]int{"200": 200, "400": 400, "429": 429, "503": 503}[status])
			fmt.Fprint(w, body)
		default:
			t.Errorf("asked for %s", r.URL.Path)
		}
	}))
	t.Cleanup(host.Close)
	cloud, err := graph.CloudNamed("global")
	if err != nil {
		t.Fatal(err)
	}
	if cloud, err = cloud.At(host.URL, ""); err != nil {
		t.Fatal(err)
	}
	return host, DeviceConfig{Directory: deviceDirectory, ClientID: deviceApp, Cloud: cloud,
		Roots: host.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs}
}

// signIn starts a sign-in that does not take its time.
func signIn(t *testing.T, c DeviceConfig) *DeviceSignIn {
	t.Helper()
	d, err := StartDeviceSignIn(t.Context(), c)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	d.slower = 10 * time.Millisecond
	return d
}

func token(claims string) string {
	return "h." + base64.RawURLEncoding.EncodeToString([]byte(claims)) + ".s"
}

func TestAPersonSignsInByDeviceCode(t *testing.T) {
	const user = "00000000-0000-0000-0000-00000000000a"
	signedIn := `200 {"access_token":"` + token(`{"oid":"`+strings.ToUpper(user)+`","upn":"lane@contoso.example"}`) + `","refresh_token":"the-refresh-token","expires_in":3600}`
	const pending = `400 {"error":"authorization_pending","error_codes":[70016]}`
	tests := []struct {
		name    string
		answers []string
		kind    fault.Kind
		says    string // "" where the sign-in succeeds
		asked   int
	}{
		{"at once", []string{signedIn}, 0, "", 1},
		{"after a while", []string{pending, pending, signedIn}, 0, "", 3},
		{"asked too often", []string{`400 {"error":"slow_down"}`, signedIn}, 0, "", 2},
		{"the login host is away meanwhile", []string{`503 oops`, `429 {"error":"temporarily_unavailable"}`, pending, signedIn}, 0, "", 4},
		{"they refuse", []string{pending, `400 {"error":"authorization_declined","error_codes":[70000]}`}, fault.Denied, "authorization_declined", 2},
		{"they may not", []string{`400 {"error":"access_denied"}`}, fault.Denied, "access_denied", 1},
		{"nobody comes", []string{pending, `400 {"error":"expired_token","error_codes":[70020]}`}, fault.Gone, "start again", 2},
		{"the code is not known", []string{`400 {"error":"bad_verification_code"}`}, fault.Denied, "bad_verification_code", 1},
		{"a new rule", []string{`400 {"error":"interaction_required","error_codes":[50076]}`}, fault.Denied, "sign in again", 1},
		{"no refresh token", []string{`200 {"access_token":"a","expires_in":3600}`}, fault.Denied, "offline_access", 1},
		{"no token", []string{`200 {}`}, fault.Unknown, "without an access token", 1},
		{"not JSON", []string{`200 <html>`}, fault.Unknown, "without an access token", 1},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			host, config := newLoginHost(t, deviceStart, test.answers...)
			d := signIn(t, config)
			if d.UserCode != "ABC-DEF" || d.VerificationURL != "https://microsoft.com/devicelogin" || time.Until(d.Expires) < 14*time.Minute || time.Until(d.Expires) > 15*time.Minute {
				t.Errorf("show %q at %q until %v", d.UserCode, d.VerificationURL, d.Expires)
			}
			got, err := d.Wait(t.Context())
			if test.says == "" && (err != nil || got.Refresh.Reveal() != "the-refresh-token" || got.User != user || got.Name != "lane@contoso.example") {
				t.Errorf("%+v, %v", got, err)
			}
			if test.says != "" && (err == nil || fault.KindOf(err) != test.kind || !strings.Contains(err.Error(), test.says) || !got.Refresh.IsZero()) {
				t.Errorf("%v (%v), want %v that says %q", err, fault.KindOf(err), test.kind, test.says)
			}
			if len(host.asked) != test.asked {
				t.Errorf("asked %d times, want %d", len(host.asked), test.asked)
			}
			if form := host.asked[0]; form.Get("device_code") != "the-device-code" || form.Get("client_id") != deviceApp || form.Get("grant_type") != "urn:ietf:params:oauth:grant-type:device_code" {
				t.Errorf("asked with %v", form)
			}
			if text := fmt.Sprintf("%+v %v", d, err); strings.Contains(text, "the-device-code") || strings.Contains(text, "the-refresh-token") {
				t.Errorf("a secret came out: %s", text)
			}
		})
	}
}

func TestAskingForADeviceCodeSlowsDown(t *testing.T) {
	_, config := newLoginHost(t, deviceStart, `400 {"error":"slow_down"}`)
	d := signIn(t, config)
	before := d.interval
	if _, done, err := d.ask(t.Context()); done || err != nil || d.interval != before+d.slower {
		t.Errorf("every %v after %v, done %v, %v", d.interval, before, done, err)
	}
	if config.Cloud.Login == "" || deviceInterval != 5*time.Second {
		t.Errorf("RFC 8628 adds five seconds, not %v", deviceInterval)
	}
}

func TestASignInEndsWithItsCodeAndWithItsCaller(t *testing.T) {
	_, config := newLoginHost(t, strings.Replace(deviceStart, "900", "0.1", 1), `400 {"error":"authorization_pending"}`)
	if _, err := signIn(t, config).Wait(t.Context()); fault.KindOf(err) != fault.Gone {
		t.Errorf("after its end: %v, want gone", err)
	}
	_, config = newLoginHost(t, strings.Replace(deviceStart, "0.01", "60", 1), `400 {"error":"authorization_pending"}`)
	d := signIn(t, config)
	ctx, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Wait(ctx); fault.KindOf(err) != fault.Cancelled {
		t.Errorf("after the caller gave up: %v, want cancelled", err)
	}
}

func TestASignInThatCannotBegin(t *testing.T) {
	for name, test := range map[string]struct {
		start string
		kind  fault.Kind
	}{
		"no code":                      {`{"verification_uri":"https://microsoft.com/devicelogin","expires_in":900}`, fault.Unknown},
		"no end":                       {strings.Replace(deviceStart, "900", "0", 1), fault.Unknown},
		"a page without encryption":    {strings.Replace(deviceStart, "https:", "http:", 1), fault.Unknown},
		"a page that only looks right": {strings.Replace(deviceStart, "microsoft.com/", "microsoft.com@evil.example/", 1), fault.Unknown},
		"a script":                     {strings.Replace(deviceStart, "https://microsoft.com", "javascript:x", 1), fault.Unknown},
		"not JSON":                     {"<html>", fault.Unknown},
	} {
		_, config := newLoginHost(t, test.start, "")
		if _, err := StartDeviceSignIn(t.Context(), config); err == nil || fault.KindOf(err) != test.kind {
			t.Errorf("%s: %v, want %v", name, err, test.kind)
		}
	}
	_, config := newLoginHost(t, deviceStart, "")
	for name, change := range map[string]func(*DeviceConfig){
		"no directory": func(c *DeviceConfig) { c.Directory = "common" },
		"no app":       func(c *DeviceConfig) { c.ClientID = "" },
		"no cloud":     func(c *DeviceConfig) { c.Cloud = graph.Cloud{} },
	} {
		bad := config
		change(&bad)
		if _, err := StartDeviceSignIn(t.Context(), bad); fault.KindOf(err) != fault.Invalid {
			t.Errorf("%s: %v, want invalid", name, err)
		}
	}
}

func TestAnAccountThatMustSignInAgainSaysSoAndTakesTheNewToken(t *testing.T) {
	_, config := newLoginHost(t, deviceStart,
		`200 {"access_token":"a","refresh_token":"second","expires_in":100}`,
		`400 {"error":"invalid_grant","error_codes":[50173]}`,
		`200 {"access_token":"b","refresh_token":"fourth","expires_in":100}`)
	store := &swapped{value: secret.NewValue("first")}
	d, err := NewDelegated(DelegatedConfig{Directory: config.Directory, ClientID: config.ClientID, Cloud: config.Cloud, Store: store, Roots: config.Roots})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	if _, err := d.Token(t.Context()); err != nil || store.value.Reveal() != "second" {
		t.Fatalf("kept %q, %v", store.value.Reveal(), err)
	}
	d.renew = time.Now()
	if _, err := d.Token(t.Context()); fault.KindOf(err) != fault.Denied || !strings.Contains(err.Error(), "sign in again") || !strings.Contains(err.Error(), "AADSTS50173") {
		t.Errorf("%v, want denied with advice", err)
	}
	store.value = secret.NewValue("third") // the person has signed in again
	if got, err := d.Token(t.Context()); err != nil || got.Value.Reveal() != "b" {
		t.Errorf("%v: the new sign-in is not taken", err)
	}
	if used := store.loaded; used != 2 {
		t.Errorf("the store was read %d times, want 2", used)
	}
}

// swapped is a RefreshStore whose token somebody else may replace.
type swapped struct {
	value  secret.Value
	loaded int
}

func (s *swapped) Load(context.Context) (secret.Value, error) {
	s.loaded++
	return s.value, nil
}

func (s *swapped) Save(_ context.Context, refresh secret.Value) error {
	s.value = refresh
	return nil
}
