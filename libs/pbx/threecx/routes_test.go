package threecx

import (
	"encoding/json"
	"maps"
	"strings"
	"testing"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx/pbxsim"
)

func TestWhereCallsGoIsSaidInWords(t *testing.T) {
	const voicemail = `{"To":"VoiceMail","Number":""}`
	for profile, c := range map[string]struct {
		rings bool // by the kind of the status
		want  string
	}{
		`{"AvailableRoute":{"NoAnswerInternal":` + voicemail + `,"NoAnswerExternal":` + voicemail + `}}`:                                      {true, "the phone rings, then voicemail; queues are kept"},
		`{"AvailableRoute":{"NoAnswerInternal":` + voicemail + `,"NoAnswerExternal":{"To":"External","External":"0176"}},"AwayRoute":{}}`:     {true, "the phone rings, then voicemail (from outside: a number outside); queues are kept"},
		`{"AwayRoute":{"Internal":{"To":"Queue","Number":"800"},"External":{"To":"Queue","Number":"800"}},"OfficeHoursAutoQueueLogOut":true}`: {false, "queue 800; queues are left"},
		`{"AwayRoute":{"Internal":{"To":"None"}},"AvailableRoute":{"NoAnswerInternal":` + voicemail + `}}`:                                    {false, "the call ends; queues are kept"},
		`{"AwayRoute":{"Internal":{"To":"Fax"},"External":{"To":"Fax"}}}`:                                                                     {true, "fax; queues are kept"},
		`{"AvailableRoute":{}}`: {false, "the phone rings, then the call ends; queues are kept"},
		`{}`:                    {false, "where calls go is not told; queues are kept"},
		`{"AwayRoute":null,"AvailableRoute":null}`: {true, "the phone rings; queues are kept"},
		`{"AwayRoute":{"Internal":` + voicemail + `,"External":` + voicemail + `},"CustomMessage":"Back at \"one\",\r\n\u001b[31m Zoë"}`: {false, `voicemail; queues are kept; its text is "Back at \"one\", [31m Zoë"`},
		`{"CustomMessage":" \n"}`:                                 {true, "the phone rings; queues are kept"},
		`{"CustomMessage":null}`:                                  {true, "the phone rings; queues are kept"},
		`{"AvailableRoute":{"NoAnswerInternal":{"To":"\u0007"}}}`: {true, "the phone rings, then the call ends; queues are kept"},
	} {
		var p routed
		if err := json.Unmarshal([]byte(profile), &p); err != nil {
			t.Fatal(err)
		}
		if got := p.words(c.rings); got != c.want {
			t.Errorf("%s: %q, want %q", profile, got, c.want)
		}
	}
}

func TestTheTextOfAProfileIsBounded(t *testing.T) {
	p := routed{CustomMessage: strings.Repeat("Ü", 1<<20)}
	if got := p.words(true); len(got) > 300 || !strings.Contains(got, "ÜÜÜ...") {
		t.Errorf("%d bytes: %.300s", len(got), got)
	}
}

func TestRoutesAreReadOfOneExtension(t *testing.T) {
	profiles := pbxsim.DefaultProfiles()
	profiles[3].CustomMessage = "At the canteen"
	sim := start(t, pbxsim.Config{Profiles: profiles})
	d := open(t, sim)
	before := sim.Stats().Requests
	got, err := d.Routes(t.Context(), "200")
	want := map[presence.Status]string{
		presence.Available: "the phone rings, then voicemail; queues are kept", presence.Away: "voicemail; queues are kept", presence.DND: "voicemail; queues are left",
		presence.Lunch: `the phone rings, then voicemail; queues are kept; its text is "At the canteen"`, presence.BusinessTrip: "voicemail; queues are kept",
	}
	if err != nil || !maps.Equal(got, want) {
		t.Errorf("%v, %v", got, err)
	}
	if n := sim.Stats().Requests - before; n != 2 {
		t.Errorf("%d requests", n)
	}
	if _, err := d.Routes(t.Context(), "999"); fault.KindOf(err) != fault.NotFound {
		t.Errorf("of nobody: %v", err)
	}
}
