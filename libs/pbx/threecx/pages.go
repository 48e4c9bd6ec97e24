package threecx

import (
	"context"
	"math"
	"net/url"
	"strconv"

	"offhook.dev/libs/core/fault"
)

// pageSize is the $top that the vendor's own clients use.
const pageSize = 100

// keyed is a row with its key.
type keyed interface{ key() int32 }

// idlePages is after how many pages in a row that brought nothing new a listing is
// given up: then the pages repeat themselves.
const idlePages = 2

// list pages through a collection in the order of its keys. New rows get higher keys,
// so none comes twice. Each page begins with the last row of the page before: if that
// is not there, rows were deleted meanwhile and the others have moved up, and the page
// before is read again, so that whoever stays is not missed.
func list[Row keyed](ctx context.Context, w *wire, op, path, fields string, yield func(Row) error) error {
	query := url.Values{"$select": {fields}, "$orderby": {"Id"}, "$top": {strconv.Itoa(pageSize)}}
	last, seen, idle := int32(math.MinInt32), 0, 0
	for {
		skip := max(0, seen-1)
		query.Set("$skip", strconv.Itoa(skip))
		var page struct {
			Value *[]Row
			Next  string `json:"@odata.nextLink"`
		}
		if err := w.get(ctx, op, path, query, &page); err != nil {
			return err
		}
		if page.Value == nil {
			return fault.Errorf(fault.Unavailable, op, "%w: it holds no list", errSenseless)
		}
		if err := w.ours(op, page.Next); err != nil {
			return err
		}
		rows := *page.Value
		if seen > 0 && (len(rows) == 0 || rows[0].key() > last) {
			seen = max(0, seen-pageSize)
			continue
		}
		fresh := after(rows, last)
		for _, row := range fresh {
			last = row.key()
			if err := yield(row); err != nil {
				return err
			}
		}
		// A short page is the last one, unless the phone system caps its pages below
		// what was asked for and says so. Its link is taken as a sign only: where to
		// go on is known here.
		if len(rows) == 0 || len(rows) < pageSize && page.Next == "" {
			return nil
		}
		if idle++; len(fresh) > 0 {
			idle = 0
		}
		if idle > idlePages {
			return fault.Errorf(fault.Unavailable, op, "the pages repeat themselves after %d rows", seen)
		}
		seen = skip + len(rows)
	}
}

// after returns the rows of a page whose keys ascend from above last.
func after[Row keyed](page []Row, last int32) []Row {
	fresh := make([]Row, 0, len(page))
	for _, row := range page {
		if row.key() > last {
			last = row.key()
			fresh = append(fresh, row)
		}
	}
	return fresh
}
