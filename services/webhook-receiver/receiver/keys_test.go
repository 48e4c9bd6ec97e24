package receiver

import (
	"fmt"
	"strings"
	"sync"
	"testing"
	"time"

	"offhook.dev/libs/bus"
	"offhook.dev/libs/bus/bustest"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/graph/notification"
	"offhook.dev/libs/store"
	"offhook.dev/libs/subscription"
	"offhook.dev/libs/topology"
)

// opens says whether a replica opens content encrypted under a certificate.
func (r *replica) opens(s *stage, c subscription.Certificate) error {
	l := s.subscribe(nil)
	must(s.t, s.purge())
	if err := r.open(s.t.Context(), bus.Message{Time: time.Now(), Data: l.ingress(s.t, []string{s.login.token(s.t, nil)}, l.item(anna, s.busy(c, anna), nil))}); err != nil {
		return err
	}
	if s.fact(anna) == "" {
		return fmt.Errorf("no fact, %d parked", s.held(topology.ParkedMsg))
	}
	return nil
}

// age makes the current certificate older, as time does.
func (s *stage) age(by time.Duration) {
	s.t.Helper()
	b := s.bucket(topology.Certificates)
	e, err := b.Get(s.t.Context(), subscription.CurrentCertificate)
	must(s.t, err)
	made := s.certificate().Made
	old, err := made.MarshalJSON()
	must(s.t, err)
	older, err := made.Add(-by).MarshalJSON()
	must(s.t, err)
	_, err = b.Put(s.t.Context(), subscription.CurrentCertificate, []byte(strings.Replace(string(e.Value), string(old), string(older), 1)))
	must(s.t, err)
}

func TestACertificateIsReplacedAtHalfItsLifeAndStaysReadable(t *testing.T) {
	s := newStage(t)
	r := s.replica(s.options("vault"))
	first := s.certificate()
	s.age(certificateLife/2 - time.Hour)
	must(t, r.keys.ensure(t.Context()))
	if s.certificate().ID != first.ID {
		t.Error("replaced before half its life")
	}
	s.age(2 * time.Hour)
	must(t, r.keys.ensure(t.Context()))
	second := s.certificate()
	if second.ID == first.ID {
		t.Fatal("not replaced at half its life")
	}
	for name, c := range map[string]subscription.Certificate{"old": first, "new": second} {
		if err := r.opens(s, c); err != nil {
			t.Errorf("content under the %s certificate: %v", name, err)
		}
	}
}

// Two rotations under load: whatever was encrypted under any of the three
// certificates becomes a fact.
func TestRotationUnderLoadLeavesNothingUndecryptable(t *testing.T) {
	s := newStage(t)
	at := s.run(s.options("vault"))
	other := s.replica(s.options("vault")) // the one that rotates is another replica
	l := s.subscribe(nil)
	token := s.login.token(t, nil)
	const rounds, perRound = 3, 60
	var load sync.WaitGroup
	for round := range rounds {
		c := s.certificate()
		load.Go(func() {
			for i := range perRound {
				user := fmt.Sprintf("00000000-0000-0000-%04d-%012d", round, i)
				if got := at.post(l, body(t, []string{token}, l.item(user, s.busy(c, user), nil))); got != 202 {
					t.Errorf("answered %d", got)
				}
			}
		})
		s.age(certificateLife)
		must(t, other.keys.ensure(t.Context()))
	}
	load.Wait()
	bustest.Eventually(t, 20*time.Second, func() string {
		if n := s.held(topology.Facts) + s.held(topology.Hints); n < rounds*perRound {
			return fmt.Sprintf("%d of %d became facts or hints", n, rounds*perRound)
		}
		return ""
	})
	if n := counted(t, at.telemetry, "offhook_notification_items_total", "undecryptable"); n != 0 || s.held(topology.ParkedMsg) != 0 {
		t.Errorf("%d undecryptable, %d parked", n, s.held(topology.ParkedMsg))
	}
}

func TestReplicasAndRestartsWithOneVaultOpenEachOthersContent(t *testing.T) {
	s := newStage(t)
	first, second := s.replica(s.options("vault")), s.replica(s.options("vault"))
	c := s.certificate()
	for name, r := range map[string]*replica{"who made the key": first, "another": second, "a restarted one": s.replica(s.options("vault"))} {
		if err := r.opens(s, c); err != nil {
			t.Errorf("%s: %v", name, err)
		}
	}
	if s.certificate().ID != c.ID {
		t.Error("a replica with the same vault replaced the certificate")
	}
	var sealed int
	must(t, s.bucket(topology.Certificates).Each(t.Context(), ">", func(e store.Entry) error {
		if strings.Contains(string(e.Value), "PRIVATE KEY") {
			t.Errorf("%s holds a private key in the clear", e.Key)
		}
		sealed++
		return nil
	}))
	if sealed < 2 {
		t.Errorf("%d entries looked at", sealed)
	}
}

// A lost vault file must not leave Graph encrypting for nobody until the
// certificate is half a year old, nor may its content hold up the queue.
func TestALostVaultCostsWhatWasEncryptedForItAndNothingElse(t *testing.T) {
	s := newStage(t)
	s.replica(s.options("vault"))
	lost := s.certificate()
	r := s.replica(s.options("another-vault"))
	if s.certificate().ID == lost.ID {
		t.Fatal("Graph is still asked to encrypt under a certificate whose key nobody can open")
	}
	if err := r.opens(s, s.certificate()); err != nil {
		t.Errorf("content under the new certificate: %v", err)
	}
	l := s.subscribe(nil)
	err := r.open(t.Context(), bus.Message{Time: time.Now(), Data: l.ingress(t, []string{s.login.token(t, nil)}, l.item(ben, s.busy(lost, ben), nil))})
	if err != nil || s.held(topology.ParkedMsg) != 1 {
		t.Errorf("%v, %d parked", err, s.held(topology.ParkedMsg))
	}
}

func TestOfTwoReplicasThatStartAtOnceOneNamesTheCertificate(t *testing.T) {
	s := newStage(t)
	deps, _ := s.deps()
	var made [4]*Receiver
	var all sync.WaitGroup
	for i := range made {
		r, err := newReceiver(t.Context(), deps, s.options("vault"))
		must(t, err)
		made[i] = r
		all.Go(func() {
			if err := r.keys.ensure(t.Context()); err != nil {
				t.Error(err)
			}
		})
	}
	all.Wait()
	c := s.certificate()
	for i, r := range made {
		if _, err := r.keys.with(t.Context(), c.ID); err != nil {
			t.Errorf("replica %d: %v", i, err)
		}
	}
	keys, err := made[0].keys.with(t.Context(), "nobody's")
	if err != nil || len(keys) != 0 {
		t.Errorf("a certificate that nobody made: %v", err)
	}
	if _, err := keys.Presence(notification.Item{}); err == nil || fault.KindOf(err) == fault.Unavailable {
		t.Errorf("%v", err)
	}
}
