package pbxsim

import (
	"cmp"
	"fmt"
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
	numbers   []string       // what filter asks Number to be one of, where it asks nothing else
	expand    []string       // what is told besides the fields
	count     bool
}

// row is one entity as it goes out.
type row map[string]any

var filterForm = regexp.MustCompile(`^(\w+) (eq|ne|gt|ge|lt|le) (?:'((?:[^']|'')*)'|(-?\d+|true|false))(?: or |$)`)

// nodeLimit is how large a filter may be: ASP.NET's OData refuses one of more than 100
// nodes unless it is told otherwise. A comparison has three, and each "or" is one.
const nodeLimit = 100

// topLimit is the largest page that may be asked for: what the vendor's own clients do.
// Whether the real one refuses more is not documented.
const topLimit = 100

// parseQuery reads the system options of a request about entities that have
// known fields and others that are only told when expanded; its error is the client's
// mistake.
func parseQuery(values url.Values, known []string, expandable ...string) (query, error) {
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
			if q.top, err = natural(option, value); q.top > topLimit {
				err = fmt.Errorf("the limit of %d for $top has been exceeded", topLimit)
			}
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
			q.filter, q.numbers, err = parseFilter(value, field)
		case option == "$expand":
			q.expand = strings.Split(value, ",")
			for _, name := range q.expand {
				if !slices.Contains(expandable, name) {
					err = cmp.Or(err, fmt.Errorf("%q cannot be expanded", name))
				}
			}
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

// parseFilter reads comparisons joined by "or". numbers are the texts that Number is
// compared with, if that is all that is asked.
func parseFilter(text string, field func(string) error) (filter func(row) bool, numbers []string, err error) {
	var terms []func(row) bool
	others := false
	for rest := text; rest != "" || len(terms) == 0; {
		parts := filterForm.FindStringSubmatch(rest)
		if parts == nil {
			return nil, nil, fmt.Errorf("$filter %q is not understood", text)
		}
		if rest = rest[len(parts[0]):]; rest == "" && strings.HasSuffix(parts[0], " or ") {
			return nil, nil, fmt.Errorf("$filter %q ends too early", text)
		}
		if err := field(parts[1]); err != nil {
			return nil, nil, err
		}
		quoted := strings.ReplaceAll(parts[3], "''", "'")
		terms = append(terms, comparison(parts[1], parts[2], quoted, parts[4]))
		if parts[1] == "Number" && parts[2] == "eq" && parts[4] == "" {
			numbers = append(numbers, quoted)
		} else {
			others = true
		}
	}
	if nodes := 4*len(terms) - 1; nodes > nodeLimit {
		return nil, nil, fmt.Errorf("the node count limit of %d has been exceeded", nodeLimit)
	}
	if others {
		numbers = nil
	}
	return func(r row) bool {
		return slices.ContainsFunc(terms, func(term func(row) bool) bool { return term(r) })
	}, numbers, nil
}

// comparison compares a field with a text, or with a number or truth value.
func comparison(name, operator, text, plain string) func(row) bool {
	number, _ := strconv.ParseInt(plain, 10, 64)
	compare := func(r row) int {
		switch value := r[name].(type) {
		case int32:
			return cmp.Compare(int64(value), number)
		case bool:
			return strings.Compare(strconv.FormatBool(value), plain)
		case string:
			return strings.Compare(value, text)
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
	}
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
	chosen := make(row, len(q.fields)+len(q.expand))
	for _, name := range slices.Concat(q.fields, q.expand) {
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
