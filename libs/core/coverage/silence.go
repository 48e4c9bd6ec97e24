package coverage

import "time"

// Hearing says when a lane counts as silent. The zero value of a field has no meaning.
type Hearing struct {
	// Late is how long Graph may take to tell of a change, a little more than it ever does.
	Late time.Duration
	// Settle is how long after a subscription was made nothing is held against it: what a
	// sweep finds then may have changed before.
	Settle time.Duration
	// Few is how many changes it must have kept to itself.
	Few int
	// Again is how long after a subscription was made anew because of silence it may be so
	// again; it doubles with each time, up to AgainMost.
	Again, AgainMost time.Duration
}

// Silence watches whether a lane tells of changes. A sweep that finds a change and the
// lane's telling of one arrive in any order, and the telling may come late: so a change
// counts against the lane only when it has told of nothing at all from then on until
// Late has passed. One that loses some of its notifications is not silent, and would
// be no better for being made anew; the sweeps cover for it.
//
// The zero Silence is of a lane that was never heard.
type Silence struct {
	Made   time.Time   // when the subscription was made; before, nothing counts
	Heard  time.Time   // when the lane last told of a change, or zero
	Tries  int         // how often it was made anew since it was last heard
	Until  time.Time   // it is not made anew before, or zero
	missed []time.Time // when sweeps found changes since Heard, the oldest of them, at most Few
}

// Begins notes that the lane has another subscription. What the one before kept to
// itself does not count any more.
func (s *Silence) Begins(made time.Time) { s.Made, s.missed = made, nil }

// Hears notes that the lane told of a change.
func (s *Silence) Hears(at time.Time) {
	if at.After(s.Heard) {
		s.Heard = at
	}
	if s.Made.IsZero() || at.Before(s.Made) {
		return // of an earlier subscription
	}
	s.missed, s.Tries, s.Until = nil, 0, time.Time{}
}

// Finds notes that a sweep found somebody on the lane changed.
func (s *Silence) Finds(at time.Time, h Hearing) {
	if s.Made.IsZero() || at.Before(s.Made.Add(h.Settle)) || at.Before(s.Heard) || len(s.missed) >= h.Few {
		return
	}
	s.missed = append(s.missed, at)
}

// Is says whether the lane is silent now and to be made anew.
func (s *Silence) Is(now time.Time, h Hearing) bool {
	if len(s.missed) < h.Few || now.Before(s.Until) {
		return false
	}
	newest := s.missed[0]
	for _, at := range s.missed {
		if at.After(newest) {
			newest = at
		}
	}
	return !now.Before(newest.Add(h.Late))
}

// Acts notes that the lane is made anew because it was silent.
func (s *Silence) Acts(now time.Time, h Hearing) {
	wait := h.Again
	for range s.Tries {
		wait = min(2*wait, h.AgainMost)
	}
	s.missed, s.Until = nil, now.Add(wait)
	s.Tries++
}
