package writer

import (
	"errors"
	"fmt"
	"maps"
	"regexp"
	"slices"
	"strconv"
	"time"

	"offhook.dev/libs/core/identity"
)

// options reads a driver's own part of the configuration (systems.options), key by
// key, and gathers what is wrong with it.
type options struct {
	left     map[string]any // not read yet
	problems []error
}

func newOptions(all map[string]any) *options { return &options{left: maps.Clone(all)} }

func (o *options) problem(key, format string, args ...any) {
	o.problems = append(o.problems, fmt.Errorf(key+": "+format, args...))
}

// take returns an option's value, nil if it is not given.
func (o *options) take(key string) any {
	value := o.left[key]
	delete(o.left, key)
	return value
}

// option returns an option of a type, its zero value if it is not given.
func option[T any](o *options, key string) T {
	value := o.take(key)
	typed, ok := value.(T)
	if value != nil && !ok {
		o.problem("options."+key, "%v is not of the kind that belongs here: %T", value, typed)
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
		o.problem("options."+key, "%q is no length of time such as 90s or 1h", text)
	}
	return d
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
			o.problem(name, "%v is not text: write it in quotes", item)
			continue
		}
		some, err := expand(text)
		if err != nil {
			o.problem(name, "%w", err)
			continue
		}
		if all = append(all, some...); len(all) > manyExtensions {
			o.problem(name, "these are more than %d extensions", manyExtensions)
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

// err returns all problems, also options that nobody read.
func (o *options) err() error {
	for _, key := range slices.Sorted(maps.Keys(o.left)) {
		o.problem("options."+key, "there is no such option")
	}
	return errors.Join(o.problems...)
}
