package config

import (
	"cmp"
	"encoding"
	"fmt"
	"maps"
	"reflect"
	"regexp"
	"slices"
	"strconv"
	"strings"

	"go.yaml.in/yaml/v3"

	"offhook.dev/libs/secret"
)

const envPrefix = "OFFHOOK_"

// notKeys are variables that other parts of Offhook read.
var notKeys = []string{"CONFIG", "SIM", "API", "INSTANCE"}

// fromKubernetes matches what Kubernetes sets in every container for a service
// called offhook or offhook-something.
// https://kubernetes.io/docs/concepts/services-networking/service/#environment-variables
var fromKubernetes = regexp.MustCompile(`^(?:[A-Z0-9_]+_)?(?:SERVICE_HOST|SERVICE_PORT(?:_[A-Z0-9_]+)?|PORT(?:_\d+_(?:TCP|UDP|SCTP)(?:_(?:PROTO|PORT|ADDR))?)?)$`)

// setting is one value from the environment or a flag.
type setting struct {
	source string
	path   []string // keys and numbers of list entries
	target reflect.Type
	text   string
}

// overlay puts settings into the tree, so that they are decoded and judged like
// the file's own values.
func (d *decoder) overlay(root *yaml.Node, env []string, flags map[string]string) {
	var settings []setting
	for _, pair := range env {
		if name, text, _ := strings.Cut(pair, "="); strings.HasPrefix(name, envPrefix) {
			if s, ok := d.variable(name, text); ok {
				settings = append(settings, s)
			}
		}
	}
	slices.SortStableFunc(settings, func(a, b setting) int { return slices.CompareFunc(a.path, b.path, natural) })
	flagged := len(settings)
	for _, name := range slices.Sorted(maps.Keys(flags)) {
		path, target, ok := resolve(configType, strings.ToUpper(strings.ReplaceAll(name, ".", "_")))
		if !ok {
			d.problems = append(d.problems, Problem{"flag " + name, 0, "", "there is no such key", "name the key by its path, as in nats.url"})
			continue
		}
		settings = append(settings, setting{"flag " + name, path, target, flags[name]})
	}
	slices.SortStableFunc(settings[flagged:], func(a, b setting) int { return slices.CompareFunc(a.path, b.path, natural) })
	for _, s := range settings {
		d.put(root, s)
	}
}

var (
	configType    = reflect.TypeFor[Config]()
	secretURLType = reflect.TypeFor[SecretURL]()
)

// variable finds the key that an environment variable sets.
func (d *decoder) variable(name, text string) (setting, bool) {
	short := strings.TrimPrefix(name, envPrefix)
	if path, target, ok := resolve(configType, short); ok {
		return setting{name, path, target, text}, true
	}
	problem := Problem{Source: showKey(name)}
	if path, target, ok := resolve(configType, strings.TrimSuffix(short, "_FILE")); ok && target == secretURLType {
		value, err := secret.ReadFile(text)
		if err == nil {
			return setting{name, path, target, value.Reveal()}, true
		}
		problem.What, problem.Fix = "the file that it names cannot be used: "+oneLine(err), "name a file that holds the value"
		d.problems = append(d.problems, problem)
		return setting{}, false
	}
	if slices.Contains(notKeys, short) || fromKubernetes.MatchString(short) {
		return setting{}, false
	}
	problem.What, problem.Fix = "there is no such key", "unset it"
	if meant := nearest(digits.ReplaceAllString(short, "_0_"), names(configType)); meant != "" {
		problem.Fix = "did you mean " + envPrefix + meant + "?"
	}
	d.problems = append(d.problems, problem)
	return setting{}, false
}

var digits = regexp.MustCompile(`_\d+_`)

// resolve finds the key of a name without its prefix. TestEnvironmentNames holds
// that no name has two readings.
func resolve(t reflect.Type, name string) (path []string, target reflect.Type, ok bool) {
	switch {
	case t.Kind() == reflect.Struct && !parses(t):
		for i := range t.NumField() {
			key := t.Field(i).Tag.Get("yaml")
			if rest, found := strings.CutPrefix(name, strings.ToUpper(key)); found {
				if path, target, ok := resolveRest(t.Field(i).Type, rest); ok {
					return append([]string{key}, path...), target, true
				}
			}
		}
	case t.Kind() == reflect.Slice && t.Elem().Kind() == reflect.Struct:
		index := name[:len(name)-len(strings.TrimLeft(name, "0123456789"))]
		if index == "" || len(index) > 4 {
			return nil, nil, false
		}
		if path, target, ok := resolveRest(t.Elem(), name[len(index):]); ok {
			return append([]string{index}, path...), target, true
		}
	}
	return nil, nil, false
}

func resolveRest(t reflect.Type, rest string) (path []string, target reflect.Type, ok bool) {
	if rest == "" {
		return nil, t, true
	}
	if name, found := strings.CutPrefix(rest, "_"); found {
		return resolve(t, name)
	}
	return nil, nil, false
}

// names lists the names of all keys that hold values, with 0 for every number.
func names(t reflect.Type) []string {
	var all []string
	for i := range t.NumField() {
		name, field := strings.ToUpper(t.Field(i).Tag.Get("yaml")), t.Field(i).Type
		if field.Kind() == reflect.Slice && field.Elem().Kind() == reflect.Struct {
			name, field = name+"_0", field.Elem()
		}
		if field.Kind() != reflect.Struct || parses(field) {
			all = append(all, name)
			continue
		}
		for _, rest := range names(field) {
			all = append(all, name+"_"+rest)
		}
	}
	return all
}

func parses(t reflect.Type) bool {
	return reflect.PointerTo(t).Implements(reflect.TypeFor[encoding.TextUnmarshaler]())
}

// natural orders numbers of entries as numbers, so that entry 2 is made before
// entry 10, and what holds an entry before the entry.
func natural(a, b string) int {
	x, errX := strconv.Atoi(a)
	y, errY := strconv.Atoi(b)
	if errX == nil && errY == nil {
		return cmp.Compare(x, y)
	}
	return strings.Compare(a, b)
}

// put sets one value in the tree. Where the file has something of another kind in
// the way nothing is done: decoding reports that.
func (d *decoder) put(root *yaml.Node, s setting) {
	value, err := s.node()
	if err != nil {
		_, what := syntax(err)
		d.problems = append(d.problems, Problem{s.source, 0, dotted(s.path), "the value is not YAML: " + what, "write a list or mapping in one line, as in [a, b] or {key: value}"})
		return
	}
	n := root
	for _, step := range s.path {
		if index, err := strconv.Atoi(step); err == nil {
			if n = d.entry(n, index, s); n == nil {
				return
			}
		} else if n = d.member(n, step, s.source); n == nil {
			return
		}
	}
	*n = *value
	d.claim(n, s.source)
}

// entry returns an entry of a list, adding it where it is the next one.
func (d *decoder) entry(n *yaml.Node, index int, s setting) *yaml.Node {
	if !become(n, yaml.SequenceNode) {
		return nil
	}
	switch {
	case index < len(n.Content):
	case index == len(n.Content):
		n.Content = append(n.Content, d.null(s.source))
	default:
		d.problems = append(d.problems, Problem{s.source, 0, dotted(s.path),
			fmt.Sprintf("there are only %d entries", len(n.Content)), "number entries from 0 without gaps"})
		return nil
	}
	return n.Content[index]
}

// member returns the value of a key of a mapping, adding it where it is not there.
func (d *decoder) member(n *yaml.Node, key, source string) *yaml.Node {
	if !become(n, yaml.MappingNode) {
		return nil
	}
	for i := 0; i+1 < len(n.Content); i += 2 {
		if n.Content[i].Value == key {
			return n.Content[i+1]
		}
	}
	name := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: key}
	d.claim(name, source)
	n.Content = append(n.Content, name, d.null(source))
	return n.Content[len(n.Content)-1]
}

// become turns an empty node into one of the given kind.
func become(n *yaml.Node, kind yaml.Kind) bool {
	if isNull(n) && n.Anchor == "" && n.Style&yaml.TaggedStyle == 0 {
		n.Kind, n.Tag, n.Value = kind, "", ""
	}
	return n.Kind == kind
}

func (d *decoder) null(source string) *yaml.Node {
	n := &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}
	d.claim(n, source)
	return n
}

func (d *decoder) claim(n *yaml.Node, source string) {
	d.origins[n] = source
	for _, child := range n.Content {
		d.claim(child, source)
	}
}

// node returns the value as the file would have it.
func (s setting) node() (*yaml.Node, error) {
	list := s.target.Kind() == reflect.Slice
	switch {
	case list && s.target.Elem().Kind() == reflect.String && !strings.HasPrefix(s.text, "["):
		n := &yaml.Node{Kind: yaml.SequenceNode}
		for item := range strings.SplitSeq(s.text, ",") {
			if item = strings.TrimSpace(item); item != "" {
				n.Content = append(n.Content, scalar(item))
			}
		}
		return n, nil
	case list || s.target.Kind() == reflect.Map || s.target.Kind() == reflect.Struct && !parses(s.target):
		var document yaml.Node
		if err := yaml.Unmarshal([]byte(s.text), &document); err != nil {
			return nil, err
		}
		if document.Kind == 0 {
			return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!null"}, nil
		}
		return document.Content[0], nil
	}
	return scalar(s.text), nil
}

func scalar(text string) *yaml.Node {
	return &yaml.Node{Kind: yaml.ScalarNode, Tag: "!!str", Value: text}
}

func dotted(path []string) string {
	var b strings.Builder
	for _, step := range path {
		switch _, err := strconv.Atoi(step); {
		case err == nil:
			b.WriteString("[" + step + "]")
		case b.Len() > 0:
			b.WriteString("." + step)
		default:
			b.WriteString(step)
		}
	}
	return b.String()
}
