package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"testing"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx/pbxsim"
	"offhook.dev/libs/secret"
	"offhook.dev/services/e2e/world"
)

// atBranch is anna's extension at the branch.
const atBranch = identity.Extension("700")

// newBranch is a second phone system, where anna has an extension, and its entry in the
// configuration.
func newBranch(t *testing.T) (*pbxsim.Sim, world.System) {
	t.Helper()
	authority, err := secret.NewAuthority("Offhook test branch", time.Now())
	must(t, err)
	sim, err := pbxsim.Start(pbxsim.Config{Listen: "127.0.0.1:0", Authority: authority, System: "branch", Version: "20.0.9", Extensions: 2, FirstNumber: 700, Seed: 2})
	must(t, err)
	t.Cleanup(sim.Close)
	client, password := sim.Credentials()
	dir := t.TempDir()
	ca, key := filepath.Join(dir, "ca.pem"), filepath.Join(dir, "branch.secret")
	must(t, os.WriteFile(ca, authority.PEM(), 0o600))
	must(t, os.WriteFile(key, []byte(password.Reveal()), 0o600))
	return sim, world.System{
		ID:    "branch",
		Entry: fmt.Sprintf("driver: 3cx, url: %q, client_id: %s, client_secret_file: %s, ca_file: %s", sim.URL(), client, key, ca),
		Links: map[string]identity.Extension{"anna@contoso.example": atBranch},
	}
}

// showsAt waits until an extension of a phone system shows a status.
func showsAt(w *world.World, sim *pbxsim.Sim, ext identity.Extension, want presence.Status) {
	w.Eventually(60*time.Second, func() string {
		if shown, ok := sim.Shown(ext); !ok || shown.Status != want {
			return fmt.Sprintf("%s shows %q, want %q", ext, shown.Status, want)
		}
		return ""
	})
}

// Somebody has extensions on two phone systems. While one of them is dead the other one
// follows all that happens; when it is back it is written to once.
func TestADeadPhoneSystemHoldsUpNobodyWhoHasAnotherOne(t *testing.T) {
	t.Parallel()
	for _, c := range []struct {
		name     string
		down, up func(*pbxsim.Sim) error
		most     int // writes when it is back
	}{
		{"it refuses connections", func(s *pbxsim.Sim) error { s.Down(); return nil }, (*pbxsim.Sim).Up, 1},
		// What it was asked before it stopped to answer it carries out first.
		{"it does not answer", func(s *pbxsim.Sim) error { s.Inject(pbxsim.Fault{Kind: pbxsim.Hang}); return nil },
			func(s *pbxsim.Sim) error { s.ClearFaults(); return nil }, 2},
	} {
		t.Run(c.name, func(t *testing.T) {
			branch, entry := newBranch(t)
			w := world.New(t, world.Options{Users: 2, Systems: []world.System{entry}})
			w.Start()
			w.Settled(2)
			w.Set("anna", "Busy", "InAMeeting")
			showsAt(w, w.PBX, world.Extension(0), presence.DND)
			showsAt(w, branch, atBranch, presence.DND)
			writes := len(branch.Writes())

			must(t, c.down(branch))
			for range 3 {
				w.Set("anna", "Available", "Available")
				showsAt(w, w.PBX, world.Extension(0), presence.Available)
				w.Set("anna", "DoNotDisturb", "Presenting")
				showsAt(w, w.PBX, world.Extension(0), presence.DND)
			}
			w.Set("anna", "Away", "Away")
			showsAt(w, w.PBX, world.Extension(0), presence.Away)
			w.Set("ben", "Busy", "InACall")
			showsAt(w, w.PBX, world.Extension(1), presence.DND)
			// The control: all of that has passed it by.
			if shown, _ := branch.Shown(atBranch); shown.Status != presence.DND || len(branch.Writes()) != writes {
				t.Fatalf("the dead one shows %s and was written to", shown.Status)
			}

			must(t, c.up(branch))
			showsAt(w, branch, atBranch, presence.Away)
			if made := branch.Writes()[writes:]; len(made) > c.most {
				t.Errorf("when it was back it was written to %d times: %+v", len(made), made)
			}
			// And from then on both follow.
			w.Set("anna", "Available", "Available")
			showsAt(w, w.PBX, world.Extension(0), presence.Available)
			showsAt(w, branch, atBranch, presence.Available)
		})
	}
}
