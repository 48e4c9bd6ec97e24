package writer

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"time"

	"offhook.dev/libs/config"
	"offhook.dev/libs/core/fault"
	"offhook.dev/libs/core/identity"
	"offhook.dev/libs/core/presence"
)

// options reads a driver's own part of the configuration (systems.options), key by
// key, and gathers what is wrong with it and with the rest of the system's entry.
type options struct {
	left     map[string]any   // not read yet
	problems []config.Problem // keys are within the entry: "url", "options.domain"
}

func newOptions(all map[string]any) *options { return &options{left: maps.Clone(all)} }

func (o *options) problem(key, what, fix string) {
	if !o.complains(key) {
		o.problems = append(o.problems, config.Problem{Key: key, What: what, Fix: fix})
	}
}

// complains says whether there is a problem with a key already: one is enough.
func (o *options) complains(key string) bool {
	return slices.ContainsFunc(o.problems, func(p config.Problem) bool { return p.Key == key })
}

// take returns an option's value, nil if it is not given.
func (o *options) take(key string) any {
	value := o.left[key]
	delete(o.left, key)
	return value
}

// words say what belongs into an option of a type.
var words = map[string]string{"string": "a text", "bool": "true or false", "int": "a whole number"}

// option returns an option of a type, its zero value if it is not given.
func option[T any](o *options, key string) T {
	value := o.take(key)
	typed, ok := value.(T)
	if value != nil && !ok {
		o.problem("options."+key, fmt.Sprintf("%v is not of the kind that belongs here", value), "write "+words[fmt.Sprintf("%T", typed)])
	}
	return typed
}

// duration returns an option such as "90s" or "1h", 0 if it is not given.
func (o *options) duration(key string) time.Duration {
	text := option[string](o, key)
	if text == "" {
		return 0
	}
	d, err := time.ParseDuration(text)
	if err != nil || d <= 0 {
		o.problem("options."+key, fmt.Sprintf("%q is no length of time", text), "write it as in 90s or 1h")
	}
	return d
}

// statuses returns an option that is a status or a list of statuses.
func (o *options) statuses(key string) presence.Set {
	name := "options." + key
	items, ok := o.left[key].([]any)
	if value := o.take(key); !ok && value != nil {
		items = []any{value}
	}
	var set presence.Set
	for _, item := range items {
		word, _ := item.(string)
		status, err := presence.ParseStatus(word)
		if err != nil || status == presence.Unset {
			o.problem(name, fmt.Sprintf("%v is no status", item), "write available, away, dnd, lunch or business-trip, or a list of these")
			continue
		}
		set |= presence.SetOf(status)
	}
	return set
}

const manyExtensions = 10_000

var digitRange = regexp.MustCompile(`^([0-9]{1,9})-([0-9]{1,9})$`)

// extensions returns an option that is an extension, a range such as "100-199", or a
// list of these. A bare number is refused: YAML drops its leading zeros.
func (o *options) extensions(key string) []identity.Extension {
	name := "options." + key
	var items []any
	switch value := o.take(key).(type) {
	case nil:
		return nil
	case []any:
		items = value
	default:
		items = []any{value}
	}
	var all []identity.Extension
	for _, item := range items {
		text, ok := item.(string)
		if !ok {
			o.problem(name, fmt.Sprintf("%v is not text", item), "write it in quotes")
			continue
		}
		some, err := expand(text)
		if err != nil {
			o.problem(name, err.Error(), "write extensions and ranges, as in [\"100-199\", \"205\"]")
			continue
		}
		if all = append(all, some...); len(all) > manyExtensions {
			o.problem(name, fmt.Sprintf("these are more than %d extensions", manyExtensions), "list those that are in use")
			return nil
		}
	}
	return all
}

// expand returns the extensions that a text stands for.
func expand(text string) ([]identity.Extension, error) {
	ends := digitRange.FindStringSubmatch(text)
	if ends == nil {
		ext, err := identity.ParseExtension(text)
		return []identity.Extension{ext}, err
	}
	first, _ := strconv.Atoi(ends[1]) // at most nine digits
	last, _ := strconv.Atoi(ends[2])
	switch {
	case len(ends[1]) != len(ends[2]) || last < first:
		return nil, fmt.Errorf("%q is no range: both ends have as many digits, the smaller one comes first", text)
	case last-first >= manyExtensions:
		return nil, fmt.Errorf("%q are more than %d extensions", text, manyExtensions)
	}
	all := make([]identity.Extension, 0, last-first+1)
	for n := first; n <= last; n++ {
		all = append(all, identity.Extension(fmt.Sprintf("%0*d", len(ends[1]), n)))
	}
	return all, nil
}

// all returns all problems, also options that nobody read.
func (o *options) all() []config.Problem {
	for _, key := range slices.Sorted(maps.Keys(o.left)) {
		o.problem(config.Key("options", key), "there is no such option", "remove it; docs/drivers says which there are")
	}
	return o.problems
}

// err returns all problems as one error of kind Invalid, or nil.
func (o *options) err(op string) error {
	var all []error
	for _, p := range o.all() {
		all = append(all, fmt.Errorf("%s: %s; %s", p.Key, p.What, p.Fix))
	}
	if len(all) == 0 {
		return nil
	}
	return fault.New(fault.Invalid, op, errors.Join(all...))
}
