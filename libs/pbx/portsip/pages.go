package portsip

import (
	"context"
	"net/url"
	"strconv"

	"offhook.dev/libs/core/fault"
)

// pageSize is the most that a page holds.
const pageSize = 100

// Bounds of a listing: how many rows are remembered to tell where a page belongs, how
// many pages in a row may bring nothing new, and how many may be too early.
const (
	rememberedRows = 10 * pageSize
	idlePages      = 3
)

// row is a row with its id.
type row interface{ key() string }

// list pages through a collection. Its order is the phone system's own (opaque ids,
// and no option to order contacts), and from what skip counts is told in two ways (from
// 0 in the description of the option, "1-based" in the introduction). So each page
// begins with the last row of the page before, and what is new in it is what follows
// the last row that is known. If none is known, rows were deleted and the others have
// moved up: then an earlier page is read. Rows that stay are not missed, and none comes
// twice. op, as, path and query are as for wire.get.
func list[Row row](ctx context.Context, w *wire, op string, as *session, path string, query url.Values, yield func(Row) error) error {
	seen := newKnown()
	skip, idle, early := 0, 0, 0
	for {
		q := url.Values{"top": {strconv.Itoa(pageSize)}, "skip": {strconv.Itoa(skip)}}
		for name, values := range query {
			q[name] = values
		}
		var page struct {
			Count *int64
			Items *[]Row
		}
		if err := w.budget.giveWay(ctx, op); err != nil {
			return err
		}
		if err := w.get(ctx, op, as, path, q, &page); err != nil {
			return err
		}
		if page.Items == nil {
			return fault.Errorf(fault.Unavailable, op, "%w: it holds no list", errSenseless)
		}
		rows := *page.Items
		fresh, placed := after(seen, rows, skip == 0)
		if !placed {
			if early++; early*pageSize >= rememberedRows {
				return fault.Errorf(fault.Unavailable, op, "the list changes faster than it can be read")
			}
			skip = max(0, skip-pageSize)
			continue
		}
		early = 0
		for _, r := range fresh {
			if err := yield(r); err != nil {
				return err
			}
		}
		if len(rows) < pageSize && (page.Count == nil || int64(skip+len(rows)) >= *page.Count) || len(rows) == 0 {
			return nil
		}
		if idle++; len(fresh) > 0 {
			idle = 0
		}
		if idle > idlePages {
			return fault.Errorf(fault.Unavailable, op, "%w: the pages repeat themselves", errSenseless)
		}
		skip += max(1, len(rows)-1)
	}
}

// known are the newest rows of a listing, by when they came.
type known struct {
	at    map[string]int
	order []string // a ring
	count int
}

func newKnown() *known {
	return &known{at: make(map[string]int), order: make([]string, rememberedRows)}
}

// after returns the rows that follow the latest known one, and are not known. placed
// says whether there was a known one, which the first page of a list does not need.
func after[Row row](k *known, rows []Row, first bool) (fresh []Row, placed bool) {
	latest, begin, placed := -1, 0, first
	for i, r := range rows {
		if at, ok := k.at[r.key()]; ok && at > latest {
			latest, begin, placed = at, i+1, true
		}
	}
	if !placed && len(rows) > 0 {
		return nil, false
	}
	for _, r := range rows[begin:] {
		if _, ok := k.at[r.key()]; ok || r.key() == "" {
			continue
		}
		k.remember(r.key())
		fresh = append(fresh, r)
	}
	return fresh, placed
}

func (k *known) remember(id string) {
	slot := k.count % len(k.order)
	if old := k.order[slot]; old != "" {
		delete(k.at, old)
	}
	k.order[slot], k.at[id] = id, k.count
	k.count++
}
