package writer

import (
	"io"
	"net/http"
	"net/http/httptest"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/breaker"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/logtest"
	"offhook.dev/libs/run"
	"offhook.dev/libs/wire"
)

// Another program keeps setting an extension to available, and the policy is `ignore`:
// whatever is seen to be set there is known to the next decision, and written over.
func TestAProgramThatFightsOverAnExtensionIsNotFoughtForEver(t *testing.T) {
	telemetry, err := run.NewTelemetry(t.Context(), run.TelemetryOptions{Process: "pbx-writer", Instance: "test", LogTo: t.Output(), LogText: true})
	if err != nil {
		t.Fatal(err)
	}
	defer telemetry.Close(t.Context())
	log := &logtest.Log{}
	s := newStage(t, 2)
	s.meter, s.log = telemetry.Meter("pbx-writer"), io.MultiWriter(t.Output(), log)
	s.opts.MinutePass, s.opts.Pause = 50*time.Millisecond, 3*time.Second
	s.run("a")

	began := time.Now()
	var stopped wire.Outcome
	for stopped.Result != wire.Failed {
		s.phones.Choose(extension(0), presence.Available)
		s.tells(0, presence.Available, presence.Person)
		stopped = s.outcome(s.covering(0, presence.DND))
		if n := len(s.phones.written(extension(0))); n > 2*breaker.Most {
			t.Fatalf("%d writes, and no end", n)
		}
	}
	inAMinute := time.Since(began) < breaker.Window // else the machine is very slow indeed
	if n := len(s.phones.written(extension(0))); inAMinute && n != breaker.Most {
		t.Errorf("stopped after %d writes in a minute, want %d", n, breaker.Most)
	}
	if !strings.HasPrefix(stopped.Detail, "breaker: ") {
		t.Errorf("the outcome is %s (%s)", stopped.Result, stopped.Detail)
	}

	// Meanwhile nobody else is left alone.
	s.ends(s.covering(1, presence.DND), wire.Applied)
	// What comes in the pause is not written, and of it the newest is afterwards: once.
	before := len(s.phones.written(extension(0)))
	s.covering(0, presence.Lunch)
	newest := s.covering(0, presence.Away)
	s.ends(newest, wire.Failed)
	s.shows(0, presence.Available)
	s.shows(0, presence.Away)
	s.eventually(func() string {
		all := s.outcomes(newest.Line)
		if last := all[len(all)-1]; last.Revision != newest.Revision || last.Result != wire.Applied {
			return "not tried again"
		}
		return ""
	})
	s.settled()
	s.tells(0, presence.Away, presence.Ours)
	if got := s.phones.written(extension(0))[before:]; !slices.Equal(got, []presence.Status{presence.Away}) {
		t.Errorf("written %v after the pause, want the newest once", got)
	}

	if said := log.Lines("breaker: something else"); len(said) == 0 || !strings.Contains(said[0], "level=WARN") || !strings.Contains(said[0], "manual.policy") {
		t.Errorf("the log says %q", said)
	}
	if said := log.Lines("level=WARN msg=\"breaker"); len(said) != 1 {
		t.Errorf("the log says it %d times", len(said))
	}
	mux := http.NewServeMux()
	telemetry.Register(mux)
	answer := httptest.NewRecorder()
	mux.ServeHTTP(answer, httptest.NewRequestWithContext(t.Context(), http.MethodGet, "/metrics", nil))
	fights := &logtest.Log{}
	_, _ = fights.Write(answer.Body.Bytes())
	if said := fights.Lines("offhook_pbx_fights_total{"); len(said) != 1 || !strings.Contains(said[0], `system="hq"`) || !strings.HasSuffix(said[0], " 1\n") {
		t.Errorf("counted %q", said)
	}
}

// The control of the test above: somebody whose status changes three times as often in
// a minute, and who says otherwise on the phone now and then, is not fought over.
func TestABusyMinuteIsNoFight(t *testing.T) {
	s := newStage(t, 1)
	s.run("a")
	for i := range 3 * breaker.Most {
		if i%6 == 0 {
			s.phones.Choose(extension(0), presence.Lunch)
			s.tells(0, presence.Lunch, presence.Person)
		}
		s.ends(s.covering(0, []presence.Status{presence.DND, presence.Available}[i%2]), wire.Applied)
	}
	if n := len(s.phones.written(extension(0))); n != 3*breaker.Most {
		t.Errorf("%d writes, want %d", n, 3*breaker.Most)
	}
}
