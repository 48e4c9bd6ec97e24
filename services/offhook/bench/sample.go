package bench

import (
	"slices"
	"time"
)

// sample is a set of durations.
type sample []time.Duration

// at returns the duration that the share q of the sample does not exceed
// (nearest rank), 0 of an empty one. The sample must be sorted.
func (s sample) at(q float64) time.Duration {
	if len(s) == 0 {
		return 0
	}
	rank := int(q*float64(len(s)) + 0.999999)
	return s[min(max(rank, 1), len(s))-1]
}

func (s sample) sorted() sample {
	slices.Sort(s)
	return s
}

// median of figures; 0 of none.
func median(figures []float64) float64 {
	if len(figures) == 0 {
		return 0
	}
	sorted := slices.Sorted(slices.Values(figures))
	return sorted[len(sorted)/2]
}
