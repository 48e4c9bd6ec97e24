package graphsim

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"strings"
	"time"
)

// deviceSignIn is a device-code sign-in under way (RFC 8628).
type deviceSignIn struct {
	app      *app
	userCode string
	scopes   []string
	expires  time.Time
	approved *person // nil until a person has signed in
}

const deviceLife = 15 * time.Minute

// serveDevice is POST /{tenant}/oauth2/v2.0/devicecode.
func (s *Server) serveDevice(w http.ResponseWriter, r *http.Request) {
	ref := r.PathValue("tenant")
	t := s.Tenant(ref)
	if t == nil {
		writeLoginError(w, s.now(), errNoTenant(ref))
		return
	}
	r.Body = http.MaxBytesReader(w, r.Body, 1<<20)
	clientID := r.PostFormValue("client_id")
	a := t.app(clientID)
	if a == nil || clientID == "" {
		writeLoginError(w, s.now(), loginErr(http.StatusBadRequest, "unauthorized_client", 700016,
			"Application with identifier '%s' was not found in the directory '%s'.", clientID, t.name))
		return
	}
	code := rand.Text()
	sign := &deviceSignIn{app: a, userCode: rand.Text()[:9], expires: s.now().Add(deviceLife)}
	for _, scope := range strings.Fields(r.PostFormValue("scope")) {
		sign.scopes = append(sign.scopes, strings.TrimPrefix(scope, graphAudience+"/"))
	}
	t.mu.Lock()
	t.devices[code] = sign
	t.mu.Unlock()
	verify := "https://" + r.Host + "/common/oauth2/deviceauth"
	writeJSON(w, http.StatusOK, map[string]any{"device_code": code, "user_code": sign.userCode,
		"verification_uri": verify, "expires_in": int(deviceLife.Seconds()), "interval": 5,
		"message": fmt.Sprintf("To sign in, use a web browser to open the page %s and enter the code %s to authenticate.", verify, sign.userCode)})
}

// ApproveDevice is the person at the browser: user enters userCode and consents.
func (t *Tenant) ApproveDevice(userCode, user string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.lookup(user)
	if p == nil {
		return t.noUser(user)
	}
	for _, sign := range t.devices {
		if strings.EqualFold(sign.userCode, userCode) {
			sign.approved = p
			return nil
		}
	}
	return fmt.Errorf("user code %q: %w (it was used, or never given out)", userCode, ErrNotFound)
}

func (t *Tenant) redeemDevice(r *http.Request, a *app) (any, *loginError) {
	if err := t.authenticateDelegated(r, a); err != nil {
		return nil, err
	}
	t.mu.Lock()
	defer t.mu.Unlock()
	code := r.PostForm.Get("device_code")
	sign := t.devices[code]
	switch {
	case sign == nil || sign.app != a:
		return nil, loginErr(http.StatusBadRequest, "bad_verification_code", 70019, "The verification code was not recognised.")
	case t.server.now().After(sign.expires):
		return nil, loginErr(http.StatusBadRequest, "expired_token", 70020, "The provided value for the input parameter 'device_code' is not valid. This device code has expired.")
	case sign.approved == nil:
		return nil, loginErr(http.StatusBadRequest, "authorization_pending", 70016, "OAuth 2.0 device flow error. Authorization is pending. Continue polling.")
	}
	delete(t.devices, code)
	account := &account{user: sign.approved, app: a, scopes: sign.scopes}
	t.sign(account)
	return t.delegatedTokens(account), nil
}
