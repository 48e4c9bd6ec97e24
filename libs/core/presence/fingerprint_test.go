package presence

import (
	"reflect"
	"testing"
	"time"
)

// changes has for each field of Options something else that it may say.
var changes = map[string][]func(*Options) error{
	"Mode": {func(o *Options) error { o.Mode = Both; return nil }},
	"Teams": {
		teamsSays("Away", "release"), teamsSays("Away", "away after 10m"), teamsSays("Away", "away after 11m"), teamsSays("Away", "keep"),
		teamsSays("BeRightBack", "release"), teamsSays("Presenting", "away"), teamsSays("*/Presenting", "away"), teamsSays("Daydreaming", "dnd"),
	},
	"Calendar": {
		func(o *Options) (err error) {
			o.Calendar, err = o.Calendar.With(map[string]string{"oof": "dnd"})
			return
		},
		func(o *Options) (err error) {
			o.Calendar, err = o.Calendar.With(map[string]string{"free": "dnd"})
			return
		},
	},
	"PBX": {
		func(o *Options) (err error) { o.PBX, err = o.PBX.With(map[string]string{"lunch": "Away"}); return },
		func(o *Options) (err error) {
			o.PBX, err = o.PBX.With(map[string]string{"business-trip": "Away"})
			return
		},
	},
	"Base":    {func(o *Options) error { o.Base = Lunch; return nil }},
	"Combine": {func(o *Options) error { o.Combine = Strongest; return nil }},
	"Manual": {
		func(o *Options) error { o.Manual.Policy = Ignore; return nil }, func(o *Options) error { o.Manual.Max++; return nil },
		func(o *Options) error { o.Manual.Scope = OnUser; return nil }, func(o *Options) (err error) { o.Manual.Zone, err = time.LoadLocation("Europe/Berlin"); return },
	},
	"Damping":     {func(o *Options) error { o.Damping = 0; return nil }},
	"StaleAfter":  {func(o *Options) error { o.StaleAfter++; return nil }},
	"TeamsAbsent": {func(o *Options) error { o.TeamsAbsent = true; return nil }},
	"PausedUntil": {
		func(o *Options) error { o.PausedUntil = time.Unix(1_800_000_000, 0); return nil },
		func(o *Options) error { o.PausedUntil = time.Unix(1_800_000_000, 1); return nil },
	},
}

func teamsSays(key, value string) func(*Options) error {
	return func(o *Options) (err error) { o.Teams, err = o.Teams.With(map[string]string{key: value}); return }
}

func TestWhateverOptionsSayIsInTheirFingerprint(t *testing.T) {
	seen := map[string]string{DefaultOptions().Fingerprint(): "the default"}
	for _, field := range reflect.VisibleFields(reflect.TypeFor[Options]()) {
		if len(changes[field.Name]) == 0 {
			t.Errorf("nothing changes %s here", field.Name)
		}
		for i, change := range changes[field.Name] {
			o := DefaultOptions()
			if err := change(&o); err != nil {
				t.Fatal(err)
			}
			if other, twice := seen[o.Fingerprint()]; twice {
				t.Errorf("change %d of %s has the fingerprint of %s", i, field.Name, other)
			}
			seen[o.Fingerprint()] = field.Name
		}
	}
}

func TestOptionsThatSayTheSameHaveOneFingerprint(t *testing.T) {
	o := DefaultOptions()
	o.Manual.Zone = nil // UTC
	var err error
	if o.Teams, err = o.Teams.With(map[string]string{"AWAY": "Away", "busy": "dnd"}); err != nil {
		t.Fatal(err)
	}
	for range 20 { // maps are walked in another order each time
		if got, want := o.Fingerprint(), DefaultOptions().Fingerprint(); got != want || len(got) != 16 {
			t.Fatalf("%s and %s", got, want)
		}
	}
}

func BenchmarkFingerprint(b *testing.B) {
	o := DefaultOptions()
	for b.Loop() {
		o.Fingerprint()
	}
}
