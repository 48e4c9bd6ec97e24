package poller

import (
	"crypto/rsa"
	"fmt"
	"net/http"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/graph"
	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/libs/graph/notification"
	"offhook.dev/libs/topology"
	"offhook.dev/libs/wire"
)

// believe is a receiver in short: every rich item becomes a fact over an older one,
// at the time of its arrival. Tokens are another package's matter.
func (s *stage) believe(certificate string, key *rsa.PrivateKey) func(http.ResponseWriter, *http.Request, []byte) {
	keys := notification.Keys{certificate: key}
	return func(w http.ResponseWriter, r *http.Request, body []byte) {
		at := s.bus.Now()
		batch, err := notification.Decode(body)
		if err != nil || len(batch.Bad) > 0 {
			s.t.Errorf("post: %v, %v", err, batch.Bad)
		}
		for _, item := range batch.Items {
			read, err := keys.Presence(item)
			if err != nil {
				s.t.Errorf("item: %v", err)
				continue
			}
			s.over(r, wire.Presence{Person: identity.Person{Tenant: contoso, User: read.User},
				Reading: presence.TeamsReading{Availability: read.Availability, Activity: read.Activity, Source: presence.Notification, SeenAt: at}})
		}
		w.WriteHeader(http.StatusAccepted)
	}
}

func (s *stage) over(r *http.Request, fact wire.Presence) {
	for r.Context().Err() == nil {
		last, err := s.bus.Last(r.Context(), topology.Facts, wire.PresenceSubject(fact.Person))
		if err == nil {
			if known, err := wire.DecodePresence(last.Data); err == nil && !fact.Reading.SeenAt.After(known.Reading.SeenAt) {
				return
			}
		}
		subject, data := fact.Encode()
		if _, err = s.bus.PublishOver(r.Context(), bus.Message{Subject: subject, Data: data}, last.Sequence); err == nil {
			return
		}
	}
}

// Notifications are lost, doubled, late and out of order while 200 users change at
// random. At every quiet moment, one sweep after the last notification, what is
// stored is the truth. Without the sweeps it is not: else this would prove nothing.
func TestWhateverHappensToNotificationsOneSweepLaterTheTruthIsStored(t *testing.T) {
	storm := func(t *testing.T, seed uint64, sweep time.Duration) (*stage, []identity.User, func() bool) {
		s := newStage(t, 200, func(c *graphsim.Config) { c.Seed = seed })
		users := s.users()
		s.link(contoso, users...)
		server := s.endpoint(s.believe("certificate-1", s.certify("certificate-1")))
		account := s.account(contoso)
		conf, _ := s.config(sweep)
		conf.PublicURL = server.URL
		conf.Accounts = []Account{{Name: "anna", Client: func() (graph.Subscriber, error) { return account, nil }}}
		s.run(conf)
		s.only("")
		s.eventually("no first sweep", func() bool { return s.sweep(contoso).OK })
		for _, fault := range []graphsim.Fault{
			{Kind: graphsim.FaultLose, Probability: 0.3}, {Kind: graphsim.FaultDouble, Probability: 0.2},
			{Kind: graphsim.FaultLate, Probability: 0.3, Delay: 150 * time.Millisecond}, {Kind: graphsim.FaultReorder, Probability: 0.3, Delay: 100 * time.Millisecond},
		} {
			_, err := s.tenant().Fault(fault)
			must(t, err)
		}
		round := uint64(0)
		return s, users, func() bool {
			round++
			_, err := s.tenant().Storm(t.Context(), graphsim.Storm{Changes: 300, Rate: 1500, Seed: seed + round})
			must(t, err)
			s.eventually("notifications are pending", func() bool { return s.tenant().Ledger().Total.Pending == 0 })
			return s.wrong(contoso, users) == ""
		}
	}
	for seed := range uint64(3) {
		t.Run(fmt.Sprintf("seed %d", seed), func(t *testing.T) {
			s, users, change := storm(t, seed, 200*time.Millisecond)
			for moment := range 4 {
				change()
				s.swept(contoso)
				if why := s.wrong(contoso, users); why != "" {
					t.Errorf("at quiet moment %d: %s", moment, why)
				}
			}
			if l := s.tenant().Ledger().Total; l.Lost == 0 || l.Doubled == 0 || l.Accepted == 0 {
				t.Errorf("nothing went wrong, or nothing arrived: %+v", l)
			}
		})
	}
	t.Run("control: without sweeps", func(t *testing.T) {
		if _, _, change := storm(t, 1, never); change() {
			t.Error("nothing was lost: the control proves nothing")
		}
	})
}
