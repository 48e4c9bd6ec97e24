package msgraph

import (
	"context"
	"crypto/x509"
	"encoding/json"
	"errors"
	"net/http"
	"net/url"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/secret"
)

const (
	deviceInterval = 5 * time.Second // between questions where the login host names none, and added when it says slow_down (RFC 8628 section 3.5)
	deviceGrant    = "urn:ietf:params:oauth:grant-type:device_code"
)

// DeviceConfig says where an account is to sign in, and to what.
type DeviceConfig struct {
	Directory string // directory id, a GUID
	ClientID  string // application id; the registration allows public client flows
	Cloud     graph.Cloud
	Roots     *x509.CertPool // who vouches for the login host; nil is the system
}

// DeviceSignIn is a sign-in under way: a person opens VerificationURL on any
// device, enters UserCode and signs in there, with whatever second factor their
// company asks for.
// https://learn.microsoft.com/entra/identity-platform/v2-oauth2-device-code
type DeviceSignIn struct {
	UserCode        string
	VerificationURL string    // https; to be shown, Offhook itself never opens it
	Expires         time.Time // when UserCode ends

	config   DeviceConfig
	client   *http.Client
	code     secret.Value
	interval time.Duration
	slower   time.Duration // what slow_down adds to interval
}

// SignedIn is who has signed in.
type SignedIn struct {
	Refresh secret.Value  // for a graph.RefreshStore
	User    identity.User // "" if the token does not say
	Name    string        // user principal name, or ""; to be shown
}

// StartDeviceSignIn asks the login host of the cloud for a code.
func StartDeviceSignIn(ctx context.Context, c DeviceConfig) (*DeviceSignIn, error) {
	const op = "sign in by device code"
	switch {
	case !guid.MatchString(c.Directory):
		return nil, fault.Errorf(fault.Invalid, op, "directory id %q is not a GUID", c.Directory)
	case !guid.MatchString(c.ClientID):
		return nil, fault.Errorf(fault.Invalid, op, "client id %q is not a GUID", c.ClientID)
	case c.Cloud.Login == "":
		return nil, fault.New(fault.Invalid, op, errors.New("cloud is not set (graph.CloudNamed)"))
	}
	d := &DeviceSignIn{config: c, client: loginClient(newTransport(c.Roots)), slower: deviceInterval}
	if err := d.start(ctx); err != nil {
		d.Close()
		return nil, classify(op, err)
	}
	return d, nil
}

// Close drops idle connections.
func (d *DeviceSignIn) Close() { d.client.CloseIdleConnections() }

func (d *DeviceSignIn) start(ctx context.Context) error {
	began := time.Now()
	form := url.Values{"client_id": {d.config.ClientID}, "scope": {d.config.Cloud.Qualify(DelegatedScope)}}
	status, header, body, err := postForm(ctx, d.client, d.endpoint("devicecode"), form)
	if err != nil {
		return err
	}
	if status != http.StatusOK {
		return loginAnswer(status, header, body)
	}
	var answer struct {
		Device   string  `json:"device_code"`
		User     string  `json:"user_code"`
		Verify   string  `json:"verification_uri"`
		Life     float64 `json:"expires_in"` // seconds
		Interval float64 `json:"interval"`   // seconds
	}
	if json.Unmarshal(body, &answer) != nil || answer.Device == "" || answer.User == "" || answer.Life <= 0 {
		return fault.New(fault.Unknown, "", errors.New("login answered without a code"))
	}
	// A person will open it and type a password there.
	if at, err := url.Parse(answer.Verify); err != nil || at.Scheme != "https" || at.Host == "" || at.User != nil {
		return fault.New(fault.Unknown, "", errors.New("login answered without an https page to sign in at"))
	}
	d.code, d.UserCode, d.VerificationURL = secret.NewValue(answer.Device), answer.User, answer.Verify
	d.Expires = began.Add(seconds(answer.Life))
	if d.interval = seconds(answer.Interval); d.interval <= 0 {
		d.interval = deviceInterval
	}
	return nil
}

// seconds is a duration of up to an hour.
func seconds(n float64) time.Duration {
	return time.Duration(min(max(n, 0), maxDelay.Seconds()) * float64(time.Second))
}

func (d *DeviceSignIn) endpoint(name string) string {
	return d.config.Cloud.Login + "/" + d.config.Directory + "/oauth2/v2.0/" + name
}

// Wait asks until the person has signed in. It returns fault.Denied if they
// refused or may not, fault.Gone if the code ended first: start again.
func (d *DeviceSignIn) Wait(ctx context.Context) (SignedIn, error) {
	const op = "sign in by device code"
	for {
		if time.Until(d.Expires) < d.interval {
			return SignedIn{}, fault.New(fault.Gone, op, errors.New("nobody signed in before the code ended; start again"))
		}
		if err := sleep(ctx, d.interval); err != nil {
			return SignedIn{}, classify(op, err)
		}
		who, done, err := d.ask(ctx)
		if done || err != nil {
			return who, classify(op, err)
		}
	}
}

// ask asks once. A login host that cannot be reached is asked again.
func (d *DeviceSignIn) ask(ctx context.Context) (who SignedIn, done bool, err error) {
	form := url.Values{"client_id": {d.config.ClientID}, "grant_type": {deviceGrant}, "device_code": {d.code.Reveal()}}
	status, header, body, err := postForm(ctx, d.client, d.endpoint("token"), form)
	switch {
	case ctx.Err() != nil:
		return SignedIn{}, false, ctx.Err()
	case err != nil:
		return SignedIn{}, false, d.passing(err)
	case status == http.StatusOK:
		who, err = signedIn(body)
		return who, true, err
	}
	var answer struct {
		Error string `json:"error"`
	}
	if json.Unmarshal(body, &answer) != nil {
		answer.Error = ""
	}
	switch answer.Error {
	case "authorization_pending":
		return SignedIn{}, false, nil
	case "slow_down":
		d.interval += d.slower
		return SignedIn{}, false, nil
	case "expired_token", "code_expired":
		return SignedIn{}, false, fault.New(fault.Gone, "", errors.New("nobody signed in before the code ended; start again"))
	}
	return SignedIn{}, false, d.passing(loginAnswer(status, header, body))
}

// passing returns nil for what passes by itself, and asks less often then.
func (d *DeviceSignIn) passing(err error) error {
	switch fault.KindOf(err) {
	case fault.Throttled, fault.Unavailable:
		d.interval += min(max(d.slower, fault.RetryAfter(err)), time.Minute)
		return nil
	}
	return err
}

func signedIn(body []byte) (SignedIn, error) {
	var answer tokenAnswer
	if json.Unmarshal(body, &answer) != nil || answer.Access == "" {
		return SignedIn{}, fault.New(fault.Unknown, "", errors.New("login answered without an access token"))
	}
	if answer.Refresh == "" {
		return SignedIn{}, fault.New(fault.Denied, "", errors.New("login gave no refresh token: the app needs the permission offline_access"))
	}
	who := SignedIn{Refresh: secret.NewValue(answer.Refresh)}
	// The token came from the login host itself; who it names is only shown.
	if claims, err := claimsOf(secret.NewValue(answer.Access)); err == nil {
		who.Name = claims.Name
		if user, err := identity.ParseUser(claims.User); err == nil {
			who.User = user
		}
	}
	return who, nil
}
