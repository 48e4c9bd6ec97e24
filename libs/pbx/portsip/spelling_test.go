package portsip

import (
	"net/http"
	"slices"
	"strings"
	"testing"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx/portsipsim"
)

// Each version has one spelling of available and refuses the other. What was read says
// which; while nothing was, a refusal does, and it is learned once.
func TestAvailableIsWrittenAsThisPhoneSystemSpellsIt(t *testing.T) {
	for name, c := range map[string]struct {
		sim           portsipsim.Config
		read          bool // somebody's status first
		first, second int  // requests of two writes of available
	}{
		"22.1, nothing was read":                      {portsipsim.Config{Minor: 1}, false, 1, 1},
		"22.2, nothing was read":                      {portsipsim.Config{Minor: 2}, false, 1, 1},
		"22.3, nothing was read":                      {portsipsim.Config{Minor: 3}, false, 2, 1},
		"22.4, nothing was read":                      {portsipsim.Config{Minor: 4}, false, 2, 1},
		"22.5, nothing was read":                      {portsipsim.Config{Minor: 5}, false, 2, 1},
		"22.6, nothing was read":                      {portsipsim.Config{Minor: 6}, false, 2, 1},
		"22.2, a status was read":                     {portsipsim.Config{Minor: 2}, true, 1, 1},
		"22.3, a status was read":                     {portsipsim.Config{Minor: 3}, true, 1, 1},
		"22.6, a status was read":                     {portsipsim.Config{Minor: 6}, true, 1, 1},
		"22.6 that takes either":                      {portsipsim.Config{Minor: 6, Taken: "either"}, true, 1, 1},
		"22.6 that is told ONLINE, takes AVAILABLE":   {portsipsim.Config{Minor: 6, Taken: "AVAILABLE"}, true, 2, 1},
		"22.2 that is told AVAILABLE, takes ONLINE":   {portsipsim.Config{Minor: 2, Taken: "ONLINE"}, true, 2, 1},
		"22.6 that takes AVAILABLE, nothing was read": {portsipsim.Config{Minor: 6, Taken: "AVAILABLE"}, false, 1, 1},
	} {
		t.Run(name, func(t *testing.T) {
			c.sim.Extensions = 1
			sim := start(t, c.sim)
			d := open(t, ownConfig(sim))
			for _, want := range []int{c.first, c.second} {
				if c.read {
					if _, err := d.Status(t.Context(), "200"); err != nil {
						t.Fatal(err)
					}
				}
				sim.Choose("200", presence.Lunch)
				before := sim.Stats().Requests
				if err := d.SetStatus(t.Context(), "200", presence.Available); err != nil {
					t.Error(err)
				}
				if sent := sim.Stats().Requests - before; sent != want {
					t.Errorf("a write was %d requests, want %d", sent, want)
				}
				if s, _ := sim.Presence("200"); s != presence.Available {
					t.Errorf("it shows %v", s)
				}
			}
		})
	}
}

// ownConfig is for statuses that are written as the user 200.
func ownConfig(sim *portsipsim.Sim) Config {
	config := configFor(sim, "200")
	config.Statuses = ByOwn
	return config
}

// The driver outlives the version that it met, in both directions.
func TestASpellingThatAnUpdateChangesIsLearnedAnew(t *testing.T) {
	sim := start(t, portsipsim.Config{Extensions: 1, Minor: 2})
	d := open(t, ownConfig(sim))
	for _, minor := range []int{2, 3, 2} {
		sim.Close()
		d.wire.client.CloseIdleConnections() // which are gone, and would be found so by a write
		sim = start(t, portsipsim.Config{Extensions: 1, Minor: minor, Listen: strings.TrimPrefix(sim.URL(), "https://")})
		for range 2 {
			sim.Choose("200", presence.Lunch)
			if err := d.SetStatus(t.Context(), "200", presence.Available); err != nil {
				t.Errorf("22.%d: %v", minor, err)
			}
			if s, _ := sim.Presence("200"); s != presence.Available {
				t.Errorf("22.%d: it shows %v", minor, s)
			}
		}
	}
}

// What is refused for another reason is not a matter of spelling, and what was not refused
// is not sent again.
func TestOnlyARefusedSpellingIsFollowedByTheOther(t *testing.T) {
	refused := fault.New(fault.Invalid, "op", &httpError{status: http.StatusBadRequest, said: said{Code: "VALIDATE_FAILED"}})
	for name, c := range map[string]struct {
		answers []error
		sent    []string
		kind    fault.Kind
		after   string // the spelling of the next write
	}{
		"taken":                        {[]error{nil}, []string{availableOld}, fault.Unknown, availableOld},
		"refused, the other is taken":  {[]error{refused, nil}, []string{availableOld, availableNew}, fault.Unknown, availableNew},
		"both are refused":             {[]error{refused, fault.Errorf(fault.Invalid, "op", "the second")}, []string{availableOld, availableNew}, fault.Invalid, availableOld},
		"refused, then nobody answers": {[]error{refused, fault.New(fault.Timeout, "op", errNoAnswer)}, []string{availableOld, availableNew}, fault.Timeout, availableOld},
		"led elsewhere":                {[]error{fault.New(fault.Invalid, "op", &httpError{status: http.StatusFound})}, []string{availableOld}, fault.Invalid, availableOld},
		"denied":                       {[]error{fault.New(fault.Denied, "op", errAccount)}, []string{availableOld}, fault.Denied, availableOld},
		"nobody answers":               {[]error{fault.New(fault.Timeout, "op", errNoAnswer)}, []string{availableOld}, fault.Timeout, availableOld},
		"throttled":                    {[]error{fault.New(fault.Throttled, "op", errNoAnswer)}, []string{availableOld}, fault.Throttled, availableOld},
	} {
		var s spelling
		var sent []string
		err := s.write(func(name string) error {
			sent = append(sent, name)
			return c.answers[len(sent)-1]
		})
		if !slices.Equal(sent, c.sent) || err != nil && fault.KindOf(err) != c.kind || (err == nil) != (c.kind == fault.Unknown) {
			t.Errorf("%s: sent %v, got %v", name, sent, err)
		}
		if err != nil && strings.Contains(err.Error(), "the second") {
			t.Errorf("%s: it is told why the second was refused: %v", name, err)
		}
		if next, _ := s.both(); next != c.after {
			t.Errorf("%s: the next is %s", name, next)
		}
	}
}
