package options_test

import (
	"fmt"
	"reflect"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/options"
)

func duration(d time.Duration) *options.Duration { return new(options.Duration(d)) }

func full() options.Record {
	at := time.Date(2026, 6, 2, 9, 30, 0, 0, time.UTC)
	return options.Record{
		Mode: "both", Base: "away", Combine: "strongest", Manual: options.Manual{Policy: "auto", Max: "05:30", Scope: "user"},
		Damping: duration(0), StaleAfter: duration(20 * time.Minute), Teams: map[string]string{"Away": "release", "Available/OutOfOffice": "away after 10m"},
		Calendar: map[string]string{"oof": "dnd"}, PBX: map[string]string{"lunch": "BeRightBack"},
		Chosen:      &options.Chosen{System: "hq", Extension: "204", Status: "dnd", Until: at.Add(time.Hour), By: "local", At: at},
		PausedUntil: options.Forever, By: "local", At: at,
	}
}

func TestARecordComesBackAsItWasStored(t *testing.T) {
	for _, r := range []options.Record{{}, full(), {Rank: -3}, {Chosen: &options.Chosen{At: time.Unix(1, 0).UTC()}}} {
		back, err := options.Decode(r.Encode())
		if err != nil || !reflect.DeepEqual(back, r) {
			t.Errorf("%s\ncame back as %+v, %v", r.Encode(), back, err)
		}
	}
	if got := string(options.Record{}.Encode()); got != "{}" {
		t.Errorf("what says nothing is stored as %s", got)
	}
}

func TestWhatIsNotUnderstoodIsNoRecord(t *testing.T) {
	for name, data := range map[string]string{
		"nothing": "", "no JSON": "{", "a list": "[]", "an unknown member": `{"mode":"both","colour":"red"}`, "an unknown member within": `{"manual":{"min":"1"}}`,
		"a number for a word": `{"mode":1}`, "a duration without a unit": `{"damping":"5"}`, "a negative duration": `{"damping":"-5s"}`,
		"a time without a zone": `{"paused_until":"2026-06-02T09:30:00"}`, "two records": `{}{}`, "something behind": `{} x`,
	} {
		if r, err := options.Decode([]byte(data)); err == nil {
			t.Errorf("%s became %+v", name, r)
		}
	}
}

func TestEveryProblemOfARecordIsSaidAtOnce(t *testing.T) {
	r := options.Record{
		Mode: "sideways", Base: "asleep", Combine: "weakest", Manual: options.Manual{Policy: "maybe", Max: "4:00", Scope: "world"},
		Damping: duration(2 * time.Hour), StaleAfter: duration(0), Teams: map[string]string{"Away": "asleep", "a b": "away"}, Rank: 2,
		Chosen: &options.Chosen{System: "hq", Status: "asleep"}, PausedUntil: options.Forever.AddDate(1, 0, 0),
	}
	err := r.Check(options.Tenant)
	if err == nil {
		t.Fatal("no problem")
	}
	for _, says := range []string{"mode: ", "base: ", "combine: ", "manual.policy: ", "manual.max: ", "manual.scope: ", "damping: 2h is longer than 1h", "stale_after: ",
		`mapping "Away"`, `mapping "a b"`, "rank: ", "chosen: a status is set for a user", `chosen: status "asleep"`, "chosen: name system and extension", "paused_until: "} {
		if !strings.Contains(err.Error(), says) {
			t.Errorf("nothing says %q in:\n%v", says, err)
		}
	}
}

func TestWhatARecordMayHoldDependsOnItsLayer(t *testing.T) {
	chosen := func(c options.Chosen) options.Record { return options.Record{Chosen: &c} }
	teams := func(key, value string) options.Record { return options.Record{Teams: map[string]string{key: value}} }
	cases := []struct {
		name   string
		record options.Record
		layer  options.Layer
		says   string // "": it is well
	}{
		{"everything of a user", full(), options.User, ""},
		{"a choice for a tenant", full(), options.Tenant, "chosen"},
		{"a choice for a group", full(), options.Group, "chosen"},
		{"a rank of a group", options.Record{Rank: 1}, options.Group, ""},
		{"a rank beyond all", options.Record{Rank: 1_000_001}, options.Group, "rank"},
		{"a rank of a user", options.Record{Rank: 1}, options.User, "rank"},
		{"a pause of a tenant", options.Record{PausedUntil: options.Forever}, options.Tenant, ""},
		{"a withdrawal", chosen(options.Chosen{}), options.User, ""},
		{"a withdrawal with an end", chosen(options.Chosen{Until: options.Forever}), options.User, "withdrawn"},
		{"an extension without a system", chosen(options.Chosen{Extension: "204"}), options.User, "system and extension"},
		{"a system that cannot be one", chosen(options.Chosen{System: "H Q", Extension: "204"}), options.User, "H Q"},
		{"an extension that cannot be one", chosen(options.Chosen{System: "hq", Extension: "2 4"}), options.User, "2 4"},
		{"the longest staleness", options.Record{StaleAfter: duration(24 * time.Hour)}, options.Tenant, ""},
		{"a longer one", options.Record{StaleAfter: duration(25 * time.Hour)}, options.Tenant, "stale_after"},
		{"no damping", options.Record{Damping: duration(0)}, options.Tenant, ""},
		{"a slip in what Teams calls it", teams("Awai", "release"), options.Tenant, `"Awai" names nothing; did you mean Away?`},
		{"a slip in an activity", teams("*/Presentng", "dnd"), options.User, `"Presentng" names nothing; did you mean Presenting?`},
		{"a slip before an activity", teams("Availabel/OutOfOffice", "away"), options.Group, "did you mean Available?"},
		{"what Teams may call it one day", teams("Daydreaming", "away"), options.Tenant, ""},
		{"a name in other capitals", teams("?/inACALL", "dnd"), options.Tenant, ""},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			err := c.record.Check(c.layer)
			if (err == nil) != (c.says == "") || err != nil && !strings.Contains(err.Error(), c.says) {
				t.Fatalf("%v, want it to say %q", err, c.says)
			}
		})
	}
}

func TestKeysComeBackAndNothingElseIsOne(t *testing.T) {
	for _, key := range []options.Key{{Layer: options.Tenant, Tenant: "contoso"}, {Layer: options.Group, Tenant: "contoso", ID: "a.b*c"},
		options.UserKey(identity.Person{Tenant: "contoso", User: "00000000-0000-4000-8000-000000000001"})} {
		if back, err := options.ParseKey(key.String()); err != nil || back != key {
			t.Errorf("%s came back as %+v, %v", key, back, err)
		}
	}
	for _, text := range []string{"", "tenant", "tenant.contoso.x", "user.contoso", "world.contoso.x", "configuration.contoso", "user..x", "user.contoso._"} {
		if key, err := options.ParseKey(text); err == nil {
			t.Errorf("%q became %+v", text, key)
		}
	}
}

func TestSettingsAreWrittenAsTheyAreRead(t *testing.T) {
	want := full()
	want.Chosen, want.PausedUntil, want.By, want.At, want.Rank = nil, time.Time{}, "", time.Time{}, 7
	var got options.Record
	var keys []string
	for _, s := range want.Settings() {
		if err := got.Set(s.Key, s.Value); err != nil {
			t.Error(err)
		}
		keys = append(keys, s.Key)
	}
	if !reflect.DeepEqual(got, want) {
		t.Errorf("got  %s\nwant %s", got.Encode(), want.Encode())
	}
	if order := strings.Join(keys, " "); order != "mode base combine manual.policy manual.max manual.scope damping stale_after rank "+
		"teams.Available/OutOfOffice teams.Away calendar.oof pbx.lunch" {
		t.Errorf("in the order %s", order)
	}
	for _, key := range keys {
		if was, err := got.Unset(key); err != nil || !was {
			t.Errorf("%s was not there to be taken away: %v", key, err)
		}
		if was, err := got.Unset(key); err != nil || was {
			t.Errorf("%s is still there: %v", key, err)
		}
	}
	if left := got.Settings(); len(left) != 0 || string(got.Encode()) != "{}" {
		t.Errorf("left: %v, %s", left, got.Encode())
	}
}

func TestANameOfAMappingIsThereOnceHoweverItIsSpelt(t *testing.T) {
	var r options.Record
	for _, key := range []string{"teams.away", "teams.Away", "teams.AWAY"} {
		if err := r.Set(key, "release"); err != nil {
			t.Fatal(err)
		}
	}
	before := r
	if was, err := r.Unset("teams.aWay"); len(before.Teams) != 1 || before.Teams["AWAY"] == "" || !was || err != nil || len(r.Teams) != 0 {
		t.Fatalf("%v, then %v, %v, %v", before.Teams, was, err, r.Teams)
	}
}

func TestSettingsThatThereAreNotAreRefused(t *testing.T) {
	for _, c := range []options.Setting{{Key: "colour", Value: "red"}, {Key: "Mode", Value: "both"}, {Key: "teams", Value: "away"}, {Key: "teams.", Value: "away"},
		{Key: "chosen.status", Value: "dnd"}, {Key: "paused_until", Value: "x"}, {Key: "mode"}, {Key: "damping", Value: "long"}, {Key: "rank", Value: "first"}} {
		r := full()
		if err := r.Set(c.Key, c.Value); err == nil || !strings.Contains(fmt.Sprint(err), c.Key) || !reflect.DeepEqual(r, full()) {
			t.Errorf("%+v: %v, and the record is %s", c, err, r.Encode())
		}
	}
	r := full()
	if _, err := r.Unset("colour"); err == nil {
		t.Error("what there is not can be taken away")
	}
}

func FuzzDecode(f *testing.F) {
	f.Add(full().Encode())
	f.Add([]byte(`{"mode":"both","manual":{"max":"04:00"},"damping":"5s"}`))
	f.Fuzz(func(t *testing.T, data []byte) {
		r, err := options.Decode(data)
		if err != nil {
			return
		}
		for _, layer := range []options.Layer{options.Tenant, options.Group, options.User} {
			if r.Check(layer) != nil {
				return
			}
		}
		back, err := options.Decode(r.Encode())
		if err != nil || string(back.Encode()) != string(r.Encode()) {
			t.Fatalf("%s is stored as %s: %v", data, r.Encode(), err)
		}
	})
}
