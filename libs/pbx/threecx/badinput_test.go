package threecx

import (
	"crypto/tls"
	"net/http"
	"net/http/httptest"
	"strings"
	"sync/atomic"
	"testing"
	"unicode/utf16"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx/pbxsim"
)

// served is a server with a certificate of the tests' authority for a name.
func served(t *testing.T, name string, handler http.Handler) *httptest.Server {
	t.Helper()
	certificate, err := authority.Issue(name)
	if err != nil {
		t.Fatal(err)
	}
	server := httptest.NewUnstartedServer(handler)
	server.TLS = &tls.Config{Certificates: []tls.Certificate{certificate}}
	server.StartTLS()
	t.Cleanup(server.Close)
	return server
}

func TestMisbehaviourIsClassified(t *testing.T) {
	for kind, c := range map[pbxsim.FaultKind]struct {
		read, write, made fault.Kind // 0: success
		done              bool       // the write, which shows
	}{
		pbxsim.Truncated:   {fault.Unavailable, fault.Timeout, fault.Timeout, true},
		pbxsim.Huge:        {fault.Unavailable, fault.Timeout, fault.Timeout, false},
		pbxsim.Garbage:     {fault.Unavailable, fault.Timeout, fault.Timeout, false},
		pbxsim.ErrorInside: {fault.Unavailable, fault.Timeout, fault.Timeout, false},
		pbxsim.LostAnswer:  {fault.Unavailable, fault.Timeout, fault.Timeout, true},
		pbxsim.Latin:       {fault.Unavailable, 0, fault.Timeout, true},
		pbxsim.Forget:      {0, 0, 0, false},
	} {
		t.Run(string(kind), func(t *testing.T) {
			sim := start(t, pbxsim.Config{People: []pbxsim.Person{{FirstName: "Zo\u00eb", LastName: "M\u00fcller"}}})
			d := open(t, sim)
			if err := d.SetStatus(t.Context(), "200", presence.Away); err != nil {
				t.Fatal(err)
			}
			sim.Inject(pbxsim.Fault{Kind: kind})
			is := func(what string, err error, want fault.Kind) {
				t.Helper()
				if (err != nil) != (want != 0) || err != nil && fault.KindOf(err) != want {
					t.Errorf("%s: got %v, want %v", what, err, want)
				}
			}
			var names []string
			err := d.Extensions(t.Context(), func(e directory.Extension) error {
				names = append(names, e.FirstName)
				return nil
			})
			is("a listing", err, c.read)
			if strings.Contains(strings.Join(names, ""), "\ufffd") {
				t.Errorf("names were changed on the way: %q", names)
			}
			is("a write", d.SetStatus(t.Context(), "200", presence.DND), c.write)
			_, err = d.CreateContact(t.Context(), "", directory.Contact{LastName: "\u00c5ngstr\u00f6m"})
			is("an entry", err, c.made)
			sim.ClearFaults()
			want := presence.Away
			if c.done {
				want = presence.DND
			}
			if status, err := d.Status(t.Context(), "200"); err != nil || status != want {
				t.Errorf("read is %v, %v", status, err)
			}
			if shown, _ := sim.Shown("200"); shown.Status != want {
				t.Errorf("shown is %v", shown.Status)
			}
		})
	}
}

func TestACharsetThatIsNotJSONsIsNotGuessed(t *testing.T) {
	user := `{"Id":21,"Number":"200","CurrentProfileName":"Away"}`
	wide := func(order func(uint16) []byte) string {
		var text []byte
		for _, unit := range utf16.Encode([]rune(user)) {
			text = append(text, order(unit)...)
		}
		return string(text)
	}
	for name, answer := range map[string]string{
		"UTF-16, the large end first": wide(func(u uint16) []byte { return []byte{byte(u >> 8), byte(u)} }),
		"UTF-16, the small end first": wide(func(u uint16) []byte { return []byte{byte(u), byte(u >> 8)} }),
		"ISO 8859-1":                  strings.Replace(user, "Away", "Au\xdfer Haus", 1),
		"a byte order mark":           "\xef\xbb\xbf" + user,
	} {
		d := scripted(t, "/xapi/v1/Users(Number='200')", func(w http.ResponseWriter, _ *http.Request) { w.Write([]byte(answer)) })
		if status, err := d.Status(t.Context(), "200"); fault.KindOf(err) != fault.Unavailable || err == nil || status != presence.Unset {
			t.Errorf("%s: %v, %v", name, status, err)
		}
	}
}

func TestACertificateForAnotherNameIsDenied(t *testing.T) {
	var asked atomic.Int32
	server := served(t, "pbx.fabrikam.example", http.HandlerFunc(func(http.ResponseWriter, *http.Request) { asked.Add(1) }))
	config := configFor(start(t, pbxsim.Config{Extensions: 1}))
	config.URL = server.URL
	if _, err := Open(t.Context(), config); fault.KindOf(err) != fault.Denied || !strings.Contains(err.Error(), "certificate is not trusted") {
		t.Errorf("got %v", err)
	}
	if asked.Load() != 0 {
		t.Error("it was asked all the same")
	}
}

// Whoever answers may be a proxy that has other plans. The control: a client that follows
// redirects takes the secret or the token elsewhere, with the same server and each call.
func TestNeitherTheSecretNorTheTokenGoesToAnotherHost(t *testing.T) {
	calls := map[string]func(*Driver, *testing.T) error{
		"signing in": func(d *Driver, t *testing.T) error {
			d.wire.tokens.current = token{}
			_, err := d.Status(t.Context(), "200")
			return err
		},
		"a read":     func(d *Driver, t *testing.T) error { _, err := d.Status(t.Context(), "200"); return err },
		"a write":    func(d *Driver, t *testing.T) error { return d.SetStatus(t.Context(), "200", presence.DND) },
		"a deletion": func(d *Driver, t *testing.T) error { return d.wire.remove(t.Context(), "test", userPath(firstID)) },
		"an entry": func(d *Driver, t *testing.T) error {
			_, err := d.CreateContact(t.Context(), "", directory.Contact{LastName: "Abel"})
			return err
		},
		"a watch": func(d *Driver, t *testing.T) error { _, err := d.wire.dial(t.Context()); return err },
	}
	for name, call := range calls {
		for _, status := range []int{301, 302, 303, 307, 308} {
			for _, follows := range []bool{false, true} {
				var visits, secrets atomic.Int32
				elsewhere := served(t, "127.0.0.1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					visits.Add(1)
					if r.Header.Get("Authorization") != "" || r.PostFormValue("client_secret") != "" {
						secrets.Add(1)
					}
				}))
				proxy := served(t, "127.0.0.1", http.HandlerFunc(func(w http.ResponseWriter, r *http.Request) {
					http.Redirect(w, r, elsewhere.URL+r.URL.Path, status)
				}))
				d := open(t, start(t, pbxsim.Config{Extensions: 1}))
				d.remember(user{ID: firstID, ext: "200"})
				d.wire.base.Host = strings.TrimPrefix(proxy.URL, "https://")
				if follows {
					d.wire.client.CheckRedirect = nil
				}
				err := call(d, t)
				switch {
				case follows && visits.Load() == 0:
					t.Errorf("%s, %d: the control went nowhere: %v", name, status, err)
				case !follows && (visits.Load() > 0 || secrets.Load() > 0):
					t.Errorf("%s, %d: the other host was visited", name, status)
				case !follows && fault.KindOf(err) != fault.Invalid:
					t.Errorf("%s, %d: %v", name, status, err)
				}
			}
		}
	}
}

// An answer may have 16 MiB, and an error stands in logs, on pages and in the health.
func TestWhatAnErrorRepeatsOfAnAnswerIsBounded(t *testing.T) {
	long := strings.Repeat("2", 1<<20)
	create := func(d *Driver) error { return d.CreateExtension(t.Context(), directory.Extension{Number: "5001"}) }
	for name, c := range map[string]struct {
		path, answer string
		status       int
		do           func(*Driver) error
		want         fault.Kind
	}{
		"a number that was not asked for": {root + "/Users(Number='200')", `{"Id":21,"Number":"` + long + `"}`, http.StatusOK,
			func(d *Driver) error { _, err := d.Status(t.Context(), "200"); return err }, fault.Unavailable},
		"a number that breaks the line": {root + "/Users(Number='200')", `{"Id":21,"Number":"1\r\nlevel=error"}`, http.StatusOK,
			func(d *Driver) error { _, err := d.Status(t.Context(), "200"); return err }, fault.Unavailable},
		"a numeral where a key should be": {root + "/Users(Number='200')", `{"Id":` + long + `}`, http.StatusOK,
			func(d *Driver) error { _, err := d.Status(t.Context(), "200"); return err }, fault.Unavailable},
		"a number that was given instead":     {root + "/Users", `{"Id":21,"Number":"` + long + `"}`, http.StatusCreated, create, fault.Timeout},
		"a number without a key":              {root + "/Users", `{"Number":"` + long + `"}`, http.StatusCreated, create, fault.Timeout},
		"a key that is none, of who was made": {root + "/Users", `{"Id":-` + long + `,"Number":"5001"}`, http.StatusCreated, create, fault.Timeout},
	} {
		t.Run(name, func(t *testing.T) {
			d := scripted(t, c.path, func(w http.ResponseWriter, _ *http.Request) {
				w.WriteHeader(c.status)
				_, _ = w.Write([]byte(c.answer))
			})
			err := c.do(d)
			if fault.KindOf(err) != c.want || err == nil {
				t.Fatalf("%.200v", err)
			}
			if text := err.Error(); len(text) > 1<<10 || strings.ContainsAny(text, "\r\n") {
				t.Errorf("%d bytes: %.200q", len(text), text)
			}
		})
	}
}

func TestAVersionIsBounded(t *testing.T) {
	d := scripted(t, root+"/SystemStatus", func(w http.ResponseWriter, _ *http.Request) {
		_, _ = w.Write([]byte(`{"Version":"20.0.9\n` + strings.Repeat("2", 1<<20) + `"}`))
	})
	if version, err := d.readVersion(t.Context()); err != nil || len(version) > 100 || !strings.HasPrefix(version, "20.0.9 2") {
		t.Errorf("%d bytes, %v", len(version), err)
	}
}
