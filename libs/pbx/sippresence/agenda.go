package sippresence

import (
	"container/heap"
	"time"
)

// agenda is what one keeper is to look at, and when. It is guarded by table.mu.
type agenda struct {
	rows    rows
	changed chan struct{} // holds a token when another row became the first
}

func newAgenda() *agenda { return &agenda{changed: make(chan struct{}, 1)} }

// due returns the first row's time, false if there is none.
func (a *agenda) due() (time.Time, bool) {
	if len(a.rows) == 0 {
		return time.Time{}, false
	}
	return a.rows[0].next, true
}

// first takes the first row off.
func (a *agenda) first() *row { return heap.Pop(&a.rows).(*row) }

// drop takes a row off, if it is on.
func (a *agenda) drop(r *row) {
	if r.place != nowhere {
		heap.Remove(&a.rows, r.place)
	}
}

// put gives a row the place that belongs to its time, none if that is zero.
func (a *agenda) put(r *row) {
	switch {
	case r.next.IsZero():
		a.drop(r)
	case r.place == nowhere:
		heap.Push(&a.rows, r)
	default:
		heap.Fix(&a.rows, r.place)
	}
	if r.place == 0 {
		select {
		case a.changed <- struct{}{}:
		default:
		}
	}
}

// nowhere is the place of a row that is not on the agenda.
const nowhere = -1

// rows is a heap, the next row first. A row knows its place in it.
type rows []*row

// Len is for container/heap, as are all that follow.
func (h rows) Len() int           { return len(h) }
func (h rows) Less(i, j int) bool { return h[i].next.Before(h[j].next) }

func (h rows) Swap(i, j int) {
	h[i], h[j] = h[j], h[i]
	h[i].place, h[j].place = i, j
}

func (h *rows) Push(x any) {
	r := x.(*row)
	r.place = len(*h)
	*h = append(*h, r)
}

func (h *rows) Pop() any {
	last := len(*h) - 1
	r := (*h)[last]
	(*h)[last], *h = nil, (*h)[:last]
	r.place = nowhere
	return r
}
