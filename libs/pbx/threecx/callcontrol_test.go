package threecx

import (
	"errors"
	"maps"
	"net/http"
	"reflect"
	"slices"
	"strings"
	"testing"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
)

func TestWhatCallControlTellsOfEverybodyIsUnderstood(t *testing.T) {
	for name, c := range map[string]struct {
		text string
		want map[identity.Extension]map[int64]bool // nil: senseless
	}{
		"nobody":                       {`[]`, map[identity.Extension]map[int64]bool{}},
		"one in two calls":             {`[{"dn":"200","participants":[{"id":7,"dn":"200","status":"Connected"},{"id":9,"status":"connected"}]}]`, map[identity.Extension]map[int64]bool{"200": {7: true, 9: true}}},
		"one who is called, who calls": {`[{"dn":"200","participants":[{"id":7,"status":"Ringing"},{"id":8,"status":"Dialing"},{"id":9,"status":"Held"}]}]`, map[identity.Extension]map[int64]bool{"200": {8: true}}},
		"nobody we could know":         {`[{"dn":"a b","participants":[{"id":7,"status":"Connected"}]},null,{}]`, map[identity.Extension]map[int64]bool{}},
		"the same twice":               {`[{"dn":"200","participants":[{"id":7,"status":"Connected"}]},{"dn":"200","participants":[{"id":8,"status":"Connected"}]}]`, map[identity.Extension]map[int64]bool{"200": {7: true, 8: true}}},
		"nothing":                      {`null`, nil},
		"one, in no list":              {`{"dn":"200","participants":[]}`, nil},
		"an id that is a text":         {`[{"dn":"200","participants":[{"id":"7","status":"Connected"}]}]`, nil},
		"an id that is none":           {`[{"dn":"200","participants":[{"id":1e30,"status":"Connected"}]}]`, nil},
		"half of it":                   {`[{"dn":"200","partici`, nil},
	} {
		t.Run(name, func(t *testing.T) {
			d := scripted(t, callControl, func(w http.ResponseWriter, _ *http.Request) { _, _ = w.Write([]byte(c.text)) })
			calls, err := d.readCalls(t.Context())
			if c.want == nil && (!errors.Is(err, errSenseless) || fault.KindOf(err) != fault.Unavailable) || c.want != nil && err != nil || !reflect.DeepEqual(calls, c.want) {
				t.Errorf("%v, %v", calls, err)
			}
		})
	}
}

// Whatever is told of everybody, only who can be linked is in a call, by participants that
// are told, and connected or dialling.
func FuzzCalls(f *testing.F) {
	for _, seed := range []string{
		`[{"dn":"200","type":"Wextension","devices":[{"dn":"200","device_id":"sip:200@pbx"}],"participants":[{"id":7,"status":"Connected","dn":"200","party_caller_id":"101","callid":3,"legid":1}]}]`,
		`[{"dn":"../200","participants":[{"id":-7,"status":"CONNECTED"}]},{"DN":"201","Participants":null}]`, `[null,{"participants":[null]}]`, `null`, `{}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		var all snapshot
		if decode("fuzz", data, &all) != nil {
			return
		}
		calls, err := all.calls("fuzz")
		if (err != nil) != (all == nil) || err != nil && (len(calls) > 0 || !errors.Is(err, errSenseless)) {
			t.Fatalf("%v, %v", calls, err)
		}
		for ext, ids := range calls {
			if _, err := identity.ParseExtension(string(ext)); err != nil || len(ids) == 0 {
				t.Errorf("%q is in the calls %v", ext, slices.Collect(maps.Keys(ids)))
			}
			for id := range ids {
				if !told(all, string(ext), id) {
					t.Errorf("%s is in the call %d, which nobody told", ext, id)
				}
			}
		}
	})
}

// busy are the words for whoever is in a call.
func busy(status string) bool {
	return strings.EqualFold(status, "Connected") || strings.EqualFold(status, "Dialing")
}

// told says whether a participant that is in a call is in s.
func told(s snapshot, ext string, id int64) bool {
	for _, dn := range s {
		for _, p := range dn.Participants {
			if dn.DN == ext && p.ID == id && busy(p.Status) {
				return true
			}
		}
	}
	return false
}

// Nothing that is told of one participant says anything of another, and an error can be
// printed.
func FuzzParticipant(f *testing.F) {
	f.Add([]byte(`{"id":12,"status":"Connected","dn":"200","party_dn":"201","direct_control":true}`), "200", int64(12))
	f.Add([]byte(`{"id":12,"status":"Ringing","dn":"200"}`), "200", int64(12))
	f.Add([]byte(`{"id":13,"status":"Connected","dn":"200\nlevel=error"}`), "200", int64(12))
	f.Add([]byte(`null`), "", int64(0))
	f.Add([]byte(`{"id":12,"status":"Dialing","dn":"200"}`), "200", int64(12))
	f.Fuzz(func(t *testing.T, data []byte, number string, id int64) {
		ext, err := identity.ParseExtension(number)
		if err != nil {
			return
		}
		var p participant
		if decode("fuzz", data, &p) != nil {
			return
		}
		inCall, err := p.inCallAt("fuzz", ext, id)
		ours := p.ID == id && p.DN == number
		if (err == nil) != ours || inCall != (ours && busy(p.Status)) {
			t.Errorf("%+v is participant %d of %s: in a call %v, %v", p, id, ext, inCall, err)
		}
		if err != nil && (strings.ContainsAny(err.Error(), "\r\n") || len(err.Error()) > 1000 || !errors.Is(err, errSenseless)) {
			t.Errorf("it says %q", err)
		}
	})
}
