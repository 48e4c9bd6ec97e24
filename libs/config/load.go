package config

import (
	"bytes"
	"errors"
	"io"
	"io/fs"
	"os"
	"path/filepath"
	"reflect"
	"regexp"
	"strconv"
	"time"

	"go.yaml.in/yaml/v3"
)

// maxSize is the largest file that is read: about a thousand tenants.
const maxSize = 4 << 20

// Check finds what only a service can judge, such as the options of a driver. It is
// given whatever could be read: values may be missing or wrong. Of its problems Key,
// What and Fix count; Load knows where a key stands. It must not change the Config.
type Check func(Config) []Problem

// Key returns the path of a key of a mapping, as it is in Problem.Key.
func Key(mapping, key string) string { return join(mapping, showKey(key)) }

// Load reads the file at path, or none if path is empty, and puts environment
// variables (in the form of os.Environ) and flags over it. Its error is Problems:
// its own and those of the checks, nil ones apart, together.
func Load(path string, env []string, flags map[string]string, checks ...Check) (Config, error) {
	return load(path, env, flags, time.Now(), checks...)
}

func load(path string, env []string, flags map[string]string, now time.Time, checks ...Check) (Config, error) {
	dir, err := filepath.Abs(filepath.Dir(path))
	if err != nil {
		return Config{}, Problems{{Source: path, What: "the working directory is unknown: " + oneLine(err), Fix: "give an absolute path"}}
	}
	d := &decoder{
		file: filepath.Base(path), dir: dir,
		marks: make(map[string]mark), bad: make(map[string]bool), origins: make(map[*yaml.Node]string),
	}
	root := &yaml.Node{Kind: yaml.MappingNode}
	if path == "" {
		d.file = "environment"
	} else {
		if root = d.read(path); root == nil {
			return Config{}, d.problems
		}
	}
	d.overlay(root, env, flags)
	c := Default()
	d.decode(root, "", reflect.ValueOf(&c).Elem(), "")
	d.validate(&c, now)
	for _, check := range checks {
		if check == nil {
			continue
		}
		for _, p := range check(c) {
			d.report(p.Key, p.What, p.Fix)
		}
	}
	if len(d.problems) > 0 {
		d.problems.sort()
		return Config{}, d.problems
	}
	return c, nil
}

// read returns the one document of the file, or nil after noting why there is none.
func (d *decoder) read(path string) *yaml.Node {
	fail := func(line int, what, fix string) *yaml.Node {
		d.problems = append(d.problems, Problem{Source: d.file, Line: line, What: what, Fix: fix})
		return nil
	}
	data, err := readAtMost(path, maxSize)
	switch {
	case errors.Is(err, fs.ErrNotExist):
		return fail(0, "there is no file "+strconv.Quote(path), "correct the path, or begin with a copy of the example in the documentation")
	case errors.Is(err, errTooLarge):
		return fail(0, "the file is larger than 4 MiB", "check that it is the configuration file")
	case err != nil:
		return fail(0, "the file cannot be read: "+oneLine(err), "make it a file that this user may read")
	}
	var document yaml.Node
	decoder := yaml.NewDecoder(bytes.NewReader(data))
	switch err := decoder.Decode(&document); {
	case errors.Is(err, io.EOF):
		return &yaml.Node{Kind: yaml.MappingNode, Line: 1}
	case err != nil:
		line, what := syntax(err)
		return fail(line, "the file is not YAML: "+what, "check the indentation, colons and quotes around this line")
	}
	root := document.Content[0]
	var more yaml.Node
	if err := decoder.Decode(&more); !errors.Is(err, io.EOF) {
		return fail(more.Line, "the file holds more than one document", "remove everything from the second \"---\" on")
	}
	if root.ShortTag() == "!!null" && root.Kind == yaml.ScalarNode {
		return &yaml.Node{Kind: yaml.MappingNode, Line: 1}
	}
	return root
}

var errTooLarge = errors.New("too large")

func readAtMost(path string, size int64) ([]byte, error) {
	file, err := os.Open(path)
	if err != nil {
		return nil, err
	}
	defer file.Close()
	data, err := io.ReadAll(io.LimitReader(file, size+1))
	if err == nil && int64(len(data)) > size {
		err = errTooLarge
	}
	return data, err
}

var (
	syntaxLine = regexp.MustCompile(`^yaml: (?:line (\d+): )?`)
	// countsFromZero matches the errors of the parser's grammar, whose lines
	// begin at 0, and are left out then; those of its scanner begin at 1.
	countsFromZero = regexp.MustCompile(`^did not find expected (?:node content|key|'|<)`)
)

// syntax takes the line out of an error of the YAML parser; 0 is no line.
func syntax(err error) (line int, what string) {
	text := oneLine(err)
	m := syntaxLine.FindStringSubmatch(text)
	if m == nil {
		return 0, text
	}
	line, _ = strconv.Atoi(m[1])
	what = text[len(m[0]):]
	if countsFromZero.MatchString(what) {
		line++
	}
	return line, what
}
