package plan

import "time"

// Window is how long the brake remembers.
const Window = 24 * time.Hour

// Brake stops a run that would take away too much: more objects than Count, and more
// than Percent of those that are linked, within Window and over all runs. The zero
// Brake lets nothing be taken away.
type Brake struct {
	Count   int `json:"count"`
	Percent int `json:"percent"`
}

// Strictest returns the brake that trips whenever one of them does.
func Strictest(first Brake, others ...Brake) Brake {
	for _, b := range others {
		first.Count, first.Percent = min(first.Count, b.Count), min(first.Percent, b.Percent)
	}
	return first
}

// Exceeded says whether so many objects are too many, where so many are linked.
func (b Brake) Exceeded(removed, linked int) bool {
	return removed > b.Count && 100*removed > b.Percent*linked
}

// Removal is something that was disabled or deleted.
type Removal struct {
	Key string    `json:"key"` // of the Change
	At  time.Time `json:"at"`
}

// State is what the brake found.
type State struct {
	Tripped bool `json:"tripped"`
	// Removed is how many objects are taken away within the window, by this plan as well.
	Removed int  `json:"removed"`
	Linked  int  `json:"linked"`
	Held    int  `json:"held"`
	Forced  bool `json:"forced,omitempty"` // it would have tripped, but somebody forced it
}

// Recent returns the keys of what was taken away within the window before now. What is
// dated in the future counts.
func Recent(done []Removal, now time.Time) map[string]bool {
	recent := map[string]bool{}
	for _, r := range done {
		if now.Sub(r.At) < Window {
			recent[r.Key] = true
		}
	}
	return recent
}

// Check returns what the brake says to a plan that takes away what has the planned keys,
// each listed once, when the recent ones were before. A key that is in both is counted
// once: taking it away again is the same removal, and never held.
func (b Brake) Check(planned []string, recent map[string]bool, linked int, force bool) (State, func(key string) bool) {
	s := State{Removed: len(recent), Linked: linked}
	fresh := 0
	for _, key := range planned {
		if !recent[key] {
			fresh++
		}
	}
	s.Removed += fresh
	held := func(key string) bool { return s.Tripped && !recent[key] }
	if fresh == 0 || !b.Exceeded(s.Removed, linked) {
		return s, held
	}
	if s.Forced = force; !force {
		s.Tripped, s.Held = true, fresh
	}
	return s, held
}

// Apply marks the removals that the brake holds back; everything else goes on.
func (b Brake) Apply(changes []Change, done []Removal, now time.Time, linked int, force bool) ([]Change, State) {
	var planned []string
	seen := map[string]bool{}
	for _, c := range changes {
		if key := c.Key(); c.Op.Removes() && !seen[key] {
			seen[key] = true
			planned = append(planned, key)
		}
	}
	state, held := b.Check(planned, Recent(done, now), linked, force)
	marked := make([]Change, len(changes))
	for i, c := range changes {
		c.Held = c.Op.Removes() && held(c.Key())
		marked[i] = c
	}
	return marked, state
}
