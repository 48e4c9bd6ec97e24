package graphsim_test

import (
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/secret"
)

// beginDevice starts a sign-in and returns it with the question that polls.
func (s *sim) beginDevice(scope string) (begun reply, poll func() reply) {
	s.t.Helper()
	r, err := http.NewRequestWithContext(s.t.Context(), http.MethodPost, s.LoginURL()+"/"+contoso+"/oauth2/v2.0/devicecode",
		strings.NewReader(url.Values{"client_id": {otherApp}, "scope": {scope}}.Encode()))
	check(s.t, err)
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	begun = s.send(r)
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "client_id": {otherApp}, "device_code": {begun.text("device_code")}}
	return begun, func() reply { return s.login(contoso, form) }
}

func TestAPersonSignsInByDeviceCode(t *testing.T) {
	const scope = "https://graph.microsoft.us/Presence.Read.All offline_access"
	clock := newClock()
	s := start(t, func(c *graphsim.Config) { c.Now = clock.now })
	says := func(got reply, code string) {
		t.Helper()
		if got.code() != code {
			t.Errorf("%d %s, want %q", got.status, got.code(), code)
		}
	}
	begun, poll := s.beginDevice(scope)
	if begun.body["interval"] != 5.0 || begun.body["expires_in"] != 900.0 || len(s.contoso().Devices()) != 1 || s.contoso().Devices()[0].UserCode != begun.text("user_code") {
		t.Errorf("%v, waiting %v", begun.body, s.contoso().Devices())
	}
	says(poll(), "authorization_pending")
	says(poll(), "slow_down") // at once
	clock.add(5 * time.Second)
	says(poll(), "slow_down") // it is ten seconds now
	clock.add(15 * time.Second)
	says(poll(), "authorization_pending")
	check(t, s.contoso().ApproveDevice(begun.text("user_code"), "anna"))
	if got := poll(); got.status != http.StatusOK || got.text("refresh_token") == "" || got.text("scope") != "Presence.Read.All" {
		t.Errorf("%d %v", got.status, got.body)
	}
	says(poll(), "bad_verification_code")

	begun, poll = s.beginDevice(scope)
	check(t, s.contoso().DeclineDevice(begun.text("user_code")))
	if err := s.contoso().ApproveDevice(begun.text("user_code"), "anna"); err == nil {
		t.Error("what was declined was approved")
	}
	says(poll(), "authorization_declined")

	_, poll = s.beginDevice(scope)
	clock.add(15*time.Minute + time.Second)
	says(poll(), "expired_token")
	if waiting := s.contoso().Devices(); len(waiting) != 0 {
		t.Errorf("waiting: %v", waiting)
	}
}

func TestARefreshTokenEnds(t *testing.T) {
	clock := newClock()
	s := start(t, func(c *graphsim.Config) { c.Now = clock.now })
	newest := "first"
	use := func() string {
		t.Helper()
		got := s.login(contoso, url.Values{"grant_type": {"refresh_token"}, "client_id": {appID}, "client_secret": {"hush"}, "refresh_token": {newest}})
		if got.status != http.StatusOK {
			return got.code()
		}
		newest = got.text("refresh_token")
		return ""
	}
	signIn := func() {
		newest = "again"
		check(t, s.contoso().AddAccount(graphsim.Account{User: "zoe", RefreshToken: secret.NewValue(newest)}))
	}
	for _, each := range []struct {
		name string
		do   func()
		want string
	}{
		{"at once", func() {}, ""},
		{"after 90 days", func() { clock.add(90 * 24 * time.Hour) }, ""},
		{"after 90 more: each use counts anew", func() { clock.add(90 * 24 * time.Hour) }, ""},
		{"after 90 days and a second", func() { clock.add(90*24*time.Hour + time.Second) }, "invalid_grant"},
		{"after a new sign-in", signIn, ""},
		{"after a password change", func() { check(t, s.contoso().RevokeAccount("zoe")) }, "invalid_grant"},
		{"after another sign-in", signIn, ""},
		{"when a second factor is asked for", func() { check(t, s.contoso().RequireMFA("zoe")) }, "interaction_required"},
		{"and again", func() {}, "interaction_required"},
		{"after a sign-in with it", signIn, ""},
	} {
		each.do()
		if got := use(); got != each.want {
			t.Errorf("%s: %q, want %q", each.name, got, each.want)
		}
	}
	if err := s.contoso().RequireMFA("nobody"); err == nil {
		t.Error("nobody was found")
	}
}
