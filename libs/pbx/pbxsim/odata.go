package pbxsim

import (
	"bytes"
	"cmp"
	"fmt"
	"io"
	"net/http"
	"net/url"
	"regexp"
	"slices"
	"strconv"
	"strings"
)

// query is the part of OData 4 that the face understands.
type query struct {
	top, skip int // top -1: all
	fields    []string
	order     string // a field, "" for none
	down      bool
	filter    func(row) bool // nil: all
	count     bool
}

// row is one entity as it goes out.
type row map[string]any

var filterForm = regexp.MustCompile(`^(\w+) (eq|ne|gt|ge|lt|le) (?:'((?:[^']|'')*)'|(-?\d+|true|false))$`)

// parseQuery reads the system options of a request about entities that have
// known fields; its error is the client's mistake.
func parseQuery(values url.Values, known []string) (query, error) {
	q := query{top: -1}
	field := func(name string) error {
		if !slices.Contains(known, name) {
			return fmt.Errorf("could not find a property named %q", name)
		}
		return nil
	}
	for option, all := range values {
		value, err := all[0], error(nil)
		switch {
		case !strings.HasPrefix(option, "$"):
		case option == "$top":
			q.top, err = natural(option, value)
		case option == "$skip":
			q.skip, err = natural(option, value)
		case option == "$count":
			q.count, err = strconv.ParseBool(value)
		case option == "$select":
			q.fields = strings.Split(value, ",")
			for _, name := range q.fields {
				err = cmp.Or(err, field(name))
			}
		case option == "$orderby":
			var direction string
			q.order, direction, _ = strings.Cut(value, " ")
			q.down = direction == "desc"
			err = field(q.order)
			if err == nil && direction != "" && direction != "asc" && direction != "desc" {
				err = fmt.Errorf("$orderby %q is not understood", value)
			}
		case option == "$filter":
			q.filter, err = parseFilter(value, field)
		default:
			err = fmt.Errorf("the query option %q is not supported", option)
		}
		if err != nil {
			return query{}, err
		}
	}
	return q, nil
}

func natural(option, value string) (int, error) {
	n, err := strconv.Atoi(value)
	if err != nil || n < 0 {
		return 0, fmt.Errorf("%s %q is not a number from 0", option, value)
	}
	return n, nil
}

func parseFilter(text string, field func(string) error) (func(row) bool, error) {
	parts := filterForm.FindStringSubmatch(text)
	if parts == nil {
		return nil, fmt.Errorf("$filter %q is not understood", text)
	}
	name, operator := parts[1], parts[2]
	if err := field(name); err != nil {
		return nil, err
	}
	quoted := strings.ReplaceAll(parts[3], "''", "'")
	number, _ := strconv.ParseInt(parts[4], 10, 64)
	compare := func(r row) int {
		switch value := r[name].(type) {
		case int32:
			return cmp.Compare(int64(value), number)
		case bool:
			return strings.Compare(strconv.FormatBool(value), parts[4])
		case string:
			return strings.Compare(value, quoted)
		}
		return 1 // null
	}
	return func(r row) bool {
		switch c := compare(r); operator {
		case "eq":
			return c == 0
		case "ne":
			return c != 0
		case "gt":
			return c > 0
		case "ge":
			return c >= 0
		case "lt":
			return c < 0
		default:
			return c <= 0
		}
	}, nil
}

// page applies q to rows, in OData's order: filter, order, skip, top.
func (q query) page(rows []row) (page []row, total int) {
	if q.filter != nil {
		rows = slices.DeleteFunc(rows, func(r row) bool { return !q.filter(r) })
	}
	total = len(rows)
	if q.order != "" {
		slices.SortStableFunc(rows, func(a, b row) int {
			order := compareValues(a[q.order], b[q.order])
			if q.down {
				return -order
			}
			return order
		})
	}
	rows = rows[min(q.skip, len(rows)):]
	if q.top >= 0 {
		rows = rows[:min(q.top, len(rows))]
	}
	for i := range rows {
		rows[i] = q.choose(rows[i])
	}
	return rows, total
}

// choose keeps the selected fields.
func (q query) choose(r row) row {
	if q.fields == nil {
		return r
	}
	chosen := make(row, len(q.fields))
	for _, name := range q.fields {
		chosen[name] = r[name]
	}
	return chosen
}

func compareValues(a, b any) int {
	if x, ok := a.(int32); ok {
		y, _ := b.(int32)
		return cmp.Compare(x, y)
	}
	return strings.Compare(fmt.Sprint(a), fmt.Sprint(b))
}

// refuse answers with an OData error.
func refuse(w http.ResponseWriter, status int, code, message string) {
	writeJSON(w, status, map[string]any{"error": map[string]any{"code": code, "message": message}})
}

func bodyOf(data []byte) io.ReadCloser { return io.NopCloser(bytes.NewReader(data)) }
