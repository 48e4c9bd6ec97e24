package msgraph

import (
	"context"
	"fmt"
	"net/http"
	"net/http/httptest"
	"sync/atomic"
	"testing"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/secret"
)

// noStore always has a refresh token and forgets new ones.
type noStore struct{}

func (noStore) Load(context.Context) (secret.Value, error) { return secret.NewValue("r"), nil }
func (noStore) Save(context.Context, secret.Value) error   { return nil }

func TestADelegatedTokenThatIsDueServesWhileTheLoginHostIsAway(t *testing.T) {
	var asked atomic.Int64
	var away atomic.Bool
	host := httptest.NewTLSServer(http.HandlerFunc(func(w http.ResponseWriter, _ *http.Request) {
		if away.Load() {
			w.WriteHeader(http.StatusServiceUnavailable)
			return
		}
		fmt.Fprintf(w, `{"access_token":"access-%d","refresh_token":"r","expires_in":1000}`, asked.Add(1))
	}))
	t.Cleanup(host.Close)
	cloud, err := graph.CloudNamed("global")
	if err != nil {
		t.Fatal(err)
	}
	if cloud, err = cloud.At(host.URL, ""); err != nil {
		t.Fatal(err)
	}
	const id = "11111111-1111-1111-1111-111111111111"
	d, err := NewDelegated(DelegatedConfig{Directory: id, ClientID: id, Cloud: cloud, Store: noStore{},
		Roots: host.Client().Transport.(*http.Transport).TLSClientConfig.RootCAs})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(d.Close)
	expect := func(when, want string) {
		t.Helper()
		if token, err := d.Token(t.Context()); err != nil || token.Value.Reveal() != want {
			t.Errorf("%s: %q, %v; want %q", when, token.Value.Reveal(), err, want)
		}
	}
	expect("at first", "access-1")
	expect("while it is fresh", "access-1")
	if left := time.Until(d.renew); left < 790*time.Second || left > 800*time.Second {
		t.Errorf("it is renewed in %v, want after four fifths of 1000s", left)
	}
	d.renew = time.Now()
	expect("when it is due", "access-2")
	away.Store(true)
	d.renew = time.Now()
	expect("when it is due and the login host away", "access-2")
	d.token.Expires = time.Now().Add(30 * time.Second)
	if _, err := d.Token(t.Context()); fault.KindOf(err) != fault.Unavailable {
		t.Errorf("at its end: %v, want unavailable", err)
	}
	ended, cancel := context.WithCancel(t.Context())
	cancel()
	if _, err := d.Token(ended); fault.KindOf(err) != fault.Cancelled {
		t.Errorf("for a caller who gave up: %v, want cancelled", err)
	}
}
