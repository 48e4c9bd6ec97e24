package calendar

import (
	"cmp"
	"slices"
	"time"
)

// Reduce returns for each class, but for free, the time in which at least one entry
// counts as it: as few intervals as possible, sorted by beginning, those that begin
// together in the order oof, busy, workingElsewhere, tentative, unknown. Order and
// repetition of the entries do not matter. An entry that fails its Check is left
// out, and costs no other.
func Reduce(entries []Entry, rules Rules) []Interval {
	spans := make([]Interval, 0, len(entries))
	for i := range entries {
		e := &entries[i]
		if e.Check() != nil {
			continue
		}
		if class := rules.Class(*e); class != Free {
			spans = append(spans, Interval{instant(e.Start), instant(e.End), class})
		}
	}
	slices.SortFunc(spans, func(a, b Interval) int {
		return cmp.Or(a.From.Compare(b.From), cmp.Compare(a.Class.rank(), b.Class.rank()))
	})
	return merge(spans)
}

// instant is t without the zone and the monotonic clock that came with it, so that
// equal intervals are the same value.
func instant(t time.Time) time.Time { return t.Round(0).UTC() }

// merge joins what overlaps or touches within a class, in place. spans is sorted,
// and so is what remains: an interval keeps the beginning of its first part.
func merge(spans []Interval) []Interval {
	merged := spans[:0]
	var last [len(classes)]int // per class the place of its last interval in merged, from 1
	for _, span := range spans {
		rank := span.Class.rank()
		if n := last[rank]; n > 0 && !span.From.After(merged[n-1].To) {
			if before := &merged[n-1]; span.To.After(before.To) {
				before.To = span.To
			}
			continue
		}
		merged = append(merged, span)
		last[rank] = len(merged)
	}
	return merged
}

// set is a set of classes, one bit for each rank.
type set uint8

func alive(intervals []Interval, t time.Time) set {
	var s set
	for i := range intervals {
		if intervals[i].Contains(t) {
			s |= 1 << intervals[i].Class.rank()
		}
	}
	return s
}

// At returns the classes that are the case at t, each once, in the order of Reduce;
// nil is none. The intervals may be in any order and overlap.
func At(intervals []Interval, t time.Time) []Class {
	var found []Class
	s := alive(intervals, t)
	for rank, class := range classes {
		if s&(1<<rank) != 0 {
			found = append(found, class)
		}
	}
	return found
}

// NextBoundary returns the first moment after t at which At changes, and false if
// there is none any more.
func NextBoundary(intervals []Interval, t time.Time) (time.Time, bool) {
	now := alive(intervals, t)
	for {
		edge, found := nextEdge(intervals, t)
		if !found || alive(intervals, edge) != now {
			return edge, found
		}
		t = edge // where one interval ends another of its class goes on
	}
}

// nextEdge returns the first beginning or end after t.
func nextEdge(intervals []Interval, t time.Time) (edge time.Time, found bool) {
	for i := range intervals {
		for _, at := range [...]time.Time{intervals[i].From, intervals[i].To} {
			if at.After(t) && (!found || at.Before(edge)) {
				edge, found = at, true
			}
		}
	}
	return edge, found
}
