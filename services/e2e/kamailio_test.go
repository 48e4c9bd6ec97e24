package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx/sippresence/kamailiotest"
	"offhook.dev/libs/topology"
	"offhook.dev/services/e2e/world"
	"offhook.dev/services/pbx-writer/writer"
)

// The main job ends on something that nobody here wrote: a Kamailio, and a phone
// that watches it.
func TestATeamsChangeReachesAPhoneThatWatchesAKamailio(t *testing.T) {
	t.Parallel()
	kamailio := kamailiotest.Start(t, kamailiotest.Options{})
	if kamailio == nil {
		return
	}
	const ext = "120"
	w := world.New(t, world.Options{Systems: []world.System{{
		ID: "front", Entry: presenceServer(t, kamailio), Links: map[string]identity.Extension{"anna@contoso.example": ext},
	}}})
	w.Start()
	phone := kamailio.Watch(t, ext)
	shows := func(want presence.Status) {
		t.Helper()
		w.Eventually(30*time.Second, func() string { return phone.Lacks(want) })
	}

	w.Set("anna", "Busy", "InAMeeting")
	shows(presence.DND)
	w.Shows(world.Extension(0), presence.DND, 10*time.Second) // her extension of the other system
	w.Set("anna", "Available", "Available")
	shows(presence.Available)

	// A restart forgets everything, and nothing happens in Teams.
	w.Set("anna", "BeRightBack", "BeRightBack")
	shows(presence.Away)
	kamailio.Restart()
	phone = kamailio.Watch(t, ext)
	shows(presence.Away)

	// A change while the server is away.
	kamailio.Stop()
	w.Set("anna", "DoNotDisturb", "Presenting")
	w.Shows(world.Extension(0), presence.DND, 10*time.Second)
	kamailio.Start()
	phone = kamailio.Watch(t, ext)
	shows(presence.DND)

	// What Offhook put back after restarts is nobody's choice: Teams is still followed.
	w.Set("anna", "Available", "Available")
	shows(presence.Available)
}

// A publication lives only as long as somebody refreshes it.
func TestWhatExpiredWhileOffhookWasAwayIsPublishedAgain(t *testing.T) {
	t.Parallel()
	kamailio := kamailiotest.Start(t, kamailiotest.Options{})
	if kamailio == nil {
		return
	}
	const ext = "121"
	w := world.New(t, world.Options{Systems: []world.System{{
		ID: "front", Entry: presenceServer(t, kamailio, "expires: 3s"), Links: map[string]identity.Extension{"ben@contoso.example": ext},
	}}})
	w.Start()
	phone := kamailio.Watch(t, ext)
	shows := func(want presence.Status) {
		t.Helper()
		w.Eventually(30*time.Second, func() string { return phone.Lacks(want) })
	}
	w.Set("ben", "DoNotDisturb", "Presenting")
	shows(presence.DND)
	w.Stop(string(topology.PBXWriter))
	shows(presence.Unset)
	w.Run(writer.Part())
	shows(presence.DND)
}

// presenceServer is the entry of a presence server in the configuration, over TLS.
func presenceServer(t *testing.T, server *kamailiotest.Server, more ...string) string {
	t.Helper()
	dir := t.TempDir()
	for name, data := range map[string][]byte{"ca.pem": server.Authority.PEM(), "sip.secret": []byte(kamailiotest.Password)} {
		if err := os.WriteFile(filepath.Join(dir, name), data, 0o600); err != nil {
			t.Fatal(err)
		}
	}
	return fmt.Sprintf("driver: sip-presence, url: 'sips://%s', client_id: %s, client_secret_file: %s/sip.secret, ca_file: %s/ca.pem, "+
		`options: {domain: %s, extensions: ["120-129"]%s}`,
		server.Address(kamailiotest.TLS), kamailiotest.Username, dir, dir, kamailiotest.Domain, strings.Join(append([]string{""}, more...), ", "))
}
