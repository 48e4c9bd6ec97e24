package sippresence

import (
	"errors"
	"path/filepath"
	"slices"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx/sippresence/kamailiotest"
)

// What a desk phone sees of a Kamailio: its lamp, and beside it the status.
func TestLampsOfAKamailio(t *testing.T) {
	t.Parallel()
	k, ok := startKamailio(t, kamailiotest.Files)
	if !ok {
		return
	}
	for _, transport := range []Transport{UDP, TCP, TLS} {
		t.Run("a lamp is red for dnd and dark otherwise over "+string(transport), func(t *testing.T) {
			ext := identity.Extension("30" + string(transport[1]))
			config := k.config(transport)
			config.Lamps = presence.SetOf(presence.DND)
			d, w, lamp := open(t, config), k.WatchOver(t, string(transport), ext), k.WatchCallsOver(t, string(transport), ext)
			for range 2 {
				for _, s := range presence.Statuses() {
					set(t, d, ext, s)
					w.Sees(t, s)
					want := kamailiotest.Dark
					if s == presence.DND {
						want = kamailiotest.Red
					}
					lamp.Sees(t, want)
				}
			}
			if told := strings.Join(lamp.Documents(), "\n"); !strings.Contains(told, ">terminated<") {
				t.Errorf("no phone was told that the call has ended:\n%s", told)
			}
		})
	}

	t.Run("it says that it serves them, and phones hear nothing of that", func(t *testing.T) {
		lamp := k.WatchCalls(t, "317")
		lamp.Sees(t, kamailiotest.Dark)
		for _, transport := range []Transport{UDP, TCP, TLS} {
			if err := open(t, k.config(transport)).(*driver).Lamps(t.Context(), "317"); err != nil {
				t.Error(err)
			}
		}
		k.Call(t, "317", "real", "confirmed")
		lamp.Sees(t, kamailiotest.Red)
		if told := lamp.Documents(); len(told) != 2 { // the one at the beginning, and the call
			t.Errorf("the lamp was told %q", told)
		}
	})

	t.Run("a lamp stays red over its refreshes", func(t *testing.T) {
		config := k.config(TCP)
		config.Lamps, config.Expires = presence.SetOf(presence.DND), 5*time.Second
		d, lamp := open(t, config), k.WatchCalls(t, "311")
		set(t, d, "311", presence.DND)
		lamp.Sees(t, kamailiotest.Red)
		quiet(t, d, "311")
		first := d.(*driver).table.held(d.(*driver).table.row("311", Dialog))
		eventually(t, "it has outlived its first lifetime", func() bool { return time.Now().After(first.Expires.Add(time.Second)) })
		lamp.Sees(t, kamailiotest.Red)
		k.WatchCalls(t, "311").Sees(t, kamailiotest.Red) // and for a phone that comes later
	})

	t.Run("a lamp is dark when its driver has closed and taken it back", func(t *testing.T) {
		config := k.config(TLS)
		config.Lamps, config.RemoveOnClose = presence.SetOf(presence.DND), true
		d, lamp := open(t, config), k.WatchCalls(t, "312")
		set(t, d, "312", presence.DND)
		lamp.Sees(t, kamailiotest.Red)
		d.Close()
		lamp.Sees(t, kamailiotest.Dark)
	})

	t.Run("a lamp that has expired is turned off by the next process", func(t *testing.T) {
		config := k.config(UDP)
		config.Lamps, config.Expires = presence.SetOf(presence.DND), 2*time.Second
		file := filepath.Join(t.TempDir(), "kept.json")
		config.Publications = NewFile(file)
		d, lamp := open(t, config), k.WatchCalls(t, "313")
		set(t, d, "313", presence.DND)
		lamp.Sees(t, kamailiotest.Red)
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
		eventually(t, "it has expired", func() bool { all := lamp.Documents(); return all[len(all)-1] == "" })
		lamp.Sees(t, kamailiotest.Red) // which no phone is told
		config.Publications = NewFile(file)
		next := open(t, config)
		reads(t, next, "313", presence.Unset)
		lamp.Sees(t, kamailiotest.Dark)
	})

	t.Run("two publications of one lamp do not differ", func(t *testing.T) {
		config := k.config(TCP)
		config.Lamps = presence.SetOf(presence.DND)
		one, two, lamp := open(t, config), open(t, config), k.WatchCalls(t, "314")
		set(t, one, "314", presence.DND)
		lamp.Sees(t, kamailiotest.Red)
		next := time.Now().Truncate(time.Second).Add(time.Second + coarseClock)
		eventually(t, "the next second", func() bool { return time.Now().After(next) })
		set(t, two, "314", presence.DND)
		eventually(t, "the second one is published", func() bool {
			own := two.(*driver)
			return own.table.held(own.table.row("314", Dialog)).ETag != ""
		})
		set(t, two, "314", presence.Available)
		lamp.Sees(t, kamailiotest.Dark)
	})

	t.Run("a real call is red whatever ours is", func(t *testing.T) {
		config := k.config(TCP)
		config.Lamps = presence.SetOf(presence.DND)
		d, lamp := open(t, config), k.WatchCalls(t, "316")
		k.Call(t, "316", "real", "confirmed")
		lamp.Sees(t, kamailiotest.Red)
		set(t, d, "316", presence.DND)
		quiet(t, d, "316")
		set(t, d, "316", presence.Available)
		quiet(t, d, "316")
		eventually(t, "the end of ours is told", func() bool {
			return slices.ContainsFunc(lamp.Documents(), func(d string) bool { return strings.Contains(d, "offhook") && strings.Contains(d, ">terminated<") })
		})
		lamp.Sees(t, kamailiotest.Red)
		k.Call(t, "316", "real", "terminated")
		lamp.Sees(t, kamailiotest.Dark)
	})

	t.Run("a restarted server shows the lamp again", func(t *testing.T) {
		config := k.config(TCP)
		config.Lamps = presence.SetOf(presence.DND)
		d := open(t, config)
		set(t, d, "315", presence.DND)
		k.WatchCalls(t, "315").Sees(t, kamailiotest.Red)
		quiet(t, d, "315")
		k.Restart()
		dueNow(d, "315", Dialog)
		k.WatchCalls(t, "315").Sees(t, kamailiotest.Red)
	})
}

// A server that serves Event: presence only shows the statuses all the same.
func TestAKamailioWithoutDialogs(t *testing.T) {
	t.Parallel()
	k := kamailiotest.Start(t, kamailiotest.Options{NoDialogs: true})
	if k == nil {
		return
	}
	if !k.RefusesCalls(t, "321") {
		t.Error("it serves Event: dialog")
	}
	config := kamailio{k}.config(TCP)
	config.Lamps = presence.SetOf(presence.DND)
	if err := open(t, kamailio{k}.config(UDP)).(*driver).Lamps(t.Context(), "321"); !errors.Is(err, errNoLamps) {
		t.Errorf("asked for lamps it says %v", err)
	}
	d, w := open(t, config), k.Watch(t, "321")
	told := make(chan error, 10)
	d.(*driver).Tell(func(err error) { told <- err })
	set(t, d, "321", presence.DND)
	if err := <-told; !errors.Is(err, errNoLamps) || !strings.Contains(err.Error(), "presence_dialoginfo") {
		t.Errorf("told %v", err)
	}
	w.Sees(t, presence.DND)
	for _, s := range []presence.Status{presence.Available, presence.DND} {
		set(t, d, "321", s)
		w.Sees(t, s)
	}
	if n := len(told); n != 0 {
		t.Errorf("told %d times more", n)
	}
}
