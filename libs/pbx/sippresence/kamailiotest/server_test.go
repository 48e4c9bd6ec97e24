package kamailiotest

import (
	"testing"

	"offhook.dev/libs/core/presence"
)

// witness hears what a test would say.
type witness struct {
	testing.TB
	failed, logged bool
}

func (w *witness) Helper()      {}
func (w *witness) Fatal(...any) { w.failed = true }
func (w *witness) Log(...any)   { w.logged = true }

func TestAMissingKamailioFailsWhereCIIsSet(t *testing.T) {
	for ci, fails := range map[string]bool{"": false, "true": true} {
		t.Setenv("CI", ci)
		w := &witness{TB: t}
		absent(w)
		if w.failed != fails || !w.failed && !w.logged {
			t.Errorf("CI=%q: failed %v, logged %v", ci, w.failed, w.logged)
		}
	}
}

func TestARestartForgetsAndALampShowsNothing(t *testing.T) {
	s := Start(t, Options{})
	if s == nil {
		return
	}
	s.Watch(t, "100").Sees(t, presence.Unset)
	s.Restart()
	s.Stop()
	s.Stop()
	s.Start()
	s.Watch(t, "100").Sees(t, presence.Unset)
}
