package graphsim_test

import (
	"encoding/base64"
	"net/http"
	"net/url"
	"strings"
	"testing"
	"time"

	"github.com/golang-jwt/jwt/v5"

	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/secret"
)

func TestClientAssertions(t *testing.T) {
	s := start(t, nil)
	own, foreign := appKeys()[0], appKeys()[1]
	thumbprint := func(name, value string) func(map[string]any, jwt.MapClaims) {
		return func(header map[string]any, _ jwt.MapClaims) {
			delete(header, "x5t#S256")
			header[name] = value
		}
	}
	claim := func(name string, value any) func(map[string]any, jwt.MapClaims) {
		return func(_ map[string]any, claims jwt.MapClaims) { claims[name] = value }
	}
	cases := []struct {
		name   string
		pair   secret.KeyPair
		method jwt.SigningMethod
		edit   func(map[string]any, jwt.MapClaims)
		aadsts string // "" is success
	}{
		{"PS256 with x5t#S256 in base64url", own, jwt.SigningMethodPS256, nil, ""},
		{"PS256 with x5t#S256 in standard base64, padded", own, jwt.SigningMethodPS256,
			thumbprint("x5t#S256", base64.StdEncoding.EncodeToString(sha256Of(own))), ""},
		{"RS256 with x5t", own, jwt.SigningMethodRS256, thumbprint("x5t", base64.RawURLEncoding.EncodeToString(sha1Of(own))), ""},
		{"RS256 with x5t in standard base64", own, jwt.SigningMethodRS256, thumbprint("x5t", base64.StdEncoding.EncodeToString(sha1Of(own))), ""},
		{"an audience by domain", own, jwt.SigningMethodPS256, claim("aud", s.tokenURL("contoso.example")), ""},
		{"the clocks differ a little", own, jwt.SigningMethodPS256, claim("nbf", time.Now().Add(time.Minute).Unix()), ""},
		{"a certificate that is not registered", foreign, jwt.SigningMethodPS256, nil, "AADSTS700027"},
		{"a foreign key under the registered thumbprint", foreign, jwt.SigningMethodPS256,
			thumbprint("x5t#S256", base64.RawURLEncoding.EncodeToString(sha256Of(own))), "AADSTS700027"},
		{"PS384", own, jwt.SigningMethodPS384, nil, "AADSTS700027"},
		{"no thumbprint", own, jwt.SigningMethodPS256, thumbprint("kid", "1"), "AADSTS700027"},
		{"expired", own, jwt.SigningMethodPS256, claim("exp", time.Now().Add(-time.Hour).Unix()), "AADSTS700024"},
		{"not yet valid", own, jwt.SigningMethodPS256, claim("nbf", time.Now().Add(time.Hour).Unix()), "AADSTS700024"},
		{"without exp", own, jwt.SigningMethodPS256, claim("exp", nil), "AADSTS50027"},
		{"for another tenant", own, jwt.SigningMethodPS256, claim("aud", s.tokenURL(fabrikam)), "AADSTS700023"},
		{"for another host", own, jwt.SigningMethodPS256, claim("aud", "https://login.example/"+contoso+"/oauth2/v2.0/token"), "AADSTS700023"},
		{"another issuer", own, jwt.SigningMethodPS256, claim("iss", otherApp), "AADSTS700021"},
		{"another subject", own, jwt.SigningMethodPS256, claim("sub", otherApp), "AADSTS700021"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			got := s.login(contoso, url.Values{"grant_type": {"client_credentials"}, "client_id": {appID},
				"scope":                 {"https://graph.microsoft.com/.default"},
				"client_assertion_type": {"urn:ietf:params:oauth:client-assertion-type:jwt-bearer"},
				"client_assertion":      {assertion(c.pair, c.method, s.tokenURL(contoso), c.edit)}})
			checkLogin(t, got, c.aadsts)
		})
	}
}

// checkLogin compares with an AADSTS code, "" for success.
func checkLogin(t *testing.T, got reply, aadsts string) {
	t.Helper()
	if aadsts == "" {
		if got.status != http.StatusOK || got.text("access_token") == "" {
			t.Fatalf("got %d %s, want a token", got.status, got.message())
		}
		return
	}
	if got.status < 400 || !strings.HasPrefix(got.message(), aadsts+":") {
		t.Fatalf("got %d %s, want %s", got.status, got.message(), aadsts)
	}
	codes, _ := got.body["error_codes"].([]any)
	if len(codes) != 1 || got.code() == "" || got.text("correlation_id") == "" {
		t.Errorf("not the shape of an Entra error: %v", got.body)
	}
}

func TestTokenRequests(t *testing.T) {
	s := start(t, nil)
	with := func(form url.Values, name, value string) url.Values {
		form.Set(name, value)
		return form
	}
	cases := []struct {
		name, tenant string
		form         url.Values
		aadsts       string
	}{
		{"the secret", contoso, secretForm(appID), ""},
		{"the tenant by its domain", "contoso.example", secretForm(appID), ""},
		{"Graph by the simulator's own name", contoso, with(secretForm(appID), "scope", s.GraphURL()+"/.default"), ""},
		{"a wrong secret", contoso, with(secretForm(appID), "client_secret", "wrong"), "AADSTS7000215"},
		{"no credential", contoso, with(secretForm(appID), "client_secret", ""), "AADSTS7000218"},
		{"a public client gets no application token", contoso, with(secretForm(otherApp), "client_secret", ""), "AADSTS7000218"},
		{"an unknown app", contoso, secretForm("cccccccc-cccc-4ccc-8ccc-cccccccccccc"), "AADSTS700016"},
		{"no app", contoso, secretForm(""), "AADSTS700016"},
		{"an unknown tenant", "nowhere.example", secretForm(appID), "AADSTS90002"},
		{"a single permission as scope", contoso, with(secretForm(appID), "scope", "https://graph.microsoft.com/User.Read.All"), "AADSTS1002012"},
		{"another resource", contoso, with(secretForm(appID), "scope", "https://elsewhere.example/.default"), "AADSTS1002012"},
		{"another grant", contoso, with(secretForm(appID), "grant_type", "password"), "AADSTS70003"},
		{"an unknown refresh token", contoso, with(with(secretForm(appID), "grant_type", "refresh_token"), "refresh_token", "x"), "AADSTS70000"},
		{"an empty refresh token", contoso, with(secretForm(appID), "grant_type", "refresh_token"), "AADSTS70000"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) { checkLogin(t, s.login(c.tenant, c.form), c.aadsts) })
	}
}

func TestARefreshTokenIsGoodOnce(t *testing.T) {
	s := start(t, nil)
	form := func(token string) url.Values {
		return url.Values{"grant_type": {"refresh_token"}, "client_id": {appID}, "client_secret": {"hush"}, "refresh_token": {token}}
	}
	first := s.login(contoso, form("first"))
	checkLogin(t, first, "")
	if first.text("scope") != "Presence.Read.All User.Read" {
		t.Errorf("scope %q", first.text("scope"))
	}
	if me := s.graph("GET", "/me", first.text("access_token"), nil); me.text("userPrincipalName") != "zoe@contoso.example" {
		t.Errorf("the token is not zoe's: %v", me.body)
	}
	checkLogin(t, s.login(contoso, form("first")), "AADSTS70000")
	second := s.login(contoso, form(first.text("refresh_token")))
	checkLogin(t, second, "")
	if err := s.contoso().RevokeAccount("zoe"); err != nil {
		t.Fatal(err)
	}
	checkLogin(t, s.login(contoso, form(second.text("refresh_token"))), "AADSTS70000")
}

func TestDeviceCode(t *testing.T) {
	s := start(t, nil)
	r, err := http.NewRequestWithContext(t.Context(), http.MethodPost, s.LoginURL()+"/"+contoso+"/oauth2/v2.0/devicecode",
		strings.NewReader(url.Values{"client_id": {otherApp}, "scope": {"https://graph.microsoft.com/Presence.Read.All offline_access"}}.Encode()))
	if err != nil {
		t.Fatal(err)
	}
	r.Header.Set("Content-Type", "application/x-www-form-urlencoded")
	begun := s.send(r)
	form := url.Values{"grant_type": {"urn:ietf:params:oauth:grant-type:device_code"}, "client_id": {otherApp}, "device_code": {begun.text("device_code")}}
	checkLogin(t, s.login(contoso, form), "AADSTS70016")
	if err := s.contoso().ApproveDevice("nonsense", "anna"); err == nil {
		t.Error("a wrong user code was approved")
	}
	if err := s.contoso().ApproveDevice(begun.text("user_code"), "anna"); err != nil {
		t.Fatal(err)
	}
	got := s.login(contoso, form)
	checkLogin(t, got, "")
	if got.text("refresh_token") == "" || got.text("scope") != "Presence.Read.All" {
		t.Errorf("got %v", got.body)
	}
	checkLogin(t, s.login(contoso, form), "AADSTS70019")
}

func TestMetadataAndKeys(t *testing.T) {
	s := start(t, nil)
	get := func(url string) reply {
		r, err := http.NewRequestWithContext(t.Context(), http.MethodGet, url, nil)
		if err != nil {
			t.Fatal(err)
		}
		return s.send(r)
	}
	cases := []struct{ path, issuer, keys string }{
		{"/" + contoso + "/v2.0", s.LoginURL() + "/" + contoso + "/v2.0", "/" + contoso + "/discovery/v2.0/keys"},
		{"/common/v2.0", s.LoginURL() + "/{tenantid}/v2.0", "/common/discovery/v2.0/keys"},
		{"/common", "https://sts.windows.net/{tenantid}/", "/common/discovery/keys"},
	}
	for _, c := range cases {
		got := get(s.LoginURL() + c.path + "/.well-known/openid-configuration")
		if got.text("issuer") != c.issuer || got.text("jwks_uri") != s.LoginURL()+c.keys {
			t.Errorf("%s: issuer %s, keys %s", c.path, got.text("issuer"), got.text("jwks_uri"))
		}
		if keys, _ := get(got.text("jwks_uri")).body["keys"].([]any); len(keys) != 1 {
			t.Errorf("%s: %d keys", c.path, len(keys))
		}
	}
	if got := get(s.LoginURL() + "/nowhere/v2.0/.well-known/openid-configuration"); got.status != http.StatusBadRequest {
		t.Errorf("an unknown tenant has metadata: %d", got.status)
	}
	token := s.appToken(contoso)
	if err := s.RotateSigningKey(); err != nil {
		t.Fatal(err)
	}
	if keys, _ := get(s.LoginURL() + "/common/discovery/keys").body["keys"].([]any); len(keys) != 2 {
		t.Errorf("%d keys after a rotation, want the old one too", len(keys))
	}
	if got := s.graph("GET", "/users", token, nil); got.status != http.StatusOK {
		t.Errorf("a token of before the rotation: %d", got.status)
	}
}

func TestConfigProblemsAreReportedTogether(t *testing.T) {
	_, err := graphsim.Start(t.Context(), graphsim.Config{TimeScale: -1, Tenants: []graphsim.TenantConfig{
		{DirectoryID: "x", Domain: "Contoso", Users: -1, Apps: []graphsim.App{{ClientID: "y"}}, Switches: graphsim.Switches{Casing: "upper"}}}})
	if err == nil {
		t.Fatal("started")
	}
	for _, part := range []string{"time scale", "directory id", "domain", "-1 users", "client id", "casing"} {
		if !strings.Contains(err.Error(), part) {
			t.Errorf("%q is missing in %v", part, err)
		}
	}
}
