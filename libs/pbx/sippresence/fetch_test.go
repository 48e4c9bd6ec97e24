package sippresence

import (
	"context"
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/emiago/sipgo/sip"

	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
)

func TestANotifyMayComeBeforeTheResponse(t *testing.T) {
	for _, transport := range []Transport{UDP, TCP, TLS} {
		t.Run(string(transport), func(t *testing.T) {
			s, _ := pair(t, nil)
			s.behave(func(b *behaviour) { b.notifyEarly = true })
			s.place("201", foreign(presence.Lunch))
			reads(t, open(t, s.config(transport)), "201", presence.Lunch)
		})
	}
}

func TestWhatANotifySays(t *testing.T) {
	cases := []struct {
		name   string
		adjust func(*behaviour)
		kind   fault.Kind
	}{
		{"of another type is garbage", func(b *behaviour) { b.notifyType = "application/dialog-info+xml" }, fault.Unavailable},
		{"that rejects is a missing right", func(b *behaviour) { b.notifyReason = "rejected" }, fault.Denied},
		{"that names no resource is an unknown extension", func(b *behaviour) { b.notifyReason = "noresource" }, fault.NotFound},
	}
	for _, c := range cases {
		t.Run("one "+c.name, func(t *testing.T) {
			s, d := pair(t, nil)
			s.place("201", foreign(presence.DND))
			s.behave(c.adjust)
			_, err := d.Status(t.Context(), "201")
			wantKind(t, err, c.kind)
		})
	}
	t.Run("none at all is a timeout", func(t *testing.T) {
		s, d := pair(t, nil)
		s.answer(code(200))
		ctx, cancel := context.WithTimeout(t.Context(), 50*time.Millisecond)
		defer cancel()
		_, err := d.Status(ctx, "201")
		wantKind(t, err, fault.Timeout)
	})
}

// Whoever does not know the ids of a fetch cannot answer it.
func TestAForgedNotifyIsRefused(t *testing.T) {
	for name, forge := range map[string]func(subscribe *sip.Request, res *sip.Response){
		"with another tag": func(_ *sip.Request, res *sip.Response) { res.From().Params.Add("tag", "forged") },
		"with another call id": func(subscribe *sip.Request, _ *sip.Response) {
			id := sip.CallIDHeader("forged")
			subscribe.ReplaceHeader(&id)
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, d := pair(t, nil)
			s.place("201", foreign(presence.Away))
			s.answer(func(subscribe *sip.Request) *sip.Response {
				copied, res := subscribe.Clone(), code(200)(subscribe)
				forged := res.Clone()
				forge(copied, forged)
				s.notify(copied, forged, foreign(presence.DND))
				s.notify(subscribe, res, foreign(presence.Away))
				return res
			})
			reads(t, d, "201", presence.Away)
		})
	}
}

func TestStatusesListsWhatWasPublishedOrConfiguredAndIsThere(t *testing.T) {
	s, d := pair(t, func(_ *behaviour, c *Config) { c.Extensions = []identity.Extension{"202", "999"} })
	s.place("202", foreign(presence.Away))
	set(t, d, "201", presence.DND)
	got := make(map[identity.Extension]presence.Status)
	err := d.Statuses(t.Context(), func(ext identity.Extension, status presence.Status) error {
		got[ext] = status
		return nil
	})
	if err != nil || len(got) != 2 || got["201"] != presence.DND || got["202"] != presence.Away {
		t.Errorf("listed %v (%v)", got, err)
	}
}

// Who asks about a sips address wants the answer as safely (RFC 3261 section 8.1.1.8).
func TestTheNotifyIsAskedForWhereTheSubscribeComesFrom(t *testing.T) {
	cases := []struct {
		name      string
		transport Transport
		aor       string
		want      string // with the port as "PORT"
	}{
		{"a sip address by udp", UDP, "", "sip:offhook@127.0.0.1:PORT"},
		{"a sip address by tcp", TCP, "", "sip:offhook@127.0.0.1:PORT;transport=tcp"},
		{"a sip address by tls", TLS, "", "sip:offhook@127.0.0.1:PORT;transport=tls"},
		{"a sips address", TLS, "sips:{ext}@{domain}", "sips:offhook@127.0.0.1:PORT"},
	}
	for _, c := range cases {
		t.Run(c.name, func(t *testing.T) {
			s := newServer(t, "201")
			config := s.config(c.transport)
			config.AOR = c.aor
			d := open(t, config)
			contact := make(chan *sip.ContactHeader, 1)
			s.answer(func(req *sip.Request) *sip.Response {
				contact <- req.Contact()
				return code(403)(req)
			})
			_, err := d.Status(t.Context(), "201")
			wantKind(t, err, fault.Denied)
			got := (<-contact).Address
			if got.Port == 0 {
				t.Error("it names no port")
			}
			if text := strings.Replace(got.String(), fmt.Sprint(got.Port), "PORT", 1); text != c.want {
				t.Errorf("it names %s", text)
			}
			reads(t, d, "201", presence.Unset)
		})
	}
}
