package e2e

import (
	"fmt"
	"os"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/config"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/run"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
	"offhook.dev/services/e2e/world"
)

// stopped stops all services.
func stopped(w *world.World) {
	for _, part := range world.Parts() {
		w.Stop(string(part.Name))
	}
}

// seen waits until what a person chose on a phone is known; decided: and has been decided
// on.
func seen(t *testing.T, w *world.World, line identity.Line, want presence.Status, decided bool) {
	t.Helper()
	b, err := bus.Connect(t.Context(), bus.Options{InProcess: w.Broker, Service: "test", Instance: "test"})
	must(t, err)
	defer b.Close()
	w.Eventually(30*time.Second, func() string {
		m, err := b.Last(t.Context(), topology.Facts, wire.StatusSubject(line))
		if err != nil {
			return err.Error()
		}
		fact, err := wire.DecodeStatus(m.Data)
		if err != nil || fact.Reading.Status != want || fact.Reading.Origin != presence.Person {
			return fmt.Sprintf("known of %s is %s by %s (%v), not that a person chose %s", line, fact.Reading.Status, fact.Reading.Origin, err, want)
		}
		if !decided {
			return ""
		}
		c, err := b.JetStream().Consumer(t.Context(), string(topology.Facts), string(topology.PresenceMapper)+"-facts")
		if err != nil {
			return err.Error()
		}
		if info := c.CachedInfo(); info.NumPending > 0 || info.NumAckPending > 0 {
			return "facts are waiting"
		}
		return ""
	})
}

// Offhook is stopped for a night, having left a phone available because Teams was. The
// person chose away meanwhile. That stays in the morning, whether Teams or the phone is
// read first, and through a meeting. Whoever chose nothing is followed as ever.
func TestAwayChosenAtNightStaysWhateverIsReadFirstInTheMorning(t *testing.T) {
	t.Parallel()
	ext := world.Extension(0)
	line := identity.Line{System: "hq", Extension: ext}
	for _, c := range []struct {
		name  string
		phone bool // the phone is read first
	}{{"Teams is read first", false}, {"the phone is read first", true}} {
		t.Run(c.name, func(t *testing.T) {
			w := world.New(t, world.Options{Users: 2})
			w.Start()
			w.Settled(2)
			w.Set("anna", "Busy", "InAMeeting")
			w.Shows(ext, presence.DND, 30*time.Second)
			w.Set("anna", "Available", "Available")
			w.Shows(ext, presence.Available, 30*time.Second)
			stopped(w)
			if !w.PBX.SetStatus(ext, presence.Away) {
				t.Fatal("there is no such extension")
			}
			writes := len(w.PBX.Writes())
			w.Set("anna", "AvailableIdle", "AvailableIdle") // what is read in the morning can be told from what was before

			var reads, others []run.Part
			for _, part := range world.Parts() {
				if part.Name == topology.PBXWriter {
					reads = append(reads, part)
				} else {
					others = append(others, part)
				}
			}
			first, then := others, reads
			if c.phone {
				first, then = reads, others
			}
			for _, part := range first {
				w.Run(part)
			}
			if c.phone {
				seen(t, w, line, presence.Away, false)
			} else {
				w.Heard("anna", "AvailableIdle", 30*time.Second)
			}
			for _, part := range then {
				w.Run(part)
			}
			seen(t, w, line, presence.Away, true)
			w.Heard("anna", "AvailableIdle", 30*time.Second)
			w.Set("anna", "Busy", "InAMeeting")
			w.Heard("anna", "Busy", 30*time.Second)
			w.Set("ben", "Busy", "InAMeeting")
			w.Shows(world.Extension(1), presence.DND, 30*time.Second)
			if shown, _ := w.PBX.Shown(ext); shown.Status != presence.Away {
				t.Errorf("in the morning the phone shows %s", shown.Status)
			}
			for _, write := range w.PBX.Writes()[writes:] {
				if write.Extension == ext {
					t.Errorf("written %+v", write)
				}
			}
			// What the person chose ends like any choice: by choosing what would show.
			w.PBX.SetStatus(ext, presence.DND)
			seen(t, w, line, presence.DND, true)
			w.Set("anna", "Available", "Available")
			w.Shows(ext, presence.Available, 30*time.Second)
		})
	}
}

// Offhook is stopped while it makes a phone silent and Teams show what was chosen on
// another one. Meanwhile somebody writes `disabled` into the configuration. The next start
// releases each once; then there is silence, whatever happens.
func TestAModeThatTheFileEndsWhileOffhookIsStoppedIsReleasedOnce(t *testing.T) {
	t.Parallel()
	branch, entry := newBranch(t)
	w := world.New(t, world.Options{Users: 1, Mode: presence.Both, Systems: []world.System{entry}})
	w.Start()
	w.Settled(1)
	w.Set("anna", "Busy", "InAMeeting")
	showsAt(w, w.PBX, world.Extension(0), presence.DND)
	showsAt(w, branch, atBranch, presence.DND)
	branch.SetStatus(atBranch, presence.Away)
	w.InTeams("anna", "Away/Away", 30*time.Second)
	w.Heard("anna", "Away", 30*time.Second)
	stopped(w)
	atHQ, there := len(w.PBX.Writes()), len(branch.Writes())
	teams := len(w.Tenant.PresenceWrites().Last)

	rewrite(t, w, "mode: both", "mode: disabled")
	w.Start()
	showsAt(w, w.PBX, world.Extension(0), presence.Available)
	w.InTeams("anna", "Busy/InAMeeting", 30*time.Second)
	once := func(when string) {
		t.Helper()
		if made := w.PBX.Writes()[atHQ:]; len(made) != 1 {
			t.Errorf("%s the phone was written to %d times: %+v", when, len(made), made)
		}
		if made := branch.Writes()[there:]; len(made) != 0 {
			t.Errorf("%s what the person chose was written over: %+v", when, made)
		}
		if made := w.Tenant.PresenceWrites().Last[teams:]; len(made) != 1 {
			t.Errorf("%s Teams was written to %d times: %+v", when, len(made), made)
		}
	}
	once("at the start")

	w.Set("anna", "DoNotDisturb", "Presenting")
	w.Set("anna", "Available", "Available")
	w.PBX.SetStatus(world.Extension(0), presence.Lunch)
	seen(t, w, identity.Line{System: "hq", Extension: world.Extension(0)}, presence.Lunch, true)
	branch.SetStatus(atBranch, presence.DND)
	seen(t, w, identity.Line{System: "branch", Extension: atBranch}, presence.DND, true)
	once("after changes on both sides")
	showsAt(w, w.PBX, world.Extension(0), presence.Lunch)
	showsAt(w, branch, atBranch, presence.DND)

	// The control: it is the file that keeps it silent.
	stopped(w)
	rewrite(t, w, "mode: disabled", "mode: both")
	w.Start()
	w.Heard("anna", "Available", 30*time.Second)
	w.Set("anna", "Busy", "InAMeeting")
	showsAt(w, w.PBX, world.Extension(0), presence.DND)
}

// rewrite changes the configuration file as an editor would, and reads it.
func rewrite(t *testing.T, w *world.World, old, new string) {
	t.Helper()
	text, err := os.ReadFile(w.File)
	must(t, err)
	if strings.Count(string(text), old) != 1 {
		t.Fatalf("%q is not in the configuration once", old)
	}
	must(t, os.WriteFile(w.File, []byte(strings.Replace(string(text), old, new, 1)), 0o600))
	w.Config, err = config.Load(w.File, nil, nil)
	must(t, err)
}
