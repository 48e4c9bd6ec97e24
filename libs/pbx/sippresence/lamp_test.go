package sippresence

import (
	"errors"
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/pbxtest"
)

// lit configures a lamp for dnd.
func lit(_ *behaviour, c *Config) { c.Lamps = presence.SetOf(presence.DND) }

// lampIs says whether the server's document of an extension's call is that of a lamp.
func lampIs(s *server, ext identity.Extension, state string) func() bool {
	return func() bool { return strings.Contains(s.call(ext), "<state>"+state+"</state>") }
}

// lamps are the requests for Event: dialog.
func lamps(s *server) []message {
	var all []message
	for _, m := range s.messages() {
		if m.dialog {
			all = append(all, m)
		}
	}
	return all
}

// ear hears what a driver tells.
type ear struct {
	mu   sync.Mutex
	told []error
}

func listen(d pbx.Driver) *ear {
	e := &ear{}
	d.(*driver).Tell(func(err error) {
		e.mu.Lock()
		defer e.mu.Unlock()
		e.told = append(e.told, err)
	})
	return e
}

func (e *ear) all() []error {
	e.mu.Lock()
	defer e.mu.Unlock()
	return append([]error(nil), e.told...)
}

func TestWithoutConfiguredLampsThereIsNone(t *testing.T) {
	s, d := pair(t, nil)
	set(t, d, "201", presence.DND)
	reads(t, d, "201", presence.DND)
	if _, any := due(d, Dialog); any || len(lamps(s)) != 0 {
		t.Errorf("the server received %+v", lamps(s))
	}
}

func TestALampFollowsWhatIsWritten(t *testing.T) {
	cases := []struct {
		name     string
		lamps    presence.Set
		statuses []presence.Status
		want     []message // of lamps; the tags are looked at below
		state    string    // "": nothing is published
	}{
		{"a status that lights it", presence.SetOf(presence.DND), []presence.Status{presence.DND},
			[]message{{method: "PUBLISH", user: "201", body: true, expires: 600, dialog: true}}, "confirmed"},
		{"another lights nothing", presence.SetOf(presence.DND), []presence.Status{presence.Away, presence.Available}, nil, ""},
		{"away can light it too", presence.SetOf(presence.DND, presence.Away), []presence.Status{presence.Away},
			[]message{{method: "PUBLISH", user: "201", body: true, expires: 600, dialog: true}}, "confirmed"},
		{"it is turned off for a minute", presence.SetOf(presence.DND), []presence.Status{presence.DND, presence.Available},
			[]message{{method: "PUBLISH", user: "201", body: true, expires: 600, dialog: true}, {method: "PUBLISH", user: "201", body: true, expires: 60, dialog: true, etag: "lit"}}, "terminated"},
		{"two that light it are one lamp", presence.SetOf(presence.DND, presence.Away), []presence.Status{presence.DND, presence.Away},
			[]message{{method: "PUBLISH", user: "201", body: true, expires: 600, dialog: true}}, "confirmed"},
		{"a call that has ended is followed by another", presence.SetOf(presence.DND), []presence.Status{presence.DND, presence.Available, presence.DND},
			[]message{{method: "PUBLISH", user: "201", body: true, expires: 600, dialog: true}, {method: "PUBLISH", user: "201", body: true, expires: 60, dialog: true, etag: "lit"},
				{method: "PUBLISH", user: "201", body: true, expires: 600, dialog: true}}, "confirmed"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, d := pair(t, func(_ *behaviour, config *Config) { config.Lamps = c.lamps })
			for _, status := range c.statuses {
				set(t, d, "201", status)
				quiet(t, d, "201")
			}
			got := lamps(s)
			for i := range got {
				if got[i].etag != "" {
					got[i].etag = "lit"
				}
			}
			if fmt.Sprint(got) != fmt.Sprint(c.want) {
				t.Errorf("the server received\n%+v instead of\n%+v", got, c.want)
			}
			if call := s.call("201"); !strings.Contains(call, c.state) || c.state == "" && call != "" {
				t.Errorf("the server shows %q", call)
			}
		})
	}
}

// quiet waits until the lamp of an extension is what it is to be.
func quiet(t *testing.T, d pbx.Driver, ext identity.Extension) {
	t.Helper()
	own := d.(*driver).table
	row := own.row(ext, Dialog)
	eventually(t, "the lamp is right", func() bool {
		_, wrong := own.lamp(row)
		own.mu.Lock()
		defer own.mu.Unlock()
		return !wrong && !row.busy
	})
}

// The status is what a write is about, and the ledger goes by its error.
func TestALampThatFailsIsNoFailureOfTheWrite(t *testing.T) {
	for name, answer := range map[string]int{"fails": 500, "is refused": 403, "is not served": 489} {
		t.Run("it "+name, func(t *testing.T) {
			s, d := pair(t, lit)
			s.answerLamps(code(answer))
			set(t, d, "201", presence.DND)
			eventually(t, "the lamp was tried", func() bool { return len(lamps(s)) > 0 })
			reads(t, d, "201", presence.DND)
		})
	}
	t.Run("a server that does not answer for lamps answers for statuses", func(t *testing.T) {
		s, d := pair(t, lit)
		s.answerLamps(func(*sip.Request) *sip.Response { return nil })
		set(t, d, "201", presence.DND)
		eventually(t, "the lamp is under way", func() bool { return len(lamps(s)) > 0 })
		set(t, d, "202", presence.DND)
		eventually(t, "the other lamp is red", lampIs(s, "202", "confirmed"))
	})
}

func TestAServerWithoutLampsIsToldOfOnceAndLeftAlone(t *testing.T) {
	for _, answer := range []int{405, 415, 489, 501} {
		t.Run(fmt.Sprint(answer), func(t *testing.T) {
			s, d := pair(t, func(b *behaviour, c *Config) { lit(b, c); b.noDialog = answer })
			set(t, d, "201", presence.DND) // before anybody listens
			eventually(t, "the lamp was tried", func() bool { return len(lamps(s)) == 1 })
			e := listen(d)
			eventually(t, "somebody is told", func() bool { return len(e.all()) == 1 })
			if err := e.all()[0]; !errors.Is(err, errNoLamps) || !strings.Contains(err.Error(), "presence_dialoginfo") {
				t.Errorf("told %v", err)
			}
			for _, ext := range []identity.Extension{"201", "202"} {
				for _, status := range []presence.Status{presence.Available, presence.DND} {
					set(t, d, ext, status)
					reads(t, d, ext, status)
				}
			}
			if _, any := due(d, Dialog); any || len(lamps(s)) != 1 || len(e.all()) != 1 {
				t.Errorf("more is due: %v; the server received %+v, told %v", any, lamps(s), e.all())
			}
		})
	}
}

// Who only asks changes nothing, and needs no lamps of its own.
func TestAServerCanBeAskedForLamps(t *testing.T) {
	cases := []struct {
		name   string
		answer int // to Event: dialog; 0: it is served
		kind   fault.Kind
		says   string
	}{
		{"one that serves them", 0, fault.Unknown, ""},
		{"one without the event", 489, fault.Invalid, "presence_dialoginfo"},
		{"one that does not know the documents", 415, fault.Invalid, "presence_dialoginfo"},
		{"one whose account may not watch", 403, fault.Denied, "may not"},
		{"one that knows no such extension", 404, fault.NotFound, "404"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s, d := pair(t, func(b *behaviour, _ *Config) { b.noDialog = c.answer })
			switch err := d.(*driver).Lamps(t.Context(), "201"); {
			case c.kind == fault.Unknown:
				if err != nil {
					t.Error(err)
				}
			default:
				wantKind(t, err, c.kind)
				if !strings.Contains(fmt.Sprint(err), c.says) {
					t.Errorf("%v does not say %q", err, c.says)
				}
			}
			wantMessages(t, s, message{method: "SUBSCRIBE", user: "201", dialog: true})
		})
	}
}

func TestARefusedLampIsToldOnceAndTriedLater(t *testing.T) {
	s, d := pair(t, lit)
	e := listen(d)
	s.answerLamps(code(403), code(403))
	set(t, d, "201", presence.DND)
	set(t, d, "202", presence.DND)
	eventually(t, "both were tried", func() bool { return len(lamps(s)) == 2 })
	eventually(t, "both are left alone", func() bool {
		at, any := due(d, Dialog)
		return any && time.Until(at) > time.Minute
	})
	reads(t, d, "201", presence.DND) // which is no reason to try again at once
	set(t, d, "202", presence.DND)
	if told := e.all(); len(told) != 1 || fault.KindOf(told[0]) != fault.Denied || len(lamps(s)) != 2 {
		t.Errorf("told %v, the server received %+v", told, lamps(s))
	}
}

// The server says when to come back, and what is due is sent then and not before.
func TestAServerSaysWhenToComeBack(t *testing.T) {
	for _, answer := range []int{500, 503} {
		t.Run(fmt.Sprint(answer), func(t *testing.T) {
			t.Parallel()
			s, d := pair(t, lit)
			var asked time.Time
			s.answerLamps(func(req *sip.Request) *sip.Response {
				asked = time.Now()
				return code(answer, "Retry-After", "2;duration=60")(req)
			})
			set(t, d, "201", presence.DND)
			eventually(t, "the lamp is red", lampIs(s, "201", "confirmed"))
			if waited := time.Since(asked); waited < 2*time.Second {
				t.Errorf("it came back after %v", waited)
			}
			if got := lamps(s); len(got) != 2 {
				t.Errorf("the server received %+v", got)
			}
		})
	}
}

func TestAForgottenLampIsLitAgain(t *testing.T) {
	t.Parallel()
	s, d := pair(t, lit)
	set(t, d, "201", presence.DND)
	eventually(t, "the lamp is red", lampIs(s, "201", "confirmed"))
	quiet(t, d, "201")
	s.forget()
	dueNow(d, "201", Dialog)
	eventually(t, "the lamp is red again", lampIs(s, "201", "confirmed"))
}

func TestALampInDoubtIsKept(t *testing.T) {
	t.Parallel()
	file := newShelf()
	s, d := pair(t, func(b *behaviour, c *Config) { lit(b, c); c.Publications = file })
	s.answerLamps(func(req *sip.Request) *sip.Response { // it is lit, and the answer is lost
		s.mu.Lock()
		u := s.calls["201"]
		s.mu.Unlock()
		s.publish(req, u)
		return nil
	})
	set(t, d, "201", presence.DND)
	eventually(t, "the lamp is red", lampIs(s, "201", "confirmed"))
	d.Close()
	s.place("201", "") // the status expires meanwhile
	config := s.config(UDP)
	config.Publications, config.Lamps = file, presence.SetOf(presence.DND)
	reads(t, open(t, config), "201", presence.Unset)
	eventually(t, "the lamp is turned off", lampIs(s, "201", "terminated"))
}

func TestALampInDoubtIsPutRight(t *testing.T) {
	t.Parallel()
	s, d := pair(t, lit)
	s.answerLamps(code(504)) // the server behind a proxy may have lit it
	set(t, d, "201", presence.DND)
	eventually(t, "the lamp was tried", func() bool { return len(lamps(s)) > 0 })
	set(t, d, "201", presence.Available)
	eventually(t, "the lamp is turned off", lampIs(s, "201", "terminated"))
}

// What a process knew of lamps may be lost with it, and other clients choose statuses too.
func TestALampFollowsWhatIsRead(t *testing.T) {
	s, d := pair(t, lit)
	s.place("201", foreign(presence.DND))
	reads(t, d, "201", presence.DND)
	eventually(t, "the lamp is red", lampIs(s, "201", "confirmed"))
	s.place("201", foreign(presence.Away))
	quiet(t, d, "201")
	reads(t, d, "201", presence.Away)
	eventually(t, "the lamp is dark", lampIs(s, "201", "terminated"))
}

// A reading that began before a write and ended after it knows nothing of the write.
func TestALampDoesNotFollowAnOlderReading(t *testing.T) {
	_, d := pair(t, lit)
	own := d.(*driver).table
	before := own.writes("201")
	set(t, d, "201", presence.DND)
	quiet(t, d, "201")
	own.follow("201", presence.Available, before)
	if want, wrong := own.lamp(own.row("201", Dialog)); want != presence.DND || wrong {
		t.Errorf("the lamp of %v is wanted, wrong: %v", want, wrong)
	}
	own.follow("201", presence.Available, own.writes("201")) // a control: a newer one counts
	if want, _ := own.lamp(own.row("201", Dialog)); want != presence.Available {
		t.Errorf("the lamp of %v is wanted", want)
	}
}

func TestClosingTurnsLampsOffWhereThatIsConfigured(t *testing.T) {
	for remove, state := range map[bool]string{true: "terminated", false: "confirmed"} {
		t.Run(fmt.Sprint(remove), func(t *testing.T) {
			s, d := pair(t, func(b *behaviour, c *Config) { lit(b, c); c.RemoveOnClose = remove })
			set(t, d, "201", presence.DND)
			eventually(t, "the lamp is red", lampIs(s, "201", "confirmed"))
			d.Close()
			if !lampIs(s, "201", state)() {
				t.Errorf("the server shows %q", s.call("201"))
			}
		})
	}
}

// Lamps are no part of what a driver promises: with them it conforms as without, and a
// write is still one request, while the lamp is the keeper's.
func TestConformanceWithLamps(t *testing.T) {
	pbxtest.Run(t, func() pbxtest.Harness {
		h := newHarness(t, TCP)
		config := h.config(TCP)
		config.Extensions, config.Lamps = h.extensions, presence.SetOf(presence.DND)
		h.driver.Close()
		h.driver = open(t, config)
		return withLamps{h}
	})
}

// withLamps counts what was asked for statuses.
type withLamps struct{ *harness }

func (h withLamps) Requests() int { return len(h.messages()) - len(lamps(h.server)) }
