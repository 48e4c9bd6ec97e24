package config

import (
	"encoding"
	"fmt"
	"math"
	"reflect"
	"regexp"
	"strconv"
	"strings"
	"time"
	"unicode"
	"unicode/utf8"

	"go.yaml.in/yaml/v3"
)

// decoder turns a tree of YAML nodes into a Config and collects everything that
// is wrong on the way. It knows where each key came from.
type decoder struct {
	file     string // its name, for problems
	dir      string // its folder, absolute
	problems Problems
	marks    map[string]mark       // by key path
	bad      map[string]bool       // key paths with a problem: one is enough
	origins  map[*yaml.Node]string // of nodes that are not from the file
}

// mark is where a key was set.
type mark struct {
	source string
	line   int
}

func (d *decoder) markOf(n *yaml.Node) mark {
	if origin, ok := d.origins[n]; ok {
		return mark{source: origin}
	}
	return mark{d.file, n.Line}
}

// report notes a problem at a key, unless it has one already. The place is that
// of the key, or of the nearest one around it that was set.
func (d *decoder) report(path, what, fix string) {
	if d.bad[path] {
		return
	}
	d.bad[path] = true
	at, set := mark{source: d.file}, false
	for around := path; !set; around = parent(around) {
		at, set = d.marks[around]
		if around == "" {
			break
		}
	}
	if at.source == "" {
		at.source = d.file
	}
	d.problems = append(d.problems, Problem{at.source, at.line, path, what, fix})
}

func (d *decoder) reportAt(n *yaml.Node, path, what, fix string) {
	d.marks[path] = d.markOf(n)
	d.report(path, what, fix)
}

// parent returns the path of what holds the key.
func parent(path string) string {
	return path[:max(0, strings.LastIndexAny(path, ".["))]
}

func join(path, key string) string {
	if path == "" {
		return key
	}
	return path + "." + key
}

func at(path string, i int) string { return path + "[" + strconv.Itoa(i) + "]" }

var (
	durationType = reflect.TypeFor[time.Duration]()
	tenantType   = reflect.TypeFor[Tenant]()
	systemType   = reflect.TypeFor[System]()
)

// decode sets v from n. A null leaves the default.
func (d *decoder) decode(n *yaml.Node, path string, v reflect.Value, tag reflect.StructTag) {
	d.marks[path] = d.markOf(n)
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		d.report(path, "anchors and aliases are not understood", "write the value out")
	case n.Style&yaml.TaggedStyle != 0:
		d.report(path, "the tag "+show(n.Tag)+" is not understood", "write the plain value")
	case isNull(n):
	case v.Kind() == reflect.Pointer: // a value that can be left out
		value := reflect.New(v.Type().Elem())
		d.decode(n, path, value.Elem(), tag)
		v.Set(value)
	case isText(v):
		d.decodeText(n, path, v, tag)
	case v.Kind() == reflect.Struct:
		d.decodeStruct(n, path, v)
	case v.Kind() == reflect.Slice:
		d.decodeList(n, path, v, tag)
	case v.Type() == reflect.TypeFor[map[string]string]():
		d.decodeTable(n, path, v)
	case v.Type() == reflect.TypeFor[map[string]any]():
		if n.Kind != yaml.MappingNode {
			d.report(path, "this must be a mapping", "write it as {key: value}")
			return
		}
		options, _ := d.decodeAny(n, path).(map[string]any)
		v.Set(reflect.ValueOf(options))
	default:
		d.decodeScalar(n, path, v)
	}
}

func isNull(n *yaml.Node) bool { return n.Kind == yaml.ScalarNode && n.ShortTag() == "!!null" }

// isText says whether v is written as text: a string or a type that parses itself.
func isText(v reflect.Value) bool {
	_, parses := v.Addr().Interface().(encoding.TextUnmarshaler)
	return v.Kind() == reflect.String || parses
}

// decodeText takes the text as it is written, so that start_extension: 0200 stays
// what it is, and applies the rules of the tag.
func (d *decoder) decodeText(n *yaml.Node, path string, v reflect.Value, tag reflect.StructTag) {
	if n.Kind != yaml.ScalarNode {
		d.report(path, "this must be a text", "write one value, in quotes if it holds special characters")
		return
	}
	text := n.Value
	if !printable(text) {
		d.report(path, "the text holds line breaks or other control characters", "write it in one line")
		return
	}
	if text != "" {
		if allowed := strings.Fields(tag.Get("oneof")); len(allowed) > 0 && !d.oneOf(path, text, allowed) {
			return
		}
		if rule := rules[tag.Get("is")]; rule != nil {
			clean, what, fix := rule(d, text)
			if what != "" {
				d.report(path, what, fix)
				return
			}
			text = clean
		}
	}
	if parser, ok := v.Addr().Interface().(encoding.TextUnmarshaler); ok {
		if err := parser.UnmarshalText([]byte(text)); err != nil {
			what, fix, _ := strings.Cut(err.Error(), "; ")
			d.report(path, show(text)+" "+what, fix)
		}
		return
	}
	v.SetString(text)
}

// oneOf reports a word that is not among the allowed ones.
func (d *decoder) oneOf(path, word string, allowed []string) bool {
	for _, w := range allowed {
		if w == word {
			return true
		}
	}
	fix := "write one of " + strings.Join(allowed, ", ")
	if meant := nearest(word, allowed); meant != "" {
		fix = fmt.Sprintf("did you mean %s? It may be one of %s", meant, strings.Join(allowed, ", "))
	}
	d.report(path, show(word)+" is not known here", fix)
	return false
}

func (d *decoder) decodeStruct(n *yaml.Node, path string, v reflect.Value) {
	if n.Kind != yaml.MappingNode {
		d.report(path, "this must be a mapping", "write its keys below it, indented: "+strings.Join(keysOf(v.Type()), ", "))
		return
	}
	d.pairs(n, path, func(key, value *yaml.Node, path string) {
		field, ok := fieldOf(v.Type(), key.Value)
		if !ok {
			d.unknown(key, path, keysOf(v.Type()))
			return
		}
		d.decode(value, path, v.FieldByIndex(field.Index), field.Tag)
	})
}

// pairs calls visit for each key of a mapping, after refusing what is no key and
// what was there before.
func (d *decoder) pairs(n *yaml.Node, path string, visit func(key, value *yaml.Node, path string)) {
	first := make(map[string]*yaml.Node)
	for i := 0; i+1 < len(n.Content); i += 2 {
		key, value := n.Content[i], n.Content[i+1]
		keyPath := join(path, showKey(key.Value))
		switch {
		case key.Kind != yaml.ScalarNode || key.Anchor != "" || !printable(key.Value):
			d.reportAt(key, join(path, "?"), "this cannot be a key", "write a plain word and a colon")
		case first[key.Value] != nil:
			d.reportAt(key, keyPath, fmt.Sprintf("the key was set before, in line %d", first[key.Value].Line), "keep one of them")
		default:
			first[key.Value] = key
			visit(key, value, keyPath)
		}
	}
}

func (d *decoder) unknown(key *yaml.Node, path string, known []string) {
	fix := "remove it; the keys here are " + strings.Join(known, ", ")
	if meant := nearest(key.Value, known); meant != "" {
		fix = "did you mean " + meant + "?"
	}
	d.reportAt(key, path, "there is no such key", fix)
}

func (d *decoder) decodeList(n *yaml.Node, path string, v reflect.Value, tag reflect.StructTag) {
	items := n.Content
	if n.Kind == yaml.ScalarNode && v.Type().Elem().Kind() == reflect.String {
		items = []*yaml.Node{n} // "include: all": a list of one
	} else if n.Kind != yaml.SequenceNode {
		d.report(path, "this must be a list", "write it as [a, b] or one entry a line, each after \"- \"")
		return
	}
	list := reflect.MakeSlice(v.Type(), len(items), len(items))
	for i, item := range items {
		switch v.Type().Elem() {
		case tenantType:
			list.Index(i).Set(reflect.ValueOf(DefaultTenant()))
		case systemType:
			list.Index(i).Set(reflect.ValueOf(DefaultSystem()))
		}
		d.decode(item, at(path, i), list.Index(i), tag)
		if item.Kind == yaml.ScalarNode && (isNull(item) || item.Value == "") {
			d.report(at(path, i), "this entry is empty", "remove it or fill it in")
		}
	}
	if len(items) == 0 {
		list = reflect.Zero(v.Type())
	}
	v.Set(list)
}

func (d *decoder) decodeTable(n *yaml.Node, path string, v reflect.Value) {
	if n.Kind != yaml.MappingNode {
		d.report(path, "this must be a mapping", "write it as {from: to}")
		return
	}
	table := make(map[string]string)
	d.pairs(n, path, func(key, value *yaml.Node, path string) {
		var text string
		d.decode(value, path, reflect.ValueOf(&text).Elem(), "")
		table[key.Value] = text
	})
	if len(table) > 0 {
		v.Set(reflect.ValueOf(table))
	}
}

func (d *decoder) decodeScalar(n *yaml.Node, path string, v reflect.Value) {
	if n.Kind != yaml.ScalarNode {
		d.report(path, "this must be one value", "write a single value after the colon")
		return
	}
	switch {
	case v.Type() == durationType:
		span, err := time.ParseDuration(n.Value)
		if err != nil {
			d.report(path, show(n.Value)+" is no duration", "write a number with its unit, as in 10s, 15m or 720h")
			return
		}
		v.SetInt(int64(span))
	case v.Kind() == reflect.Bool:
		if n.Value != "true" && n.Value != "false" {
			d.report(path, show(n.Value)+" is neither true nor false", "write true or false")
			return
		}
		v.SetBool(n.Value == "true")
	case v.Kind() == reflect.Int:
		number, err := strconv.Atoi(n.Value)
		if err != nil {
			d.report(path, show(n.Value)+" is no whole number", "write digits only")
			return
		}
		v.SetInt(int64(number))
	case v.Kind() == reflect.Float64:
		number, err := strconv.ParseFloat(n.Value, 64)
		if err != nil || math.IsInf(number, 0) || math.IsNaN(number) {
			d.report(path, show(n.Value)+" is no number", "write a number, as in 2 or 0.5")
			return
		}
		v.SetFloat(number)
	}
}

var secretWord = regexp.MustCompile(`(?i)secret|passw|passphrase|token|credential`)

// decodeAny returns a driver's option: texts, numbers, booleans, lists, mappings.
func (d *decoder) decodeAny(n *yaml.Node, path string) any {
	d.marks[path] = d.markOf(n)
	switch {
	case n.Kind == yaml.AliasNode || n.Anchor != "":
		d.report(path, "anchors and aliases are not understood", "write the value out")
	case n.Style&yaml.TaggedStyle != 0:
		d.report(path, "the tag "+show(n.Tag)+" is not understood", "write the plain value")
	case n.Kind == yaml.MappingNode:
		options := make(map[string]any)
		d.pairs(n, path, func(key, value *yaml.Node, path string) {
			if secretWord.MatchString(key.Value) && !strings.HasSuffix(key.Value, "_file") {
				d.reportAt(key, path, "a secret must not stand in the configuration", "put it into a file of its own and name that in "+showKey(key.Value+"_file"))
				return
			}
			options[key.Value] = d.decodeAny(value, path)
		})
		return options
	case n.Kind == yaml.SequenceNode:
		list := make([]any, len(n.Content))
		for i, item := range n.Content {
			list[i] = d.decodeAny(item, at(path, i))
		}
		return list
	case n.Kind == yaml.ScalarNode:
		return d.anyScalar(n, path)
	}
	return nil
}

func (d *decoder) anyScalar(n *yaml.Node, path string) any {
	switch n.ShortTag() {
	case "!!null":
		return nil
	case "!!bool":
		return strings.EqualFold(n.Value, "true")
	case "!!int":
		if number, err := strconv.Atoi(n.Value); err == nil {
			return number
		}
	case "!!float":
		if number, err := strconv.ParseFloat(n.Value, 64); err == nil && !math.IsInf(number, 0) && !math.IsNaN(number) {
			return number
		}
	}
	if !printable(n.Value) {
		d.report(path, "the text holds line breaks or other control characters", "write it in one line")
	}
	return n.Value
}

// keysOf lists the keys of a struct in the order of the file.
func keysOf(t reflect.Type) []string {
	keys := make([]string, t.NumField())
	for i := range keys {
		keys[i] = t.Field(i).Tag.Get("yaml")
	}
	return keys
}

func fieldOf(t reflect.Type, key string) (reflect.StructField, bool) {
	for i := range t.NumField() {
		if t.Field(i).Tag.Get("yaml") == key {
			return t.Field(i), true
		}
	}
	return reflect.StructField{}, false
}

func printable(text string) bool {
	return utf8.ValidString(text) && strings.IndexFunc(text, func(r rune) bool { return !unicode.IsPrint(r) }) < 0
}

// show quotes a value in one line of bounded length.
func show(text string) string {
	const most = 60
	if len(text) > most {
		text = strings.ToValidUTF8(text[:most], "") + "..."
	}
	return strconv.Quote(text)
}

var plainKey = regexp.MustCompile(`^[A-Za-z0-9_-]{1,64}$`)

func showKey(key string) string {
	if plainKey.MatchString(key) {
		return key
	}
	return show(key)
}

// oneLine returns the text of an error from elsewhere without line breaks.
func oneLine(err error) string {
	return strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, err.Error())
}
