package notification_test

import (
	"context"
	"crypto/x509"
	"net/http"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/graph/notification"
)

var bound = notification.Binding{Directory: directory, App: app}

// clock is a time that only the test moves.
type clock struct {
	mu sync.Mutex
	t  time.Time
}

func (c *clock) now() time.Time {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.t
}

func (c *clock) pass(d time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.t = c.t.Add(d)
}

func newVerifier(t testing.TB) (*login, *notification.Verifier, *clock) {
	host := newLogin(t)
	at := &clock{t: time.Date(2026, 10, 1, 12, 0, 0, 0, time.UTC)}
	return host, notification.NewVerifier(notification.VerifierConfig{Login: host.URL, Client: host.Client(), Now: at.now}), at
}

func TestAGenuineTokenOfEitherVersionIsBelieved(t *testing.T) {
	host, verifier, at := newVerifier(t)
	for _, version := range []string{"1.0", "2.0"} {
		token := sign(t, jwt.SigningMethodRS256, "k1", host.genuine(version, at.now()), pairs()[0].Key)
		if err := verifier.Verify(t.Context(), []string{token}, bound); err != nil {
			t.Errorf("version %s: %v", version, err)
		}
		if err := verifier.Verify(t.Context(), []string{"x", "", token}, bound); err != nil {
			t.Errorf("version %s behind rubbish: %v", version, err)
		}
	}
}

func TestAForgedTokenIsRefused(t *testing.T) {
	host, verifier, at := newVerifier(t)
	now := at.now()
	public, err := x509.MarshalPKIXPublicKey(&pairs()[0].Key.PublicKey)
	if err != nil {
		t.Fatal(err)
	}
	with := func(version string, change func(jwt.MapClaims)) string {
		c := host.genuine(version, now)
		change(c)
		return sign(t, jwt.SigningMethodRS256, "k1", c, pairs()[0].Key)
	}
	set := func(claim string, value any) func(jwt.MapClaims) {
		return func(c jwt.MapClaims) { c[claim] = value }
	}
	tests := []struct{ name, token string }{
		{"alg none", sign(t, jwt.SigningMethodNone, "k1", host.genuine("1.0", now), jwt.UnsafeAllowNoneSignatureType)},
		{"HS256 keyed with the public key", sign(t, jwt.SigningMethodHS256, "k1", host.genuine("1.0", now), public)},
		{"another RSA algorithm", sign(t, jwt.SigningMethodRS512, "k1", host.genuine("1.0", now), pairs()[0].Key)},
		{"signed with another key under a known id", sign(t, jwt.SigningMethodRS256, "k1", host.genuine("1.0", now), pairs()[1].Key)},
		{"no key id", sign(t, jwt.SigningMethodRS256, "", host.genuine("1.0", now), pairs()[0].Key)},
		{"the whole token of another tenant", with("1.0", func(c jwt.MapClaims) {
			c["tid"], c["iss"] = foreign, "https://sts.windows.net/"+foreign+"/"
		})},
		{"another tenant's issuer with our tid", with("1.0", set("iss", "https://sts.windows.net/"+foreign+"/"))},
		{"our issuer with another tid", with("1.0", set("tid", foreign))},
		{"another host's issuer", with("2.0", set("iss", "https://evil.example/"+directory+"/v2.0"))},
		{"version 1.0 with the issuer of 2.0", with("1.0", set("iss", host.URL+"/"+directory+"/v2.0"))},
		{"version 2.0 with the issuer of 1.0", with("2.0", set("iss", "https://sts.windows.net/"+directory+"/"))},
		{"version 1.0 with the caller of 2.0", with("1.0", func(c jwt.MapClaims) { delete(c, "appid"); c["azp"] = notification.Publisher })},
		{"version 2.0 with the caller of 1.0", with("2.0", func(c jwt.MapClaims) { delete(c, "azp"); c["appid"] = notification.Publisher })},
		{"no version", with("1.0", func(c jwt.MapClaims) { delete(c, "ver") })},
		{"an unknown version", with("1.0", set("ver", "3.0"))},
		{"for another app", with("1.0", set("aud", foreign))},
		{"for us and another app", with("1.0", set("aud", []string{app, foreign}))},
		{"for nobody", with("1.0", func(c jwt.MapClaims) { delete(c, "aud") })},
		{"from another caller", with("1.0", set("appid", foreign))},
		{"from nobody", with("2.0", func(c jwt.MapClaims) { delete(c, "azp") })},
		{"expired beyond the leeway", with("1.0", set("exp", now.Add(-6*time.Minute).Unix()))},
		{"never expiring", with("1.0", func(c jwt.MapClaims) { delete(c, "exp") })},
		{"not valid before long", with("1.0", set("nbf", now.Add(6*time.Minute).Unix()))},
		{"longer than any", with("1.0", set("pad", strings.Repeat("x", 16<<10)))},
		{"not a token", "a.b.c"},
		{"empty", ""},
	}
	for _, test := range tests {
		t.Run(test.name, func(t *testing.T) {
			err := verifier.Verify(t.Context(), []string{test.token}, bound)
			if fault.KindOf(err) != fault.Denied || err == nil {
				t.Fatalf("error %v of kind %v, want denied", err, fault.KindOf(err))
			}
			if test.token != "" && strings.Contains(err.Error(), test.token) {
				t.Error("the error quotes the token")
			}
		})
	}
	if err := verifier.Verify(t.Context(), nil, bound); fault.KindOf(err) != fault.Denied {
		t.Errorf("no token: %v, want denied", err)
	}
	if err := verifier.Verify(t.Context(), []string{with("1.0", set("aud", ""))}, notification.Binding{Directory: directory}); err == nil {
		t.Error("a subscription without an app takes a token without one")
	}
}

func TestClocksMayDifferByFiveMinutes(t *testing.T) {
	host, verifier, at := newVerifier(t)
	for name, change := range map[string]jwt.MapClaims{
		"just expired":       {"exp": at.now().Add(-4 * time.Minute).Unix()},
		"valid in a moment":  {"nbf": at.now().Add(4 * time.Minute).Unix()},
		"without not-before": {"nbf": nil},
	} {
		c := host.genuine("2.0", at.now())
		for claim, value := range change {
			if value == nil {
				delete(c, claim)
				continue
			}
			c[claim] = value
		}
		if err := verifier.Verify(t.Context(), []string{sign(t, jwt.SigningMethodRS256, "k1", c, pairs()[0].Key)}, bound); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
}

func TestAnItemTakesTheTokenOfItsOwnTenantFromAMixedPost(t *testing.T) {
	host, verifier, at := newVerifier(t)
	ours := sign(t, jwt.SigningMethodRS256, "k1", host.genuine("1.0", at.now()), pairs()[0].Key)
	c := host.genuine("1.0", at.now())
	c["tid"], c["iss"] = foreign, "https://sts.windows.net/"+foreign+"/"
	theirs := sign(t, jwt.SigningMethodRS256, "k1", c, pairs()[0].Key)
	post := []string{theirs, ours}
	if err := verifier.Verify(t.Context(), post, bound); err != nil {
		t.Errorf("our item: %v", err)
	}
	if err := verifier.Verify(t.Context(), post, notification.Binding{Directory: foreign, App: app}); err != nil {
		t.Errorf("their item: %v", err)
	}
	if err := verifier.Verify(t.Context(), post, notification.Binding{Directory: ben, App: app}); fault.KindOf(err) != fault.Denied {
		t.Errorf("a third tenant's item: %v, want denied", err)
	}
}

func TestAnUnknownKeyIsFetchedAtMostOnceAMinute(t *testing.T) {
	host, verifier, at := newVerifier(t)
	known := sign(t, jwt.SigningMethodRS256, "k1", host.genuine("1.0", at.now()), pairs()[0].Key)
	rotated := sign(t, jwt.SigningMethodRS256, "k2", host.genuine("1.0", at.now()), pairs()[1].Key)
	if err := verifier.Verify(t.Context(), []string{known}, bound); err != nil || host.count() != 1 {
		t.Fatalf("%v after %d fetches", err, host.count())
	}
	host.publish("k2", &pairs()[1].Key.PublicKey)
	at.pass(20 * time.Second)
	for range 100 {
		err := verifier.Verify(t.Context(), []string{rotated}, bound)
		if fault.KindOf(err) != fault.Unavailable || fault.RetryAfter(err) != 40*time.Second {
			t.Fatalf("a key that may be new: %v after %v, want unavailable for 40s", err, fault.RetryAfter(err))
		}
	}
	if host.count() != 1 {
		t.Fatalf("%d fetches within the minute, want 1", host.count())
	}
	if err := verifier.Verify(t.Context(), []string{rotated, known}, bound); err != nil {
		t.Errorf("a good token behind one that must wait: %v", err)
	}
	at.pass(41 * time.Second)
	if err := verifier.Verify(t.Context(), []string{rotated}, bound); err != nil || host.count() != 2 {
		t.Errorf("a rotated key after the minute: %v after %d fetches", err, host.count())
	}
	for _, kid := range []string{"k3", "ec"} { // absent, and not RSA
		at.pass(2 * time.Minute)
		forged := sign(t, jwt.SigningMethodRS256, kid, host.genuine("1.0", at.now()), pairs()[2].Key)
		if err := verifier.Verify(t.Context(), []string{forged}, bound); fault.KindOf(err) != fault.Denied {
			t.Errorf("key %s, which a fresh set does not hold: %v, want denied", kid, err)
		}
	}
}

func TestTokensWaitWhileTheKeysCannotBeHad(t *testing.T) {
	host, verifier, at := newVerifier(t)
	token := func() string {
		return sign(t, jwt.SigningMethodRS256, "k1", host.genuine("1.0", at.now()), pairs()[0].Key)
	}
	host.answer(http.StatusServiceUnavailable)
	if err := verifier.Verify(t.Context(), []string{token()}, bound); fault.KindOf(err) != fault.Unavailable {
		t.Fatalf("%v, want unavailable", err)
	}
	host.answer(http.StatusOK)
	at.pass(2 * time.Minute)
	if err := verifier.Verify(t.Context(), []string{token()}, bound); err != nil {
		t.Fatal(err)
	}
	host.answer(http.StatusServiceUnavailable)
	at.pass(25 * time.Hour)
	if err := verifier.Verify(t.Context(), []string{token()}, bound); err != nil {
		t.Errorf("yesterday's key while the login host is away: %v", err)
	}
}

func TestAWithdrawnKeyIsForgottenWithinADay(t *testing.T) {
	host, verifier, at := newVerifier(t)
	if err := verifier.Verify(t.Context(), []string{sign(t, jwt.SigningMethodRS256, "k1", host.genuine("1.0", at.now()), pairs()[0].Key)}, bound); err != nil {
		t.Fatal(err)
	}
	host.publish("k2", &pairs()[1].Key.PublicKey)
	host.mu.Lock()
	delete(host.keys, "k1")
	host.mu.Unlock()
	at.pass(25 * time.Hour)
	old := sign(t, jwt.SigningMethodRS256, "k1", host.genuine("1.0", at.now()), pairs()[0].Key)
	if err := verifier.Verify(t.Context(), []string{old}, bound); fault.KindOf(err) != fault.Denied {
		t.Errorf("%v, want denied", err)
	}
}

func TestAFetchThatOurOwnEndCutOffDoesNotUseUpTheMinute(t *testing.T) {
	host, verifier, at := newVerifier(t)
	token := sign(t, jwt.SigningMethodRS256, "k1", host.genuine("1.0", at.now()), pairs()[0].Key)
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if err := verifier.Verify(ended, []string{token}, bound); fault.KindOf(err) != fault.Cancelled {
		t.Fatalf("%v, want cancelled", err)
	}
	if err := verifier.Verify(t.Context(), []string{token}, bound); err != nil {
		t.Error(err)
	}
}

func TestKeysAreNotFetchedFromWhereARedirectLeads(t *testing.T) {
	good := newLogin(t)
	moved := newLogin(t)
	moved.Config.Handler = http.RedirectHandler(good.URL+"/common/discovery/keys", http.StatusFound)
	verifier := notification.NewVerifier(notification.VerifierConfig{Login: moved.URL, Client: good.Client()})
	token := sign(t, jwt.SigningMethodRS256, "k1", good.genuine("1.0", time.Now()), pairs()[0].Key)
	if err := verifier.Verify(t.Context(), []string{token}, bound); fault.KindOf(err) != fault.Unavailable || good.count() != 0 {
		t.Errorf("%v after %d fetches elsewhere, want unavailable after none", err, good.count())
	}
}

func FuzzVerify(f *testing.F) {
	host, verifier, at := newVerifier(f)
	genuine := sign(f, jwt.SigningMethodRS256, "k1", host.genuine("1.0", at.now()), pairs()[0].Key)
	f.Add(genuine)
	f.Add(genuine[:len(genuine)-2])
	f.Add(sign(f, jwt.SigningMethodNone, "k1", host.genuine("1.0", at.now()), jwt.UnsafeAllowNoneSignatureType))
	f.Add("a.b.c")
	f.Add("eyJhbGciOiJSUzI1NiIsImtpZCI6ImsxIn0.e30.AA")
	f.Fuzz(func(t *testing.T, token string) {
		// A signature's unused low bits can be written in more than one way, so only
		// what is signed must be the genuine token's own.
		signed := func(s string) string { return s[:strings.LastIndex(s, ".")] }
		if err := verifier.Verify(t.Context(), []string{token}, bound); err == nil && signed(token) != signed(genuine) {
			t.Fatalf("believed: %q", token)
		}
	})
}

func BenchmarkVerify(b *testing.B) {
	host, verifier, at := newVerifier(b)
	token := []string{sign(b, jwt.SigningMethodRS256, "k1", host.genuine("1.0", at.now()), pairs()[0].Key)}
	for b.Loop() {
		if err := verifier.Verify(b.Context(), token, bound); err != nil {
			b.Fatal(err)
		}
	}
}
