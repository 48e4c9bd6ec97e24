package graphsim

import (
	"crypto/rand"
	"crypto/subtle"
	"net/http"
	"slices"
	"strings"
	"time"

	"github.com/golang-jwt/jwt/v5"
)

const (
	assertionType = "urn:ietf:params:oauth:client-assertion-type:jwt-bearer" // RFC 7523 section 2.2
	deviceGrant   = "urn:ietf:params:oauth:grant-type:device_code"           // RFC 8628 section 3.4
	graphAudience = "https://graph.microsoft.com"
)

// serveToken is POST /{tenant}/oauth2/v2.0/token.
func (s *Server) serveToken(w http.ResponseWriter, r *http.Request) {
	ref := r.PathValue("tenant")
	t := s.Tenant(ref)
	if t == nil {
		writeLoginError(w, s.now(), errNoTenant(ref))
		return
	}
	if !t.passLogin(w, r) {
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	if err := r.ParseForm(); err != nil {
		writeLoginError(w, s.now(), loginErr(http.StatusBadRequest, "invalid_request", 9002313, "Invalid request. Request is malformed or invalid."))
		return
	}
	grants := map[string]func(*http.Request, *app) (any, *loginError){
		"client_credentials": t.clientCredentials, "refresh_token": t.refresh, deviceGrant: t.redeemDevice,
	}
	grant, ok := grants[r.PostForm.Get("grant_type")]
	if !ok {
		writeLoginError(w, s.now(), loginErr(http.StatusBadRequest, "unsupported_grant_type", 70003,
			"The app requested an unsupported grant type '%s'.", r.PostForm.Get("grant_type")))
		return
	}
	a := t.app(r.PostForm.Get("client_id"))
	if a == nil || r.PostForm.Get("client_id") == "" {
		writeLoginError(w, s.now(), loginErr(http.StatusBadRequest, "unauthorized_client", 700016,
			"Application with identifier '%s' was not found in the directory '%s'.", r.PostForm.Get("client_id"), t.name))
		return
	}
	body, failure := grant(r, a)
	if failure != nil {
		writeLoginError(w, s.now(), failure)
		return
	}
	w.Header().Set("Cache-Control", "no-store, no-cache")
	writeJSON(w, http.StatusOK, body)
}

// clientCredentials is RFC 6749 section 4.4 as Entra has it: the scope must be one
// resource and "/.default".
func (t *Tenant) clientCredentials(r *http.Request, a *app) (any, *loginError) {
	if err := t.authenticate(r, a); err != nil {
		return nil, err
	}
	// MSAL adds the OpenID scopes to every request; Entra overlooks them here.
	scope := strings.Join(slices.DeleteFunc(strings.Fields(r.PostForm.Get("scope")), func(s string) bool {
		return slices.Contains([]string{"openid", "profile", "offline_access"}, s)
	}), " ")
	audience, ok := strings.CutSuffix(scope, "/.default")
	if !ok || !graphResource(audience, r.Host) {
		return nil, loginErr(http.StatusBadRequest, "invalid_scope", 1002012, "The provided value for scope %s is not valid. "+
			"Client credential flows must have a scope value with /.default suffixed to the resource identifier (application ID URI).", scope)
	}
	life := t.server.config.TokenLife
	t.mu.RLock()
	roles := make([]string, 0, len(a.roles))
	for role, granted := range a.roles {
		if granted {
			roles = append(roles, role)
		}
	}
	t.mu.RUnlock()
	slices.Sort(roles)
	claims := t.accessClaims(a, graphAudience, life)
	claims["idtyp"], claims["roles"], claims["oid"] = "app", roles, guidOf("service principal "+a.ClientID)
	claims["sub"] = claims["oid"]
	return map[string]any{"token_type": "Bearer", "expires_in": int(life.Seconds()),
		"ext_expires_in": int(life.Seconds()), "access_token": t.server.keys.sign(claims)}, nil
}

// graphResource says whether resource is Graph: Microsoft's or the simulator itself.
func graphResource(resource, host string) bool {
	return resource == "https://"+host || slices.Contains([]string{graphAudience, "https://graph.microsoft.us",
		"https://dod-graph.microsoft.us", "https://microsoftgraph.chinacloudapi.cn", "00000003-0000-0000-c000-000000000000"}, resource)
}

func (t *Tenant) accessClaims(a *app, audience string, life time.Duration) jwt.MapClaims {
	now := t.server.now()
	return jwt.MapClaims{"aud": audience, "iss": t.server.issuer("1.0", t.id), "tid": t.id, "appid": a.ClientID,
		"ver": "1.0", "uti": rand.Text(), "nbf": now.Unix(), "iat": now.Unix(), "exp": now.Add(life).Unix()}
}

// refresh is RFC 6749 section 6 for a delegated account. Each use gives a new
// refresh token and ends the old one.
func (t *Tenant) refresh(r *http.Request, a *app) (any, *loginError) {
	if err := t.authenticateDelegated(r, a); err != nil {
		return nil, err
	}
	given := r.PostForm.Get("refresh_token")
	t.mu.Lock()
	defer t.mu.Unlock()
	for _, account := range t.accounts {
		if account.app != a || account.refresh == "" || subtle.ConstantTimeCompare([]byte(account.refresh), []byte(given)) != 1 {
			continue
		}
		switch now := t.server.now(); {
		case account.needsMFA:
			return nil, loginErr(http.StatusBadRequest, "interaction_required", 50076, "Due to a configuration change made by your administrator, or because you moved to a new location, you must use multi-factor authentication to access '%s'.", graphAudience)
		case now.Sub(account.issued) > refreshLife:
			return nil, loginErr(http.StatusBadRequest, "invalid_grant", 700082, "The refresh token has expired due to inactivity. The token was issued on %s and was inactive for 90.00:00:00.", account.issued.UTC().Format(time.RFC3339))
		}
		return t.delegatedTokens(account), nil
	}
	return nil, loginErr(http.StatusBadRequest, "invalid_grant", 70000, "Provided grant is invalid or malformed.")
}

// delegatedTokens signs an access token for account and replaces its refresh token.
// t.mu is held.
func (t *Tenant) delegatedTokens(account *account) any {
	life := t.server.config.TokenLife
	user := t.render(account.user)
	scopes := slices.DeleteFunc(slices.Clone(account.scopes), func(s string) bool { return s == "offline_access" })
	claims := t.accessClaims(account.app, graphAudience, life)
	claims["idtyp"], claims["scp"], claims["oid"], claims["upn"] = "user", strings.Join(scopes, " "), user.ID, user.UserPrincipalName
	claims["sub"] = claims["oid"]
	body := map[string]any{"token_type": "Bearer", "scope": strings.Join(scopes, " "), "expires_in": int(life.Seconds()),
		"ext_expires_in": int(life.Seconds()), "access_token": t.server.keys.sign(claims)}
	if slices.Contains(account.scopes, "offline_access") {
		account.issued = t.server.now()
		account.refresh = "1.A" + rand.Text() + rand.Text()
		body["refresh_token"] = account.refresh
	}
	return body
}

// refreshLife is how long a refresh token lives that nobody uses
// (learn.microsoft.com/entra/identity-platform/refresh-tokens).
const refreshLife = 90 * aDay

// RequireMFA makes the refresh tokens of a user answer interaction_required, as a
// new rule of the company does, until the user signs in anew.
func (t *Tenant) RequireMFA(user string) error {
	return t.eachAccount(user, func(a *account) { a.needsMFA = true })
}

// RevokeAccount ends a user's refresh tokens, as a password change does.
func (t *Tenant) RevokeAccount(user string) error {
	return t.eachAccount(user, func(a *account) { a.refresh = "" })
}

func (t *Tenant) eachAccount(user string, change func(*account)) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.lookup(user)
	if p == nil {
		return t.noUser(user)
	}
	for _, account := range t.accounts {
		if account.user == p {
			change(account)
		}
	}
	return nil
}
