package portsip

import (
	"encoding/json"
	"net/http"
	"reflect"
	"slices"
	"strconv"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"offhook.dev/libs/core/directory"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
)

func directoryExtension(number identity.Extension) directory.Extension {
	return directory.Extension{Number: number, Enabled: true}
}

// Every status code there can be, for a read and for a write. What is not named is what
// its hundred is.
func TestEveryStatusCodeHasAKind(t *testing.T) {
	type kinds struct{ read, write fault.Kind }
	same := func(k fault.Kind) kinds { return kinds{k, k} }
	special := map[int]kinds{
		401: same(fault.Denied), 402: same(fault.Denied), 403: same(fault.Denied), 407: same(fault.Denied),
		404: same(fault.NotFound), 405: same(fault.Unsupported), 408: same(fault.Timeout),
		409: same(fault.Conflict), 412: same(fault.Conflict), 423: same(fault.Conflict),
		410: same(fault.Gone), 429: same(fault.Throttled),
		501: same(fault.Unsupported), 503: same(fault.Unavailable), 504: same(fault.Timeout),
	}
	hundreds := map[int]kinds{
		1: same(fault.Invalid), 2: {fault.Unavailable, fault.Timeout}, 3: same(fault.Invalid),
		4: same(fault.Invalid), 5: {fault.Unavailable, fault.Timeout},
	}
	for status := 100; status < 600; status++ {
		want, ok := special[status]
		if !ok {
			want = hundreds[status/100]
		}
		read := fault.KindOf(refusal("op", false, answer{status: status}, time.Time{}))
		write := fault.KindOf(refusal("op", true, answer{status: status}, time.Time{}))
		if got := (kinds{read, write}); got != want {
			t.Errorf("%d: read is %v and write %v, want %v and %v", status, got.read, got.write, want.read, want.write)
		}
	}
}

func TestRetryAfter(t *testing.T) {
	now := time.Date(2026, 11, 22, 10, 0, 0, 0, time.UTC)
	for value, want := range map[string]time.Duration{
		"": 0, "7": 7 * time.Second, "0.5": 500 * time.Millisecond, "-3": 0, "soon": 0, "NaN": 0,
		"1e300": longestRetryAfter, "Sun, 22 Nov 2026 10:00:30 GMT": 30 * time.Second,
		"Sun, 22 Nov 2026 09:00:00 GMT": 0, "Sun, 22 Nov 2099 10:00:00 GMT": longestRetryAfter,
	} {
		if got := retryAfter(http.Header{"Retry-After": {value}}, now); got != want {
			t.Errorf("%q: got %v, want %v", value, got, want)
		}
	}
}

func TestBothSpellingsOfEachStatusAreUnderstood(t *testing.T) {
	on, off := true, false
	for _, c := range []struct {
		presence string // "-": not told
		dnd      *bool
		all      presence.Status // ByPresence
		switched presence.Status // ByDND
	}{
		{"AVAILABLE", &off, presence.Available, presence.Available}, {"ONLINE", &off, presence.Available, presence.Available},
		{"online", nil, presence.Available, presence.Available}, {"AWAY", &off, presence.Away, presence.Available},
		{"LUNCH", nil, presence.Lunch, presence.Available}, {"BUSINESS_TRIP", &off, presence.BusinessTrip, presence.Available},
		{"Business Trip", &off, presence.BusinessTrip, presence.Available}, {"DO_NOT_DISTURB", &off, presence.DND, presence.Available},
		{"DO_NOT_DISTURB", &on, presence.DND, presence.DND}, {"AWAY", &on, presence.DND, presence.DND},
		{"OFFLINE", &off, presence.Available, presence.Available}, {"ON_CALL", nil, presence.Available, presence.Available},
		{"On Call", &off, presence.Available, presence.Available}, {"ON_ACLL", &off, presence.Available, presence.Available},
		{"OTHER_CALL", &on, presence.DND, presence.DND}, {"RINGING", &off, presence.Available, presence.Available},
		{"", &off, presence.Available, presence.Available}, {"-", &off, presence.Available, presence.Available},
		{"ASLEEP", &off, presence.Unset, presence.Available}, {"ASLEEP", &on, presence.DND, presence.DND},
	} {
		s := shown{&c.presence, c.dnd}
		if c.presence == "-" {
			s.Presence = nil
		}
		if all, switched := s.status(ByPresence), s.status(ByDND); all != c.all || switched != c.switched {
			t.Errorf("%q, %v: %v and %v, want %v and %v", c.presence, c.dnd, all, switched, c.all, c.switched)
		}
	}
}

func TestEntriesAreReadAsTheyWereWritten(t *testing.T) {
	for _, c := range []directory.Contact{
		{Source: "k1", FirstName: "Ada", LastName: "Abel"}, {Source: "k1", FirstName: "Mary Ann", LastName: "van Berg", Department: "Dairy: cheese"},
		{Source: "k1", LastName: "Abel"}, {Source: "k1", FirstName: "Ada"}, {Source: "k-1", FirstName: " ", LastName: " "},
		{Source: "k1", FirstName: "Zoë 🏳️‍🌈", LastName: "\u2067abc\u2069"}, {Source: "k1", Department: "a\nb\noffhook:x:1\n"},
		{Source: "k1"}, {FirstName: "Ada", LastName: "Abel"}, {LastName: "Abel", Department: "Dairy"},
	} {
		name, notes := written(c)
		if got := read(name, notes); !reflect.DeepEqual(got, c) || name == "" {
			t.Errorf("%+v is written %q, %q and read as %+v", c, name, notes, got)
		}
	}
	for what, c := range map[string]struct {
		name, notes string
		want        directory.Contact
	}{
		"a name that somebody made shorter": {"Al", "offhook:k1:5", directory.Contact{Source: "k1", LastName: "Al"}},
		"a name that somebody changed":      {"Adalbert", "offhook:k1:3", directory.Contact{Source: "k1", LastName: "Adalbert"}},
		"a line that somebody broke":        {"Ada Abel", "offhook:k1", directory.Contact{FirstName: "Ada", LastName: "Abel"}},
		"notes before ours":                 {"Ada Abel", "likes golf\noffhook:k1:3", directory.Contact{Source: "k1", FirstName: "Ada", LastName: "Abel"}},
		"notes after ours":                  {"Ada Abel", "offhook:k1:3\nlikes golf", directory.Contact{FirstName: "Ada", LastName: "Abel"}},
	} {
		if got := read(c.name, c.notes); !reflect.DeepEqual(got, c.want) {
			t.Errorf("%s: %+v", what, got)
		}
	}
}

func FuzzNotes(f *testing.F) {
	f.Add("Ada", "Abel", "Dairy", "k1")
	f.Add("", "Abel", "a\noffhook:k2:3", "k1")
	f.Add(" ", "", "Department: \n", "-")
	f.Add("é", "é", "", "")
	f.Fuzz(func(t *testing.T, first, last, department, source string) {
		c := directory.Contact{FirstName: first, LastName: last, Department: department, Source: "k" + strconv.Itoa(len(source))}
		if !utf8.ValidString(first) || !utf8.ValidString(last) || !utf8.ValidString(department) { // JSON has no others
			return
		}
		name, notes := written(c)
		if got := read(name, notes); got.Source != c.Source || got.FirstName != first || got.LastName != last || got.Department != department {
			t.Errorf("%+v is written %q, %q and read as %+v", c, name, notes, got)
		}
		_ = read(first, department) // anything
		if n := utf8.RuneCountInString(name); n == 0 {
			t.Error("no name")
		}
	})
}

func FuzzDisplayName(f *testing.F) {
	f.Add("Ada", "Abel", "204")
	f.Add("", "204", "204")
	f.Add("a\u00a0b", " ", "204")
	f.Fuzz(func(t *testing.T, first, last, number string) {
		display, err := displayName("op", identity.Extension(number), first, last)
		if err != nil {
			return
		}
		if a, b, _ := names(identity.Extension(number), display); a != first || b != last {
			t.Errorf("%q, %q is %q, which is %q, %q", first, last, display, a, b)
		}
	})
}

func FuzzErrorBody(f *testing.F) {
	for _, seed := range []string{
		`{"errors":[{"code":"VALIDATE_FAILED","message":"field validation failed","detail":{"a":1}}]}`,
		`{"errors":[{"code":"x","message":"line\r\nbreak\u001b[31m"}]}`, `{"errors":[]}`, `{"errors":null}`, `{"errors":"text"}`,
		`<html>`, "", `{"errors":[{"code":1}]}`, "\xff\xfe{", `{"errors":[null]}`,
	} {
		f.Add([]byte(seed), 403, true)
	}
	f.Fuzz(func(t *testing.T, body []byte, status int, write bool) {
		err := refusal("op", write, answer{status, http.Header{"Retry-After": {string(body)}}, body}, time.Time{})
		if err == nil {
			t.Fatal("no error")
		}
		text := err.Error()
		if strings.ContainsAny(text, "\r\n\x1b") || utf8.RuneCountInString(text) > 500 {
			t.Errorf("not fit for a log line: %q", text)
		}
		if fault.KindOf(err) == fault.Unknown {
			t.Errorf("status %d is not classified", status)
		}
		if write && fault.KindOf(err) == fault.Unavailable && status != http.StatusServiceUnavailable {
			t.Errorf("status %d says that a write had no effect", status)
		}
	})
}

func FuzzToken(f *testing.F) {
	for _, seed := range []string{
		`{"token_type":"Bearer","access_token":"NGMZ","refresh_token":"NTU4","expires_in":3600}`, `{"two_factor_enabled":true,"token":"x"}`,
		`{"access_token":"a b"}`, `{"access_token":"a\r\nHost: x"}`, `{"access_token":"x","expires_in":-1}`, `{"access_token":"x","expires_in":9223372036854775807}`,
		`{"access_token":"x","expires_in":"3600"}`, `null`, `[]`, ``, `{"access_token":"ä"}`,
	} {
		f.Add([]byte(seed))
	}
	asked := time.Unix(1_790_000_000, 0)
	f.Fuzz(func(t *testing.T, body []byte) {
		got, err := parseTokens(body, asked)
		if err != nil {
			if kind := fault.KindOf(err); kind != fault.Denied && kind != fault.Unavailable {
				t.Errorf("%v: %v", kind, err)
			}
			return
		}
		request, _ := http.NewRequest(http.MethodGet, "https://x", nil)
		request.Header.Set("Authorization", "Bearer "+got.access)
		if life := got.replace.Sub(asked); got.access == "" || strings.ContainsAny(got.access, " \r\n") || life < shortestLife*9/10 || life > longestLife {
			t.Errorf("%q lives %v", got.access, life)
		}
	})
}

func FuzzMessage(f *testing.F) {
	for _, seed := range []string{
		`{"command":"auth","id":"1","status":0}`, `{"command":"auth","error":"access_token , username , domain or password error","id":"2","status":-1}`,
		`{"event_type":"extension_status","status":[{"extension":"sip:101@test.io","extension_id":"7","call_status":"ON_ACLL","online":false,"presence":"AWAY","presence_note":"","push_online":false,"time":"1704186780"},{"extension":"sip:102@test.io","call_status":"On Call","presence":"ONLINE"}],"tenant_id":"7"}`,
		`{"event_type":"extension_call","extension":"sip:101@test.io","call_status":"ON_CALL","tenant_id":"7","extension_id":"7","time":"1703690276"}`,
		`{"event_type":"extension_presence","extension":"sip:101@test.io","presence":"AVAILABLE","presence_note":"Driving","tenant_id":"7","extension_id":"7","time":"1703690547"}`,
		`{"event_type":"extension_status","status":null}`, `{"event_type":"extension_call","extension":"sip:../..@x","call_status":null}`,
		`{"command":"subscribe","status":"0"}`, `{}`, `null`, `[]`, `{"event_type":7}`, "", "\xff", `{"event_type":"extension_created","extension_number":"1001"}`,
	} {
		f.Add([]byte(seed))
	}
	f.Fuzz(func(t *testing.T, data []byte) {
		m, err := parseMessage(data)
		if err != nil {
			return
		}
		if m.command == "" && m.kind == "" {
			t.Error("it is nothing, and no error")
		}
		if strings.ContainsAny(m.failed, "\r\n\x1b") {
			t.Errorf("not fit for a log line: %q", m.failed)
		}
		for _, s := range m.states {
			if _, err := identity.ParseExtension(string(s.ext)); err != nil {
				t.Errorf("%q is no extension", s.ext)
			}
			if s.call != nil && *s.call && m.kind == "extension_presence" {
				t.Error("a presence is a call")
			}
		}
	})
}

func FuzzPage(f *testing.F) {
	for _, seed := range []string{
		`[{"id":"a","extension_number":"101","enable_dnd":true},{"id":"b","extension_number":"1 2"},{"id":"a"}]`,
		`[{"id":"","extension_number":null,"enabled":null}]`, `[null]`, `[]`, `[{"id":"a"},{"id":"b"},{"id":"c"}]`,
	} {
		f.Add([]byte(seed), []byte(`[{"id":"b"},{"id":"c"},{"id":"d"}]`))
	}
	f.Fuzz(func(t *testing.T, first, second []byte) {
		var pages [2][]user
		if json.Unmarshal(first, &pages[0]) != nil || json.Unmarshal(second, &pages[1]) != nil {
			return
		}
		k, seen := newKnown(), map[string]bool{}
		for i, page := range pages {
			fresh, _ := after(k, page, i == 0)
			for _, u := range fresh {
				if seen[u.ID] || u.ID == "" {
					t.Errorf("%q comes twice, or is none", u.ID)
				}
				seen[u.ID] = true
			}
		}
		if len(pages[0]) > 0 && len(seen) == 0 && slices.ContainsFunc(pages[0], func(u user) bool { return u.ID != "" }) {
			t.Error("the first page brought nothing")
		}
	})
}

func FuzzOptions(f *testing.F) {
	for _, seed := range []string{`{"skin":"dark"}`, `{"offhook_user":"x"}`, `{"offhook_user":7}`, "null", "[]", "", "text", `{"a":1,"a":2}`} {
		f.Add(seed)
	}
	f.Fuzz(func(t *testing.T, text string) {
		_ = parseOptions(text).marker()
		if !mergeable(text) {
			return
		}
		out := options{string(ada)}.in(text)
		if got := parseOptions(out).marker(); got != ada {
			t.Errorf("%q became %q, with %q", text, out, got)
		}
		if again := (options{string(ada)}).in(out); again != out {
			t.Errorf("twice is not once: %q, %q", out, again)
		}
		var before, now map[string]json.RawMessage
		_ = json.Unmarshal([]byte(text), &before)
		_ = json.Unmarshal([]byte(out), &now)
		for name := range before {
			if _, kept := now[name]; !kept {
				t.Errorf("%q lost %q", text, name)
			}
		}
	})
}
