package graphsim

import (
	"crypto/rand"
	"fmt"
	"net/http"
	"slices"
	"strings"
	"time"
)

// deviceSignIn is a device-code sign-in under way (RFC 8628).
type deviceSignIn struct {
	app      *app
	userCode string
	scopes   []string
	expires  time.Time
	approved *person       // nil until a person has signed in
	declined bool          // the person said no
	interval time.Duration // between two questions at least
	asked    time.Time     // last question, or zero
}

// The figures of a sign-in, divided by Config.TimeScale: how long a code is good, how
// often it may be asked about, and what slow_down adds (RFC 8628 section 3.5).
const (
	deviceLife     = 15 * time.Minute
	deviceInterval = 5 * time.Second
)

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
	if !t.passLogin(w, r) {
		return
	}
	if a == nil || clientID == "" {
		writeLoginError(w, s.now(), loginErr(http.StatusBadRequest, "unauthorized_client", 700016,
			"Application with identifier '%s' was not found in the directory '%s'.", clientID, t.name))
		return
	}
	code := rand.Text()
	sign := &deviceSignIn{app: a, userCode: rand.Text()[:9], expires: s.now().Add(s.config.scaled(deviceLife)), interval: s.config.scaled(deviceInterval)}
	for _, scope := range strings.Fields(r.PostFormValue("scope")) {
		// Each cloud has its own name for its Graph.
		sign.scopes = append(sign.scopes, scope[strings.LastIndex(scope, "/")+1:])
	}
	t.mu.Lock()
	t.devices[code] = sign
	t.mu.Unlock()
	verify := "https://" + r.Host + "/common/oauth2/deviceauth"
	writeJSON(w, http.StatusOK, map[string]any{"device_code": code, "user_code": sign.userCode,
		"verification_uri": verify, "expires_in": s.config.scaled(deviceLife).Seconds(), "interval": sign.interval.Seconds(),
		"message": fmt.Sprintf("To sign in, use a web browser to open the page %s and enter the code %s to authenticate.", verify, sign.userCode)})
}

// serveDevicePage is where a person would enter the code. There is none here.
func serveDevicePage(w http.ResponseWriter, _ *http.Request) {
	w.Header().Set("Content-Type", "text/plain; charset=utf-8")
	fmt.Fprintln(w, "This is a simulator. Be the person who signs in with `offhook sim device approve CODE USER`, or says no with `offhook sim device decline CODE`.")
}

// ApproveDevice is the person at the browser: user enters userCode and consents.
func (t *Tenant) ApproveDevice(userCode, user string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	p := t.lookup(user)
	if p == nil {
		return t.noUser(user)
	}
	sign := t.device(userCode)
	if sign == nil {
		return noDevice(userCode)
	}
	sign.approved = p
	return nil
}

// DeclineDevice is the person at the browser who says no.
func (t *Tenant) DeclineDevice(userCode string) error {
	t.mu.Lock()
	defer t.mu.Unlock()
	sign := t.device(userCode)
	if sign == nil {
		return noDevice(userCode)
	}
	sign.declined = true
	return nil
}

// device finds a sign-in that nobody has answered yet, or nil. t.mu is held.
func (t *Tenant) device(userCode string) *deviceSignIn {
	for _, sign := range t.devices {
		if strings.EqualFold(sign.userCode, userCode) && sign.approved == nil && !sign.declined && t.server.now().Before(sign.expires) {
			return sign
		}
	}
	return nil
}

func noDevice(userCode string) error {
	return fmt.Errorf("user code %q: %w (it was used, has ended, or was never given out)", userCode, ErrNotFound)
}

// Device is a sign-in that waits for its person.
type Device struct {
	UserCode string    `json:"userCode"`
	ClientID string    `json:"clientId"`
	Scopes   []string  `json:"scopes"`
	Expires  time.Time `json:"expires"`
}

// Devices lists the sign-ins that wait for their persons, the oldest first.
func (t *Tenant) Devices() []Device {
	t.mu.RLock()
	defer t.mu.RUnlock()
	list := []Device{}
	for _, sign := range t.devices {
		if t.device(sign.userCode) == sign {
			list = append(list, Device{sign.userCode, sign.app.ClientID, sign.scopes, sign.expires})
		}
	}
	slices.SortFunc(list, func(a, b Device) int { return a.Expires.Compare(b.Expires) })
	return list
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
	case sign.declined:
		delete(t.devices, code)
		return nil, loginErr(http.StatusBadRequest, "authorization_declined", 70000, "The end user denied the authorization request.")
	case sign.approved == nil && t.tooSoon(sign):
		return nil, loginErr(http.StatusBadRequest, "slow_down", 70016, "OAuth 2.0 device flow error. Polling too often; slow down.")
	case sign.approved == nil:
		return nil, loginErr(http.StatusBadRequest, "authorization_pending", 70016, "OAuth 2.0 device flow error. Authorization is pending. Continue polling.")
	}
	delete(t.devices, code)
	account := &account{user: sign.approved, app: a, scopes: sign.scopes}
	t.sign(account)
	return t.delegatedTokens(account), nil
}

// tooSoon says whether a sign-in was asked about within its interval, and makes the
// interval longer if so. t.mu is held.
func (t *Tenant) tooSoon(sign *deviceSignIn) bool {
	now := t.server.now()
	soon := !sign.asked.IsZero() && now.Sub(sign.asked) < sign.interval
	if sign.asked = now; soon {
		sign.interval += t.server.config.scaled(deviceInterval)
	}
	return soon
}
