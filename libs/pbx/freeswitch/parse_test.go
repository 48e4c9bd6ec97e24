package freeswitch

import (
	"maps"
	"reflect"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx/freeswitch/esl"
)

const columns = "userid|context|domain|group|contact|callgroup|effective_caller_id_name|effective_caller_id_number\n"

func TestUsers(t *testing.T) {
	user := func(number identity.Extension, name string) directory.Extension {
		return directory.Extension{Number: number, Enabled: true, Fields: directory.Fields{DisplayName: name}}
	}
	for name, c := range map[string]struct {
		text string
		want []directory.Extension
		fail bool
	}{
		"two":                         {columns + "1000|default|x|default|error/user_not_registered|a|Ada|1000\n*97|default|X|d|e||Bé|2\n\n+OK\n", []directory.Extension{user("1000", "Ada"), user("*97", "Bé")}, false},
		"nobody":                      {columns + "\n+OK\n", nil, false},
		"in two groups":               {columns + "1000||x|a||||\n1000||x|b||||\n\n+OK\n", []directory.Extension{user("1000", "")}, false},
		"of another domain":           {columns + "1000||y|a||||\n\n+OK\n", nil, false},
		"a name with a bar":           {columns + "1000||x|a|||Ada|Lovelace|1\n\n+OK\n", []directory.Extension{user("1000", "")}, false},
		"a number nobody can dial":    {columns + "10 00||x|a||||\n\n+OK\n", nil, false},
		"other columns, and a return": {"domain|userid\r\nx|1000\r\n\r\n+OK\r\n", []directory.Extension{user("1000", "")}, false},
		"the end is missing":          {columns + "1000||x|a||||\n", nil, true},
		"nothing":                     {"", nil, true},
		"something else":              {"<html>It works!</html>\n+OK\n", nil, true},
	} {
		got, err := parseUsers(c.text, "x")
		if (err != nil) != c.fail || !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v, %v", name, got, err)
		}
	}
}

func TestChannels(t *testing.T) {
	for text, want := range map[string]map[string]row{
		`{"row_count":0}` + "\n":    {},
		`{"row_count":0,"rows":[]}`: {},
		`{"row_count":1,"rows":[{"uuid":"7","name":"sofia/internal/1000@x","presence_id":"1000@x","callstate":"ACTIVE","dest":"é"}]}`: {"7": {"7", "sofia/internal/1000@x", "1000@x", "ACTIVE"}},
		`{"row_count":1,"rows":[{"name":"sofia"}]}`: {},
		``: nil, `{}`: nil, `[]`: nil, `null`: nil, `{"row_count":1}`: nil, `{"row_count":-1}`: nil, `{"row_count":"1"}`: nil, `{"row_count":1,"rows":[{"uuid":7}]}`: nil, "0 total.": nil,
	} {
		got, err := parseChannels(text)
		if (err != nil) != (want == nil) || !maps.Equal(got, want) {
			t.Errorf("%s: %v, %v", text, got, err)
		}
	}
}

func TestDumps(t *testing.T) {
	h := hash{Config{Realm: "offhook", Domain: "x"}}
	for text, want := range map[string]map[identity.Extension]presence.Status{
		"-ERR no reply\n": {}, "": {}, "+OK\n": {},
		"D/offhook_1000@x/dnd\nD/offhook_1001@X/gone fishing\nD/other_1000@x/away\nD/offhook_1002@y/away\n": {"1000": presence.DND, "1001": presence.Unset},
		"D/offhook_1000@x\n":        {"1000": presence.Unset},
		"L/outbound_1000/1/0/0/0\n": nil, "Usage: all|limit|db\n": nil, "-ERR permission denied": nil,
	} {
		got, ok := h.parseDump(esl.Reply(text))
		if ok != (want != nil) || !maps.Equal(got, want) {
			t.Errorf("%q: %v, %v", text, got, ok)
		}
	}
}

func TestARefusalIsNoValue(t *testing.T) {
	for _, s := range []store{hash{}, variable{}} {
		for text, refused := range map[string]bool{
			"-ERR permission denied": true, "-ERR hash Command not found!\n": true, "-ERR Usage: hash insert|select|delete/realm/key\n": true, "-USAGE: <user>@<domain>\n": true,
			"-ERR no reply\n": false, "-1": false, "-": false, "dnd": false, "": false,
		} {
			if _, err := s.parse("op", esl.Reply(text)); (err != nil) != refused {
				t.Errorf("%T: %q: %v", s, text, err)
			}
		}
	}
}

func TestVariables(t *testing.T) {
	v := variable{}
	for text, want := range map[string]presence.Status{
		"true": presence.DND, "TRUE\n": presence.DND, "1": presence.DND, "on": presence.DND, "yes": presence.DND, "enabled": presence.DND,
		"false": presence.Available, "": presence.Available, "-ERR no reply\n": presence.Available, "0": presence.Available, "what": presence.Available, "-1": presence.Available,
	} {
		if got, err := v.parse("op", esl.Reply(text)); got != want || err != nil {
			t.Errorf("%q: %v, %v", text, got, err)
		}
	}
}

func TestVersions(t *testing.T) {
	for text, want := range map[string]string{
		"FreeSWITCH Version 1.10.12-release+git~20241002T140000Z~a88d069d6f~64bit (git a88d069 2024-10-02 14:00:00Z 64bit)\n": "1.10.12",
		"FreeSWITCH Version 1.10.7 (git)": "1.10.7", "-ERR permission denied": "", "": "", "FreeSWITCH Version \x1b[31m": "[31m",
	} {
		if got := version(esl.Reply(text)); got != want {
			t.Errorf("%q: %q", text, got)
		}
	}
}

// FuzzUsers: every user is one that can be dialled, in the domain, once.
func FuzzUsers(f *testing.F) {
	f.Add(columns + "1000|default|x|default|error/user_not_registered|a|Ada|1000\n\n+OK\n")
	f.Fuzz(func(t *testing.T, text string) {
		all, err := parseUsers(text, "x")
		seen := map[identity.Extension]bool{}
		for _, e := range all {
			if _, bad := identity.ParseExtension(string(e.Number)); bad != nil || seen[e.Number] || err != nil || strings.ContainsAny(e.DisplayName, "\r\n") || !utf8.ValidString(e.DisplayName) {
				t.Errorf("%+v, %v", e, err)
			}
			seen[e.Number] = true
		}
	})
}

// FuzzChannels: a list that is replaced by nothing leaves nothing, and nobody is in fewer
// than no calls.
func FuzzChannels(f *testing.F) {
	f.Add(`{"row_count":1,"rows":[{"uuid":"7","name":"sofia/internal/1000@x","presence_id":"1000@x","callstate":"ACTIVE"}]}`)
	f.Fuzz(func(t *testing.T, text string) {
		list, err := parseChannels(text)
		if err != nil {
			return
		}
		c := newChannels(Config{Domain: "x"})
		c.replace(list, time.Unix(1000, 0))
		for ext, n := range c.calls {
			if _, bad := identity.ParseExtension(string(ext)); bad != nil || n < 1 || n > len(list) {
				t.Errorf("%q is in %d calls", ext, n)
			}
		}
		c.replace(nil, time.Unix(2000, 0))
		if len(c.calls) != 0 || len(c.byID) != 0 {
			t.Errorf("left: %v", c.byID)
		}
	})
}

// FuzzDump: what is told is what was kept: apart from what somebody else put there.
func FuzzDump(f *testing.F) {
	f.Add("D/offhook_1000@x/dnd\n")
	h := hash{Config{Realm: "offhook", Domain: "x"}}
	f.Fuzz(func(t *testing.T, text string) {
		all, ok := h.parseDump(esl.Reply(text))
		for ext, s := range all {
			if _, bad := identity.ParseExtension(string(ext)); bad != nil || !ok || s > presence.BusinessTrip || !strings.Contains(text, string(ext)) {
				t.Errorf("%q shows %v", ext, s)
			}
		}
	})
}
