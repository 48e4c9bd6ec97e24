package e2e

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"offhook.dev/libs/graph/graphsim"
	"offhook.dev/services/e2e/procs"
)

// door is what the webhook endpoint says it did with the items of all posts.
type door struct{ stored, repeated, refused, invalid float64 }

// everyNotificationIsAccountedFor counts on both sides while the broker dies under a
// load: what Graph sent is what the endpoint stored, knew already, refused or found
// invalid.
func everyNotificationIsAccountedFor(t *testing.T, binaries procs.Binaries) {
	size := scaled()
	s, users := installation(t, binaries, size)
	l := newLoad(t, s, users)
	l.converges(t)
	for range size.rounds {
		stop := l.run(t.Context(), size.rate)
		s.Eventually(30*time.Second, after(l.passed(t, s)))
		s.Process("nats").Kill()
		refused := tally(t, s).Refused
		s.Eventually(30*time.Second, func() string {
			if tally(t, s).Refused == refused {
				return "no notification was refused: the broker's absence was not noticed"
			}
			return ""
		})
		s.Start("nats")
		s.Await("nats")
		s.Eventually(30*time.Second, after(l.passed(t, s)))
		must(t, stop())
	}
	l.converges(t)
	var sent graphsim.Tally
	var seen door
	s.Eventually(30*time.Second, func() string {
		sent, seen = tally(t, s), counted(t, s)
		return strings.Join(unaccounted(sent, seen), "; ")
	})
	t.Logf("sent %d attempts: %+v; at the door %+v", sent.Attempts, sent, seen)
	if sent.Refused == 0 || sent.Accepted == 0 {
		t.Error("nothing was refused or nothing was stored: nothing was tried")
	}
	broken, err := s.Simulator.Violations(t.Context())
	must(t, err)
	if len(broken) > 0 {
		t.Errorf("Graph's rules were broken %d times, first %+v", len(broken), broken[0])
	}
}

// unaccounted lists the sums that do not come out. Attempts that Graph had no answer
// to in time (Other) are the only ones that the two sides may see differently.
func unaccounted(sent graphsim.Tally, seen door) []string {
	var list []string
	within := func(what string, got, want float64) {
		if got < want || got > want+float64(sent.Other) {
			list = append(list, fmt.Sprintf("%s: %v at the door, %v at Graph (and %d without an answer)", what, got, want, sent.Other))
		}
	}
	accepted := seen.stored + seen.repeated + seen.invalid
	within("accepted", accepted, float64(sent.Accepted))
	within("refused", seen.refused, float64(sent.Refused))
	within("sent", accepted+seen.refused, float64(sent.Attempts-sent.Other))
	if left := sent.Due + sent.Doubled - sent.Silenced - sent.Lost - sent.Dropped - sent.Accepted - sent.GivenUp - sent.Pending; left != 0 {
		list = append(list, fmt.Sprintf("Graph's own ledger is off by %d", left))
	}
	return list
}

func tally(t *testing.T, s *procs.Stack) graphsim.Tally {
	t.Helper()
	ledger, err := s.Simulator.Ledger(t.Context())
	must(t, err)
	return ledger.Total
}

func counted(t *testing.T, s *procs.Stack) door {
	t.Helper()
	count := func(labels ...string) float64 {
		n, err := s.Metric(t.Context(), "webhook-receiver", "offhook_notifications_total", labels...)
		must(t, err)
		return n
	}
	d := door{stored: count(`result="stored"`), repeated: count(`result="repeated"`), refused: count(`result="refused"`)}
	d.invalid = count() - d.stored - d.repeated - d.refused // handshakes are counted elsewhere
	return d
}

func TestALostNotificationIsNoticed(t *testing.T) {
	sent := graphsim.Tally{Due: 100, Sent: 100, Accepted: 90, Pending: 10, Attempts: 105, Refused: 15}
	right := door{stored: 87, repeated: 1, refused: 15, invalid: 2}
	if list := unaccounted(sent, right); len(list) != 0 {
		t.Errorf("the sums come out, and yet: %v", list)
	}
	for _, wrong := range []struct {
		claim string
		seen  door
	}{
		{"accepted and not stored", door{86, 1, 15, 2}},
		{"stored and not accepted", door{88, 1, 15, 2}},
		{"refused and not counted", door{87, 1, 14, 2}},
		{"counted twice", door{87, 1, 15, 3}},
		{"known already and not counted", door{87, 0, 15, 2}},
	} {
		if len(unaccounted(sent, wrong.seen)) == 0 {
			t.Errorf("%s: not noticed", wrong.claim)
		}
	}
	sent.Due++
	if len(unaccounted(sent, right)) == 0 {
		t.Error("lost before it was sent: not noticed")
	}
}
