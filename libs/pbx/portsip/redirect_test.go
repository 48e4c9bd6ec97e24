package portsip

import (
	"fmt"
	"io"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/portsipsim"
)

// redirects are the statuses with which an answer leads elsewhere (RFC 9110 section 15.4).
// With the last two a client that follows sends the body as well.
var redirects = []int{http.StatusMovedPermanently, http.StatusFound, http.StatusSeeOther, http.StatusTemporaryRedirect, http.StatusPermanentRedirect}

// Whoever answers may be a proxy that has other plans. The control: a client that follows
// redirects takes the token or the password elsewhere, with each call.
func TestNoTokenAndNoPasswordGoesToAnotherHost(t *testing.T) {
	for name, c := range map[string]struct {
		call   func(*testing.T, *Driver) error
		signIn bool // it is the sign-in that is led elsewhere
		bare   bool // it carries no secret until the other side has spoken
	}{
		"signing in": {signIn: true, call: func(t *testing.T, d *Driver) error {
			d.admin.current = tokens{}
			_, err := d.Status(t.Context(), "200")
			return err
		}},
		"refreshing": {signIn: true, call: func(t *testing.T, d *Driver) error {
			d.admin.current = tokens{access: d.admin.current.access, refresh: "a-refresh-token"}
			_, err := d.Status(t.Context(), "200")
			return err
		}},
		"a read":  {call: func(t *testing.T, d *Driver) error { _, err := d.Status(t.Context(), "200"); return err }},
		"a write": {call: func(t *testing.T, d *Driver) error { return d.change(t.Context(), "test", "id", members{}) }},
		"a deletion": {call: func(t *testing.T, d *Driver) error {
			failed, err := d.DeleteContacts(t.Context(), "", []string{"id"})
			if err == nil {
				err = failed["id"] // of which it must not be said that it is gone
			}
			return err
		}},
		"an entry of a user": {call: func(t *testing.T, d *Driver) error {
			_, err := d.CreateContact(t.Context(), "200", directory.Contact{LastName: "Abel"})
			return err
		}},
		"a presence of a user": {call: func(t *testing.T, d *Driver) error { return d.setPresence(t.Context(), "test", "200", presence.Lunch) }},
		"a photo": {call: func(t *testing.T, d *Driver) error {
			return portrayed{d}.SetPhoto(t.Context(), "200", []byte("a picture"), "image/png")
		}},
		"a watch": {bare: true, call: func(t *testing.T, d *Driver) error { return d.Watch(t.Context(), func(pbx.WatchEvent) {}) }},
	} {
		t.Run(name, func(t *testing.T) {
			for _, follows := range []bool{false, true} {
				sim, d, other := tempted(t)
				if follows {
					d.wire.client.CheckRedirect = nil
				}
				only := ""
				if c.signIn {
					only = "sign-in"
				}
				for _, status := range redirects {
					before := other.visits.Load()
					sim.Inject(portsipsim.Fault{Kind: portsipsim.Elsewhere, To: other.url, Status: status, Only: only})
					err := c.call(t, d)
					sim.ClearFaults()
					switch visited := other.visits.Load() > before; {
					case follows && !visited:
						t.Errorf("%d: the control went nowhere: %v", status, err)
					case !follows && visited:
						t.Errorf("%d: the other host was visited", status)
					case !follows && (err == nil || fault.KindOf(err) != fault.Invalid || !strings.Contains(err.Error(), fmt.Sprint("HTTP ", status))):
						t.Errorf("%d: %v", status, err)
					}
				}
				if took := other.secrets.Load() > 0; took != (follows && !c.bare) {
					t.Errorf("follows %v: a secret was taken elsewhere: %v", follows, took)
				}
			}
		})
	}
}

// other is another host, with a certificate that is trusted.
type other struct {
	url             string
	visits, secrets atomic.Int32
}

// tempted is a driver that has signed in as everybody, and a host that nobody configured.
func tempted(t *testing.T) (*portsipsim.Sim, *Driver, *other) {
	sim := start(t, portsipsim.Config{Extensions: 1})
	_, ours := sim.CredentialsOf("200")
	o := new(other)
	server := httptest.NewTLSServer(http.HandlerFunc(func(_ http.ResponseWriter, r *http.Request) {
		o.visits.Add(1)
		body, _ := io.ReadAll(r.Body)
		if r.Header.Get("Authorization") != "" || strings.Contains(string(body), "password") || strings.Contains(string(body), "refresh_token") || strings.Contains(string(body), ours.Reveal()) {
			o.secrets.Add(1)
		}
	}))
	t.Cleanup(server.Close)
	o.url = server.URL
	config := configFor(sim, "200")
	config.Statuses, config.Partial, config.Timeout = ByOwn, true, 10*time.Second
	config.Authorities = config.Authorities.Clone()
	config.Authorities.AddCert(server.Certificate())
	d := open(t, config)
	if err := d.SetStatus(t.Context(), "200", presence.Away); err != nil { // signs in as the user
		t.Fatal(err)
	}
	return sim, d, o
}
