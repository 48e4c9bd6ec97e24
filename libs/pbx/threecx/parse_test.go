package threecx

import (
	"encoding/json"
	"net/http"
	"strings"
	"testing"
	"time"
	"unicode/utf8"

	"github.com/golang-jwt/jwt/v5"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/presence"
)

// Every status code there can be, for a read and for a write. What is not named
// is what its hundred is.
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
		read := fault.KindOf(refusal("op", false, status, nil, nil, time.Time{}))
		write := fault.KindOf(refusal("op", true, status, nil, nil, time.Time{}))
		if got := (kinds{read, write}); got != want {
			t.Errorf("%d: read is %v and write %v, want %v and %v", status, got.read, got.write, want.read, want.write)
		}
	}
}

func TestLifetime(t *testing.T) {
	now := time.Unix(1_790_000_000, 0)
	claims := func(c jwt.RegisteredClaims) string {
		text, err := jwt.NewWithClaims(jwt.SigningMethodHS256, c).SignedString([]byte("k"))
		if err != nil {
			t.Fatal(err)
		}
		return text
	}
	at := func(d time.Duration) *jwt.NumericDate { return jwt.NewNumericDate(now.Add(d)) }
	for name, c := range map[string]struct {
		text      string
		expiresIn int64
		want      time.Duration
	}{
		"issue and expiry decide, not expires_in":   {claims(jwt.RegisteredClaims{IssuedAt: at(0), ExpiresAt: at(time.Hour)}), 60, time.Hour},
		"a clock that is wrong does not matter":     {claims(jwt.RegisteredClaims{IssuedAt: at(-9 * time.Hour), ExpiresAt: at(-8 * time.Hour)}), 60, time.Hour},
		"not before stands in for issued at":        {claims(jwt.RegisteredClaims{NotBefore: at(0), ExpiresAt: at(time.Hour)}), 0, time.Hour},
		"expiry alone is better than expires_in":    {claims(jwt.RegisteredClaims{ExpiresAt: at(time.Hour)}), 60, time.Hour},
		"without claims 60 is minutes (to 20.0.8)":  {"opaque", 60, time.Hour},
		"without claims 3600 is seconds (20.0.9)":   {"opaque", 3600, time.Hour},
		"a token without any life is tried briefly": {"opaque", 0, shortestLife},
		"a negative life is no life":                {"opaque", -5, shortestLife},
		"an expired token is tried briefly":         {claims(jwt.RegisteredClaims{ExpiresAt: at(-time.Hour)}), 0, shortestLife},
		"an endless life ends":                      {"opaque", 1 << 62, longestLife},
	} {
		t.Run(name, func(t *testing.T) {
			if got := lifetime(c.text, c.expiresIn, now); got != c.want {
				t.Errorf("got %v, want %v", got, c.want)
			}
		})
	}
}

func TestProfilesAreKnownByNameAndLabel(t *testing.T) {
	for name, c := range map[string]struct {
		found []profile
		write map[presence.Status]string
		read  map[string]presence.Status
	}{
		"the internal names": {
			found: internal,
			write: map[presence.Status]string{presence.DND: "Out of office", presence.Lunch: "Custom 1", presence.BusinessTrip: "Custom 2"},
			read:  map[string]presence.Status{"out of OFFICE": presence.DND, " Custom 1": presence.Lunch, "": presence.Unset, "Do Not Disturb": presence.Unset},
		},
		"a label is read, the name is written": {
			found: []profile{{"Available", ""}, {"Custom 1", "Mittagspause"}},
			write: map[presence.Status]string{presence.Lunch: "Custom 1", presence.DND: ""},
			read:  map[string]presence.Status{"Mittagspause": presence.Lunch, "Custom 1": presence.Lunch},
		},
		"a label that is another profile's name means that profile": {
			found: []profile{{"Available", ""}, {"Away", ""}, {"Custom 1", "Away"}},
			write: map[presence.Status]string{presence.Away: "Away", presence.Lunch: "Custom 1"},
			read:  map[string]presence.Status{"Away": presence.Away},
		},
		"a name unknown to us is known by its label": {
			found: []profile{{"Available", ""}, {"P3", "Do Not Disturb"}},
			write: map[presence.Status]string{presence.DND: "P3"},
			read:  map[string]presence.Status{"P3": presence.DND, "do not disturb": presence.DND},
		},
		"a profile without a name cannot be written": {
			found: []profile{{"", "Available"}},
			write: map[presence.Status]string{presence.Available: ""},
		},
	} {
		t.Run(name, func(t *testing.T) {
			p := newProfiles(c.found)
			for status, want := range c.write {
				if got, ok := p.name(status); got != want || ok != (want != "") {
					t.Errorf("%v is written %q, want %q", status, got, want)
				}
				if p.powers().Write.Has(status) != (want != "") {
					t.Errorf("%v: powers %+v", status, p.powers())
				}
			}
			for text, want := range c.read {
				if got := p.status(text); got != want {
					t.Errorf("%q is read as %v, want %v", text, got, want)
				}
			}
		})
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

func FuzzErrorBody(f *testing.F) {
	for _, seed := range []string{
		`{"error":{"code":"BadRequest","message":"no such profile","details":[]}}`,
		`{"error":{"code":"x","message":"Your License\r\ndoes not allow this"}}`,
		`{"error":null}`, `{"error":"text"}`, `<html>`, "", `{"error":{"code":1}}`, "\xff\xfe{",
	} {
		f.Add([]byte(seed), 403, true)
	}
	f.Fuzz(func(t *testing.T, body []byte, status int, write bool) {
		err := refusal("op", write, status, http.Header{"Retry-After": {string(body)}}, body, time.Time{})
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

func FuzzPage(f *testing.F) {
	for _, seed := range []string{
		`[{"Id":1,"Number":"101","CurrentProfileName":"Away"},{"Id":2,"Number":"1 2"},{"Id":2,"Number":"103"}]`,
		`[{"Id":-5,"Number":"*17","CurrentProfileName":null}]`, `[null]`, `[]`,
	} {
		f.Add([]byte(seed), int32(0))
	}
	f.Fuzz(func(t *testing.T, data []byte, last int32) {
		var page []user
		if json.Unmarshal(data, &page) != nil {
			return
		}
		for _, u := range after(page, last) {
			if u.ID <= last {
				t.Errorf("%+v after %d", u, last)
			}
			last = u.ID
		}
	})
}

func FuzzToken(f *testing.F) {
	f.Add("opaque", int64(60))
	f.Add("eyJhbGciOiJFUzI1NiJ9.eyJleHAiOjE3OTAwMDAwMDB9.c2ln", int64(3600))
	f.Add("a.b.c", int64(-1))
	f.Add("eyJhbGciOiJFUzI1NiJ9.eyJleHAiOjFlMzAwfQ.", int64(0))
	f.Fuzz(func(t *testing.T, text string, expiresIn int64) {
		life := lifetime(text, expiresIn, time.Unix(1_790_000_000, 0))
		if life < shortestLife || life > longestLife {
			t.Errorf("lives %v", life)
		}
	})
}
