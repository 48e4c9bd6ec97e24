package writer

import (
	"context"
	"fmt"
	"testing"

	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
	"offhook.dev/libs/wire"
)

// A phone system that takes its time for a write gets the newest of each line and not
// one write for each want. How slow it is, is counted in wants and not in seconds: it
// carries out one write while twenty-five wants come.
func TestASlowPhoneSystemGetsFarFewerWritesThanThereAreWants(t *testing.T) {
	const lines, changes, slowness = 10, 60, 25
	const wants = lines * changes

	t.Run("slow", func(t *testing.T) {
		s, on := seen(t, lines)
		turns := make(chan struct{}, wants)
		s.phones.stand(func(ctx context.Context, op string, _ identity.Extension, request func() error) error {
			if op == "set-status" {
				select {
				case <-ctx.Done():
					return ctx.Err()
				case <-turns: // always, once it is closed
				}
			}
			return request()
		})
		last := make([]wire.Want, lines)
		for n := range wants {
			last[n%lines] = s.change(n, on)
			if n%slowness == slowness-1 {
				turns <- struct{}{}
			}
		}
		s.eventually(func() string {
			if n := s.writes(lines); n < wants/slowness/2 {
				return fmt.Sprintf("%d writes while wants came: the phone system was not slow, but away", n)
			}
			return ""
		})
		close(turns)
		for i, w := range last {
			if o := s.outcome(w); o.Result != wire.Applied && o.Result != wire.Already { // an older want that was the same
				t.Errorf("line %d: %s (%s)", i, o.Result, o.Detail)
			}
			s.shows(i, w.Status)
		}
		s.settled()
		if n := s.writes(lines); n > wants/5 {
			t.Errorf("%d writes for %d wants", n, wants)
		} else {
			t.Logf("%d writes for %d wants", n, wants)
		}
	})
	t.Run("control: wants that wait for each other are written one by one", func(t *testing.T) {
		s, on := seen(t, lines)
		for n := range 3 * lines {
			s.ends(s.change(n, on), wire.Applied)
		}
		if n := s.writes(lines); n != 3*lines {
			t.Errorf("%d writes for %d wants", n, 3*lines)
		}
	})
}

// seen is a stage whose writer has read every line, and what it saw there.
func seen(t *testing.T, lines int) (s *stage, on []int64) {
	s = newStage(t, lines)
	s.run("a")
	for i := range lines {
		on = append(on, s.tells(i, presence.Available, presence.Person).Observation)
	}
	return s, on
}

// change publishes the n-th want: each line in turn, never the same twice.
func (s *stage) change(n int, on []int64) wire.Want {
	i := n % len(on)
	w := s.wanted(i, presence.Statuses()[1+(n/len(on)+i)%4])
	w.DecidedOn = on[i]
	return s.publish(w)
}

// writes counts what was written to all lines.
func (s *stage) writes(lines int) (n int) {
	for i := range lines {
		n += len(s.phones.written(extension(i)))
	}
	return n
}
