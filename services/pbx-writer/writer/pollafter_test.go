package writer

import (
	"testing"
	"time"
)

func TestWhenStatusesAreListedAgain(t *testing.T) {
	cases := []struct {
		name           string
		took           time.Duration
		inHand, inBulk int64
		together       bool
		want           time.Duration
	}{
		{"every two seconds", 0, 0, 0, false, 2 * time.Second},
		{"from beginning to beginning", 500 * time.Millisecond, 0, 0, false, 1500 * time.Millisecond},
		{"while something is written, so that the next one ends in time", 500 * time.Millisecond, 1, 0, false, time.Second},
		{"a listing that takes longer than that: after a rest", 5 * time.Second, 0, 0, false, 500 * time.Millisecond},
		{"and while something is written", 1500 * time.Millisecond, 3, 0, false, 500 * time.Millisecond},
		{"half of the time is left to what is done in bulk", 5 * time.Second, 0, 2, false, 5 * time.Second},
		{"which a quick listing leaves anyhow", 500 * time.Millisecond, 0, 2, false, 1500 * time.Millisecond},
		{"a status that is written goes before that", 5 * time.Second, 1, 2, false, 500 * time.Millisecond},
		{"where several are read with one request wants get four fifths of the time", 1500 * time.Millisecond, 1, 0, true, 6 * time.Second},
		{"but a person waits for no more than a sweep", 5 * time.Second, 1, 2, true, 10 * time.Second},
		{"and a quick listing is no burden", 200 * time.Millisecond, 1, 0, true, 1800 * time.Millisecond},
	}
	for _, c := range cases {
		s := &system{conf: SystemConfig{Poll: 2 * time.Second}}
		s.inHand.Store(c.inHand)
		s.inBulk.Store(c.inBulk)
		if got := s.pollAfter(c.took, c.together); got != c.want {
			t.Errorf("%s: took %v, again after %v, want %v", c.name, c.took, got, c.want)
		}
	}
}
