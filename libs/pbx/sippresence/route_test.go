package sippresence

import (
	"testing"
	"time"

	"github.com/emiago/sipgo"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/pbx"
)

// lead makes the last route of a driver one to a server, for a time from now.
func lead(t *testing.T, d pbx.Driver, server string, life time.Duration) {
	t.Helper()
	l := d.(*driver).line
	client, err := sipgo.NewClient(l.ua, sipgo.WithClientNAT(), sipgo.WithClientHostname("127.0.0.1"))
	if err != nil {
		t.Fatal(err)
	}
	l.routes.last.Store(&route{host: "127.0.0.1", server: server, client: client, until: time.Now().Add(life)})
}

func TestARoute(t *testing.T) {
	t.Run("is kept while it is new", func(t *testing.T) {
		s, other := newServer(t, "201"), newServer(t, "201")
		d := open(t, s.config(UDP))
		lead(t, d, other.address[UDP], time.Hour)
		set(t, d, "201", presence.DND)
		if here, there := len(s.messages()), len(other.messages()); here != 0 || there != 1 {
			t.Errorf("%d requests went the new way, %d the kept one", here, there)
		}
	})
	t.Run("is asked for again after a moment", func(t *testing.T) {
		s, other := newServer(t, "201"), newServer(t, "201")
		d := open(t, s.config(UDP))
		lead(t, d, other.address[UDP], -1)
		set(t, d, "201", presence.DND)
		if here, there := len(s.messages()), len(other.messages()); here != 1 || there != 0 {
			t.Errorf("%d requests went the new way, %d the old one", here, there)
		}
	})
	for name, request := range map[string]func(*testing.T, pbx.Driver) error{
		"is asked for again after a write that nobody took": func(t *testing.T, d pbx.Driver) error {
			return d.SetStatus(t.Context(), "201", presence.DND)
		},
		"is asked for again after a read that nobody took": func(t *testing.T, d pbx.Driver) error {
			_, err := d.Status(t.Context(), "201")
			return err
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, gone := newServer(t, "201"), newServer(t)
			gone.close()
			d := open(t, s.config(TCP))
			lead(t, d, gone.address[TCP], time.Hour)
			wantKind(t, request(t, d), fault.Unavailable)
			if err := request(t, d); err != nil {
				t.Error(err)
			}
		})
	}
}
