package sippresence

import (
	"crypto/x509"
	"strconv"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
	"offhook.dev/libs/pbx/sippresence/kamailiotest"
	"offhook.dev/libs/secret"
)

// coarseClock is more than time(2) can be behind time.Now: it counts in ticks of
// the kernel, at most 10 ms apart.
const coarseClock = 100 * time.Millisecond

// kamailio is a real presence server.
type kamailio struct{ *kamailiotest.Server }

// startKamailio returns false where there is none and nobody relies on it.
func startKamailio(t *testing.T, storage kamailiotest.Storage) (kamailio, bool) {
	t.Helper()
	server := kamailiotest.Start(t, kamailiotest.Options{Storage: storage})
	return kamailio{server}, server != nil
}

func (k kamailio) config(transport Transport) Config {
	return Config{Server: k.Address(string(transport)), Transport: transport, Domain: domain,
		Username: username, Password: secret.NewValue(password), Roots: k.Authority.Pool()}
}

func open(t *testing.T, config Config) pbx.Driver {
	t.Helper()
	d, err := Open(t.Context(), config)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { d.Close() })
	return d
}

func set(t *testing.T, d pbx.Driver, ext identity.Extension, s presence.Status) {
	t.Helper()
	if err := d.SetStatus(t.Context(), ext, s); err != nil {
		t.Fatalf("set %s to %v: %v", ext, s, err)
	}
}

func reads(t *testing.T, d pbx.Driver, ext identity.Extension, want presence.Status) {
	t.Helper()
	if got, err := d.Status(t.Context(), ext); err != nil || got != want {
		t.Errorf("%s reads %v (%v) instead of %v", ext, got, err, want)
	}
}

// forgets waits until nothing is published any more. Kamailio answers that it has removed
// something, tells watchers, and then removes it (update_presentity of its module presence).
func forgets(t *testing.T, d pbx.Driver, ext identity.Extension) {
	t.Helper()
	eventually(t, "nothing is published any more", func() bool {
		s, err := d.Status(t.Context(), ext)
		return err == nil && s == presence.Unset
	})
}

// staysPublished waits until a publication has outlived its first lifetime.
func staysPublished(t *testing.T, k kamailio, config Config) {
	t.Helper()
	d, w := open(t, config), k.Watch(t, "211")
	set(t, d, "211", presence.DND)
	first := held(d, "211")
	eventually(t, "it has outlived its first lifetime", func() bool { return time.Now().After(first.Expires.Add(time.Second)) })
	reads(t, d, "211", presence.DND)
	w.Sees(t, presence.DND)
}

func TestKamailio(t *testing.T) {
	t.Parallel()
	k, ok := startKamailio(t, kamailiotest.Files)
	if !ok {
		return
	}
	for _, transport := range []Transport{UDP, TCP, TLS} {
		t.Run("a watcher sees and a read returns every status over "+string(transport), func(t *testing.T) {
			ext := identity.Extension("20" + strconv.Itoa(len(transport)) + string(transport[1]))
			d, w := open(t, k.config(transport)), k.Watch(t, ext)
			reads(t, d, ext, presence.Unset)
			for _, s := range presence.Statuses() {
				set(t, d, ext, s)
				w.Sees(t, s)
				reads(t, d, ext, s)
			}
		})
	}

	t.Run("an address may be a sips one", func(t *testing.T) {
		config := k.config(TLS)
		config.AOR = "sips:{ext}@{domain}"
		d, w := open(t, config), k.WatchOver(t, string(TLS), "220")
		set(t, d, "220", presence.DND)
		w.Sees(t, presence.DND)
		reads(t, d, "220", presence.DND)
	})

	t.Run("its answers tell its version", func(t *testing.T) {
		d := open(t, k.config(UDP))
		server := d.(interface{ Server() string }).Server
		if told := server(); told != "" {
			t.Errorf("before anything was asked: %q", told)
		}
		reads(t, d, "219", presence.Unset)
		if told := server(); !strings.HasPrefix(told, "kamailio (") {
			t.Errorf("%q", told)
		}
	})

	t.Run("a publication is refreshed before it expires", func(t *testing.T) {
		config := k.config(UDP)
		config.Expires = 5 * time.Second
		staysPublished(t, k, config)
	})

	t.Run("a publication in memory survives its refreshes", func(t *testing.T) {
		k, _ := startKamailio(t, kamailiotest.Memory)
		config := k.config(UDP)
		config.Expires, config.RefreshWhole = 5*time.Second, true
		staysPublished(t, k, config)
	})

	t.Run("the tags of two processes do not mix", func(t *testing.T) {
		one, two := open(t, k.config(TCP)), open(t, k.config(UDP))
		w := k.Watch(t, "212")
		set(t, one, "212", presence.DND)
		// Kamailio orders them by whole seconds, and reads them off a clock that is
		// some milliseconds behind ours: just after the turn of a second it still
		// takes both for equally old and shows either.
		next := time.Now().Truncate(time.Second).Add(time.Second + coarseClock)
		eventually(t, "the next second", func() bool { return time.Now().After(next) })
		set(t, two, "212", presence.Lunch) // as after a lost answer or a restart of ours
		w.Sees(t, presence.Lunch)
		reads(t, one, "212", presence.Lunch)
		set(t, one, "212", presence.Away)
		w.Sees(t, presence.Away)
	})

	t.Run("wrong credentials are denied", func(t *testing.T) {
		config := k.config(UDP)
		config.Password = secret.NewValue("wrong")
		if err := open(t, config).SetStatus(t.Context(), "213", presence.DND); fault.KindOf(err) != fault.Denied {
			t.Errorf("got %v", err)
		}
	})

	t.Run("an unknown certificate is denied", func(t *testing.T) {
		config := k.config(TLS)
		config.Roots = x509.NewCertPool()
		if _, err := open(t, config).Status(t.Context(), "213"); fault.KindOf(err) != fault.Denied {
			t.Errorf("got %v", err)
		}
	})

	t.Run("close removes what was published where that is configured", func(t *testing.T) {
		config := k.config(UDP)
		config.RemoveOnClose = true
		d, other := open(t, config), open(t, k.config(UDP))
		set(t, d, "214", presence.Away)
		reads(t, other, "214", presence.Away)
		if err := d.Close(); err != nil {
			t.Error(err)
		}
		forgets(t, other, "214")
	})

	for _, transport := range []Transport{UDP, TCP} {
		t.Run("a restarted server is written to and put back over "+string(transport), func(t *testing.T) {
			d := open(t, k.config(transport))
			set(t, d, "215", presence.DND)
			set(t, d, "216", presence.DND)
			k.Restart()
			reads(t, d, "215", presence.Unset)
			set(t, d, "215", presence.Away) // 412, then an initial publication
			reads(t, d, "215", presence.Away)
			dueNow(d, "216", Presence)
			eventually(t, "the keeper puts the other one back", func() bool {
				s, err := d.Status(t.Context(), "216")
				return err == nil && s == presence.DND
			})
		})
	}
}
