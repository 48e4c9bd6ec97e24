package sippresence

import (
	"encoding/json"
	"os"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
)

// kept opens a file and returns what is in it.
func kept(t *testing.T, path string) (*File, []Publication) {
	t.Helper()
	f := NewFile(path)
	all, err := f.All(t.Context())
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { f.Close() })
	slices.SortFunc(all, func(a, b Publication) int {
		return strings.Compare(string(a.Extension)+string(a.Event), string(b.Extension)+string(b.Event))
	})
	return f, all
}

func TestAFileKeepsPublications(t *testing.T) {
	path := filepath.Join(t.TempDir(), "kept.json")
	later := time.Now().Add(time.Hour).Round(0).UTC()
	written := []Publication{
		{Extension: "201", Event: Dialog, ETag: "b", Status: presence.DND, Expires: later},
		{Extension: "201", Event: Presence, ETag: "a.1", Status: presence.DND, Expires: later},
		{Extension: "202", Event: Presence, ETag: "d", Status: presence.Unset, Expires: later},
	}
	f, all := kept(t, path)
	if len(all) != 0 {
		t.Errorf("a file that does not exist holds %+v", all)
	}
	for _, p := range written {
		f.Keep(Publication{Extension: p.Extension, Event: p.Event, ETag: "older", Expires: later})
		f.Keep(p)
	}
	f.Keep(Publication{Extension: "203", Event: Presence, ETag: "x", Expires: later})
	f.Forget("203", Presence)
	f.Keep(Publication{Extension: "204", Event: Presence, ETag: "x", Expires: time.Now().Add(-time.Second)})
	if err := f.Close(); err != nil {
		t.Fatal(err)
	}
	if err := f.Close(); err != nil {
		t.Errorf("closed twice: %v", err)
	}
	if _, all := kept(t, path); !slices.Equal(all, written) {
		t.Errorf("kept\n%+v instead of\n%+v", all, written)
	}
	info, err := os.Stat(path)
	if err != nil || info.Mode().Perm() != 0o600 {
		t.Errorf("others may read it: %v, %v", info.Mode(), err)
	}
	if left, _ := os.ReadDir(filepath.Dir(path)); len(left) != 1 {
		t.Errorf("beside it lies %v", left)
	}
}

func TestAFileIsWrittenWithoutBeingClosed(t *testing.T) {
	t.Parallel()
	path := filepath.Join(t.TempDir(), "kept.json")
	f, _ := kept(t, path)
	f.Keep(Publication{Extension: "201", Event: Presence, ETag: "a", Status: presence.Away, Expires: time.Now().Add(time.Hour)})
	eventually(t, "it is written", func() bool {
		data, err := os.ReadFile(path)
		return err == nil && strings.Contains(string(data), `"201"`)
	})
}

func TestWhatMakesNoSenseIsNotUsed(t *testing.T) {
	now := time.Now()
	good := Publication{Extension: "201", Event: Presence, ETag: "a", Status: presence.DND, Expires: now.Add(time.Hour)}
	cases := []struct {
		name   string
		adjust func(*Publication)
		used   bool
	}{
		{"a publication", func(*Publication) {}, true},
		{"one of a status that is unknown", func(p *Publication) { p.Status = presence.Unset }, true},
		{"one that has expired", func(p *Publication) { p.Expires = now.Add(-time.Second) }, false},
		{"a lamp that has expired, because it must be turned off", func(p *Publication) { p.Event, p.Expires = Dialog, now.Add(-time.Second) }, true},
		{"one that lives for years", func(p *Publication) { p.Expires = now.Add(20000 * time.Hour) }, false},
		{"a lamp whose tag was lost, because it must be turned off", func(p *Publication) { p.Event, p.ETag = Dialog, "" }, true},
		{"a lamp whose tag has a header in it", func(p *Publication) { p.Event, p.ETag = Dialog, "a\r\n" }, false},
		{"one without a tag", func(p *Publication) { p.ETag = "" }, false},
		{"a tag with a header in it", func(p *Publication) { p.ETag = "a\r\nExpires: 0" }, false},
		{"no extension", func(p *Publication) { p.Extension = "" }, false},
		{"an extension with a header in it", func(p *Publication) { p.Extension = "1\r\n" }, false},
		{"another event", func(p *Publication) { p.Event = "message-summary" }, false},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			p := good
			c.adjust(&p)
			data, err := json.Marshal([]Publication{p})
			if err != nil {
				t.Fatal(err)
			}
			if all := sensible(data, now); (len(all) == 1) != c.used {
				t.Errorf("used %+v of %s", all, data)
			}
		})
	}
	for _, data := range []string{"", "{}", "[{", `[{"extension":7}]`, `[{"status":"asleep"}]`, "null"} {
		if all := sensible([]byte(data), now); len(all) != 0 {
			t.Errorf("used %+v of %q", all, data)
		}
	}
	twice, _ := json.Marshal([]Publication{good, good})
	if all := sensible(twice, now); len(all) != 1 {
		t.Errorf("used %+v of one that is there twice", all)
	}
}

func TestAFileThatCannotBeKeptIsDenied(t *testing.T) {
	dir := t.TempDir()
	for name, path := range map[string]string{"in a folder that does not exist": filepath.Join(dir, "none", "kept.json"), "that is a folder": dir} {
		t.Run("one "+name, func(t *testing.T) {
			f := NewFile(path)
			if f.Usable() == nil {
				t.Error("it is called usable")
			}
			_, err := f.All(t.Context())
			wantKind(t, err, fault.Denied)
			if err := f.Close(); err != nil {
				t.Error(err)
			}
		})
	}
}

// 412 is answered to a tag that is not the newest. A lost file costs nothing, a stale one a
// reading for each extension, and one 412 where the status is the same by chance; neither
// shows a status that is older than the server's.
func TestAStaleFileCostsOneReadingAndShowsNothingOld(t *testing.T) {
	t.Parallel()
	for _, whole := range []bool{false, true} {
		file := newShelf()
		later := time.Now().Add(2 * time.Second)
		for _, ext := range []identity.Extension{"201", "202"} {
			file.Keep(Publication{Extension: ext, Event: Presence, ETag: "stale", Status: presence.DND, Expires: later})
		}
		s := newServer(t, "201", "202")
		earlier := open(t, s.config(UDP)) // the process that wrote last, and died before it kept that
		set(t, earlier, "201", presence.Away)
		set(t, earlier, "202", presence.DND)
		config := s.config(UDP)
		config.Publications, config.RefreshWhole = file, whole
		d := open(t, config)
		eventually(t, "the keeper gives both up", func() bool {
			return held(d, "201").ETag == "" && held(d, "202").ETag == ""
		})
		reads(t, d, "201", presence.Away)
		reads(t, d, "202", presence.DND)
		set(t, d, "201", presence.Lunch)
		var stale []string
		for _, m := range s.messages() {
			if m.etag == "stale" {
				stale = append(stale, m.user)
			}
		}
		if !slices.Equal(stale, []string{"202"}) {
			t.Errorf("the stale tag was sent for %v", stale)
		}
		if all, _ := file.All(t.Context()); len(all) != 1 || all[0].Extension != "201" {
			t.Errorf("kept: %+v", all)
		}
	}
}

// A tag that the server still takes proves that what was kept with it is the newest.
func TestWhatTheServerConfirmsIsPutBackLater(t *testing.T) {
	t.Parallel()
	file := newShelf()
	s, d := pair(t, func(_ *behaviour, c *Config) { c.Publications = file })
	set(t, d, "201", presence.DND)
	d.Close()
	config := s.config(UDP)
	config.Publications = file
	next := open(t, config)
	dueNow(next, "201", Presence)
	eventually(t, "it is confirmed", func() bool { p := held(next, "201"); return p.ETag != "" && !p.hearsay })
	s.forget()
	dueNow(next, "201", Presence)
	eventually(t, "it is shown again", func() bool { return strings.Contains(s.document("201"), "busy") })
	if file.closed != 1 {
		t.Errorf("what keeps was closed %d times", file.closed)
	}
}

func TestALampIsTakenOverFromAnEarlierProcess(t *testing.T) {
	t.Parallel()
	for name, lamps := range map[string]presence.Set{"with the same lamps": presence.SetOf(presence.DND), "with others": presence.SetOf(presence.Away), "without any": 0} {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			file := newShelf()
			s, d := pair(t, func(b *behaviour, c *Config) { lit(b, c); c.Publications = file })
			set(t, d, "201", presence.DND)
			quiet(t, d, "201")
			d.Close()
			tag := d.(*driver).table.held(d.(*driver).table.row("201", Dialog)).ETag
			config := s.config(UDP)
			config.Publications, config.Lamps = file, lamps
			next := open(t, config)
			if lamps != 0 {
				reads(t, next, "201", presence.DND)
			}
			eventually(t, "something is sent with the tag that was kept", func() bool {
				return slices.ContainsFunc(s.messages(), func(m message) bool { return m.dialog && m.etag == tag })
			})
			state := map[bool]string{true: "confirmed", false: "terminated"}[lamps.Has(presence.DND)]
			eventually(t, "the lamp is "+state, lampIs(s, "201", state))
			next.Close()
		})
	}
}

// Whatever lies there is used or not, and what is used can be published.
func FuzzKept(f *testing.F) {
	f.Add([]byte(`[{"extension":"201","event":"presence","etag":"a","status":"dnd","expires":"2026-11-26T12:00:00Z"}]`))
	f.Add([]byte(`[{"extension":"201","event":"dialog","etag":"a\r\nX: y","status":"","expires":"2026-11-26T12:00:00Z"}]`))
	f.Add([]byte(`[{`))
	now := time.Date(2026, 11, 26, 11, 30, 0, 0, time.UTC)
	f.Fuzz(func(t *testing.T, data []byte) {
		for _, p := range sensible(data, now) {
			if _, err := (Config{AOR: DefaultAOR, Domain: domain}).address(p.Extension); err != nil || strings.ContainsAny(p.ETag, "\r\n \t:;,\x00") || p.ETag == "" && p.Event != Dialog {
				t.Errorf("used %+v: %v", p, err)
			}
		}
	})
}
