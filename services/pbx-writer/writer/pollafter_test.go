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
		watched        bool
		want           time.Duration
	}{
		{"every two seconds", 0, 0, 0, false, false, 2 * time.Second},
		{"from beginning to beginning", 500 * time.Millisecond, 0, 0, false, false, 1500 * time.Millisecond},
		{"while something is written, so that the next one ends in time", 500 * time.Millisecond, 1, 0, false, false, time.Second},
		{"a listing that takes longer than that: after a rest", 5 * time.Second, 0, 0, false, false, 500 * time.Millisecond},
		{"and while something is written", 1500 * time.Millisecond, 3, 0, false, false, 500 * time.Millisecond},
		{"half of the time is left to what is done in bulk", 5 * time.Second, 0, 2, false, false, 5 * time.Second},
		{"which a quick listing leaves anyhow", 500 * time.Millisecond, 0, 2, false, false, 1500 * time.Millisecond},
		{"a status that is written goes before that", 5 * time.Second, 1, 2, false, false, 500 * time.Millisecond},
		{"where several are read with one request wants get four fifths of the time", 1500 * time.Millisecond, 1, 0, true, false, 6 * time.Second},
		{"but a person waits for no more than a sweep", 5 * time.Second, 1, 2, true, false, 10 * time.Second},
		{"and a quick listing is no burden", 200 * time.Millisecond, 1, 0, true, false, 1800 * time.Millisecond},
		{"where statuses are watched a long listing gets a tenth of the time", 5 * time.Second, 0, 0, false, true, 45 * time.Second},
		{"also while something is written, which cannot rest on it", 5 * time.Second, 3, 0, false, true, 45 * time.Second},
		{"but what the watch has missed waits for a minute at most", 20 * time.Second, 0, 0, false, true, time.Minute},
		{"and one that a write can rest on is made as if nobody watched", 1500 * time.Millisecond, 3, 0, false, true, 500 * time.Millisecond},
	}
	for _, c := range cases {
		s := &system{conf: SystemConfig{Poll: 2 * time.Second}}
		s.inHand.Store(c.inHand)
		s.inBulk.Store(c.inBulk)
		if got := s.pollAfter(c.took, c.together, c.watched); got != c.want {
			t.Errorf("%s: took %v, again after %v, want %v", c.name, c.took, got, c.want)
		}
	}
}
